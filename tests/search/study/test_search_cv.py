"""Studies of optuna as a search of scikit-learn: results, spaces, storages, failures."""

import pickle
import threading
import time

import joblib
import numpy as np
import optuna
import pytest
from joblib import parallel_config
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import parametrize_with_checks

from skldos import BandEnergyScorer, Snapshot
from skldos.search import StudySearchCV
from skldos.search.study import _storage
from skldos.search.study._space import label, parameters, suggest

X = np.zeros((6, 1))
SPACE = {"a": FloatDistribution(0, 1), "b": [(1,), (2, 3), None], "c": range(2, 9, 3)}


class Hill(BaseEstimator):
    """Its score has one maximum, at a = 0.3, b = (2, 3), c = 8."""

    def __init__(self, a=0.0, b=None, c=2, random_state=0, fails=False):
        self.a = a
        self.b = b
        self.c = c
        self.random_state = random_state
        self.fails = fails

    def fit(self, X, y=None):
        """Fail on demand."""
        if self.fails:
            raise ValueError("this one fails")
        assert self.b is None or isinstance(self.b, tuple)
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        """Return the height."""
        noise = 1e-3 * self.random_state
        return -((self.a - 0.3) ** 2) + (self.b == (2, 3)) + 0.1 * self.c + noise

    def predict(self, X):
        """Return a."""
        return np.full(len(X), self.a)


def search(space=None, **options):
    options = {"n_trials": 8, "cv": 3, "random_state": 0} | options
    return StudySearchCV(Hill(), SPACE if space is None else space, **options)


@pytest.fixture(params=["journal", "sqlite"])
def storage(request, tmp_path):
    """Where a study survives."""
    if request.param == "journal":
        return tmp_path / "journal.log"
    return f"sqlite:///{tmp_path}/study.db"


# -------------------------------------------------------------------- results


def test_the_optimum_is_found():
    found = search(n_trials=60).fit(X)
    assert found.best_params_["b"] == (2, 3)
    assert found.best_params_["c"] == 8
    assert found.best_params_["a"] == pytest.approx(0.3, abs=0.1)
    random = search(n_trials=60, sampler=optuna.samplers.RandomSampler(seed=0)).fit(X)
    assert (
        np.median(found.cv_results_["mean_test_score"])
        > np.median(random.cv_results_["mean_test_score"]) + 0.1
    )
    assert found.best_estimator_.get_params()["b"] == (2, 3)
    assert found.best_score_ == max(found.cv_results_["mean_test_score"])
    assert found.best_score_ == pytest.approx(found.score(X), rel=1e-12)
    np.testing.assert_array_equal(found.predict(X), found.best_params_["a"])


