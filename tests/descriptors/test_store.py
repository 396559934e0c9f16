"""A block from the cache equals the stored one, or is recomputed."""

import os
import shutil
import signal
import time

import joblib
import numpy as np
import pytest

from skldos.data import files
from skldos.descriptors import _store
from skldos.descriptors._store import BlockStore
from skldos.exceptions import FileFormatError
from tests.processes import start_python

SHAPE, DTYPE = (100, 30), np.dtype(np.float64)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for module in ("array_file", "checksums"):
        monkeypatch.setattr(f"skldos.data.{module}.CHUNK_BYTES", 4096)


@pytest.fixture
def block(rng):
    return rng.random(SHAPE)


@pytest.fixture
def store(tmp_path, block):
    store = BlockStore(tmp_path)
    store.write("key", SHAPE, DTYPE, chunks_of(block))
    return store


def chunks_of(block, step=33):
    for start in range(0, len(block), step):
        yield start, min(start + step, len(block)), block[start : start + step]


def damaged(path, how):
    content = bytearray(path.read_bytes())
    how(content)
    path.write_bytes(content)


def flip(content):
    content[128 + 20000] ^= 16


def zero(content):
    content[128 + 4096 : 128 + 8192] = bytes(4096)


def not_a_number(content):
    content[128 + 800 : 128 + 808] = np.array([np.nan]).tobytes()


DAMAGES = {"flipped": flip, "zeroed": zero, "NaN": not_a_number}


def test_what_was_written_is_found(store, block):
    found = store.find("key", SHAPE, DTYPE)
    np.testing.assert_array_equal(found[:], block, strict=True)
    assert [path.name for path in store.folder.iterdir()] == ["key.npy"]


@pytest.mark.parametrize(
    ("key", "shape", "dtype"),
    [("other", SHAPE, DTYPE), ("key", (30, 100), DTYPE), ("key", SHAPE, np.dtype("f4"))],
)
def test_anything_else_is_not_there(store, key, shape, dtype):
    assert store.find(key, shape, dtype) is None


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_block_is_not_there(store, how, block):
    damaged(store.folder / "key.npy", how)
    assert store.find("key", SHAPE, DTYPE) is None
    store.write("key", SHAPE, DTYPE, chunks_of(block))
    np.testing.assert_array_equal(store.find("key", SHAPE, DTYPE)[:], block)


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_damage_in_a_large_block_is_an_error_where_it_is_read(store, how, block, monkeypatch):
    monkeypatch.setattr(_store, "VERIFY_BYTES", block.nbytes - 1)
    damaged(store.folder / "key.npy", how)
    found = store.find("key", SHAPE, DTYPE)
    np.testing.assert_array_equal(found[-5:], block[-5:])
    with pytest.raises(FileFormatError, match="damaged"):
        found[:]


def test_a_block_under_the_name_of_another_is_not_there(store, block):
    store.write("other", SHAPE, DTYPE, chunks_of(block + 1))
    one, other = (store.folder / f"{key}.npy" for key in ("key", "other"))
    os.replace(one, store.folder / "x")
    os.replace(other, one)
    os.replace(store.folder / "x", other)
    assert store.find("key", SHAPE, DTYPE) is None
    assert store.find("other", SHAPE, DTYPE) is None


def test_blocks_without_checksums_are_not_there(store, block):
    np.save(store.folder / "key.npy", block)
    assert store.find("key", SHAPE, DTYPE) is None


def test_chunks_that_stop_early_are_not_kept(store, block):
    with pytest.raises(ValueError, match="must make up an array"):
        store.write("short", SHAPE, DTYPE, chunks_of(block[:-1]))
    assert [path.name for path in store.folder.iterdir()] == ["key.npy"]


def test_a_full_disk_is_an_error_that_leaves_nothing(store, block):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            store.write("other", SHAPE, DTYPE, chunks_of(block))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in store.folder.iterdir()] == ["key.npy"]
    np.testing.assert_array_equal(store.find("key", SHAPE, DTYPE)[:], block)


