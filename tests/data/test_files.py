"""Files appear complete or not at all; a full disk is an error, not the end of the process."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from skldos.data import files
from tests.disks import largest_file, mounted_disk


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_file_appears_when_it_is_complete(tmp_path, mode):
    path = tmp_path / "notes"
    for text in ("first", "é"):
        before = path.read_text(encoding="utf-8") if path.exists() else None
        with files.atomic_file(path, mode) as file:
            file.write(text if mode == "w" else text.encode())
            file.flush()
            assert (path.read_text(encoding="utf-8") if path.exists() else None) == before
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_what_fails_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "notes"
    path.write_text("old")
    for half_written in (files.atomic_file(path), files.atomic_array(path, (3,), float)):
        with pytest.raises(error), half_written:
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_data_and_names_are_synchronised_in_that_order(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def recorded(*arguments, name=name, real=real):
            calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(os, name, recorded)
    with files.atomic_file(tmp_path / "notes") as file:
        file.write(b"x")
    assert calls == ["fsync", "replace", "fsync"]


def test_links_are_followed_and_devices_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "notes")
    with files.atomic_file(tmp_path / "link", "w") as file:
        file.write("x")
    assert (tmp_path / "there" / "notes").read_text() == "x"
    assert (tmp_path / "link").is_symlink()
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space left"), files.atomic_file("/dev/full") as file:
            file.write(b"x")
        assert not Path("/dev/full").is_file()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    missing = tmp_path / "no_such"
    message = r"there is no folder .*no_such to write notes"
    with pytest.raises(FileNotFoundError, match=message), files.atomic_file(missing / "notes", "w"):
        pass
    assert not missing.exists()


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError), files.atomic_file(tmp_path):
        pass


def test_long_names_leave_room(tmp_path):
    path = tmp_path / ("é" * 120)
    with files.atomic_file(path, "w") as file:
        file.write("x")
    assert path.read_text() == "x"


@pytest.mark.parametrize("shape", [(4, 3), (7,), (), (0, 3), (2, 0)])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "|u1"])
def test_an_array_is_an_ordinary_npy_file(tmp_path, shape, dtype, rng):
    expected = np.asarray(100 * rng.random(shape), dtype)
    with files.atomic_array(tmp_path / "a.npy", shape, dtype) as array:
        assert not np.asarray(array).any()
        array[...] = expected
        assert not (tmp_path / "a.npy").exists()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected, strict=True)
    assert len(list(tmp_path.iterdir())) == 1


def without_fallocate(monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")


def with_a_file_system_that_cannot(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)


@pytest.mark.parametrize(
    "prepare", [lambda _: None, without_fallocate, with_a_file_system_that_cannot]
)
@pytest.mark.parametrize("size", [1, 5000, 10001])
def test_space_is_really_reserved(tmp_path, monkeypatch, prepare, size):
    prepare(monkeypatch)
    monkeypatch.setattr(files, "ZERO_BYTES", 4096)
    with open(tmp_path / "scratch", "w+b") as file:
        file.write(b"abc")
        files.allocate(file, size)
        assert file.tell() == 3
        stat = os.fstat(file.fileno())
        assert stat.st_size == max(size, 3)
        assert 512 * stat.st_blocks >= size
        file.seek(0)
        content = file.read()
    assert content == b"abc" + bytes(max(size - 3, 0))


@pytest.mark.parametrize("prepare", [lambda _: None, without_fallocate])
def test_no_room_for_an_array_is_an_error_that_leaves_nothing(tmp_path, monkeypatch, prepare):
    prepare(monkeypatch)
    with largest_file(2**16):
        with files.atomic_array(tmp_path / "a.npy", (2**13 // 3,), float) as array:
            array[:] = 1
        for factor in (3, 10**6, 10**30):
            with (
                pytest.raises(OSError, match="large"),
                files.atomic_array(tmp_path / "b.npy", (factor, 2**13), float),
            ):
                pytest.fail("the body must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.fixture
def small_disk(tmp_path):
    with mounted_disk(tmp_path / "disk", "1m") as disk:
        yield disk


def test_a_full_disk_is_an_error(small_disk):
    with files.atomic_array(small_disk / "a.npy", (2**19,), np.uint8) as array:
        array[:] = 1
    for _ in range(2):  # the first failure must have given back all that it took
        with (
            pytest.raises(OSError, match="No space left"),
            files.atomic_array(small_disk / "b.npy", (2**20,), np.uint8),
        ):
            pytest.fail("the body must not run")
        with (
            pytest.raises(OSError, match="No space left"),
            files.atomic_file(small_disk / "c") as file,
        ):
            file.write(bytes(2**20))
        assert [path.name for path in small_disk.iterdir()] == ["a.npy"]
        assert shutil.disk_usage(small_disk).free >= 2**19 - 2**14


WRITER = """
import sys
from skldos.data.files import atomic_file
for n in range(10**9):
    with atomic_file(sys.argv[1], "w") as file:
        for _ in range(50):
            file.write(sys.argv[2] * 100)
            file.flush()
