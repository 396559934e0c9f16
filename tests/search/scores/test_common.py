"""Common properties of training-free scorers."""

import copy
import pickle

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, LearningCurveDisplay, ValidationCurveDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    AtomSNAPTransformer,
    BandEnergyScorer,
    GridSNAPTransformer,
    LDOSRegressor,
    RowWise,
)
from skldos.data import ArrayFile
from skldos.datasets import make_snapshots
from skldos.exceptions import ScoringError
from skldos.networks import FeedForward
from skldos.search import (
    ACSDScorer,
    MutualInformationScorer,
    NASWOTScorer,
    ReadoutScorer,
    acsd,
    mutual_information,
)

SCORERS = [
    ACSDScorer(n_pairs=20, sided="two", random_state=0),
    MutualInformationScorer(n_points=20, random_state=0),
    NASWOTScorer(n_initializations=1, batch_size=5, random_state=0),
    ReadoutScorer(n_initializations=1, batch_size=20, random_state=0),
]
OF_NETWORKS = [scorer for scorer in SCORERS if isinstance(scorer, (NASWOTScorer, ReadoutScorer))]
OF_TARGETS = [scorer for scorer in SCORERS if not isinstance(scorer, NASWOTScorer)]
# Of the points that are drawn there are few: most of those of a snapshot are never looked at.
N_POINTS = 216


@pytest.fixture(scope="module")
def snapshots():
    return make_snapshots(4, random_state=0)


@pytest.fixture(scope="module")
def model(snapshots):
    steps = GridSNAPTransformer(twojmax=4), RowWise(StandardScaler()), LDOSRegressor(max_epochs=0)
    return make_pipeline(*steps).fit(snapshots)


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
def test_it_has_a_name_like_a_function(scorer):
    assert scorer.__name__ == type(scorer).__name__
    assert repr(scorer).startswith(f"{scorer.__name__}(")


@pytest.mark.parametrize(
    "text",
    [
        "ACSDScorer(n_pairs=40000, sided='one', random_state=None)",
        "NASWOTScorer(n_initializations=5, batch_size=64, convention='fiedler', "
        "random_state=None, epsilon=0.0001)",
        "ReadoutScorer(n_initializations=3, batch_size=2000, metric='dos', random_state=None, "
        "ridge=1e-06)",
    ],
)
def test_its_text_shows_the_defaults(text):
    assert repr(eval(f"{text.partition('(')[0]}()")) == text


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
def test_copies_give_the_same_numbers(scorer, model, snapshots):
    found = scorer(model, snapshots)
    copied = pickle.loads(pickle.dumps(scorer))
    for other in (clone(scorer, safe=False), copied, eval(repr(scorer))):
        assert other(model, snapshots) == found
    copied.random_state = 1
    assert copied(model, snapshots) != found


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
def test_displays_of_scikit_learn_take_it(scorer, model, snapshots):
    options = {"scoring": scorer, "cv": 2, "error_score": "raise"}
    display = LearningCurveDisplay.from_estimator(
        model, snapshots, None, train_sizes=[1, 2], **options
    )
    assert display.ax_.get_ylabel().lower() == scorer.__name__.lower()
    assert np.isfinite(display.test_scores).all()
    name = "gridsnaptransformer__twojmax"
    display = ValidationCurveDisplay.from_estimator(
        model, snapshots, None, param_name=name, param_range=[4, 6], **options
    )
    assert np.ptp(display.test_scores) > 0


@pytest.mark.parametrize("scorer", OF_NETWORKS, ids=repr)
def test_training_does_not_matter_and_weights_stay(scorer, model, snapshots):
    trained = clone(model).set_params(ldosregressor__max_epochs=1).fit(snapshots)
    before = copy.deepcopy(trained[-1].module_.state_dict())
    assert scorer(trained, snapshots) == scorer(model, snapshots)
    for name, value in trained[-1].module_.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("scorer", OF_NETWORKS, ids=repr)
def test_the_random_state_of_torch_stays(scorer, model, snapshots):
    before = torch.get_rng_state()
    scorer(model, snapshots)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scorer", OF_NETWORKS, ids=repr)
def test_beside_a_scorer_of_trained_models(scorer, model, snapshots):
    search = GridSearchCV(
        clone(model).set_params(ldosregressor__max_epochs=3),
        {"ldosregressor__module__hidden_layer_sizes": [(2,), (20,)]},
        scoring={"free": scorer, "band": BandEnergyScorer()},
        refit="free",
        cv=2,
        error_score="raise",
    ).fit(snapshots)
    assert np.ptp(search.cv_results_["mean_test_free"]) > 0
    assert (search.cv_results_["mean_test_band"] < 0).all()


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
@pytest.mark.filterwarnings("ignore:.optuna.terminator.:FutureWarning")  # its own business
def test_optuna_search(scorer, model, snapshots):
    from optuna_integration import OptunaSearchCV

    with pytest.warns(ExperimentalWarning):
        search = OptunaSearchCV(
            model,
            {
                "ldosregressor__module__activation": CategoricalDistribution(["tanh", "relu"]),
                "gridsnaptransformer__r_cut": FloatDistribution(2.5, 5.0),
            },
            n_trials=3,
            cv=2,
            scoring=scorer,
            random_state=0,
            error_score="raise",
        )
    search.fit(snapshots)
    assert np.ptp([t.value for t in search.trials_]) > 0
    assert search.best_score_ == pytest.approx(max(t.value for t in search.trials_))


