"""Snapshots reject inconsistent arguments, with expected and received values in the error."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from skldos import ArrayFile, EnergyGrid, Snapshot
from skldos.data import ComputedArray
from skldos.exceptions import SnapshotError

ALUMINIUM = bulk("Al", cubic=True)
ENERGIES = np.linspace(-1.0, 1.0, 5)
LDOS = np.random.default_rng(0).random((2, 3, 4, 5))


def make(**changes):
    return Snapshot(ALUMINIUM, **({"energies": ENERGIES, "ldos": LDOS} | changes))


def test_the_grid_comes_from_the_ldos():
    snapshot = make()
    assert snapshot.grid_shape == (2, 3, 4)
    assert snapshot.n_grid_points == 24
    assert snapshot.voxel_volume == pytest.approx(ALUMINIUM.cell.volume / 24, rel=1e-15)


def test_dos_is_the_plain_sum_times_the_voxel_volume():
    expected = LDOS.sum(axis=(0, 1, 2)) * ALUMINIUM.cell.volume / 24
    np.testing.assert_allclose(make().dos(), expected, rtol=1e-14)


def test_dos_sums_in_double_precision_in_a_left_handed_cell():
    cell = ALUMINIUM.cell.array[[1, 0, 2]]
    atoms = Atoms("Al", cell=cell, pbc=True)
    ldos = np.full((20, 20, 20, 2), 0.1, dtype=np.float32)
    dos = Snapshot(atoms, ldos=ldos, energies=[0, 1]).dos()
    np.testing.assert_allclose(dos, np.float64(np.float32(0.1)) * abs(np.linalg.det(cell)))


def test_dos_of_a_file_is_the_dos_of_the_array(tmp_path):
    np.save(tmp_path / "ldos.npy", LDOS)
    from_file = make(ldos=ArrayFile(tmp_path / "ldos.npy"))
    np.testing.assert_allclose(from_file.dos(), make().dos(), rtol=1e-14)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"ldos": LDOS[..., :4]}, SnapshotError, r"of 5 energies, .* shape \(2, 3, 4, 4\)"),
        ({"ldos": LDOS[0]}, SnapshotError, r"shape \(n_x, n_y, n_z, n_energies\), got \(3, 4, 5\)"),
        ({"energies": None}, SnapshotError, r"energies are needed .* \(2, 3, 4, 5\), got none"),
        ({"ldos": np.where(LDOS < 0.1, np.nan, LDOS)}, SnapshotError, r"ldos must be finite.*NaN"),
        ({"ldos": LDOS.astype(complex)}, SnapshotError, "real numbers, got dtype complex128"),
        ({"ldos": LDOS.astype(object)}, SnapshotError, "real numbers, got dtype object"),
        ({"density": np.ones((4, 4, 4))}, SnapshotError, "the same grid, got 2x3x4 and 4x4x4"),
        ({"density": np.ones((2, 3))}, SnapshotError, r"density must have shape \(n_x, n_y, n_z\)"),
        ({"grid_shape": (2, 3, 5)}, SnapshotError, "the same grid, got 2x3x4 and 2x3x5"),
        ({"grid_shape": (2, 3)}, ValueError, r"grid_shape must be three .* got \(2, 3\)"),
        ({"energies": ENERGIES[::-1]}, ValueError, "strictly increasing"),
        ({"energies": [0, 1, 2, 3, np.nan]}, ValueError, "energies must be finite, got 1 NaN"),
        ({"temperature": "hot"}, TypeError, "temperature must be a number, got 'hot'"),
        ({"n_electrons": 0}, ValueError, "n_electrons must be > 0, got 0"),
        ({"reference": [1.0]}, TypeError, "reference must be a mapping, got list"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("atoms", "error", "message"),
    [
        ("Al", TypeError, "atoms must be an ase.Atoms, got str"),
        (Atoms(cell=np.eye(3), pbc=True), SnapshotError, "at least one atom"),
        (molecule("H2O"), SnapshotError, r"periodic in all three directions .* for (H2O|OH2)"),
        (Atoms("Al", cell=np.eye(3), pbc=(1, 1, 0)), SnapshotError, "periodic"),
        (Atoms("Al", cell=(1, 1, 0), pbc=True), SnapshotError, "cell with a volume"),
        (Atoms("Al", [[np.nan, 0, 0]], cell=np.eye(3), pbc=True), SnapshotError, "positions of Al"),
    ],
)
def test_atoms_without_a_periodic_cell_are_refused(atoms, error, message):
    with pytest.raises(error, match=message):
        Snapshot(atoms)


def test_snapshots_keep_their_own_atoms():
    atoms = ALUMINIUM.copy()
    trajectory = []
    for _ in range(3):
        atoms.positions += 0.1
        trajectory.append(Snapshot(atoms))
    shifts = [(s.atoms.positions - ALUMINIUM.positions).mean() for s in trajectory]
    np.testing.assert_allclose(shifts, [0.1, 0.2, 0.3])


@pytest.mark.parametrize("dtype", [complex, bool, [("x", float)]], ids=str)
def test_lazy_fields_hold_real_numbers(dtype):
    lazy = ComputedArray(None, LDOS.shape, dtype)
    with pytest.raises(SnapshotError, match="ldos must hold real numbers, got dtype"):
        make(ldos=lazy)


def test_nan_in_a_file_is_found_when_it_is_read(tmp_path):
    np.save(tmp_path / "ldos.npy", np.full((2, 3, 4, 5), np.nan))
    snapshot = make(ldos=ArrayFile(tmp_path / "ldos.npy"))
    with pytest.raises(SnapshotError, match="NaN"):
        snapshot.dos()


def test_replace_changes_one_thing_and_keeps_the_rest():
    grid = EnergyGrid(ENERGIES, broadening=0.2, kernel="gaussian")
    before = make(energies=grid, temperature=298.0, n_electrons=12.0, reference={"xc": 1.0})
    after = before.replace(temperature=933.0)
    assert (before.temperature, after.temperature) == (298.0, 933.0)
    assert after.ldos is before.ldos
    for name in ("atoms", "energy_grid", "n_electrons", "reference", "grid_shape"):
        assert getattr(after, name) == getattr(before, name)


def test_replace_of_the_ldos_brings_its_own_grid():
    assert make().replace(ldos=np.ones((1, 2, 3, 5))).grid_shape == (1, 2, 3)
    assert make().replace(ldos=None).grid_shape == (2, 3, 4)


def test_replace_checks_again():
    with pytest.raises(SnapshotError, match="last axis"):
        make().replace(energies=[0.0, 1.0])
    with pytest.raises(TypeError, match="no argument 'temprature'"):
        make().replace(temprature=1.0)


def test_require_names_what_is_missing():
    with pytest.raises(SnapshotError, match=r"Al4.* lacks ldos and temperature.* only atoms\.$"):
        Snapshot(ALUMINIUM).require("atoms", "ldos", "temperature")
    with pytest.raises(SnapshotError, match=r"Al4.* lacks temperature, needed here\.$"):
        Snapshot(ALUMINIUM).require("temperature")


def test_repr_shows_what_there_is(tmp_path):
    np.save(tmp_path / "ldos.npy", LDOS)
    assert repr(Snapshot(ALUMINIUM)) == "Snapshot(Al4)"
    assert repr(make(temperature=298, ldos=ArrayFile(tmp_path / "ldos.npy"))) == (
        "Snapshot(Al4, grid 2x3x4, 5 energies -1…1 eV, 298 K, ldos on disk)"
    )


def test_a_name_goes_along():
    named = make(name="hot", temperature=933.0)
    assert named.name == "hot"
    assert named.replace(temperature=1.0).name == "hot"
    assert named.replace(name=None).name is None
    assert repr(named).startswith("Snapshot('hot', Al4, grid 2x3x4")
    assert repr(named.replace(name=None)) == repr(make(temperature=933.0))
    with pytest.raises(TypeError, match="name must be a string, got 3 of type int"):
        make(name=3)


def test_references_do_not_change_with_the_arrays_they_were_made_of():
    forces, nested = np.zeros((4, 3)), {"Al": [1.0, 2.0]}
    reference = {"forces": forces, "charges": nested, "stress": np.eye(3).tolist()}
    snapshot = Snapshot(ALUMINIUM, reference=reference)
    other = snapshot.replace(temperature=300.0)
    forces += 5
    nested["Al"][0] = 7.0
    reference["stress"][0][0] = 9.0
    other.reference["forces"][0] = 3.0
    np.testing.assert_array_equal(snapshot.reference["forces"], 0)
    assert snapshot.reference["charges"] == {"Al": [1.0, 2.0]}
    assert snapshot.reference["stress"][0][0] == 1.0
