"""Lazy handles of ``.npy`` files."""

import math
import os
from pathlib import Path
from tokenize import TokenError

import numpy as np

from skldos.data.lazy import LazyArray
from skldos.exceptions import FileFormatError


class ArrayFile(LazyArray):
    """A ``.npy`` file that is read when it is sliced, and only where it is sliced.

    The handle holds a path and the header, so it is cheap to copy, to pickle (for worker
    processes) and to hash (for caches: path, size and time of the last change, not the data).
    Slices of the first axis are read from the file, not memory-mapped, so that the memory of
    a process that streams through a large array stays bounded by one slice.

    Parameters
    ----------
    path : str or path-like
        A ``.npy`` file with an array of real numbers in C order. Files that hold pickled
        objects are refused: loading one would execute code.

    Attributes
    ----------
    path : pathlib.Path
        Absolute path of the file.
    shape : tuple of int
        Shape of the array.
    dtype : numpy.dtype
        Its data type.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is not ``.npy``, is truncated, holds anything but real numbers or is in
        Fortran order; on reading, if it was written anew since the handle was made.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from skldos import ArrayFile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/ldos.npy", np.arange(12.0).reshape(4, 3))
    ...     handle = ArrayFile(f"{folder}/ldos.npy")
    ...     handle.shape, handle[1:3].tolist()
    ((4, 3), [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
    """

    def __init__(self, path):
        self.path = Path(path).absolute()
        self.shape, self.dtype, self._offset, self._written = _read_header(self.path)

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        row_shape = self.shape[1:]
        row_size = math.prod(row_shape)
        count = (stop - start) * row_size
        with open(self.path, "rb") as file:
            if _written(file) != self._written:
                raise FileFormatError(
                    "the file changed since its handle was made; make a new ArrayFile", self.path
                )
            rows = np.fromfile(
                file,
                dtype=self.dtype,
                count=count,
                offset=self._offset + start * row_size * self.dtype.itemsize,
            )
        if rows.size != count:
            raise FileFormatError(
                f"the array promises {self.shape} of {self.dtype}, but the file ends within "
                f"rows {start} to {stop}",
                self.path,
            )
        return rows.reshape(stop - start, *row_shape)

    def memmap(self):
        """Return the array as a read-only :class:`numpy.memmap`, for access in any order."""
        return np.load(self.path, mmap_mode="r", allow_pickle=False)

    def __getstate__(self):
        # Size and time of change make hashes (joblib) follow the contents without reading them.
        stat = os.stat(self.path)
        return {"path": str(self.path), "size": stat.st_size, "changed": stat.st_mtime_ns}

    def __setstate__(self, state):
        self.__init__(state["path"])

    def __repr__(self):
        return f"ArrayFile({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"


def _written(file):
    """Return size and time of the last change of an open file."""
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns


def _read_header(path):
    """Return shape, dtype, position of the data and size and time of a ``.npy`` file."""
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran_order, dtype = read(file)
        except (ValueError, KeyError, SyntaxError, TokenError) as error:
            raise FileFormatError(f"not a .npy file that can be read: {error}", path) from error
        offset, written = file.tell(), _written(file)
    if dtype.hasobject:
        raise FileFormatError("the file holds pickled objects, expected numbers", path)
    if dtype.kind not in "fiub":
        raise FileFormatError(f"the file holds {dtype}, expected real numbers", path)
    if fortran_order and len(shape) > 1:
        raise FileFormatError("the array is in Fortran order, expected C order", path)
    expected = offset + math.prod(shape) * dtype.itemsize
    size, _ = written
    if size < expected:
        raise FileFormatError(
            f"the file is truncated: shape {shape} of {dtype} needs {expected} bytes, got {size}",
            path,
        )
    return shape, dtype, offset, written
