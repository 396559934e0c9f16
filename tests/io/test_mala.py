"""The layout of MALA: tiny files written here, and the test data of MALA itself."""

import json
from copy import deepcopy

import numpy as np
import pytest

from skldos import ArrayFile, EnergyGrid
from skldos.datasets import make_snapshots
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.geometry import grid_points
from skldos.io import read_mala, write_mala

INFO = {
    "temperature": 298.0,
    "number_of_electrons_exact": 4.0,
    "grid_dimensions": [2, 3, 4],
    "fermi_energy_dft": 8.5,
    "band_energy_dft_calculation": 12.5,
    "total_energy_dft_calculation": -370.0,
    "entropy_contribution_dft_calculation": -0.01,
    "one_electron_contribution": -20.0,
    "hartree_contribution": 3.0,
    "xc_contribution": -90.0,
    "ewald_contribution": -260.0,
    "atomic_forces_dft": {"array": [[0.1, 0, 0], [-0.1, 0, 0]]},
    "atoms": {
        "numbers": {"array": [4, 4]},
        "positions": [[0, 0, 0], [1.1, 0.6, 1.8]],
        "cell": {"array": [[2.3, 0, 0], [-1.1, 2.0, 0], [0, 0, 3.6]]},
        "pbc": [True, True, True],
    },
}
ENERGIES = EnergyGrid.regular(-1.0, 0.5, 5, broadening=0.5, kernel="gaussian")


@pytest.fixture
def files(tmp_path, rng):
    ldos = rng.random((2, 3, 4, 5)).astype(np.float32)
    np.save(tmp_path / "x.out.npy", ldos)
    (tmp_path / "x.info.json").write_text(json.dumps(INFO))
    return tmp_path / "x.out.npy", tmp_path / "x.info.json"


def test_everything_in_the_files_is_in_the_snapshot(files):
    snapshot = read_mala(*files, energies=ENERGIES)
    assert isinstance(snapshot.ldos, ArrayFile)
    np.testing.assert_array_equal(snapshot.ldos[:], np.load(files[0]))
    np.testing.assert_array_equal(snapshot.atoms.numbers, [4, 4])
    np.testing.assert_array_equal(snapshot.atoms.positions, INFO["atoms"]["positions"])
    np.testing.assert_array_equal(snapshot.atoms.cell, INFO["atoms"]["cell"]["array"])
    assert snapshot.energy_grid == ENERGIES
    assert (snapshot.temperature, snapshot.n_electrons) == (298.0, 4.0)
    assert snapshot.grid_shape == (2, 3, 4)
    forces = snapshot.reference.pop("forces")
    np.testing.assert_array_equal(forces, [[0.1, 0, 0], [-0.1, 0, 0]])
    assert snapshot.reference == {
        "fermi_energy": 8.5,
        "band_energy": 12.5,
        "total_energy": -370.0,
        "minus_ts": -0.01,
        "one_electron": -20.0,
        "hartree": 3.0,
        "xc": -90.0,
        "ewald": -260.0,
    }


def test_paths_may_be_strings(files):
    assert read_mala(*map(str, files), energies=ENERGIES).grid_shape == (2, 3, 4)


def test_the_ldos_may_be_absent(files):
    snapshot = read_mala(None, files[1], energies=None)
    assert snapshot.ldos is None
    assert snapshot.grid_shape == (2, 3, 4)


def test_optional_entries_may_be_absent(files):
    optional = ("atomic_forces_dft", "xc_contribution")
    info = {key: value for key, value in INFO.items() if key not in optional}
    files[1].write_text(json.dumps(info))
    assert "xc" not in read_mala(*files, energies=ENERGIES).reference


