r"""The bispectrum as an average over the sphere in four dimensions, compiled for the CPU.

The neighbours of a point, mapped to unit vectors :math:`g_k`, make a real function on the sphere,
one part for each order:

.. math:: f_j(g) = \mathcal U_j(g \cdot e) + \sum_k s_k\, \mathcal U_j(g \cdot g_k),

:math:`\mathcal U_j` being Chebyshev polynomials of the second kind, *e* the pole (the self term)
and :math:`s_k` the weight of a neighbour times its switching function. The coefficients of
:math:`f_j` in Wigner functions are the matrices that the bispectrum is made of, and coupling three
of them with Clebsch-Gordan coefficients is the same as averaging a product,

.. math:: B_{j_1 j_2 j} = (j + 1)\, \langle f_{j_1} f_{j_2} f_j \rangle .

The average is taken exactly, with the rule of :mod:`skldos.descriptors.bispectrum.cubature`. That
is as much arithmetic as the coupling but without its index lists: every stage is a dense loop over
neighbours, directions or nodes. For each point,

1. :func:`map_to_sphere`, :func:`radial_functions`, :func:`angular_functions`,
   :func:`add_coefficients`: coefficients in real harmonics, the neighbours side by side;
2. :func:`change_basis`: a small sparse matrix turns them into Wigner coefficients, in which a
   rotation about *z* and one along the fibre are mere phases;
3. :func:`sum_directions`: sums over m, the four directions of an orbit at the cost of one;
4. :func:`sum_fibre`: sums over m' give :math:`f_j` at the nodes, two opposite angles at once;
5. :func:`average_products`: the triple products.

Order 0 needs none of this: :math:`f_0` is constant, so :math:`B_{j0j} = f_0 \sum c_j^2`.
"""

from math import factorial, pi

import numba
import numpy as np

from skldos.descriptors.bispectrum.tables import CACHE_LINE, DIRECTIONS, LANES, NODES, ROWS
from skldos.geometry.neighbors import collect_neighbors

NEIGHBORS = 32  # taken side by side

# Taylor coefficients of cos(πx) and sin(πx) in powers of x²
COSINE = tuple((-1) ** n * pi ** (2 * n) / factorial(2 * n) for n in range(12))
SINE = tuple((-1) ** n * pi ** (2 * n + 1) / factorial(2 * n + 1) for n in range(12))

# Sums may be reordered and contracted, which vectorising needs; NaN and inf keep their meaning.
compiled = numba.njit(
    nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}, cache=True
)


@compiled
def polynomial(C, y):
    """Horner's rule for eleven powers and one."""
    return C[0] + y * (C[1] + y * (C[2] + y * (C[3] + y * (C[4] + y * (C[5] + y * (
        C[6] + y * (C[7] + y * (C[8] + y * (C[9] + y * (C[10] + y * C[11]))))))))))  # fmt: skip


@compiled
def map_to_sphere(displacements, s, rcut, rfac0, rmin0, switch, sphere, faded):
    r"""Map neighbours to points of the sphere, and let their weights fade out.

    Writes :math:`g = \pm(\cos\theta_0, \sin\theta_0\,\hat r)` to `sphere`. Sine and cosine are
    Taylor series, exact to rounding between -π/2 and π/2: calls of the library's would not be
    vectorised.
    """
    x, y, z = displacements[0], displacements[1], displacements[2]
    g0, gx, gy, gz = sphere[0], sphere[1], sphere[2], sphere[3]
    for k in range(NEIGHBORS):
        r = np.sqrt(x[k] * x[k] + y[k] * y[k] + z[k] * z[k])
        t = (r - rmin0) / (rcut - rmin0)
        # θ0 = π turn, reduced to [-π/2, π/2). The sign of g is that of sin θ0, so that
        # reducing θ0, which changes both, leaves g as it is.
        turn = rfac0 * t
        turn -= np.floor(turn + 0.5)
        cosine = polynomial(COSINE, turn * turn)
        scale = abs(turn) * polynomial(SINE, turn * turn) / r
        g0[k] = cosine if turn >= 0 else -cosine
        gx[k], gy[k], gz[k] = scale * x[k], scale * y[k], scale * z[k]
        # f_c = [cos(πt) + 1] / 2 = cos²(πt / 2)
        half = 0.5 * min(max(t, 0.0), 1.0)
        fade = polynomial(COSINE, half * half)
        faded[k] = s[k] * fade * fade if switch else s[k]


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
    x, y, z = sphere[1], sphere[2], sphere[3]
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
                    v2 = x[k] * x[k] + y[k] * y[k] + z[k] * z[k]
                    here[k] = a * z[k] * below[k] - b * v2 * deeper[k]


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
def change_basis(row, column, value, diagonals, c, total, u):
    """Wigner coefficients from harmonic ones: a sparse matrix times a vector."""
    for i in range(len(total)):
        total[i] = 0
    for e in range(len(diagonals) - 1):
        begin = diagonals[e]
        columns, values = column[begin : diagonals[e + 1]], value[begin : diagonals[e + 1]]
        for i in range(len(columns)):
            total[i] += values[i] * c[columns[i]]
    for i in range(len(total)):
        u[row[i]] = total[i]


