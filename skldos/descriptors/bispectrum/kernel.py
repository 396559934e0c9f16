r"""The bispectrum as an average over the sphere in four dimensions, compiled for the CPU.

The neighbours of a point, mapped to unit vectors :math:`g_k`, define a real function on the sphere
for each order:

.. math:: f_j(g) = \mathcal U_j(g \cdot e) + \sum_k s_k\, \mathcal U_j(g \cdot g_k),

with Chebyshev polynomials of the second kind :math:`\mathcal U_j`, the pole *e* (the self term) and
the weights :math:`s_k` of the neighbours times their switching function. The coefficients of
:math:`f_j` in Wigner functions are the matrices of the bispectrum, and coupling three of them with
Clebsch-Gordan coefficients equals averaging a product,

.. math:: B_{j_1 j_2 j} = (j + 1)\, \langle f_{j_1} f_{j_2} f_j \rangle .

The rule of :mod:`skldos.descriptors.bispectrum.cubature` gives the exact average. This takes as
much arithmetic as the coupling, but without its index lists: every stage is a dense loop over
neighbours, directions or nodes. For each point,

1. :func:`~skldos.descriptors.bispectrum.expansion.expand_neighbors`: coefficients in real
   harmonics, several neighbours at once;
2. :func:`change_basis`: a small sparse matrix converts them to Wigner coefficients, in which
   rotations about *z* and along the fibre are phases;
3. :func:`sum_directions`: sums over m, the four directions of an orbit at the cost of one;
4. :func:`sum_fibre`: sums over m' give :math:`f_j` at the nodes, two opposite angles at once;
5. :func:`average_products`: the triple products.

Order 0 needs no average: :math:`f_0` is constant, so :math:`B_{j0j} = f_0 \sum c_j^2`.
"""

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.descriptors.bispectrum.expansion import (
    NEIGHBORS,
    add_powers,
    aligned,
    expand_neighbors,
    expansion_memory,
    neighbor_memory,
    neighbors_with_room,
    stretch_neighbors,
)
from skldos.descriptors.bispectrum.tables import DIRECTIONS, LANES, ROWS


@compiled
def bispectrum_kernel(
    points, bins, weights, of_points, of_atoms, r_cut, rfac0, rmin0, switch, tables, out
):  # fmt: skip
    """Bispectrum of points, one after the other; the other functions are its stages."""
    dtype = tables.first.dtype
    n, n_rows = len(tables.first), len(tables.block) - 1
    search = np.empty(3), np.empty(3, np.int64), np.empty(3, np.int64)
    around, work = neighbor_memory(4 * NEIGHBORS), expansion_memory(tables)
    c, total = aligned(len(tables.alone), dtype), aligned(len(tables.row), dtype)
    u = aligned(len(tables.row), dtype)
    S = aligned(8 * DIRECTIONS, dtype)
    G = aligned((n_rows + ROWS - 1) * 2 * LANES, dtype)
    G[:] = 0
    F = aligned(n * 2 * tables.fibre.shape[1] * LANES, dtype).reshape(n, -1)
    sums, power = np.empty(len(tables.order), dtype), np.empty(n, dtype)
    for p in range(len(points)):
        n_found, around = neighbors_with_room(points[p], bins, search, around)
        displacements, found, s = around
        if len(of_atoms):
            n_found = stretch_neighbors(
                displacements, found, n_found, r_cut, of_points[p], of_atoms, s
            )
        for k in range(n_found):
            s[k] = weights[found[k]]
        expand_neighbors(
            displacements, s, n_found, n, r_cut, rfac0, rmin0, switch, tables, work, 1, c
        )  # fmt: skip
        change_basis(tables.row, tables.column, tables.value, tables.diagonals, c, total, u)
        sums[:] = 0
        for tile in range(len(tables.wigner)):
            sum_directions(
                u, tables.block, tables.wigner[tile], S, G[: n_rows * 2 * LANES].reshape(n_rows, -1)
            )
            sum_fibre(G, tables.strip, tables.fibre, F)
            average_products(F, F, F, tables.triple, sums)
        add_powers(c, n, tables.start, power)
        components_of(sums, c[0], power, tables.order, tables.scale, out[p])


@inlined
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


@inlined
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


