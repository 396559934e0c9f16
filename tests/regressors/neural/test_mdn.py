"""The mixture density regressor: likelihoods, moments and modes against independent values."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from skldos.data import Blocks
from skldos.networks.mixture import COVARIANCES, MixtureDensity, MixtureNLL
from skldos.regressors import MDNRegressor
from skldos.regressors.neural.mixtures import GaussianMixtures


def make(**params):
    quick = {"max_epochs": 3, "random_state": 0, "module__hidden_layer_sizes": (16,)}
    return MDNRegressor(**(quick | params))


@pytest.fixture
def mixtures():
    """Three random mixtures of four components for two outputs."""
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((3, 4, 2, 2))
    covariances = roots @ roots.swapaxes(-1, -2) + 0.1 * np.eye(2)
    means = 2 * rng.standard_normal((3, 4, 2))
    return GaussianMixtures(rng.dirichlet(np.ones(4), 3), means, np.linalg.cholesky(covariances))


def test_far_away_targets_have_a_finite_gradient():
    network = MixtureDensity(2, 3)
    loss = MixtureNLL()(network(torch.zeros(4, 2)), torch.full((4, 3), 1e6))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


class TestMixtures:
    def test_moments_and_density_are_those_of_samples(self, mixtures):
        draws = mixtures.sample(200_000, random_state=1)
        # Six standard errors of the mean of so many draws.
        close = 6 * mixtures.std() / np.sqrt(200_000)
        assert (np.abs(draws.mean(axis=0) - mixtures.mean()) < close).all()
        np.testing.assert_allclose(draws.std(axis=0), mixtures.std(), rtol=0.02)
        correlations = [np.cov(draws[:, n].T)[0, 1] for n in range(3)]
        np.testing.assert_allclose(correlations, mixtures.covariance()[:, 0, 1], atol=0.05)
        assert np.abs(correlations).max() > 0.3

    def test_density_is_that_of_scipy_and_is_normalised(self, mixtures):
        axis = np.linspace(-15, 15, 301)
        points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        for n in range(3):
            one = GaussianMixtures(*(a[n : n + 1] for a in vars(mixtures).values()))
            repeated = GaussianMixtures(*(np.repeat(a, len(points), 0) for a in vars(one).values()))
            density = np.exp(repeated.log_density(points))
            expected = sum(
                w * multivariate_normal(m, c).pdf(points)
                for w, m, c in zip(one.weights[0], one.means[0], one.covariances[0], strict=True)
            )
            np.testing.assert_allclose(density, expected, rtol=1e-9, atol=1e-300)
            assert density.sum() * 0.1**2 == pytest.approx(1.0, abs=1e-3)

    def test_mode_is_the_highest_point_of_a_fine_grid(self, mixtures):
        axis = np.linspace(-6, 6, 241)
        points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        mode = mixtures.mode()
        heights = mixtures.log_density(mode)
        for n in range(3):
            parts = (np.repeat(a[n : n + 1], len(points), 0) for a in vars(mixtures).values())
            density = GaussianMixtures(*parts).log_density(points)
            assert heights[n] >= density.max()
            assert np.abs(mode[n] - points[density.argmax()]).max() <= 0.05  # the grid's spacing
        assert np.abs(mode - mixtures.mean()).max() > 0.5

    def test_one_component_is_a_normal_distribution(self):
        one = GaussianMixtures([[1.0]], [[[1.0, -2.0]]], [[[[2.0, 0.0], [0.5, np.sqrt(8.75)]]]])
        np.testing.assert_allclose(one.mode(), [[1.0, -2.0]])
        np.testing.assert_allclose(one.mean(), [[1.0, -2.0]])
        np.testing.assert_allclose(one.std(), [[2.0, 3.0]])

    def test_a_component_of_no_weight_is_never_drawn(self):
        two = GaussianMixtures([[0.0, 1.0]], [[[5.0], [-5.0]]], np.ones((1, 2, 1, 1)))
        assert two.sample(1000, random_state=0).max() < 1.0
        np.testing.assert_allclose(two.mode(), [[-5.0]])

    def test_outputs_of_different_size_that_depend_on_each_other(self, mixtures):
        """Density and mode under a linear map whose square no covariance could hold."""
        matrix = np.array([[1e6, 0.0], [1e6, 1e-5]])
        moved = GaussianMixtures(
            mixtures.weights, mixtures.means @ matrix.T, matrix @ mixtures.roots
        )
        expected = mixtures.mode() @ matrix.T
        np.testing.assert_allclose(moved.mode(), expected, rtol=1e-6)
        lower = np.log(abs(np.linalg.det(matrix)))
        found = moved.log_density(expected) + lower
        np.testing.assert_allclose(found, mixtures.log_density(mixtures.mode()), atol=1e-3)

    def test_wrong_shapes(self, mixtures):
        with pytest.raises(ValueError, match="weights"):
            GaussianMixtures(mixtures.weights[:, :2], mixtures.means, mixtures.roots)
        with pytest.raises(ValueError, match="means"):
            GaussianMixtures(mixtures.weights, mixtures.means[0], mixtures.roots)
        with pytest.raises(ValueError, match="roots"):
            GaussianMixtures(mixtures.weights, mixtures.means, mixtures.roots[..., :1])
        for wrong in ((2, 2), (3, 3)):
            with pytest.raises(ValueError, match="y "):
                mixtures.log_density(np.zeros(wrong))
        for wrong in (0, 1.5):
            with pytest.raises((ValueError, TypeError), match="n_samples must be"):
                mixtures.sample(wrong)

    def test_they_do_not_change_and_are_floats(self, mixtures):
        with pytest.raises(FrozenInstanceError):
            mixtures.weights = None
        assert mixtures.sample(random_state=0).shape == (1, 3, 2)
        whole = GaussianMixtures([[1]], [[[1, -2]]], [[[[2, 0], [0, 3]]]])
        assert {array.dtype for array in vars(whole).values()} == {np.dtype(float)}
        np.testing.assert_allclose(whole.component_std(), [[[2, 3]]])
        np.testing.assert_allclose(whole.log_density([[1, -2]]), -np.log(2 * np.pi * 6))


class TestRegressor:
    def test_learns_two_branches(self):
        """y = ± sqrt(x): the mean is zero, the mode is a branch, and both are equally likely."""
        rng = np.random.default_rng(0)
        x = rng.uniform(1, 4, (800, 1))
        y = rng.choice([-1.0, 1.0], (800, 1)) * np.sqrt(x) + 0.05 * rng.standard_normal((800, 1))
        model = make(max_epochs=40, lr=1e-2, module__n_components=2).fit(x, y)
        at = np.array([[1.5], [2.5], [3.5]])
        mean, std = model.predict(at, return_std=True)
        assert np.abs(mean).max() < 0.25
        np.testing.assert_allclose(std, np.sqrt(at), rtol=0.1)
        np.testing.assert_allclose(np.abs(model.predict_mode(at)), np.sqrt(at), rtol=0.05)
        weights = model.predict_mixtures(at).weights
        np.testing.assert_allclose(weights, 0.5, atol=0.12)
        # The entropy of two branches of that width.
        best = -0.5 * np.log(2 * np.pi * np.e * 0.05**2) - np.log(2)
        assert best - 0.4 < model.log_likelihood(x, y) < best + 0.1

    @pytest.mark.parametrize("covariance", COVARIANCES)
    def test_learns_a_normal_distribution(self, covariance):
        """With one component: mean and covariance of the residuals, as linear regression has."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal((2000, 2))
        noise = rng.multivariate_normal([0, 0], [[1.0, 0.8], [0.8, 1.0]], 2000)
        y = x @ [[1.0, -2.0], [0.5, 3.0]] + noise
        model = make(max_epochs=8, lr=2e-2, module__n_components=1, target_scaling="standard")
        model.set_params(module__covariance=covariance, module__hidden_layer_sizes=())
        found = model.fit(x, y).predict_mixtures(x[:1]).covariances[0, 0]
        np.testing.assert_allclose(np.diag(found), 1.0, rtol=0.25)
        assert found[0, 1] == pytest.approx(0.0 if covariance == "diagonal" else 0.8, abs=0.2)

    @pytest.mark.parametrize("scaling", ["whiten", "standard", "max", None])
    def test_densities_belong_to_targets_in_their_own_units(self, scaling):
        """The predicted density integrates to one over the targets, whatever the scaling."""
        rng = np.random.default_rng(2)
        x = rng.standard_normal((100, 3))
        y = 5.0 + 20 * x[:, :2] + rng.standard_normal((100, 2)) @ [[3.0, 2.0], [0.0, 1.0]]
        model = make(target_scaling=scaling, max_epochs=5).fit(x, y)
        mixtures = model.predict_mixtures(x[:1])
        low, high = (mixtures.mean() + sign * 9 * mixtures.std() for sign in (-1, 1))
        axes = [np.linspace(a, b, 400) for a, b in zip(low[0], high[0], strict=True)]
        points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
        many = GaussianMixtures(*(np.repeat(a, len(points), 0) for a in vars(mixtures).values()))
        volume = np.prod([axis[1] - axis[0] for axis in axes])
        assert np.exp(many.log_density(points)).sum() * volume == pytest.approx(1.0, abs=1e-3)
        np.testing.assert_allclose(model.predict(x[:1]), mixtures.mean(), rtol=1e-5)

    def test_blocks_are_rows(self):
        rng = np.random.default_rng(3)
        x, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
        X, Y = Blocks([x[:5], x[5:]]), [y[:5], y[5:]]
        model = make().fit(X, Y)
        mean, std = model.predict(X, return_std=True)
        assert [block.shape for block in (*mean, *std)] == 2 * [(5, 2), (7, 2)]
        np.testing.assert_allclose(std[1], model.predict_mixtures(X).std()[5:], rtol=1e-6)
        np.testing.assert_allclose(model.predict_mode(X)[0], model.predict_mode(x[:5]), rtol=1e-5)
        assert model.log_likelihood(X, Y) == pytest.approx(model.log_likelihood(x, y))
        assert model.sample(X, 3, random_state=0).shape == (3, 12, 2)

    def test_dropout_of_distributions_is_refused_before_training(self):
        from skldos.uncertainty import MCDropout

        x, y = np.random.default_rng(6).standard_normal((2, 20, 3))
        with pytest.raises(TypeError, match="not distributions"):
            MCDropout(make(module__dropout=0.1)).fit(x, y)

    def test_others_do_not_whiten(self):
        from skldos import LDOSRegressor

        x, y = np.random.default_rng(7).standard_normal((2, 20, 3))
        with pytest.raises(ValueError, match="target_scaling must be one of 'max', 'minmax'"):
            LDOSRegressor(target_scaling="whiten").fit(x, y)

    def test_scores_of_single_outputs_do_not_apply(self):
        from skldos.exceptions import ScoringError
        from skldos.search import NASWOTScorer

        x, y = np.random.default_rng(5).standard_normal((2, 20, 3))
        with pytest.raises(ScoringError, match="must return a tensor"):
            NASWOTScorer(batch_size=2)(make().fit(x, y), x, y)

    def test_snapshots_have_no_targets_for_it(self):
        from skldos.datasets import make_snapshots
        from skldos.descriptors import AtomSNAPTransformer

        snapshots = make_snapshots(2, random_state=0)
        blocks = AtomSNAPTransformer(twojmax=2).fit_transform(snapshots)
        with pytest.raises(ValueError, match="needs targets y"):
            make().fit(blocks)
