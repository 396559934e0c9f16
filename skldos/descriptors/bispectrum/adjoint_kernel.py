r"""Derivative of the bispectrum, by reverse differentiation of the kernel, compiled for the CPU.

Given the derivatives of a scalar *A* by the components of a point, :math:`\partial A/\partial B`,
this module computes those by its neighbours. Except for the products, each stage of
:mod:`skldos.descriptors.bispectrum.kernel` is a linear map, so the reverse pass applies the
transposed maps in reverse order. For each point,

1. the kernel's own stages up to :math:`f_j` at the nodes;
2. :func:`multiply_others`: :math:`\partial A/\partial f_j`, sums of products of two others;
3. :func:`spread_fibre`, :func:`spread_directions`, and the transposed change of basis lead to the
   derivatives by the coefficients of :math:`f_j`;
4. these are coefficients of a function :math:`\varphi` on the sphere. Its value at :math:`g_k` is
   the derivative by the weight of a neighbour, and its gradient that by the position; see
   :mod:`skldos.descriptors.bispectrum.adjoint_expansion`.

Only the returned sums are kept from one point to the next.
"""

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.descriptors.bispectrum.adjoint_expansion import (
    evaluate,
    evaluate_gradient,
    pull_back,
    scatter,
)
from skldos.descriptors.bispectrum.expansion import (
    NEIGHBORS,
    add_powers,
    aligned,
    expand_neighbors,
    expansion_memory,
    neighbor_memory,
    neighbors_with_room,
    sphere_functions,
    stretch_neighbors,
)
from skldos.descriptors.bispectrum.kernel import change_basis, sum_directions, sum_fibre
from skldos.descriptors.bispectrum.tables import DIRECTIONS, LANES, ROWS, padded


@compiled
def adjoint_kernel(
    points, bins, weights, of_points, of_atoms, beta, r_cut, rfac0, rmin0, switch, tables, back,
    by_atom, by_strain, by_point,
):  # fmt: skip
    """Add the derivatives of some points to `by_atom` and `by_strain`; write `by_point`."""
    dtype = tables.first.dtype
    n = len(tables.first)
    search = np.empty(3), np.empty(3, np.int64), np.empty(3, np.int64)
    around, work = neighbor_memory(4 * NEIGHBORS), expansion_memory(tables)
    c, by_c = aligned(len(tables.alone), dtype), aligned(len(tables.alone), dtype)
    slopes = aligned(len(back.slope_row), dtype)
    total = aligned(max(len(tables.row), len(back.row), len(back.slope_row)), dtype)
    power, stretch = np.empty(n, dtype), np.ones(4 * NEIGHBORS)
    nodes, by_sphere = node_memory(tables, back), slope_memory(dtype)
    for p in range(len(points)):
        n_found, around = neighbors_with_room(points[p], bins, search, around)
        displacements, found, s = around
        by_point[p] = 0
        if len(stretch) < len(s):
            stretch = np.ones(len(s))
        if len(of_atoms):
            n_found = stretch_neighbors(
                displacements, found, n_found, r_cut, of_points[p], of_atoms, stretch
            )
        if n_found == 0:
            continue
        for k in range(n_found):
            s[k] = weights[found[k]]
        expand_neighbors(
            displacements, s, n_found, n, r_cut, rfac0, rmin0, switch, tables, work, 1, c
        )  # fmt: skip
        differentiate_average(c, beta[p], tables, back, total, nodes, by_c)
        add_powers(c, n, tables.start, power)
        differentiate_powers(c, n, tables.start, power, beta[p], back.lone, by_c)
        change_basis(
            back.slope_row, back.slope_column, back.slope_value, back.slope_diagonals,
            by_c, total[: len(back.slope_row)], slopes,
        )  # fmt: skip
        differentiate_neighbors(
            displacements, stretch, s, found, n_found, n, r_cut, rfac0, rmin0, switch, tables,
            back.slope_start, work, by_sphere, n_found <= NEIGHBORS, by_c, slopes,
            by_atom, by_strain, by_point[p],
        )  # fmt: skip


@compiled
def node_memory(tables, back):
    """Memory for the functions at directions and nodes, and for the derivatives by them."""
    dtype = tables.first.dtype
    n_rows = len(tables.block) - 1
    u, by_u = aligned(len(tables.row), dtype), aligned(len(tables.row) * DIRECTIONS, dtype)
    S = aligned(8 * DIRECTIONS, dtype)
    G = aligned((n_rows + ROWS - 1) * 2 * LANES, dtype)
    G[:] = 0
    by_G = aligned((n_rows + ROWS - 1) * 2 * LANES, dtype)
    n_nodes = 2 * tables.fibre.shape[1] * LANES
    F = aligned(len(tables.first) * n_nodes, dtype).reshape(-1, n_nodes)
    by_f = aligned(n_nodes, dtype)
    w = np.empty(len(back.factor), dtype)
    return u, by_u, S, G, by_G, F, by_f, w