def test_the_table_of_results():
    found = search().fit(X)
    results, n = found.cv_results_, 8
    assert found.n_splits_ == 3
    assert all(len(column) == n for column in results.values())
    np.testing.assert_array_equal(results["trial"], range(n))
    assert set(results["state"]) == {"complete"}
    splits = np.array([results[f"split{i}_test_score"] for i in range(3)])
    np.testing.assert_allclose(results["mean_test_score"], splits.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(results["std_test_score"], splits.std(axis=0), atol=1e-12)
    assert results["rank_test_score"][found.best_index_] == 1
    assert results["params"][found.best_index_] is found.best_params_
    assert list(results["param_b"]) == [params["b"] for params in results["params"]]
    assert (results["mean_fit_time"] > 0).all()


def test_scores_are_those_of_cross_validation(pipeline, snapshots):
    seen = []

    def scorer(estimator, X, y=None):
        seen.extend(X)
        return BandEnergyScorer()(estimator, X, y)

    space = {"ldosregressor__lr": [1e-2, 3e-3], "gridsnaptransformer__r_cut": [4.0, 4.7]}
    found = StudySearchCV(pipeline, space, n_trials=3, cv=3, scoring=scorer, random_state=0)
    found.fit(snapshots)
    assert all(isinstance(snapshot, Snapshot) for snapshot in seen)
    assert len(set(found.cv_results_["mean_test_score"])) > 1
    for i, params in enumerate(found.cv_results_["params"]):
        model = clone(pipeline).set_params(**params)
        expected = cross_val_score(model, snapshots, cv=3, scoring=BandEnergyScorer())
        scores = [found.cv_results_[f"split{j}_test_score"][i] for j in range(3)]
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert len(found.predict(snapshots)) == 6
    assert BandEnergyScorer()(found, snapshots) == pytest.approx(found.score(snapshots))


@parametrize_with_checks(
    [
        StudySearchCV(
            Ridge(), {"alpha": [0.1, 1.0]}, n_trials=2, cv=2, error_score="raise", random_state=0
        )
    ]
)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_plain_arrays(rng):
    inputs, targets = rng.normal(size=(30, 3)), rng.normal(size=30)
    found = StudySearchCV(
        Ridge(), {"alpha": FloatDistribution(1e-3, 1e3, log=True)}, n_trials=4, random_state=0
    )
    assert is_regressor(found)
    found.fit(inputs, targets)
    model = clone(Ridge(**found.best_params_))
    assert found.best_score_ == pytest.approx(cross_val_score(model, inputs, targets).mean())
    assert found.n_features_in_ == 3
    assert found.score(inputs, targets) == found.best_estimator_.score(inputs, targets)


def test_groups():
    inputs, groups = np.arange(6.0)[:, None], [0, 1, 0, 1, 0, 1]

    def scorer(estimator, X, y=None):
        return X[:, 0].sum()

    found = search(scoring=scorer, cv=GroupKFold(2), n_trials=1).fit(inputs, groups=groups)
    sums = {found.cv_results_[f"split{i}_test_score"][0] for i in range(2)}
    assert sums == {0 + 2 + 4, 1 + 3 + 5}


class Slow(Hill):
    """Every fit takes 100 s, and every score 1000 s, by a clock of its own."""

    now = 0.0

    def fit(self, X, y=None):
        """Let time pass."""
        Slow.now += 100
        return super().fit(X, y)

    def score(self, X, y=None):
        """Let more time pass."""
        Slow.now += 1000
        return super().score(X, y)


class SlowTransformer(FunctionTransformer):
    """Takes 10 s to fit."""

    def fit_transform(self, X, y=None):
        """Let time pass."""
        Slow.now += 10
        return super().fit_transform(X, y)


def test_times_are_those_of_fits_and_scores(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: Slow.now)
    model = make_pipeline(SlowTransformer(), Slow(b=(1,)))
    found = StudySearchCV(
        model, {"slow__a": FloatDistribution(0, 1)}, n_trials=2, n_repeats=3, cv=2, random_state=0
    ).fit(X)
    # Per fold: transformers once, for three trainings.
    np.testing.assert_allclose(found.cv_results_["mean_fit_time"], 10 + 3 * 100)
    np.testing.assert_allclose(found.cv_results_["mean_score_time"], 3 * 1000)
    np.testing.assert_array_equal(found.cv_results_["std_fit_time"], 0)
    assert found.refit_time_ == 110
    first = found.study_.trials[0].user_attrs["trainings"]["fit_time"]
    np.testing.assert_allclose(first, [[110, 100, 100]] * 2)


def test_repeats_have_seeds_of_their_own():
    found = search(n_repeats=3, n_trials=2).fit(X)
    once = search(n_trials=2).fit(X)
    rises = found.cv_results_["mean_test_score"] - once.cv_results_["mean_test_score"]
    np.testing.assert_allclose(rises, 1e-3 * (0 + 1 + 2) / 3, rtol=1e-9)
    for scores in found.study_.trials[0].user_attrs["trainings"]["score"]:
        np.testing.assert_allclose(np.diff(scores), 1e-3, rtol=1e-9)


def test_folds_in_parallel_change_nothing():
    expected = search().fit(X).cv_results_["mean_test_score"]
    with parallel_config("threading", n_jobs=2):
        found = search(n_jobs=2).fit(X).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(found, expected)


def test_it_is_reproducible():
    first, second = (search().fit(X).cv_results_["params"] for _ in range(2))
    assert first == second
    assert len({params["a"] for params in first}) == 8
    assert search(random_state=1).fit(X).cv_results_["params"] != first
    assert search(random_state=None).fit(X).cv_results_["params"] != first


def test_copies(tmp_path):
    unfitted = search(storage=tmp_path / "journal.log", candidates=[{"a": 0.5, "b": (1,), "c": 2}])
    assert clone(unfitted).get_params()["storage"] == tmp_path / "journal.log"
    found = clone(unfitted).fit(X)
    trials = found.study_.trials
    joblib.dump(found, tmp_path / "search.joblib")
    pickled = pickle.dumps(found)
    # What is loaded needs no storage.
    (tmp_path / "journal.log").unlink()
    for again in (joblib.load(tmp_path / "search.joblib"), pickle.loads(pickled)):
        assert again.best_params_ == found.best_params_
        assert again.study_.best_value == found.best_score_
        assert [trial.params for trial in again.study_.trials] == [t.params for t in trials]
        np.testing.assert_array_equal(again.predict(X), found.predict(X))


def test_what_the_best_estimator_lacks():
    assert not hasattr(search(), "transform")
    assert hasattr(search(), "predict")


def test_one_line_per_trial(capsys):
    search(n_trials=2, verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("trial 1: complete, score ")
    search(n_trials=2).fit(X)
    assert capsys.readouterr() == ("", "")


# -------------------------------------------------------------------- spaces


def test_values_of_all_kinds():
    first, second = np.array([1, 2]), np.array([3, 4])
    space = {
        "float": FloatDistribution(1e-3, 1e3, log=True),
        "step": FloatDistribution(0, 1, step=0.25),
        "integer": IntDistribution(1, 64, log=True),
        "range": range(10, 0, -3),
        "plain": CategoricalDistribution(["a", "b"]),
        "tuples": [(1,), (1, 2)],
        "arrays": [first, second],
        "estimators": (Ridge(), SVR()),
        "numbers": np.array([1, 4]),
    }
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = []
    for _ in range(30):
        trial = study.ask()
        params = suggest(space, trial)
        assert list(params) == list(space)
        # What the study knows leads back to the same values.
        assert str(parameters(space, trial.params)) == str(params)
        found.append(params)
    assert {params["range"] for params in found} == {1, 4, 7, 10}
    assert {params["step"] for params in found} <= {0, 0.25, 0.5, 0.75, 1}
    assert {params["numbers"] for params in found} == {1, 4}
    assert {params["tuples"] for params in found} == {(1,), (1, 2)}
    assert {id(params["arrays"]) for params in found} == {id(first), id(second)}
    assert {type(params["estimators"]) for params in found} == {Ridge, SVR}
    assert all(0 < params["integer"] <= 64 for params in found)
    asked = study.trials[0].distributions
    assert {n for n in asked if getattr(asked[n], "log", False)} == {"float", "integer"}


def test_labels_are_the_same_in_every_process():
    assert label(np.float64(0.5)) == 0.5
    assert type(label(np.int64(3))) is int
    assert label(test_values_of_all_kinds) == "<function test_values_of_all_kinds>"


def conditional(trial):
    """With b comes c."""
    b = trial.suggest_categorical("form", [None, (1,), (2, 3)])
    params = {"a": trial.suggest_float("a", 0, 1), "b": b}
    return params if b is None else params | {"c": trial.suggest_int("more", 2, 8)}


def test_conditional_spaces(tmp_path):
    # The second search knows the trials of the first from the storage alone.
    for n_trials in (10, 25):
        options = {"n_trials": n_trials, "storage": tmp_path / "journal.log"}
        found = search(conditional, **options).fit(X)
    results = found.cv_results_
    assert len(results["params"]) == 25
    lacking = [params["b"] is None for params in results["params"]]
    assert 0 < sum(lacking) < 25
    np.testing.assert_array_equal(results["param_c"].mask, lacking)
    assert found.best_params_["b"] == (2, 3)
    assert "c" in found.best_params_


def test_candidates_are_tried_first():
    tried = [{"a": 0.25, "b": (2, 3), "c": 5}, {"a": 0.75, "b": None}]
    found = search(candidates=tried).fit(X)
    params = found.cv_results_["params"]
    assert params[0] == tried[0]
    assert params[1] == tried[1] | {"c": params[1]["c"]}
    again = search(candidates=tried, study=found.study_, n_trials=12).fit(X)
    assert sum(params["a"] == 0.25 for params in again.cv_results_["params"]) == 1


# -------------------------------------------------------------------- studies


def test_a_study_goes_on(storage):
    first = search(n_trials=3, storage=storage).fit(X)
    assert len(first.cv_results_["params"]) == 3
    second = search(n_trials=5, storage=storage).fit(X)
    assert second.cv_results_["params"][:3] == first.cv_results_["params"]
    assert len(second.cv_results_["params"]) == 5
    third = search(n_trials=5, storage=storage).fit(X)
    assert third.cv_results_["params"] == second.cv_results_["params"]
    assert third.best_params_ == second.best_params_
    # The same, as if it had never stopped.
    assert second.cv_results_["params"] == search(n_trials=5).fit(X).cv_results_["params"]
    other = search(n_trials=2, storage=storage, study_name="other").fit(X)
    assert len(other.cv_results_["params"]) == 2


def test_a_study_that_exists():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    found = search(study=study).fit(X)
    assert len(study.trials) == 8
    assert study.best_value == found.best_score_
    assert isinstance(study.sampler, optuna.samplers.RandomSampler)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cv": 2}, "other folds"),
        ({"scoring": "r2"}, "other scoring"),
        ({"n_repeats": 2}, "other n_repeats"),
        ({"space": {"d": [1, 2]}}, "trial 0 of the study does not fit space"),
    ],
)
def test_what_does_not_belong_to_a_study(tmp_path, change, message):
    search(n_trials=2, storage=tmp_path / "journal.log").fit(X)
    with pytest.raises(ValueError, match=message):
        search(n_trials=3, storage=tmp_path / "journal.log").set_params(**change).fit(X)


