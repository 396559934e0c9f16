"""Arrays of other libraries are read slice by slice, never as a whole."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from ase.build import bulk

from skldos import EnergyGrid, Snapshot, SnapshotList
from skldos.data import (
    ComputedArray,
    LazyArray,
    SlicedArray,
    as_lazy,
    as_rows,
    is_blocks,
    iter_slices,
    lazy,
    spooled,
    sum_rows,
)

SHAPE = (12, 3, 2, 5)
LDOS = np.random.default_rng(0).random(SHAPE).astype(np.float32)
GRID = EnergyGrid(np.arange(5.0))


class Spy:
    """An array that returns at most two rows at once, and counts them."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.rows = []

    def __getitem__(self, key):
        assert isinstance(key, slice)
        rows = self._array[key]
        assert len(rows) <= 2, "too much at once"
        self.rows.append(len(rows))
        return rows

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("read as a whole")


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(lazy, "SLICE_BYTES", 2 * LDOS[0].nbytes)


@pytest.fixture
def spy():
    return Spy(LDOS)


def snapshot_of(ldos):
    return Snapshot(bulk("Al"), energies=GRID, ldos=ldos, n_electrons=3)


def test_a_snapshot_does_not_read(spy):
    snapshot = snapshot_of(spy)
    assert isinstance(snapshot.ldos, SlicedArray)
    assert snapshot.ldos.array is spy
    assert snapshot.grid_shape == SHAPE[:3]
    assert "ldos on disk" in repr(snapshot.replace(temperature=1.0))
    assert spy.rows == []
    assert Snapshot(bulk("Al"), density=Spy(LDOS[..., 0])).grid_shape == SHAPE[:3]


USES = {
    "dos": lambda spy, _: snapshot_of(spy).dos(),
    "save": lambda spy, folder: SnapshotList([snapshot_of(spy)]).save(folder / "set"),
    "sum": lambda spy, _: sum_rows(spy),
    "slices": lambda spy, _: list(iter_slices(spy)),
    "spool": lambda spy, _: spooled(as_lazy(spy)),
    "spool to disk": lambda spy, _: spooled(as_lazy(spy), max_bytes=0),
    "rows": lambda spy, _: list(iter_slices(as_rows(spy), max_bytes=LDOS[:2].nbytes)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_every_row_is_read_once(spy, tmp_path, use):
    use(spy, tmp_path)
    assert spy.rows == 6 * [2]


def h5py_array(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path / "a.h5", "w") as file:
        file.create_dataset("ldos", data=LDOS, chunks=(2, 3, 2, 5), compression="gzip")
    return h5py.File(path / "a.h5")["ldos"]


def zarr_array(path):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(path / "a.zarr", shape=SHAPE, chunks=(2, 3, 2, 5), dtype="f4")
    array[:] = LDOS
    return zarr.open_array(path / "a.zarr", mode="r")


def dask_array(path):
    return pytest.importorskip("dask.array").from_array(LDOS, chunks=(2, 3, 2, 5))


@pytest.fixture(params=[h5py_array, zarr_array, dask_array])
def foreign(request, tmp_path):
    array = request.param(tmp_path)
    yield array
    if hasattr(array, "file"):
        array.file.close()


@pytest.mark.parametrize(
    "key", [slice(None), slice(1, 3), 4, -1, slice(9, 2, -3), [3, 1], (slice(2), 0)], ids=str
)
def test_slices_equal_those_of_numpy(foreign, key):
    wrapped = as_lazy(foreign)
    assert isinstance(wrapped, SlicedArray)
    np.testing.assert_array_equal(wrapped[key], LDOS[key], strict=True)


def test_sums_and_rows_equal_those_of_numpy(foreign):
    np.testing.assert_allclose(sum_rows(foreign), LDOS.sum(axis=(0, 1, 2), dtype=float))
    rows = as_rows(foreign)
    assert isinstance(rows, LazyArray)
    np.testing.assert_array_equal(rows[5:17], LDOS.reshape(-1, 5)[5:17])
    np.testing.assert_allclose(
        snapshot_of(foreign).dos(), snapshot_of(LDOS).dos(), rtol=1e-14, atol=0
    )


def test_what_is_saved_comes_back(foreign, tmp_path):
    folder = SnapshotList([snapshot_of(foreign)]).save(tmp_path / "set")
    np.testing.assert_array_equal(SnapshotList.load(folder)[0].ldos[:], LDOS, strict=True)


def test_arrays_that_can_be_pickled_stay_so(tmp_path):
    array = zarr_array(tmp_path)
    copy = pickle.loads(pickle.dumps(snapshot_of(array)))
    np.testing.assert_array_equal(copy.ldos[2:4], LDOS[2:4])
    with h5py_array(tmp_path).file as file, pytest.raises(TypeError, match="h5py"):
        pickle.dumps(snapshot_of(file["ldos"]))


def test_they_are_blocks(spy):
    assert is_blocks([Spy(LDOS[0, 0]), spy])
    assert not is_blocks([Spy(LDOS[0, 0, 0])])


IN_MEMORY = [[[1.0, 2.0]], (1, 2), 3.0, np.float32(3), torch.ones(3), pd.Series([1.0]), LDOS]


@pytest.mark.parametrize(
    "array", [*IN_MEMORY, memoryview(b"a")], ids=lambda array: type(array).__name__
)
def test_what_is_in_memory_becomes_an_array(array):
    assert type(as_lazy(array)) is np.ndarray


def test_lazy_arrays_stay_what_they_are():
    computed = ComputedArray(lambda start, stop: LDOS[start:stop], SHAPE, "f4")
    assert as_lazy(computed) is computed
    memmap = np.memmap.__new__(np.memmap, __file__, mode="r", shape=3)
    assert as_lazy(memmap) is memmap
