"""Penalties chosen by leave-one-out, compared with explicit refits."""

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    BandEnergyScorer,
    GridSNAPTransformer,
    RidgePosterior,
    SiteRegressor,
    predict_dos,
)
from skldos.data import Blocks
from skldos.exceptions import SnapshotError
from skldos.physics import band_energy, fermi_level
from skldos.regressors import ridge_left_out
from skldos.regressors.checks import checked_dataset
from skldos.regressors.site_cv import SiteRidgeCV

ALPHAS, WEIGHTS = [1e-4, 1e-2, 1.0], [0, 100.0]


def first_order(snapshot, change):
    """Change of the band energy in meV/atom along a change of the DOS, by a central difference."""
    state = {"temperature": snapshot.temperature}

    def energy(dos):
        mu = fermi_level(dos, snapshot.energies, n_electrons=snapshot.n_electrons, **state)
        return band_energy(dos, snapshot.energies, fermi_level=mu, **state)

    dos, step = snapshot.dos(), 1e-3
    slope = (energy(dos + step * change) - energy(dos - step * change)) / (2 * step)
    return 1e3 * slope / len(snapshot.atoms)


def refitted_errors(X, y, alpha, weight):
    """Errors of band energies in meV/atom of as many models as there are snapshots."""
    errors = []
    for i, snapshot in enumerate(X.snapshots):
        others = [j for j in range(len(X)) if j != i]
        model = SiteRegressor(Ridge(alpha), dos_weight=weight)
        model.fit(X[others], None if y is None else y[others])
        errors.append(first_order(snapshot, predict_dos(model, X[i : i + 1])[0] - snapshot.dos()))
    return np.array(errors)


def test_errors_are_those_of_models_without_the_snapshot(atoms):
    X, y = atoms
    model = SiteRidgeCV(ALPHAS, WEIGHTS).fit(X, y)
    assert model.errors_.shape == (2, 3, 6)
    assert np.ptp(model.errors_, axis=(0, 1)).min() > 0.1
    for errors, weight in zip(model.errors_, WEIGHTS, strict=True):
        for row, alpha in zip(errors, ALPHAS, strict=True):
            expected = refitted_errors(X, y, alpha, weight)
            np.testing.assert_allclose(row, expected, rtol=1e-4)


def test_errors_of_grid_points_of_different_grids(ragged):
    X = GridSNAPTransformer(twojmax=2).fit_transform(ragged)
    model = SiteRidgeCV([1e-2], [10.0]).fit(X)
    np.testing.assert_allclose(model.errors_[0, 0], refitted_errors(X, None, 1e-2, 10), rtol=1e-4)
    assert np.abs(model.errors_).min() > 0


def test_the_best_is_chosen_and_fitted_to_all(atoms):
    X, y = atoms
    model = SiteRidgeCV(ALPHAS, WEIGHTS).fit(X, y)
    scores = -np.sqrt(np.mean(model.errors_**2, axis=2))
    assert model.best_score_ == scores.max() > scores.min()
    i, j = np.argwhere(scores == scores.max())[0]
    assert (model.dos_weight_, model.alpha_) == (WEIGHTS[i], ALPHAS[j])
    expected = SiteRegressor(Ridge(model.alpha_), dos_weight=model.dos_weight_).fit(X, y)
    for block, other in zip(model.predict(X), expected.predict(X), strict=True):
        np.testing.assert_array_equal(block, other)
    np.testing.assert_array_equal(model.predict_sum(X), expected.predict_sum(X))
    assert model.score(X, y) == expected.score(X, y) > 0.5
    assert model.n_features_in_ == expected.n_features_in_


def test_a_descriptor_that_says_nothing_takes_the_largest_penalty(atoms, rng):
    X, y = atoms
    noise = Blocks([rng.normal(size=block.shape) for block in X], X.snapshots)
    model = SiteRidgeCV([1e-3, 1e6], [10.0]).fit(noise, y)
    assert model.alpha_ == 1e6
    assert model.best_score_ < SiteRidgeCV([1e-3, 1e6], [10.0]).fit(X, y).best_score_