@compiled
def slope_memory(dtype):
    """Memory for the values, gradients and derivatives of :data:`NEIGHBORS` neighbours."""
    N = NEIGHBORS
    return np.empty(N, dtype), np.empty(4 * N, dtype), np.empty(3 * N)


@inlined
def differentiate_average(c, beta, tables, back, total, nodes, by_c):
    """Differentiate the averages of triple products by the coefficients in real harmonics."""
    u, by_u, S, G, by_G, F, by_f, w = nodes
    n_rows = len(tables.block) - 1
    size = n_rows * 2 * LANES
    change_basis(
        tables.row, tables.column, tables.value, tables.diagonals, c, total[: len(tables.row)], u
    )
    for e in range(len(w)):
        w[e] = back.factor[e] * beta[back.component[e]]
    by_u[:] = 0
    for tile in range(len(tables.wigner)):
        sum_directions(u, tables.block, tables.wigner[tile], S, G[:size].reshape(n_rows, -1))
        by_G[:] = 0
        sum_fibre(G, tables.strip, tables.fibre, F)
        for j in range(1, len(F)):
            by_f[:] = 0
            groups = back.product[back.first_product[j] : back.first_product[j + 1]]
            multiply_others(F, F, groups, w, by_f)
            spread_fibre(j, tables.strip, tables.fibre, by_f, by_G)
        spread_directions(
            by_G[:size].reshape(n_rows, -1), tables.block, tables.wigner[tile], S, by_u
        )
    add_lanes(by_u, u)
    change_basis(back.row, back.column, back.value, back.diagonals, u, total[: len(back.row)], by_c)


@inlined
def multiply_others(Y, Z, groups, w, by_f):
    """Add the products of two other functions, w y_j1 z_j2, up to four j2 at once."""
    for g in range(len(groups)):
        j1, j2, count, n, e = groups[g]
        n *= len(by_f) // 2
        y, z0, w0 = Y[j1], Z[j2], w[e]
        if count == 4:
            z1, z2, z3 = Z[j2 + 2], Z[j2 + 4], Z[j2 + 6]
            w1, w2, w3 = w[e + 1], w[e + 2], w[e + 3]
            for i in range(n):
                by_f[i] += y[i] * (w0 * z0[i] + w1 * z1[i] + w2 * z2[i] + w3 * z3[i])
        elif count == 3:
            z1, z2, w1, w2 = Z[j2 + 2], Z[j2 + 4], w[e + 1], w[e + 2]
            for i in range(n):
                by_f[i] += y[i] * (w0 * z0[i] + w1 * z1[i] + w2 * z2[i])
        elif count == 2:
            z1, w1 = Z[j2 + 2], w[e + 1]
            for i in range(n):
                by_f[i] += y[i] * (w0 * z0[i] + w1 * z1[i])
        else:
            for i in range(n):
                by_f[i] += y[i] * w0 * z0[i]


@inlined
def spread_fibre(j, strip, fibre, by_f, by_G):
    """Transposed :func:`~skldos.descriptors.bispectrum.kernel.sum_fibre`, for one order."""
    half = len(by_f) // 2
    for b in range(len(strip)):
        r = strip[b, 1] * 2 * LANES
        G = by_G[r : r + ROWS * 2 * LANES]
        if strip[b, 0] == j:
            for k in range(fibre.shape[1]):
                begin = k * LANES
                near, far = by_f[begin : begin + LANES], by_f[half + begin : half + begin + LANES]
                spread_angle(fibre[b, k], near, far, G)


@inlined
def spread_angle(t, near, far, G):
    """Transposed :func:`~skldos.descriptors.bispectrum.kernel.extend_fibre`: three rows."""
    c0, s0, c1, s1, c2, s2 = t[0], t[1], t[2], t[3], t[4], t[5]
    n = LANES
    for i in range(n):
        C, S = near[i] + far[i], near[i] - far[i]
        G[i] += c0 * C
        G[n + i] += s0 * S
        G[2 * n + i] += c1 * C
        G[3 * n + i] += s1 * S
        G[4 * n + i] += c2 * C
        G[5 * n + i] += s2 * S


