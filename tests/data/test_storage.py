"""Saved snapshots come back bit by bit, and loading them executes nothing."""

import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from skldos import ArrayFile, EnergyGrid, Snapshot, SnapshotList
from skldos.data import ComputedArray, files, storage
from skldos.exceptions import FileFormatError
from tests.disks import largest_file
from tests.processes import start_python

INDEX = "snapshots.json"


@pytest.fixture
def varied(rng):
    """Snapshots with all, some and no fields, and unusual values."""
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
            "functional": "lda-pz",
            "files": {"Be": "Be.UPF"},
        },
        name="a snapshot",
        source="a run",
    )
    return SnapshotList(
        [full, full.replace(ldos=None), bulk("Al"), Snapshot(bulk("Al"), grid_shape=(1, 2, 3))]
    )


def assert_equal(loaded, saved):
    assert len(loaded) == len(saved)
    for a, b in zip(loaded, saved, strict=True):
        assert a.atoms == b.atoms
        assert a.energy_grid == b.energy_grid
        for name in ("name", "source", "temperature", "n_electrons", "grid_shape"):
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
    """Sets a flag when it is unpickled."""

    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_loading_executes_no_code(snapshots, tmp_path):
    snapshots[:1].save(tmp_path)
    np.save(tmp_path / "ldos_00000.npy", np.array([Bomb()]), allow_pickle=True)
    with pytest.raises(FileFormatError, match="pickled objects"):
        SnapshotList.load(tmp_path)
    assert not Bomb.exploded


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


# -------------------------------------------------------------------- faults of writing


def contents(folder):
    """Names and contents of all files of a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_only_files_that_save_has_named_are_removed(snapshots, tmp_path):
    snapshots[:3].save(tmp_path)
    index = tmp_path / INDEX
    text = index.read_text()
    mine = ("thesis.npy", "ldos.npy", "ldos_1.npy", "density_00002.npy.gz")
    for i, name in enumerate(mine):
        (tmp_path / name).write_text("mine")
        old = json.loads(text)["snapshots"][min(i, 2)]["ldos"]
        text = text.replace(old, name)
    index.write_text(text)
    snapshots[3:4].save(tmp_path, overwrite=True)
    assert {*mine} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "density_00001.npy").exists()
    assert_equal(SnapshotList.load(tmp_path), snapshots[3:4])


@pytest.mark.parametrize("taken", ["density_00000.npy", "ldos_00000.npy", "ldos_00001.npy"])
def test_names_that_are_taken_are_passed_over(snapshots, tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    assert_equal(SnapshotList.load(snapshots[:2].save(tmp_path)), snapshots[:2])
    assert (tmp_path / taken).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 6


def test_names_of_large_sets_are_known_as_well():
    for name in ("ldos_00000.npy", "density_123456.npy"):
        assert storage.OWN_NAME.fullmatch(name)
    for name in ("ldos_0000.npy", "xldos_00000.npy", "ldos_00000.npy.bak", "dos_00000.npy"):
        assert not storage.OWN_NAME.fullmatch(name)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt("x")])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_save_that_fails_leaves_what_was_there(snapshots, tmp_path, overwrite, error):
    def failing_rows(start, stop):
        raise error

    if overwrite:
        snapshots[:2].save(tmp_path)
    before = contents(tmp_path)
    failing = snapshots[2].replace(ldos=ComputedArray(failing_rows, (4, 4, 4, 11), "f4"))
    with pytest.raises(type(error), match=re.escape(str(error))):
        (snapshots[:2] + SnapshotList([failing])).save(tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == before
    snapshots[3:].save(tmp_path, overwrite=overwrite)
    assert_equal(SnapshotList.load(tmp_path), snapshots[3:])
    assert len(list(tmp_path.iterdir())) == 7


@pytest.mark.parametrize("step", ["_claim", "sync_folder", "atomic_file"])
def test_a_save_that_fails_at_its_end_leaves_what_was_there(snapshots, tmp_path, monkeypatch, step):
    snapshots[:2].save(tmp_path)
    before, calls, real = contents(tmp_path), [], getattr(storage, step)

    def failing(*arguments):
        calls.append(1)
        if len(calls) == (2 if step == "_claim" else 1):
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(storage, step, failing)
    with pytest.raises(OSError, match="No space left"):
        snapshots[2:].save(tmp_path, overwrite=True)
    assert contents(tmp_path) == before


def test_an_interrupt_after_the_index_keeps_the_new_set(snapshots, tmp_path, monkeypatch):
    def interrupted(folder):
        if (folder / INDEX).exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "sync_folder", interrupted)
    with pytest.raises(KeyboardInterrupt):
        snapshots[:2].save(tmp_path)
    assert_equal(SnapshotList.load(tmp_path), snapshots[:2])


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_set_that_appears_in_the_meantime(snapshots, tmp_path, overwrite):
    def rows(start, stop):
        if not (tmp_path / INDEX).exists():
            snapshots[:2].save(tmp_path)
        return snapshots[3].ldos[start:stop]

    late = SnapshotList([snapshots[3].replace(ldos=ComputedArray(rows, (4, 4, 4, 11), "f4"))])
    if overwrite:
        late.save(tmp_path, overwrite=True)
        assert_equal(SnapshotList.load(tmp_path), snapshots[3:4])
    else:
        with pytest.raises(FileExistsError, match="overwrite=True"):
            late.save(tmp_path)
        assert_equal(SnapshotList.load(tmp_path), snapshots[:2])
    assert len(list(tmp_path.iterdir())) == (3 if overwrite else 5)


def test_a_full_disk_is_an_error(snapshots, tmp_path):
    snapshots[:1].save(tmp_path)
    before = contents(tmp_path)
    large = snapshots[0].replace(ldos=np.ones((16, 16, 16, 11)), density=None)
    with largest_file(2**17), pytest.raises(OSError, match="large"):
        SnapshotList([snapshots[1], large]).save(tmp_path, overwrite=True)
    assert contents(tmp_path) == before


WRITER = """
import sys
import numpy as np
from skldos.datasets import make_snapshots
n = int(sys.argv[2])
snapshots = make_snapshots(n, grid_shape=(8, 8, 8), random_state=n)
while True:
    try:
        snapshots.save(sys.argv[1], overwrite=True)
    except FileNotFoundError:
        raise SystemExit("mixed")
