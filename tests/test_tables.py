"""Predictions for bare atoms equal those for their snapshots."""

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skldos
from skldos import (
    AtomSNAPTransformer,
    EnergyGrid,
    FreeEnergyRegressor,
    Snapshot,
    SnapshotList,
    predict,
)
from skldos.data.training import DENSITY_MARGIN, SAME_TEMPERATURE
from skldos.datasets import make_snapshots
from skldos.exceptions import ScoringError, SnapshotError
from skldos.physics import Pseudopotential, total_energy
from skldos.tables import TEMPERATURE_TOLERANCE

PSEUDOPOTENTIALS = [Pseudopotential("Al", 3, functional="lda-pz")]


@pytest.fixture(scope="module")
def training():
    return make_snapshots(4, grid_shape=(4, 4, 4), n_energies=21, random_state=0)


@pytest.fixture(scope="module")
def grid(training):
    return skldos.models.grid(
        twojmax=2, hidden_layer_sizes=(8,), max_epochs=20, random_state=0
    ).fit(training[:3])


@pytest.fixture(scope="module")
def atoms(training):
    model = skldos.models.atoms(n_max=3, l_max=2, uncertainty=True, random_state=0)
    return model.fit(training[:3])


@pytest.fixture(scope="module")
def potential():
    snapshots = []
    for seed in range(5):
        cell = bulk("Al", cubic=True)
        cell.rattle(0.1, seed=seed)
        cell.calc = EMT()
        found = {"total_energy": cell.get_potential_energy(), "forces": cell.get_forces()}
        snapshots.append(Snapshot(cell, temperature=300.0, reference=found))
    return make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor()).fit(snapshots)


@pytest.mark.parametrize("kind", ["grid", "atoms"])
def test_bare_atoms_are_enough(kind, training, request):
    model = request.getfixturevalue(kind)
    for sharpen in (0, None):
        from_atoms = predict(model, [s.atoms for s in training], sharpen=sharpen)
        from_snapshots = predict(model, training, sharpen=sharpen)
        assert from_atoms.equals(from_snapshots)
    expected = skldos.evaluate(model, training)
    for name in ("n_atoms", "temperature", "fermi_level", "band_energy"):
        np.testing.assert_allclose(
            predict(model, [s.atoms for s in training], sharpen=0)[name], expected[name], rtol=1e-6
        )
    assert np.ptp(from_atoms["band_energy"]) > 0


def test_energies_are_sharpened_where_the_broadening_is_known_and_the_dos_is_not(training):
    known = EnergyGrid(training[0].energies, broadening=1.0, kernel="gaussian")
    snapshots = SnapshotList([s.replace(energies=known) for s in training])
    model = skldos.models.atoms(n_max=3, l_max=2).fit(snapshots[:3])
    cell = snapshots[3].atoms
    table = predict(model, cell, dos=True)
    expected = skldos.evaluate(model, snapshots[3:], sharpen=2)
    assert table["band_energy"][0] == pytest.approx(expected["band_energy"][0], rel=1e-9)
    assert abs(table["band_energy"][0] - predict(model, cell, sharpen=0)["band_energy"][0]) > 1e-4
    np.testing.assert_allclose(table["dos"][0], skldos.predict_dos(model, snapshots[3:])[0])


def test_one_is_a_list_of_one(atoms, training):
    for one in (training[3], training[3].atoms):
        assert predict(atoms, one).equals(predict(atoms, [one]))


def test_total_energies_densities_and_dos_on_request(grid, training):
    snapshot = training[3]
    table = predict(
        grid, snapshot.atoms, pseudopotentials=PSEUDOPOTENTIALS, density=True, dos=True, sharpen=0
    )
    (ldos,) = skldos.predict_ldos(grid, [snapshot])
    state = {"temperature": 298.0, "n_electrons": 12.0, "atoms": snapshot.atoms}
    energy = total_energy(
        ldos,
        snapshot.energies,
        pseudopotentials={"Al": PSEUDOPOTENTIALS[0]},
        functional="lda-pz",
        **state,
    )
    assert table["total_energy"][0] == pytest.approx(energy.total, rel=1e-9)
    assert table["minus_ts"][0] == pytest.approx(energy.minus_ts, rel=1e-6)
    assert table["band_energy"][0] == pytest.approx(energy.band, rel=1e-9)
    assert table["density"][0].sum() * snapshot.voxel_volume == pytest.approx(12.0)
    (dos,) = skldos.predict_dos(grid, [snapshot])
    np.testing.assert_allclose(table["dos"][0], dos, rtol=1e-6)
    np.testing.assert_array_equal(table["dos"][0].index, snapshot.energies)