def test_at_the_end_of_a_pipeline(snapshots):
    model = make_pipeline(AtomSNAPTransformer(twojmax=2), ADOSRegressor(SiteRidgeCV(ALPHAS)))
    model = clone(model).fit(snapshots)
    assert np.array_equal(model[-1].energies_, snapshots[0].energies)
    dos = predict_dos(model, snapshots[:1])[0]
    np.testing.assert_allclose(dos, snapshots[0].dos(), atol=0.05 * snapshots[0].dos().max())


def test_first_order_is_good_enough(atoms):
    X, y = atoms
    model = SiteRidgeCV([1e-2], [10.0]).fit(X, y)
    others = SiteRegressor(Ridge(1e-2), dos_weight=10.0).fit(X[1:], y[1:])
    exact = BandEnergyScorer().errors(others, X[:1])[0]
    assert model.errors_[0, 0, 0] == pytest.approx(exact, rel=0.05)
    assert model.errors_[0, 0, 0] != exact


def test_the_chosen_model_has_a_posterior(atoms):
    X, y = atoms
    model = SiteRidgeCV(ALPHAS, [1e5]).fit(X, y)
    posterior = RidgePosterior(model.regressor_, random_state=0).fit(X, y)
    np.testing.assert_array_equal(posterior.predict_sum(X), model.predict_sum(X))
    assert posterior.sample_sums(X).std(axis=0).min() > 0
    # It leaves out snapshots by another formula, in the space of the features.
    pairs = zip(X.snapshots, posterior.loo_residuals_, strict=True)
    expected = [first_order(snapshot, -residual) for snapshot, residual in pairs]
    chosen = model.errors_[0, ALPHAS.index(model.alpha_)]
    np.testing.assert_allclose(chosen, expected, rtol=1e-4)


def left_out_at_once(X, y, alpha, weight):
    """Sums of errors as the formula has them, with the matrix H of all rows."""
    sizes = [len(block) for block in X]
    roots = [np.eye(n) + (np.sqrt(1 + weight) - 1) / n for n in sizes]
    rows, values = (
        np.concatenate([root @ block for root, block in zip(roots, blocks, strict=True)])
        for blocks in (X, y)
    )
    phi = np.column_stack([np.ones(len(rows)), rows])
    penalty = np.diag(np.r_[0.0, np.full(rows.shape[1], alpha)])
    outside = np.eye(len(rows)) - phi @ np.linalg.solve(phi.T @ phi + penalty, phi.T)
    residuals, sums = outside @ values, []
    for root, n, stop in zip(roots, sizes, np.cumsum(sizes), strict=True):
        part = slice(stop - n, stop)
        error = np.linalg.solve(root, np.linalg.solve(outside[part, part], residuals[part]))
        sums.append(error.sum(axis=0))
    return np.array(sums)


@pytest.mark.parametrize("rows_per_triangle", [0, 100])
def test_blocks_are_read_one_at_a_time(atoms, monkeypatch, rows_per_triangle):
    X, y = atoms
    monkeypatch.setattr(ridge_left_out, "ROWS_PER_TRIANGLE", rows_per_triangle)
    X = Blocks([(X[i] - X[0].mean(axis=0)) / X[0].std() for i in range(len(X))], X.snapshots)
    dataset = checked_dataset(X, y)
    for weight in (0.0, 30.0):
        model = ridge_left_out.LeaveOneOutRidge(dataset, weight, np.ones(len(X)))
        pairs = zip(dataset.inputs, dataset.targets, strict=True)
        found = np.array([model.sum_errors(*pair, 1.0, (1e-1, 10.0)) for pair in pairs])
        for i, alpha in enumerate((1e-1, 10.0)):
            expected = left_out_at_once(X, y, alpha, weight)
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found[:, i], expected, rtol=1e-10, atol=1e-10 * scale)