@inlined
def spread_directions(G, block, wigner, S, U):
    """Transposed :func:`~skldos.descriptors.bispectrum.kernel.sum_directions`; adds to U.

    Directions are not summed: U has :data:`DIRECTIONS` numbers per coefficient.
    """
    size = 8 * DIRECTIONS
    for r in range(len(block) - 1):
        separate_classes(G[r], S)
        for b in range(block[r], block[r + 1]):
            project_classes(S, wigner[b], U[size * b : size * b + size])


@inlined
def add_lanes(U, u):
    """Sum over directions."""
    for e in range(len(u)):
        u[e] = 0
        for i in range(DIRECTIONS):
            u[e] += U[e * DIRECTIONS + i]


@inlined
def separate_classes(G, S):
    """S_q = Σ_r i^(q r) G(r): the transposed combination of four directions."""
    n = DIRECTIONS
    for i in range(len(S) // 8):
        even, odd = G[i] + G[2 * n + i], G[i] - G[2 * n + i]
        dif, fid_i = G[n + i] + G[3 * n + i], G[n + i] - G[3 * n + i]
        even_i, odd_i = G[4 * n + i] + G[6 * n + i], G[4 * n + i] - G[6 * n + i]
        dif_i, fid = G[5 * n + i] + G[7 * n + i], G[7 * n + i] - G[5 * n + i]
        S[i], S[2 * n + i] = even + dif, even - dif
        S[n + i], S[3 * n + i] = odd + fid, odd - fid
        S[4 * n + i], S[6 * n + i] = even_i + dif_i, even_i - dif_i
        S[5 * n + i], S[7 * n + i] = odd_i + fid_i, odd_i - fid_i


@inlined
def project_classes(S, T, U):
    """U += S D* for one m of each of the four classes."""
    n = DIRECTIONS
    for i in range(len(S) // 8):
        U[i] += S[i] * T[i] + S[4 * n + i] * T[4 * n + i]
        U[n + i] += S[n + i] * T[n + i] + S[5 * n + i] * T[5 * n + i]
        U[2 * n + i] += S[2 * n + i] * T[2 * n + i] + S[6 * n + i] * T[6 * n + i]
        U[3 * n + i] += S[3 * n + i] * T[3 * n + i] + S[7 * n + i] * T[7 * n + i]
        U[4 * n + i] += S[4 * n + i] * T[i] - S[i] * T[4 * n + i]
        U[5 * n + i] += S[5 * n + i] * T[n + i] - S[n + i] * T[5 * n + i]
        U[6 * n + i] += S[6 * n + i] * T[2 * n + i] - S[2 * n + i] * T[6 * n + i]
        U[7 * n + i] += S[7 * n + i] * T[3 * n + i] - S[3 * n + i] * T[7 * n + i]


@inlined
def differentiate_powers(c, n, start, power, beta, lone, by_c):
    """Add the derivatives of B_j0j = f_0 Σ_lm c_jlm², where f_0 is the coefficient c_000."""
    f0 = c[0]
    for j in range(n):
        by_c[0] += beta[lone[j]] * power[j]
    lm = 0
    for ell in range(n):
        for _ in range(2 * ell + 1):
            t = start[lm]
            for j in range(n - ell):
                by_c[t + j] += 2 * f0 * beta[lone[ell + j]] * c[t + j]
            lm += 1


@inlined
def differentiate_neighbors(
    displacements, stretch, s, found, n_found, n, r_cut, rfac0, rmin0, switch, tables,
    slope_start, work, by_sphere, fresh, by_c, slopes, by_atom, by_strain, by_point,
):  # fmt: skip
    """Add the derivatives by the neighbours, from the coefficients of φ and its gradient.

    `fresh` says whether `work` holds the functions of these very neighbours.
    """
    some, _, X, R = work
    value, gradient, out = by_sphere
    for begin in range(0, n_found, NEIGHBORS):
        if not fresh:
            sphere_functions(
                displacements, s, begin, n_found, r_cut, rfac0, rmin0, switch, tables, work
            )
        if switch:
            evaluate(X, R, n, tables.start, by_c, value)
        evaluate_gradient(X[padded(n) * NEIGHBORS :], R, n - 1, slope_start, slopes, gradient)
        pull_back(some, value, gradient, r_cut, rfac0, rmin0, switch, out)
        count = min(n_found - begin, NEIGHBORS)
        scatter(some, stretch[begin:], found[begin:], count, out, by_atom, by_strain, by_point)