@inlined
def begin_classes(u, T, S):
    """S_q = U D for one m of each of the four classes."""
    a0, a1, a2, a3, b0, b1, b2, b3 = u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7]
    n = DIRECTIONS
    for i in range(len(S) // 8):
        S[i] = a0 * T[i] - b0 * T[4 * n + i]
        S[n + i] = a1 * T[n + i] - b1 * T[5 * n + i]
        S[2 * n + i] = a2 * T[2 * n + i] - b2 * T[6 * n + i]
        S[3 * n + i] = a3 * T[3 * n + i] - b3 * T[7 * n + i]
        S[4 * n + i] = a0 * T[4 * n + i] + b0 * T[i]
        S[5 * n + i] = a1 * T[5 * n + i] + b1 * T[n + i]
        S[6 * n + i] = a2 * T[6 * n + i] + b2 * T[2 * n + i]
        S[7 * n + i] = a3 * T[7 * n + i] + b3 * T[3 * n + i]


@inlined
def extend_classes(u, T, S):
    """S_q += U D for one more m of each of the four classes."""
    a0, a1, a2, a3, b0, b1, b2, b3 = u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7]
    n = DIRECTIONS
    for i in range(len(S) // 8):
        S[i] += a0 * T[i] - b0 * T[4 * n + i]
        S[n + i] += a1 * T[n + i] - b1 * T[5 * n + i]
        S[2 * n + i] += a2 * T[2 * n + i] - b2 * T[6 * n + i]
        S[3 * n + i] += a3 * T[3 * n + i] - b3 * T[7 * n + i]
        S[4 * n + i] += a0 * T[4 * n + i] + b0 * T[i]
        S[5 * n + i] += a1 * T[5 * n + i] + b1 * T[n + i]
        S[6 * n + i] += a2 * T[6 * n + i] + b2 * T[2 * n + i]
        S[7 * n + i] += a3 * T[7 * n + i] + b3 * T[3 * n + i]


@inlined
def combine_classes(S, G):
    """G(r) = Σ_q (-i)^(q r) S_q for the four directions r of each orbit."""
    n = DIRECTIONS
    for i in range(len(S) // 8):
        even, odd = S[i] + S[2 * n + i], S[n + i] + S[3 * n + i]
        dif, fid = S[i] - S[2 * n + i], S[n + i] - S[3 * n + i]
        even_i, odd_i = S[4 * n + i] + S[6 * n + i], S[5 * n + i] + S[7 * n + i]
        dif_i, fid_i = S[4 * n + i] - S[6 * n + i], S[5 * n + i] - S[7 * n + i]
        G[i], G[4 * n + i] = even + odd, even_i + odd_i
        G[n + i], G[5 * n + i] = dif + fid_i, dif_i - fid
        G[2 * n + i], G[6 * n + i] = even - odd, even_i - odd_i
        G[3 * n + i], G[7 * n + i] = dif - fid_i, dif_i + fid


@inlined
def sum_fibre(G, strip, fibre, F):
    """Sum over m' at all angles ±γ: f_j = Σ_m' Re[exp(-i m' γ) G_m'] = C ± S.

    Of every pair, one goes to the first half of F, such that this half is equispaced.
    """
    half = F.shape[1] // 2
    for b in range(len(strip)):
        j, r = strip[b, 0], strip[b, 1]
        g = G[r * 2 * LANES : (r + ROWS) * 2 * LANES]
        for k in range(fibre.shape[1]):
            begin = k * LANES
            near, far = F[j, begin : begin + LANES], F[j, half + begin : half + begin + LANES]
            if strip[b, 2]:
                begin_fibre(fibre[b, k], g, near, far)
            else:
                extend_fibre(fibre[b, k], g, near, far)


@inlined
def begin_fibre(t, G, near, far):
    """Sum the first three rows of an order."""
    c0, s0, c1, s1, c2, s2 = t[0], t[1], t[2], t[3], t[4], t[5]
    n = LANES
    for i in range(n):
        C = c0 * G[i] + c1 * G[2 * n + i] + c2 * G[4 * n + i]
        S = s0 * G[n + i] + s1 * G[3 * n + i] + s2 * G[5 * n + i]
        near[i] = C + S
        far[i] = C - S


@inlined
def extend_fibre(t, G, near, far):
    """Add the next three rows of an order."""
    c0, s0, c1, s1, c2, s2 = t[0], t[1], t[2], t[3], t[4], t[5]
    n = LANES
    for i in range(n):
        C = c0 * G[i] + c1 * G[2 * n + i] + c2 * G[4 * n + i]
        S = s0 * G[n + i] + s1 * G[3 * n + i] + s2 * G[5 * n + i]
        near[i] += C + S
        far[i] += C - S


@inlined
def average_products(X, Y, Z, triple, sums):
    """Add the products x_j y_j1 z_j2 at the nodes, up to four j2 of a pair (j, j1) at once."""
    t = 0
    for b in range(len(triple)):
        j, j1, j2, count, n = triple[b]
        n *= X.shape[1] // 2
        x, y = X[j], Y[j1]
        zero = X.dtype.type(0)
        s0 = s1 = s2 = s3 = zero
        if count == 4:
            z0, z1, z2, z3 = Z[j2], Z[j2 + 2], Z[j2 + 4], Z[j2 + 6]
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
            z0, z1, z2 = Z[j2], Z[j2 + 2], Z[j2 + 4]
            for i in range(n):
                p = x[i] * y[i]
                s0 += p * z0[i]
                s1 += p * z1[i]
                s2 += p * z2[i]
            sums[t + 2] += s2
            sums[t + 1] += s1
        elif count == 2:
            z0, z1 = Z[j2], Z[j2 + 2]
            for i in range(n):
                p = x[i] * y[i]
                s0 += p * z0[i]
                s1 += p * z1[i]
            sums[t + 1] += s1
        else:
            z0 = Z[j2]
            for i in range(n):
                s0 += x[i] * y[i] * z0[i]
        sums[t] += s0
        t += count


@inlined
def components_of(sums, f0, power, order, scale, out):
    """Scale the sums to the components, in the order of LAMMPS."""
    for i in range(len(order)):
        if order[i] >= 0:
            out[i] = scale[i] * sums[order[i]]
        else:
            # B_j0j = f_0 Σ_lm c_jlm²
            out[i] = scale[i] * f0 * power[-1 - order[i]]
