"""Lookup tables of the fast kernel: everything that depends only on twojmax.

See :mod:`skldos.descriptors.bispectrum.kernel` for the use of each table.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skldos.compilation import inlined
from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.cubature import (
    FOLD,
    fibre_angles,
    fourfold_directions,
    hopf_points,
    sphere_rule,
)
from skldos.descriptors.bispectrum.harmonics import (
    gegenbauer_coefficients,
    solid_harmonic_coefficients,
    sphere_harmonics,
)
from skldos.descriptors.bispectrum.reference import wigner_functions

# Lengths of the inner loops. They are constants, so that the compiler can unroll and vectorise
# without remainders, and needs few checks of overlap. A loop that is known to be shorter than 16 is
# not vectorised where overlap has to be checked: those over directions take their length from an
# array.
DIRECTIONS = 8  # per tile of the rule, before the fourfold axis
LANES = FOLD * DIRECTIONS
ROWS = 3  # projections m' processed together along the fibre
CACHE_LINE = 64  # bytes


class Tables(NamedTuple):
    """Tables for one twojmax and one precision; all floats have that precision.

    Attributes
    ----------
    first, radial_rise, radial_fall, diagonal, solid_rise, solid_fall : ndarray
        Recursions of the harmonics, see :mod:`skldos.descriptors.bispectrum.harmonics`.
    start : ndarray of shape ((twojmax + 1)**2,)
        Coefficient *jlm* is element ``start[lm] + j - l``, with room for multiples of four j.
    alone : ndarray of shape (n_coefficients,)
        Coefficients of the self term.
    row, column, value, diagonals : ndarray
        Sparse matrix from the coefficients to the Wigner coefficients: the first elements of all
        rows, then the second ones and so on. Rows are sorted by length; `row` tells where they
        belong, and ``diagonals[e]`` where their elements e begin.
    block : ndarray of shape (n_rows + 1,)
        First block of each row, that is of each (j, m' >= 0). A block is eight Wigner
        coefficients: the real parts of one m for each of the four classes of ``m - m'``
        modulo 4, then the imaginary parts.
    wigner : ndarray of shape (n_tiles, n_blocks, 8 * DIRECTIONS)
        Wigner functions at the directions, in the same blocks; they carry the cube root of the
        weights of the rule, three of them being multiplied in the end.
    strip : ndarray of shape (n_strips, 3)
        Which order, from which row, and whether it is its first: up to three rows of an order.
    fibre : ndarray of shape (n_strips, n_angles, 2 * ROWS)
        Cosines and sines at the angles of the fibre, sines with the sign of ``(-1)**k``.
    triple : ndarray of shape (n_groups, 5)
        Sums over nodes, up to four at once: j, j1, first j2, number of j2 in steps of 2, and
        which part of the nodes is enough, 1 (every other angle) or 2 (all).
    order, scale : ndarray of shape (n_components,)
        Where the sum of each component is found and what it is multiplied with; order is -1 - j
        for the components that contain the order 0.
    """

    first: np.ndarray
    radial_rise: np.ndarray
    radial_fall: np.ndarray
    diagonal: np.ndarray
    solid_rise: np.ndarray
    solid_fall: np.ndarray
    start: np.ndarray
    alone: np.ndarray
    row: np.ndarray
    column: np.ndarray
    value: np.ndarray
    diagonals: np.ndarray
    block: np.ndarray
    wigner: np.ndarray
    strip: np.ndarray
    fibre: np.ndarray
    triple: np.ndarray
    order: np.ndarray
    scale: np.ndarray


def cubature_degree(twojmax):
    """Degree of the rule that averages products of three functions of order up to twojmax."""
    return 3 * twojmax // 2


def coefficient_starts(jmax):
    """Where the coefficients of each (l, m) begin; those of j = l ... jmax follow each other."""
    lengths = [padded(jmax + 1 - ell) for ell in range(jmax + 1) for _ in range(2 * ell + 1)]
    return np.concatenate([[0], np.cumsum(lengths)])[:-1]


@inlined
def padded(n):
    """Round up to a multiple of four."""
    return (n + 3) // 4 * 4


def projections(jmax):
    """Rows (j, m') of Wigner coefficients that are kept: m' >= 0, counted from zero; j >= 1."""
    return [(j, mb) for j in range(1, jmax + 1) for mb in range((j + 1) // 2, j + 1)]


def row_slots(j, mb):
    """Order the elements m of a row, counted from zero, into the four classes of m - m' modulo 4.

    The array has shape (n_blocks, 4), and -1 where a class has no more.
    """
    # At m' = 0 the terms of m and -m are complex conjugates: twice one half is enough.
    first = mb if 2 * mb == j else 0
    slots = np.full(((j - first) // 4 + 1, 4), -1)
    for q in range(4):
        members = [ma for ma in range(first, j + 1) if (ma - mb) % 4 == q]
        slots[: len(members), q] = members
    return slots


def change_of_basis(jmax, start):
    """Columns and values of the nonzero elements of every row from harmonic to Wigner coefficients.

    By projection with the rule itself.
    """
    nodes, weights = sphere_rule(max(jmax, 1))
    u = wigner_functions(nodes, jmax)
    Z = [(j + 1) * weights * sphere_harmonics(nodes, j) for j in range(jmax + 1)]
    matrix = []
    for j, mb in projections(jmax):
        ell = np.sqrt(np.arange((j + 1) ** 2)).astype(int)
        where = start[: (j + 1) ** 2] + j - ell
        # u = Σ V Z with V = (j + 1) <u Z>
        V = u[j][mb] @ Z[j].T
        V = np.vstack([V, np.zeros_like(V[:1])])  # -1: an unused slot
        for ma in row_slots(j, mb):
            for row in (*V.real[ma], *V.imag[ma]):
                terms = np.flatnonzero(np.abs(row) > 1e-10)  # the others are zero up to rounding
                matrix.append((where[terms], row[terms]))
    return matrix


def jagged_diagonals(matrix):
    """Store a sparse matrix by diagonals; see Tables.row and the following."""
    lengths = np.array([len(columns) for columns, _ in matrix], dtype=np.int64)
    row = np.argsort(-lengths, kind="stable")
    column, value, diagonals = [], [], [0]
    for e in range(lengths.max(initial=0)):
        rows = [matrix[i] for i in row if lengths[i] > e]
        column.extend(columns[e] for columns, _ in rows)
        value.extend(values[e] for _, values in rows)
        diagonals.append(len(column))
    return row, np.array(column, dtype=int), np.array(value, dtype=float), np.array(diagonals)


def wigner_blocks(jmax, degree):
    """Conjugate Wigner functions at the directions, tiled and in blocks; see Tables.wigner."""
    theta, phi, weights = fourfold_directions(degree)
    n_tiles = -(-len(theta) // DIRECTIONS)
    u = wigner_functions(hopf_points(theta, phi, 0.0), jmax)
    block, rows = [0], []
    for j, mb in projections(jmax):
        slots = row_slots(j, mb)
        for ma in slots:
            # f = Re [G_0 + 2 Σ_{m' > 0} exp(-i m' γ) G_m'], and likewise for m in G_0
            factor = np.where(ma < 0, 0, np.where((2 * mb == j) & (ma == mb), 1, 2))[:, None]
            values = factor * np.cbrt(weights) * u[j][mb, ma].conj()
            rows.append(np.stack([values.real, values.imag]))
        block.append(block[-1] + len(slots))
    wigner = np.zeros((len(rows), 2, 4, n_tiles * DIRECTIONS))
    wigner[..., : len(theta)] = np.array(rows).reshape(len(rows), 2, 4, len(theta))
    wigner = wigner.reshape(len(rows), 8, n_tiles, DIRECTIONS).transpose(2, 0, 1, 3)
    return np.array(block), wigner.reshape(n_tiles, len(rows), 8 * DIRECTIONS)


def fibre_strips(jmax, degree):
    """Cut the rows into strips, with their cosines and sines; see Tables.strip and Tables.fibre."""
    rows = projections(jmax)
    gamma = fibre_angles(degree)
    sign = (-1.0) ** np.arange(len(gamma))
    strips, fibre = [], []
    for j in range(1, jmax + 1):
        begin = rows.index((j, (j + 1) // 2))
        for row in range(begin, begin + j // 2 + 1, ROWS):
            strips.append((j, row, row == begin))
            coefficients = np.zeros((len(gamma), ROWS, 2))
            for i in range(min(ROWS, begin + j // 2 + 1 - row)):
                m = rows[row + i][1] - j / 2
                coefficients[:, i] = np.stack([np.cos(m * gamma), sign * np.sin(m * gamma)], 1)
            fibre.append(coefficients.reshape(len(gamma), -1))
    strips = np.array(strips, dtype=np.int64).reshape(-1, 3)
    return strips, np.array(fibre).reshape(len(strips), len(gamma), 2 * ROWS)


def partners(j, j1, n):
    """Yield up to four orders j2 <= j1 that couple to j and j1, the part of the nodes, a weight.

    Of n angles of the fibre, every other one averages exactly up to ``|m'| = n - 1``.
    """
    orders = [j2 for j2 in range(max(abs(j - j1), 1), j1 + 1) if (j + j1 + j2) % 2 == 0]
    low = [j2 for j2 in orders if (j + j1 + j2) // 2 < n]
    for members, part in ((low, 1), (orders[len(low) :], 2)):
        for i in range(0, len(members), 4):
            yield members[i : i + 4], part, 1 / (part * n)


def triple_sums(jmax, degree):
    """Plan of the sums of triple products; see Tables.triple, Tables.order, Tables.scale."""
    n = len(fibre_angles(degree))
    groups, places = [], {}
    for j in range(1, jmax + 1):
        for j1 in range(1, j + 1):
            for members, part, weight in partners(j, j1, n):
                groups.append((j, j1, members[0], len(members), part))
                for j2 in members:
                    places[j1, j2, j] = len(places), weight
    order, scale = [], []
    for j1, j2, j in bispectrum_components(jmax):
        if j2 == 0:
            order.append(-1 - j)
            scale.append(1.0)
        else:
            where, weight = places[j1, j2, j]
            order.append(where)
            scale.append((j + 1) * weight)
    return np.array(groups, dtype=np.int64).reshape(-1, 5), np.array(order), np.array(scale)


@lru_cache(maxsize=16)
def kernel_tables(twojmax, dtype):
    """Tables for one twojmax in one precision ("float64" or "float32")."""
    if dtype != "float64":
        exact = kernel_tables(twojmax, "float64")
        return Tables(*(aligned_copy(t, dtype if t.dtype.kind == "f" else t.dtype) for t in exact))
    degree = cubature_degree(twojmax)
    first, radial_rise, radial_fall = gegenbauer_coefficients(twojmax)
    diagonal, solid_rise, solid_fall = solid_harmonic_coefficients(twojmax)
    start = coefficient_starts(twojmax)
    alone = np.zeros(start[-1] + padded(1))
    alone[: twojmax + 1] = np.sqrt(np.arange(twojmax + 1) + 1.0)  # Z_j00 at the pole
    row, column, value, diagonals = jagged_diagonals(change_of_basis(twojmax, start))
    block, wigner = wigner_blocks(twojmax, degree)
    strip, fibre = fibre_strips(twojmax, degree)
    triple, order, scale = triple_sums(twojmax, degree)
    tables = Tables(
        first, radial_rise, radial_fall, diagonal, solid_rise, solid_fall, start, alone,
        row, column, value, diagonals, block, wigner, strip, fibre, triple, order, scale,
    )  # fmt: skip
    return Tables(*(aligned_copy(t, dtype if t.dtype.kind == "f" else np.int64) for t in tables))


def aligned_copy(array, dtype):
    """Copy an array to memory aligned such that no vector register crosses a cache line."""
    array = np.asarray(array, dtype)
    buffer = np.empty(array.nbytes + CACHE_LINE, np.uint8)
    offset = -buffer.ctypes.data % CACHE_LINE
    copy = buffer[offset : offset + array.nbytes].view(dtype).reshape(array.shape)
    copy[...] = array
    return copy