@pytest.mark.parametrize(
    "missing", ["temperature", "grid_dimensions", "number_of_electrons_exact", "atoms"]
)
def test_a_missing_entry_is_named(files, missing):
    files[1].write_text(json.dumps({k: v for k, v in INFO.items() if k != missing}))
    with pytest.raises(FileFormatError, match=rf"'{missing}' .*x.info.json"):
        read_mala(*files, energies=ENERGIES)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("temperature", -1.0),
        ("temperature", None),
        ("temperature", 1e308),
        ("temperature", "cold"),
        ("number_of_electrons_exact", 1e9),
        ("number_of_electrons_exact", [6]),
        ("number_of_electrons_exact", None),
        ("grid_dimensions", 7),
        ("grid_dimensions", [0, 3, 4]),
        ("grid_dimensions", [2, 3]),
        ("grid_dimensions", [2, 3, 10**30]),
        ("band_energy_dft_calculation", 1e300),
        ("band_energy_dft_calculation", {"array": 1}),
        ("atomic_forces_dft", {"array": [[1.0, 2.0, 3.0]]}),
        ("atomic_forces_dft", {"array": "none"}),
        ("atomic_forces_dft", [[1.0, 2.0], [3.0]]),
        ("atoms", []),
        ("atoms", None),
        ("atoms", {"numbers": [4, 4], "positions": [[0, 0, 0]], "cell": [1, 1, 1]}),
        ("atoms.numbers", [13, 10**400]),
        ("atoms.numbers", [13]),
        ("atoms.numbers", [13.5, 13.5]),
        ("atoms.numbers", [True, True]),
        ("atoms.numbers", "Al2"),
        ("atoms.numbers", [[13, 13]]),
        ("atoms.pbc", "no"),
        ("atoms.pbc", [1, 1, 1]),
        ("atoms.positions", "here"),
        ("atoms.cell", {"array": [["a", 0, 0]] * 3}),
    ],
)
def test_a_damaged_entry_names_the_file(files, entry, value):
    info = place = deepcopy(INFO)
    *outer, last = entry.split(".")
    for name in outer:
        place = place[name]
    place[last] = value
    files[1].write_text(json.dumps(info))
    message = rf"{last} must be .*, got .*" if last == "pbc" else ""
    with pytest.raises(FileFormatError, match=rf"{message}x\.info\.json"):
        read_mala(None, files[1])


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("numbers", [13, 500]),
        ("numbers", [13, -1]),
        ("positions", [[0, 0, 0], [1, 1, float("nan")]]),
        ("cell", [[1e308, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("cell", {"array": [[4, 0, 0], [0, 4, 0], [0, 0, 1e-7]]}),
    ],
)
def test_atoms_that_cannot_be_are_named(files, entry, value):
    files[1].write_text(json.dumps(INFO | {"atoms": INFO["atoms"] | {entry: value}}))
    with pytest.raises(SnapshotError):
        read_mala(None, files[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{\n"temperature": 1,\n oops}', r"not a JSON file.*x.info.json:3"),
        (b"", "not a JSON file"),
        (b"\xff\xfe\x00", "not a JSON file"),
        (b"[1, 2]", "expected a JSON object, got a list"),
        (b"[" * 100_000, "not a JSON file"),
        (b'{"a": ' * 50_000, "not a JSON file"),
        (b"1" * 5_000, "not a JSON file"),
        (b'{"atoms": ' + b"9" * 5_000 + b"}", "not a JSON file"),
    ],
)
def test_damaged_json_names_file_and_line(files, content, message):
    files[1].write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_mala(*files, energies=ENERGIES)


def test_parts_that_do_not_fit_are_named(files):
    with pytest.raises(SnapshotError, match=r"4 energies, got an LDOS of shape \(2, 3, 4, 5\)"):
        read_mala(*files, energies=[0, 1, 2, 3])
    files[1].write_text(json.dumps(INFO | {"grid_dimensions": [3, 3, 4]}))
    with pytest.raises(SnapshotError, match="2x3x4 and 3x3x4"):
        read_mala(*files, energies=ENERGIES)
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        read_mala(files[0], files[1].with_name("absent.json"), energies=ENERGIES)


@pytest.mark.parametrize("number", [0, 1])
def test_beryllium_of_mala(shared_data, number):
    path = shared_data / "be2" / f"Be_snapshot{number}"
    energies = EnergyGrid.regular(-5.0, 2.5, 11, broadening=5.0, kernel="fermi-dirac")
    snapshot = read_mala(f"{path}.out.npy", f"{path}.info.json", energies=energies)
    assert repr(snapshot).startswith("Snapshot(Be2, grid 18x18x27, 11 energies -5…20 eV, 29")
    info = json.loads(path.with_name(f"{path.name}.info.json").read_text())
    # The voxel in the file is the one that the cell and the grid give.
    assert snapshot.voxel_volume == pytest.approx(
        abs(np.linalg.det(info["voxel"]["array"])), rel=1e-9
    )
    assert snapshot.n_electrons == 4
    assert set(snapshot.reference) >= {"fermi_energy", "band_energy", "total_energy", "ewald"}
    reference = snapshot.reference
    parts = ("one_electron", "hartree", "xc", "ewald", "minus_ts")
    # What pw.x printed adds up.
    assert sum(reference[p] for p in parts) == pytest.approx(reference["total_energy"], abs=1e-3)
    if number == 0:
        # dos.x smears otherwise than the LDOS, but both count the same states.
        dos = np.load(f"{path}.dos.npy").ravel()
        assert np.corrcoef(snapshot.dos(), dos)[0, 1] > 0.8


def test_what_is_written_is_read_again(files, tmp_path, rng):
    snapshot = read_mala(*files, energies=ENERGIES)
    snapshot = snapshot.replace(density=rng.random((2, 3, 4)), ldos=snapshot.ldos)
    written = write_mala(snapshot, tmp_path / "again", descriptors=rng.random((24, 6)))
    assert sorted(written) == ["density", "descriptors", "dos", "info", "ldos"]
    again = read_mala(written["ldos"], written["info"], energies=ENERGIES)
    np.testing.assert_array_equal(again.ldos[:], snapshot.ldos[:])
    assert again.atoms == snapshot.atoms
    assert (again.temperature, again.n_electrons) == (298.0, 4.0)
    np.testing.assert_array_equal(again.reference.pop("forces"), snapshot.reference["forces"])
    del snapshot.reference["forces"]
    assert again.reference == snapshot.reference
    np.testing.assert_array_equal(np.load(written["density"])[..., 0], snapshot.density)
    np.testing.assert_allclose(np.load(written["dos"]), snapshot.dos())
    rows = np.load(written["descriptors"])
    assert rows.shape == (2, 3, 4, 9)
    points = grid_points(snapshot.atoms.cell.array, (2, 3, 4))
    np.testing.assert_allclose(rows[..., :3].reshape(-1, 3), points, atol=1e-6)


def test_what_is_not_known_is_not_made_up(tmp_path):
    (snapshot,) = make_snapshots(1, grid_shape=(2, 2, 2), random_state=0)
    bare = snapshot.replace(ldos=None, density=None, reference=None).replace(grid_shape=(2, 2, 2))
    written = write_mala(bare, tmp_path / "bare")
    assert list(written) == ["info"]
    again = read_mala(None, written["info"], energies=None)
    assert again.reference == {}
    # MALA marks what it does not know so.
    info = json.loads(written["info"].read_text()) | {"band_energy_dft_calculation": None}
    written["info"].write_text(json.dumps(info))
    assert read_mala(None, written["info"], energies=None).reference == {}
    for lacking in ("grid_shape", "temperature", "n_electrons"):
        with pytest.raises(SnapshotError, match=f"lacks {lacking}"):
            write_mala(bare.replace(**{lacking: None}), tmp_path / "none")
    with pytest.raises(ValueError, match=r"descriptors must have shape \(8, .*\(7, 2\)"):
        write_mala(bare, tmp_path / "none", descriptors=np.ones((7, 2)))


@pytest.mark.parametrize("number", [0])
def test_beryllium_goes_back_to_mala(shared_data, tmp_path, number):
    path = shared_data / "be2" / f"Be_snapshot{number}"
    energies = EnergyGrid.regular(-5.0, 2.5, 11)
    snapshot = read_mala(f"{path}.out.npy", f"{path}.info.json", energies=energies)
    written = write_mala(snapshot, tmp_path / "Be")
    theirs = json.loads(path.with_name(f"{path.name}.info.json").read_text())
    ours = json.loads(written["info"].read_text())
    # Cutoffs and pseudopotentials are read by none of their other files.
    unknown = {"ecutwfc", "ecutrho", "pseudopotentials", "number_of_electrons_from_eigenvals"}
    assert set(theirs) - unknown <= set(ours)
    for key in ("voxel", "atoms"):
        for name in theirs[key]:
            np.testing.assert_allclose(ours[key][name], theirs[key][name], atol=1e-12)
    assert ours["degauss"] == pytest.approx(theirs["degauss"], rel=1e-6)
    np.testing.assert_array_equal(np.load(written["ldos"]), np.load(f"{path}.out.npy"))


def test_the_json_file_beside_the_ldos_is_taken(tmp_path):
    snapshot = make_snapshots(1, grid_shape=(4, 4, 4), n_energies=5, random_state=0)[0]
    files = write_mala(snapshot, tmp_path / "Al.0")
    found = read_mala(files["ldos"], energies=snapshot.energies)
    assert found.temperature == snapshot.temperature
    with pytest.raises(SnapshotError, match="energies are needed with an LDOS"):
        read_mala(files["ldos"])
    files["info"].unlink()
    with pytest.raises(FileNotFoundError, match=r"Al\.0\.info\.json"):
        read_mala(files["ldos"], energies=snapshot.energies)
    with pytest.raises(TypeError, match="got neither"):
        read_mala(None)


def test_a_folder_is_said_to_be_one(tmp_path):
    for arguments in ((tmp_path,), (None, tmp_path)):
        with pytest.raises(IsADirectoryError, match=r"skldos\.io\.read_snapshots\(folder"):
            read_mala(*arguments)