def test_unseeded_splits_within_one_call():
    # All trials see the same folds, or scores would differ by more than the parameters.
    def scorer(estimator, X, y=None):
        return X[:, 0].sum()

    inputs = np.arange(12.0)[:, None]
    found = search(scoring=scorer, cv=KFold(3, shuffle=True)).fit(inputs)
    for i in range(3):
        assert len(set(found.cv_results_[f"split{i}_test_score"])) == 1


def test_an_interrupted_trial_is_tried_again(tmp_path, monkeypatch):
    calls = []

    def interrupted(self, X, y=None):
        calls.append(self.a)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return self

    monkeypatch.setattr(Hill, "fit", interrupted)
    options = {"cv": 2, "storage": tmp_path / "journal.log", "refit": False}
    with pytest.raises(KeyboardInterrupt):
        search(**options).fit(X)
    found = search(**options).fit(X)
    assert [t.state for t in found.study_.trials].count(TrialState.FAIL) == 1
    assert found.cv_results_["params"][0]["a"] == calls[0] == calls[2]
    assert len(found.cv_results_["params"]) == 8


def test_time_is_up():
    found = search(n_trials=10**6, timeout=1.0).fit(X)
    assert 0 < len(found.cv_results_["params"]) < 10**5


# -------------------------------------------------------------------- failures


