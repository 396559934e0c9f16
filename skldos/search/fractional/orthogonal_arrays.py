"""Orthogonal arrays of strength 2: few runs with all combinations of levels of any two factors.

All arrays except one scheme are constructed rather than looked up:

- the runs are the vectors of GF(p)^k, and a factor of p^m levels is a subspace of dimension m; the
  levels are scalar products of the runs with its basis. Factors are independent if their subspaces
  intersect only in zero (Rao-Hamming and Bush arrays, and their mixed relatives);
- Hadamard matrices (Sylvester, Paley) give factors of two levels;
- a difference scheme D(r, c, s) turns any array of r runs into one of r s runs with c more
  factors of s levels, such as Taguchi's L18 from the 6 runs of 2 x 3; D(12, 12, 3), for which there
  is no formula, is a table, and gives L36;
- products of arrays for coprime levels give all levels that are products of theirs.

No library is sufficient. A grid of hyperparameters can have any levels, such as 6 x 3 x 2 or 5^6 x
4, which requires a construction. pyDOE3 (1.6.2) has a table of 17 Taguchi arrays with fixed numbers
of factors and levels, of which L64(2^31) is not balanced. Its Plackett-Burman designs are the
Hadamard matrices of order 2^k, 12 2^k and 20 2^k, without 28 or 36 runs. Its generalised subset
designs for any levels are rarely balanced and need more runs (27 instead of 9 for 3^4). The arrays
of this module have as few runs as the table in all 17 cases, which the tests list.

References
----------
A. S. Hedayat, N. J. A. Sloane, J. Stufken, *Orthogonal Arrays: Theory and Applications*,
Springer, New York (1999), chapters 3, 6, 7 and 9.
"""

from functools import lru_cache
from itertools import combinations, product
from math import lcm, prod

import numpy as np

from skldos.search.fractional._difference_schemes import difference_scheme, scheme_rows
from skldos.search.fractional._galois import field, orthogonal_columns, prime_powers
from skldos.search.fractional._hadamard import hadamard, has_hadamard
from skldos.validation import check_scalar

# Subspaces are searched one by one, which takes too long in larger spaces.
_LARGEST_SPACE = 4096
# Larger arrays would fill the memory, and nobody trains that many models.
_MOST_RUNS = 10**6


def orthogonal_array(levels):
    r"""Return the smallest orthogonal array of strength 2 among the known constructions.

    Parameters
    ----------
    levels : sequence of int
        Number of levels of every factor, at least 1; in any order.

    Returns
    -------
    ndarray of int of shape (n_runs, n_factors)
        Column i holds levels from 0 to ``levels[i] - 1``. Any two columns show all pairs of their
        levels equally often. Rows may repeat.

    Raises
    ------
    TypeError, ValueError
        If `levels` is empty or holds anything but positive integers, or if more than a million
        runs would be needed.

    Notes
    -----
    The number of runs is a multiple of the product of any two levels, and at least
    :math:`1 + \sum_i (s_i - 1)`; an array that meets both bounds is the smallest possible. Arrays
    that were only found by computer search, such as 2^4 x 3 in 12 runs, are not included; the
    returned array is then balanced, but larger. If no construction applies, the full factorial is
    returned.

    Examples
    --------
    >>> from skldos.search import orthogonal_array
    >>> orthogonal_array([2, 2, 2])
    array([[0, 0, 0],
           [1, 0, 1],
           [1, 1, 0],
           [0, 1, 1]])
    >>> orthogonal_array([3] * 7 + [2]).shape  # the full factorial has 4374 runs
    (18, 8)
    """
    levels = _check_levels(levels)
    order = sorted((i for i, s in enumerate(levels) if s > 1), key=lambda i: -levels[i])
    n_runs, build = _plan(tuple(levels[i] for i in order))
    if n_runs > _MOST_RUNS:
        raise ValueError(
            f"levels {levels} need {n_runs} runs, more than {_MOST_RUNS}; numbers of levels that "
            "are multiples of each other need fewer."
        )
    columns = build()
    array = np.zeros((len(columns), len(levels)), dtype=int)
    array[:, order] = columns
    return array


def is_balanced(array, levels):
    """Return whether any two columns of `array` contain all pairs of their levels equally often.

    A single column must show all of its levels equally often.

    Parameters
    ----------
    array : ndarray of int of shape (n_runs, n_factors)
        Levels, counted from 0.
    levels : sequence of int
        Number of levels of every factor.

    Returns
    -------
    bool
        Whether this is an orthogonal array of strength 2.

    Raises
    ------
    ValueError
        If there are not as many levels as columns.

    Examples
    --------
    >>> from skldos.search import is_balanced
    >>> is_balanced([[0, 0], [0, 1], [1, 0], [1, 1]], [2, 2])
    True
    >>> is_balanced([[0, 0], [0, 1], [1, 0]], [2, 2])
    False
    """
    array, levels = np.asarray(array), _check_levels(levels)
    if array.ndim != 2 or array.shape[1] != len(levels):
        raise ValueError(
            f"array must have shape (n_runs, {len(levels)}), a column for every entry of levels; "
            f"got {array.shape}."
        )
    if len(array) == 0 or (array < 0).any() or (array >= levels).any():
        return False
    pairs = combinations(range(len(levels)), 2) if len(levels) > 1 else [(0, 0)]
    for i, j in pairs:
        n_cells = levels[i] * levels[j] if i != j else levels[i]
        cells = array[:, i] * levels[j] + array[:, j] if i != j else array[:, i]
        if np.ptp(np.bincount(cells, minlength=n_cells)) > 0:
            return False
    return True