def test_the_grid_is_as_fine_as_that_of_the_training_data(grid):
    large = bulk("Al", cubic=True).repeat((2, 1, 1))
    assert predict(grid, large, density=True)["density"][0].shape == (8, 4, 4)


def test_temperatures_are_given_or_known(atoms, training):
    cells = [s.atoms for s in training[:2]]
    table = predict(atoms, cells, temperature=[300, 310])
    assert table["temperature"].tolist() == [300, 310]
    with pytest.raises(ValueError, match="one for each of 2 snapshots; got 3"):
        predict(atoms, cells, temperature=[300, 310, 320])
    hot = SnapshotList([training[0], training[1].replace(temperature=600.0)])
    wide = skldos.models.atoms(n_max=2, l_max=1).fit(hot)
    with pytest.raises(ScoringError, match="lacks temperature: pass temperature"):
        predict(wide, cells)
    assert predict(wide, training[2:])["temperature"].tolist() == [298, 298]
    assert predict(wide, cells, temperature=400)["temperature"].tolist() == [400, 400]


def test_electrons_come_from_pseudopotentials_or_the_training_data(training):
    silent = SnapshotList([s.replace(n_electrons=None) for s in training[:2]])
    model = skldos.models.grid(twojmax=2, max_epochs=1, random_state=0).fit(silent)
    with pytest.raises(ScoringError, match="lacks n_electrons: pass pseudopotentials"):
        predict(model, training[0].atoms)
    table = predict(model, training[0].atoms, pseudopotentials=PSEUDOPOTENTIALS)
    assert table["n_electrons"].tolist() == [12]


def test_standard_deviations_where_the_model_has_them(atoms, grid, training):
    expected = skldos.energy_uncertainty(atoms, training)
    table = predict(atoms, training)
    for name in ("fermi_level_std", "band_energy_std"):
        np.testing.assert_array_equal(table[name], expected[name])
        assert (table[name] > 0).all()
        assert name not in predict(grid, training)


def test_potentials_predict_free_energies(potential):
    cells = [bulk("Al", cubic=True), bulk("Al")]
    table = predict(potential, cells)
    assert table["total_energy"].tolist() == potential.predict(SnapshotList(cells)).tolist()
    assert (table["total_energy_std"] > 0).all()
    assert table["temperature"].tolist() == [300, 300]
    assert predict(potential, cells, temperature=300).equals(table)
    assert predict(potential, cells, temperature=300 * (1 + TEMPERATURE_TOLERANCE / 3)).equals(
        table
    )
    with pytest.raises(ScoringError, match=r"that of the model, 300 K, got 300\.[89]"):
        predict(potential, cells, temperature=300 * (1 + 3 * TEMPERATURE_TOLERANCE))
    with pytest.raises(ScoringError, match="that of the model, 300 K, got 500"):
        predict(potential, cells, temperature=500)
    with pytest.raises(ScoringError, match="without densities of states"):
        predict(potential, cells, dos=True)


def test_a_search_predicts_as_its_best_model(training):
    model = skldos.models.atoms(n_max=2, l_max=1)
    grid = {"adosregressor__regressor__dos_weights": [[1.0]]}
    search = GridSearchCV(model, grid, cv=2, scoring=skldos.BandEnergyScorer()).fit(training)
    expected = predict(search.best_estimator_, training)
    assert predict(search, training).equals(expected)


def test_names_come_along(atoms, training):
    table = predict(atoms, [training[0].replace(name="solid 1"), training[1]])
    assert table["name"][0] == "solid 1"
    assert "name" not in predict(atoms, training)


def test_other_elements_are_refused(atoms, grid, potential):
    for model in (atoms, grid, potential):
        with pytest.raises(SnapshotError, match="trained on Al, got Cu"):
            predict(model, bulk("Cu", cubic=True))


def strained(by):
    cell = bulk("Al", cubic=True)
    cell.set_cell(cell.cell.array * (1 + by) ** (-1 / 3), scale_atoms=True)
    return cell


def test_densities_outside_of_the_training_data_warn_once(atoms, recwarn):
    predict(atoms, [strained(sign * DENSITY_MARGIN / 3) for sign in (-1, 1)])
    assert not recwarn.list
    cells = [bulk("Al", cubic=True), strained(3 * DENSITY_MARGIN), strained(-3 * DENSITY_MARGIN)]
    predict(atoms, cells)
    (warned,) = recwarn.list
    assert "density 2.779 g/cm³ of snapshot 1 and 1 more (trained: 2.698" in str(warned.message)
    assert warned.filename == __file__


