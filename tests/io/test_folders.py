"""Folders of other programs become snapshots with names and sources."""

import json

import numpy as np
import pytest
from ase.build import bulk

from skldos import EnergyGrid
from skldos.datasets import load_aluminium, make_snapshots
from skldos.exceptions import FileFormatError
from skldos.io import read_npz, read_snapshots, write_mala
from skldos.io.folders import find_sources

ATOMS = {"numbers": [13, 12], "positions": np.eye(3)[:2], "cell": 4 * np.eye(3)}


def test_an_npz_holds_a_snapshot(tmp_path):
    ldos = np.random.default_rng(0).random((2, 2, 2, 3))
    np.savez(
        tmp_path / "a.npz",
        **ATOMS,
        ldos=(100 * ldos).astype(np.float16),
        ldos_scale=100.0,
        energies=[0.0, 1.0, 2.0],
        broadening=0.4,
        temperature=300.0,
        n_electrons=5.0,
        total_energy=-3.5,
        forces=np.ones((2, 3)),
        functional="lda-pz",
        pseudopotentials=json.dumps({"Al": "Al.upf"}),
        seconds=3.0,
    )
    snapshot = read_npz(tmp_path / "a.npz")
    np.testing.assert_allclose(snapshot.ldos, ldos, rtol=1e-3)
    assert snapshot.energy_grid == EnergyGrid([0, 1, 2], broadening=0.4, kernel="gaussian")
    assert (snapshot.name, snapshot.temperature, snapshot.n_electrons) == ("a", 300, 5)
    assert snapshot.source == str(tmp_path / "a.npz")
    assert snapshot.reference["total_energy"] == -3.5
    assert snapshot.reference["functional"] == "lda-pz"
    assert snapshot.reference["pseudopotentials"] == {"Al": "Al.upf"}
    assert snapshot.reference["forces"].shape == (2, 3)
    assert "seconds" not in snapshot.reference


def test_bundled_files_read_alike():
    from importlib.resources import files

    expected = load_aluminium(temperature=298)[0]
    found = read_npz(files("skldos.datasets") / "data" / "Al4_298K_0.npz")
    np.testing.assert_array_equal(found.ldos, expected.ldos)
    np.testing.assert_array_equal(found.density, expected.density)
    assert found.energy_grid == expected.energy_grid
    assert found.reference["total_energy"] == expected.reference["total_energy"]


def test_an_npz_without_fields_keeps_its_grid(tmp_path):
    np.savez(tmp_path / "a.npz", **ATOMS, grid_shape=[4, 4, 4], dos=np.ones(2), energies=[0.0, 1.0],
             sigma=1.3)  # fmt: skip
    snapshot = read_npz(tmp_path / "a.npz")
    assert snapshot.grid_shape == (4, 4, 4)
    assert snapshot.reference["dos"].tolist() == [1, 1]
    assert snapshot.reference["ados_sigma"] == 1.3
    assert snapshot.energy_grid.kernel is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "entry 'numbers' is missing"),
        (ATOMS | {"cell": np.zeros((3, 3))}, "no snapshot: atoms must have a cell"),
        (ATOMS | {"temperature": -3.0}, "no snapshot: temperature must be >= 0"),
        (ATOMS | {"ldos": np.ones((2, 2, 2, 3))}, "no snapshot: energies are needed"),
        (ATOMS | {"pseudopotentials": "{"}, "no snapshot"),
        (ATOMS | {"numbers": np.array([None, 3])}, "damaged: .*allow_pickle"),
        (ATOMS | {"numbers": [13.5, 12]}, "no snapshot: numbers must be integers, got float64"),
        (ATOMS | {"positions": 1j * np.eye(3)[:2]}, "no snapshot: positions must be real numbers"),
        (ATOMS | {"cell": np.eye(3).astype(str)}, "no snapshot: cell must be real numbers"),
        (ATOMS | {"n_electrons": "5"}, "no snapshot: n_electrons must be real numbers"),
    ],
)
def test_what_is_no_snapshot_is_named(content, message, tmp_path):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(FileFormatError, match=rf"{message}.*a\.npz"):
        read_npz(tmp_path / "a.npz")


