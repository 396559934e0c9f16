"""Lazy arrays equal the arrays, slice by slice."""

import types

import numpy as np
import pytest

from skldos import ArrayFile
from skldos.data import ComputedArray, LazyArray, SlicedArray, as_rows, iter_slices, sum_rows


@pytest.fixture
def array(rng):
    return rng.random((5, 3, 2, 4))


class Sliced(SlicedArray):
    """An array of another library, which only knows slices."""

    def __init__(self, array):
        super().__init__(types.SimpleNamespace(shape=array.shape, dtype=array.dtype))
        self.array = array


@pytest.fixture
def lazy(array):
    return ComputedArray(lambda start, stop: array[start:stop], array.shape, array.dtype)


def test_computed_arrays_compute_what_is_asked_for(array):
    asked = []

    def rows(start, stop):
        asked.append((start, stop))
        return array[start:stop]

    lazy = ComputedArray(rows, array.shape, array.dtype)
    np.testing.assert_array_equal(lazy[1:3], array[1:3])
    np.testing.assert_array_equal(lazy[-1:], array[-1:])
    assert asked == [(1, 3), (4, 5)]
    np.testing.assert_array_equal(np.asarray(lazy), array)
    assert (lazy.ndim, lazy.size, lazy.nbytes, len(lazy)) == (4, 120, 960, 5)


KEYS = [
    (0, 1),
    (-2, 1),
    (np.int64(3), 1),
    ((0, 0, 0), 1),
    ((-1, ..., 2), 1),
    ((2, slice(None), [0, 1], [1, 2]), 1),
    ((2, [0, 1], slice(None), [1, 2]), 1),
    ((slice(1, 2), 0), 1),
    ((slice(1, 3), [0, 2], ..., None), 2),
    (slice(1, 4, 2), 3),
    (slice(3, 0, -2), 3),
    (slice(0, 0, 2), 0),
]


@pytest.mark.parametrize(("key", "n_rows"), KEYS, ids=str)
def test_only_the_rows_of_the_key_are_read(key, n_rows, array):
    asked = []

    def rows(start, stop):
        asked.append(stop - start)
        return array[start:stop]

    lazy = ComputedArray(rows, array.shape, array.dtype)
    np.testing.assert_array_equal(lazy[key], array[key], strict=True)
    assert asked == [n_rows]


def test_iteration_ends_and_indices_have_bounds(lazy, array):
    np.testing.assert_array_equal(list(lazy), array)
    for key in (5, -6, (5, 0)):
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 5"):
            lazy[key]


@pytest.mark.parametrize("kind", ["computed", "sliced"])
def test_every_range_of_joined_rows(array, lazy, kind):
    rows, expected = as_rows(lazy if kind == "computed" else Sliced(array)), array.reshape(-1, 4)
    assert isinstance(rows, LazyArray)
    assert rows.shape == expected.shape
    for start in range(31):
        for stop in range(start, 31):
            np.testing.assert_array_equal(rows[start:stop], expected[start:stop], strict=True)


