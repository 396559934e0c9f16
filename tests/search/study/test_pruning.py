"""What a trial reports of networks inside pipelines, and how it ends early."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.pruners import HyperbandPruner, MedianPruner, ThresholdPruner
from optuna.trial import TrialState
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochScoring

from skldos import (
    ADOSRegressor,
    AtomEnvTransformer,
    BandEnergyScorer,
    CSNNRegressor,
    DOSScorer,
    LDOSRegressor,
)
from skldos.search import NASWOTPruner, NASWOTScorer, StudySearchCV, screen_candidates

LR = "ldosregressor__lr"
SIZES = "ldosregressor__module__hidden_layer_sizes"


class Never(optuna.pruners.BasePruner):
    """Looks at reports and prunes nothing."""

    def prune(self, study, trial):
        """Return False."""
        return False


@pytest.fixture
def data(rng):
    """Forty samples of a function that is easy to learn."""
    X = rng.normal(size=(40, 4))
    return X, np.column_stack([X[:, 0] + 1, X[:, 1] ** 2])


@pytest.fixture
def network():
    """A network that learns it in a few epochs."""
    return make_pipeline(
        StandardScaler(),
        LDOSRegressor(
            module__hidden_layer_sizes=(16,), lr=3e-2, max_epochs=6, batch_size=10, random_state=0
        ),
    )


def search(model, space, **options):
    options = {"n_trials": 1, "cv": 2, "random_state": 0, "pruner": Never()} | options
    return StudySearchCV(model, space, **options)


def reports(found, number=0):
    return found.study_.trials[number].intermediate_values


# -------------------------------------------------------------------- reports


def test_epochs_of_the_first_training_and_the_ends_of_all(network, data):
    X, y = data
    network.set_params(ldosregressor__train_split=0.2)
    found = search(network, {LR: [0.03]}, cv=3, n_repeats=2).fit(X, y)
    reported = reports(found)
    assert list(reported) == [1, 2, 3, 4, 5, 6, 12, 18, 24, 30, 36]
    # The same without a study: repeats inside folds.
    losses = []
    for training, _ in KFold(3).split(X):
        for seed in (0, 1):
            model = clone(network).set_params(ldosregressor__random_state=seed)
            model.fit(X[training], y[training])
            losses.append(model[-1].history[:, "valid_loss"])
    assert len(set(np.ravel(losses))) == 36
    np.testing.assert_allclose([reported[i + 1] for i in range(6)], np.negative(losses[0]))
    ends = [losses[i][-1] for i in range(6)]
    means = np.cumsum(ends) / np.arange(1, 7)
    np.testing.assert_allclose([reported[6 * i] for i in range(1, 7)], -means)


def test_the_default_without_validation_data_is_the_score_of_what_is_held_out(network, data):
    X, y = data
    found = search(network, {LR: [0.03]}).fit(X, y)
    training, test = next(KFold(2).split(X))
    expected = []
    for n_epochs in (1, 3, 6):
        model = clone(network).set_params(ldosregressor__max_epochs=n_epochs)
        expected.append(model.fit(X[training], y[training]).score(X[test], y[test]))
    assert expected[0] < expected[2]
    np.testing.assert_allclose([reports(found)[n] for n in (1, 3, 6)], expected, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:n_electrons")  # no Fermi level yet in the first epochs
def test_band_energies_of_held_out_snapshots(pipeline, snapshots):
    found = search(pipeline, {LR: [0.01]}, monitor=BandEnergyScorer()).fit(snapshots)
    pipeline.set_params(ldosregressor__max_epochs=2, ldosregressor__dos_weight=None)
    expected = BandEnergyScorer()(pipeline.fit(snapshots[3:]), snapshots[:3])
    assert reports(found)[2] == pytest.approx(expected, rel=1e-4)
    assert list(reports(found)) == [1, 2, 3, 4, 5, 10]


def test_a_loss_that_a_callback_records(network, data):
    X, y = data

    def loss(net, dataset, y=None):
        return 7.0

    scoring = EpochScoring(loss, name="own_loss", use_caching=False)
    network.set_params(ldosregressor__train_split=0.2, ldosregressor__callbacks=[("own", scoring)])
    found = search(network, {LR: [0.03]}, monitor="own_loss").fit(X, y)
    assert set(reports(found).values()) == {-7.0}


def test_reports_change_no_score(network, data):
    X, y = data
    network.set_params(ldosregressor__module__dropout=0.3)
    space = {LR: [0.03, 0.01]}
    watched = search(network, space, n_trials=3).fit(X, y)
    plain = search(network, space, n_trials=3, pruner=None).fit(X, y)
    assert not reports(plain)
    np.testing.assert_array_equal(
        watched.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_a_network_within_the_last_step(snapshots):
    network = CSNNRegressor(
        module__factor=1, max_epochs=3, train_split=1, batch_size=8, random_state=0
    )
    head = AtomEnvTransformer(n_spheres=2, subdivisions=0)
    model = make_pipeline(head, ADOSRegressor(network))
    name = "adosregressor__regressor__lr"
    found = search(model, {name: [1e-3]}, scoring=DOSScorer()).fit(snapshots)
    assert list(reports(found)) == [1, 2, 3, 6]
    model.set_params(adosregressor__regressor__train_split=None)
    scorer = DOSScorer()
    found = search(model, {name: [1e-3]}, scoring=scorer, monitor=scorer).fit(snapshots)
    assert list(reports(found)) == [1, 2, 3, 6]
    with pytest.raises(ValueError, match="set its train_split, or pass a scorer as monitor"):
        search(model, {name: [1e-3]}, scoring=scorer, error_score="raise").fit(snapshots)


def test_estimators_without_epochs_report_scores(data):
    X, y = data
    found = search(Ridge(), {"alpha": [1.0]}, cv=4).fit(X, y)
    scores = [found.cv_results_[f"split{i}_test_score"][0] for i in range(4)]
    means = np.cumsum(scores) / np.arange(1, 5)
    np.testing.assert_allclose(list(reports(found).values()), means)
    assert list(reports(found)) == [1, 2, 3, 4]


def test_wrong_monitor(network, data):
    with pytest.raises(ValueError, match=r"monitor='valid_loss' must be a loss that.*train_loss"):
        search(network, {LR: [0.03]}, monitor="valid_loss", error_score="raise").fit(*data)


class Counter(TransformerMixin, BaseEstimator):
    """Counts how often it is fitted, and how often it transforms."""

    n_fits = n_transforms = 0

    def fit(self, X, y=None):
        """Count."""
        type(self).n_fits += 1
        self.fitted_ = True
        return self

    def transform(self, X):
        """Count, and pass on."""
        type(self).n_transforms += 1
        return X


def test_transformers_are_fitted_once_per_fold(network, data):
    Counter.n_fits = Counter.n_transforms = 0
    model = make_pipeline(Counter(), network[-1])
    search(model, {LR: [0.03]}, cv=3, n_repeats=4, refit=False).fit(*data)
    assert Counter.n_fits == 3
    # What is trained on, and what is watched; the score of each training transforms anew.
    assert Counter.n_transforms == 3 * (1 + 1 + 4)


# -------------------------------------------------------------------- pruning


def test_the_median_ends_bad_trials(network, data):
    X, y = data
    rates = [0.03, 0.02, 0.03, 1e-6, 0.02]
    found = search(
        network,
        {LR: CategoricalDistribution(sorted(set(rates)))},
        candidates=[{LR: rate} for rate in rates],
        pruner=MedianPruner(n_startup_trials=3, n_warmup_steps=2),
        n_trials=5,
    ).fit(X, y)
    results = found.cv_results_
    assert results["state"][3] == "pruned"
    assert set(results["state"][:3]) == {"complete"}
    assert list(reports(found, 3)) == [1, 2]
    assert np.isnan(results["mean_test_score"][3])
    assert results["mean_fit_time"][3] > 0
    assert results["rank_test_score"][3] == 5 - (results["state"] == "pruned").sum() + 1
    assert found.best_params_[LR] > 1e-6
    assert len(results["params"]) == 5


def test_other_pruners(network, data):
    X, y = data
    space = {LR: [0.03, 1e-5]}
    bands = HyperbandPruner(min_resource=1, max_resource=12)
    found = search(network, space, pruner=bands, n_trials=6).fit(X, y)
    assert (found.cv_results_["state"] == "complete").any()
    never_enough = ThresholdPruner(lower=2.0)
    with pytest.raises(ValueError, match="None was trained to its end"):
        search(network, space, pruner=never_enough, n_trials=2).fit(X, y)


# -------------------------------------------------------------------- NASWOT


def study_of(scores, values):
    """A study of trials with a score before training, pruned where there is no value."""
    study = optuna.create_study(direction="maximize")
    for score, value in zip(scores, values, strict=True):
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        study.add_trial(optuna.create_trial(value=value, state=state, user_attrs={"naswot": score}))
    return study


def judged(pruner, study, score, reported=()):
    trial = study.ask()
    trial.set_user_attr("naswot", score)
    for step, value in enumerate(reported, start=1):
        trial.report(value, step)
    return pruner.prune(study, study.trials[trial.number])


def test_the_threshold_is_a_quantile_of_all_scores():
    scores, values = np.arange(10.0), [None] * 4 + [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    study = study_of(scores, values)
    for quantile in (0.0, 0.3, 0.6):
        pruner = NASWOTPruner(quantile=quantile)
        assert pruner.threshold(study) == pytest.approx(np.quantile(scores, quantile))
        assert judged(pruner, study, pruner.threshold(study) - 1e-6)
        assert not judged(pruner, study, pruner.threshold(study))


def test_the_best_are_protected_from_a_wrong_score():
    # What the score likes best turns out worst.
    scores = np.arange(10.0)
    study = study_of(scores, list(-scores))
    assert NASWOTPruner().threshold(study) == 0
    assert NASWOTPruner(n_protected=0).threshold(study) == 4.5
    study = study_of(scores, list(-np.abs(scores - 4)))
    assert NASWOTPruner(n_protected=1).threshold(study) == 4
    assert NASWOTPruner(n_protected=3).threshold(study) == 3


def test_nothing_is_discarded_at_first():
    study = study_of(np.arange(9.0), np.arange(9.0))
    assert not judged(NASWOTPruner(), study, -100.0)
    assert judged(NASWOTPruner(n_startup_trials=9), study, -100.0)
    assert not judged(NASWOTPruner(n_startup_trials=9), study, np.nan)


def test_trained_trials_are_for_the_other_pruner():
    study = study_of(np.arange(10.0), np.arange(10.0))
    assert not judged(NASWOTPruner(), study, -100.0, reported=[0.0])
    assert judged(NASWOTPruner(ThresholdPruner(lower=1.0)), study, 100.0, reported=[0.0])
    assert not judged(NASWOTPruner(ThresholdPruner(lower=1.0)), study, 100.0, reported=[2.0])
    assert judged(NASWOTPruner(ThresholdPruner(lower=1.0)), study, -100.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantile": 1.5}, ValueError, "quantile must be >= 0 and <= 1, got 1.5"),
        ({"n_startup_trials": 0}, ValueError, "n_startup_trials must be >= 1"),
        ({"n_protected": -1}, ValueError, "n_protected must be >= 0"),
        ({"pruner": "median"}, TypeError, "pruner must be a pruner of optuna"),
    ],
)
def test_wrong_pruners(options, error, message):
    with pytest.raises(error, match=message):
        NASWOTPruner(**options)


def test_repr_of_a_pruner():
    assert repr(NASWOTPruner(quantile=0.2)) == (
        "NASWOTPruner(pruner=None, quantile=0.2, n_startup_trials=10, n_protected=3)"
    )


@pytest.fixture
def wide(pipeline):
    """A pipeline with 14 features."""
    return pipeline.set_params(gridsnaptransformer__twojmax=4, ldosregressor__max_epochs=2)


@pytest.mark.parametrize("convention", ["fiedler", "mellor"])
def test_candidates_are_discarded_before_training(wide, snapshots, convention):
    scorer = NASWOTScorer(2, 12, convention=convention, random_state=0)
    sizes = [(3,), (100,)] * 2 + [(3,), (100,)]
    found = search(
        wide,
        {SIZES: [(3,), (100,)]},
        candidates=[{SIZES: size} for size in sizes],
        naswot=scorer,
        pruner=NASWOTPruner(n_startup_trials=4, n_protected=0),
        n_trials=6,
    ).fit(snapshots)
    results = found.cv_results_
    for size, score in zip(sizes[:2], results["naswot"], strict=False):
        model = clone(wide).set_params(
            **{SIZES: size}, ldosregressor__max_epochs=0, ldosregressor__dos_weight=None
        )
        assert score == scorer(model.fit(snapshots[3:]), snapshots[3:])
    narrow_is_worse = convention == "mellor"
    assert (results["naswot"][0] < results["naswot"][1]) == narrow_is_worse
    worse = 4 if narrow_is_worse else 5
    assert results["state"][worse] == "pruned"
    assert (results["state"] == "pruned").sum() == 1
    assert not reports(found, worse)
    assert reports(found, 9 - worse)


def test_the_score_alone_prunes_nothing(wide, snapshots):
    scorer = NASWOTScorer(2, 12, random_state=0)
    found = search(wide, {SIZES: [(3,)]}, naswot=scorer, pruner=None, n_trials=2).fit(snapshots)
    assert np.ptp(found.cv_results_["naswot"]) == 0
    assert set(found.cv_results_["state"]) == {"complete"}
    with pytest.raises(ValueError, match="pass naswot=NASWOTScorer"):
        search(wide, {SIZES: [(3,)]}, pruner=NASWOTPruner()).fit(snapshots)


# -------------------------------------------------------------------- two stages


def test_screening_ranks_by_the_score(wide, snapshots):
    scorer = NASWOTScorer(2, 12, random_state=0)
    sizes = [(3,), (10,), (30,), (100,)]
    options = {"scorer": scorer, "n_best": 3, "random_state": 0}
    found, scores = screen_candidates(wide, {SIZES: sizes}, snapshots[:2], **options)
    assert (np.diff(scores) < 0).all()
    assert [candidate[SIZES] for candidate in found] == sizes[:3]
    for candidate, score in zip(found, scores, strict=True):
        model = clone(wide).set_params(
            **candidate, ldosregressor__max_epochs=0, ldosregressor__dos_weight=None
        )
        assert score == scorer(model.fit(snapshots[:2]), snapshots[:2])


def test_screening_fits_transformers_once(network, data):
    Counter.n_fits = 0
    model = make_pipeline(Counter(), network[-1])

    def scorer(estimator, X, y=None):
        return -estimator[-1].lr

    space = {LR: [0.1, 0.2, 0.3]}
    found, scores = screen_candidates(model, space, *data, scorer=scorer, random_state=0)
    assert Counter.n_fits == 1
    np.testing.assert_allclose(scores, [-0.1, -0.2, -0.3])
    varied = {**space, "counter": [Counter(), StandardScaler()]}
    found, scores = screen_candidates(model, varied, *data, scorer=scorer, random_state=0)
    assert Counter.n_fits == 2
    # What the score cannot tell apart counts as one.
    assert len(found) == len(scores) == 3


def test_two_stages(wide, snapshots):
    def space(trial):
        n_layers = trial.suggest_int("n_layers", 1, 2)
        widths = [trial.suggest_categorical(f"width_{i}", [3, 30]) for i in range(n_layers)]
        return {SIZES: tuple(widths), LR: trial.suggest_float("lr", 1e-3, 1e-2, log=True)}

    scorer = NASWOTScorer(1, 12, random_state=0)
    candidates, scores = screen_candidates(
        wide, space, snapshots[:1], scorer=scorer, n_candidates=12, n_best=3, random_state=0
    )
    assert len(candidates) == 3
    assert (np.diff(scores) < 0).all()
    found = search(wide, space, candidates=candidates, n_trials=4, pruner=None).fit(snapshots)
    assert [trial.params for trial in found.study_.trials[:3]] == candidates
    assert found.study_.trials[3].params not in candidates
