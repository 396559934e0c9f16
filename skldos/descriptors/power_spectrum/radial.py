r"""Radial integrals of the Gaussian on a neighbour, as a function of its distance.

The density around an atom, one Gaussian of width :math:`\sigma` on every neighbour, is expanded in
orthonormal radial functions :math:`R_{nl}(x)` and spherical harmonics. A neighbour at distance *r*
contributes :math:`f_c(r)\, I_{nl}(r)\, Y_{lm}(\hat r)` with

.. math::

    I_{nl}(r) = \frac{4 \pi}{(\pi \sigma^2)^{3/4}} e^{-r^2 / 2 \sigma^2} \int_0^\infty dx\, x^2
    R_{nl}(x)\, e^{-x^2 / 2 \sigma^2}\, i_l(x r / \sigma^2) ,

:math:`i_l` being the modified spherical Bessel function of the first kind. Tabulated is
:math:`G_{nl}(r) = I_{nl}(r) / r^l`, which is smooth at *r* = 0: it is multiplied by the solid
harmonics :math:`r^l Y_{lm}`, which are polynomials.
"""

from functools import lru_cache

import numpy as np
from scipy.special import factorial2, ive

#: Largest numbers of radial functions and angular momentum; 12 and 9 are many.
MAX_N, MAX_L = 64, 32

#: Names of the radial functions.
BASES = ("gto", "gto_n", "polynomial")

#: Value of a Gaussian-type orbital at the radius that it belongs to, as a fraction of r^l.
GTO_THRESHOLD = 1e-3

#: Radius beyond which orbitals are zero to double precision, in units of the largest radius, and
#: number of nodes of the quadrature for the overlaps.
GTO_REACH, OVERLAP_NODES = 5.0, 400

#: Number of intervals of the table within the cutoff for a Gaussian as wide as a tenth of it; more
#: for a narrower one. The error of cubic Hermite interpolation is then about 1e-10 of the largest
#: value.
INTERVALS = 500

#: Number of nodes of the quadrature over x, at least and per Å, and its range on both sides of the
#: Gaussian in units of the width.
NODES, NODES_PER_LENGTH, GAUSSIAN_REACH = 200, 10.0, 9.0

#: Terms of the series of the Bessel function, where its argument is small.
SERIES_BELOW, SERIES_TERMS = 0.5, 12


def radial_basis(x, l, n_max, radius, rbf="gto"):
    r"""Evaluate the orthonormal radial functions of one angular momentum, in Å^(-3/2).

    Primitive functions are made orthonormal by Löwdin's symmetric method, with the weight
    :math:`x^2`. For *n* from 0 to `n_max` - 1 they are

    - ``"gto"``: :math:`x^l e^{-\alpha_{nl} x^2}`, which fall to 0.001 at `n_max` radii that are
      evenly spaced from 1 Å to `radius`, as in DScribe;
    - ``"gto_n"``: :math:`x^n e^{-x^2 / 2 \sigma_n^2}` with :math:`\sigma_n` = `radius`
      :math:`\max(\sqrt n, 1)` / `n_max`, the same for all l, as in featomic;
    - ``"polynomial"``: :math:`(R - x)^{n + 3}` within the radius R, and zero beyond, as in DScribe.

    The result has shape (n_max, n_points).
    """
    primitives, _ = _primitives(l, n_max, radius, rbf)
    return _loewdin(l, n_max, radius, rbf) @ primitives(x)


@lru_cache(maxsize=256)
def _loewdin(l, n_max, radius, rbf):
    """Return the matrix that makes primitive functions orthonormal.

    From their values at the nodes of a quadrature: overlaps would have the square of the condition
    number.
    """
    primitives, reach = _primitives(l, n_max, radius, rbf)
    nodes, weights = np.polynomial.legendre.leggauss(OVERLAP_NODES)
    x = reach * (nodes + 1) / 2
    values = primitives(x) * x * np.sqrt(weights * reach / 2)
    norm = 1 / np.linalg.norm(values, axis=1)
    rotation, lengths, _ = np.linalg.svd(norm[:, None] * values, full_matrices=False)
    return rotation / lengths @ rotation.T * norm


