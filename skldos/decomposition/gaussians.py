r"""Periodic fields as sums of Gaussians on the atoms, by linear least squares.

.. math::

    V(r) \approx c_0 + \sum_B \sum_i A_{Bi} \sum_L e^{-\alpha_i |r - t_B - L|^2}

with atoms at :math:`t_B` and lattice vectors *L*. The Fourier coefficients of a Gaussian are known,
and a grid holds a finite number of waves,

.. math::

    \hat g_{Bi}(G) = \frac{1}{\Omega} \left(\frac{\pi}{\alpha_i}\right)^{3/2}
                     e^{-G^2 / 4\alpha_i}\, e^{-i G \cdot t_B},

so that integrals over the cell are sums over the waves:
:math:`\int f g\,dr = \Omega \sum_G f_G^* g_G`. For Gaussians narrower than the grid spacing, these
are the integrals of the part that the grid can represent.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from skldos.geometry import check_cell, check_grid_shape, plane_spacings, volume
from skldos.physics.fourier import pair_weights, wave_vectors
from skldos.units import BOHR
from skldos.validation import check_finite, check_scalar, check_shape

#: Number of waves per slice.
WAVES_AT_ONCE = 2048
#: Products of Gaussians below this fraction are left out of sums over the lattice.
NEGLIGIBLE = 1e-18


def geometric_exponents(n, low=0.15 / BOHR**2, high=5.0 / BOHR**2):
    """Return a geometric series of exponents.

    Parameters
    ----------
    n : int
        Number of exponents.
    low, high : float, optional
        The smallest and the largest in 1/Å²; by default 0.15 and 5 bohr⁻².

    Returns
    -------
    ndarray of shape (n,)
        In 1/Å²; a single one is `low`.

    Examples
    --------
    >>> geometric_exponents(3, 0.5, 8.0)
    array([0.5, 2. , 8. ])
    """
    n = check_scalar("n", n, low=1, integer=True)
    low = check_scalar("low", low, low=0, strict=True)
    return np.geomspace(low, check_scalar("high", high, low=low), n)


def norms(exponents):
    r"""Norms :math:`(\int g^2 dr)^{1/2} = (\pi / 2\alpha)^{3/4}` of lone Gaussians, in Å^{3/2}."""
    return (np.pi / (2 * exponents)) ** 0.75


class Gaussians:
    r"""Gaussians on the atoms of one cell, and the waves of one grid.

    Parameters
    ----------
    positions : array-like of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å.
    grid_shape : tuple of 3 int
        Points along each lattice vector.
    exponents : array-like of shape (n_gaussians,) or (n_atoms, n_gaussians)
        :math:`\alpha` in 1/Å², the same for all atoms or one row per atom.
    mean : bool, default=True
        Whether the Gaussians represent the mean (the wave G = 0) too. If not, c_0 is fitted.

    Examples
    --------
    >>> gaussians = Gaussians([[1.0, 1.0, 1.0]], 4 * np.eye(3), (12, 12, 12), [1.0, 3.0])
    >>> V = gaussians.field([[2.0, -1.0]])
    >>> float(V[3, 3, 3].round(2)), gaussians.fit(V).round(6)
    (1.0, array([[ 2., -1.]]))
    """

    def __init__(self, positions, cell, grid_shape, exponents, *, mean=True):
        self.positions = np.asarray(positions, dtype=float)
        check_shape("positions", self.positions, (None, 3))
        check_finite("positions", self.positions)
        self.cell = check_cell(cell)
        self.grid_shape = check_grid_shape(grid_shape)
        self.exponents = check_exponents(exponents, len(self.positions))
        self.mean = mean

    def __repr__(self):
        grid = "x".join(map(str, self.grid_shape))
        return f"Gaussians({self.exponents.shape[1]} on {len(self.positions)} atoms, grid {grid})"

    def field(self, coefficients):
        """Return the sum of the Gaussians on the grid.

        Parameters
        ----------
        coefficients : array-like of shape (n_atoms, n_gaussians)
            A, in the unit of the field.

        Returns
        -------
        ndarray of shape grid_shape
            Without waves that the grid cannot represent.
        """
        A = np.asarray(coefficients, dtype=float)
        check_shape("coefficients", A, self.exponents.shape)
        waves, weights = self._waves()
        V = np.zeros(len(weights), dtype=complex)
        for chunk, g in self._pieces(waves):
            V[chunk] = g @ A.ravel()
        V[weights == 0] = 0
        half = (*self.grid_shape[:2], self.grid_shape[2] // 2 + 1)
        # The phases are those of e^{-iG·t}: f(r) = Σ_G f_G e^{iG·r}
        V = torch.from_numpy(V.reshape(half))
        return torch.fft.irfftn(V, s=self.grid_shape, norm="forward").numpy()

    def overlap(self):
        r"""Return the metric :math:`S_{Bi,Cj} = \int g_{Bi}\, g_{Cj}\, dr`.

        Returns
        -------
        ndarray of shape (n_atoms * n_gaussians, n_atoms * n_gaussians)
            In Å³; the Gaussians of the first atom come first.
        """
        return self._equations(None)[0]

    def normal_equations(self, field):
        r"""Return the normal equations of a least-squares fit of a field.

        Parameters
        ----------
        field : array-like of shape grid_shape
            V on the grid.

        Returns
        -------
        NormalEquations
        """
        field = np.asarray(field, dtype=float)
        if field.shape != self.grid_shape:
            raise ValueError(f"field must have the shape {self.grid_shape}, got {field.shape}.")
        check_finite("field", field)
        overlap, projections = self._equations(field)
        return NormalEquations(overlap, projections, norms(self.exponents).ravel())

    def fit(self, field, ridge=0.0):
        """Return the coefficients of a field.

        Parameters
        ----------
        field : array-like of shape grid_shape
            V on the grid.
        ridge : float, default=0
            See :meth:`NormalEquations.solve`.

        Returns
        -------
        ndarray of shape (n_atoms, n_gaussians)
            A, in the unit of the field.
        """
        return self.normal_equations(field).solve(ridge).reshape(self.exponents.shape)

    # ----------------------------------------------------------------

    def _waves(self):
        """Return the half spectrum of waves, and how many waves each represents (0: left out)."""
        G = wave_vectors(torch.from_numpy(self.cell), self.grid_shape).numpy()
        weights = np.broadcast_to(pair_weights(self.grid_shape).numpy(), G.shape[:3]).copy()
        # The sign of the frequency n/2 is ambiguous on the grid, but matters for shifts.
        for axis, n in enumerate(self.grid_shape):
            if n % 2 == 0:
                np.moveaxis(weights, axis, 0)[n // 2] = 0.0
        if not self.mean:
            weights[0, 0, 0] = 0.0
        return G.reshape(-1, 3), weights.ravel()

    def _pieces(self, waves):
        """Yield slices of the waves, and the transforms of all Gaussians for them."""
        scale = (np.pi / self.exponents) ** 1.5 / volume(self.cell)
        shared = (self.exponents == self.exponents[0]).all()
        exponents = self.exponents[:1] if shared else self.exponents
        for start in range(0, len(waves), WAVES_AT_ONCE):
            chunk = slice(start, start + WAVES_AT_ONCE)
            G = waves[chunk]
            radial = np.exp(-(G**2).sum(1)[:, None, None] / (4 * exponents))
            # The phase of -G·t, [wave, atom]
            turn = np.exp(-1j * (G @ self.positions.T))
            yield chunk, (turn[:, :, None] * (radial * scale)).reshape(len(G), -1)

    def _equations(self, field):
        """Return the overlap, and the projections of a field if given."""
        waves, weights = self._waves()
        if field is not None:
            V = torch.fft.rfftn(torch.from_numpy(np.ascontiguousarray(field)), norm="forward")
            V = V.numpy().ravel()
        S, b = np.zeros((self.exponents.size,) * 2), np.zeros(self.exponents.size)
        for chunk, g in self._pieces(waves):
            root = np.sqrt(volume(self.cell) * weights[chunk])
            # Real and imaginary parts side by side: Re(f* g) is then a product of real numbers.
            rows = (g * root[:, None]).view(float).reshape(len(g), -1, 2)
            rows = np.concatenate([rows[..., 0], rows[..., 1]])
            S += rows.T @ rows
            if field is not None:
                v = V[chunk] * root
                b += np.concatenate([v.real, v.imag]) @ rows
        return S, b


class NormalEquations(NamedTuple):
    r"""Least squares in the metric of the overlap, :math:`\int (V - \sum_k A_k g_k)^2 dr \to \min`.

    Attributes
    ----------
    overlap : ndarray of shape (n, n)
        :math:`S_{kl} = \int g_k g_l\,dr` in Å³.
    projections : ndarray of shape (n,)
        :math:`b_k = \int g_k V\,dr`.
    norms : ndarray of shape (n,)
        Norms of lone Gaussians, in Å^{3/2}.
    """

    overlap: np.ndarray
    projections: np.ndarray
    norms: np.ndarray

    def solve(self, ridge=0.0):
        r"""Return the coefficients A, (n,), or (n_ridges, n) for several penalties λ >= 0.

        .. math:: \int \Big(V - \sum_k A_k g_k\Big)^2 dr + \lambda \sum_k \|g_k\|^2 A_k^2 \to \min

        The penalty refers to Gaussians of unit norm, so λ is dimensionless and comparable across
        exponents, cells and numbers of atoms. Zero leaves out combinations that vanish on the grid
        to rounding.
        """
        ridges = np.atleast_1d(np.asarray(ridge, dtype=float))
        for value in ridges:
            check_scalar("ridge", value, low=0)
        eigenvalues, vectors = self._spectrum()
        components = vectors.T @ (self.projections / self.norms)
        smallest = eigenvalues[-1] * len(eigenvalues) * np.finfo(float).eps
        scaled = eigenvalues + ridges[:, None]
        mask = scaled > smallest
        a = np.where(mask, components / np.where(mask, scaled, 1.0), 0.0) @ vectors.T
        return (a if np.ndim(ridge) else a[0]) / self.norms

    def condition(self, ridge=0.0):
        """Return the condition number of the equations, for Gaussians of unit norm."""
        eigenvalues = self._spectrum()[0] + check_scalar("ridge", ridge, low=0)
        with np.errstate(divide="ignore"):
            return eigenvalues[-1] / max(eigenvalues[0], 0.0)

    def _spectrum(self):
        """Return eigenvalues, in ascending order, and vectors of the scaled overlap."""
        return np.linalg.eigh(self.overlap / np.outer(self.norms, self.norms))


def check_exponents(exponents, n_atoms):
    """Return exponents as an array of shape (n_atoms, n_gaussians)."""
    exponents = np.asarray(exponents, dtype=float)
    if exponents.ndim not in (1, 2) or exponents.size == 0:
        raise ValueError(
            "exponents must have shape (n_gaussians,) or (n_atoms, n_gaussians), got "
            f"{exponents.shape}."
        )
    if exponents.ndim == 2:
        check_shape("exponents", exponents, (n_atoms, None))
    if not (np.isfinite(exponents).all() and exponents.min() > 0):
        raise ValueError(f"exponents must be > 0 and finite, got {exponents.ravel().tolist()}.")
    return np.broadcast_to(exponents, (n_atoms, exponents.shape[-1]))


def exact_overlap(positions, cell, exponents):
    r"""Exact overlap of periodic Gaussians, not limited to the waves of a grid.

    .. math::

        S_{Bi,Cj} = \left(\frac{\pi}{\alpha_i + \alpha_j}\right)^{3/2}
            \sum_L \exp\left(-\frac{\alpha_i \alpha_j}{\alpha_i + \alpha_j}
                             |t_B - t_C - L|^2\right)

    Parameters
    ----------
    positions : array-like of shape (n_atoms, 3)
        Cartesian, in Å.
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å.
    exponents : array-like of shape (n_gaussians,) or (n_atoms, n_gaussians)
        In 1/Å².

    Returns
    -------
    ndarray of shape (n_atoms * n_gaussians, n_atoms * n_gaussians)
        In Å³. Equals :meth:`Gaussians.overlap` if the grid is fine enough for the Gaussians.

    Examples
    --------
    >>> exact_overlap(np.zeros((1, 3)), 9 * np.eye(3), [np.pi / 2])
    array([[1.]])
    """
    positions, cell = np.asarray(positions, dtype=float), check_cell(cell)
    check_shape("positions", positions, (None, 3))
    alpha = check_exponents(exponents, len(positions)).ravel()
    total = alpha[:, None] + alpha
    decay = alpha[:, None] * alpha / total
    centers = np.repeat(positions, len(alpha) // len(positions), axis=0)
    d = centers[:, None] - centers
    # Differences in the cell around zero: the lattice is then summed up to a sphere around it.
    d -= np.round(d @ np.linalg.inv(cell)) @ cell
    reach = np.sqrt(-np.log(NEGLIGIBLE) / decay.min())
    # |d| reaches half a cell along each vector
    ranges = [range(-n, n + 1) for n in np.ceil(reach / plane_spacings(cell) + 0.5).astype(int)]
    S = np.zeros_like(decay)
    for shift in itertools.product(*ranges):
        S += np.exp(-decay * ((d + np.asarray(shift) @ cell) ** 2).sum(axis=-1))
    return (np.pi / total) ** 1.5 * S
