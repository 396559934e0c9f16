r"""Derivative of the bispectrum of several elements, compiled for the CPU.

This is the counterpart of :mod:`skldos.descriptors.bispectrum.adjoint_kernel` for
:mod:`skldos.descriptors.bispectrum.chem_kernel`. With the given derivatives
:math:`\beta^{\kappa\lambda\mu}`, each of the three factors of a product has its own derivative,

.. math:: \frac{\partial A}{\partial f^\mu_j} = \sum (j + 1)\,
          \beta^{\kappa\lambda\mu}_{j_1 j_2 j}\, f^\kappa_{j_1} f^\lambda_{j_2} ,

and the same for :math:`f^\kappa_{j_1}` and :math:`f^\lambda_{j_2}`.
"""

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.descriptors.bispectrum.adjoint_kernel import (
    add_lanes,
    differentiate_neighbors,
    multiply_others,
    slope_memory,
    spread_directions,
    spread_fibre,
)
from skldos.descriptors.bispectrum.chem_kernel import (
    cross_powers,
    directions_of_kind,
    elements_of,
    neighbors_of_kind,
    sphere_memory,
)
from skldos.descriptors.bispectrum.expansion import (
    NEIGHBORS,
    aligned,
    expand_neighbors,
    expansion_memory,
    neighbor_memory,
    neighbors_with_room,
    stretch_neighbors,
)
from skldos.descriptors.bispectrum.kernel import change_basis, sum_fibre
from skldos.descriptors.bispectrum.tables import DIRECTIONS, LANES, ROWS


@compiled
def chem_adjoint_kernel(
    points, bins, weights, of_points, of_atoms, n_kinds, kinds, own, beta, r_cut, rfac0, rmin0,
    switch, tables, back, by_atom, by_strain, by_point,
):  # fmt: skip
    """Add the derivatives of some points to `by_atom` and `by_strain`; write `by_point`."""
    dtype = tables.first.dtype
    n = len(tables.first)
    search = np.empty(3), np.empty(3, np.int64), np.empty(3, np.int64)
    around, some = neighbor_memory(4 * NEIGHBORS), neighbor_memory(4 * NEIGHBORS)
    work = expansion_memory(tables)
    c = aligned(n_kinds * len(tables.alone), dtype).reshape(n_kinds, -1)
    by_c = aligned(n_kinds * len(tables.alone), dtype).reshape(n_kinds, -1)
    slopes = aligned(len(back.slope_row), dtype)
    total = aligned(max(len(tables.row), len(back.row), len(back.slope_row)), dtype)
    powers = np.empty((n_kinds, n_kinds, n), dtype)
    nodes, by_nodes = sphere_memory(n_kinds, tables), derivative_memory(n_kinds, tables)
    by_sphere, stretch = slope_memory(dtype), np.ones(4 * NEIGHBORS)
    w = np.empty((n_kinds**3, len(back.factor)), dtype)
    for p in range(len(points)):
        n_found, around = neighbors_with_room(points[p], bins, search, around)
        if len(around[1]) > len(some[1]):
            some, stretch = neighbor_memory(len(around[1])), np.ones(len(around[1]))
        by_point[p] = 0
        if len(of_atoms):
            n_found = stretch_neighbors(
                around[0], around[1], n_found, r_cut, of_points[p], of_atoms, around[2]
            )
        if n_found == 0:
            continue
        for kind in range(n_kinds):
            n_some = neighbors_of_kind(kind, kinds, weights, around, n_found, some)
            expand_neighbors(
                some[0], some[2], n_some, n, r_cut, rfac0, rmin0, switch, tables, work,
                own[p] == kind, c[kind],
            )  # fmt: skip
        weights_of_products(beta[p], n_kinds, tables, back, w)
        differentiate_averages(c, w, tables, back, total, nodes, by_nodes, by_c)
        cross_powers(c, n, tables.start, powers)
        differentiate_cross_powers(c, n, tables, powers, beta[p], back.lone, by_nodes[3], by_c)
        for kind in range(n_kinds):
            change_basis(
                back.slope_row, back.slope_column, back.slope_value, back.slope_diagonals,
                by_c[kind], total[: len(back.slope_row)], slopes,
            )  # fmt: skip
            n_some = neighbors_of_kind(kind, kinds, weights, around, n_found, some)
            if len(of_atoms):
                for k in range(n_some):
                    stretch[k] = r_cut / (of_points[p] + of_atoms[some[1][k]])
            differentiate_neighbors(
                some[0], stretch, some[2], some[1], n_some, n, r_cut, rfac0, rmin0, switch, tables,
                back.slope_start, work, by_sphere, False, by_c[kind], slopes,
                by_atom, by_strain, by_point[p],
            )  # fmt: skip


