"""Files that appear complete or not at all, and large files whose disk space is reserved.

Every writer of the package goes through one of the functions here:

==========================================  ==================================================
what is written                             with
==========================================  ==================================================
a file from start to end                    ``with atomic_file(path) as file: file.write(…)``
a large ``.npy`` file in any order          ``with atomic_array(path, …) as array: array[i] = …``
several files that belong together          ``with staging_folder(folder) as stage: …``
files that only one process may write       ``with locked(path): …``
a scratch file that is mapped into memory   :func:`mapped`
==========================================  ==================================================
"""

import errno
import os
import shutil
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np

from skldos.data.checksums import Checksums

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: Bytes written at once where a file system cannot reserve space.
ZERO_BYTES = 2**22
#: Seconds after which a temporary file is assumed to belong to a killed process.
ABANDONED_AFTER = 24 * 3600
PARTIAL_SUFFIX = ".partial"
LOCK_FILE = "lock"


def allocate(file, size):
    """Make an open binary file `size` bytes long and reserve the disk space for all of them.

    Writing to a memory map of a *sparse* file on a full disk kills the process by SIGBUS. Call this
    first: a full disk, or a quota or limit, is then an ``OSError`` here, before any work is lost.
    Existing contents stay.
    """
    if size > np.iinfo(np.int64).max:
        raise OSError(errno.EFBIG, f"a file of {size} bytes is larger than any disk")
    file.flush()
    start = os.fstat(file.fileno()).st_size
    if size <= start:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(file.fileno(), start, size - start)
        except OSError as error:
            # Some C libraries do not emulate it if the file system does not support it.
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
    position = file.tell()
    file.seek(start)
    for begin in range(start, size, ZERO_BYTES):
        file.write(bytes(min(ZERO_BYTES, size - begin)))
    file.seek(position)  # which writes what is in the buffer


@contextmanager
def atomic_file(path, mode="wb"):
    """Open a new file that appears under `path` when it is complete and on the disk.

    It is written under a temporary name in the same folder, synchronised (``fsync``) and renamed in
    one step. Whatever stops the program, `path` holds either the old or the complete new contents;
    of several writers, the last to finish wins. If the body of the ``with`` statement fails, the
    temporary file is removed.

    A symbolic link is followed. A device or a pipe cannot be replaced and is written directly. The
    mode is ``"wb"``, ``"w+b"`` or ``"w"``, which writes UTF-8.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_file(f"{folder}/notes.txt", "w") as file:
    ...         _ = file.write("complete")
    ...     print(Path(f"{folder}/notes.txt").read_text())
    complete
    """
    path = Path(os.path.realpath(path))
    encoding = None if "b" in mode else "utf-8"
    if path.exists() and not path.is_file():
        with open(path, mode, encoding=encoding) as file:
            yield file
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to.")
    # Part of the original name shows where a file left by a killed process came from.
    temporary = path.with_name(f"{path.name[:32]}.{uuid4().hex}{PARTIAL_SUFFIX}")
    try:
        with open(temporary, mode.replace("w", "x"), encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


@contextmanager
def atomic_array(path, shape, dtype):
    """Make a new ``.npy`` file to be filled in any order; it appears when it is complete.

    The body of the ``with`` statement gets a map of zeros, in a file whose disk space is reserved;
    it must not be used afterwards. Without enough space for the whole array, an ``OSError`` is
    raised and nothing is left behind. Checksums follow the data, for :class:`~skldos.ArrayFile`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_array(f"{folder}/a.npy", (2, 3), np.float32) as array:
    ...         array[:, 1] = 1.0
    ...     print(np.load(f"{folder}/a.npy").tolist())
    [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    shape, dtype = tuple(int(n) for n in shape), np.dtype(dtype)
    with atomic_file(path, "w+b") as file:
        write_npy_header(file, shape, dtype)
        file.seek(0)
        header, array = file.read(), mapped(file, shape, dtype)
        yield array
        sums = Checksums()
        sums.update(array)
        file.seek(0, os.SEEK_END)
        file.write(sums.trailer(header))


def new_array(path, shape, dtype):
    """Return :func:`atomic_array` as a context, or that of an array in memory if `path` is None."""
    return nullcontext(np.empty(shape, dtype)) if path is None else atomic_array(path, shape, dtype)


@contextmanager
def staging_folder(folder):
    """Make a folder with a unique name inside `folder`, and remove it at the end in any case.

    Write files there, then move them to their final place. Folders that killed processes left
    behind are removed, see :func:`remove_abandoned`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with staging_folder(Path(folder)) as stage:
    ...         _ = (stage / "a").write_text("complete")
    ...         _ = (stage / "a").rename(f"{folder}/a")
    ...     os.listdir(folder)
    ['a']
    """
    remove_abandoned(folder)
    stage = folder / f"{uuid4().hex}{PARTIAL_SUFFIX}"
    stage.mkdir()
    try:
        with open(stage / "unlocked", "wb") as lock:
            if _lock(lock):
                # The folder gets its final name only after it is locked.
                os.replace(stage / "unlocked", stage / LOCK_FILE)
            yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def remove_abandoned(folder):
    """Remove files and folders that killed processes left in `folder`: ``*.partial``.

    The operating system drops the lock of a process when it ends, so an abandoned staging folder is
    recognised at once. Without locks, and for single files, an age of :data:`ABANDONED_AFTER`
    decides. Subfolders are left alone.
    """
    for path in folder.glob(f"*{PARTIAL_SUFFIX}"):
        # Another process may remove it at the same time, or this one may lack permission.
        with suppress(OSError):
            if path.is_dir() and (path / LOCK_FILE).exists():
                with open(path / LOCK_FILE, "rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error if it is held
                    shutil.rmtree(path)
            elif time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def locked(path):
    """Hold the lock of a file, which the operating system drops when the process ends.

    The file is created if necessary, and stays. If another process or thread holds the lock, a
    ``BlockingIOError`` is raised; never if the operating system or the file system does not support
    locks.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(f"{folder}/lock"):
    ...     try:
    ...         with locked(f"{folder}/lock"):
    ...             pass
    ...     except BlockingIOError:
    ...         print("held")
    held
    """
    with open(path, "ab") as lock:
        _lock(lock)
        yield


def _lock(file):
    """Lock an open file, and return whether locks are supported."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def mapped(file, shape, dtype):
    """Return a writable map of zeros at the end of an open binary file, with its space reserved.

    If there is not enough space, an ``OSError`` is raised. An empty array cannot be mapped and is
    an ordinary one.
    """
    dtype = np.dtype(dtype)
    n_bytes = dtype.itemsize
    for n in shape:  # exact, where a product of int64 would overflow
        n_bytes *= int(n)
    if n_bytes == 0:
        return np.empty(shape, dtype)
    file.flush()
    offset = os.fstat(file.fileno()).st_size
    allocate(file, offset + n_bytes)
    return np.memmap(file, dtype=dtype, mode="r+", offset=offset, shape=tuple(shape))


def write_npy_header(file, shape, dtype):
    """Write the header of a ``.npy`` file in C order to an open file."""
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": tuple(int(n) for n in shape),
    }
    np.lib.format.write_array_header_1_0(file, header)


def file_state(path):
    """Return what a handle of a file is pickled as.

    With size and modification time, hashes (joblib) change with the contents without reading them.
    """
    stat = os.stat(path)
    return {"path": str(path), "size": stat.st_size, "changed": stat.st_mtime_ns}


def sync_folder(folder):
    """Wait until the names in `folder` are on disk, if the system supports it."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows cannot open a folder
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # a folder may be writable and yet not readable
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not support it; the file itself is safe.
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)