WRITER = """
import os, signal, sys
import numpy as np
from skldos.descriptors._store import BlockStore
def chunks(n):
    for start in range(0, 100, 10):
        if start == n: os.kill(os.getpid(), signal.SIGKILL)
        yield start, start + 10, np.full((10, 30), 7.0)
BlockStore(sys.argv[1]).write("killed", (100, 30), np.dtype(float), chunks(int(sys.argv[2])))
"""


@pytest.mark.skipif(files.fcntl is None, reason="needs locks of files")
def test_what_a_killed_process_leaves_is_removed_at_once(store, tmp_path, block):
    writer = start_python(WRITER, tmp_path, 50, output=tmp_path / "printed")
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert len(list(store.folder.glob("*.partial"))) == 1
    assert store.find("killed", SHAPE, DTYPE) is None
    store.write("other", SHAPE, DTYPE, chunks_of(block))
    assert sorted(path.name for path in store.folder.iterdir()) == ["key.npy", "other.npy"]


def test_what_is_being_written_is_left_alone(store, block):
    with files.staging_folder(store.folder) as stage:
        store.write("other", SHAPE, DTYPE, chunks_of(block))
        assert stage.exists()
    assert not stage.exists()


@pytest.mark.parametrize(("factor", "stays"), [(23 / 24, True), (25 / 24, False)])
def test_age_decides_where_there_is_no_lock(store, block, factor, stays):
    age = time.time() - factor * files.ABANDONED_AFTER
    (store.folder / "a.partial").mkdir()
    (store.folder / "b.partial").touch()
    for path in store.folder.glob("*.partial"):
        os.utime(path, (age, age))
    store.write("other", SHAPE, DTYPE, chunks_of(block))
    assert len(list(store.folder.glob("*.partial"))) == 2 * stays


def test_writers_of_one_block_do_not_mix(tmp_path, monkeypatch):
    monkeypatch.undo()  # the size of chunks is that of the other processes
    (tmp_path / "skldos-blocks").mkdir()
    writers = [start_python(WRITER, tmp_path, -1, output=tmp_path / name) for name in "ab"]
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = BlockStore(joblib.Memory(tmp_path, verbose=0))
    assert (store.find("killed", SHAPE, DTYPE)[:] == 7).all()
    assert [path.name for path in store.folder.iterdir()] == ["killed.npy"]


@pytest.mark.parametrize("links", [True, False])
def test_handles_stay_valid_while_others_write_the_same_block(tmp_path, block, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    ours = []

    def slow():
        yield from chunks_of(block)
        ours.append(BlockStore(tmp_path).write("key", SHAPE, DTYPE, chunks_of(block)))
        os.utime(ours[0].path, ns=(1, 1))  # the files differ in age even on a coarse clock
        ours[0] = BlockStore(tmp_path).find("key", SHAPE, DTYPE)

    late = BlockStore(tmp_path).write("key", SHAPE, DTYPE, slow())
    for handle in (*ours, late):
        np.testing.assert_array_equal(handle[:], block, strict=True)
    assert [path.name for path in late.path.parent.iterdir()] == ["key.npy"]


def refuse(*paths):
    raise PermissionError("no links here")


@pytest.mark.parametrize("links", [True, False])
def test_a_damaged_block_is_replaced(store, block, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    damaged(store.folder / "key.npy", flip)
    written = store.write("key", SHAPE, DTYPE, chunks_of(block))
    np.testing.assert_array_equal(written[:], block, strict=True)


def test_a_folder_that_vanished_is_made_again(store, block):
    shutil.rmtree(store.folder)
    assert store.find("key", SHAPE, DTYPE) is None
    store.write("key", SHAPE, DTYPE, chunks_of(block))
    np.testing.assert_array_equal(store.find("key", SHAPE, DTYPE)[:], block)
