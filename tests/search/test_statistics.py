"""Ranks, costs and effects of the candidates of searches."""

from itertools import combinations

import numpy as np
import optuna
import pytest
from scipy.stats import kendalltau
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV

from skldos.search import DirectSearchCV, OrthogonalArraySearchCV, kendall_interval
from skldos.search._statistics import (
    _resampled,
    candidates,
    importances,
    main_effects,
    pareto_front,
)

X = np.zeros((4, 1))
A, B = {1: 0.5, 2: 2.0, 3: -1.0}, {"x": 0.0, "y": 4.0, "z": 1.0}


class Additive(BaseEstimator):
    """Scores a sum of functions of its parameters; fails where one is None."""

    def __init__(self, a=1, b="x", c=0.0):
        self.a = a
        self.b = b
        self.c = c

    def fit(self, X, y=None):
        """Fail for want of a parameter."""
        if self.c is None:
            raise ValueError("this one fails")
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        """Return the sum."""
        return A[self.a] + B[self.b] + self.c


GRID = {"a": [1, 2, 3], "b": ["x", "y", "z"]}


def effects_of(table, parameter):
    rows = table[table["parameter"] == parameter]
    return dict(zip(rows["value"], rows["effect"], strict=True))


# -------------------------------------------------------------------- rank correlation


def test_signs_and_symmetry(rng):
    a, b = rng.normal(size=(2, 25))
    found = kendall_interval(a, b + a, random_state=0)
    assert 0.1 < found.tau < 0.9
    assert found.low < found.tau < found.high
    assert kendall_interval(b + a, a, random_state=0) == found
    reverse = kendall_interval(-a, b + a, random_state=0)
    assert reverse.tau == pytest.approx(-found.tau)
    assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low))
    # Ranks are all that counts.
    assert kendall_interval(np.exp(a), b + a, random_state=0) == found


def test_the_correlation_is_that_of_pairs(rng):
    a, b = rng.integers(0, 5, size=(2, 30))
    pairs = list(combinations(range(30), 2))
    s, t = (np.array([np.sign(x[i] - x[j]) for i, j in pairs]) for x in (a, b))
    expected = (s @ t) / np.sqrt((s @ s) * (t @ t))
    found = kendall_interval(a, b, random_state=0)
    assert abs(expected) > 0.01
    assert found.tau == pytest.approx(expected, rel=1e-12)
    assert found.pvalue == kendalltau(a, b).pvalue


def test_resampled_correlations_are_those_of_the_samples(rng):
    a, b = rng.integers(0, 4, size=(2, 7)).astype(float)
    found = _resampled(a, b, 40, np.random.RandomState(3))
    counts = np.random.RandomState(3).multinomial(7, np.full(7, 1 / 7), size=40)
    expected = [kendalltau(np.repeat(a, n), np.repeat(b, n)).statistic for n in counts]
    expected = [tau for tau in expected if not np.isnan(tau)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert len(found) > 30


def test_the_interval_holds_the_truth(rng):
    # For normal variables of correlation ρ, τ = (2/π) arcsin ρ.
    truth = 2 / np.pi * np.arcsin(0.5)
    hits = 0
    for seed in range(200):
        a, noise = rng.normal(size=(2, 30))
        found = kendall_interval(a, 0.5 * a + np.sqrt(0.75) * noise, 0.9, 300, seed)
        hits += found.low <= truth <= found.high
    # Within three standard deviations of 200 draws, 0.064.
    assert abs(hits / 200 - 0.9) < 3 * np.sqrt(0.1 * 0.9 / 200)


def test_wider_with_more_confidence(rng):
    a, b = rng.normal(size=(2, 30))
    widths = [
        found.high - found.low
        for found in (kendall_interval(a, b, c, random_state=0) for c in (0.5, 0.9, 0.99))
    ]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_failed_candidates_are_left_out(rng):
    a, b = rng.normal(size=(2, 20))
    expected = kendall_interval(a[2:], b[2:], random_state=0)
    a[0], b[1] = np.nan, np.nan
    assert kendall_interval(a, b, random_state=0) == expected


def test_infinite_scores_have_a_rank(rng):
    a, b = rng.normal(size=(2, 20))
    a[:2] = a.max() + 1
    expected = kendall_interval(a, b, random_state=0)
    a[:2] = np.inf
    assert kendall_interval(a, b, random_state=0) == expected


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, np.nan, 2], [np.nan, 1, 1])]
)
def test_undefined(a, b):
    assert all(np.isnan(kendall_interval(a, b)))