def test_failed_fits():
    space = {"fails": [True, False], "a": FloatDistribution(0, 1)}
    with pytest.warns(FitFailedWarning, match=r"(?s)its score is nan.*this one fails"):
        found = search(space).fit(X)
    results = found.cv_results_
    assert len(results["params"]) == 8
    failed = np.array([params["fails"] for params in results["params"]])
    assert 0 < failed.sum() < 8
    np.testing.assert_array_equal(np.isnan(results["mean_test_score"]), failed)
    np.testing.assert_array_equal(results["state"] == "fail", failed)
    assert set(results["rank_test_score"][failed]) == {8 - failed.sum() + 1}
    with pytest.warns(FitFailedWarning):
        worst = search(space, error_score=-5.0).fit(X)
    assert min(worst.cv_results_["mean_test_score"]) == -5
    with pytest.raises(ValueError, match="this one fails"):
        search(space, error_score="raise").fit(X)


class Deep(Hill):
    """Fails deep down."""

    def fit(self, X, y=None):
        """Begin to fail."""
        return self.lower(5)

    def lower(self, n):
        """Fail at the bottom."""
        if n == 0:
            raise ValueError("at the bottom")
        return self.lower(n - 1)


def test_the_last_three_calls_of_an_error_are_kept(capsys):
    space = {"a": FloatDistribution(0, 1)}
    options = {"n_trials": 2, "cv": 2, "random_state": 0, "error_score": -1.0, "refit": False}
    with pytest.warns(FitFailedWarning, match="at the bottom"):
        found = StudySearchCV(Deep(), space, **options).fit(X)
    text = found.study_.trials[0].user_attrs["error"]
    assert text.count('File "') == 3
    assert text.count("in lower") == 3
    assert text.rstrip().endswith("ValueError: at the bottom")
    failing = search({"fails": [True, False], "a": FloatDistribution(0, 1)}, verbose=1)
    with pytest.warns(FitFailedWarning):
        failing.fit(X)
    lines = capsys.readouterr().out.splitlines()
    for line, trial in zip(lines, failing.study_.trials, strict=True):
        assert line.startswith(f"trial {trial.number}: fail, {{") == trial.params["fails"]


