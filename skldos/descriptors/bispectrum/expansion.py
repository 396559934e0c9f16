"""Stage 1 of the kernel: from the neighbours of a point to coefficients in real harmonics.

Vector registers hold several neighbours at once; :data:`NEIGHBORS` are processed at a time. See
:mod:`skldos.descriptors.bispectrum.kernel` for the use of the coefficients.
"""

from math import factorial, pi

import numpy as np

from skldos.compilation import compiled
from skldos.descriptors.bispectrum.tables import CACHE_LINE
from skldos.geometry.neighbors import collect_neighbors

NEIGHBORS = 32  # processed at a time

# Taylor coefficients of cos(πx) and sin(πx) in powers of x²
COSINE = tuple((-1) ** n * pi ** (2 * n) / factorial(2 * n) for n in range(12))
SINE = tuple((-1) ** n * pi ** (2 * n + 1) / factorial(2 * n + 1) for n in range(12))


@compiled
def neighbor_memory(room):
    """Memory for displacements, atoms and weights of `room` neighbours."""
    return np.empty((3, room)), np.empty(room, np.int64), np.empty(room)


@compiled
def neighbors_with_room(point, bins, search, around):
    """Find the neighbours of a point; return their number and the memory that holds them.

    They fill whole vector registers, and may need more memory than `around`.
    """
    home, low, high = search
    n_found = collect_neighbors(point, bins, home, low, high, around[0], around[1])
    while n_found < 0 or n_found + NEIGHBORS > len(around[1]):
        around = neighbor_memory(2 * abs(n_found) + NEIGHBORS)
        n_found = collect_neighbors(point, bins, home, low, high, around[0], around[1])
    return n_found, around


@compiled
def expansion_memory(tables):
    """Memory for the functions of :data:`NEIGHBORS` neighbours."""
    dtype, n = tables.first.dtype, len(tables.first)
    n_radial = 0
    for ell in range(n):
        n_radial += padded(n - ell)
    sphere, faded = aligned(5 * NEIGHBORS, dtype).reshape(5, -1), aligned(NEIGHBORS, dtype)
    X = aligned(n_radial * NEIGHBORS, dtype).reshape(-1, NEIGHBORS)
    X[:] = 0
    return sphere, faded, X, aligned(n * n * NEIGHBORS, dtype).reshape(-1, NEIGHBORS)


@compiled
def aligned(n, dtype):
    """Allocate memory aligned such that no vector register crosses a cache line."""
    buffer = np.empty(n + CACHE_LINE, dtype)
    offset = -np.int64(buffer.ctypes.data) % CACHE_LINE // buffer.itemsize
    return buffer[offset : offset + n]


@compiled
def expand_neighbors(
    displacements, s, n_found, n, r_cut, rfac0, rmin0, switch, tables, work, own, c
):  # fmt: skip
    """Coefficients in real harmonics of the self term, times `own`, and all neighbours."""
    sphere, faded, X, R = work
    for i in range(len(c)):
        c[i] = own * tables.alone[i]
    for begin in range(0, n_found, NEIGHBORS):
        # The last ones are filled up with neighbours of zero weight.
        for k in range(n_found, begin + NEIGHBORS):
            displacements[0, k], displacements[1, k], displacements[2, k] = 0.0, 0.0, r_cut
            s[k] = 0.0
        end = begin + NEIGHBORS
        map_to_sphere(
            displacements[:, begin:end], s[begin:end], r_cut, rfac0, rmin0, switch, sphere, faded
        )
        radial_functions(sphere[0], tables.first, tables.radial_rise, tables.radial_fall, X)
        angular_functions(sphere, faded, tables.diagonal, tables.solid_rise, tables.solid_fall, R)
        add_coefficients(X, R, n, tables.start, c)


@compiled
def stretch_neighbors(displacements, found, n_found, r_cut, of_point, of_atoms, stretch):
    """Scale every neighbour such that its cutoff becomes `r_cut`; return how many are within.

    The cutoff of atom k is ``of_point + of_atoms[k]``; the factors are written to `stretch`.
    """
    n = 0
    for k in range(n_found):
        factor = r_cut / (of_point + of_atoms[found[k]])
        x, y = factor * displacements[0, k], factor * displacements[1, k]
        z = factor * displacements[2, k]
        if x * x + y * y + z * z < r_cut * r_cut:
            displacements[0, n], displacements[1, n], displacements[2, n] = x, y, z
            found[n], stretch[n] = found[k], factor
            n += 1
    return n


