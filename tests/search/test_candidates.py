"""Costs and effects of the candidates of searches."""

import numpy as np
import optuna
import pytest
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV

from skldos.search import DirectSearchCV, OrthogonalArraySearchCV
from skldos.search.candidates import candidates, pareto_front
from skldos.search.effects import importances, main_effects

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
    assert table["round"].dtype.kind == "i"
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


def test_numbers_have_the_digits_that_tell_them_apart():
    def values(*numbers):
        grid = {"a": [1], "c": list(numbers)}
        return list(effects_of(main_effects(GridSearchCV(Additive(), grid, cv=2).fit(X)), "c"))

    assert values(1 / 3, 2 / 3) == ["0.333333", "0.666667"]
    assert values(1 / 3, 1 / 3 + 1e-8) == ["0.33333333", "0.33333334"]
    close = [1.0, 1.0 + 2.0**-52]
    assert list(map(float, values(*close))) == close
    # Up to six numbers are told apart; more are in three bins of as many each.
    assert len(values(*range(6))) == 6
    sevenths = [i / 7 for i in range(9)]
    assert values(*sevenths) == ["0 … 0.286", "0.429 … 0.714", "0.857 … 1.14"]


def test_a_study_without_times():
    trials = [optuna.create_trial(value=1.0), optuna.create_trial(value=2.0)]
    study = optuna.create_study()
    study.add_trials(trials)
    for trial in study.trials:
        assert trial.duration is None or trial.duration.total_seconds() < 600
    table = candidates(study)
    assert table["round"].dtype.kind == "i"
    assert table["round"].tolist() == [0, 0]
    assert table["score"].tolist() == [-1.0, -2.0]


@pytest.mark.parametrize("number", [int, object])
def test_numbers_of_any_kind_are_kept_as_floats(number):
    class Study:
        n_splits_ = 2
        cv_results_ = {  # noqa: RUF012
            "params": [{"a": 1}, {"a": 2}],
            "iter": np.array([0.0, 1.0]),
            "mean_test_score": np.array([1, 3]).astype(number),
            "mean_fit_time": np.array([1, 3]).astype(number),
            "mean_score_time": np.array([0, 1]).astype(number),
        }

    table = candidates(Study())
    assert (table["score"].dtype, table["seconds"].dtype) == (float, float)
    assert table["round"].dtype == int
    assert table["seconds"].tolist() == [2, 8]
    values = (np.array(v).astype(number) for v in ([3, 2, 1, 1], [1, 2, 3, 2]))
    assert pareto_front(*values).tolist() == [True, True, True, False]
