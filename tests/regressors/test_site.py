"""Any regressor on blocks, and the loss of sums and band energies in closed form."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skldos import GridSNAPTransformer, predict_dos
from skldos.data import Blocks
from skldos.physics import band_energy, fermi_level
from skldos.regressors.site import SiteRegressor


@parametrize_with_checks([SiteRegressor(Ridge()), SiteRegressor(Ridge(), center=False)])
def test_sklearn_check(estimator, check):
    check(estimator)


# -------------------------------------------------------------------- on blocks


@pytest.mark.parametrize(
    "regressor", [Ridge(1e-2), KernelRidge(), RandomForestRegressor(5, random_state=0)]
)
def test_blocks_are_the_rows_of_one_table(blocks, targets, rows, regressor):
    model = SiteRegressor(regressor, center=False).fit(blocks, targets)
    expected = clone(regressor).fit(*rows).predict(rows[0])
    predicted = model.predict(blocks)
    assert isinstance(predicted, Blocks)
    assert [len(block) for block in predicted] == [len(block) for block in blocks]
    # Kernels without an intercept solve an ill-conditioned system of equations.
    np.testing.assert_allclose(np.concatenate(predicted), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict(rows[0]), expected, rtol=1e-9, atol=1e-12)
    sums = [block.sum(axis=0) for block in predicted]
    np.testing.assert_allclose(model.predict_sum(blocks), sums, rtol=1e-12)
    assert (model.n_features_in_, model.n_outputs_, model.energies_) == (3, 4, None)


def test_plain_tables_are_fitted_as_they_are(rows):
    X, Y = rows
    for y in (Y, Y[:, 0]):
        model = SiteRegressor(Ridge(1.0)).fit(X, y)
        np.testing.assert_allclose(model.predict(X), Ridge(1.0).fit(X, y).predict(X), rtol=1e-10)
        assert model.score(X, y) == pytest.approx(r2_score(y, model.predict(X)))


def test_score_of_blocks_is_that_of_all_rows(blocks, targets, rows):
    model = SiteRegressor(Ridge()).fit(blocks, targets)
    expected = r2_score(rows[1], model.predict(rows[0]), multioutput="variance_weighted")
    assert 0.3 < expected < 1
    assert model.score(blocks, targets) == pytest.approx(expected, rel=1e-10)


def test_targets_of_grid_points_are_the_ldos(snapshots):
    X = GridSNAPTransformer(twojmax=2).fit_transform(snapshots)
    model = SiteRegressor(Ridge(1e-3), dos_weight=10).fit(X)
    assert model.predict(X)[0].shape == (64, 11)
    assert np.array_equal(model.energies_, snapshots[0].energies)
    for dos, snapshot in zip(predict_dos(model, X), snapshots, strict=True):
        np.testing.assert_allclose(dos, snapshot.dos(), atol=0.05 * snapshot.dos().max())
    assert model.score(X) > 0.5


# -------------------------------------------------------------------- transformed targets


def test_center_is_an_intercept_for_kernels(blocks, targets, rows):
    X, Y = rows
    model = SiteRegressor(KernelRidge(1.0)).fit(blocks, targets)
    mean = Y.mean(axis=0)
    expected = mean + KernelRidge(1.0).fit(X, Y - mean).predict(X)
    np.testing.assert_allclose(np.concatenate(model.predict(blocks)), expected, rtol=1e-10)
    without = SiteRegressor(KernelRidge(1.0), center=False).fit(blocks, targets)
    assert np.abs(np.concatenate(without.predict(blocks)) - expected).max() > 1e-3


@pytest.mark.parametrize("n_components", [1, 2, 4])
def test_components_are_those_of_a_transformed_target(blocks, targets, rows, n_components):
    X, Y = rows
    model = SiteRegressor(Ridge(0.1), n_components=n_components).fit(blocks, targets)
    pca = TransformedTargetRegressor(
        Ridge(0.1), transformer=PCA(n_components), check_inverse=False
    ).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), pca.predict(X), atol=1e-10)
    assert model.components_.shape == (n_components, 4)


# -------------------------------------------------------------------- sums


def loss_gradient(model, X, y, alpha, lam, kappa):
    """Gradient of the loss in the docstring, at the coefficients of the fitted model."""
    coef, intercept = model.regressor_.coef_, model.regressor_.intercept_
    u = np.zeros(y[0].shape[1])
    if model.band_regressor_ is not None:
        u = model.direction_
        along = model.band_regressor_
        coef = coef + np.outer(u, along.coef_ - u @ coef)
        intercept = intercept + u * (along.intercept_ - u @ intercept)
    W, b = (torch.tensor(part, requires_grad=True) for part in (coef, intercept))
    loss = alpha * (W**2).sum()
    for block, target in zip(X, y, strict=True):
        target = torch.tensor(target - model.target_mean_)
        error = torch.tensor(np.asarray(block)) @ W.T + b - target
        mean, n = error.mean(dim=0), len(block)
        loss = loss + (error**2).sum() + lam * n * (mean**2).sum()
        loss = loss + kappa * n * (torch.tensor(u) @ mean) ** 2
    loss.backward()
    return np.concatenate([W.grad.numpy().ravel(), b.grad.numpy()])


@pytest.mark.parametrize(
    ("lam", "kappa"), [(None, None), (30.0, None), (None, 500.0), (30.0, 500.0)]
)
def test_the_loss_has_its_minimum_at_the_fit(atoms, lam, kappa):
    X, y = atoms
    model = SiteRegressor(Ridge(1e-2), dos_weight=lam, band_weight=kappa).fit(X, y)
    gradient = loss_gradient(model, X, y, 1e-2, lam or 0.0, kappa or 0.0)
    elsewhere = loss_gradient(model, X, y, 1e-2, (lam or 0.0) + 1, (kappa or 0.0) + 1)
    # Of another loss the gradient is not zero here: the test can tell.
    assert np.abs(elsewhere).max() > 1e-5
    assert np.abs(gradient).max() < 1e-6 * np.abs(elsewhere).max()


def test_the_direction_is_that_of_the_band_energy(atoms, snapshots):
    X, y = atoms
    model = SiteRegressor(Ridge(), band_weight=1.0).fit(X, y)
    u = model.direction_
    assert np.linalg.norm(u) == pytest.approx(1)
    snapshot = snapshots[0]
    energies, state = snapshot.energies, {"temperature": snapshot.temperature}

    def energy(dos):
        mu = fermi_level(dos, energies, n_electrons=snapshot.n_electrons, **state)
        return band_energy(dos, energies, fermi_level=mu, **state)

    # A central difference along every energy; parallel to u as far as the Fermi levels are alike.
    step, dos = 1e-4, snapshot.dos()
    slopes = np.array(
        [(energy(dos + h) - energy(dos - h)) / (2 * step) for h in step * np.eye(len(dos))]
    )
    assert u @ slopes / np.linalg.norm(slopes) > 0.999


def test_the_band_direction_is_not_cut_by_components(atoms):
    X, y = atoms
    options = {"dos_weight": 10.0, "band_weight": 100.0}
    whole = SiteRegressor(Ridge(1e-3), **options).fit(X, y)
    cut = SiteRegressor(Ridge(1e-3), n_components=1, **options).fit(X, y)
    u = whole.direction_
    np.testing.assert_allclose(cut.predict_sum(X) @ u, whole.predict_sum(X) @ u, rtol=1e-9)
    assert np.abs(cut.predict_sum(X) - whole.predict_sum(X)).max() > 1e-6


# -------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"dos_weight": -1}, ValueError, "dos_weight must be >= 0, got -1"),
        ({"band_weight": "much"}, TypeError, "band_weight must be a number"),
        ({"center": "yes"}, ValueError, "center must be one of True, False"),
        ({"n_components": 0}, ValueError, "n_components must be >= 1"),
        ({"n_components": 9}, ValueError, "n_components must be at most the numbers of rows"),
        ({"band_weight": 1.0}, ValueError, "band_weight needs blocks that are linked to snapshots"),
    ],
)
def test_wrong_parameters(blocks, targets, params, error, message):
    with pytest.raises(error, match=message):
        SiteRegressor(Ridge(), **params).fit(blocks, targets)


@pytest.mark.parametrize(
    ("regressor", "message"),
    [
        (GaussianProcessRegressor(), "need a regressor that takes a sample_weight, got Gaussian"),
        (make_pipeline(StandardScaler(), Ridge()), "scalers belong before this regressor"),
        (KernelRidge(), "linear in its inputs, got KernelRidge"),
    ],
)
def test_sums_need_a_linear_regressor(blocks, targets, regressor, message):
    with pytest.raises(ValueError, match=message):
        SiteRegressor(regressor, dos_weight=1.0).fit(blocks, targets)
    SiteRegressor(regressor, dos_weight=0).fit(blocks, targets)


def test_other_linear_regressors_take_sums(blocks, targets):
    for regressor in (LinearRegression(), Lasso(1e-3)):
        model = SiteRegressor(regressor, dos_weight=10.0).fit(blocks, targets)
        assert model.score(blocks, targets) > 0.3


def test_mistakes_in_the_data(blocks, targets, rows):
    with pytest.raises(ValueError, match=r"SiteRegressor\.fit needs targets"):
        SiteRegressor(Ridge()).fit(blocks)
    with pytest.raises(ValueError, match="need one block per snapshot, got plain rows"):
        SiteRegressor(Ridge(), dos_weight=1.0).fit(*rows)
    broken = [target.copy() for target in targets]
    broken[2][0, 0] = np.nan
    with pytest.raises(ValueError, match="y holds NaN or infinite values"):
        SiteRegressor(Ridge()).fit(blocks, broken)
    model = SiteRegressor(Ridge()).fit(blocks, targets)
    with pytest.raises(ValueError, match=r"blocks of shape \(n_sites, 3\) as in fit, got \(5, 2\)"):
        model.predict(Blocks([np.zeros((5, 2))]))