@compiled
def derivative_memory(n_kinds, tables):
    """Memory for the derivatives of all elements by coefficients, directions and nodes."""
    dtype = tables.first.dtype
    n_rows, n_nodes = len(tables.block) - 1, 2 * tables.fibre.shape[1] * LANES
    by_u = aligned(n_kinds * len(tables.row) * DIRECTIONS, dtype).reshape(n_kinds, -1)
    by_G = aligned(n_kinds * (n_rows + ROWS - 1) * 2 * LANES, dtype).reshape(n_kinds, -1)
    return by_u, by_G, aligned(n_nodes, dtype), np.empty(len(tables.first), dtype)


@inlined
def weights_of_products(beta, n_kinds, tables, back, w):
    """Write the factors of the products f^α_j1 f^β_j2, j1 ≥ j2, in the derivative by f^ν_j.

    `w` has the triples ν, α, β as rows. Where j is the largest of the three orders, f^ν_j is
    the last factor of the component, where it is the middle one the first, and the second where it
    is the smallest; where orders are equal it is each of them in turn.
    """
    size = len(tables.order)
    for t in range(n_kinds**3):
        v, a, b = elements_of(t, n_kinds)
        largest = ((a * n_kinds + b) * n_kinds + v) * size
        middle = ((v * n_kinds + b) * n_kinds + a) * size
        smallest = ((b * n_kinds + v) * n_kinds + a) * size
        for e in range(len(back.factor)):
            i, place = back.component[e], back.place[e]
            w[t, e] = back.factor[e] / (place[0] + place[1] + place[2]) * (
                place[0] * beta[largest + i]
                + place[1] * beta[middle + i]
                + place[2] * beta[smallest + i]
            )  # fmt: skip


@inlined
def differentiate_averages(c, w, tables, back, total, nodes, by_nodes, by_c):
    """Differentiate the averages of triple products by the coefficients of all elements."""
    _, S, u, G, F = nodes
    n_kinds, n_rows = len(c), len(tables.block) - 1
    size = n_rows * 2 * LANES
    by_u, by_G, by_f, _ = by_nodes
    by_u[:] = 0
    for kind in range(n_kinds):
        change_basis(
            tables.row, tables.column, tables.value, tables.diagonals,
            c[kind], total[: len(tables.row)], u[kind],
        )  # fmt: skip
    for tile in range(len(tables.wigner)):
        for kind in range(n_kinds):
            directions_of_kind(kind, u, tables, tile, S, G)
            sum_fibre(G[kind], tables.strip, tables.fibre, F[kind])
        by_G[:] = 0
        for kind in range(n_kinds):
            pull_through_nodes(kind, F, w, tables, back, by_f, by_G[kind])
            spread_directions(
                by_G[kind, :size].reshape(n_rows, -1), tables.block, tables.wigner[tile],
                S, by_u[kind],
            )  # fmt: skip
    for kind in range(n_kinds):
        add_lanes(by_u[kind], u[kind])
        change_basis(
            back.row, back.column, back.value, back.diagonals,
            u[kind], total[: len(back.row)], by_c[kind],
        )  # fmt: skip


@inlined
def pull_through_nodes(kind, F, w, tables, back, by_f, by_G):
    """Add the derivatives by one element's sums over directions, from those by its values f_j."""
    n_kinds = len(F)
    for j in range(1, F.shape[1]):
        by_f[:] = 0
        groups = back.product[back.first_product[j] : back.first_product[j + 1]]
        for pair in range(n_kinds**2):
            first, second = F[pair // n_kinds], F[pair % n_kinds]
            weights = w[kind * n_kinds**2 + pair]
            multiply_others(first, second, groups, weights, by_f)
        spread_fibre(j, tables.strip, tables.fibre, by_f, by_G)


@inlined
def differentiate_cross_powers(c, n, tables, powers, beta, lone, scale, by_c):
    """Add the derivatives of B_j0j = f^λ_0 Σ_lm c^κ_jlm c^μ_jlm, where f_0 is c_000."""
    n_kinds, size = len(c), len(tables.order)
    for first in range(n_kinds):
        for third in range(n_kinds):
            scale[:] = 0
            for second in range(n_kinds):
                t = ((first * n_kinds + second) * n_kinds + third) * size
                for j in range(n):
                    by_c[second, 0] += beta[t + lone[j]] * powers[first, third, j]
                    scale[j] += beta[t + lone[j]] * c[second, 0]
            lm = 0
            for ell in range(n):
                for _ in range(2 * ell + 1):
                    i = tables.start[lm]
                    for j in range(n - ell):
                        by_c[first, i + j] += scale[ell + j] * c[third, i + j]
                        by_c[third, i + j] += scale[ell + j] * c[first, i + j]
                    lm += 1
