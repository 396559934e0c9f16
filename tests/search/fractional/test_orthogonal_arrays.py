"""Every pair of columns has every pair of levels equally often, in as few runs as possible."""

from collections import Counter
from itertools import combinations, product
from math import lcm, prod

import numpy as np
import pytest

from skldos.search.fractional._galois import field
from skldos.search.fractional.orthogonal_arrays import is_balanced, orthogonal_array


def check(array, levels):
    """Count all pairs by hand."""
    assert array.shape[1] == len(levels)
    assert array.dtype.kind == "i"
    for column, s in zip(array.T, levels, strict=True):
        assert Counter(column.tolist()) == dict.fromkeys(range(s), len(array) // s)
    for i, j in combinations(range(len(levels)), 2):
        counts = Counter(zip(array[:, i].tolist(), array[:, j].tolist(), strict=True))
        each = len(array) // (levels[i] * levels[j])
        assert each > 0
        assert counts == dict.fromkeys(product(range(levels[i]), range(levels[j])), each)


def smallest(levels):
    """Return the bound of Rao, rounded up to a multiple of what balance needs."""
    step = lcm(*levels, *(s * t for s, t in combinations(levels, 2)))
    rao = 1 + sum(s - 1 for s in levels)
    return -(-rao // step) * step


# No array of these levels can have fewer runs: the number is a multiple of the product of any
# two levels and reaches the bound of Rao (Hedayat, Sloane, Stufken, chapters 2 and 9).
@pytest.mark.parametrize(
    ("levels", "n_runs"),
    [
        # Sylvester's and Paley's matrices exist for all of these orders.
        *(([2] * (n - 1), n) for n in range(4, 92, 4)),
        ([4] + [2] * 4, 8),
        ([3] * 4, 9),
        ([4] * 5, 16),
        ([4, 4] + [2] * 9, 16),
        ([8] + [2] * 8, 16),
        ([2] + [3] * 7, 18),
        ([6] + [3] * 6, 18),
        ([3] + [2] * 12, 24),
        ([5] * 6, 25),
        ([3] * 13, 27),
        ([9] + [3] * 9, 27),
        ([4] * 9, 32),
        ([8] + [4] * 8, 32),
        ([2] * 11 + [3] * 3, 36),
        ([6, 6, 6], 36),
        ([7] * 8, 49),
        ([5] * 11 + [2], 50),
        ([10] + [5] * 10, 50),
        ([8] * 9, 64),
        ([9] * 10, 81),
        ([5, 4, 3, 2], 120),
        # The mixed and the longest ones of the table in pyDOE3, Taguchi's arrays.
        ([2] + [4] * 9, 32),
        ([2] * 11 + [3] * 12, 36),
        ([2] + [3] * 25, 54),
        ([4] * 21, 64),
        ([3] * 40, 81),
        # Twofold schemes, 2 s² runs for 2 s factors of s levels and one of 2 s; schemes of schemes.
        ([14] + [7] * 14, 98),
        ([18] + [9] * 18, 162),
        ([18] + [3] * 18, 54),
    ],
)
def test_smallest_arrays(levels, n_runs):
    array = orthogonal_array(levels)
    check(array, levels)
    assert len(array) == n_runs == smallest(levels)


def test_any_levels(rng):
    saved = []
    for _ in range(150):
        levels = rng.integers(1, 11, size=rng.integers(1, 6)).tolist()
        array = orthogonal_array(levels)
        check(array, levels)
        assert is_balanced(array, levels)
        assert smallest([s for s in levels if s > 1] or [1]) <= len(array) <= prod(levels)
        saved.append(len(array) / prod(levels))
    assert min(saved) < 0.1


@pytest.mark.parametrize("choices", [(2, 3), (2, 4, 8), (3, 9), (2, 3, 4, 6), (2, 5)])
def test_many_factors(rng, choices):
    for n_factors in (8, 14):
        levels = rng.choice(choices, size=n_factors).tolist()
        array = orthogonal_array(levels)
        check(array, levels)
        assert len(array) < 0.2 * prod(levels)


def test_the_order_of_factors_is_kept():
    levels = [3, 2, 3, 1, 3, 2, 3]
    array = orthogonal_array(levels)
    np.testing.assert_array_equal(array.max(axis=0) + 1, levels)
    check(array, levels)


def test_the_array_is_the_callers_own():
    first = orthogonal_array([4, 2, 2])
    expected = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(orthogonal_array([4, 2, 2]), expected)


def test_unbalanced():
    array = orthogonal_array([2, 2, 2])
    assert is_balanced(array, [2, 2, 2])
    assert not is_balanced(array[:-1], [2, 2, 2])
    assert not is_balanced(array, [2, 2, 3])
    assert not is_balanced(array + 1, [2, 2, 2])
    assert not is_balanced(array[:0], [2, 2, 2])
    # Each column is balanced, but the two are one.
    assert not is_balanced([[0, 0], [1, 1]], [2, 2])
    assert is_balanced([[0], [1]], [2])
    assert not is_balanced([[0], [1], [1]], [2])


def test_bad_input():
    with pytest.raises(ValueError, match="levels must be >= 1, got 0"):
        orthogonal_array([2, 0])
    with pytest.raises(TypeError, match=r"levels must be an integer, got 2\.5"):
        orthogonal_array([2.5])
    with pytest.raises(ValueError, match="levels must hold one number for every factor, got none"):
        orthogonal_array([])
    with pytest.raises(ValueError, match=r"array must have shape \(n_runs, 3\).*got \(2, 2\)"):
        is_balanced([[0, 0], [1, 1]], [2, 2, 2])


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7, 8, 9, 16, 25, 27])
def test_fields(q):
    add, multiply = field(q)
    x, y, z = np.ogrid[:q, :q, :q]
    for table in (add, multiply):
        np.testing.assert_array_equal(table, table.T)
        np.testing.assert_array_equal(table[table[x, y], z], table[x, table[y, z]])
    np.testing.assert_array_equal(multiply[x, add[y, z]], add[multiply[x, y], multiply[x, z]])
    everything = np.arange(q)
    np.testing.assert_array_equal(add[0], everything)
    np.testing.assert_array_equal(multiply[1], everything)
    # Every equation a + x = b, and a x = b for a other than 0, has one solution.
    for rows in (add, multiply[1:]):
        np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(everything, (len(rows), 1)))
