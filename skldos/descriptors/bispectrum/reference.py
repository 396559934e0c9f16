r"""Readable reference implementation of the bispectrum, with the formulas of the papers; slow.

The neighbours of a point, mapped onto the unit sphere in four dimensions, have a density whose
expansion coefficients in Wigner functions are

.. math:: U^j_{m'm} = \delta_{m'm} + \sum_k w_k f_c(r_k)\, u^j_{m'm}(\theta_0, \hat r_k),

where the first term is the point itself. With Clebsch-Gordan coefficients,

.. math::

    Z^{j}_{j_1 j_2, m'm} &= \sum_{m_1' m_1}
        C^{j m'}_{j_1 m_1' j_2 m_2'}\, C^{j m}_{j_1 m_1 j_2 m_2}\,
        U^{j_1}_{m_1' m_1} U^{j_2}_{m_2' m_2},
        \qquad m_2 = m - m_1,\ m_2' = m' - m_1', \\
    B_{j_1 j_2 j} &= \sum_{m'm} (U^j_{m'm})^* Z^{j}_{j_1 j_2, m'm}.

All angular momenta are counted in halves (``j = 2J``) and projections from zero
(``m + J``), so everything is an integer and an index.

References
----------
.. [1] A. P. Bartók, M. C. Payne, R. Kondor, G. Csányi, "Gaussian approximation potentials: the
   accuracy of quantum mechanics, without the electrons", Phys. Rev. Lett. 104, 136403 (2010).
.. [2] A. P. Bartók, R. Kondor, G. Csányi, "On representing chemical environments",
   Phys. Rev. B 87, 184115 (2013).
.. [3] A. P. Thompson, L. P. Swiler, C. R. Trott, S. M. Foiles, G. J. Tucker, "Spectral neighbor
   analysis method for automated generation of quantum-accurate interatomic potentials",
   J. Comput. Phys. 285, 316 (2015).
"""

from functools import lru_cache
from math import factorial, sqrt

import numpy as np

from skldos.descriptors.bispectrum.components import bispectrum_components


def switching(r, *, r_cut, rmin0=0.0, switch=True):
    r"""Switching function of a neighbour, which falls smoothly to zero at the cutoff.

    .. math:: f_c(r) = \tfrac12 \left[\cos\pi\frac{r - r_{min}}{r_{cut} - r_{min}} + 1\right]

    and 1 for :math:`r \le r_{min}`, or everywhere if `switch` is false.
    """
    if not switch:
        return np.ones_like(r)
    t = np.clip((r - rmin0) / (r_cut - rmin0), 0.0, 1.0)
    return 0.5 * (np.cos(np.pi * t) + 1)


def sphere_points(displacements, *, r_cut, rfac0=0.99363, rmin0=0.0):
    r"""Map displacements (n_neighbors, 3) in Å onto the unit sphere in four dimensions.

    :math:`g = \pm(\cos\theta_0, \sin\theta_0\,\hat r)` with :math:`\theta_0 = \mathrm{rfac0}\,\pi
    (r - r_{min}) / (r_{cut} - r_{min})`. The sign is that of :math:`\sin\theta_0`: LAMMPS computes
    :math:`g_0 \propto r / \tan\theta_0`, and so takes a neighbour below `rmin0` to the opposite
    point.
    """
    r = np.linalg.norm(displacements, axis=1)
    theta0 = rfac0 * np.pi * (r - rmin0) / (r_cut - rmin0)
    sign = np.where(np.sin(theta0) < 0, -1.0, 1.0)
    unit = displacements / r[:, None]
    return np.concatenate(
        [(sign * np.cos(theta0))[:, None], (sign * np.sin(theta0))[:, None] * unit], axis=1
    )