@compiled
def sum_directions(u, block, wigner, S, G):
    """Sum over m at all directions: G_m'(direction) = Σ_m U_m'm D_m'm(direction).

    `wigner` holds one direction of each orbit of the fourfold axis. With m - m' = q modulo 4, the
    others differ by the phases (-i)^(q r), r = 0...3, so that the four classes q are summed
    separately and combined four times.
    """
    for r in range(len(block) - 1):
        for b in range(block[r], block[r + 1]):
            if b == block[r]:
                begin_classes(u[8 * b : 8 * b + 8], wigner[b], S)
            else:
                extend_classes(u[8 * b : 8 * b + 8], wigner[b], S)
        combine_classes(S, G[r])


@compiled
def begin_classes(u, T, S):
    """S_q = U D for one m of each of the four classes."""
    a0, a1, a2, a3, b0, b1, b2, b3 = u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7]
    n = DIRECTIONS
    for i in range(n):
        S[i] = a0 * T[i] - b0 * T[4 * n + i]
        S[n + i] = a1 * T[n + i] - b1 * T[5 * n + i]
        S[2 * n + i] = a2 * T[2 * n + i] - b2 * T[6 * n + i]
        S[3 * n + i] = a3 * T[3 * n + i] - b3 * T[7 * n + i]
        S[4 * n + i] = a0 * T[4 * n + i] + b0 * T[i]
        S[5 * n + i] = a1 * T[5 * n + i] + b1 * T[n + i]
        S[6 * n + i] = a2 * T[6 * n + i] + b2 * T[2 * n + i]
        S[7 * n + i] = a3 * T[7 * n + i] + b3 * T[3 * n + i]


@compiled
def extend_classes(u, T, S):
    """S_q += U D for one more m of each of the four classes."""
    a0, a1, a2, a3, b0, b1, b2, b3 = u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7]
    n = DIRECTIONS
    for i in range(n):
        S[i] += a0 * T[i] - b0 * T[4 * n + i]
        S[n + i] += a1 * T[n + i] - b1 * T[5 * n + i]
        S[2 * n + i] += a2 * T[2 * n + i] - b2 * T[6 * n + i]
        S[3 * n + i] += a3 * T[3 * n + i] - b3 * T[7 * n + i]
        S[4 * n + i] += a0 * T[4 * n + i] + b0 * T[i]
        S[5 * n + i] += a1 * T[5 * n + i] + b1 * T[n + i]
        S[6 * n + i] += a2 * T[6 * n + i] + b2 * T[2 * n + i]
        S[7 * n + i] += a3 * T[7 * n + i] + b3 * T[3 * n + i]


@compiled
def combine_classes(S, G):
    """G(r) = Σ_q (-i)^(q r) S_q for the four directions r of each orbit."""
    n = DIRECTIONS
    for i in range(n):
        even, odd = S[i] + S[2 * n + i], S[n + i] + S[3 * n + i]
        dif, fid = S[i] - S[2 * n + i], S[n + i] - S[3 * n + i]
        even_i, odd_i = S[4 * n + i] + S[6 * n + i], S[5 * n + i] + S[7 * n + i]
        dif_i, fid_i = S[4 * n + i] - S[6 * n + i], S[5 * n + i] - S[7 * n + i]
        G[i], G[4 * n + i] = even + odd, even_i + odd_i
        G[n + i], G[5 * n + i] = dif + fid_i, dif_i - fid
        G[2 * n + i], G[6 * n + i] = even - odd, even_i - odd_i
        G[3 * n + i], G[7 * n + i] = dif - fid_i, dif_i + fid


