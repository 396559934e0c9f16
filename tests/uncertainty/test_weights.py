"""Weights of samples: those of zero are left out, whole ones are repetitions."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from skldos import LDOSRegressor, SiteRegressor
from skldos.data import Blocks
from skldos.uncertainty import DeepEnsemble, MCDropout, RidgePosterior

NETWORK = {"module__hidden_layer_sizes": (6,), "max_epochs": 3, "lr": 1e-2, "batch_size": 50}
ONCE = np.array([1, 0, 2, 1, 0, 1, 3, 1])


def models():
    site = SiteRegressor(Ridge(0.1))
    network = LDOSRegressor(module__dropout=0.1, random_state=0, **NETWORK)
    return {
        "posterior": RidgePosterior(site, random_state=0),
        "ensemble": DeepEnsemble(site, 2, bootstrap=True, random_state=0),
        "networks": DeepEnsemble(network, 2, random_state=0),
        "dropout": MCDropout(network, 3, random_state=0),
    }


@pytest.mark.parametrize("name", list(models()))
def test_blocks_of_no_weight_are_not_seen(name, blocks, targets):
    other = [100.0 + y if w == 0 else y for y, w in zip(targets, ONCE, strict=True)]
    weights = ONCE.astype(float)
    one = models()[name].fit(blocks, targets, sample_weight=weights)
    two = models()[name].fit(blocks, other, sample_weight=weights)
    plain = models()[name].fit(blocks, other)
    for a, b in zip(one.predict(blocks), two.predict(blocks), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    assert np.abs(plain.predict(blocks)[0] - one.predict(blocks)[0]).max() > 0.1


@pytest.mark.parametrize("dos_weight", [None, 4.0])
def test_weighted_residuals_are_those_of_fits_without_the_snapshot(blocks, targets, dos_weight):
    weights = np.array([1, 0, 2, 1, 0.5, 1, 3, 1])

    def fit(weights):
        # Without an intercept, which the mean of the features of all snapshots would enter.
        site = SiteRegressor(Ridge(0.1, fit_intercept=False), dos_weight=dos_weight, center=False)
        return RidgePosterior(site, random_state=0).fit(blocks, targets, sample_weight=weights)

    fitted, variance, n_rows = fit(weights), 0.0, 0.0
    for row, k in enumerate(np.flatnonzero(weights)):
        refit = fit(np.where(np.arange(8) == k, 0.0, weights))
        errors = targets[k] - refit.predict(blocks)[k]
        # One observation of this snapshot, whatever its weight.
        n, a = len(errors), dos_weight or 0.0
        noise = np.linalg.inv(np.eye(n) + a / n)
        covariance = noise + blocks[k] @ np.linalg.inv(refit.precision_) @ blocks[k].T
        scale = weights.sum() / weights[k] * covariance.sum()
        expected = errors.sum(axis=0)
        assert abs(expected).min() > 1e-3
        np.testing.assert_allclose(fitted.loo_residuals_[row], expected, rtol=1e-8)
        np.testing.assert_allclose(fitted.sum_residuals_[row], expected / np.sqrt(scale), rtol=1e-8)
        whitened = np.linalg.solve(np.linalg.cholesky(covariance), errors)
        variance = variance + weights[k] * (whitened**2).sum(axis=0)
        n_rows += weights[k] * n
    np.testing.assert_allclose(fitted.site_variance_, variance / n_rows, rtol=1e-8)


def test_members_of_an_ensemble_take_their_weights_along(blocks, targets):
    """With a bootstrap, a drawn block has its own weight."""
    X = [np.full((2, 1), float(i)) for i in range(8)]
    seen = []

    class Noting(SiteRegressor):
        def fit(self, X, y=None, sample_weight=None):
            seen.append([(b[0, 0], w) for b, w in zip(X, sample_weight, strict=True)])
            return super().fit(X, y, sample_weight)

    y = [np.full((2, 1), float(i)) for i in range(8)]
    weights = 1.0 + np.arange(8)
    DeepEnsemble(Noting(Ridge()), 3, bootstrap=True, random_state=0).fit(Blocks(X), y, weights)
    assert len(seen) == 3
    for pairs in seen:
        assert len(pairs) == 8
        assert all(w == 1 + b for b, w in pairs)
        assert len(set(pairs)) < 8


def test_scores_of_rows_have_weights(blocks, targets):
    X, y = np.concatenate(blocks), np.concatenate(targets)
    model = DeepEnsemble(SiteRegressor(Ridge(0.1)), 2, bootstrap=True, random_state=0).fit(X, y)
    weights = np.linspace(0.1, 3, len(X))
    expected = r2_score(y, model.predict(X), sample_weight=weights)
    assert model.score(X, y, sample_weight=weights) == pytest.approx(expected, rel=1e-9)
    assert model.score(X, y) == pytest.approx(r2_score(y, model.predict(X)), rel=1e-9)
    assert abs(expected - model.score(X, y)) > 1e-6