def test_no_score_at_all():
    with (
        pytest.warns(FitFailedWarning),
        pytest.raises(ValueError, match=r"(?s)no trial out of 3 gave a score.*this one fails"),
    ):
        search({"fails": [True]}, n_trials=3).fit(X)
    with pytest.raises(ValueError, match="the score is NaN"):
        search(scoring=lambda estimator, X, y=None: np.nan).fit(X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"space": {}}, TypeError, "space must be a dict from names"),
        ({"space": {"a": 1}}, TypeError, r"space\['a'\] must be a distribution of optuna, a list"),
        ({"space": {"a": []}}, ValueError, r"space\['a'\] must hold one value or more"),
        ({"space": lambda trial: 1}, TypeError, r"space\(trial\) must return a dict"),
        ({"space": {"a": [(1,), "(1,)"]}}, ValueError, "choices of 'a' must differ in name"),
        ({"space": {"zzz": [1]}}, ValueError, "Invalid parameter 'zzz'"),
        ({"n_trials": 0}, ValueError, "n_trials must be >= 1, got 0"),
        ({"n_repeats": 0.5}, TypeError, "n_repeats must be an integer"),
        ({"timeout": 0}, ValueError, "timeout must be > 0"),
        ({"heartbeat": -1}, ValueError, "heartbeat must be > 0"),
        ({"scoring": 3}, TypeError, "scoring must be a scorer.*or a list.*several.*got 3"),
        ({"scoring": ["r2", "max_error"]}, ValueError, r"refit must name.*\['max_error', 'r2'\]"),
        ({"scoring": {"a": "r2"}, "refit": "r2"}, ValueError, r"one of \['a'\]; got 'r2'"),
        ({"error_score": "nan"}, TypeError, "error_score must be 'raise' or a number"),
        ({"pruner": "median"}, TypeError, "pruner must be a pruner of optuna, got 'median'"),
        ({"sampler": "tpe"}, TypeError, "sampler must be a sampler of optuna, got 'tpe'"),
        ({"storage": 3}, TypeError, "storage must be the path of a journal.*got 3"),
    ],
)
def test_bad_input(options, error, message):
    with pytest.raises(error, match=message):
        search().set_params(**options).fit(X)