"""


def test_writers_that_are_killed_leave_whole_files(tmp_path):
    path = tmp_path / "notes"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, letter]) for letter in "ab"]
    try:
        while not path.exists():
            time.sleep(0.01)
        for _ in range(100):
            text = path.read_text()
            assert text in ("a" * 5000, "b" * 5000)
            time.sleep(0.002)
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
    assert path.read_text() in ("a" * 5000, "b" * 5000)
    assert {p.suffix for p in tmp_path.iterdir() if p != path} <= {".partial"}


def test_zeros_are_written_in_pieces(tmp_path, monkeypatch):
    without_fallocate(monkeypatch)
    written = []

    class Recorded(io.FileIO):
        def write(self, data):
            written.append(len(data))
            return super().write(data)

    with Recorded(tmp_path / "scratch", "w+b") as file:
        files.allocate(file, 9 * 2**20)
    assert sum(written) == 9 * 2**20
    assert max(written) <= 2**23  # what is in memory at once


def test_maps_begin_behind_what_was_written_and_have_their_space(tmp_path):
    with open(tmp_path / "scratch", "w+b") as file:
        file.write(b"abcd")  # in the buffer
        array = files.mapped(file, (2, 2**12), "<i4")
        assert 512 * os.fstat(file.fileno()).st_blocks >= array.nbytes
        array[:] = 1
        array.flush()
    assert (tmp_path / "scratch").read_bytes() == b"abcd" + 2**13 * b"\x01\0\0\0"


def test_what_is_synchronised_was_written(tmp_path, monkeypatch):
    sizes = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda n: sizes.append(os.fstat(n).st_size) or fsync(n))
    with files.atomic_file(tmp_path / "notes") as file:
        file.write(b"in the buffer")
    assert sizes[0] == 13


@pytest.mark.parametrize(
    ("number", "matters"),
    [(errno.EINVAL, False), (errno.EBADF, False), (errno.EOPNOTSUPP, False), (errno.EIO, True)],
)
def test_folders_that_cannot_be_synchronised(number, matters, tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no") if matters else nullcontext():
        files.sync_folder(tmp_path)


@pytest.mark.skipif(files.fcntl is None, reason="needs locks")
@pytest.mark.parametrize("number", [None, errno.ENOLCK, errno.EWOULDBLOCK])
def test_locks_that_are_not_supported(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, "no")  # BlockingIOError, for the last

    if number is None:
        monkeypatch.setattr(files, "fcntl", None)
    else:
        monkeypatch.setattr(files.fcntl, "flock", refuse)
    if number == errno.EWOULDBLOCK:
        with pytest.raises(BlockingIOError), files.locked(tmp_path / "lock"):
            pytest.fail("the body must not run")
        return
    with files.locked(tmp_path / "lock"), files.staging_folder(tmp_path) as stage:
        # No lock tells that it is in use: its age decides.
        assert not (stage / files.LOCK_FILE).exists()
        files.remove_abandoned(tmp_path)
        assert stage.exists()
    assert not stage.exists()


def test_a_folder_that_is_in_use_is_locked(tmp_path):
    if files.fcntl is None:
        pytest.skip("needs locks")
    with files.staging_folder(tmp_path) as stage:
        assert (stage / files.LOCK_FILE).exists()
        os.utime(stage, (0, 0))
        files.remove_abandoned(tmp_path)
        assert stage.exists()
        shutil.rmtree(stage)  # is no harm


def test_leftovers_are_removed_after_a_day(tmp_path):
    now = time.time()
    for hours in (23, 25):
        folder, file = tmp_path / f"folder{hours}.partial", tmp_path / f"file{hours}.partial"
        folder.mkdir()
        (folder / "a").write_text("")
        file.write_text("")
        for path in (folder, file):
            os.utime(path, (now - 3600 * hours,) * 2)
    (tmp_path / "other").write_text("")
    os.utime(tmp_path / "other", (0, 0))
    files.remove_abandoned(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"folder23.partial", "file23.partial", "other"}