def test_two_items_have_no_interval():
    found = kendall_interval([1, 2], [4, 3])
    assert found.tau == -1
    assert np.isnan([found.low, found.high]).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"b must have shape \(3\), got \(2,\)"):
        kendall_interval([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="confidence must be > 0 and <= 1, got 95"):
        kendall_interval([1, 2], [1, 2], confidence=95)


# -------------------------------------------------------------------- Pareto front


def test_front_by_definition(rng):
    items = rng.integers(0, 6, size=(40, 2)).astype(float)
    items[3, 1] = np.nan
    expected = [
        not np.isnan(a).any() and not any((b >= a).all() and (b > a).any() for b in items)
        for a in items
    ]
    assert 0 < sum(expected) < 20
    assert pareto_front(*items.T).tolist() == expected


# -------------------------------------------------------------------- candidates


def test_costs_of_a_grid_search():
    search = GridSearchCV(Additive(), GRID, cv=3).fit(X)
    table = candidates(search)
    results = search.cv_results_
    np.testing.assert_array_equal(table["score"], results["mean_test_score"])
    expected = 3 * (results["mean_fit_time"] + results["mean_score_time"])
    np.testing.assert_allclose(table["seconds"], expected)
    assert table["params"].tolist() == results["params"]
    assert (table["round"] == 0).all()
    del search.n_splits_
    np.testing.assert_allclose(candidates(search)["seconds"], expected)


def test_rounds_of_halving():
    search = HalvingGridSearchCV(
        Additive(), GRID, cv=2, resource="c", min_resources=1, max_resources=9
    ).fit(X)
    table = candidates(search)
    assert table["round"].tolist() == search.cv_results_["iter"].tolist()
    assert table["round"].max() > 0
    # The resource adds to the score here, and is no parameter.
    effects = main_effects(search)
    assert set(effects["parameter"]) == {"a", "b"}
    assert effects_of(effects, "b")["y"] == pytest.approx(effects_of(effects, "b")["x"] + 4)


def test_metrics():
    scoring = {"one": lambda e, X, y=None: e.c, "two": lambda e, X, y=None: -e.c}
    search = GridSearchCV(Additive(), {"c": [0.0, 1.0]}, cv=2, scoring=scoring, refit="two").fit(X)
    assert candidates(search)["score"].tolist() == [0, -1]
    assert candidates(search, "one")["score"].tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"metric must be one of \['one', 'two'\]; got 'three'"):
        candidates(search, "three")
    with pytest.raises(TypeError, match=r"search must be a fitted search .* got Additive"):
        candidates(Additive())


@pytest.fixture
def quiet_optuna():
    optuna.logging.disable_default_handler()
    yield
    optuna.logging.enable_default_handler()


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
@pytest.mark.usefixtures("quiet_optuna")
def test_studies(direction, sign):
    study = optuna.create_study(
        direction=direction, sampler=optuna.samplers.GridSampler(GRID, seed=0)
    )

    def objective(trial):
        params = {name: trial.suggest_categorical(name, values) for name, values in GRID.items()}
        if params == {"a": 1, "b": "x"}:
            raise optuna.TrialPruned
        return sign * Additive(**params).score(X)

    study.optimize(objective, n_trials=9)
    table = candidates(study)
    assert table["score"].isna().sum() == 1
    assert table["score"].max() == 6
    assert (table["seconds"] > 0).all()
    effects = effects_of(main_effects(study), "b")
    assert effects["y"] - effects["x"] == pytest.approx(4)
    with pytest.raises(ValueError, match="metric be None; got 1 and 'r2'"):
        candidates(study, "r2")


