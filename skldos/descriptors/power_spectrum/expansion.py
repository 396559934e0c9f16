"""Contribution of one neighbour to the coefficients of the density around an atom, compiled."""

import numpy as np

from skldos.compilation import inlined


@inlined
def radial_values(r, table, r_cut, fade, values, slopes):
    """Write f_c G and its derivative with respect to r, by cubic Hermite interpolation.

    The cutoff function falls from 1 to 0 as a cosine over the last `fade` Å.
    """
    n_knots, _, size = table.shape
    h = r_cut / (n_knots - 1)
    k = min(int(r / h), n_knots - 2)
    t = r / h - k
    u = 1.0 - t
    y0, m0 = (1 + 2 * t) * u * u, t * u * u * h
    y1, m1 = t * t * (3 - 2 * t), -t * t * u * h
    dy0, dm0 = -6 * t * u / h, u * (1 - 3 * t)
    dy1, dm1 = -dy0, t * (3 * t - 2)
    cut, slope = 1.0, 0.0
    if r > r_cut - fade:
        phase = np.pi * (r - r_cut + fade) / fade
        cut, slope = 0.5 * (1 + np.cos(phase)), -0.5 * np.pi / fade * np.sin(phase)
    for q in range(size):
        g = y0 * table[k, 0, q] + m0 * table[k, 1, q] + y1 * table[k + 1, 0, q]
        g += m1 * table[k + 1, 1, q]
        dg = dy0 * table[k, 0, q] + dm0 * table[k, 1, q] + dy1 * table[k + 1, 0, q]
        dg += dm1 * table[k + 1, 1, q]
        values[q] = cut * g
        slopes[q] = cut * dg + slope * g


@inlined
def add_neighbor(harmonics, radial, first, c):
    """Add f_c G r^l Y of one neighbour to `c`, [lm, a], from column `first` on."""
    l_max = int(np.sqrt(len(harmonics))) - 1
    n_max = len(radial) // (l_max + 1)
    for l in range(l_max + 1):
        for lm in range(l * l, (l + 1) * (l + 1)):
            s = harmonics[lm]
            for q in range(n_max):
                c[lm, first + q] += s * radial[l * n_max + q]


@inlined
def add_self(first, table, factors, c):
    """Add the Gaussian of the atom itself, at distance zero, to its coefficients."""
    for q in range(table.shape[2] // len(factors)):
        c[0, first + q] += factors[0, 0] * table[0, 0, q]
