r"""The bispectrum of several elements with separate densities, compiled for the CPU.

As in LAMMPS with ``chem``: the neighbours of element κ define a function :math:`f^\kappa_j` on the
sphere, and the self term belongs to the element of the point. For every triple of elements,

.. math:: B^{\kappa\lambda\mu}_{j_1 j_2 j} =
          (j + 1)\, \langle f^\kappa_{j_1} f^\lambda_{j_2} f^\mu_j \rangle .

The stages are those of :mod:`skldos.descriptors.bispectrum.kernel` and, backwards, of
:mod:`skldos.descriptors.bispectrum.adjoint_kernel`.
"""

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.descriptors.bispectrum.expansion import (
    NEIGHBORS,
    aligned,
    expand_neighbors,
    expansion_memory,
    neighbor_memory,
    neighbors_with_room,
    stretch_neighbors,
)
from skldos.descriptors.bispectrum.kernel import (
    average_products,
    change_basis,
    components_of,
    sum_directions,
    sum_fibre,
)
from skldos.descriptors.bispectrum.tables import DIRECTIONS, LANES, ROWS


@compiled
def chem_kernel(
    points, bins, weights, of_points, of_atoms, n_kinds, kinds, own, r_cut, rfac0, rmin0, switch,
    tables, out,
):  # fmt: skip
    """Bispectrum of points, for all triples of elements; `own` is the element of each point."""
    dtype = tables.first.dtype
    n, size = len(tables.first), len(tables.order)
    search = np.empty(3), np.empty(3, np.int64), np.empty(3, np.int64)
    around, some = neighbor_memory(4 * NEIGHBORS), neighbor_memory(4 * NEIGHBORS)
    work = expansion_memory(tables)
    c = aligned(n_kinds * len(tables.alone), dtype).reshape(n_kinds, -1)
    total, S, u, G, F = sphere_memory(n_kinds, tables)
    sums, powers = np.empty((n_kinds**3, size), dtype), np.empty((n_kinds, n_kinds, n), dtype)
    for p in range(len(points)):
        n_found, around = neighbors_with_room(points[p], bins, search, around)
        if len(around[1]) > len(some[1]):
            some = neighbor_memory(len(around[1]))
        if len(of_atoms):
            n_found = stretch_neighbors(
                around[0], around[1], n_found, r_cut, of_points[p], of_atoms, around[2]
            )
        for kind in range(n_kinds):
            n_some = neighbors_of_kind(kind, kinds, weights, around, n_found, some)
            expand_neighbors(
                some[0], some[2], n_some, n, r_cut, rfac0, rmin0, switch, tables, work,
                own[p] == kind, c[kind],
            )  # fmt: skip
            change_basis(
                tables.row, tables.column, tables.value, tables.diagonals, c[kind], total, u[kind]
            )
        sums[:] = 0
        for tile in range(len(tables.wigner)):
            for kind in range(n_kinds):
                directions_of_kind(kind, u, tables, tile, S, G)
                sum_fibre(G[kind], tables.strip, tables.fibre, F[kind])
            for t in range(n_kinds**3):
                first, second, third = elements_of(t, n_kinds)
                average_products(F[third], F[first], F[second], tables.triple, sums[t])
        cross_powers(c, n, tables.start, powers)
        for t in range(n_kinds**3):
            first, second, third = elements_of(t, n_kinds)
            components_of(
                sums[t], c[second, 0], powers[first, third], tables.order, tables.scale,
                out[p, t * size : (t + 1) * size],
            )  # fmt: skip


@inlined
def elements_of(t, n_kinds):
    """Return the elements of triple t, the last one fastest: those of j1, j2 and j."""
    return t // n_kinds**2, t // n_kinds % n_kinds, t % n_kinds


@compiled
def sphere_memory(n_kinds, tables):
    """Memory for the functions of all elements at directions and nodes."""
    dtype = tables.first.dtype
    n, n_rows = len(tables.first), len(tables.block) - 1
    u = aligned(n_kinds * len(tables.row), dtype).reshape(n_kinds, -1)
    G = aligned(n_kinds * (n_rows + ROWS - 1) * 2 * LANES, dtype).reshape(n_kinds, -1)
    G[:] = 0
    n_nodes = 2 * tables.fibre.shape[1] * LANES
    F = aligned(n_kinds * n * n_nodes, dtype).reshape(n_kinds, n, -1)
    return aligned(len(tables.row), dtype), aligned(8 * DIRECTIONS, dtype), u, G, F


@inlined
def directions_of_kind(kind, u, tables, tile, S, G):
    """Sum over m at the directions of a tile, for one element."""
    n_rows = len(tables.block) - 1
    g = G[kind, : n_rows * 2 * LANES].reshape(n_rows, -1)
    sum_directions(u[kind], tables.block, tables.wigner[tile], S, g)


@inlined
def neighbors_of_kind(kind, kinds, weights, around, n_found, some):
    """Copy the neighbours of one element to `some`, with their weights; return their number."""
    displacements, found, _ = around
    n = 0
    for k in range(n_found):
        if kinds[found[k]] == kind:
            for x in range(3):
                some[0][x, n] = displacements[x, k]
            some[1][n], some[2][n] = found[k], weights[found[k]]
            n += 1
    return n


@inlined
def cross_powers(c, n, start, powers):
    """Write Σ_lm c^κ_jlm c^μ_jlm for all pairs of elements and orders j."""
    powers[:] = 0
    for first in range(len(c)):
        for second in range(len(c)):
            lm = 0
            for ell in range(n):
                for _ in range(2 * ell + 1):
                    t = start[lm]
                    for j in range(n - ell):
                        powers[first, second, ell + j] += c[first, t + j] * c[second, t + j]
                    lm += 1
