"""Ridge regression from sums over rows equals the fit to all rows at once."""

import threading

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skldos import SiteRegressor, SiteRidgeCV
from skldos.data import Blocks, ComputedArray
from skldos.regressors import ridge_sums


@pytest.fixture(scope="module")
def of_atoms(atoms):
    X, y = atoms
    # Far from the origin, where sums of squares cancel.
    X = Blocks(
        [(block - X[0].mean(axis=0)) / np.vstack(X).std(axis=0) + 5 for block in X], X.snapshots
    )
    return X, y


def coefficients(model):
    fitted = [model.regressor_] + [model.band_regressor_] * (model.band_regressor_ is not None)
    values = [np.ravel(x) for r in fitted for x in (r.coef_, r.intercept_)]
    return np.concatenate([*values, model.target_mean_])


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    "params",
    [{}, {"dos_weight": 30.0}, {"dos_weight": 10.0, "band_weight": 50.0}, {"center": False}],
)
@pytest.mark.parametrize("weights", [None, [1, 2, 0, 1, 0.5, 3]])
def test_it_equals_the_fit_to_all_rows(of_atoms, monkeypatch, params, intercept, weights):
    X, y = of_atoms
    ridge = Ridge(1e-2, fit_intercept=intercept)
    found = SiteRegressor(ridge, **params).fit(X, y, weights)
    monkeypatch.setattr("skldos.regressors.site.fits_by_sums", lambda *_: False)
    expected = SiteRegressor(ridge, **params).fit(X, y, weights)
    scale = np.abs(expected.regressor_.coef_).max()
    assert scale > 0
    np.testing.assert_allclose(
        coefficients(found), coefficients(expected), rtol=1e-10, atol=1e-10 * scale
    )
    for one, other in zip(found.predict(X), expected.predict(X), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())


def test_neither_slices_nor_workers_change_a_number(of_atoms, monkeypatch):
    X, y = of_atoms
    monkeypatch.setattr(ridge_sums, "SLICE_ROWS", 3)
    lazy = Blocks(
        [ComputedArray(Rows(block), block.shape, block.dtype) for block in X], X.snapshots
    )
    model = SiteRegressor(Ridge(1e-2), dos_weight=10.0, band_weight=1.0)
    alone = coefficients(model.fit(lazy, y))
    with joblib.parallel_config("threading"):
        shared = coefficients(model.set_params(n_jobs=2).fit(X, y))
    np.testing.assert_array_equal(shared, alone)
    monkeypatch.undo()
    np.testing.assert_allclose(
        coefficients(model.set_params(n_jobs=None).fit(X, y)), alone, rtol=1e-9, atol=1e-12
    )


class Rows:
    """Reads rows of an array, a few at a time."""

    def __init__(self, block):
        self.block = block

    def __call__(self, start, stop):
        assert stop - start <= 4
        return self.block[start:stop]


def test_which_regressors_are_fitted_by_sums():
    for ridge in (Ridge(solver="svd"), Ridge(positive=True), Ridge([1.0, 2.0])):
        assert not ridge_sums.fits_by_sums(ridge, 100, 10)
    assert not ridge_sums.fits_by_sums(Ridge(), 9, 10)
    assert ridge_sums.fits_by_sums(Ridge(), 10, 10)


def test_features_that_depend_on_each_other(rng):
    x = rng.normal(size=(20, 2))
    X, y = Blocks([np.column_stack([x, x[:, :1]])]), [rng.normal(size=(20, 3))]
    model = SiteRegressor(Ridge(0.0)).fit(X, y)
    plain = np.linalg.lstsq(np.column_stack([np.ones(20), x]), y[0], rcond=None)[0]
    expected = np.column_stack([np.ones(20), x]) @ plain
    np.testing.assert_allclose(model.predict(X)[0], expected, atol=1e-8)


@pytest.mark.parametrize(("name", "which"), [("X", 0), ("y", 1)])
def test_nan_is_an_error(of_atoms, name, which):
    data = [[block.copy() for block in blocks] for blocks in of_atoms]
    data[which][3][1, 0] = np.nan
    with pytest.raises(ValueError, match=f"{name} holds NaN"):
        SiteRegressor(Ridge()).fit(Blocks(data[0]), data[1])


@pytest.mark.parametrize(
    "model", [SiteRegressor(Ridge(1e-2)), SiteRidgeCV(alphas=(1e-2,), dos_weights=(1.0,))]
)
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_workers_read_the_rows(of_atoms, model, n_jobs):
    X, y = of_atoms
    here, others = threading.get_ident(), set()

    def reading(block):
        def rows(start, stop):
            others.add(threading.get_ident())
            return block[start:stop]

        return ComputedArray(rows, block.shape, block.dtype)

    lazy = Blocks([reading(np.asarray(block)) for block in X], X.snapshots)
    with joblib.parallel_config("threading"):
        model.set_params(n_jobs=n_jobs).fit(lazy, y)
    assert bool(others - {here}) == (n_jobs == 2)
    if isinstance(model, SiteRidgeCV):
        assert model.regressor_.n_jobs == n_jobs
