"""The closed-form posterior compared with refits, Gaussian processes, samples and its docs."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.linear_model import LinearRegression, Ridge

from skldos import SiteRegressor
from skldos.data import Blocks
from skldos.uncertainty import RidgePosterior, calibration


def model(alpha=0.1, dos_weight=None, intercept=True, **options):
    ridge = Ridge(alpha, fit_intercept=intercept)
    site = SiteRegressor(ridge, dos_weight=dos_weight, center=intercept)
    return RidgePosterior(site, **({"random_state": 0} | options))


def without(values, k):
    return Blocks([v for i, v in enumerate(values) if i != k])


@pytest.mark.parametrize("dos_weight", [None, 20.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_residuals_and_scale_are_those_of_refits(blocks, targets, dos_weight, intercept):
    options = {"dos_weight": dos_weight, "intercept": intercept}
    fitted = model(**options).fit(blocks, targets)
    for k, (block, target) in enumerate(zip(blocks, targets, strict=True)):
        refit = model(**options).fit(without(blocks, k), without(targets, k))
        error = target.sum(axis=0) - refit.predict_sum([block])[0]
        assert np.abs(error).min() > 1e-3
        np.testing.assert_allclose(fitted.loo_residuals_[k], error, rtol=1e-9)
        scale = len(blocks) * refit.sum_covariance([block])[0, 0]
        np.testing.assert_allclose(fitted.sum_residuals_[k], error / np.sqrt(scale), rtol=1e-9)


def test_covariances_are_those_of_a_gaussian_process(blocks, targets):
    alpha, known, new = 0.3, blocks[:5], blocks[5:]
    fitted = model(alpha, intercept=False).fit(known, targets[:5])
    # The dual of ridge regression: noise of variance 1, weights of variance 1/alpha.
    kernel = 1 / alpha * DotProduct(0.0, sigma_0_bounds="fixed")
    process = GaussianProcessRegressor(kernel, alpha=1.0, optimizer=None)
    process.fit(np.concatenate(known), np.concatenate(targets[:5])[:, 0])
    _, rows = process.predict(np.concatenate(new), return_cov=True)
    owner = np.repeat(np.arange(3), [len(block) for block in new])
    sums = (owner == np.arange(3)[:, None]).astype(float)
    expected = sums @ rows @ sums.T + np.diag([len(block) for block in new])
    np.testing.assert_allclose(fitted.sum_covariance(new), expected, rtol=1e-9)
    # Single sites, in units of the variance of the noise.
    std = np.concatenate(fitted.predict(new, return_std=True)[1])
    expected = np.outer(np.diag(rows) + 1, fitted.site_variance_)
    np.testing.assert_allclose(std**2, expected, rtol=1e-9)


@pytest.mark.parametrize("dos_weight", [None, 20.0])
def test_deviations_of_sites_are_those_of_the_whole_matrices(blocks, targets, dos_weight):
    alpha, new = 0.3, blocks[5]
    fitted = model(alpha, dos_weight, intercept=False).fit(blocks, targets)
    metrics = [np.eye(len(b)) + (dos_weight or 0) / len(b) for b in (*blocks, new)]
    precision = sum(b.T @ m @ b for b, m in zip(blocks, metrics, strict=False)) + alpha * np.eye(3)
    rows = new @ np.linalg.inv(precision) @ new.T + np.linalg.inv(metrics[-1])
    (std,) = fitted.predict([new], return_std=True)[1]
    np.testing.assert_allclose(std**2, np.outer(np.diag(rows), fitted.site_variance_), rtol=1e-9)
    np.testing.assert_allclose(fitted.sum_covariance([new]), [[rows.sum()]], rtol=1e-9)


def test_predictions_are_those_of_the_regressor(blocks, targets):
    fitted = model(dos_weight=5).fit(blocks, targets)
    expected = SiteRegressor(Ridge(0.1), dos_weight=5).fit(blocks, targets)
    for block, other in zip(fitted.predict(blocks), expected.predict(blocks), strict=True):
        np.testing.assert_array_equal(block, other)
    np.testing.assert_array_equal(fitted.predict_sum(blocks), expected.predict_sum(blocks))
    assert fitted.score(blocks, targets) == pytest.approx(expected.score(blocks, targets))


@pytest.mark.parametrize("dos_weight", [None, 20.0])
def test_more_data_leave_less_uncertainty(blocks, targets, dos_weight):
    new = blocks[6:]
    few = model(dos_weight=dos_weight).fit(blocks[:3], targets[:3])
    many = model(dos_weight=dos_weight).fit(blocks[:6], targets[:6])
    told = few.condition(blocks[3:6])
    np.testing.assert_allclose(told.sum_covariance(new), many.sum_covariance(new), rtol=1e-9)
    before, after = (np.linalg.eigvalsh(m.sum_covariance(new)) for m in (few, many))
    assert (after < before).all()
    # The one that was asked stays as it was.
    again = model(dos_weight=dos_weight).fit(blocks[:3], targets[:3])
    np.testing.assert_array_equal(few.sum_covariance(new), again.sum_covariance(new))


def test_samples_have_the_covariance_of_the_closed_form(blocks, targets):
    n = 20_000
    fitted = model(n_samples=n).fit(blocks, targets)
    new = blocks[:3]
    samples = fitted.sample_sums(new)
    assert samples.shape == (n, 3, 2)
    outputs = fitted.sum_residuals_.T @ fitted.sum_residuals_
    expected = np.kron(fitted.sum_covariance(new), outputs)
    variance = np.diag(expected)
    # Five standard errors of a covariance, and of a mean.
    error = np.sqrt((np.outer(variance, variance) + expected**2) / n)
    apart = np.cov(samples.reshape(n, -1), rowvar=False) - expected
    assert (np.abs(apart) < 5 * error).all()
    mean = samples.mean(axis=0) - fitted.predict_sum(new)
    assert (np.abs(mean).ravel() < 5 * np.sqrt(variance / n)).all()


def test_errors_are_as_large_as_promised(rng):
    errors, deviations = [], []
    for _ in range(300):
        weights = rng.normal(size=(3, 1)) / np.sqrt(0.1)
        blocks = Blocks([rng.normal(size=(4, 3)) for _ in range(26)])
        targets = [0.7 * (b @ weights + rng.normal(size=(4, 1))) for b in blocks]
        fitted = model(0.1, intercept=False).fit(blocks[:25], targets[:25])
        errors.append(fitted.predict_sum(blocks[25:])[0, 0] - targets[25].sum())
        outputs = np.square(fitted.sum_residuals_).sum()
        deviations.append(np.sqrt(fitted.sum_covariance(blocks[25:])[0, 0] * outputs))
    numbers = calibration(errors, deviations)
    # Standard errors over 300 trials: 0.04 of the root mean square, 0.027 and 0.013 of the parts.
    assert numbers["rms_z"] == pytest.approx(1, abs=0.12)
    assert numbers["coverage_68"] == pytest.approx(0.68, abs=0.08)
    assert numbers["coverage_95"] == pytest.approx(0.95, abs=0.04)


def test_order_of_sites_does_not_matter(blocks, targets, rng):
    order = [rng.permutation(len(block)) for block in blocks]
    turned, known = (
        Blocks([v[o] for v, o in zip(values, order, strict=True)]) for values in (blocks, targets)
    )
    first, second = (
        model(dos_weight=3).fit(*data) for data in ((blocks, targets), (turned, known))
    )
    np.testing.assert_allclose(second.sum_residuals_, first.sum_residuals_, rtol=1e-9)
    np.testing.assert_allclose(second.sum_covariance(turned), first.sum_covariance(blocks))
    std, other = (m.predict(X, return_std=True)[1] for m, X in ((first, blocks), (second, turned)))
    np.testing.assert_allclose(other[0], std[0][order[0]], rtol=1e-9)


@pytest.mark.parametrize(
    "regressor",
    [
        Ridge(),
        SiteRegressor(LinearRegression()),
        SiteRegressor(Ridge(), band_weight=1.0),
        SiteRegressor(Ridge(), n_components=1),
        SiteRegressor(Ridge(fit_intercept=False)),
        SiteRegressor(Ridge([1.0, 2.0])),
        SiteRegressor(Ridge(0.0)),
    ],
)
def test_other_regressors_are_refused(blocks, targets, regressor):
    with pytest.raises(ValueError, match=r"or a SiteRegressor around a Ridge|must be positive"):
        RidgePosterior(regressor).fit(blocks, targets)


def test_features_that_are_the_same_need_a_penalty(blocks, targets):
    twice = [np.column_stack([1e9 * block, 1e9 * block]) for block in blocks]
    with pytest.raises(ValueError, match="alpha=1e-12 of the Ridge is too small"):
        model(1e-12).fit(twice, targets)


def test_score_needs_targets(blocks, targets):
    with pytest.raises(ValueError, match="score needs targets y"):
        model().fit(blocks, targets).score(blocks)


def test_one_snapshot_or_plain_rows_are_refused(blocks, targets):
    with pytest.raises(ValueError, match=r"at least two snapshots.*got 1 block"):
        model().fit(blocks[:1], targets[:1])
    with pytest.raises(ValueError, match=r"at least two snapshots.*got plain rows"):
        model().fit(blocks[0], targets[0])
