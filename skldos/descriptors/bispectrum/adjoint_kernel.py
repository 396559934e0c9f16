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

from skldos.compilation import compiled
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
    angular_functions,
    expand_neighbors,
    expansion_memory,
    map_to_sphere,
    neighbor_memory,
    neighbors_with_room,
    padded,
    radial_functions,
    stretch_neighbors,
)
from skldos.descriptors.bispectrum.kernel import change_basis, sum_directions, sum_fibre
from skldos.descriptors.bispectrum.tables import DIRECTIONS, LANES, NODES, ROWS


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
    power = np.empty(n, dtype)
    nodes = node_memory(tables, back)
    for p in range(len(points)):
        n_found, around = neighbors_with_room(points[p], bins, search, around)
        displacements, found, s = around
        by_point[p] = 0
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
            back.slope_start, work, n_found <= NEIGHBORS, by_c, slopes,
            by_atom, by_strain, by_point[p],
        )  # fmt: skip


@compiled
def node_memory(tables, back):
    """Memory for the functions at directions and nodes, and for the derivatives by them."""
    dtype = tables.first.dtype
    n_rows = len(tables.block) - 1
    u, by_u = aligned(len(tables.row), dtype), aligned(len(tables.row), dtype)
    S = aligned(8 * DIRECTIONS, dtype)
    G = aligned((n_rows + ROWS - 1) * 2 * LANES, dtype)
    G[:] = 0
    by_G = aligned((n_rows + ROWS - 1) * 2 * LANES, dtype)
    F = aligned(len(tables.first) * NODES, dtype).reshape(-1, NODES)
    by_f = aligned(NODES, dtype)
    w = np.empty(len(back.factor), dtype)
    return u, by_u, S, G, by_G, F, by_f, w


@compiled
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
        for turn in range(len(tables.fibre)):
            sum_fibre(G, tables.strip, tables.fibre[turn], F)
            e = 0
            b = 0
            for j in range(1, len(F)):
                by_f[:] = 0
                groups = back.product[back.first_product[j] : back.first_product[j + 1]]
                e = multiply_others(F.reshape(-1), 0, 0, groups, w, e, by_f)
                while b < len(tables.strip) and tables.strip[b, 0] == j:
                    r = tables.strip[b, 1] * 2 * LANES
                    spread_fibre(tables.fibre[turn, b], by_f, by_G[r : r + ROWS * 2 * LANES])
                    b += 1
        spread_directions(
            by_G[:size].reshape(n_rows, -1), tables.block, tables.wigner[tile], S, by_u
        )
    change_basis(
        back.row, back.column, back.value, back.diagonals, by_u, total[: len(back.row)], by_c
    )


@compiled
def multiply_others(F, first, second, groups, w, e, by_f):
    """Add the products of two other functions, w f_j1 f_j2, up to four j2 at once.

    `first` and `second` say where those of two elements begin. Returns where the weights of the
    next groups begin. The j2 of a group lie a constant number of elements apart, and are accessed
    as such: a compiler that knows makes one check of overlap for all of them, and vectorises.
    """
    step = 2 * NODES
    for g in range(len(groups)):
        j1, j2, count, n = groups[g]
        y = F[first + j1 * NODES : first + (j1 + 1) * NODES]
        z = F[second + j2 * NODES : second + (j2 + 2 * count - 1) * NODES]
        w0 = w[e]
        if count == 4:
            w1, w2, w3 = w[e + 1], w[e + 2], w[e + 3]
            for i in range(n):
                by_f[i] += y[i] * (
                    w0 * z[i] + w1 * z[step + i] + w2 * z[2 * step + i] + w3 * z[3 * step + i]
                )
        elif count == 3:
            w1, w2 = w[e + 1], w[e + 2]
            for i in range(n):
                by_f[i] += y[i] * (w0 * z[i] + w1 * z[step + i] + w2 * z[2 * step + i])
        elif count == 2:
            w1 = w[e + 1]
            for i in range(n):
                by_f[i] += y[i] * (w0 * z[i] + w1 * z[step + i])
        else:
            for i in range(n):
                by_f[i] += y[i] * w0 * z[i]
        e += count
    return e


@compiled
def spread_fibre(t, F, G):
    """Transposed :func:`~skldos.descriptors.bispectrum.kernel.extend_fibre`: three rows."""
    c0, s0, c1, s1, c2, s2 = t[0], t[1], t[2], t[3], t[4], t[5]
    d0, t0, d1, t1, d2, t2 = t[6], t[7], t[8], t[9], t[10], t[11]
    n = LANES
    for i in range(n):
        C, S = F[i] + F[2 * n + i], F[i] - F[2 * n + i]
        D, T = F[3 * n + i] + F[n + i], F[3 * n + i] - F[n + i]
        G[i] += c0 * C + d0 * D
        G[n + i] += s0 * S + t0 * T
        G[2 * n + i] += c1 * C + d1 * D
        G[3 * n + i] += s1 * S + t1 * T
        G[4 * n + i] += c2 * C + d2 * D
        G[5 * n + i] += s2 * S + t2 * T