def _check_levels(levels):
    levels = [check_scalar("levels", s, low=1, integer=True) for s in levels]
    if not levels:
        raise ValueError("levels must hold one number for every factor, got none.")
    return levels


# A plan is a number of runs and a function that builds the array. The function is called only if
# there is no smaller plan.


@lru_cache(maxsize=4096)
def _plan(levels):
    """Return the smallest plan for descending levels above 1."""
    n_best, best = prod(levels), lambda: _full_factorial(levels)
    for construction in (_hadamard_plans, _subspace_plans, _product_plans, _difference_plans):
        if n_best == _lower_bound(levels):
            break
        for n_runs, build in construction(levels):
            if n_runs < n_best:
                n_best, best = n_runs, build
    return n_best, best


def _lower_bound(levels):
    """Return C. R. Rao's lower bound of the number of runs."""
    step = lcm(*levels, *(s * t for s, t in combinations(levels, 2)))
    # N >= 1 + sum_i (s_i - 1), and N is a multiple of all s_i s_j
    return -(-(1 + sum(s - 1 for s in levels)) // step) * step


def _full_factorial(levels):
    return np.array(list(product(*map(range, levels))), dtype=int)


def _hadamard_plans(levels):
    if set(levels) != {2}:
        return
    n_runs = 4 * (len(levels) // 4 + 1)
    while not has_hadamard(n_runs):
        n_runs += 4
    # The first column of a normalised matrix is constant.
    yield n_runs, lambda: (hadamard(n_runs)[:, 1 : len(levels) + 1] < 0).astype(int)


def _subspace_plans(levels):
    if len(primes := prime_powers(prod(levels))) > 1:
        return
    (p,) = primes
    dimensions = tuple(prime_powers(s)[p] for s in levels)
    k = sum(dimensions[:2])
    while p**k <= _LARGEST_SPACE and k < sum(dimensions):
        columns = orthogonal_columns(p, dimensions, k)
        if columns is not None:
            yield p**k, lambda columns=columns: columns
            return
        k += 1


def _product_plans(levels):
    # A factor s = prod_p s_p is composed of factors s_p of arrays for each prime.
    primes = list(prime_powers(prod(levels)))
    if len(primes) == 1:
        return
    shares = [tuple(p ** prime_powers(s).get(p, 0) for s in levels) for p in primes]
    plans = [_plan(tuple(sorted((s for s in share if s > 1), reverse=True))) for share in shares]

    def build():
        arrays = [orthogonal_array(share) for share in shares]
        rows = _full_factorial([len(array) for array in arrays])
        columns = np.zeros((len(rows), len(levels)), dtype=int)
        for share, array, row in zip(shares, arrays, rows.T, strict=True):
            columns = columns * share + array[row]
        return columns

    yield prod(n_runs for n_runs, _ in plans), build


def _difference_plans(levels):
    # D(r, c, s) and an array B of r runs: rows (i, g) have D[i] + g for c factors, and B[i].
    bound = _lower_bound(levels)
    for s in {s for s in levels if len(prime_powers(s)) == 1}:
        fitting = [i for i, t in enumerate(levels) if s % t == 0]
        for n_columns in range(len(fitting), 0, -1):
            # Larger levels are rarer, and harder to place elsewhere.
            inside = fitting[:n_columns]
            outside = [i for i in range(len(levels)) if i not in inside]
            n_outside = _plan(tuple(levels[i] for i in outside))[0] if outside else 1
            n_rows = scheme_rows(s, n_columns, lcm(n_outside, s), max(prod(levels), bound) // s)
            if n_rows is not None:
                yield n_rows * s, _developed(levels, s, n_rows, inside, outside)


def _developed(levels, s, n_rows, inside, outside):
    def build():
        add, _ = field(s)
        scheme = difference_scheme(s, n_rows, len(inside))
        array = np.zeros((n_rows * s, len(levels)), dtype=int)
        developed = add[scheme[:, None, :], np.arange(s)[None, :, None]]
        array[:, inside] = developed.reshape(n_rows * s, -1) % [levels[i] for i in inside]
        if outside:
            columns = orthogonal_array([levels[i] for i in outside])
            columns = np.tile(columns, (n_rows // len(columns), 1))
            array[:, outside] = np.repeat(columns, s, axis=0)
        return array

    return build
