"""A weight of two equals repeating a sample, a weight of zero equals omitting it."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from skldos import (
    ADOSRegressor,
    CSNNRegressor,
    LDOSRegressor,
    MDNRegressor,
    SiteRegressor,
    SiteRidgeCV,
)
from skldos.data import Blocks, SnapshotList
from skldos.regressors.site import energy_weights
from skldos.uncertainty import RidgePosterior

COUNTS = np.array([1, 2, 0, 3, 1, 2])
FLAT = {"module__n_spheres": 1, "module__subdivisions": None, "module__factor": 1}
FULL = {"batch_size": 10**4, "max_epochs": 4, "random_state": 0}


def repeated(X, y=None):
    """Return every block as often as it counts."""
    order = np.repeat(np.arange(len(COUNTS)), COUNTS)
    snapshots = getattr(X, "snapshots", None)
    if snapshots is not None:
        snapshots = SnapshotList([snapshots[i] for i in order])
    blocks = Blocks([X[i] for i in order], snapshots)
    return (blocks, None) if y is None else (blocks, [y[i] for i in order])


# One step takes all rows and is along the gradient: the order of rows does not matter.
NETS = {
    "LDOS": lambda: LDOSRegressor(optimizer=torch.optim.SGD, lr=0.1, dos_weight=None, **FULL),
    "LDOS, standard": lambda: LDOSRegressor(target_scaling="standard", dos_weight=None, **FULL),
    "LDOS, refit": lambda: LDOSRegressor(
        optimizer=torch.optim.SGD, lr=0.1, dos_weight=30.0, **FULL
    ),
    "LDOS, L1": lambda: LDOSRegressor(criterion=torch.nn.L1Loss, dos_weight=None, **FULL),
    "LDOS, L-BFGS": lambda: LDOSRegressor(
        optimizer=torch.optim.LBFGS, optimizer__max_iter=3, lr=0.1, dos_weight=None, **FULL
    ),
    "LDOS, streamed": lambda: LDOSRegressor(
        buffer_size=1e-3, optimizer=torch.optim.SGD, lr=0.1, dos_weight=None, **FULL
    ),
    "MDN": lambda: MDNRegressor(optimizer=torch.optim.SGD, lr=0.01, **FULL),
    "ridge": lambda: SiteRegressor(Ridge(0.1)),
    "sums": lambda: SiteRegressor(Ridge(0.1), dos_weight=20.0),
    "components": lambda: SiteRegressor(Ridge(0.1), n_components=2),
    "kernel": lambda: SiteRegressor(KernelRidge(0.1)),
}


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_counts_of_blocks(make, blocks, targets):
    weighted = make().fit(blocks, targets, sample_weight=COUNTS).predict(blocks)
    twice = make().fit(*repeated(blocks, targets)).predict(blocks)
    once = make().fit(blocks, targets).predict(blocks)
    for found, expected, other in zip(weighted, twice, once, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        assert not np.allclose(other, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["LDOS", "LDOS, standard", "LDOS, L1", "ridge", "kernel"])
def test_counts_of_rows(name, rows):
    X, y = rows
    counts = np.arange(len(X)) % 3
    weighted = NETS[name]().fit(X, y, sample_weight=counts).predict(X)
    twice = NETS[name]().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0)).predict(X)
    np.testing.assert_allclose(weighted, twice, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_equal_weights_change_nothing(make, blocks, targets):
    plain = make().fit(blocks, targets).predict(blocks)
    weighted = make().fit(blocks, targets, sample_weight=np.full(6, 1.0)).predict(blocks)
    for found, expected in zip(weighted, plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_spheres_are_weighted_too(blocks, targets):
    """Normalisations see every row once, whatever it weighs: no law but that of zero."""
    make = lambda: CSNNRegressor(**FLAT, **FULL)  # noqa: E731
    absent = make().fit(Blocks([blocks[i] for i in (0, 1)]), targets[:2]).predict(blocks)
    zero = make().fit(blocks, targets, sample_weight=[1, 1, 0, 0, 0, 0]).predict(blocks)
    np.testing.assert_allclose(zero[0], absent[0], rtol=1e-5)
    heavy = make().fit(blocks[:2], targets[:2], sample_weight=[1, 50]).predict(blocks)
    assert np.abs(heavy[0] - absent[0]).max() > 1e-3


def test_validation_losses_are_weighted(blocks, targets, make):
    model = make(train_split=[4, 5]).fit(blocks, targets, sample_weight=[1, 1, 1, 1, 3, 0])
    alone = make(train_split=[4]).fit(blocks[:5], targets[:5])
    assert model.history_[-1, "valid_loss"] == pytest.approx(alone.history_[-1, "valid_loss"])


def test_band_energies_and_atoms(atoms):
    X, y = atoms
    regressor = SiteRegressor(Ridge(1e-3), dos_weight=10.0, band_weight=100.0)
    expected = regressor.fit(*repeated(X, y)).predict(X)
    found = SiteRegressor(Ridge(1e-3), dos_weight=10.0, band_weight=100.0).fit(X, y, COUNTS)
    np.testing.assert_allclose(found.direction_, regressor.direction_, rtol=1e-8, atol=1e-10)
    inside = ADOSRegressor(SiteRegressor(Ridge(1e-3), dos_weight=10.0, band_weight=100.0))
    inside.fit(X, sample_weight=COUNTS)
    for i in range(len(X)):
        np.testing.assert_allclose(found.predict(X)[i], expected[i], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(inside.predict(X)[i], expected[i], rtol=1e-6, atol=1e-8)


def test_snapshots_left_out_have_the_weights_of_the_others(atoms):
    X, y = atoms
    counts = np.array([1.0, 2.0, 0.5, 3.0, 1.0, 2.0])
    model = SiteRidgeCV(alphas=[0.01, 1.0], dos_weights=[0.0, 10.0]).fit(X, y, counts)
    assert model.best_score_ == pytest.approx(
        -np.sqrt((np.average(model.errors_**2, axis=2, weights=counts)).min())
    )
    for j, dos_weight in enumerate([0.0, 10.0]):
        for i, alpha in enumerate([0.01, 1.0]):
            for k in range(len(X)):
                rest = [other for other in range(len(X)) if other != k]
                refit = SiteRegressor(Ridge(alpha), dos_weight=dos_weight)
                refit.fit(X[rest], [y[other] for other in rest], counts[rest])
                change = refit.predict_sum(X[[k]])[0] - y[k].sum(axis=0)
                slope = 1e3 * energy_weights(y[k], X.snapshots[k]) / len(y[k])
                assert model.errors_[j, i, k] == pytest.approx(slope @ change, rel=1e-5, abs=1e-7)
    absent = SiteRidgeCV(alphas=[0.01]).fit(X, y, [1, 1, 1, 0, 1, 1])
    rest = [0, 1, 2, 4, 5]
    expected = SiteRidgeCV(alphas=[0.01]).fit(X[rest], [y[i] for i in rest])
    np.testing.assert_allclose(absent.errors_, expected.errors_)


@pytest.mark.parametrize("dos_weight", [None, 20.0])
def test_posteriors_count_observations(blocks, targets, dos_weight):
    def make():
        return RidgePosterior(SiteRegressor(Ridge(0.1), dos_weight=dos_weight), random_state=0)

    weighted = make().fit(blocks, targets, COUNTS)
    twice = make().fit(*repeated(blocks, targets))
    np.testing.assert_allclose(
        weighted.sum_covariance(blocks), twice.sum_covariance(blocks), rtol=1e-8
    )
    # The scale, by refits without all observations of a snapshot.
    present = [i for i in range(6) if COUNTS[i]]
    sigma = 0.0
    for k in present:
        rest = [i for i in present if i != k]
        refit = make().fit(blocks[rest], [targets[i] for i in rest], COUNTS[rest])
        error = targets[k] - refit.regressor_.predict(blocks[[k]])[0]
        total = error.sum(axis=0)
        spread = refit.sum_covariance(blocks[[k]])[0, 0]
        sigma = sigma + COUNTS[k] * np.outer(total, total) / spread / COUNTS.sum()
    found = weighted.sum_residuals_.T @ weighted.sum_residuals_
    np.testing.assert_allclose(found, sigma, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1], r"one weight per sample, shape \(6,\), got shape \(2,\)"),
        ([1, 1, 1, 1, 1, -1], "not negative .* from -1.0"),
        ([1, 1, 1, 1, 1, np.nan], "finite"),
        ([0] * 6, "not all zero"),
    ],
)
def test_wrong_weights_are_named(make, weights, message, blocks, targets):
    with pytest.raises(ValueError, match=rf"sample_weight must .*{message}"):
        make().fit(blocks, targets, sample_weight=weights)


def test_who_cannot_weigh_says_so(blocks, targets):
    with pytest.raises(ValueError, match="sample_weight needs a regressor that takes one"):
        SiteRegressor(KNeighborsRegressor()).fit(blocks, targets, sample_weight=COUNTS)
    with pytest.raises(ValueError, match="criterion with reduction='mean'"):
        LDOSRegressor(criterion__reduction="sum", **FULL).fit(blocks, targets, COUNTS)
    with pytest.raises(ValueError, match="zero for all samples that are trained on"):
        LDOSRegressor(train_split=[1], **FULL).fit(blocks, targets, [0, 1, 0, 0, 0, 0])
