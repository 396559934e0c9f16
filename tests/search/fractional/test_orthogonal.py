"""Main effects, the predicted optimum and its confirmation."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold

from skldos import BandEnergyScorer
from skldos.search.fractional.direct import DirectSearchCV
from skldos.search.fractional.orthogonal import OrthogonalArraySearchCV

GRID = {"a": [0, 1, 2], "b": [0, 1, 2], "c": [0, 1, 2], "d": [0, 1]}
# Any numbers will do: the best values are 2, 1, 1 and 1.
TABLE = {"a": [0.3, -1.0, 0.9], "b": [0.0, 5.0, 1.0], "c": [0.05, 0.1, 0.0], "d": [-2.0, 1.0]}
OPTIMUM = {"a": 2, "b": 1, "c": 1, "d": 1}
X = np.zeros((4, 1))
SEARCHES = [GridSearchCV, OrthogonalArraySearchCV, DirectSearchCV]


class Peak(BaseEstimator):
    """Its score is a function of its parameters, and of nothing else."""

    def __init__(self, a=0, b=0, c=0, d=0, interaction=0.0, fail=None):
        self.a = a
        self.b = b
        self.c = c
        self.d = d
        self.interaction = interaction
        self.fail = fail

    def fit(self, X, y=None):
        """Fail at one value of b."""
        if self.fail is not None and self.b == self.fail:
            raise ValueError("this one fails")
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        """Return a sum of functions of one parameter each, and an interaction of two."""
        return sum(TABLE[n][getattr(self, n)] for n in GRID) + self.interaction * self.a * self.b


def search(grid=GRID, **options):
    return OrthogonalArraySearchCV(Peak(), grid, **({"cv": 2} | options))


def test_additive_functions_are_solved_exactly():
    found = search().fit(X)
    assert found.best_params_ == found.predicted_params_ == OPTIMUM
    assert found.best_score_ == pytest.approx(7.0, abs=1e-12)
    assert found.predicted_score_ == pytest.approx(7.0, abs=1e-12)
    # Taguchi's L18 and one confirmation, of 54 points.
    assert found.array_.shape == (18, 4)
    assert len(found.cv_results_["params"]) == 19
    assert found.best_index_ == found.predicted_index_ == 18


def test_random_additive_functions(rng):
    for _ in range(20):
        sizes = rng.integers(1, 5, size=4)
        table = {name: rng.normal(size=n) for name, n in zip("abcd", sizes, strict=True)}
        grid = {name: list(range(len(v))) for name, v in table.items()}

        def score(estimator, X, y=None, table=table):
            return sum(v[getattr(estimator, name)] for name, v in table.items())

        found = search(grid, scoring=score).fit(X)
        assert found.best_params_ == {name: np.argmax(v) for name, v in table.items()}
        assert found.best_score_ == pytest.approx(sum(v.max() for v in table.values()), abs=1e-12)


def test_main_effects_are_those_of_the_function():
    found = search().fit(X)
    mean = sum(np.mean(v) for v in TABLE.values())
    for name, effects in found.main_effects_.items():
        # In a balanced array all other parameters average out.
        np.testing.assert_allclose(effects - mean, TABLE[name] - np.mean(TABLE[name]), atol=1e-12)
    assert list(found.importances_) == ["b", "d", "a", "c"]
    np.testing.assert_allclose(list(found.importances_.values()), [5, 3, 1.9, 0.1], atol=1e-12)


def test_interactions_do_not_fool_the_choice():
    # -9 a b spoils the predicted optimum: the best of the runs is taken.
    found = OrthogonalArraySearchCV(Peak(interaction=-9.0), GRID, cv=2).fit(X)
    scores = found.cv_results_["mean_test_score"]
    assert found.best_score_ == scores.max()
    table = Peak(interaction=-9.0).set_params(**found.predicted_params_)
    assert scores[found.predicted_index_] == pytest.approx(table.score(X), abs=1e-12)
    assert abs(scores[found.predicted_index_] - found.predicted_score_) > 0.1


def test_no_candidate_is_evaluated_twice():
    for grid in (GRID, {"a": [0, 1, 2]}, {"a": [1]}, {"a": [1], "b": [0, 2]}):
        params = search(grid).fit(X).cv_results_["params"]
        assert len({tuple(p.items()) for p in params}) == len(params)


def test_parameters_of_one_value():
    found = search(GRID | {"c": [2]}).fit(X)
    assert found.best_params_ == OPTIMUM | {"c": 2}
    assert found.importances_["c"] == 0
    assert found.main_effects_["c"].shape == (1,)


def test_ties_go_to_the_first():
    found = search({"c": [2, 1], "d": [1, 1, 0]}).fit(X)
    assert found.predicted_params_ == {"c": 1, "d": 1}
    assert found.main_effects_["d"][0] == found.main_effects_["d"][1]
    # Of the two equal candidates, the first to be evaluated.
    assert found.predicted_index_ == found.cv_results_["params"].index({"c": 1, "d": 1})
    flat = search(scoring=lambda *_: 1.0).fit(X)
    assert flat.predicted_params_ == {name: values[0] for name, values in GRID.items()}
    assert set(flat.importances_.values()) == {0.0}


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_failed_fits():
    found = OrthogonalArraySearchCV(Peak(fail=1), GRID, cv=2).fit(X)
    assert np.isnan(found.main_effects_["b"][1])
    assert found.best_params_ == OPTIMUM | {"b": 2}
    worst = OrthogonalArraySearchCV(Peak(fail=1), GRID, cv=2, error_score=-50.0).fit(X)
    assert worst.main_effects_["b"][1] == -50
    assert worst.best_params_ == OPTIMUM | {"b": 2}
    assert found.predicted_score_ == pytest.approx(found.best_score_, abs=1e-12)
    with pytest.raises(ValueError, match="this one fails"):
        OrthogonalArraySearchCV(Peak(fail=1), GRID, cv=2, error_score="raise").fit(X)


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_single_failed_runs_do_not_bias_the_effects():
    def score(estimator, X, y=None):
        # The best of the runs fails, which no mean of the others should suffer from.
        point = tuple(getattr(estimator, name) for name in GRID)
        return np.nan if point == failing else estimator.score(X)

    failing = None
    whole = search(scoring=score).fit(X)
    runs = whole.array_[whole.cv_results_["mean_test_score"][:18].argsort()]
    for failing in (tuple(runs[-1]), tuple(runs[0])):  # noqa: B007 (score looks at it)
        found = search(scoring=score).fit(X)
        assert np.isnan(found.cv_results_["mean_test_score"]).sum() == 1
        for name, effects in found.main_effects_.items():
            np.testing.assert_allclose(effects, whole.main_effects_[name], atol=1e-12)
        assert found.best_params_ == OPTIMUM


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_all_runs_fail():
    found = search(scoring=lambda *_: np.nan, refit=False).fit(X)
    assert all(np.isnan(effects).all() for effects in found.main_effects_.values())
    assert set(found.importances_.values()) == {0.0}
    assert np.isnan(found.predicted_score_)


def both(estimator, X, y=None):
    """Return two metrics."""
    score = estimator.score(X, y)
    return {"good": score, "bad": -score}


@pytest.mark.parametrize("scoring", [both, {"good": Peak.score, "bad": lambda *a: -Peak.score(*a)}])
def test_the_metric_that_refit_names_is_followed(scoring):
    good = search(scoring=scoring, refit="good").fit(X)
    assert good.best_params_ == OPTIMUM
    bad = search(scoring=scoring, refit="bad").fit(X)
    assert bad.best_params_ == {"a": 1, "b": 0, "c": 2, "d": 0}
    assert {"mean_test_good", "rank_test_bad"} <= bad.cv_results_.keys()
    with pytest.raises(ValueError, match="refit must name the metric that the search follows"):
        search(scoring=scoring, refit=False).fit(X)


@pytest.mark.parametrize("kind", [OrthogonalArraySearchCV, DirectSearchCV])
def test_candidates_share_splits_that_are_drawn_without_a_seed(kind, rng):
    X, seen = rng.normal(size=(40, 1)), set()

    def score(estimator, X, y=None):
        seen.add(X.tobytes())
        return estimator.score(X, y)

    kind(Peak(), GRID, cv=KFold(2, shuffle=True), scoring=score).fit(X)
    assert len(seen) == 2


def test_bad_grids():
    for kind in (OrthogonalArraySearchCV, DirectSearchCV):
        with pytest.raises(TypeError, match="param_grid must be one dict"):
            kind(Peak(), [{"a": [0]}, {"b": [1]}], cv=2).fit(X)
        with pytest.raises(TypeError, match="param_grid must be one dict"):
            kind(Peak(), {}, cv=2).fit(X)
        with pytest.raises(ValueError, match="non-empty sequence"):
            kind(Peak(), {"a": []}, cv=2).fit(X)


# -------------------------------------------------------------------- one line of a script


@pytest.mark.parametrize("kind", SEARCHES[1:])
def test_defaults_are_those_of_a_grid_search(kind):
    ours, theirs = kind(Peak(), GRID).get_params(), GridSearchCV(Peak(), GRID).get_params()
    for name in theirs:
        if name != "estimator":
            assert ours[name] == theirs[name] or np.isnan([ours[name], theirs[name]]).all(), name


@pytest.mark.parametrize("kind", SEARCHES)
def test_searches_are_interchangeable(kind, rng):
    X = rng.normal(size=(30, 3))
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=30)
    unfitted = kind(
        Ridge(),
        {"alpha": [100.0, 1.0, 1e-3], "fit_intercept": [True, False]},
        scoring="r2",
        n_jobs=None,
        refit=True,
        cv=GroupKFold(3),
        verbose=0,
        error_score="raise",
        return_train_score=True,
    )
    copy = clone(unfitted)
    ours, theirs = copy.get_params(), GridSearchCV(Ridge(), {}).get_params()
    assert ours.keys() >= theirs.keys()
    assert copy.set_params(estimator__tol=1e-5).estimator.tol == 1e-5
    groups = np.arange(30) % 3
    found = copy.fit(X, y, groups=groups)
    assert found.best_params_["alpha"] == 1e-3
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict(X), found.predict(X))
    assert again.score(X, y) > 0.99
    parallel = clone(unfitted).set_params(n_jobs=2).fit(X, y, groups=groups)
    for key in ("mean_test_score", "std_test_score", "rank_test_score", "mean_train_score"):
        np.testing.assert_array_equal(parallel.cv_results_[key], found.cv_results_[key])
    reference = GridSearchCV(
        **{name: getattr(unfitted, name) for name in GridSearchCV(None, {}).get_params()}
    )
    reference.fit(X, y, groups=groups)
    assert reference.cv_results_.keys() == found.cv_results_.keys()
    assert vars(reference).keys() <= vars(found).keys()


@pytest.mark.parametrize("kind", SEARCHES)
def test_pipelines_of_snapshots(kind, snapshots, pipeline):
    grid = {
        "gridsnaptransformer__twojmax": [2, 3],
        "ldosregressor__lr": [1e-6, 1e-2],
        "ldosregressor__module__hidden_layer_sizes": [(8,), (4, 4)],
    }
    scoring = {"ldos": BandEnergyScorer(), "dft": BandEnergyScorer(reference="dft")}
    options = {"scoring": scoring, "refit": "ldos", "cv": 2, "error_score": "raise"}
    found = kind(pipeline.set_params(ldosregressor__max_epochs=20), grid, **options).fit(snapshots)
    assert len(found.cv_results_["params"]) <= 8
    assert found.best_score_ == found.cv_results_["mean_test_ldos"].max()
    assert found.predict(snapshots)[0].shape == (64, 11)
    assert found.best_params_["ldosregressor__lr"] == 1e-2