def test_damaged_archives_are_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **ATOMS)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:200], whole[:-10]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"a\.npz"):
            read_npz(path)


def test_files_of_mala_are_found_by_pairs(tmp_path):
    snapshots = make_snapshots(2, grid_shape=(4, 4, 4), n_energies=5, random_state=0)
    for i, snapshot in enumerate(snapshots):
        (tmp_path / f"{i}").mkdir()
        write_mala(snapshot, tmp_path / f"{i}" / f"Al_{i}")
    with pytest.raises(ValueError, match="energies are required"):
        read_snapshots(tmp_path)
    found = read_snapshots(tmp_path, energies=snapshots[0].energy_grid)
    assert [s.name for s in found] == ["Al_0", "Al_1"]
    for one, other in zip(found, snapshots, strict=True):
        np.testing.assert_array_equal(one.ldos[:], other.ldos.astype(np.float32))
    (tmp_path / "0" / "Al_0.out.npy").unlink()
    (tmp_path / "1" / "Al_1.out.npy").unlink()
    assert read_snapshots(tmp_path)[0].ldos is None


def test_one_kind_is_taken_where_there_are_several(tmp_path):
    bulk("Al").write(tmp_path / "a.xyz")
    np.savez(tmp_path / "a.npz", **ATOMS)
    make_snapshots(2, random_state=0).save(tmp_path / "deep" / "set")
    assert [s.kind for s in find_sources(tmp_path)] == ["snapshots"]
    assert len(read_snapshots(tmp_path)) == 2
    assert [s.kind for s in find_sources(tmp_path / "a.npz")] == ["npz"]
    assert read_snapshots(tmp_path / "a.xyz", temperature=300)[0].temperature == 300


def test_runs_of_pw_are_found(tmp_path):
    from pathlib import Path
    from shutil import copytree, rmtree

    copytree(Path(__file__).parent / "data" / "al2", tmp_path / "run")
    (source,) = find_sources(tmp_path)
    assert source.kind == "espresso"
    (snapshot,) = read_snapshots(tmp_path)
    assert snapshot.name == "al2"
    # Many runs have the same prefix.
    copytree(tmp_path / "run", tmp_path / "again")
    assert [s.name for s in read_snapshots(tmp_path)] == ["again_al2", "run_al2"]
    # Many runs have their results in the same subfolder.
    for run in ("run", "again"):
        copytree(tmp_path / run, tmp_path / "set" / run / "out")
    found = [s.name for s in read_snapshots(tmp_path / "set")]
    assert found == ["again_out_al2", "run_out_al2"]
    rmtree(tmp_path / "set")
    rmtree(tmp_path / "again")
    assert snapshot.reference["functional"] == "lda-pz"
    (tmp_path / "run" / "al2.save" / "data-file-schema.xml").unlink()
    (source,) = find_sources(tmp_path)
    assert source.path.name == "al2.scf.out"
    assert read_snapshots(tmp_path)[0].name == "al2.scf"


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds neither snapshots of skldos"):
        find_sources(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        find_sources(tmp_path / "absent")
    (tmp_path / "a.xyz").write_text("nonsense")
    with pytest.raises(FileFormatError, match=r"ASE cannot read it.*a\.xyz"):
        read_snapshots(tmp_path / "a.xyz")


def test_archives_are_found_in_folders_below(tmp_path):
    for name in ("b/same.npz", "a/same.npz", "other.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savez(tmp_path / name, **ATOMS)
    (tmp_path / "a" / "POSCAR").write_text("is of another kind")
    found = find_sources(tmp_path)
    assert [source.kind for source in found] == ["npz"] * 3
    names = {source.path.relative_to(tmp_path).as_posix(): source.name for source in found}
    assert names == {
        "a/same.npz": "a_same.npz",
        "b/same.npz": "b_same.npz",
        "other.npz": "other.npz",
    }