def test_workers_change_no_number(atoms):
    X, y = atoms
    alone = SiteRidgeCV(ALPHAS, WEIGHTS).fit(X, y)
    with joblib.parallel_config("threading"):
        shared = SiteRidgeCV(ALPHAS, WEIGHTS, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(shared.errors_, alone.errors_)
    np.testing.assert_array_equal(shared.predict_sum(X), alone.predict_sum(X))


def test_both_systems_give_the_same(rng):
    root, residuals = 0.1 * rng.normal(size=(7, 4)), rng.normal(size=(7, 2))
    expected = np.linalg.solve(np.eye(7) - root @ root.T, residuals)
    found = ridge_left_out._solve_outside(root, residuals)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"alphas": []}, ValueError, "alphas must be a sequence of at least one number"),
        ({"alphas": 1.0}, ValueError, "alphas must be a sequence of at least one number, got 1.0"),
        ({"alphas": [0.0]}, ValueError, "alphas must be > 0"),
        ({"dos_weights": [-1.0]}, ValueError, "dos_weights must be >= 0, got -1"),
        ({"dos_weights": ["much"]}, TypeError, "dos_weights must be a number"),
        ({"criterion": "gap"}, ValueError, "criterion must be one of 'band_energy', 'dos'"),
    ],
)
def test_wrong_parameters(atoms, params, error, message):
    with pytest.raises(error, match=message):
        SiteRidgeCV(**params).fit(*atoms)


def test_mistakes_in_the_data(atoms, blocks, targets):
    X, y = atoms
    with pytest.raises(ValueError, match="blocks that are linked to snapshots, got Blocks"):
        SiteRidgeCV().fit(blocks, targets)
    with pytest.raises(ValueError, match=r"at least two of them, got 1\. With one, set"):
        SiteRidgeCV().fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="got ndarray"):
        SiteRidgeCV().fit(np.ones((4, 2)), np.ones((4, 3)))
    cold = Blocks(list(X), [s.replace(temperature=None) for s in X.snapshots])
    with pytest.raises(SnapshotError, match="temperature"):
        SiteRidgeCV().fit(cold, y)


@pytest.mark.parametrize("counts", [None, [1, 2, 1, 3]])
def test_errors_of_the_dos_are_those_of_models_without_the_snapshot(atoms, counts):
    X, y = atoms
    X, y = X[:4], y[:4]
    fitted = SiteRidgeCV(ALPHAS, WEIGHTS, criterion="dos").fit(X, y, counts)
    for i, weight in enumerate(WEIGHTS):
        for k, alpha in enumerate(ALPHAS):
            for left_out in range(4):
                rest = np.delete(np.arange(4), left_out)
                model = SiteRegressor(Ridge(alpha), dos_weight=weight).fit(
                    X[rest],
                    [y[r] for r in rest],
                    None if counts is None else np.array(counts)[rest],
                )
                dos = model.predict_sum(X[[left_out]])[0]
                true = np.sum(y[left_out], axis=0)
                expected = 100 * np.abs(dos - true).sum() / true.sum()
                np.testing.assert_allclose(fitted.errors_[i, k, left_out], expected, rtol=1e-6)
    scores = np.sqrt(np.average(fitted.errors_**2, axis=2, weights=counts))
    assert fitted.best_score_ == pytest.approx(-scores.min())
    best = np.unravel_index(scores.argmin(), scores.shape)
    assert (fitted.dos_weight_, fitted.alpha_) == (WEIGHTS[best[0]], ALPHAS[best[1]])


def test_errors_of_the_dos_need_no_electrons(atoms):
    X, y = atoms
    cold = Blocks(list(X), [s.replace(temperature=None, n_electrons=None) for s in X.snapshots])
    assert SiteRidgeCV(criterion="dos").fit(cold, y).best_score_ < 0