def test_wrong_studies(tmp_path):
    with pytest.raises(ValueError, match="direction='maximize'"):
        search(study=optuna.create_study()).fit(X)
    study = optuna.create_study(direction="maximize")
    with pytest.raises(ValueError, match="either study or storage"):
        search(study=study, storage=tmp_path / "journal.log").fit(X)


def test_a_space_with_fewer_parameters_is_another_one(tmp_path):
    X, y = (np.random.default_rng(0).normal(size=shape) for shape in ((12, 2), 12))
    options = {"cv": 2, "storage": tmp_path / "study.log", "study_name": "a", "random_state": 0}
    StudySearchCV(SVR(), {"C": [1, 2], "gamma": [0.1, 1.0]}, n_trials=2, **options).fit(X, y)
    with pytest.raises(ValueError, match=r"does not vary \['gamma'\]"):
        StudySearchCV(SVR(), {"C": [1, 2]}, n_trials=3, **options).fit(X, y)


def test_a_space_may_forbid_combinations_and_know_the_trial():
    X, y = (np.random.default_rng(0).normal(size=shape) for shape in ((12, 2), 12))

    def space(trial):
        C = trial.suggest_categorical("C", [1.0, 2.0, 3.0])
        if C == 2.0:
            raise optuna.TrialPruned
        return {"C": C, "degree": trial.number + 1}

    search = StudySearchCV(SVR(), space, n_trials=8, cv=2, random_state=0).fit(X, y)
    results = search.cv_results_
    assert {"complete", "pruned"} == set(results["state"])
    for number, state, params in zip(
        results["trial"], results["state"], results["params"], strict=True
    ):
        assert (params["C"] == 2.0) == (state == "pruned")
        if state == "complete":
            assert params["degree"] == number + 1


# -------------------------------------------------------------------- storages


def test_trials_of_a_study_are_not_copied():
    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    study.ask()
    one, two = (_storage.trials_of(study) for _ in range(2))
    assert len(one) == 4
    assert all(a is b for a, b in zip(one[:3], two[:3], strict=True))
    assert [t.number for t in _storage.trials_of(study, TrialState.RUNNING)] == [3]


def test_a_heartbeat_keeps_no_process_alive():
    study = optuna.create_study(direction="maximize")
    trial, before = study.ask(), set(threading.enumerate())
    with _storage.signs_of_life(trial, 600.0):
        (pulse,) = set(threading.enumerate()) - before
        assert pulse.daemon
        assert abs(study.trials[0].user_attrs["alive"] - time.time()) < 600
    assert not pulse.is_alive()


@pytest.mark.parametrize("interval", [3600.0, 0.25])
def test_others_are_looked_for_within_a_heartbeat_and_a_few_seconds(interval):
    assert 0 < _storage.RollCall(interval).pause <= min(interval, 5.0)


@pytest.mark.parametrize(("n_errors", "opens"), [(1, True), (100, False)])
def test_a_database_that_is_busy_is_tried_again(monkeypatch, n_errors, opens):
    from sqlalchemy.exc import SQLAlchemyError

    attempts, pauses = [], []

    def database(address):
        attempts.append(address)
        if len(attempts) <= n_errors:
            raise SQLAlchemyError("busy")
        return "opened"

    monkeypatch.setattr(_storage, "RDBStorage", database)
    monkeypatch.setattr(_storage.time, "sleep", pauses.append)
    if opens:
        assert _storage._database("sqlite:///x") == "opened"
    else:
        with pytest.raises(SQLAlchemyError, match="busy"):
            _storage._database("sqlite:///x")
    assert set(attempts) == {"sqlite:///x"}
    assert 2 <= len(attempts) < 10
    assert len(pauses) == len(attempts) - 1
    assert min(pauses) > 0
    assert sum(pauses) < 60
