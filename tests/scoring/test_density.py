"""Predicted densities and their errors."""

import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate

from skldos import DensityScorer, SnapshotList, evaluate, predict_density
from skldos.data import LazyArray, as_rows
from skldos.datasets import load_aluminium
from skldos.exceptions import ScoringError
from skldos.physics import density, fermi_level
from tests.scoring.predicts import MISTAKES, Predicts

METRICS = ["mape", "mae", "max"]


def wavy(snapshot):
    """The true LDOS times a wave along the first axis of the grid."""
    wave = 1 + 0.1 * np.sin(2 * np.pi * np.arange(snapshot.grid_shape[0]) / 4)
    return as_rows(snapshot.ldos * wave[:, None, None, None].astype(np.float32))


def density_of(ldos, snapshot):
    state = {"temperature": snapshot.temperature}
    dos = ldos.sum(axis=(0, 1, 2), dtype=float) * snapshot.voxel_volume
    mu = fermi_level(dos, snapshot.energies, n_electrons=snapshot.n_electrons, **state)
    return density(ldos, snapshot.energies, fermi_level=mu, **state)


# -------------------------------------------------------------------- values


def test_densities_hold_the_electrons(ragged, pipeline):
    model = pipeline.fit(ragged[:4])
    for n, block, snapshot in zip(
        predict_density(model, ragged), model.predict(ragged), ragged, strict=True
    ):
        assert n.shape == snapshot.grid_shape
        assert n.sum() * snapshot.voxel_volume == pytest.approx(snapshot.n_electrons, rel=1e-6)
        expected = density_of(block.reshape(*snapshot.grid_shape, -1), snapshot)
        np.testing.assert_allclose(n, expected, rtol=1e-5)
        assert np.ptp(n) > 1e-2


def test_blocks_may_stand_for_the_snapshots(snapshots, pipeline):
    model = pipeline.fit(snapshots)
    blocks = model[:-1].transform(snapshots)
    for n, expected in zip(
        predict_density(model[-1], blocks), predict_density(model, snapshots), strict=True
    ):
        np.testing.assert_allclose(n, expected, rtol=1e-5)


def test_predictions_may_be_read_row_by_row(ragged, pipeline):
    model = pipeline.fit(ragged[:4])
    blocks = model[:-1].transform(ragged)
    lazy = model[-1].predict_lazy(blocks)
    assert lazy.snapshots is blocks.snapshots
    for rows, block in zip(lazy, model[-1].predict(blocks), strict=True):
        assert isinstance(rows, LazyArray)
        assert (rows.shape, rows.dtype) == (block.shape, block.dtype)
        np.testing.assert_allclose(rows[7:31], block[7:31], rtol=1e-5)
        np.testing.assert_allclose(rows[::9], block[::9], rtol=1e-5)
    with pytest.raises(NotFittedError):
        clone(model[-1]).predict_lazy(blocks)


def test_an_oracle_makes_no_error(snapshots, oracle):
    for metric in METRICS:
        assert DensityScorer(metric)(oracle().fit(snapshots), snapshots) == 0


def test_errors_equal_a_hand_computation(snapshots):
    expected = {metric: [] for metric in METRICS}
    for snapshot in snapshots:
        true = density_of(snapshot.ldos, snapshot)
        error = np.abs(density_of(wavy(snapshot).reshape(snapshot.ldos.shape), snapshot) - true)
        expected["mape"].append(100 * np.mean(error / true))
        expected["mae"].append(error.mean())
        expected["max"].append(error.max())
    model = Predicts(wavy).fit(snapshots)
    for metric, values in expected.items():
        assert min(values) > 1e-3
        scorer = DensityScorer(metric)
        np.testing.assert_allclose(scorer.errors(model, snapshots), values, rtol=1e-6)
        assert scorer(model, snapshots) == pytest.approx(-np.mean(values), rel=1e-6)


def test_the_table_has_energies_and_densities(snapshots):
    model = Predicts(wavy).fit(snapshots)
    table = evaluate(model, snapshots, density=True)
    assert list(table.columns[-3:]) == [
        "density_max_error",
        "density_mean_error",
        "density_percentage_error",
    ]
    assert (table["density_max_error"] > table["density_mean_error"]).all()
    assert "total_energy" not in table.columns
    plain = evaluate(model, snapshots)
    for name in plain.columns.difference(["fermi_level_error", "band_energy_error"]):
        np.testing.assert_allclose(table[name], plain[name], rtol=1e-6)


def test_points_without_electrons_have_no_percentage(snapshots, oracle):
    ldos = snapshots[0].ldos.copy()
    ldos[0, 0, 0] = 0
    holed = SnapshotList([snapshots[0].replace(ldos=ldos)])
    model = Predicts(lambda s: as_rows(s.ldos) + np.float32(0.01))
    table = evaluate(model.fit(holed), holed, density=True)
    n, true = predict_density(model, holed)[0], density_of(ldos, holed[0])
    assert true[0, 0, 0] == 0
    ratio = np.abs(n - true)[true > 0] / true[true > 0]
    assert table["density_percentage_error"][0] == pytest.approx(100 * ratio.mean(), rel=1e-6)
    assert table["density_percentage_error"][0] > 0.1