def test_temperatures_outside_of_the_training_data_warn_once(atoms, recwarn):
    cells = [bulk("Al", cubic=True)] * 2
    predict(atoms, cells, temperature=[298 - SAME_TEMPERATURE / 3, 298 + SAME_TEMPERATURE / 3])
    assert not recwarn.list
    predict(atoms, cells, temperature=[298, 298 + 3 * SAME_TEMPERATURE])
    (warned,) = recwarn.list
    assert "temperature 448 K of snapshot 1 (trained: 298 K)" in str(warned.message)
    with pytest.warns(UserWarning, match=r"temperature 0\.025 K \(trained: 298 K\)"):
        predict(atoms, cells[0], temperature=0.025)


def test_what_cannot_be_predicted_is_said(atoms, training):
    with pytest.raises(TypeError, match=r"'a\.skldos': load it by skldos\.load"):
        predict("a.skldos", training)
    with pytest.raises(TypeError, match=r"ends in a regressor, .* ends in AtomSOAPTransformer"):
        predict(atoms[:1], training)
    with pytest.raises(ScoringError, match=r"at every grid point.*skldos\.models\.grid\(\)"):
        predict(atoms, training[0].atoms, pseudopotentials=PSEUDOPOTENTIALS)
    with pytest.raises(SnapshotError, match="at least one snapshot"):
        predict(atoms, [])
    with pytest.raises(ValueError, match="none for Al"):
        predict(atoms, training[:1], pseudopotentials=[Pseudopotential("Mg", 2)])


@pytest.mark.parametrize(
    ("temperature", "error", "message"),
    [
        ("300", TypeError, "temperature must be a number, got '300'"),
        ([[300.0]], TypeError, r"temperature must be a number, got \[300.0\]"),
        (True, TypeError, "temperature must be a number, got True"),
        ([], ValueError, "temperature must be a number, or one for each of 1 snapshots"),
        (float("nan"), ValueError, "temperature must be >= 0, got nan"),
        ([300.0, 300.0], ValueError, "one for each of 1 snapshots; got 2"),
        ([301.0], ScoringError, "temperature must be that of the model, 300 K"),
    ],
)
def test_temperatures_that_a_potential_refuses(potential, temperature, error, message):
    with pytest.raises(error, match=message):
        predict(potential, bulk("Al", cubic=True), temperature=temperature)


def test_temperatures_of_a_potential_in_other_forms(potential):
    cell = bulk("Al", cubic=True)
    expected = predict(potential, cell)["total_energy"][0]
    for temperature in (np.float32(300), pd.Series([300], index=[7]), np.array([300])):
        assert predict(potential, cell, temperature=temperature)["total_energy"][0] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"functional": "PBE"}, "functional must be one of None, 'lda-pz'"),
        ({"n_jobs": 0}, "n_jobs must be a number of workers"),
    ],
)
@pytest.mark.parametrize("kind", ["atoms", "potential"])
def test_options_are_checked_even_without_effect(kind, options, message, request):
    with pytest.raises(ValueError, match=message):
        predict(request.getfixturevalue(kind), bulk("Al", cubic=True), **options)


def test_bare_slabs_are_slabs_like_the_training_data(training):
    slabs = []
    for snapshot in training[:2]:
        atoms = snapshot.atoms.copy()
        atoms.set_cell(np.diag([4.05, 4.05, 12.15]))
        ldos = np.asarray(snapshot.ldos) / 3  # the same electrons
        slab = {"atoms": atoms, "ldos": ldos, "reference": {"assume_isolated": "2D"}}
        slabs.append(snapshot.replace(density=None, **slab))
    model = skldos.models.grid(twojmax=2, hidden_layer_sizes=(4,), max_epochs=2, random_state=0)
    model = model.fit(slabs)
    energy, labelled = (
        predict(model, one, pseudopotentials=PSEUDOPOTENTIALS)["total_energy"][0]
        for one in (slabs[0].atoms, slabs[0])
    )
    assert energy == labelled
    calculator = skldos.LDOSCalculator(model, PSEUDOPOTENTIALS, temperature=298)
    assert calculator.get_potential_energy(slabs[0].atoms) == pytest.approx(energy, abs=1e-3)
    del model[-1].calculation_["assume_isolated"]
    other = predict(model, slabs[0].atoms, pseudopotentials=PSEUDOPOTENTIALS)["total_energy"][0]
    assert abs(other - energy) > 0.1