def test_mean_times_of_pruned_trials_are_over_all_splits():
    class Study:
        n_splits_ = 3
        cv_results_ = {  # noqa: RUF012
            "params": [{}, {}, {}],
            "state": np.array(["complete", "pruned", "pruned"]),
            "mean_test_score": [1.0, np.nan, np.nan],
            **{f"split{i}_test_score": np.array([1.0, np.nan, np.nan]) for i in (1, 2)},
            "split0_test_score": np.array([1.0, 1.0, np.nan]),
            "mean_fit_time": [2.0, 2.0, 2.0],
            "mean_score_time": [0.5, 0.5, np.nan],
        }

    assert candidates(Study())["seconds"].tolist() == [7.5, 7.5, 6]


# -------------------------------------------------------------------- effects


@pytest.mark.parametrize("kind", [GridSearchCV, OrthogonalArraySearchCV, DirectSearchCV])
def test_sums_are_taken_apart(kind):
    search = kind(Additive(), GRID, cv=2).fit(X)
    table = main_effects(search)
    # The most important one comes first.
    assert list(dict.fromkeys(table["parameter"])) == ["b", "a"]
    for name, parts in (("a", A), ("b", B)):
        found = effects_of(table, name)
        assert list(found) == [str(v) for v in GRID[name]]
        shifts = [found[str(v)] - parts[v] for v in GRID[name]]
        np.testing.assert_allclose(shifts, shifts[0], atol=1e-12)
    assert importances(table).to_numpy().tolist() == [
        ["b", pytest.approx(4)],
        ["a", pytest.approx(3)],
    ]


def test_effects_of_a_grid_are_means(rng):
    scores = dict(zip(range(12), rng.normal(size=12), strict=True))
    grid = {"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.0, 1.0]}
    scoring = lambda e, X, y=None: scores[(e.a * 3 + len(e.b) + ord(e.b) + int(e.c)) % 12]  # noqa: E731
    search = GridSearchCV(Additive(), grid, cv=2, scoring=scoring).fit(X)
    params = search.cv_results_["params"]
    for name, values in grid.items():
        found = effects_of(main_effects(search), name)
        for value, effect in zip(values, found.values(), strict=True):
            chosen = [p[name] == value for p in params]
            assert effect == pytest.approx(search.cv_results_["mean_test_score"][chosen].mean())


def test_effects_of_an_orthogonal_array_are_its_own():
    search = OrthogonalArraySearchCV(Additive(), GRID | {"c": [0, 1, 2]}, cv=2).fit(X)
    table = main_effects(search)
    for name, effects in search.main_effects_.items():
        assert list(effects_of(table, name).values()) == effects.tolist()
    assert dict(importances(table).to_numpy()) == search.importances_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_failed_candidates_have_no_effect():
    search = GridSearchCV(Additive(), GRID | {"c": [0.0, None]}, cv=2).fit(X)
    assert np.isnan(candidates(search)["score"]).sum() == 9
    assert effects_of(main_effects(search), "b")["y"] == pytest.approx(
        4 + np.mean(list(A.values()))
    )
    assert importances(main_effects(search)).set_index("parameter")["importance"]["c"] == 0


def test_many_numbers_are_sorted_into_bins():
    grid = {"a": [2], "c": np.arange(12) / 2}
    search = RandomizedSearchCV(Additive(), grid, n_iter=12, cv=2, random_state=0).fit(X)
    found = effects_of(main_effects(search), "c")
    assert list(found) == ["0 … 1.5", "2 … 3.5", "4 … 5.5"]
    np.testing.assert_allclose(list(found.values()), 2 + np.array([0.75, 2.75, 4.75]))


def test_parameters_that_some_candidates_lack():
    grids = [{"a": [1, 2], "b": ["x"]}, {"b": ["y"]}]
    search = GridSearchCV(Additive(), grids, cv=2).fit(X)
    assert list(effects_of(main_effects(search), "a")) == ["1", "2", "none"]


def test_one_candidate():
    search = GridSearchCV(Additive(), {"a": [1], "b": ["y"]}, cv=2).fit(X)
    table = main_effects(search)
    assert table["effect"].tolist() == [4.5, 4.5]
    assert importances(table)["importance"].tolist() == [0, 0]
