"""Array files equal the stored arrays, and read nothing until indexed."""

import os
import pickle
import tracemalloc
import warnings

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed

from skldos import ArrayFile
from skldos.data import array_file
from skldos.data.array_file import write_array_file
from skldos.data.files import atomic_array
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


def save_header(path, shape, data=b""):
    with open(path, "wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(data)


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
        (lambda path: np.save(path, np.float64(3)), r"can have the shape \(\)"),
        (lambda path: save_header(path, (-2, 3)), r"the shape \(-2, 3\)"),
        (lambda path: save_header(path, (0, 10**9, 10**9, 10)), "can have the shape"),
        (lambda path: save_header(path, (2**70,)), "can have the shape"),
        (lambda path: save_header(path, (3,), b"x" * 25), "needs 152 bytes, got 153"),
        (lambda path: save_header(path, (3,), b"x" * 9999), "too long for a list of checksums"),
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


# -------------------------------------------------------------------- checksums and values


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 64 bytes, eight numbers each, so that small arrays have many."""
    for module in ("array_file", "checksums"):
        monkeypatch.setattr(f"skldos.data.{module}.CHUNK_BYTES", 64)


@pytest.fixture
def written(array, tmp_path, small_chunks):
    """A file of 72 numbers with its nine checksums."""
    write_array_file(tmp_path / "array.npy", array.shape, array.dtype, [array[:2], array[2:]])
    return ArrayFile(tmp_path / "array.npy")


def change(path, position):
    """Flip a bit of the data of a file, without changing its modification time."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[128 + position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("key", [slice(None), slice(1, 4), 2, -1, slice(3, 3), (slice(4), 0)])
def test_what_was_written_is_read(written, array, key):
    for _ in range(2):
        np.testing.assert_array_equal(written[key], array[key], strict=True)
    np.testing.assert_array_equal(np.load(written.path), array)
    np.testing.assert_array_equal(written.memmap(), array)
    np.testing.assert_array_equal(written.verify()[key], array[key])


def test_every_flipped_bit_is_found_by_whoever_reads_it(written, array):
    for position in range(0, array.nbytes, 7):
        change(written.path, position)
        file = ArrayFile(written.path)
        row = position // 96  # bytes of a row
        with pytest.raises(FileFormatError, match=r"do not match the checksum.*array\.npy"):
            file[row]
        with pytest.raises(FileFormatError, match="do not match"):
            file.verify()
        change(written.path, position)
    np.testing.assert_array_equal(ArrayFile(written.path)[:], array)


def test_zeros_are_found(written):
    written.path.write_bytes(written.path.read_bytes()[:128] + bytes(576 + 16 + 72))
    with pytest.raises(FileFormatError, match="list of checksums"):
        ArrayFile(written.path)


def test_damage_elsewhere_does_not_matter(written, array):
    change(written.path, 500)
    np.testing.assert_array_equal(ArrayFile(written.path)[:4], array[:4])


def test_a_chunk_is_verified_once(written, array, monkeypatch):
    verified = []
    real = array_file.checksum
    monkeypatch.setattr(array_file, "checksum", lambda data: verified.append(1) or real(data))
    for _ in range(3):
        written[1]  # bytes 96 to 192: two chunks
    assert len(verified) == 2
    written[:3]
    assert len(verified) == 5
    written.verify()
    assert len(verified) == 9
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(written))[:], array)
    assert len(verified) == 18  # of the other process nothing is known


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e31, -3e30])
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
def test_absurd_numbers_are_refused(tmp_path, small_chunks, wrong, dtype):
    array = np.zeros((9, 5), dtype)
    array[7, 2] = wrong
    np.save(tmp_path / "array.npy", array)
    file = ArrayFile(tmp_path / "array.npy")
    assert not file[:4].any()
    for read in (lambda: file[7], lambda: np.asarray(file), file.verify):
        with pytest.raises(FileFormatError, match=r"bytes \d+ to \d+ of the data hold NaN"):
            read()


@pytest.mark.parametrize("large", [3e29, -9e29])
def test_large_numbers_are_read(tmp_path, large):
    np.save(tmp_path / "array.npy", np.full(3, large))
    assert ArrayFile(tmp_path / "array.npy")[1] == large


def test_line_ends_that_were_translated_are_noticed(tmp_path, rng):
    path = tmp_path / "array.npy"
    for save in (np.save, lambda path, a: write_array_file(path, a.shape, a.dtype, [a])):
        save(path, rng.random(999))
        content = path.read_bytes()
        header, data = content[:128], content[128:]
        path.write_bytes(header + data.replace(b"\n", b"\r\n"))
        with pytest.raises(FileFormatError, match=r"needs 8120 bytes, got \d+"):
            ArrayFile(path)


@pytest.mark.parametrize("cut", [1, 8, 20, 40])
def test_every_truncation_is_noticed(written, cut):
    os.truncate(written.path, written.path.stat().st_size - cut)
    with pytest.raises(FileFormatError, match=r"checksums|truncated"):
        ArrayFile(written.path)


def test_arrays_filled_in_any_order_have_checksums(tmp_path, small_chunks, array):
    with atomic_array(tmp_path / "array.npy", array.shape, array.dtype) as filled:
        filled[::-1] = array[::-1]
    file = ArrayFile(tmp_path / "array.npy")
    assert file.label == ""
    np.testing.assert_array_equal(file[:], array)
    change(file.path, 100)
    with pytest.raises(FileFormatError, match="do not match"):
        ArrayFile(file.path)[:]


def test_labels_and_digests(tmp_path, array, file):
    assert (file.label, file.digest) == (None, None)
    digests = set()
    for label, content in (("a", array), ("b", array), ("a", array + 1)):
        digest = write_array_file(tmp_path / "x.npy", array.shape, array.dtype, [content], label)
        written = ArrayFile(tmp_path / "x.npy")
        assert (written.label, written.digest) == (label, digest)
        digests.add(digest)
    assert len(digests) == 3


@pytest.mark.parametrize("slices", [[(2, 3)], [(4, 3), (1, 3)], [(4, 2)], [], [(2, 3), (2, 2)]])
def test_slices_that_do_not_make_up_the_array_leave_nothing(tmp_path, slices):
    with pytest.raises(ValueError, match=r"make up an array of shape \(4, 3\), got"):
        write_array_file(tmp_path / "x.npy", (4, 3), float, [np.zeros(s) for s in slices])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_every_version_of_the_format_is_read(version, tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    with open(tmp_path / "a.npy", "wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that older versions of NumPy cannot read it
        np.lib.format.write_array(file, array, version=version)
    np.testing.assert_array_equal(ArrayFile(tmp_path / "a.npy")[:], array)
