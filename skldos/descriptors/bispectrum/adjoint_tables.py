"""Lookup tables for the derivative of the bispectrum, in addition to those of the kernel.

See :mod:`skldos.descriptors.bispectrum.adjoint_kernel` for the use of each table.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.cubature import fibre_angles
from skldos.descriptors.bispectrum.tables import (
    aligned_copy,
    change_of_basis,
    coefficient_starts,
    cubature_degree,
    jagged_diagonals,
    kernel_tables,
    padded,
    partners,
)


class AdjointTables(NamedTuple):
    """Tables for one twojmax and one precision; all floats have that precision.

    The sparse matrices are stored as in :class:`skldos.descriptors.bispectrum.tables.Tables`.

    Attributes
    ----------
    row, column, value, diagonals : ndarray
        Sparse matrix from derivatives by Wigner coefficients to derivatives by harmonic ones.
    slope_row, slope_column, slope_value, slope_diagonals : ndarray
        Sparse matrix from coefficients of a function on the sphere to those of its four partial
        derivatives, one after the other; see :func:`gradient_rows`.
    slope_start : ndarray of shape (twojmax**2,)
        As `start` of the kernel's tables, but for twojmax - 1.
    product : ndarray of shape (n_groups, 5)
        Sums over products, up to four at once: j1, first j2, number of j2 in steps of 2, and the
        part of the nodes that is needed, 1 or 2 halves; and the first of the products.
    first_product : ndarray of shape (twojmax + 2,)
        Where the sums of each order j begin.
    component, factor : ndarray of shape (n_products,)
        The component B that the product with f_j belongs to, and the factor of the product in the
        derivative of B by f_j.
    place : ndarray of shape (n_products, 3)
        Whether f_j is the factor with the largest, middle and smallest order of the component;
        more than one where orders are equal.
    lone : ndarray of shape (twojmax + 1,)
        The component B_j0j of each order j.
    """

    row: np.ndarray
    column: np.ndarray
    value: np.ndarray
    diagonals: np.ndarray
    slope_row: np.ndarray
    slope_column: np.ndarray
    slope_value: np.ndarray
    slope_diagonals: np.ndarray
    slope_start: np.ndarray
    product: np.ndarray
    first_product: np.ndarray
    component: np.ndarray
    factor: np.ndarray
    place: np.ndarray
    lone: np.ndarray


def transposed(matrix, n_columns):
    """Transpose a sparse matrix that is given as the columns and values of its rows."""
    columns, values = [[] for _ in range(n_columns)], [[] for _ in range(n_columns)]
    for i, (where, what) in enumerate(matrix):
        for column, value in zip(where, what, strict=True):
            columns[column].append(i)
            values[column].append(value)
    return [(np.array(c, dtype=int), np.array(v)) for c, v in zip(columns, values, strict=True)]


def solid_harmonic_gradient(ell, m):
    r"""Partial derivatives of a real solid harmonic, as sums of harmonics of one degree less.

    With :math:`C_m + i S_m = r^l Y_{lm}`, but for the sign :math:`(-1)^m`, the derivatives by
    :math:`x \pm iy` and *z* lead to a single function each [1]_. Of the real functions,
    :math:`R_{l,\pm m} = \sqrt2 (C_m, S_m)` for m > 0 and :math:`R_{l0} = C_0`. The terms are axis,
    m' and coefficient of :math:`R_{l-1,m'}`.

    References
    ----------
    .. [1] D. A. Varshalovich, A. N. Moskalev, V. K. Khersonskii, "Quantum Theory of Angular
       Momentum" (World Scientific, 1988), section 5.8.
    """
    k, sign = abs(m), 1 if m >= 0 else -1
    ratio = (2 * ell + 1) / (2 * ell - 1)
    down = 0.5 * np.sqrt(ratio * (ell + k) * (ell + k - 1))
    up = 0.5 * np.sqrt(ratio * (ell - k) * (ell - k - 1))
    terms = [(2, m, np.sqrt(ratio * (ell * ell - m * m)))]
    if k == 0:
        # ∂x C_0 = -2 up C_1, ∂y C_0 = -2 up S_1
        terms += [(0, 1, -np.sqrt(2) * up), (1, -1, -np.sqrt(2) * up)]
    else:
        # ∂x (C, S)_k = down (C, S)_{k-1} - up (C, S)_{k+1}
        # ∂y (C, S)_k = ∓[down (S, C)_{k-1} + up (S, C)_{k+1}]
        below = down * np.sqrt(2) if k == 1 else down
        terms += [(0, sign * (k + 1), -up), (1, -sign * (k + 1), -sign * up)]
        if k > 1:
            terms += [(0, sign * (k - 1), below), (1, -sign * (k - 1), -sign * below)]
        else:  # S_0 = 0
            terms += [(0, 0, below) if sign > 0 else (1, 0, below)]
    return [(axis, n, float(value)) for axis, n, value in terms if abs(n) < ell and value]


def gradient_rows(jmax):
    r"""Columns and values of the rows of the matrix that differentiates a function on the sphere.

    With :math:`\varphi(g_0, v) = \sum c_{jlm} X_{jl}(g_0) R_{lm}(v)`, all four derivatives are of
    one form,

    .. math:: \partial\varphi = \sum_{jlm} c'_{jlm} X_{j,l+1}(g_0) R_{lm}(v), \qquad
        0 \le l < j,

    because :math:`X'_{jl} = \sqrt{(j - l)(j + l + 2)}\, X_{j,l+1}` and the gradient of
    :math:`R_{l+1,m}` consists of :math:`R_{lm'}`. The coefficients are laid out like those of
    twojmax - 1, with (j - 1, l, m) for (j, l, m): first those of ∂/∂g0, then of ∂/∂x, ∂/∂y and
    ∂/∂z.
    """
    start, low = coefficient_starts(jmax), coefficient_starts(jmax - 1)
    size = low[-1] + padded(1) if jmax else 0
    terms = [[] for _ in range(4 * size)]
    for ell in range(jmax + 1):
        for m in range(-ell, ell + 1):
            lm = ell * ell + ell + m
            for j in range(ell + 1, jmax + 1):
                value = np.sqrt((j - ell) * (j + ell + 2))
                terms[low[lm] + j - ell - 1].append((start[lm] + j - ell, value))
            for axis, n, value in solid_harmonic_gradient(ell, m) if ell else ():
                target = (axis + 1) * size + low[(ell - 1) * ell + n]
                for j in range(ell, jmax + 1):
                    terms[target + j - ell].append((start[lm] + j - ell, value))
    return [
        (np.array([c for c, _ in row], dtype=int), np.array([v for _, v in row])) for row in terms
    ]


def product_sums(jmax):
    """Plan of the derivatives of the triple products; see AdjointTables.product and following."""
    n = len(fibre_angles(cubature_degree(jmax)))
    place = {triple: i for i, triple in enumerate(bispectrum_components(jmax))}
    groups, first, component, factor, place_of = [], [0, 0], [], [], []
    for j in range(1, jmax + 1):
        for j1 in range(1, jmax + 1):
            for some, part, weight in partners(j, j1, n):
                groups.append((j1, some[0], len(some), part, len(factor)))
                for j2 in some:
                    small, middle, large = sorted((j, j1, j2))
                    component.append(place[middle, small, large])
                    factor.append((large + 1) * weight * (j, j1, j2).count(j))
                    place_of.append([j == order for order in (large, middle, small)])
        first.append(len(groups))
    groups = np.array(groups, dtype=np.int64).reshape(-1, 5)
    component, factor = np.array(component, dtype=int), np.array(factor, dtype=float)
    return groups, np.array(first), component, factor, np.array(place_of, int).reshape(-1, 3)


@lru_cache(maxsize=16)
def adjoint_tables(twojmax, dtype):
    """Tables for one twojmax in one precision ("float64" or "float32")."""
    if dtype != "float64":
        exact = adjoint_tables(twojmax, "float64")
    else:
        start = coefficient_starts(twojmax)
        matrix = change_of_basis(twojmax, start)
        place = {triple: i for i, triple in enumerate(bispectrum_components(twojmax))}
        exact = AdjointTables(
            *jagged_diagonals(transposed(matrix, len(kernel_tables(twojmax, dtype).alone))),
            *jagged_diagonals(gradient_rows(twojmax)),
            coefficient_starts(twojmax - 1).astype(int),  # an empty array has type float
            *product_sums(twojmax),
            np.array([place[j, 0, j] for j in range(twojmax + 1)]),
        )
    return AdjointTables(
        *(aligned_copy(t, dtype if t.dtype.kind == "f" else np.int64) for t in exact)
    )
