r"""Real harmonics of the unit sphere in four dimensions, as polynomials of the unit vector.

With :math:`g = (g_0, \mathbf v)`, :math:`\mathbf v = \sin\omega\,\hat r`,

.. math:: Z_{jlm}(g) = N_{jl}\, C^{(l+1)}_{j-l}(g_0)\, R_{lm}(\mathbf v), \qquad 0 \le l \le j,

Gegenbauer polynomials times real solid harmonics, normalised such that

.. math:: \sum_{lm} Z_{jlm}(g) Z_{jlm}(g') = \mathcal U_j(g \cdot g'),

the Chebyshev polynomial of the second kind. They span the same space as the Wigner functions of
order *j*, but separate the distance of a neighbour from its direction: for orders up to 10, 66
radial and 121 angular functions instead of 506 products.
"""

from math import factorial, pi, sqrt

import numpy as np


def gegenbauer_coefficients(jmax):
    r"""Recursion coefficients of the radial functions :math:`X_{jl} = N_{jl} C^{(l+1)}_{j-l}`.

    Returns
    -------
    first : ndarray of shape (jmax + 1,)
        :math:`X_{ll}`.
    rise, fall : ndarray of shape (jmax + 1, jmax + 1)
        Elements [j, l] of
        :math:`X_{jl} = \mathrm{rise}\; g_0 X_{j-1,l} - \mathrm{fall}\; X_{j-2,l}`.
    """
    N = np.zeros((jmax + 1, jmax + 1))
    for j in range(jmax + 1):
        for ell in range(j + 1):
            ratio = (
                factorial(ell) ** 2 * factorial(j - ell) * 4 ** (ell + 1) / factorial(j + ell + 1)
            )
            N[j, ell] = sqrt(pi * ratio)
    rise, fall = np.zeros_like(N), np.zeros_like(N)
    for j in range(jmax + 1):
        for ell in range(j):
            # n C_n = 2 (n + l) g0 C_{n-1} - (n + 2 l) C_{n-2}, superscripts l + 1, n = j - l
            n = j - ell
            rise[j, ell] = 2 * (n + ell) / n * N[j, ell] / N[j - 1, ell]
            if n > 1:
                fall[j, ell] = (n + 2 * ell) / n * N[j, ell] / N[j - 2, ell]
    return N.diagonal().copy(), rise, fall


def solid_harmonic_coefficients(lmax):
    r"""Recursion coefficients of the real solid harmonics :math:`R_{lm}`.

    Returns
    -------
    diagonal : ndarray of shape (lmax + 1,)
        Of :math:`R_{l,\pm l}` from :math:`R_{l-1,\pm(l-1)}`.
    rise, fall : ndarray of shape (lmax + 1, lmax + 1)
        Elements [l, m] of
        :math:`R_{lm} = \mathrm{rise}\; z R_{l-1,m} - \mathrm{fall}\; v^2 R_{l-2,m}`.
    """
    ell = np.arange(1, lmax + 1)
    diagonal = np.concatenate([[1.0], np.sqrt((2 * ell + 1) / (2 * ell))])
    if lmax:
        diagonal[1] = sqrt(3)  # the real pair ±1 together has the norm of m = 0
    rise, fall = np.zeros((lmax + 1, lmax + 1)), np.zeros((lmax + 1, lmax + 1))
    for ell in range(1, lmax + 1):
        m = np.arange(ell)
        rise[ell, :ell] = np.sqrt((4 * ell * ell - 1) / (ell * ell - m * m))
        if ell > 1:
            fall[ell, :ell] = rise[ell, :ell] * np.sqrt(
                ((ell - 1) ** 2 - m * m) / (4 * (ell - 1) ** 2 - 1)
            )
            fall[ell, ell - 1] = 0.0
    return diagonal, rise, fall


def solid_harmonics(x, y, z, lmax):
    r"""List the real solid harmonics :math:`R_{lm}` of vectors, in the order ``l * l + l + m``.

    The coordinates are arrays of NumPy or tensors of torch.
    """
    diagonal, rise, fall = solid_harmonic_coefficients(lmax)
    v2 = x * x + y * y + z * z
    R = {(0, 0): 0 * x + 1 / sqrt(4 * pi)}
    for ell in range(1, lmax + 1):
        cosine, sine = R[ell - 1, ell - 1], R[ell - 1, 1 - ell] if ell > 1 else 0 * x
        R[ell, ell] = diagonal[ell] * (x * cosine - y * sine)
        R[ell, -ell] = diagonal[ell] * (y * cosine + x * sine)
        for m in range(-ell + 1, ell):
            R[ell, m] = rise[ell, abs(m)] * z * R[ell - 1, m]
            if abs(m) <= ell - 2:
                R[ell, m] = R[ell, m] - fall[ell, abs(m)] * v2 * R[ell - 2, m]
    return [R[key] for key in sorted(R)]


def sphere_harmonics(g, j):
    """Harmonics :math:`Z_{jlm}` of order j at unit vectors (n, 4), in the order ``l * l + l + m``.

    Examples
    --------
    >>> Z = sphere_harmonics(np.eye(4), 2)
    >>> (Z.T @ Z).round(6)  # U_2 is 3 at equal points, -1 at a right angle
    array([[ 3., -1., -1., -1.],
           [-1.,  3., -1., -1.],
           [-1., -1.,  3., -1.],
           [-1., -1., -1.,  3.]])
    """
    first, rise, fall = gegenbauer_coefficients(j)
    Z = np.array(solid_harmonics(*g[:, 1:].T, j))
    for ell in range(j + 1):
        before, X = np.zeros(len(g)), np.full(len(g), first[ell])
        for i in range(ell + 1, j + 1):
            before, X = X, rise[i, ell] * g[:, 0] * X - fall[i, ell] * before
        Z[ell * ell : (ell + 1) ** 2] *= X
    return Z
