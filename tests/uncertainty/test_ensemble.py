"""Ensembles: common and different properties of the members."""

import threading

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from skldos import LDOSRegressor, SiteRegressor
from skldos.uncertainty import DeepEnsemble


def network():
    return LDOSRegressor(module__hidden_layer_sizes=(6,), max_epochs=3, lr=1e-2)


def test_mean_and_deviation_are_those_of_the_members(blocks, targets):
    fitted = DeepEnsemble(network(), 4, random_state=0).fit(blocks, targets)
    each = [member.predict(blocks) for member in fitted.estimators_]
    mean, std = fitted.predict(blocks, return_std=True)
    for i in range(len(blocks)):
        rows = np.stack([member[i] for member in each]).astype(float)
        np.testing.assert_allclose(mean[i], rows.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(std[i], rows.std(axis=0, ddof=1), rtol=1e-6)
        assert (std[i] > 1e-4).all()
    sums = [member.predict_sum(blocks) for member in fitted.estimators_]
    np.testing.assert_array_equal(fitted.sample_sums(blocks), sums)
    np.testing.assert_allclose(fitted.predict_sum(blocks), np.mean(sums, axis=0))
    seeds = {member.random_state for member in fitted.estimators_}
    assert len(seeds) == 4


def test_members_without_chance_agree_exactly(blocks, targets):
    fitted = DeepEnsemble(SiteRegressor(Ridge()), 3, random_state=0).fit(blocks, targets)
    _, std = fitted.predict(blocks, return_std=True)
    assert all((block == 0).all() for block in std)
    drawn = DeepEnsemble(SiteRegressor(Ridge()), 3, bootstrap=True, random_state=0)
    _, std = drawn.fit(blocks, targets).predict(blocks, return_std=True)
    assert all((block > 0).all() for block in std)


def test_jobs_change_nothing(blocks, targets):
    fitted = DeepEnsemble(network(), 2, random_state=0).fit(blocks, targets)
    other = clone(fitted).set_params(n_jobs=2).fit(blocks, targets)
    np.testing.assert_allclose(other.sample_sums(blocks), fitted.sample_sums(blocks), rtol=1e-6)


def test_members_must_differ(blocks, targets):
    with pytest.raises(ValueError, match="must have a parameter random_state"):
        DeepEnsemble(SiteRegressor(LinearRegression())).fit(blocks, targets)
    with pytest.raises(ValueError, match="n_estimators must be >= 2, got 1"):
        DeepEnsemble(network(), 1).fit(blocks, targets)


@pytest.mark.parametrize("wrong", [None, "ridge", Ridge, StandardScaler()])
def test_what_is_no_regressor_is_refused(blocks, targets, wrong):
    for estimator in (DeepEnsemble(wrong), SiteRegressor(wrong)):
        with pytest.raises(
            TypeError, match=r"regressor must be a regressor, such as Ridge\(\), got"
        ):
            estimator.fit(blocks, targets)


class Here(SiteRegressor):
    """Knows the thread that has fitted it."""

    def fit(self, X, y=None, sample_weight=None):
        """Look around."""
        self.thread_ = threading.get_ident()
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_members_are_fitted_by_as_many_workers_as_asked_for(blocks, targets, n_jobs):
    model = DeepEnsemble(Here(Ridge()), 2, bootstrap=True, n_jobs=n_jobs, random_state=0)
    with parallel_config("threading"):
        model.fit(blocks, targets)
    here = [member.thread_ == threading.get_ident() for member in model.estimators_]
    assert here == [n_jobs is None] * 2


class Tenths(RegressorMixin, BaseEstimator):
    """Predicts a tenth in single precision."""

    random_state = None

    def fit(self, X, y=None):
        """Learn nothing."""
        self.fitted_ = True
        return self

    def predict(self, X):
        """Return tenths."""
        return [np.full((len(block), 2), np.float32(0.1)) for block in X]


def test_sums_are_taken_in_double_precision():
    X = [np.zeros((100_000, 1))]
    fitted = DeepEnsemble(Tenths(), 2, bootstrap=True).fit(X, X)
    np.testing.assert_allclose(fitted.sample_sums(X), 1e5 * float(np.float32(0.1)), rtol=1e-12)
