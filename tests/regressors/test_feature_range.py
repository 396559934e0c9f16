"""Models store the range of their features, and warn far outside it."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skldos import (
    AtomSNAPTransformer,
    FreeEnergyCalculator,
    FreeEnergyRegressor,
    LDOSRegressor,
    SiteRegressor,
    load,
    save,
)
from skldos.data import Blocks, ComputedArray, Snapshot
from skldos.regressors import feature_range as module
from skldos.regressors.feature_range import MARGIN, MIN_ROWS, feature_range, warn_outside

OUTSIDE = "some features lie outside of their range"


@pytest.fixture
def rows():
    return np.random.default_rng(0).uniform([-1, 5, 2], [1, 9, 2], (MIN_ROWS, 3))


def test_the_range_is_that_of_all_rows(rows):
    low, high = feature_range([rows[:30], rows[30:], np.empty((0, 3))])
    np.testing.assert_array_equal(low, rows.min(axis=0))
    np.testing.assert_array_equal(high, rows.max(axis=0))
    assert feature_range([rows[1:]]) is None


def test_large_lazy_blocks_are_sampled(monkeypatch, rows):
    monkeypatch.setattr(module, "SAMPLED_ROWS", 20)
    read = []

    def compute(start, stop):
        read.append((start, stop))
        return rows[start:stop]

    found = feature_range([ComputedArray(compute, rows.shape, float)])
    assert read == [(0, 5), (31, 36), (63, 68), (95, 100)]
    seen = np.concatenate([rows[start:stop] for start, stop in read])
    np.testing.assert_array_equal(found, [seen.min(axis=0), seen.max(axis=0)])


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_warning_comes_just_beyond_the_margin(rows, column, side):
    known = feature_range([rows])
    low, high = known[:, column]
    width = max(high - low, module.ROUNDING * abs(high))
    row = rows[:1].copy()
    for factor, warns in ((0.999, False), (1.001, True)):
        row[0, column] = (high if side > 0 else low) + side * factor * MARGIN * width
        if warns:
            with pytest.warns(UserWarning, match=OUTSIDE):
                warn_outside(np.concatenate([rows, row]), known)
        else:
            warn_outside(np.concatenate([rows, row]), known)


def test_one_row_in_a_thousand_may_lie_outside(rows):
    known = feature_range([rows])
    many = np.tile(rows, (20, 1))
    many[[3, 1000]] = 1e3
    warn_outside(many, known)
    many[7] = 1e3
    with pytest.warns(UserWarning, match=OUTSIDE):
        warn_outside(many, known)


def test_no_rows_and_no_range_are_no_matter(rows):
    warn_outside(rows[:0], feature_range([rows]))
    warn_outside(rows * 100, None)


# -------------------------------------------------------------------- models


def blocks_of(rows):
    return Blocks([rows[:60], rows[60:]])


@pytest.mark.parametrize(
    "regressor",
    [
        SiteRegressor(Ridge(1e-3)),
        SiteRegressor(Ridge(1e-3), n_components=1),
        LDOSRegressor(max_epochs=1, train_split=None, random_state=0),
    ],
)
def test_regressors_of_sites_warn(rows, regressor, tmp_path):
    targets = [rows[:60, :2], rows[60:, :2]]
    far = Blocks([np.concatenate([rows[:9], rows[:1] + 100])])
    model = regressor.fit(blocks_of(rows), targets)
    np.testing.assert_allclose(model.feature_range_, feature_range([rows]), rtol=1e-6)
    save(model, tmp_path / "model.skldos")
    for fitted in (model, load(tmp_path / "model.skldos"), model.fit(rows, rows[:, :2])):
        fitted.predict(Blocks([rows[:9]]))
        for predict in (fitted.predict, fitted.predict_sum):
            with pytest.warns(UserWarning, match=OUTSIDE):
                predict(far)


@pytest.fixture(scope="module")
def potential():
    crystals = []
    for seed in range(4):
        atoms = bulk("Al", cubic=True).repeat((2, 2, 2))
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_potential_energy()
        crystals.append(atoms)
    snapshots = [Snapshot(atoms) for atoms in crystals]
    transformer = AtomSNAPTransformer(twojmax=2, n_jobs=1)
    return make_pipeline(transformer, FreeEnergyRegressor(forces=False)).fit(snapshots)


def test_dynamics_that_explodes_is_noticed(potential):
    atoms = bulk("Al", cubic=True).repeat((2, 2, 2))
    atoms.rattle(0.1, seed=9)
    atoms.calc = FreeEnergyCalculator(potential)
    assert np.isfinite(atoms.get_potential_energy())
    atoms.positions[0] += 0.85 * atoms.get_distance(0, 1, mic=True, vector=True)
    with pytest.warns(UserWarning, match=OUTSIDE):
        atoms.get_potential_energy()


def test_python_shows_it_once(potential):
    alone = [Snapshot(Atoms("Al", cell=4 * np.eye(3) * (1 + i / 10), pbc=True)) for i in range(3)]
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for snapshot in alone:
            potential.predict([snapshot])
    assert sum(OUTSIDE in str(warning.message) for warning in shown) == 1