def test_rows_of_files_are_read_where_they_are(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    rows = as_rows(ArrayFile(tmp_path / "a.npy"))
    np.testing.assert_array_equal(rows[4:17], array.reshape(-1, 4)[4:17])
    assert as_rows(rows) is rows


def test_rows_of_arrays_are_views(array):
    assert np.shares_memory(as_rows(array), array)


def test_map_applies_row_by_row(lazy, array):
    weights = np.ones((4, 2), dtype=np.float32)
    mapped = as_rows(lazy).map(lambda rows: (rows @ weights).astype(np.float32), 2, np.float32)
    assert (mapped.shape, mapped.dtype) == ((30, 2), np.float32)
    np.testing.assert_allclose(mapped[3:9], array.reshape(-1, 4)[3:9] @ weights, rtol=1e-6)
    np.testing.assert_array_equal(lazy.map(np.negative)[1:], -array[1:])


@pytest.mark.parametrize("max_bytes", [1, 100, 10**6])
def test_slices_cover_the_array_once(array, lazy, max_bytes):
    for source in (array, lazy):
        parts = list(iter_slices(source, max_bytes))
        np.testing.assert_array_equal(np.concatenate(parts), array)
        assert all(part.nbytes <= max(max_bytes, array[0].nbytes) for part in parts)


@pytest.mark.parametrize("max_bytes", [1, 50, 192, 250, 400, 10**4])
def test_joined_rows_are_read_once(array, tmp_path, max_bytes, monkeypatch):
    # A slab has 192 bytes, a line 64, a row 32.
    np.save(tmp_path / "a.npy", array)
    read = []
    monkeypatch.setattr("skldos.data.array_file.CHUNK_BYTES", 8)
    file = ArrayFile(tmp_path / "a.npy")
    read_bytes = file._read_bytes
    monkeypatch.setattr(file, "_read_bytes", lambda a, b: read.append(b - a) or read_bytes(a, b))

    class Sliced:
        shape, dtype = array.shape, array.dtype

        def __getitem__(self, key):
            read.append(array[key].nbytes)
            return array[key]

    for source, most in ((file, 1), (SlicedArray(Sliced()), 1 if max_bytes >= 64 else 2)):
        parts = list(iter_slices(as_rows(source), max_bytes))
        np.testing.assert_array_equal(np.concatenate(parts), array.reshape(-1, 4))
        assert array.nbytes <= sum(read) <= most * array.nbytes, source
        assert all(part.nbytes <= max(max_bytes, 32) for part in parts)
        read.clear()


def test_a_vector_is_one_row():
    lazy = ComputedArray(lambda start, stop: np.arange(start, stop), (3,), int)
    for vector in (np.arange(3), lazy):
        np.testing.assert_array_equal(as_rows(vector), [[0, 1, 2]])


def test_a_subclass_must_read():
    with pytest.raises(TypeError, match="does not implement read"):
        LazyArray().read(0, 1)


def test_sums_of_nested_lists_and_of_slices(array, lazy, monkeypatch):
    expected = array.sum(axis=(0, 1, 2))
    monkeypatch.setattr("skldos.data.lazy.SLICE_BYTES", 2 * array[0].nbytes)
    assert [len(rows) for rows in iter_slices(lazy)] == [2, 2, 1]
    for same in (array, array.tolist(), lazy, array.reshape(-1, 4), lazy.reshape_rows()):
        np.testing.assert_allclose(sum_rows(same), expected, rtol=1e-14)


def test_slices_have_whole_rows_and_a_largest_size():
    large = np.broadcast_to(0.0, (40, 2**17))
    slices = list(iter_slices(large))
    assert sum(map(len, slices)) == 40
    assert max(rows.nbytes for rows in slices) <= 2**24  # 16 MiB, as documented
    small = np.zeros((10, 1), np.uint8)
    assert [len(rows) for rows in iter_slices(small, 4)] == [4, 4, 2]
    computed = ComputedArray(lambda start, stop: small[start:stop], small.shape, small.dtype)
    assert [len(rows) for rows in iter_slices(computed, 3)] == [3, 3, 3, 1]
    assert [len(rows) for rows in iter_slices(computed, 3, 2, 7)] == [3, 2]


def test_sums_of_single_precision_are_in_double():
    rows = np.array([[2**24], [1], [1]], dtype=np.float32)
    assert sum_rows(rows).tolist() == [2**24 + 2]


def test_whole_arrays_have_the_type_that_was_asked_for(lazy, array):
    found = np.asarray(lazy, dtype=np.float32)
    np.testing.assert_array_equal(found, array.astype(np.float32), strict=True)
    assert np.asarray(lazy).dtype == float
    with pytest.raises(ValueError, match="can't avoid a copy"):
        np.array(lazy, copy=False)
