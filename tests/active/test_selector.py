"""Selected snapshots: compared with hand computation and refits, and reproducible."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from skldos import ADOSRegressor, AtomSNAPTransformer, LDOSRegressor, RowWise, SiteRegressor
from skldos.active import SnapshotSelector
from skldos.data import Blocks
from skldos.datasets import make_snapshots
from skldos.decomposition import ADOSDecomposer
from skldos.uncertainty import MCDropout, RidgePosterior, energy_covariance

GREEDY = ("uncertainty", "diversity", "both", "reduction")


@pytest.fixture(scope="module")
def data():
    """Ten snapshots, blocks of their descriptors, and densities of states of their atoms."""
    snapshots = make_snapshots(10, grid_shape=(4, 4, 4), n_energies=11, random_state=0)
    steps = AtomSNAPTransformer(twojmax=2, n_jobs=1), RowWise(StandardScaler())
    X = make_pipeline(*steps).fit_transform(snapshots)
    return snapshots, X, ADOSDecomposer().fit_transform(snapshots)


def posterior():
    return RidgePosterior(SiteRegressor(Ridge(1e-2), dos_weight=50), random_state=0)


@pytest.fixture(scope="module")
def model(data):
    _, X, y = data
    return posterior().fit(X[:4], y[:4])


def test_it_is_an_estimator_that_has_nothing_to_learn():
    selector = SnapshotSelector("diversity", n_select=2)
    check_is_fitted(selector)
    assert clone(selector).fit() is not selector
    assert selector.fit() is selector
    assert not get_tags(selector).requires_fit
    assert not get_tags(selector).input_tags.two_d_array
    with pytest.raises(ValueError, match="strategy must be one of"):
        SnapshotSelector("best").fit()
    with pytest.raises(ValueError, match="n_select must be >= 1, got 0"):
        SnapshotSelector(n_select=0).fit()


def test_uncertainty_picks_the_largest_variance(data, model):
    _, X, _ = data
    variance = np.diag(energy_covariance(model, X[4:]))
    assert SnapshotSelector().select(model, X[4:])[0] == np.argmax(variance)


def test_later_picks_know_the_earlier_ones(data, model):
    _, X, y = data
    picked = SnapshotSelector(n_select=4).select(model, X[4:])
    known = list(range(4))
    # Only the scale is learned from targets: that of the first model stays.
    units = energy_covariance(model, X[4:]) / model.sum_covariance(X[4:])
    for pick in picked:
        refit = posterior().fit(X[known], y[known])
        variance = np.diag(units * refit.sum_covariance(X[4:]))
        left = [i for i in range(6) if i + 4 not in known]
        assert pick == left[np.argmax(variance[left])]
        known.append(pick + 4)


def test_a_copy_is_not_picked_again(data, model):
    _, X, _ = data
    first = 4 + SnapshotSelector().select(model, X[4:])[0]
    twice = X[[first, first, *range(4, 10)]]
    assert SnapshotSelector().select(model, twice)[0] == 0
    # Nor by a rule that ranks by the variance alone: it would name the copies first.
    for strategy in ("uncertainty", "both", "reduction", "diversity"):
        picked = SnapshotSelector(strategy, n_select=2).select(model, twice, X[:4])
        assert len({0, 1, first - 2} & set(picked)) < 2


def test_diversity_takes_the_farthest(data, model):
    snapshots, _, _ = data
    points = [0.0, 4.0, -7.0, 1.0, 9.0]
    around = np.array([[-1], [1], [0], [0]])
    pool = Blocks([np.full((4, 2), p) + around for p in points], snapshots[:5])
    labelled = Blocks([np.zeros((4, 2))], snapshots[5:6])
    picked = SnapshotSelector("diversity", n_select=5).select(model, pool, labelled)
    # The distances from what is known: 9; 7; 4 (of 4 from 0); 1; 0.
    assert picked.tolist() == [4, 2, 1, 3, 0]


def test_both_is_the_product(data, model):
    _, X, _ = data
    std = np.sqrt(np.diag(energy_covariance(model, X[4:])))
    means = np.array([np.mean(block, axis=0) for block in X])
    distance = [min(np.linalg.norm(p - q) for q in means[:4]) for p in means[4:]]
    (picked,) = SnapshotSelector("both").select(model, X[4:], X[:4])
    assert picked == np.argmax(std * distance)


class Sampled:
    """Returns given samples of the densities of states."""

    def __init__(self, samples):
        self.samples = samples

    def sample_sums(self, X):
        return self.samples


def test_reduction_lowers_the_sum_of_variances_most(data, rng):
    _, X, y = data
    # One snapshot is alone with a large variance; four share smaller ones, the last the most.
    shared = rng.normal(size=(200, 1))
    amplitude = np.hstack([2.0 * rng.normal(size=(200, 1)), shared @ [[1.0, 1.1, 1.2, 1.3]]])
    amplitude += 0.1 * rng.normal(size=(200, 5))
    dos = np.array([block.sum(axis=0) for block in y[:5]])
    # A little more or less at one energy.
    samples = dos + 1e-4 * amplitude[:, :, None] * (np.arange(11) == 3)
    known, pool = Sampled(samples), X[:5]
    C = energy_covariance(known, pool)
    left = [np.trace(C - np.outer(C[k], C[k]) / C[k, k]) for k in range(5)]
    assert np.argmin(left) == 4
    assert SnapshotSelector("reduction").select(known, pool)[0] == 4
    # Then the others of the four have nothing left to tell.
    assert SnapshotSelector("reduction", n_select=2).select(known, pool).tolist() == [4, 0]
    assert SnapshotSelector("uncertainty", n_select=2).select(known, pool).tolist() == [0, 4]


def test_pipelines_and_samples(data):
    snapshots = data[0]
    steps = AtomSNAPTransformer(twojmax=2, n_jobs=1), RowWise(StandardScaler())
    network = LDOSRegressor(module__dropout=0.1, max_epochs=3, random_state=0)
    regressor = ADOSRegressor(MCDropout(network, 20, random_state=0))
    fitted = make_pipeline(*steps, regressor).fit(snapshots[:4])
    bare = [s.replace(ldos=None) for s in snapshots[4:]]
    for strategy in GREEDY:
        selector = SnapshotSelector(strategy, n_select=6)
        picked = selector.select(fitted, bare, snapshots[:4])
        assert sorted(picked) == list(range(6))
        atoms = [s.atoms for s in snapshots[4:]]
        np.testing.assert_array_equal(selector.select(fitted, atoms, snapshots[:4]), picked)
        again = pickle.loads(pickle.dumps(clone(selector)))
        np.testing.assert_array_equal(again.select(fitted, bare, snapshots[:4]), picked)


def test_chance_has_a_seed(data, model):
    _, X, _ = data
    picks = [
        tuple(SnapshotSelector("random", 3, random_state=seed).select(model, X[4:]))
        for seed in (0, 0, 1, 2)
    ]
    assert picks[0] == picks[1]
    assert len(set(picks)) > 1
    assert len(set(picks[0])) == 3


def test_bad_input(data, model):
    _, X, _ = data
    with pytest.raises(ValueError, match="strategy must be one of"):
        SnapshotSelector("other").select(model, X)
    with pytest.raises(ValueError, match="n_select must be at most the size of the pool, 2, got 3"):
        SnapshotSelector(n_select=3).select(model, X[:2])
    with pytest.raises(ValueError, match="strategy 'both' needs labelled"):
        SnapshotSelector("both").select(model, X)
    with pytest.raises(TypeError, match="estimator must have sample_sums"):
        SnapshotSelector().select(model.regressor_, X)
    # Distances need no uncertainty.
    SnapshotSelector("diversity").select(model.regressor_, X[4:], X[:4])


@pytest.mark.parametrize("strategy", ["uncertainty", "both", "reduction"])
def test_picks_do_not_depend_on_the_scale_and_what_is_certain_comes_last(strategy, data, rng):
    _, X, y = data
    amplitude = rng.normal(size=(50, 5)) * [0.3, 1.0, 0.0, 2.0, 0.7]
    dos = np.array([block.sum(axis=0) for block in y[:5]])
    picked = []
    for scale in (1e-4, 1e-7):
        samples = dos + scale * amplitude[:, :, None] * (np.arange(11) == 3)
        selector = SnapshotSelector(strategy, n_select=5)
        picked.append(selector.select(Sampled(samples), X[:5], X[5:]).tolist())
    assert picked[0] == picked[1]
    assert picked[0][-1] == 2


def test_means_of_descriptors_are_taken_in_double_precision(data, model):
    large, one = np.float32(2**24), np.float32(1)  # whose sum is not a number of this precision
    known = np.array([[large], [0], [0], [0]], dtype=np.float32)
    other = np.array([[large], [one], [one], [one]], dtype=np.float32)
    snapshots = data[0]
    pool, labelled = Blocks([known, other], snapshots[:2]), Blocks([known], snapshots[2:3])
    assert SnapshotSelector("diversity").select(model, pool, labelled).tolist() == [1]