@compiled
def spread_directions(G, block, wigner, S, u):
    """Transposed :func:`~skldos.descriptors.bispectrum.kernel.sum_directions`; adds to u."""
    for r in range(len(block) - 1):
        separate_classes(G[r], S)
        for b in range(block[r], block[r + 1]):
            project_classes(S, wigner[b], u[8 * b : 8 * b + 8])


@compiled
def separate_classes(G, S):
    """S_q = Σ_r i^(q r) G(r): the transposed combination of four directions."""
    n = DIRECTIONS
    for i in range(n):
        even, odd = G[i] + G[2 * n + i], G[i] - G[2 * n + i]
        dif, fid_i = G[n + i] + G[3 * n + i], G[n + i] - G[3 * n + i]
        even_i, odd_i = G[4 * n + i] + G[6 * n + i], G[4 * n + i] - G[6 * n + i]
        dif_i, fid = G[5 * n + i] + G[7 * n + i], G[7 * n + i] - G[5 * n + i]
        S[i], S[2 * n + i] = even + dif, even - dif
        S[n + i], S[3 * n + i] = odd + fid, odd - fid
        S[4 * n + i], S[6 * n + i] = even_i + dif_i, even_i - dif_i
        S[5 * n + i], S[7 * n + i] = odd_i + fid_i, odd_i - fid_i


@compiled
def project_classes(S, T, u):
    """U += Σ_directions S D* for one m of each of the four classes."""
    n = DIRECTIONS
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = S.dtype.type(0)
    for i in range(n):
        a0 += S[i] * T[i] + S[4 * n + i] * T[4 * n + i]
        a1 += S[n + i] * T[n + i] + S[5 * n + i] * T[5 * n + i]
        a2 += S[2 * n + i] * T[2 * n + i] + S[6 * n + i] * T[6 * n + i]
        a3 += S[3 * n + i] * T[3 * n + i] + S[7 * n + i] * T[7 * n + i]
        b0 += S[4 * n + i] * T[i] - S[i] * T[4 * n + i]
        b1 += S[5 * n + i] * T[n + i] - S[n + i] * T[5 * n + i]
        b2 += S[6 * n + i] * T[2 * n + i] - S[2 * n + i] * T[6 * n + i]
        b3 += S[7 * n + i] * T[3 * n + i] - S[3 * n + i] * T[7 * n + i]
    u[0] += a0
    u[1] += a1
    u[2] += a2
    u[3] += a3
    u[4] += b0
    u[5] += b1
    u[6] += b2
    u[7] += b3


@compiled
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


@compiled
def differentiate_neighbors(
    displacements, stretch, s, found, n_found, n, r_cut, rfac0, rmin0, switch, tables,
    slope_start, work, fresh, by_c, slopes, by_atom, by_strain, by_point,
):  # fmt: skip
    """Add the derivatives by the neighbours, from the coefficients of φ and its gradient.

    `fresh` says whether `work` holds the functions of these very neighbours.
    """
    sphere, faded, X, R = work
    dtype = tables.first.dtype
    value, gradient = np.empty(NEIGHBORS, dtype), np.empty(4 * NEIGHBORS, dtype)
    out = np.empty((3, NEIGHBORS))
    for begin in range(0, n_found, NEIGHBORS):
        end = begin + NEIGHBORS
        some = displacements[:, begin:end]
        if not fresh:
            map_to_sphere(some, s[begin:end], r_cut, rfac0, rmin0, switch, sphere, faded)
            radial_functions(sphere[0], tables.first, tables.radial_rise, tables.radial_fall, X)
            angular_functions(
                sphere, faded, tables.diagonal, tables.solid_rise, tables.solid_fall, R
            )
        x, r = X.reshape(-1), R.reshape(-1)
        if switch:
            evaluate(x, r, n, tables.start, by_c, value)
        evaluate_gradient(x[padded(n) * NEIGHBORS :], r, n - 1, slope_start, slopes, gradient)
        pull_back(some, value, gradient, r_cut, rfac0, rmin0, switch, out)
        count = min(n_found - begin, NEIGHBORS)
        for k in range(count):
            for a in range(3):
                some[a, k] /= stretch[begin + k]
                out[a, k] *= stretch[begin + k]
        scatter(some, found[begin:end], count, out, by_atom, by_strain, by_point)
