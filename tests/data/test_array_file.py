"""Array files equal the arrays in them, and cost nothing until they are read."""

import os
import pickle
import tracemalloc

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed

from skldos import ArrayFile
from skldos.exceptions import FileFormatError


@pytest.fixture
def array(rng):
    return rng.random((6, 4, 3))


@pytest.fixture
def file(array, tmp_path):
    np.save(tmp_path / "array.npy", array)
    return ArrayFile(tmp_path / "array.npy")


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(1, 4),
        slice(-2, None),
        slice(2, 2),
        slice(5, 1),
        slice(4, 99),
        slice(None, None, 2),
        slice(None, None, -1),
        0,
        -1,
        [4, 1],
        np.array([True, False] * 3),
        (slice(1, 3), 2),
        (..., 0),
    ],
    ids=str,
)
def test_slices_equal_those_of_numpy(file, array, key):
    np.testing.assert_array_equal(file[key], array[key], strict=True)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i8", "|u1"])
@pytest.mark.parametrize("shape", [(7,), (7, 2), (2, 3, 4, 5), (0, 3), (3, 0)])
def test_any_dtype_and_shape(tmp_path, rng, dtype, shape):
    array = (100 * rng.random(shape)).astype(dtype)
    np.save(tmp_path / "array.npy", array)
    file = ArrayFile(tmp_path / "array.npy")
    assert (file.shape, file.dtype, file.ndim) == (shape, np.dtype(dtype), len(shape))
    assert (file.size, file.nbytes, len(file)) == (array.size, array.nbytes, shape[0])
    np.testing.assert_array_equal(np.asarray(file), array, strict=True)
    np.testing.assert_array_equal(file[1:], array[1:])
    if array.size:
        np.testing.assert_array_equal(file.memmap(), array)


def test_conversion_to_another_dtype(file, array):
    assert np.asarray(file, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.asarray(file, copy=False)


def test_the_memmap_cannot_be_written(file):
    with pytest.raises(ValueError, match="read-only"):
        file.memmap()[0] = 0


def test_slices_are_copies(file, array):
    file[:2][:] = 0
    np.testing.assert_array_equal(file[:], array)


def test_the_size_of_a_pickle_does_not_depend_on_the_data(tmp_path):
    sizes = []
    for n in (10, 100_000):
        np.save(tmp_path / f"{n:06d}.npy", np.zeros(n))
        sizes.append(len(pickle.dumps(ArrayFile(tmp_path / f"{n:06d}.npy"))))
    assert max(sizes) < 500
    assert abs(sizes[1] - sizes[0]) < 10


def test_a_pickled_handle_reads_the_same_array(file, array, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = pickle.dumps(ArrayFile("array.npy"))
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(pickle.loads(relative)[:], array)
    sums = Parallel(n_jobs=2)(delayed(np.sum)(handle) for handle in (file, file))
    np.testing.assert_allclose(sums, array.sum())


def test_the_hash_follows_the_contents_of_the_file(file, array):
    before = joblib.hash(file)
    assert (
        joblib.hash(ArrayFile(file.path)) == before == joblib.hash(pickle.loads(pickle.dumps(file)))
    )
    np.save(file.path, array + 1)
    os.utime(file.path, ns=(1, 1))
    assert joblib.hash(file) != before


def test_streaming_holds_one_slice_at_a_time(tmp_path):
    array = np.zeros((100, 10_000))
    np.save(tmp_path / "large.npy", array)
    file = ArrayFile(tmp_path / "large.npy")
    tracemalloc.start()
    try:
        for i in range(100):
            file[i : i + 1].sum()
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 10
    finally:
        tracemalloc.stop()


def save_objects(path):
    np.save(path, np.array([{}, None]), allow_pickle=True)


def save_fortran(path):
    np.save(path, np.asfortranarray(np.zeros((3, 4))))


def save_truncated(path):
    np.save(path, np.zeros((30, 4)))
    os.truncate(path, 500)


def save_structured(path):
    np.save(path, np.zeros(3, dtype=[("x", float), ("y", int)]))


def save_damaged_header(path):
    np.save(path, np.zeros((30, 4)))
    content = bytearray(path.read_bytes())
    content[20:60] = 40 * b"("
    path.write_bytes(content)


def save_half_a_header(path):
    np.save(path, np.zeros((30, 4)))
    os.truncate(path, 40)


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (save_objects, "pickled objects"),
        (save_fortran, "Fortran order, expected C order"),
        (save_truncated, r"truncated: shape \(30, 4\) of float64 needs \d+ bytes, got 500"),
        (save_structured, r"holds \[\('x', .*, expected real numbers"),
        (lambda path: np.save(path, np.zeros(3, complex)), "holds complex128, expected real"),
        (lambda path: np.save(path, np.array(["a"])), "holds <U1, expected real"),
        (save_damaged_header, "not a .npy file"),
        (save_half_a_header, "not a .npy file"),
        (lambda path: path.write_bytes(b"PK\x03\x04 a zip file"), "not a .npy file"),
        (lambda path: path.write_bytes(b""), "not a .npy file"),
    ],
)
def test_files_that_are_not_arrays_are_named(tmp_path, save, message):
    path = tmp_path / "damaged.npy"
    save(path)
    with pytest.raises(FileFormatError, match=f"{message}.*damaged.npy"):
        ArrayFile(path)


def test_one_dimensional_fortran_order_is_c_order(tmp_path):
    path = tmp_path / "vector.npy"
    with open(path, "wb") as stream:
        header = {"descr": "<f8", "fortran_order": True, "shape": (3,)}
        np.lib.format.write_array_header_1_0(stream, header)
        np.arange(3.0).tofile(stream)
    np.testing.assert_array_equal(ArrayFile(path)[:], [0, 1, 2])


def test_a_file_that_changes_later_is_named(file, array):
    message = r"changed since its handle was made.*array.npy"
    os.utime(file.path, ns=(1, 1))
    with pytest.raises(FileFormatError, match=message):
        file[1:2]
    np.save(file.path, array[::-1, :2])
    with pytest.raises(FileFormatError, match=message):
        file[:]
    np.testing.assert_array_equal(ArrayFile(file.path)[:], array[::-1, :2])
    os.truncate(file.path, 300)
    with pytest.raises(FileFormatError, match=message):
        file[:]


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.npy"):
        ArrayFile(tmp_path / "missing.npy")


def test_read_only_files_and_folders_can_be_read(file, array):
    file.path.chmod(0o444)
    file.path.parent.chmod(0o555)
    try:
        np.testing.assert_array_equal(ArrayFile(file.path)[:], array)
        joblib.hash(file)
    finally:
        file.path.parent.chmod(0o755)


def test_file_errors_survive_pickling(tmp_path):
    error = FileFormatError("damaged", tmp_path / "x.json", 7)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert (copy.path, copy.line) == (tmp_path / "x.json", 7)