def _primitives(l, n_max, radius, rbf):
    """Return a function that evaluates the primitives, and the radius beyond which they vanish."""
    n = np.arange(n_max)[:, None]
    if rbf == "polynomial":
        return lambda x: np.maximum(1 - x / radius, 0) ** (n + 3), radius
    if rbf == "gto_n":
        width = radius * np.maximum(np.sqrt(n), 1) / n_max
        return lambda x: (x / radius) ** n * np.exp(-(x**2) / (2 * width**2)), GTO_REACH * radius
    at = np.linspace(1, radius, n_max)[:, None]
    exponent = -np.log(GTO_THRESHOLD / at**l) / at**2
    return lambda x: x**l * np.exp(-exponent * x**2), GTO_REACH * radius


@lru_cache(maxsize=32)
def radial_table(n_max, l_max, r_cut, sigma, radius, rbf):
    """Tabulate the radial integrals on evenly spaced distances from 0 to `r_cut`.

    The table, of shape (n_knots, 2, (l_max + 1) * n_max) with n fastest, has :math:`G_{nl}` in
    Å^(-l) and its derivative in Å^(-l-1).
    """
    n_knots = int(np.ceil(INTERVALS * max(1.0, 0.1 * r_cut / sigma))) + 1
    table = np.empty((n_knots, 2, l_max + 1, n_max))
    r = np.linspace(0, r_cut, n_knots)[:, None]
    # No further than the functions reach: the kink at the end of polynomials would spoil it.
    _, end = _primitives(0, n_max, radius, rbf)
    low, high = np.clip([r - GAUSSIAN_REACH * sigma, r + GAUSSIAN_REACH * sigma], 0, end)
    n_nodes = max(NODES, int(NODES_PER_LENGTH * (high - low).max()))
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    x = low + (high - low) * (nodes + 1) / 2  # [knot, node]
    z = x * r / sigma**2
    # The exponentials together are e^(-(x-r)²/2σ²) e^(-z), of which the Bessel function, which
    # grows like e^z, takes the second.
    smeared = x**2 * np.exp(-((x - r) ** 2) / (2 * sigma**2)) * weights * (high - low) / 2
    smeared *= 4 * np.pi / (np.pi * sigma**2) ** 0.75
    bessel = _scaled_bessel(0, z)
    for l in range(l_max + 1):
        if l == 0 or rbf == "gto":
            basis = radial_basis(x.ravel(), l, n_max, radius, rbf).reshape(n_max, *x.shape)
        u, after = (x / sigma**2) ** l, _scaled_bessel(l + 1, z)
        table[:, 0, l] = np.einsum("nkx,kx->kn", basis, smeared * u * bessel)
        # d/dz (i_l / z^l) = i_{l+1} / z^l
        growth = np.einsum("nkx,kx->kn", basis, smeared * u * (x / sigma**2) ** 2 * after)
        table[:, 1, l] = r * (growth - table[:, 0, l] / sigma**2)
        bessel = after
    table = table.reshape(n_knots, 2, -1)
    table.flags.writeable = False
    return table


def _scaled_bessel(order, z):
    r"""Return :math:`e^{-z}\, i_l(z) / z^l`."""
    safe = np.maximum(z, SERIES_BELOW)
    large = np.sqrt(np.pi / (2 * safe)) * ive(order + 0.5, safe) / safe**order
    term = np.full_like(z, 1 / factorial2(2 * order + 1))
    series = term.copy()
    for k in range(1, SERIES_TERMS):
        term = term * (z**2 / 2) / (k * (2 * (order + k) + 1))
        series += term
    return np.where(z < SERIES_BELOW, np.exp(-np.minimum(z, SERIES_BELOW)) * series, large)