"""


def check_whole(folder, numbers=(3, 4)):
    """Load a set of one of the writers, and compare all of it with what was saved."""
    loaded = SnapshotList.load(folder)
    assert len(loaded) in numbers
    for snapshot in loaded:
        # The digests make sure of each file, the model of its place among the others.
        assert snapshot.n_electrons == 12
        snapshot.ldos.verify()
        snapshot.density.verify()


@pytest.mark.skipif(files.fcntl is None, reason="needs locks of files")
def test_two_writers_that_are_killed_leave_a_whole_set(tmp_path, snapshots):
    folder = tmp_path / "set"
    writers = [start_python(WRITER, folder, n, output=tmp_path / f"printed by {n}") for n in (3, 4)]
    loaded = 0
    try:
        end = time.monotonic() + 600
        while loaded < 6 and time.monotonic() < end:
            assert all(writer.is_alive() for writer in writers)
            try:
                check_whole(folder)
            except FileNotFoundError:  # not there yet, or replaced by the other writer
                continue
            loaded += 1
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
    assert loaded == 6
    check_whole(folder)
    # What they were about to write is known to be abandoned, and gone after the next time; of a
    # single file, and of a folder that is not locked yet, the age tells.
    for path in folder.glob("*.partial"):
        if not (path / files.LOCK_FILE).exists():
            os.utime(path, (0, 0))
    snapshots[:2].save(folder, overwrite=True)
    assert not list(folder.glob("*.partial"))
    assert_equal(SnapshotList.load(folder), snapshots[:2])


# -------------------------------------------------------------------- faults of reading


@pytest.mark.parametrize("name", ["ldos", "density"])
def test_files_that_were_swapped_are_noticed(snapshots, tmp_path, name):
    snapshots[:2].save(tmp_path)
    one, two = (tmp_path / f"{name}_0000{i}.npy" for i in range(2))
    os.replace(one, tmp_path / "x")
    os.replace(two, one)
    os.replace(tmp_path / "x", two)
    with pytest.raises(FileFormatError, match=rf"not the file that was saved as the {name}.*00000"):
        SnapshotList.load(tmp_path)


@pytest.mark.parametrize("position", [130, 1000, 2000])
@pytest.mark.parametrize("value", [0, 255])
def test_bytes_that_changed_are_noticed(snapshots, tmp_path, position, value):
    snapshots[:2].save(tmp_path)
    path = tmp_path / "ldos_00001.npy"
    content = bytearray(path.read_bytes())
    assert content[position] != value
    content[position] = value
    path.write_bytes(content)
    loaded = SnapshotList.load(tmp_path)
    loaded[0].dos()
    with pytest.raises(FileFormatError, match="do not match the checksum"):
        np.asarray(loaded[1].ldos)
    with pytest.raises(FileFormatError, match="do not match the checksum"):
        loaded.save(tmp_path / "copy")
    assert not (tmp_path / "copy" / INDEX).exists()


def test_sets_without_checksums_can_be_read(varied, tmp_path):
    index = varied.save(tmp_path) / INDEX
    content = json.loads(index.read_text())
    for record in content["snapshots"]:
        for name in record.pop("digests", {}):
            path = tmp_path / record[name]
            np.save(path, np.load(path))
    index.write_text(json.dumps(content))
    assert_equal(SnapshotList.load(tmp_path), varied)


def change(**changes):
    def damage(record):
        for name, value in changes.items():
            record[name] = value

    return damage


def change_reference(value):
    return lambda record: record["reference"].update(xc=value)


ABSURD = {
    "no element": change(numbers=[13, 13, 500, 13]),
    "negative element": change(numbers=[13, -1, 13, 13]),
    "ghost": change(numbers=[13, 13, 13, 0]),
    "half an element": change(numbers=[13, 13, 13.5, 13]),
    "formula": change(numbers="Al4"),
    "huge number": change(numbers=[13, 13, 13, 10**30]),
    "no atoms": change(numbers=[], positions=[]),
    "true": change(numbers=[True] * 4),
    "positions": change(positions=[[0, 0, 1e308]] * 4),
    "null positions": change(positions=None),
    "null position": change(positions=[[0, 0, None]] * 4),
    "few positions": change(positions=[[0, 0, 0]]),
    "nested": change(positions=[[[[[[0]]]]]] * 4),
    "long integer": change(positions=[[0, 0, 10**400]] * 4),
    "flat cell": change(cell=[[4, 0, 0], [0, 4, 0], [0, 0, 1e-5]]),
    "no cell": change(cell=[]),
    "cell of NaN": change(cell=[[4, 0, 0], [0, float("nan"), 0], [0, 0, 4]]),
    "hot": change(temperature=1e308),
    "cold": change(temperature=-1),
    "no number": change(temperature=[298.0]),
    "null grid": change(grid_shape=[4, 4, None]),
    "fine grid": change(grid_shape=[4, 4, 10**9]),
    "negative grid": change(grid_shape=[4, 4, -4]),
    "many electrons": change(n_electrons=500.0),
    "negative electrons": change(n_electrons=-1),
    "integer electrons": change(n_electrons=10**400),
    "energies": change(energies=[1e308 * i for i in range(11)]),
    "null energies": change(energies=None),
    "integer energies": change(energies=[0, 10**400]),
    "broadening": change(broadening=1e308),
    "kernel": change(kernel=[]),
    "null reference": change(reference=None),
    "reference": change_reference(1e308),
    "NaN": change_reference(float("nan")),
    "infinity": change_reference([float("inf")]),
    "null entry": change_reference(None),
    "ragged entry": change_reference([1, [2]]),
    "name": change(name=3),
    "digests": change(digests=[1]),
    "digest": change(digests={"ldos": None}),
    "digest of nothing": change(digests={"xc": 1}),
    "ldos": change(ldos=3),
}


@pytest.mark.parametrize("damage", ABSURD.values(), ids=ABSURD)
def test_absurd_values_are_refused(snapshots, tmp_path, damage):
    index = snapshots[:2].save(tmp_path) / INDEX
    content = json.loads(index.read_text())
    damage(content["snapshots"][1])
    index.write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match=re.escape(str(tmp_path))):
        SnapshotList.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *(10**5 * b"[", 10**5 * b'{"a":', b"9" * 5000, b"NaN", b"", b"\x00", b'{"format":'),
        b"\xff\xfe{}",
    ],
)
def test_texts_that_are_no_index_are_named(tmp_path, text):
    (tmp_path / INDEX).write_bytes(text)
    with pytest.raises(FileFormatError, match=re.escape(str(tmp_path / INDEX))):
        SnapshotList.load(tmp_path)


def test_a_charge_that_no_file_may_name_is_not_written(snapshots, tmp_path):
    with pytest.raises(ValueError, match="at most 104, twice the electrons of neutral Al4"):
        SnapshotList([snapshots[0].replace(n_electrons=1000.0)]).save(tmp_path)
    assert list(tmp_path.iterdir()) == []
