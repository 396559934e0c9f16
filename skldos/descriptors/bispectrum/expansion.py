"""Stage 1 of the kernel: from the neighbours of a point to coefficients in real harmonics.

Vector registers hold several neighbours at once; :data:`NEIGHBORS` are processed at a time. See
:mod:`skldos.descriptors.bispectrum.kernel` for the use of the coefficients.
"""

from math import factorial, pi, sqrt

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.descriptors.bispectrum.tables import CACHE_LINE, padded
from skldos.geometry.neighbors import collect_neighbors

NEIGHBORS = 32  # processed at a time

# Taylor coefficients of cos(πx) and sin(πx) in powers of x²
COSINE = tuple((-1) ** n * pi ** (2 * n) / factorial(2 * n) for n in range(12))
SINE = tuple((-1) ** n * pi ** (2 * n + 1) / factorial(2 * n + 1) for n in range(12))
LOWEST = 1 / sqrt(4 * pi)  # R_00


@compiled
def neighbor_memory(room):
    """Memory for displacements, atoms and weights of `room` neighbours."""
    return np.empty((3, room)), np.empty(room, np.int64), np.empty(room)


@compiled
def neighbors_with_room(point, bins, search, around):
    """Find the neighbours of a point; return their number and the memory that holds them."""
    home, low, high = search
    n_found = collect_neighbors(point, bins, home, low, high, around[0], around[1])
    while n_found < 0:
        around = neighbor_memory(-2 * n_found)
        n_found = collect_neighbors(point, bins, home, low, high, around[0], around[1])
    return n_found, around


@compiled
def expansion_memory(tables):
    """Memory for the functions of :data:`NEIGHBORS` neighbours."""
    dtype, n = tables.first.dtype, len(tables.first)
    n_radial = 0
    for ell in range(n):
        n_radial += padded(n - ell)
    X, R = aligned(n_radial * NEIGHBORS, dtype), aligned(n * n * NEIGHBORS, dtype)
    X[:] = 0
    return np.empty(4 * NEIGHBORS), aligned(6 * NEIGHBORS, dtype), X, R


@compiled
def aligned(n, dtype):
    """Allocate memory aligned such that no vector register crosses a cache line."""
    buffer = np.empty(n + CACHE_LINE, dtype)
    offset = -np.int64(buffer.ctypes.data) % CACHE_LINE // buffer.itemsize
    return buffer[offset : offset + n]


@inlined
def expand_neighbors(
    displacements, s, n_found, n, r_cut, rfac0, rmin0, switch, tables, work, own, c
):  # fmt: skip
    """Coefficients in real harmonics of the self term, times `own`, and all neighbours."""
    for i in range(len(c)):
        c[i] = own * tables.alone[i]
    for begin in range(0, n_found, NEIGHBORS):
        sphere_functions(
            displacements, s, begin, n_found, r_cut, rfac0, rmin0, switch, tables, work
        )
        add_coefficients(work[2], work[3], n, tables.start, c)


@inlined
def sphere_functions(displacements, s, begin, n_found, r_cut, rfac0, rmin0, switch, tables, work):
    """Evaluate the radial and the weighted angular functions of :data:`NEIGHBORS` neighbours."""
    some, sphere, X, R = work
    # The last ones are filled up with neighbours of zero weight.
    N = NEIGHBORS
    for k in range(N):
        some[k] = some[N + k] = some[3 * N + k] = 0.0
        some[2 * N + k] = r_cut
    for k in range(min(N, n_found - begin)):
        for x in range(3):
            some[x * N + k] = displacements[x, begin + k]
        some[3 * N + k] = s[begin + k]
    map_to_sphere(some, r_cut, rfac0, rmin0, switch, sphere)
    radial_functions(sphere, tables.first, tables.radial_rise, tables.radial_fall, X)
    angular_functions(sphere, tables.diagonal, tables.solid_rise, tables.solid_fall, R)


@inlined
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