def wigner_functions(g, twojmax):
    """Wigner functions u[m', m], (j + 1, j + 1, n), of all orders j at unit vectors (n, 4)."""
    # Cayley-Klein parameters
    a = g[:, 0] - 1j * g[:, 3]
    b = g[:, 2] - 1j * g[:, 1]
    u = [np.ones((1, 1, len(g)), dtype=complex)]
    for j in range(1, twojmax + 1):
        below, here = u[-1], np.zeros((j + 1, j + 1, len(g)), dtype=complex)
        for mb in range(j // 2 + 1):
            for ma in range(j):
                # u^j[mb, ma]   += sqrt((j - ma) / (j - mb)) a* u^{j-1}[mb, ma]
                # u^j[mb, ma+1] -= sqrt((ma + 1) / (j - mb)) b* u^{j-1}[mb, ma]
                here[mb, ma] += sqrt((j - ma) / (j - mb)) * a.conj() * below[mb, ma]
                here[mb, ma + 1] -= sqrt((ma + 1) / (j - mb)) * b.conj() * below[mb, ma]
        # u[j - m', j - m] = (-1)^(m' - m) u[m', m]*
        for mb in range(j // 2 + 1):
            for ma in range(j + 1):
                here[j - mb, j - ma] = (-1) ** (mb - ma) * here[mb, ma].conj()
        u.append(here)
    return u


@lru_cache(maxsize=4096)
def clebsch_gordan(j1, j2, j):
    """Clebsch-Gordan coefficients :math:`C^{jm}_{j_1 m_1 j_2 m_2}` by Racah's formula.

    Arguments are twice the angular momenta. Elements are [m1, m2], projections counted from zero; m
    is their sum less ``(j1 + j2 - j) / 2``, and elements for which it leaves the range 0 to j are
    zero.
    """
    half = (j1 + j2 - j) // 2
    triangle = (
        factorial(half)
        * factorial((j1 - j2 + j) // 2)
        * factorial((-j1 + j2 + j) // 2)
        / factorial((j1 + j2 + j) // 2 + 1)
    )
    coefficients = np.zeros((j1 + 1, j2 + 1))
    for m1 in range(j1 + 1):
        for m2 in range(j2 + 1):
            m = m1 + m2 - half
            if not 0 <= m <= j:
                continue
            norm = sqrt(
                triangle
                * (j + 1)
                * factorial(m1) * factorial(j1 - m1)
                * factorial(m2) * factorial(j2 - m2)
                * factorial(m) * factorial(j - m)
            )  # fmt: skip
            # Racah: Σ_k (-1)^k / [k! (j1+j2-j-k)! (j1-m1-k)! (j2+m2-k)! (j-j2+m1+k)! (j-j1-m2+k)!]
            low = max(0, half - m1, half - j2 + m2)
            high = min(half, j1 - m1, m2)
            total = sum(
                (-1) ** k
                / (
                    factorial(k)
                    * factorial(half - k)
                    * factorial(j1 - m1 - k)
                    * factorial(m2 - k)
                    * factorial((j - j2 - j1) // 2 + m1 + k)
                    * factorial((j - j1 - j2) // 2 + j2 - m2 + k)
                )
                for k in range(low, high + 1)
            )
            coefficients[m1, m2] = norm * total
    return coefficients


def coupled(u1, u2, j):
    """Couple two matrices of Wigner coefficients to the order j: the matrix Z[m', m]."""
    j1, j2 = len(u1) - 1, len(u2) - 1
    C = clebsch_gordan(j1, j2, j)
    half = (j1 + j2 - j) // 2
    Z = np.zeros((j + 1, j + 1), dtype=complex)
    for mb1 in range(j1 + 1):
        for ma1 in range(j1 + 1):
            # All m2 for which 0 <= m = m1 + m2 - (j1 + j2 - j) / 2 <= j
            mb2 = np.arange(max(0, half - mb1), min(j2, j + half - mb1) + 1)
            ma2 = np.arange(max(0, half - ma1), min(j2, j + half - ma1) + 1)
            CC = np.outer(C[mb1, mb2], C[ma1, ma2])
            Z[np.ix_(mb1 + mb2 - half, ma1 + ma2 - half)] += (
                CC * u1[mb1, ma1] * u2[np.ix_(mb2, ma2)]
            )
    return Z


def reference_bispectrum(displacements, weights, **settings):
    """Bispectrum components of one point, given its neighbours.

    They have displacements (n_neighbors, 3) in Å, all within the cutoff, and weights. Settings are
    those of :func:`reference_chem_bispectrum`.

    Examples
    --------
    >>> alone = reference_bispectrum(np.zeros((0, 3)), np.zeros(0), twojmax=2)
    >>> alone  # of the self term only
    array([1., 2., 3., 3., 3.])
    """
    one = np.zeros(len(weights), int)
    return reference_chem_bispectrum(displacements, weights, one, 0, 1, **settings)


def reference_chem_bispectrum(
    displacements,
    weights,
    elements,
    own,
    n_elements,
    *,
    twojmax=10,
    r_cut=4.67637,
    rfac0=0.99363,
    rmin0=0.0,
    switch=True,
):
    """Compute :func:`reference_bispectrum` with separate densities of the elements.

    `own` is the element that the self term belongs to. There are all components for each triple of
    elements, those of j1, j2 and j, the last one fastest.
    """
    g = sphere_points(displacements, r_cut=r_cut, rfac0=rfac0, rmin0=rmin0)
    r = np.linalg.norm(displacements, axis=1)
    s = weights * switching(r, r_cut=r_cut, rmin0=rmin0, switch=switch)
    functions = wigner_functions(g, twojmax)
    # U = 1 + Σ_k s_k u(g_k), with the 1 for the own element only
    U = [
        [(kind == own) * np.eye(len(u)) + u @ (s * (elements == kind)) for u in functions]
        for kind in range(n_elements)
    ]
    return np.array(
        [
            np.vdot(third[j], coupled(first[j1], second[j2], j)).real
            for first in U
            for second in U
            for third in U
            for j1, j2, j in bispectrum_components(twojmax)
        ]
    )