@compiled
def sum_fibre(G, strip, fibre, F):
    """Sum over m' at some angles ±γ: f_j = Σ_m' Re[exp(-i m' γ) G_m'] = C ± S."""
    for b in range(len(strip)):
        j, r = strip[b, 0], strip[b, 1]
        g = G[r * 2 * LANES : (r + ROWS) * 2 * LANES]
        if strip[b, 2]:
            begin_fibre(fibre[b], g, F[j])
        else:
            extend_fibre(fibre[b], g, F[j])


@compiled
def begin_fibre(t, G, F):
    """Sum the first three rows of an order. Every other angle goes to the first half of F."""
    c0, s0, c1, s1, c2, s2 = t[0], t[1], t[2], t[3], t[4], t[5]
    d0, t0, d1, t1, d2, t2 = t[6], t[7], t[8], t[9], t[10], t[11]
    n = LANES
    for i in range(n):
        A0, B0, A1, B1, A2, B2 = (
            G[i], G[n + i], G[2 * n + i], G[3 * n + i], G[4 * n + i], G[5 * n + i]
        )  # fmt: skip
        C = c0 * A0 + c1 * A1 + c2 * A2
        S = s0 * B0 + s1 * B1 + s2 * B2
        F[i] = C + S
        F[2 * n + i] = C - S
        C = d0 * A0 + d1 * A1 + d2 * A2
        S = t0 * B0 + t1 * B1 + t2 * B2
        F[n + i] = C - S
        F[3 * n + i] = C + S


@compiled
def extend_fibre(t, G, F):
    """Add the next three rows of an order."""
    c0, s0, c1, s1, c2, s2 = t[0], t[1], t[2], t[3], t[4], t[5]
    d0, t0, d1, t1, d2, t2 = t[6], t[7], t[8], t[9], t[10], t[11]
    n = LANES
    for i in range(n):
        A0, B0, A1, B1, A2, B2 = (
            G[i], G[n + i], G[2 * n + i], G[3 * n + i], G[4 * n + i], G[5 * n + i]
        )  # fmt: skip
        C = c0 * A0 + c1 * A1 + c2 * A2
        S = s0 * B0 + s1 * B1 + s2 * B2
        F[i] += C + S
        F[2 * n + i] += C - S
        C = d0 * A0 + d1 * A1 + d2 * A2
        S = t0 * B0 + t1 * B1 + t2 * B2
        F[n + i] += C - S
        F[3 * n + i] += C + S


@compiled
def average_products(F, triple, sums):
    """Add the products f_j f_j1 f_j2 at the nodes, up to four j2 of a pair (j, j1) at once."""
    t = 0
    for b in range(len(triple)):
        j, j1, j2, count, n = triple[b]
        x, y = F[j], F[j1]
        zero = F.dtype.type(0)
        s0 = s1 = s2 = s3 = zero
        if count == 4:
            z0, z1, z2, z3 = F[j2], F[j2 + 2], F[j2 + 4], F[j2 + 6]
            for i in range(n):
                p = x[i] * y[i]
                s0 += p * z0[i]
                s1 += p * z1[i]
                s2 += p * z2[i]
                s3 += p * z3[i]
            sums[t + 3] += s3
            sums[t + 2] += s2
            sums[t + 1] += s1
        elif count == 3:
            z0, z1, z2 = F[j2], F[j2 + 2], F[j2 + 4]
            for i in range(n):
                p = x[i] * y[i]
                s0 += p * z0[i]
                s1 += p * z1[i]
                s2 += p * z2[i]
            sums[t + 2] += s2
            sums[t + 1] += s1
        elif count == 2:
            z0, z1 = F[j2], F[j2 + 2]
            for i in range(n):
                p = x[i] * y[i]
                s0 += p * z0[i]
                s1 += p * z1[i]
            sums[t + 1] += s1
        else:
            z0 = F[j2]
            for i in range(n):
                s0 += x[i] * y[i] * z0[i]
        sums[t] += s0
        t += count


@compiled
def add_powers(c, n, start, power):
    """Powers of the orders, Σ_lm c_jlm²."""
    power[:] = 0
    lm = 0
    for ell in range(n):
        for _ in range(2 * ell + 1):
            some, total = c[start[lm] : start[lm] + n - ell], power[ell:]
            for j in range(len(total)):
                total[j] += some[j] * some[j]
            lm += 1


