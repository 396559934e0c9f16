"""Arrays, atoms and parameters in unusual forms: same values, or an error that names them."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge

from skldos import (
    AtomEnvTransformer,
    AtomSNAPTransformer,
    AtomSOAPTransformer,
    EnergyGrid,
    GridSOAPTransformer,
    LDOSRegressor,
    MDNRegressor,
    SiteRegressor,
    SiteRidgeCV,
    Snapshot,
)
from skldos.data import Blocks
from skldos.datasets import make_snapshots
from skldos.exceptions import SnapshotError

SNAPSHOTS = make_snapshots(2, random_state=0)
RNG = np.random.default_rng(0)
ROWS = RNG.random((8, 3)).astype(np.float32)
TARGETS = ROWS @ RNG.random((3, 2)).astype(np.float32)
REGRESSORS = {
    "LDOS": lambda: LDOSRegressor(max_epochs=1, random_state=0),
    "MDN": lambda: MDNRegressor(max_epochs=1, random_state=0),
    "sites": lambda: SiteRegressor(Ridge()),
    "ridge": lambda: SiteRidgeCV(),
}
SAME = {
    "big-endian": lambda a: a.astype(">f4"),
    "reversed twice": lambda a: a[::-1].copy()[::-1],
    "long double": lambda a: a.astype(np.longdouble),
    "Fortran order": np.asfortranarray,
    "a table": pd.DataFrame,
}
REFUSED = {
    "masked": lambda a: np.ma.masked_greater(a, a.mean()),
    "sparse": csr_matrix,
    "a generator": lambda a: (row for row in a),
    "dates": lambda a: a.astype("M8[s]"),
    "complex": lambda a: a + 0j,
}


def blocks(form=lambda a: a):
    return Blocks([form(ROWS[:4]), form(ROWS[4:])], SNAPSHOTS)


def targets(form=lambda a: a):
    spectra = [s.dos()[None] * np.arange(1, 5)[:, None] for s in SNAPSHOTS]
    return [form(spectrum.astype(np.float32)) for spectrum in spectra]


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("form", SAME)
def test_forms_of_blocks_that_mean_the_same(name, form):
    expected = REGRESSORS[name]().fit(blocks(), targets()).predict(blocks())
    found = (
        REGRESSORS[name]().fit(blocks(SAME[form]), targets(SAME[form])).predict(blocks(SAME[form]))
    )
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one, float), two, rtol=1e-5)


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("form", REFUSED)
def test_forms_of_blocks_without_a_meaning(name, form):
    message = r"{}\[0\] must (have|hold) .*(a row per site|real numbers|no masked|and hold numbers)"
    with pytest.raises(ValueError, match=message.format("X")):
        REGRESSORS[name]().fit(blocks(REFUSED[form]), targets())
    with pytest.raises(ValueError, match=message.format("y")):
        REGRESSORS[name]().fit(blocks(), targets(REFUSED[form]))


@pytest.mark.parametrize("name", ["LDOS", "MDN", "sites"])
def test_forms_of_plain_rows(name):
    model = REGRESSORS[name]().fit(ROWS, TARGETS)
    turned = REGRESSORS[name]().fit(ROWS[::-1].copy()[::-1], TARGETS[::-1].copy()[::-1])
    np.testing.assert_array_equal(model.predict(ROWS), turned.predict(ROWS[::-1][::-1]))
    for form in ("masked", "a generator", "dates"):
        with pytest.raises((TypeError, ValueError), match=r"X must (be an array|have no masked)"):
            REGRESSORS[name]().fit(REFUSED[form](ROWS), TARGETS)
        with pytest.raises((TypeError, ValueError), match=r"X must (be an array|have no masked)"):
            model.predict(REFUSED[form](ROWS))
    for form in ("masked", "a generator", "dates", "sparse"):
        with pytest.raises((TypeError, ValueError), match=r"y must (be an array|have no masked)"):
            REGRESSORS[name]().fit(ROWS, REFUSED[form](TARGETS))


@pytest.mark.parametrize("weights", [-np.ones(8), np.full(8, np.nan), np.ones(8) + 0j, ["a"] * 8])
def test_weights_of_plain_rows(weights):
    model = SiteRegressor(Ridge()).fit(ROWS, TARGETS)
    for call in (model.fit, model.score):
        with pytest.raises(
            ValueError, match=r"sample_weight must be (finite, not neg|real numbers)"
        ):
            call(ROWS, TARGETS, sample_weight=weights)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_stop_a_ridge(value):
    X, y = blocks(np.copy), targets()
    X[1][2, 1] = value
    with pytest.raises(ValueError, match=r"X\[1\] must be finite"):
        SiteRidgeCV().fit(X, y)


def test_types_of_the_numbers_of_atoms():
    expected = bulk("Al", cubic=True)
    expected.positions = np.round(expected.positions)
    block = AtomSNAPTransformer(twojmax=2).fit_transform([expected])[0]
    for dtype in (np.int8, np.float16, np.float32, ">f8"):
        atoms = expected.copy()
        atoms.arrays["positions"] = expected.positions.astype(dtype)
        atoms.arrays["numbers"] = expected.numbers.astype(dtype)
        snapshot = Snapshot(atoms)
        assert snapshot.atoms.positions.dtype == np.float64
        assert snapshot.atoms.numbers.dtype == np.int64
        np.testing.assert_array_equal(
            AtomSNAPTransformer(twojmax=2).fit_transform([atoms])[0], block
        )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("positions", np.zeros((1, 3), dtype=object)),
        ("positions", np.zeros((1, 3), dtype=complex)),
        ("numbers", np.array([13.5])),
        ("numbers", np.array(["Al"])),
    ],
)
def test_atoms_that_are_not_numbers(name, values):
    atoms = Atoms("Al", cell=[4, 4, 4], pbc=True)
    atoms.arrays[name] = values
    with pytest.raises(SnapshotError, match=f"{name} of atoms must be (real num|integers)"):
        Snapshot(atoms)


@pytest.mark.parametrize(
    ("transformer", "name", "limit"),
    [
        (AtomSNAPTransformer(), "twojmax", None),
        (AtomSOAPTransformer(), "n_max", 64),
        (AtomSOAPTransformer(), "l_max", 32),
        (GridSOAPTransformer(grid_shape=(2, 2, 2)), "n_max", 64),
        (GridSOAPTransformer(grid_shape=(2, 2, 2)), "l_max", 32),
        (AtomEnvTransformer(), "n_spheres", 10_000),
    ],
)
def test_sizes_beyond_any_memory(transformer, name, limit):
    for value in (10**30, 10**9 if limit is None else 3 * limit):
        with pytest.raises(ValueError, match=f"{name} must be .*<= .*got {value}"):
            transformer.set_params(**{name: value}).fit_transform([bulk("Al")])


def test_energies_beyond_any_memory():
    assert len(EnergyGrid.regular(-9, 1e-5, 10**6 // 3)) == 333_333
    with pytest.raises(ValueError, match=r"n_energies must be .*<= 1000000, got 3000000"):
        EnergyGrid.regular(-9, 1e-5, 3 * 10**6)