@inlined
def map_to_sphere(some, r_cut, rfac0, rmin0, switch, sphere):
    r"""Map neighbours to points of the sphere, and apply the switching function.

    `some` holds the three coordinates of all and then their weights. Writes
    :math:`g = \pm(\cos\theta_0, \sin\theta_0\,\hat r)`, the square of its vector part, and the
    weights times the switching function to `sphere`. Sine and cosine are Taylor series, exact to
    rounding between -π/2 and π/2: calls of the library's would not be vectorised.
    """
    N = NEIGHBORS
    for k in range(N):
        x, y, z, s = some[k], some[N + k], some[2 * N + k], some[3 * N + k]
        r = np.sqrt(x * x + y * y + z * z)
        t = (r - rmin0) / (r_cut - rmin0)
        # θ0 = π turn, reduced to [-π/2, π/2). The sign of g is that of sin θ0, so that
        # reducing θ0, which changes both, leaves g as it is.
        turn = rfac0 * t
        turn -= np.floor(turn + 0.5)
        cosine = polynomial(COSINE, turn * turn)
        scale = abs(turn) * polynomial(SINE, turn * turn) / r
        sphere[k] = cosine if turn >= 0 else -cosine
        sphere[N + k], sphere[2 * N + k], sphere[3 * N + k] = scale * x, scale * y, scale * z
        sphere[4 * N + k] = scale * r * scale * r
        # f_c = [cos(πt) + 1] / 2 = cos²(πt / 2)
        half = 0.5 * min(max(t, 0.0), 1.0)
        fade = polynomial(COSINE, half * half)
        sphere[5 * N + k] = s * fade * fade if switch else s


@inlined
def polynomial(C, y):
    """Evaluate a polynomial of twelve coefficients by Horner's rule."""
    return C[0] + y * (C[1] + y * (C[2] + y * (C[3] + y * (C[4] + y * (C[5] + y * (
        C[6] + y * (C[7] + y * (C[8] + y * (C[9] + y * (C[10] + y * C[11]))))))))))  # fmt: skip


@inlined
def radial_functions(g0, first, rise, fall, X):
    """Evaluate X_jl(g0): for each l, the orders j = l, l + 1, ... one after the other."""
    n, N = len(first), NEIGHBORS
    t = 0
    for ell in range(n):
        x = X[t : t + padded(n - ell) * N]
        for k in range(N):
            x[k] = first[ell]
        if ell + 1 < n:
            a = rise[ell + 1, ell]
            for k in range(N):
                x[N + k] = a * g0[k] * x[k]
        for j in range(ell + 2, n):
            a, b = rise[j, ell], fall[j, ell]
            here = x[(j - ell - 2) * N :]
            for k in range(N):
                here[2 * N + k] = a * g0[k] * here[N + k] - b * here[k]
        t += len(x)


@inlined
def angular_functions(sphere, diagonal, rise, fall, R):
    """Evaluate the solid harmonics R_lm, times the weights of the neighbours."""
    N = NEIGHBORS
    x, y, z = sphere[N : 2 * N], sphere[2 * N : 3 * N], sphere[3 * N : 4 * N]
    v2, s = sphere[4 * N : 5 * N], sphere[5 * N :]
    for k in range(N):
        R[k] = LOWEST * s[k]
    for ell in range(1, len(diagonal)):
        new, old, older = ell * ell + ell, (ell - 1) * ell, (ell - 2) * (ell - 1)
        d, plus, minus = diagonal[ell], R[(new + ell) * N :], R[(new - ell) * N :]
        cosine, sine = R[(old + ell - 1) * N :], R[(old - ell + 1) * N :]
        if ell == 1:
            for k in range(N):
                plus[k], minus[k] = d * x[k] * cosine[k], d * y[k] * cosine[k]
        else:
            for k in range(N):
                plus[k] = d * (x[k] * cosine[k] - y[k] * sine[k])
                minus[k] = d * (y[k] * cosine[k] + x[k] * sine[k])
        for m in range(-ell + 1, ell):
            a, b = rise[ell, abs(m)], fall[ell, abs(m)]
            here, below = R[(new + m) * N :], R[(old + m) * N :]
            if abs(m) == ell - 1:
                for k in range(N):
                    here[k] = a * z[k] * below[k]
            else:
                deeper = R[(older + m) * N :]
                for k in range(N):
                    here[k] = a * z[k] * below[k] - b * v2[k] * deeper[k]


@inlined
def add_coefficients(X, R, n, start, c):
    """Add the neighbours: c_jlm += Σ_k X_jl(g_k) R_lm(g_k), four orders j at once."""
    N = NEIGHBORS
    lm = i = 0
    for ell in range(n):
        count = padded(n - ell)
        for _ in range(2 * ell + 1):
            y, t = R[lm * N :], start[lm]
            for j in range(0, count, 4):
                x = X[(i + j) * N :]
                s0 = s1 = s2 = s3 = y.dtype.type(0)
                for k in range(N):
                    s0 += x[k] * y[k]
                    s1 += x[N + k] * y[k]
                    s2 += x[2 * N + k] * y[k]
                    s3 += x[3 * N + k] * y[k]
                c[t + j] += s0
                c[t + j + 1] += s1
                c[t + j + 2] += s2
                c[t + j + 3] += s3
            lm += 1
        i += count


@inlined
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
