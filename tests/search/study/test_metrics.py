"""Several metrics in one study, and attributes that a search keeps from its last fit."""

import pickle

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_validate

from skldos.plotting import SearchDisplay
from skldos.search import StudySearchCV
from skldos.search.candidates import candidates
from skldos.search.study._metrics import Metrics

X, Y = (array[:90] for array in load_diabetes(return_X_y=True))
SPACE = {"alpha": FloatDistribution(1e-3, 1e3, log=True)}


def largest(estimator, X, y):
    """A scorer of one's own."""
    return -float(np.abs(estimator.predict(X) - y).max())


SEVERAL = {
    "list": (["r2", "neg_mean_absolute_error"], "neg_mean_absolute_error"),
    "tuple": (("neg_mean_absolute_error", "r2"), "r2"),
    "dict": ({"fit": "r2", "largest": largest, "time": "neg_max_error"}, "largest"),
}


def search(scoring, refit, **options):
    options = {"n_trials": 6, "cv": 3, "random_state": 0} | options
    return StudySearchCV(Ridge(), SPACE, scoring=scoring, refit=refit, **options)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize(("scoring", "refit"), SEVERAL.values(), ids=SEVERAL)
def test_all_scores_are_those_of_cross_validation(scoring, refit, n_jobs):
    found = search(scoring, refit, n_jobs=n_jobs).fit(X, Y)
    results = found.cv_results_
    assert "mean_test_score" not in results
    names = list(scoring)
    for i, params in enumerate(results["params"]):
        model = clone(found.estimator).set_params(**params)
        expected = cross_validate(model, X, Y, cv=3, scoring=scoring)
        for name in names:
            splits = [results[f"split{j}_test_{name}"][i] for j in range(3)]
            np.testing.assert_allclose(splits, expected[f"test_{name}"])
            assert results[f"mean_test_{name}"][i] == pytest.approx(np.mean(splits))
            assert results[f"std_test_{name}"][i] == pytest.approx(np.std(splits))
    for name in names:
        order = np.argsort(-results[f"mean_test_{name}"])
        np.testing.assert_array_equal(results[f"rank_test_{name}"][order], range(1, 7))
    # The study follows the metric that refit names.
    assert found.best_index_ == np.argmax(results[f"mean_test_{refit}"])
    assert found.best_score_ == results[f"mean_test_{refit}"].max()
    assert [t.value for t in found.study_.trials] == pytest.approx(
        results[f"mean_test_{refit}"].tolist()
    )
    assert set(found.scorer_) == set(names)
    assert found.score(X, Y) == found.scorer_[refit](found.best_estimator_, X, Y)
    assert pickle.loads(pickle.dumps(found)).score(X, Y) == found.score(X, Y)


@pytest.mark.parametrize("scoring", ["neg_mean_absolute_error", {"r2": "r2"}])
def test_names_of_scorers_that_need_y_are_refused_without_it(scoring):
    metrics = Metrics(Ridge(), scoring, "r2")
    model = Ridge().fit(X, Y)
    assert np.isfinite([*metrics(model, X, Y).values()]).all()
    with pytest.raises(ValueError, match=r"pass a scorer such as BandEnergyScorer\(\)"):
        metrics(model, X)


def test_other_errors_of_scorers_are_their_own():
    def broken(*data):
        raise TypeError("broken")

    with pytest.raises(TypeError, match="broken"):
        Metrics(Ridge(), broken, True)(Ridge(), X)


def test_one_metric_of_several_is_that_metric_alone():
    scoring, refit = SEVERAL["list"]
    several, alone = search(scoring, refit).fit(X, Y), search(refit, True).fit(X, Y)
    np.testing.assert_array_equal(
        several.cv_results_[f"mean_test_{refit}"], alone.cv_results_["mean_test_score"]
    )
    assert several.best_params_ == alone.best_params_


def test_tables_and_plots_know_the_metrics():
    found = search(*SEVERAL["dict"]).fit(X, Y)
    np.testing.assert_array_equal(
        candidates(found)["score"], found.cv_results_["mean_test_largest"]
    )
    np.testing.assert_array_equal(
        candidates(found, "fit")["score"], found.cv_results_["mean_test_fit"]
    )
    display = SearchDisplay.from_metrics(found, "fit", "largest")
    assert display.table["error"].tolist() == (-found.cv_results_["mean_test_largest"]).tolist()


def test_a_study_that_goes_on_must_follow_the_same_metric(tmp_path):
    scoring, refit = SEVERAL["list"]
    options = {"storage": tmp_path / "study.log"}
    first = search(scoring, refit, **options).fit(X, Y)
    again = search(scoring, refit, **options, n_trials=8).fit(X, Y)
    for name in scoring:
        column = f"mean_test_{name}"
        np.testing.assert_array_equal(again.cv_results_[column][:6], first.cv_results_[column])
        assert np.isfinite(again.cv_results_[column]).all()
    with pytest.raises(ValueError, match="the study has other scoring"):
        search(scoring, "r2", **options).fit(X, Y)


class Picky(BaseEstimator):
    """Fails for large numbers."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y=None):
        """Fail or learn a number."""
        if self.alpha > 1:
            raise ValueError("too large")
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        """Return the number."""
        return np.full(len(X), self.mean_)


@pytest.mark.filterwarnings("ignore:trial . failed")
@pytest.mark.parametrize("error_score", [np.nan, -99.0])
def test_failed_fits_have_no_score_or_the_same_by_all(error_score):
    scoring, refit = SEVERAL["list"]
    found = StudySearchCV(
        Picky(), SPACE, scoring=scoring, refit=refit, error_score=error_score, cv=3, n_trials=8,
        random_state=0,
    ).fit(X, Y)  # fmt: skip
    failed = np.array([params["alpha"] > 1 for params in found.cv_results_["params"]])
    assert 0 < failed.sum() < 8
    for name in scoring:
        means = found.cv_results_[f"mean_test_{name}"]
        np.testing.assert_array_equal(means[failed], error_score)
        assert (means[~failed] > -99).all()


# -------------------------------------------------------------------- what was fitted is what acts


def test_parameters_changed_after_fit_change_nothing():
    found = search(*SEVERAL["list"]).fit(X, Y)
    score, predicted = found.score(X, Y), found.predict(X)
    found.set_params(refit="r2", scoring="r2", estimator=Ridge(1e9), space={"alpha": [1.0]})
    assert found.score(X, Y) == score
    np.testing.assert_array_equal(found.predict(X), predicted)
    found.set_params(refit=False)
    np.testing.assert_array_equal(found.predict(X), predicted)


def test_nothing_is_left_of_an_earlier_fit():
    found = search("r2", True).fit(X, Y)
    found.set_params(refit=False).fit(X, Y)
    for name in ("best_estimator_", "refit_time_"):
        assert not hasattr(found, name)
    with pytest.raises(AttributeError, match="made with refit=False"):
        found.predict(X)
    found.set_params(refit=True)
    with pytest.raises(AttributeError, match="made with refit=False"):
        found.score(X, Y)