@compiled
def components_of(sums, f0, power, order, scale, out):
    """Scale the sums to the components, in the order of LAMMPS."""
    for i in range(len(order)):
        if order[i] >= 0:
            out[i] = scale[i] * sums[order[i]]
        else:
            # B_j0j = f_0 Σ_lm c_jlm²
            out[i] = scale[i] * f0 * power[-1 - order[i]]


@compiled
def expand_neighbors(displacements, s, n_found, n, rcut, rfac0, rmin0, switch, tables, work, c):
    """Coefficients in real harmonics of the self term and all neighbours."""
    sphere, faded, X, R = work
    for i in range(len(c)):
        c[i] = tables.alone[i]
    for begin in range(0, n_found, NEIGHBORS):
        # The last few are filled up with neighbours of no weight.
        for k in range(n_found, begin + NEIGHBORS):
            displacements[0, k], displacements[1, k], displacements[2, k] = 0.0, 0.0, rcut
            s[k] = 0.0
        end = begin + NEIGHBORS
        map_to_sphere(
            displacements[:, begin:end], s[begin:end], rcut, rfac0, rmin0, switch, sphere, faded
        )
        radial_functions(sphere[0], tables.first, tables.radial_rise, tables.radial_fall, X)
        angular_functions(sphere, faded, tables.diagonal, tables.solid_rise, tables.solid_fall, R)
        add_coefficients(X, R, n, tables.start, c)


@compiled
def aligned(n, dtype):
    """Allocate memory such that no vector register straddles two cache lines."""
    buffer = np.empty(n + CACHE_LINE, dtype)
    offset = -np.int64(buffer.ctypes.data) % CACHE_LINE // buffer.itemsize
    return buffer[offset : offset + n]


@compiled
def bispectrum_kernel(points, bins, weights, rcut, rfac0, rmin0, switch, tables, out):
    """Bispectrum of points, one after the other; the other functions are its stages."""
    dtype = tables.first.dtype
    n = len(tables.first)
    n_rows = len(tables.block) - 1
    n_radial = 0
    for ell in range(n):
        n_radial += padded(n - ell)
    home, low, high = np.empty(3), np.empty(3, np.int64), np.empty(3, np.int64)
    room = 4 * NEIGHBORS
    displacements, found, s = np.empty((3, room)), np.empty(room, np.int64), np.empty(room)
    sphere, faded = aligned(4 * NEIGHBORS, dtype).reshape(4, -1), aligned(NEIGHBORS, dtype)
    X = aligned(n_radial * NEIGHBORS, dtype).reshape(-1, NEIGHBORS)
    X[:] = 0
    R = aligned(n * n * NEIGHBORS, dtype).reshape(-1, NEIGHBORS)
    c, total = aligned(len(tables.alone), dtype), aligned(len(tables.row), dtype)
    u = aligned(len(tables.row), dtype)
    S = aligned(8 * DIRECTIONS, dtype)
    G = aligned((n_rows + ROWS - 1) * 2 * LANES, dtype)
    G[:] = 0
    F = aligned(n * NODES, dtype).reshape(n, -1)
    sums, power = np.empty(len(tables.order), dtype), np.empty(n, dtype)
    for p in range(len(points)):
        n_found = collect_neighbors(points[p], bins, home, low, high, displacements, found)
        while n_found < 0 or n_found + NEIGHBORS > room:
            room = 2 * abs(n_found) + NEIGHBORS
            displacements, found, s = np.empty((3, room)), np.empty(room, np.int64), np.empty(room)
            n_found = collect_neighbors(points[p], bins, home, low, high, displacements, found)
        for k in range(n_found):
            s[k] = weights[found[k]]
        expand_neighbors(
            displacements, s, n_found, n, rcut, rfac0, rmin0, switch, tables,
            (sphere, faded, X, R), c,
        )  # fmt: skip
        change_basis(tables.row, tables.column, tables.value, tables.diagonals, c, total, u)
        sums[:] = 0
        for tile in range(len(tables.wigner)):
            sum_directions(
                u, tables.block, tables.wigner[tile], S, G[: n_rows * 2 * LANES].reshape(n_rows, -1)
            )
            for turn in range(len(tables.fibre)):
                sum_fibre(G, tables.strip, tables.fibre[turn], F)
                average_products(F, tables.triple, sums)
        add_powers(c, n, tables.start, power)
        components_of(sums, c[0], power, tables.order, tables.scale, out[p])
