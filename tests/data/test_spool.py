"""Lazy arrays that are read once and then stored."""

import gc
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from skldos.data import ArrayFile, ComputedArray, spooled

ROWS = np.arange(40.0).reshape(20, 2).astype(np.float32)


class Counting:
    """Returns rows and counts how often each is read."""

    def __init__(self):
        self.reads = np.zeros(20, int)

    def __call__(self, start, stop):
        self.reads[start:stop] += 1
        return ROWS[start:stop]

    def lazy(self):
        return ComputedArray(self, ROWS.shape, ROWS.dtype)


@pytest.fixture
def count():
    return Counting()


def test_what_is_in_memory_is_handed_on():
    assert spooled(ROWS) is ROWS


@pytest.mark.parametrize("max_bytes", [0, ROWS.nbytes - 1, ROWS.nbytes])
def test_rows_are_computed_once(count, max_bytes):
    kept = spooled(count.lazy(), max_bytes=max_bytes)
    assert isinstance(kept, np.memmap) == (max_bytes < ROWS.nbytes)
    assert kept.dtype == ROWS.dtype
    for _ in range(2):
        np.testing.assert_array_equal(kept, ROWS)
    assert (count.reads == 1).all()


def test_rows_come_in_slices(count, monkeypatch):
    monkeypatch.setattr(
        "skldos.data.spool.iter_slices", lambda a: (a[i : i + 7] for i in (0, 7, 14))
    )
    np.testing.assert_array_equal(spooled(count.lazy(), max_bytes=0), ROWS)
    assert (count.reads == 1).all()


def test_the_file_has_no_name_and_vanishes(count, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kept = spooled(count.lazy(), max_bytes=0)
    assert list(tmp_path.iterdir()) == []
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs Linux to see the open files")

    def is_mapped():
        return str(tmp_path) in Path("/proc/self/maps").read_text()

    assert is_mapped()
    part = kept[3:5].reshape(2, 2)
    del kept
    gc.collect()
    assert is_mapped()  # a view holds it
    np.testing.assert_array_equal(part, ROWS[3:5])
    n_open = len(os.listdir("/proc/self/fd"))
    del part
    gc.collect()
    assert not is_mapped()
    assert len(os.listdir("/proc/self/fd")) <= n_open


def test_a_file_of_an_array_is_read(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    kept = spooled(ArrayFile(tmp_path / "rows.npy"))
    assert type(kept) is np.ndarray
    np.testing.assert_array_equal(kept, ROWS)


def test_a_spooled_array_can_be_pickled(count):
    kept = spooled(count.lazy(), max_bytes=0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kept)), ROWS)


def test_nothing_is_spooled_as_nothing():
    empty = ComputedArray(lambda start, stop: ROWS[start:stop], (0, 2), np.float32)
    assert spooled(empty, max_bytes=0).shape == (0, 2)


def test_no_room_is_an_error(count, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skldos.data.files.allocate", full)
    with pytest.raises(OSError, match="No space left"):
        spooled(count.lazy(), max_bytes=0)
    assert not count.reads.any()


@pytest.mark.parametrize(("factor", "mapped"), [(1 / 3, True), (3, False)])
def test_the_usual_limit_can_be_changed(count, monkeypatch, factor, mapped):
    monkeypatch.setattr("skldos.data.spool.SPOOL_BYTES", factor * ROWS.nbytes)
    assert isinstance(spooled(count.lazy()), np.memmap) == mapped


class ReachedError(Exception):
    pass


def stop(*arguments):
    raise ReachedError(*arguments)


@pytest.mark.parametrize(("n", "mapped"), [(2**30, False), (2**30 + 1, True)])
def test_up_to_a_gibibyte_is_kept_in_memory(n, mapped, monkeypatch):
    # Nothing is written: memory that is not touched is not used.
    monkeypatch.setattr("skldos.data.spool.mapped", stop)
    slices = (stop("filled") for _ in range(1))
    with pytest.raises(ReachedError) as reached:
        spooled(ComputedArray(stop, (n, 1), np.uint8), slices=slices)
    assert ("filled" in reached.value.args) != mapped
