"""Saved snapshots come back bit by bit, and loading them executes nothing."""

import json

import numpy as np
import pytest
from ase.build import bulk

from skldos import ArrayFile, EnergyGrid, Snapshot, SnapshotList
from skldos.data import storage
from skldos.exceptions import FileFormatError

INDEX = "snapshots.json"


@pytest.fixture
def varied(rng):
    """Snapshots with all, some and no fields, in awkward numbers."""
    atoms = bulk("Be")
    atoms.positions += rng.random((2, 3))
    grid = EnergyGrid([-0.1, 1 / 3, 2.0], broadening=0.1, kernel="gaussian")
    full = Snapshot(
        atoms,
        energies=grid,
        temperature=298.15,
        n_electrons=4,
        ldos=rng.random((2, 3, 4, 3)).astype(">f4"),
        density=np.asfortranarray(rng.random((2, 3, 4))),
        reference={
            "band_energy": -np.pi,
            "n": 3,
            "forces": rng.random((2, 3)),
            "xc": np.float64(1),
        },
    )
    return SnapshotList(
        [full, full.replace(ldos=None), bulk("Al"), Snapshot(bulk("Al"), grid_shape=(1, 2, 3))]
    )


def assert_equal(loaded, saved):
    assert len(loaded) == len(saved)
    for a, b in zip(loaded, saved, strict=True):
        assert a.atoms == b.atoms
        assert a.energy_grid == b.energy_grid
        for name in ("temperature", "n_electrons", "grid_shape"):
            assert getattr(a, name) == getattr(b, name)
        for name in ("ldos", "density"):
            if getattr(b, name) is None:
                assert getattr(a, name) is None
            else:
                assert isinstance(getattr(a, name), ArrayFile)
                np.testing.assert_array_equal(
                    np.asarray(getattr(a, name)), getattr(b, name), strict=True
                )
        assert a.reference.keys() == b.reference.keys()
        for key, value in b.reference.items():
            np.testing.assert_array_equal(a.reference[key], value)


def test_everything_comes_back_bit_by_bit(varied, tmp_path):
    folder = varied.save(tmp_path / "deep" / "set")
    assert_equal(SnapshotList.load(folder), varied)
    assert_equal(SnapshotList.load(str(folder)), varied)


def test_a_list_that_was_loaded_can_be_saved_again(varied, tmp_path):
    loaded = SnapshotList.load(varied.save(tmp_path / "one"))
    assert_equal(SnapshotList.load(loaded.save(tmp_path / "two")), varied)