@pytest.mark.parametrize("scorer", OF_TARGETS, ids=repr)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_bad_number_anywhere_is_an_error(scorer, model, snapshots, value):
    assert np.isfinite(scorer(model, snapshots))
    for point in (0, 100, N_POINTS - 1):
        targets = [np.array(s.ldos, dtype=float).reshape(N_POINTS, -1) for s in snapshots]
        targets[2][point, 3] = value
        with pytest.raises(ScoringError, match="targets must be finite, got"):
            scorer(model, snapshots, targets)


@pytest.mark.parametrize("scorer", OF_TARGETS, ids=repr)
def test_targets_that_are_missing(scorer, model, snapshots):
    with pytest.raises(ScoringError, match="lacks ldos"):
        scorer(model, [snapshot.replace(ldos=None) for snapshot in snapshots])
    with pytest.raises(ScoringError, match="X has 4 snapshots, but y has 1"):
        scorer(model, snapshots, [snapshots[0].ldos])
    with pytest.raises(ScoringError, match="at least one snapshot, got"):
        scorer(model, snapshots[:0])


@pytest.mark.parametrize(
    ("scorer", "score", "terms"),
    [
        (ACSDScorer(None), acsd, "differences"),
        (MutualInformationScorer(None), mutual_information, "informations"),
    ],
    ids=["acsd", "information"],
)
def test_targets_of_atoms(scorer, score, terms, snapshots, rng):
    transformer = AtomSNAPTransformer(twojmax=4).fit(snapshots)
    y = [rng.random((4, 9)) for _ in snapshots]
    found = getattr(scorer, terms)(transformer, snapshots, y)
    expected = [score(b, t) for b, t in zip(transformer.transform(snapshots), y, strict=True)]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ScoringError, match="one row per point, got 4 and 216 rows"):
        scorer(transformer, snapshots)


@pytest.mark.parametrize("scorer", OF_NETWORKS, ids=repr)
def test_estimators_without_a_network(scorer, snapshots, rng):
    ridge = Ridge().fit(rng.normal(size=(5, 3)), rng.normal(size=5))
    with pytest.raises(ScoringError, match=r"needs a network regressor of skldos.*got Ridge"):
        scorer(ridge, snapshots)
    with pytest.raises(ScoringError, match="not fitted"):
        scorer(LDOSRegressor(), snapshots)


@pytest.mark.parametrize("score", [acsd, mutual_information])
def test_one_bad_number_in_either_array(score, rng):
    pair = rng.random((20_000, 3)), rng.random((20_000, 4))
    options = {"n_pairs": 20} if score is acsd else {"n_points": 20}
    assert np.isfinite(score(*pair, random_state=0, **options))
    for i, name in enumerate(("descriptors", "targets")):
        bad = [array.copy() for array in pair]
        bad[i][-1, 1] = np.nan  # in the last of several pieces
        with pytest.raises(ValueError, match=f"{name} must be finite, got 1 NaN"):
            score(*bad, random_state=0, **options)


def test_of_a_file_the_rows_that_are_drawn_are_looked_at(rng, tmp_path):
    descriptors, targets = rng.random((200, 3)), rng.random((200, 4))
    targets[::2] = np.nan
    np.save(tmp_path / "targets.npy", targets)
    with pytest.raises(ValueError, match="targets must be finite"):
        acsd(descriptors, ArrayFile(tmp_path / "targets.npy"), n_pairs=100, random_state=0)


def test_rows_of_a_network(model, snapshots):
    rows = np.array(model[:-1].transform(snapshots)[0])
    scorer = NASWOTScorer(n_initializations=1, batch_size=5, random_state=0)
    assert np.isfinite(scorer(model[-1], rows))
    rows[7, 1] = np.nan
    with pytest.raises(ScoringError, match="X must be finite, got 1 NaN"):
        scorer(model[-1], rows)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (ACSDScorer, {"n_pairs": 30}),
        (ACSDScorer, {"sided": "one"}),
        (MutualInformationScorer, {"n_neighbors": 5}),
        (MutualInformationScorer, {"n_points": 60}),
        (NASWOTScorer, {"epsilon": 1e-2}),
        (NASWOTScorer, {"convention": "mellor"}),
        (NASWOTScorer, {"batch_size": 9}),
        (ReadoutScorer, {"ridge": 1.0}),
        (ReadoutScorer, {"metric": "ldos"}),
        (ReadoutScorer, {"batch_size": 100}),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "-".join(value),
)
def test_every_option_acts(make, options, model, snapshots):
    shared = {ACSDScorer: {"sided": "two"}, NASWOTScorer: {"batch_size": 12}}.get(make, {})
    one, other = (make(**shared | more, random_state=0) for more in ({}, options))
    assert other(model, snapshots) != pytest.approx(one(model, snapshots), rel=1e-6)


class Counted(FeedForward):
    """Notes how many rows it was given."""

    rows: list = []  # noqa: RUF012

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self[0].register_forward_hook(lambda layer, x, out: Counted.rows.append(len(x[0])))


def test_points_are_shared_among_snapshots(model, snapshots):
    last = clone(model[-1]).set_params(module=Counted)
    counting = make_pipeline(*model[:-1], last).fit(snapshots)
    for X, n_points, expected in (
        (snapshots, 42, [10] * 4),
        (snapshots[:1], 42, [9, 9, 8, 8, 8]),  # parts of one
        (snapshots, 3, [1] * 4),
        (snapshots, 10**4, [N_POINTS] * 4),
    ):
        Counted.rows.clear()
        ReadoutScorer(1, n_points, random_state=0)(counting, X)
        assert Counted.rows == expected
