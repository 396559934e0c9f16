"""The score by fitting only the output layer: laws, then numbers, then searches."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ADOSDecomposer,
    ADOSRegressor,
    AtomSNAPTransformer,
    LDOSRegressor,
    RowWise,
)
from skldos.datasets import make_snapshots
from skldos.exceptions import ScoringError
from skldos.networks import FeedForward
from skldos.search.scores.readout import ReadoutScorer, readout_score

SIZES = "ldosregressor__module__hidden_layer_sizes"
METRICS = ("dos", "ldos")


@pytest.fixture
def data(rng):
    """Inputs and targets of four snapshots with different numbers of points."""
    inputs = [rng.normal(size=(n, 3)) for n in (40, 50, 60, 70)]
    maps = rng.normal(size=(3, 2))
    return inputs, [np.tanh(block @ maps) + 0.3 * block[:, :2] ** 2 for block in inputs]


@pytest.fixture
def untrained(pipeline, snapshots):
    """A pipeline whose network is not trained."""
    pipeline.set_params(ldosregressor__max_epochs=0)
    return pipeline.fit(snapshots[:3])


@pytest.fixture
def scorer():
    return ReadoutScorer(2, 200, random_state=0)


def network(*widths, seed=0, n_out=2, **options):
    torch.manual_seed(seed)
    options = {"activation": "silu"} | options
    return FeedForward(3, n_out, hidden_layer_sizes=widths, **options)


def hidden(net, block):
    """The outputs of the hidden layers, in double precision."""
    layers = copy.deepcopy(net)[:-1].double()
    with torch.no_grad():
        return layers(torch.from_numpy(block)).numpy()


# -------------------------------------------------------------------- the formula


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("widths", [(), (5,), (7, 6)])
def test_the_score_is_that_of_linear_models_fitted_fold_by_fold(data, metric, widths):
    # With hardly any penalty: ordinary least squares, which scikit-learn solves by another route.
    net, (inputs, targets) = network(*widths), data
    features, wrong, whole = [hidden(net, block) for block in inputs], 0.0, 0.0
    mean = np.concatenate(targets).mean(axis=0)
    for k in range(4):
        rest = [i for i in range(4) if i != k]
        model = LinearRegression().fit(
            np.concatenate([features[i] for i in rest]), np.concatenate([targets[i] for i in rest])
        )
        residual = model.predict(features[k]) - targets[k]
        if metric == "dos":
            wrong += np.abs(residual.sum(axis=0)).sum()
            whole += np.abs(targets[k].sum(axis=0)).sum()
        else:
            wrong += np.sum(residual**2)
            whole += np.sum((targets[k] - mean) ** 2)
    expected = -wrong / whole if metric == "dos" else -np.sqrt(wrong / whole)
    assert -1 < expected < -1e-3
    found = readout_score(net, inputs, targets, metric=metric, ridge=1e-13)
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_penalty_is_that_of_ridge_regression(data):
    net, (inputs, targets) = network(6), data
    features, wrong, whole = [hidden(net, block) for block in inputs], 0.0, 0.0
    for k in range(4):
        rows = np.concatenate([features[i] for i in range(4) if i != k])
        model = Ridge(0.1 * np.mean((rows**2).sum(axis=0)), solver="svd")
        model.fit(rows, np.concatenate([targets[i] for i in range(4) if i != k]))
        wrong += np.abs((model.predict(features[k]) - targets[k]).sum(axis=0)).sum()
        whole += np.abs(targets[k].sum(axis=0)).sum()
    found = readout_score(net, inputs, targets, ridge=0.1)
    assert found == pytest.approx(-wrong / whole, rel=1e-9)
    assert found != pytest.approx(readout_score(net, inputs, targets), rel=1e-2)


@pytest.mark.parametrize("metric", METRICS)
def test_what_the_features_can_express_is_predicted(data, metric, rng):
    net, (inputs, _) = network(8), data
    readout = rng.normal(size=(8, 4))
    targets = [hidden(net, block) @ readout + 3.0 for block in inputs]
    assert readout_score(net, inputs, targets, metric=metric, ridge=1e-14) > -1e-8
    assert readout_score(network(2), inputs, targets, metric=metric) < -1e-3


@pytest.mark.parametrize("metric", METRICS)
def test_what_does_not_matter(data, metric, rng):
    net, (inputs, targets) = network(20), data
    score = readout_score(net, inputs, targets, metric=metric)
    assert score < -1e-3

    def again(net=net, inputs=inputs, targets=targets):
        return readout_score(net, inputs, targets, metric=metric)

    # The unit of the targets.
    assert again(targets=[1e3 * t for t in targets]) == pytest.approx(score, rel=1e-9)
    # The order of snapshots and of points.
    assert again(inputs=inputs[::-1], targets=targets[::-1]) == pytest.approx(score, rel=1e-9)
    orders = [rng.permutation(len(block)) for block in inputs]
    shuffled = [[b[o] for b, o in zip(part, orders, strict=True)] for part in data]
    assert again(inputs=shuffled[0], targets=shuffled[1]) == pytest.approx(score, rel=1e-9)
    # The weights of the output layer.
    other = copy.deepcopy(net)
    torch.nn.init.normal_(other[-1].weight)
    assert again(net=other) == score


def test_the_scale_of_the_features_does_not_matter(data):
    net = network(20, activation="leaky_relu")
    score = readout_score(net, *data)
    with torch.no_grad():
        net[0].weight *= 16
        net[0].bias *= 16
    assert score < -1e-3
    assert readout_score(net, *data) == pytest.approx(score, rel=1e-9)


def test_an_offset_of_the_targets_is_no_error(data):
    net, (inputs, targets) = network(20), data
    score = readout_score(net, inputs, targets, metric="ldos")
    offset = [t + np.array([10.0, -5.0]) for t in targets]
    assert readout_score(net, inputs, offset, metric="ldos") == pytest.approx(score, rel=1e-8)


def test_more_features_predict_better(data):
    few, many = (readout_score(network(n), *data) for n in (2, 30))
    assert few < 2 * many < 0


def test_a_dead_network_knows_the_mean_alone(data):
    dead, (inputs, targets) = network(10, activation="relu"), data
    with torch.no_grad():
        dead[0].bias -= 1e3
    rest = [np.concatenate([t for i, t in enumerate(targets) if i != k]).mean(0) for k in range(4)]
    wrong = sum(np.abs((t - m).sum(axis=0)).sum() for t, m in zip(targets, rest, strict=True))
    whole = sum(np.abs(t.sum(axis=0)).sum() for t in targets)
    assert readout_score(dead, inputs, targets) == pytest.approx(-wrong / whole, rel=1e-9)


def test_the_network_stays_as_it_is(data):
    net = network(10, dropout=0.5)
    before = copy.deepcopy(net.state_dict())
    assert readout_score(net, *data) == readout_score(net, *data)
    assert net.training
    for name, value in net.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "band"}, "metric must be one of 'dos', 'ldos'; got 'band'"),
        ({"ridge": 0}, "ridge must be > 0, got 0"),
    ],
)
def test_wrong_options(data, options, message):
    with pytest.raises(ValueError, match=message):
        readout_score(network(5), *data, **options)


def test_wrong_data(data):
    net, (inputs, targets) = network(5), data
    with pytest.raises(ValueError, match="number of blocks, at least two, got 1 and 1"):
        readout_score(net, inputs[:1], targets[:1])
    with pytest.raises(ValueError, match="at least two, got 4 and 3"):
        readout_score(net, inputs, targets[:3])
    with pytest.raises(ValueError, match=r"targets\[0\] must have shape .* got \(50, 2\)"):
        readout_score(net, inputs, targets[1:] + targets[:1])
    inputs[2][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"inputs\[2\] must be finite, got 1 NaN"):
        readout_score(net, inputs, targets)


def test_networks_without_a_linear_output_layer(data):
    with pytest.raises(ValueError, match="ends in a linear layer with a bias"):
        readout_score(network(5, output_activation="relu"), *data)


# -------------------------------------------------------------------- the scorer


def test_scores_of_fresh_networks(untrained, snapshots, scorer):
    scores = scorer.scores(untrained, snapshots)
    assert scores.shape == (2,)
    assert np.ptp(scores) > 0
    assert (scores < 0).all()
    assert scorer(untrained, snapshots) == np.mean(scores)
    np.testing.assert_array_equal(scorer.scores(untrained, snapshots), scores)
    assert ReadoutScorer(2, 200, metric="ldos", random_state=0)(untrained, snapshots) < np.mean(
        scores
    )


def test_all_points_are_those_of_the_blocks(untrained, snapshots):
    regressor = untrained[-1]
    blocks = untrained[:-1].transform(snapshots)
    torch.manual_seed(3)
    n_in, options = blocks[0].shape[1], regressor.get_params_for("module")
    net = FeedForward(n_in, regressor.n_outputs_, **options)
    regressor.set_params(module=Fixed, module__state=net.state_dict())
    targets = [s.ldos.reshape(len(b), -1) for s, b in zip(snapshots, blocks, strict=True)]
    expected = readout_score(net, blocks, targets)
    found = ReadoutScorer(1, 10**6)(untrained, snapshots)
    assert found == pytest.approx(expected, rel=1e-9)


class Fixed(FeedForward):
    """Begins with given weights."""

    def __init__(self, *sizes, state, **options):
        super().__init__(*sizes, **options)
        self.load_state_dict(state)


def test_blocks_targets_and_plain_rows(untrained, snapshots, scorer):
    head, regressor = untrained[:-1], untrained[-1]
    expected = scorer(untrained, snapshots)
    blocks = head.transform(snapshots)
    assert scorer(regressor, blocks) == pytest.approx(expected, rel=1e-6)
    targets = [s.ldos for s in snapshots]
    assert scorer(untrained, snapshots, targets) == expected
    assert scorer(regressor, list(blocks), targets) == pytest.approx(expected, rel=1e-6)
    rows = np.concatenate(blocks), np.concatenate([t.reshape(-1, t.shape[-1]) for t in targets])
    assert -1 < scorer(regressor, *rows) < 0


def test_a_single_snapshot_is_divided(untrained, snapshots, scorer):
    assert -1 < scorer(untrained, snapshots[:1]) < 0


def test_densities_of_states_of_atoms(snapshots):
    head = [AtomSNAPTransformer(twojmax=4), RowWise(StandardScaler())]
    scorer = ReadoutScorer(2, random_state=0)
    model = make_pipeline(*head, ADOSRegressor(LDOSRegressor(max_epochs=0))).fit(snapshots)
    found = scorer(model, snapshots)
    assert -1 < found < 0
    blocks, inner = model[:-1].transform(snapshots), model[-1].regressor_
    targets = model[-1].decomposer_.transform(snapshots)
    assert scorer(inner, list(blocks), targets) == pytest.approx(found, rel=1e-9)
    # The targets are those of the decomposer.
    narrow = ADOSRegressor(LDOSRegressor(max_epochs=0), decomposer=ADOSDecomposer(sigma=0.5))
    assert scorer(make_pipeline(*head, narrow).fit(snapshots), snapshots) != found


def test_rows_without_targets(untrained, snapshots, scorer):
    blocks = untrained[:-1].transform(snapshots)
    with pytest.raises(ScoringError, match="pass y: plain rows"):
        scorer(untrained[-1], blocks[0])
    with pytest.raises(ScoringError, match="pass y: the blocks are not linked to snapshots"):
        scorer(untrained[-1], list(blocks))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_initializations": 0}, "n_initializations must be >= 1, got 0"),
        ({"batch_size": 1}, "batch_size must be >= 2, got 1"),
        ({"metric": "other"}, "metric must be one of 'dos', 'ldos'; got 'other'"),
        ({"ridge": -1.0}, "ridge must be > 0, got -1.0"),
    ],
)
def test_wrong_options_of_the_scorer(options, message):
    with pytest.raises(ValueError, match=message):
        ReadoutScorer(**options)


# -------------------------------------------------------------------- searches


@pytest.fixture(scope="module")
def large():
    """Four snapshots of enough points to tell widths apart."""
    return make_snapshots(4, grid_shape=(8, 8, 8), n_energies=11, random_state=0)


@pytest.fixture
def at_points():
    return ReadoutScorer(2, metric="ldos", random_state=0)


@pytest.mark.parametrize(
    ("search", "options"), [(GridSearchCV, {}), (RandomizedSearchCV, {"n_iter": 3})]
)
def test_searches(untrained, large, at_points, search, options):
    found = search(
        untrained,
        {SIZES: [(1,), (2, 1), (40,)]},
        scoring=at_points,
        cv=2,
        error_score="raise",
        **options,
    ).fit(large)
    assert found.best_params_[SIZES] == (40,)
    assert at_points(found, large) == at_points(found.best_estimator_, large)