def test_overwriting_needs_permission_and_leaves_nothing_behind(snapshots, tmp_path):
    snapshots[:3].save(tmp_path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        snapshots[:1].save(tmp_path)
    snapshots[:1].save(tmp_path, overwrite=True)
    assert len(SnapshotList.load(tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 3  # index, LDOS, density


def test_a_list_can_be_saved_over_its_own_files(snapshots, tmp_path):
    loaded = SnapshotList.load(snapshots[:3].save(tmp_path))
    loaded[::-1].save(tmp_path, overwrite=True)
    assert_equal(SnapshotList.load(tmp_path), snapshots[:3][::-1])


def test_files_of_others_are_left_alone(snapshots, tmp_path):
    np.save(tmp_path / "ldos_00000.npy", np.zeros(3))
    snapshots[:1].save(tmp_path)
    snapshots[:1].save(tmp_path, overwrite=True)
    np.testing.assert_array_equal(np.load(tmp_path / "ldos_00000.npy"), 0)


def interrupted_after(n, monkeypatch):
    """Let the writing of arrays fail after `n` of them."""
    done, write = [], storage._write_array

    def failing(array, path):
        if len(done) == n:
            raise KeyboardInterrupt
        done.append(path)
        write(array, path)

    monkeypatch.setattr(storage, "_write_array", failing)


def test_interrupted_writing_leaves_no_index(snapshots, tmp_path, monkeypatch):
    interrupted_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        snapshots.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no snapshots"):
        SnapshotList.load(tmp_path)


def test_interrupted_overwriting_leaves_the_old_set(snapshots, tmp_path, monkeypatch):
    snapshots[:2].save(tmp_path)
    interrupted_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        snapshots[2:].save(tmp_path, overwrite=True)
    assert_equal(SnapshotList.load(tmp_path), snapshots[:2])


def test_what_json_cannot_hold_leaves_no_index(snapshots, tmp_path):
    with pytest.raises(TypeError):
        SnapshotList([snapshots[0].replace(reference={"x": object()})]).save(tmp_path)
    assert not (tmp_path / INDEX).exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda text: text.replace('"kernel": null', '"kernel" null', 1),
            r"not JSON.*json:\d\d+\)",
        ),
        (lambda text: text[: len(text) // 2], r"not JSON.*json:\d+"),
        (lambda text: text.replace("skldos snapshots", "others"), "expected the format"),
        (lambda text: text.replace('"version": 1', '"version": 99'), "expected version 1.*got 99"),
        (lambda text: text.replace('"cell"', '"sell"'), "lacks the entry 'cell'"),
        (lambda text: text.replace('"snapshots"', '"shots"'), "expected a list of snapshots"),
        (
            lambda text: text.replace('"temperature": 298.0', '"temperature": "x"'),
            "is damaged: temp",
        ),
        (
            lambda text: text.replace('"density_00000', '"../density_00000'),
            "beside it, got '../dens",
        ),
        (lambda text: "[]", "expected the format"),
    ],
)
def test_a_damaged_index_is_named(snapshots, tmp_path, damage, message):
    index = snapshots[:2].save(tmp_path) / INDEX
    index.write_text(damage(index.read_text()))
    with pytest.raises(FileFormatError, match=rf"(?s){message}") as caught:
        SnapshotList.load(tmp_path)
    assert str(index) in str(caught.value)


def test_an_index_in_another_encoding_is_named(tmp_path):
    (tmp_path / INDEX).write_bytes(b"\xff\xfe{}")
    with pytest.raises(FileFormatError, match="not JSON"):
        SnapshotList.load(tmp_path)


def test_a_field_of_another_shape_is_named(snapshots, tmp_path):
    snapshots[:1].save(tmp_path)
    np.save(tmp_path / "ldos_00000.npy", np.zeros((4, 4, 4, 12)))
    with pytest.raises(FileFormatError, match="11 energies"):
        SnapshotList.load(tmp_path)


def test_a_missing_field_is_named(snapshots, tmp_path):
    snapshots[:1].save(tmp_path)
    (tmp_path / "density_00000.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"density_00000\.npy"):
        SnapshotList.load(tmp_path)


class Bomb:
    """Goes off when it is unpickled."""

    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_loading_executes_no_code(snapshots, tmp_path):
    snapshots[:1].save(tmp_path)
    np.save(tmp_path / "ldos_00000.npy", np.array([Bomb()]), allow_pickle=True)
    with pytest.raises(FileFormatError, match="pickled objects"):
        SnapshotList.load(tmp_path)
    assert not Bomb.exploded


def test_the_index_is_plain_json(snapshots, tmp_path):
    record = json.loads((snapshots[:1].save(tmp_path) / INDEX).read_text())["snapshots"][0]
    assert record["temperature"] == 298.0
    assert record["numbers"] == [13, 13, 13, 13]


def test_of_the_atoms_numbers_positions_and_cell_are_kept(tmp_path):
    atoms = bulk("Al", cubic=True)
    atoms.set_tags([1, 2, 3, 4])
    atoms.info["name"] = "crystal"
    SnapshotList([atoms]).save(tmp_path)
    loaded = SnapshotList.load(tmp_path)[0].atoms
    for name in ("numbers", "positions", "cell"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(atoms, name))
    assert not loaded.get_tags().any()
    assert not loaded.info