@compiled
def map_to_sphere(displacements, s, r_cut, rfac0, rmin0, switch, sphere, faded):
    r"""Map neighbours to points of the sphere, and apply the switching function.

    Writes :math:`g = \pm(\cos\theta_0, \sin\theta_0\,\hat r)` to the first four rows of `sphere`
    and the square of its vector part to the fifth. Sine and cosine are Taylor series, exact to
    rounding between -π/2 and π/2: calls of the library's would not be vectorised.
    """
    x, y, z = displacements[0], displacements[1], displacements[2]
    g0, gx, gy, gz, v2 = sphere[0], sphere[1], sphere[2], sphere[3], sphere[4]
    for k in range(NEIGHBORS):
        r = np.sqrt(x[k] * x[k] + y[k] * y[k] + z[k] * z[k])
        t = (r - rmin0) / (r_cut - rmin0)
        # θ0 = π turn, reduced to [-π/2, π/2). The sign of g is that of sin θ0, so that
        # reducing θ0, which changes both, leaves g as it is.
        turn = rfac0 * t
        turn -= np.floor(turn + 0.5)
        cosine = polynomial(COSINE, turn * turn)
        scale = abs(turn) * polynomial(SINE, turn * turn) / r
        g0[k] = cosine if turn >= 0 else -cosine
        gx[k], gy[k], gz[k] = scale * x[k], scale * y[k], scale * z[k]
        v2[k] = scale * r * scale * r
        # f_c = [cos(πt) + 1] / 2 = cos²(πt / 2)
        half = 0.5 * min(max(t, 0.0), 1.0)
        fade = polynomial(COSINE, half * half)
        faded[k] = s[k] * fade * fade if switch else s[k]


@compiled
def polynomial(C, y):
    """Evaluate a polynomial of twelve coefficients by Horner's rule."""
    return C[0] + y * (C[1] + y * (C[2] + y * (C[3] + y * (C[4] + y * (C[5] + y * (
        C[6] + y * (C[7] + y * (C[8] + y * (C[9] + y * (C[10] + y * C[11]))))))))))  # fmt: skip


@compiled
def radial_functions(g0, first, rise, fall, X):
    """Evaluate X_jl(g0): for each l, the orders j = l, l + 1, ... one after the other."""
    n = len(first)
    i = 0
    for ell in range(n):
        X[i] = first[ell]
        if ell + 1 < n:
            a, above, low = rise[ell + 1, ell], X[i + 1], X[i]
            for k in range(NEIGHBORS):
                above[k] = a * g0[k] * low[k]
        for j in range(ell + 2, n):
            a, b = rise[j, ell], fall[j, ell]
            new, old, older = X[i + j - ell], X[i + j - ell - 1], X[i + j - ell - 2]
            for k in range(NEIGHBORS):
                new[k] = a * g0[k] * old[k] - b * older[k]
        i += padded(n - ell)


@compiled
def angular_functions(sphere, s, diagonal, rise, fall, R):
    """Evaluate the solid harmonics R_lm, times the weights of the neighbours."""
    x, y, z, v2 = sphere[1], sphere[2], sphere[3], sphere[4]
    norm = s.dtype.type(1 / np.sqrt(4 * np.pi))
    for k in range(NEIGHBORS):
        R[0, k] = norm * s[k]
    for ell in range(1, len(diagonal)):
        new, old, older = ell * ell + ell, (ell - 1) * ell, (ell - 2) * (ell - 1)
        d, plus, minus = diagonal[ell], R[new + ell], R[new - ell]
        cosine, sine = R[old + ell - 1], R[old - ell + 1]
        if ell == 1:
            for k in range(NEIGHBORS):
                plus[k], minus[k] = d * x[k] * cosine[k], d * y[k] * cosine[k]
        else:
            for k in range(NEIGHBORS):
                plus[k] = d * (x[k] * cosine[k] - y[k] * sine[k])
                minus[k] = d * (y[k] * cosine[k] + x[k] * sine[k])
        for m in range(-ell + 1, ell):
            a, b = rise[ell, abs(m)], fall[ell, abs(m)]
            here, below = R[new + m], R[old + m]
            if abs(m) == ell - 1:
                for k in range(NEIGHBORS):
                    here[k] = a * z[k] * below[k]
            else:
                deeper = R[older + m]
                for k in range(NEIGHBORS):
                    here[k] = a * z[k] * below[k] - b * v2[k] * deeper[k]


@compiled
def add_coefficients(X, R, n, start, c):
    """Add the neighbours: c_jlm += Σ_k X_jl(g_k) R_lm(g_k), four orders j at once."""
    lm = i = 0
    for ell in range(n):
        count = padded(n - ell)
        for _ in range(2 * ell + 1):
            y, t = R[lm], start[lm]
            for j in range(0, count, 4):
                x0, x1, x2, x3 = X[i + j], X[i + j + 1], X[i + j + 2], X[i + j + 3]
                s0 = s1 = s2 = s3 = y.dtype.type(0)
                for k in range(NEIGHBORS):
                    s0 += x0[k] * y[k]
                    s1 += x1[k] * y[k]
                    s2 += x2[k] * y[k]
                    s3 += x3[k] * y[k]
                c[t + j] += s0
                c[t + j + 1] += s1
                c[t + j + 2] += s2
                c[t + j + 3] += s3
            lm += 1
        i += count


@compiled
def padded(n):
    """Round up to a multiple of four."""
    return (n + 3) // 4 * 4


@compiled
def add_powers(c, n, start, power):
    """Power of each order, Σ_lm c_jlm²."""
    power[:] = 0
    lm = 0
    for ell in range(n):
        for _ in range(2 * ell + 1):
            some, total = c[start[lm] : start[lm] + n - ell], power[ell:]
            for j in range(len(total)):
                total[j] += some[j] * some[j]
            lm += 1
