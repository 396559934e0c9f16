"""The training-free score of networks: laws, then numbers, then searches."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline

from skldos import ADOSRegressor, AtomEnvTransformer, CSNNRegressor, LDOSRegressor
from skldos.data import Blocks
from skldos.exceptions import ScoringError
from skldos.networks import FeedForward
from skldos.search import NASWOTScorer, naswot_score

SIZES = "ldosregressor__module__hidden_layer_sizes"
WIDTHS = [(2,), (20,), (40, 40)]


@pytest.fixture
def inputs(rng):
    """Sixteen samples of thirty features."""
    return rng.normal(size=(16, 30))


@pytest.fixture
def untrained(pipeline, snapshots):
    """A pipeline with 14 features whose network is not trained."""
    pipeline.set_params(
        gridsnaptransformer__twojmax=4, ldosregressor__max_epochs=0, ldosregressor__dos_weight=None
    )
    return pipeline.fit(snapshots[:3])


@pytest.fixture
def scorer():
    """A scorer that needs no more than 14 features."""
    return NASWOTScorer(3, 12, random_state=0)


def network(*widths, seed=0, **options):
    torch.manual_seed(seed)
    return FeedForward(30, 5, hidden_layer_sizes=widths, **options)


def gradients(network, inputs):
    """The gradient of the summed outputs of a leaky ReLU network, written out in NumPy."""
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    weights = [layer.weight.detach().numpy().astype(float) for layer in linear]
    biases = [layer.bias.detach().numpy().astype(float) for layer in linear]
    slopes, hidden = [], inputs
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = hidden @ weight.T + bias
        slopes.append(np.where(hidden > 0, 1.0, 0.01))
        hidden = hidden * slopes[-1]
    found = np.tile(weights[-1].sum(axis=0), (len(inputs), 1))
    for weight, slope in zip(weights[-2::-1], slopes[::-1], strict=True):
        found = (found * slope) @ weight
    return found


def eigenvalue_sum(jacobian, epsilon=1e-4):
    """Eqs. (5) and (6) of Fiedler et al. as they stand, by eigenvalues."""
    eigenvalues = np.linalg.eigvals(np.corrcoef(jacobian)).real
    return np.sum(np.log(eigenvalues + epsilon) + 1 / (eigenvalues + epsilon))


# -------------------------------------------------------------------- the formula


@pytest.mark.parametrize("widths", [(40,), (7,), (60, 60), (20, 20, 20)])
@pytest.mark.parametrize("epsilon", [1e-4, 1e-5])
def test_the_score_is_the_formula(inputs, widths, epsilon):
    # Weights of float32 are the same numbers in float64; what remains is rounding / epsilon.
    net = network(*widths)
    expected = eigenvalue_sum(gradients(net, inputs), epsilon)
    assert abs(expected) > 10
    assert naswot_score(net, inputs, epsilon=epsilon) == pytest.approx(expected, rel=1e-10)
    mellor = naswot_score(net, inputs, epsilon=epsilon, convention="mellor")
    assert mellor == pytest.approx(-expected, rel=1e-10)


def test_a_linear_network_responds_to_all_samples_alike(inputs):
    # Eigenvalues n, 0, 0, ...
    n, epsilon = len(inputs), 1e-4
    expected = np.log(n + epsilon) + 1 / (n + epsilon) + (n - 1) * (np.log(epsilon) + 1 / epsilon)
    assert naswot_score(network(), inputs) == pytest.approx(expected, rel=1e-10)


def test_what_the_conventions_prefer(inputs):
    nets = [network(4), network(100)]
    narrow, wide = (naswot_score(net, inputs, convention="fiedler") for net in nets)
    assert narrow > 2 * wide > 0
    narrow, wide = (naswot_score(net, inputs, convention="mellor") for net in nets)
    assert narrow < 2 * wide < 0


def test_order_and_scale_do_not_matter(inputs, rng):
    net = network(50)
    score = naswot_score(net, inputs)
    assert naswot_score(net, inputs[rng.permutation(16)]) == pytest.approx(score, rel=1e-10)
    with torch.no_grad():
        net[-1].weight *= 8
    assert naswot_score(net, inputs) == pytest.approx(score, rel=1e-10)


def test_a_repeated_row_is_a_zero_eigenvalue(inputs):
    net, twice = network(50), np.concatenate([inputs, inputs[:1]])
    expected = eigenvalue_sum(gradients(net, twice))
    assert naswot_score(net, twice) == pytest.approx(expected, rel=1e-10)
    assert naswot_score(net, twice) > naswot_score(net, inputs) + 0.9e4  # 1 / epsilon
    order = np.roll(np.arange(17), 5)
    assert naswot_score(net, twice[order]) == pytest.approx(expected, rel=1e-10)


def test_constant_features(inputs):
    inputs[:, [0, 3, 7]] = 0.0, 1.0, -2.0
    net = network(50)
    assert naswot_score(net, inputs) == pytest.approx(
        eigenvalue_sum(gradients(net, inputs)), rel=1e-10
    )
    inputs[:] = 1.0
    assert naswot_score(net, inputs) == pytest.approx(naswot_score(network(), inputs), rel=1e-10)


def test_a_dead_network_counts_as_a_linear_one(inputs):
    dead = network(20, activation="relu")
    with torch.no_grad():
        dead[0].bias -= 1e3
    assert not gradients_of(dead, inputs).any()
    assert naswot_score(dead, inputs) == pytest.approx(naswot_score(network(), inputs), rel=1e-10)
    with torch.no_grad():
        dead[0].bias += 1e3
        dead[0].bias[:] = -0.5 * (dead[0].weight @ torch.tensor(inputs[0]).float())
    assert np.isfinite(naswot_score(dead, inputs))


def gradients_of(network, inputs):
    rows = torch.tensor(inputs, dtype=torch.float32, requires_grad=True)
    return torch.autograd.grad(network(rows).sum(), rows)[0].numpy()


def test_dropout_has_no_part(inputs):
    plain, dropping = network(50), network(50, dropout=0.5)
    for target, source in zip(dropping.parameters(), plain.parameters(), strict=True):
        target.data.copy_(source.data)
    assert naswot_score(dropping, inputs) == naswot_score(plain, inputs)
    assert dropping.training


def test_the_network_stays_as_it_is(inputs):
    net = network(10)
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        naswot_score(net, inputs)
    for name, value in net.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


def test_more_samples_than_the_rank(rng):
    inputs = rng.normal(size=(30, 30))
    with pytest.warns(UserWarning, match="at least 1 of the eigenvalues vanish"):
        one_too_many = naswot_score(network(400), inputs)
    # The zero eigenvalue, and at least log(1) + 1 / 1 of every other.
    assert one_too_many > np.log(1e-4) + 1e4 + 29 * 0.999
    assert naswot_score(network(400), inputs[:16]) < 0.1 * one_too_many
    assert naswot_score(network(400), inputs[:29]) < one_too_many  # and no warning


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"convention": "other"}, "convention must be one of 'fiedler', 'mellor'; got 'other'"),
        ({"epsilon": 0}, "epsilon must be > 0, got 0"),
    ],
)
def test_wrong_options(inputs, options, message):
    with pytest.raises(ValueError, match=message):
        naswot_score(network(5), inputs, **options)


def test_wrong_inputs(inputs):
    with pytest.raises(ValueError, match=r"inputs must have shape .* got \(1, 30\)"):
        naswot_score(network(5), inputs[:1])
    inputs[0, 0] = np.nan
    with pytest.raises(ValueError, match="inputs must be finite, got 1 NaN"):
        naswot_score(network(5), inputs)


# -------------------------------------------------------------------- the scorer


def test_scores_of_fresh_networks(untrained, snapshots, scorer):
    scores = scorer.scores(untrained, snapshots)
    assert scores.shape == (3,)
    assert np.ptp(scores) > 0
    assert scorer(untrained, snapshots) == np.mean(scores)
    np.testing.assert_array_equal(scorer.scores(untrained, snapshots), scores)
    other = NASWOTScorer(3, 12, convention="mellor", random_state=0)
    np.testing.assert_array_equal(other.scores(untrained, snapshots), -scores)


def test_the_batch_is_what_the_network_is_given(untrained, snapshots):
    # With all rows drawn, only their order is open, and that does not matter.
    few = Blocks([block[:6] for block in untrained[:-1].transform(snapshots[:2])])
    regressor = untrained[-1]
    regressor.set_params(module=Recorded)
    NASWOTScorer(1, 12).scores(regressor, few)
    rows = Recorded.seen
    expected = np.concatenate(few)
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(expected, axis=0))


class Recorded(FeedForward):
    """Remembers what it was given last."""

    seen = None

    def forward(self, x):
        Recorded.seen = x.detach().numpy().copy()
        return super().forward(x)


def test_blocks_lazy_blocks_and_plain_rows(untrained, snapshots, scorer):
    head, regressor = untrained[:-1], untrained[-1]
    expected = scorer(untrained, snapshots)
    blocks = head.transform(snapshots)
    assert scorer(regressor, blocks) == pytest.approx(expected, rel=1e-6)
    rows = np.concatenate(blocks)
    assert scorer(regressor, rows) == pytest.approx(expected, rel=1e-6)


def test_few_rows_beside_the_batch_are_computed(untrained, snapshots, scorer, monkeypatch):
    transformer, computed = untrained[0], []
    compute = transformer.compute

    def counted(snapshot, start, stop):
        computed.append(stop - start)
        return compute(snapshot, start, stop)

    monkeypatch.setattr(transformer, "compute", counted)
    scorer(untrained, snapshots)
    # Those between two rows of the batch that are close, at most; not all of 6 × 64.
    assert 12 <= sum(computed) < 200
    assert len(computed) == len(snapshots)


def test_a_module_that_is_an_instance(snapshots, untrained, scorer):
    expected = scorer(untrained, snapshots)
    module = FeedForward(14, 11, hidden_layer_sizes=(8,))
    model = clone(untrained).set_params(ldosregressor__module=module)
    model.fit(snapshots[:3])
    scores = scorer.scores(model, snapshots)
    assert np.ptp(scores) > 0
    assert np.mean(scores) == pytest.approx(expected, rel=1)


@pytest.mark.parametrize("n_rotations", [1, 2])
def test_environments_of_atoms(snapshots, n_rotations):
    scorer = NASWOTScorer(2, 8, random_state=0)
    network = CSNNRegressor(
        module__factor=1, n_rotations=n_rotations, max_epochs=0, dos_weight=None
    )
    head = AtomEnvTransformer(n_spheres=2, subdivisions=0, lazy=True)
    model = make_pipeline(head, ADOSRegressor(network)).fit(snapshots[:2])
    scores = scorer.scores(model, snapshots[:2])
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 0
    of_network = scorer.scores(model[-1].regressor_, model[0].transform(snapshots[:2]))
    np.testing.assert_array_equal(of_network, scores)


def test_a_batch_larger_than_the_rank_is_reduced(untrained, snapshots):
    large, fitting = (NASWOTScorer(2, n, random_state=0) for n in (64, 13))
    with pytest.warns(UserWarning, match="a batch of 64 rows is reduced to 13"):
        found = large(untrained, snapshots)
    assert found == fitting(untrained, snapshots)


def test_features_too_few_or_too_many(untrained, scorer, rng):
    with pytest.raises(ScoringError, match="14 features"):
        scorer(untrained[-1], rng.normal(size=(20, 9)))
    narrow = LDOSRegressor(max_epochs=0).fit(rng.normal(size=(9, 2)), rng.normal(size=(9, 2)))
    with (
        pytest.warns(UserWarning, match="reduced to 1"),
        pytest.raises(ScoringError, match="three features or more, got 9 and 2"),
    ):
        scorer(narrow, rng.normal(size=(9, 2)))


# -------------------------------------------------------------------- searches


@pytest.mark.parametrize("convention", ["fiedler", "mellor"])
def test_grid_search(untrained, snapshots, convention):
    scorer = NASWOTScorer(2, 12, convention=convention, random_state=0)
    search = GridSearchCV(untrained, {SIZES: WIDTHS}, scoring=scorer, cv=2, error_score="raise")
    search.fit(snapshots)
    found = search.best_params_[SIZES]
    assert found == (2,) if convention == "fiedler" else found != (2,)
    # The search itself, too, is an estimator with such a network.
    assert scorer(search, snapshots) == scorer(search.best_estimator_, snapshots)


@pytest.mark.parametrize(
    ("search", "options"),
    [
        (RandomizedSearchCV, {"n_iter": 3}),
        (HalvingGridSearchCV, {"min_resources": 4, "factor": 2}),  # of snapshots
    ],
)
def test_other_searches(untrained, snapshots, scorer, search, options):
    search = search(
        untrained,
        {SIZES: WIDTHS},
        scoring=scorer,
        cv=2,
        random_state=0,
        error_score="raise",
        **options,
    ).fit(snapshots)
    assert search.best_params_[SIZES] == (2,)
