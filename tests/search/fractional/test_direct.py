"""One parameter at a time, to a point that no single change improves."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from skldos.search.fractional.direct import DirectSearchCV

GRID = {"a": [0, 1, 2, 3], "b": [0, 1, 2], "c": [0, 1, 2], "d": [0, 1]}
X = np.zeros((4, 1))


class Table(BaseEstimator):
    """Looks its score up in a table over the whole grid."""

    def __init__(self, table=None, a=0, b=0, c=0, d=0):
        self.table = table
        self.a = a
        self.b = b
        self.c = c
        self.d = d

    def fit(self, X, y=None):
        """Fail where the table has no number."""
        if np.isinf(self.score(X)):
            raise ValueError("this one fails")
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        """Return an entry of the table."""
        return self.table[self.a, self.b, self.c, self.d]


def search(table, **options):
    return DirectSearchCV(Table(table), GRID, **({"cv": 2} | options)).fit(X)


def points(found):
    return [tuple(params[name] for name in GRID) for params in found.cv_results_["params"]]


def neighbours(point, shape):
    return {
        (*point[:axis], i, *point[axis + 1 :]) for axis, n in enumerate(shape) for i in range(n)
    }


def test_separable_functions_are_solved_exactly(rng):
    for _ in range(20):
        parts = [rng.normal(size=len(v)) for v in GRID.values()]
        table = sum(np.ix_(*parts))
        found = search(table)
        assert points(found)[found.best_index_] == np.unravel_index(table.argmax(), table.shape)
        assert found.best_score_ == pytest.approx(table.max(), abs=1e-12)
        assert found.locally_optimal_
        assert found.n_rounds_ <= 2
        # One line per parameter, and the rest of the lines through the optimum.
        assert len(points(found)) <= 2 * (1 + 3 + 2 + 2 + 1) < table.size


def test_local_optima_are_verified(rng):
    short = 0
    for _ in range(20):
        table = rng.normal(size=(4, 3, 3, 2))
        found = search(table)
        seen = points(found)
        assert len(set(seen)) == len(seen)
        best = seen[found.best_index_]
        around = neighbours(best, table.shape)
        assert found.locally_optimal_
        assert around <= set(seen)
        assert table[best] == max(table[point] for point in around)
        assert table[best] == max(table[point] for point in seen)
        short += table[best] < table.max()
    # Without separability it may end at a local optimum, or this would test nothing.
    assert short > 0


def test_the_path_climbs(rng):
    found = search(rng.normal(size=(4, 3, 3, 2)))
    scores = found.cv_results_["mean_test_score"][found.path_]
    assert len(scores) > 1
    assert (np.diff(scores) > 0).all()
    assert found.path_[0] == 0
    assert found.path_[-1] == found.best_index_


def test_start(rng):
    table = rng.normal(size=(4, 3, 3, 2))
    found = search(table, start={"a": 3, "c": 1})
    assert points(found)[0] == (3, 0, 1, 0)
    optimum = dict(zip(GRID, map(int, np.unravel_index(table.argmax(), table.shape)), strict=True))
    there = search(table, start=optimum)
    assert there.best_params_ == optimum
    assert there.n_rounds_ == 1
    assert len(points(there)) == 1 + 3 + 2 + 2 + 1
    assert there.path_ == [0]


def test_the_last_round():
    # Only together do a and b help: a sees nothing in the first round until b has moved.
    table = np.zeros((4, 3, 3, 2))
    table[0, 1] = 1.0
    table[2, 1] = 2.0
    table[2, 2] = 3.0
    with pytest.warns(ConvergenceWarning, match="max_rounds=1 ended the search before a local"):
        stopped = search(table, max_rounds=1)
    assert not stopped.locally_optimal_
    # The check has found something better, which is chosen.
    assert stopped.best_params_ == {"a": 2, "b": 1, "c": 0, "d": 0}
    found = search(table)
    assert found.best_params_ == {"a": 2, "b": 2, "c": 0, "d": 0}
    assert found.n_rounds_ == 3
    # The second round ends at the optimum, and the check completes what is missing around it.
    checked = search(table, max_rounds=2)
    assert checked.locally_optimal_
    assert neighbours((2, 2, 0, 0), table.shape) <= set(points(checked))


def test_ties_stay_with_the_first():
    found = search(np.ones((4, 3, 3, 2)), start={"b": 1})
    assert found.best_index_ == 0
    assert found.best_params_ == {"a": 0, "b": 1, "c": 0, "d": 0}


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_failed_fits():
    table = sum(np.ix_(np.arange(4.0), np.arange(3.0), np.arange(3.0), np.arange(2.0)))
    table[0] = table[3] = -np.inf
    # The start itself fails.
    found = search(table)
    assert found.best_params_ == {"a": 2, "b": 2, "c": 2, "d": 1}
    with pytest.raises(ValueError, match="this one fails"):
        search(table, error_score="raise")


def test_values_of_any_kind():
    grid = {"a": [np.array([0, 1]), np.array([1, 2]), None], "b": [(0,), [1], "x"]}

    def score(estimator, X, y=None):
        return 1.0 * (estimator.a is None) + 2.0 * (estimator.b == [1])

    start = {"a": np.array([1, 2]), "b": "x"}
    found = DirectSearchCV(Free(), grid, start=start, scoring=score, error_score="raise", cv=2)
    found.fit(X)
    assert found.best_params_ == {"a": None, "b": [1]}
    np.testing.assert_array_equal(found.cv_results_["params"][0]["a"], [1, 2])


class Free(BaseEstimator):
    """Takes anything."""

    def __init__(self, a=None, b=None):
        self.a = a
        self.b = b

    def fit(self, X, y=None):
        """Learn nothing."""
        self.fitted_ = True
        return self


def test_bad_input(rng):
    table = np.ones((4, 3, 3, 2))
    with pytest.raises(ValueError, match=r"start\['b'\] must be one of \[0, 1, 2\], got 5"):
        search(table, start={"b": 5})
    with pytest.raises(ValueError, match=r"start must have parameters of param_grid.*got \['e'\]"):
        search(table, start={"e": 5})
    with pytest.raises(ValueError, match="max_rounds must be >= 1, got 0"):
        search(table, max_rounds=0)