# -------------------------------------------------------------------- references


def test_the_reference_may_be_the_density_of_the_calculation(oracle):
    snapshots = load_aluminium(temperature=933)[:2]
    model = oracle().fit(snapshots)
    # The broadened density is that of a hotter gas; per cent, as found.
    for order, expected in {0: [0.0908, 0.1014], 1: [0.0516, 0.0635], 2: [0.0407, 0.0457]}.items():
        errors = DensityScorer(reference="dft", sharpen=order).errors(model, snapshots)
        np.testing.assert_allclose(errors, expected, atol=2e-4)
    for snapshot, n in zip(snapshots, predict_density(model, snapshots, sharpen=2), strict=True):
        assert n.sum() * snapshot.voxel_volume == pytest.approx(12, rel=1e-5)


def test_a_density_is_reference_enough(snapshots, oracle):
    bare = SnapshotList([s.replace(reference={}) for s in snapshots])
    score = DensityScorer(reference="dft")(oracle().fit(bare), bare)
    # The density of these snapshots is that of their LDOS, which then was rounded.
    assert -1e-3 < score < 0
    without = SnapshotList([s.replace(density=None) for s in snapshots])
    with pytest.raises(ScoringError, match="lacks density"):
        DensityScorer(reference="dft")(oracle().fit(without), without)


# -------------------------------------------------------------------- as a scorer


def test_searches_and_several_scorers(snapshots, pipeline):
    scoring = {metric: DensityScorer(metric) for metric in METRICS}
    scores = cross_validate(pipeline, snapshots, cv=2, scoring=scoring, error_score="raise")
    for metric in METRICS:
        assert (scores[f"test_{metric}"] < 0).all()
    options = {"cv": 2, "scoring": DensityScorer(), "error_score": "raise"}
    search = GridSearchCV(pipeline, {"ldosregressor__max_epochs": [1, 5]}, n_jobs=2, **options)
    search.fit(snapshots)
    assert search.cv_results_["split1_test_score"][1] == pytest.approx(
        scores["test_mape"][1], rel=1e-4
    )
    assert len(predict_density(search, snapshots)) == 6


def test_it_can_be_pickled_copied_and_shown():
    scorer = DensityScorer("max", sharpen=1)
    assert repr(scorer) == "DensityScorer(metric='max', reference='ldos', sharpen=1, n_jobs=None)"
    for same in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert repr(same) == repr(scorer)
        assert joblib.hash(same) == joblib.hash(scorer)


# -------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("function", "message"),
    [
        *MISTAKES,
        (lambda s: np.ones((4, 11)), "densities and total energies need the LDOS at every grid"),
    ],
)
def test_mistakes_in_predictions_are_shown(snapshots, function, message):
    model = Predicts(function).fit(snapshots)
    with pytest.raises(ScoringError, match=message):
        DensityScorer()(model, snapshots)
    with pytest.raises(ScoringError, match=message):
        predict_density(model, snapshots)


@pytest.mark.parametrize("order", [-1, 1.5])
def test_a_wrong_order_is_named(snapshots, oracle, order):
    for attempt in (
        lambda: DensityScorer(sharpen=order),
        lambda: predict_density(oracle().fit(snapshots), snapshots, sharpen=order),
        lambda: evaluate(oracle().fit(snapshots), snapshots, sharpen=order),
    ):
        with pytest.raises((TypeError, ValueError), match="sharpen must be"):
            attempt()


def test_wrong_parameters_are_named():
    with pytest.raises(ValueError, match="metric must be one of 'mape', 'mae', 'max'; got 'rms'"):
        DensityScorer("rms")
    with pytest.raises(ValueError, match="reference must be one of 'ldos', 'dft'; got 'qe'"):
        DensityScorer(reference="qe")


@pytest.mark.parametrize(("factor", "held"), [(1.11, 13.32), (0.89, 10.68), (6.75, 81)])
def test_true_densities_in_other_units_are_refused(factor, held):
    snapshots = load_aluminium(temperature=298)[:2]
    model = Predicts(lambda snapshot: as_rows(snapshots[0].ldos))
    changed = SnapshotList([s.replace(density=factor * s.density) for s in snapshots])
    with pytest.raises(ScoringError, match=rf"holds {held}\d* electrons instead of 12: is it in"):
        evaluate(model, changed, density=True, reference="dft")
    with pytest.raises(ScoringError, match="electrons instead of 12"):
        DensityScorer(reference="dft")(model, changed)
    near = 1.09 if factor > 1 else 0.91
    close = SnapshotList([s.replace(density=near * s.density) for s in snapshots])
    assert len(evaluate(model, close, density=True, reference="dft")) == 2
