"""Lazy handles of ``.npy`` files."""

import math
import os
from pathlib import Path
from tokenize import TokenError

import numpy as np

from skldos.data.checksums import CHUNK_BYTES, Checksums, checksum, parse_trailer
from skldos.data.files import atomic_file, file_state, write_npy_header
from skldos.data.lazy import LazyArray
from skldos.data.ranges import LARGEST
from skldos.exceptions import FileFormatError

#: A trailer of checksums takes at most this fraction of the data, and these bytes.
TRAILER_PER_BYTE, TRAILER_BYTES = 8 / CHUNK_BYTES, 2**12


class ArrayFile(LazyArray):
    """A ``.npy`` file whose slices are read from disk when you index it.

    The handle holds a path and the header, so it is cheap to copy, to pickle (for worker
    processes) and to hash (for caches: path, size and time of the last change, not the data).
    Slices of the first axis are read from the file, not memory-mapped, so a process that
    streams through a large array never needs memory for more than one slice.

    Files that skldos writes carry checksums behind the data, one per 256 KiB. A handle verifies
    each such chunk when it first reads it, and makes sure that its numbers are finite. Reading
    it again costs nothing extra.

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
    label : str or None
        Description given when the file was written; None if it has no checksums.
    digest : int or None
        A fingerprint of the contents; None if the file has no checksums.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is not ``.npy``, is not exactly as long as its header says, holds anything
        but real numbers, has no axis or is in Fortran order. On reading, if the file has
        changed since the handle was made, does not match its checksums, or holds NaN,
        infinities or numbers beyond ±10³⁰.

    Notes
    -----
    CPU time on one core of a server, in seconds per GiB of float32: reading from the page cache
    0.18, searching for NaN and absurd numbers 0.14, comparing checksums 0.12. Each handle pays
    the last two once. Summing the numbers takes longer, and training far longer.

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
        with open(self.path, "rb") as file:
            self.shape, self.dtype = _read_header(file, self.path)
            self._offset, self._written = file.tell(), _written(file)
            self._sums, self.label, self.digest = self._read_trailer(file)
        self._checked = np.zeros(-(-self.nbytes // CHUNK_BYTES), bool)

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        data = self._read_bytes(start * row_bytes, stop * row_bytes)
        return data.view(self.dtype).reshape(stop - start, *self.shape[1:])

    def read_joined(self, start, stop):
        """Return rows `start` to `stop` of the array with all axes but the last joined."""
        row_bytes = self.shape[-1] * self.dtype.itemsize
        data = self._read_bytes(start * row_bytes, stop * row_bytes)
        return data.view(self.dtype).reshape(stop - start, self.shape[-1])

    def verify(self):
        """Read the whole file once, and raise an error if it is damaged.

        Returns
        -------
        self
            The handle, which then reads without further checks.

        Raises
        ------
        FileFormatError
            If the data do not match the checksums, or are not finite.
        """
        for begin in range(0, self.nbytes, CHUNK_BYTES):
            if not self._checked[begin // CHUNK_BYTES]:
                self._read_bytes(begin, min(begin + CHUNK_BYTES, self.nbytes))
        return self

    def memmap(self):
        """Return the array as a read-only :class:`numpy.memmap`, for access in any order.

        Reading through the map checks nothing; call :meth:`verify` first if that matters.
        """
        return np.load(self.path, mmap_mode="r", allow_pickle=False)

    def _read_bytes(self, begin, end):
        """Return bytes `begin` to `end` of the data; check every chunk they touch."""
        chunks = range(
            begin // CHUNK_BYTES, -(-end // CHUNK_BYTES) if end > begin else begin // CHUNK_BYTES
        )
        first, last = begin, end
        if not self._checked[chunks.start : chunks.stop].all():
            # A checksum needs the whole chunk, even if only part of it was requested.
            first, last = chunks.start * CHUNK_BYTES, min(chunks.stop * CHUNK_BYTES, self.nbytes)
        with open(self.path, "rb") as file:
            if _written(file) != self._written:
                raise FileFormatError(
                    "the file changed since its handle was made; make a new ArrayFile", self.path
                )
            data = np.fromfile(file, np.uint8, last - first, offset=self._offset + first)
        if len(data) != last - first:
            raise FileFormatError(
                f"the array promises {self.shape} of {self.dtype}, but the file ends early",
                self.path,
            )
        for i in chunks:
            if not self._checked[i]:
                self._check_chunk(i, data[i * CHUNK_BYTES - first : (i + 1) * CHUNK_BYTES - first])
        return data[begin - first : end - first]

    def _check_chunk(self, i, data):
        where = f"bytes {i * CHUNK_BYTES} to {i * CHUNK_BYTES + len(data)} of the data"
        if self._sums is not None and checksum(data) != self._sums[i]:
            raise FileFormatError(
                f"{where} do not match the checksum that was written with them; the file is "
                "damaged",
                self.path,
            )
        if self.dtype.kind == "f":
            numbers = data.view(self.dtype)
            # Written so that NaN, which minimum and maximum propagate, is rejected as well.
            if not (float(numbers.min()) >= -LARGEST and float(numbers.max()) <= LARGEST):
                raise FileFormatError(
                    f"{where} hold NaN, infinities or numbers beyond ±{LARGEST:g}", self.path
                )
        self._checked[i] = True

    def _read_trailer(self, file):
        """Return checksums, label and digest, None each if nothing follows the data."""
        end, (size, _) = self._offset + self.nbytes, self._written
        if size == end:
            return None, None, None
        if size < end:
            raise FileFormatError(
                f"the file is truncated: shape {self.shape} of {self.dtype} needs {end} bytes, "
                f"got {size}",
                self.path,
            )
        try:
            if size - end > TRAILER_BYTES + TRAILER_PER_BYTE * self.nbytes:
                raise ValueError("too long for a list of checksums")
            file.seek(0)
            header = file.read(self._offset)
            file.seek(end)
            return parse_trailer(file.read(), header, self.nbytes)
        except ValueError as error:
            raise FileFormatError(
                f"shape {self.shape} of {self.dtype} needs {end} bytes, got {size}; the bytes "
                f"after the data are no checksums: {error}",
                self.path,
            ) from error

    def __getstate__(self):
        return file_state(self.path)

    def __setstate__(self, state):
        self.__init__(state["path"])

    def __repr__(self):
        return f"ArrayFile({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"


def write_array_file(path, shape, dtype, slices, label=""):
    """Write a ``.npy`` file with checksums, slice by slice; it appears when it is complete.

    The slices are consecutive parts of the first axis, which must add up to the shape. Return the
    digest of the contents, :attr:`ArrayFile.digest`; the file keeps a `label`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/a.npy"
    ...     digest = write_array_file(path, (2, 3), float, [np.ones((1, 3)), np.zeros((1, 3))])
    ...     ArrayFile(path)[:].tolist(), ArrayFile(path).digest == digest
    ([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], True)
    """
    shape, dtype = tuple(shape), np.dtype(dtype)
    sums, n_rows = Checksums(), 0
    with atomic_file(path, "w+b") as file:
        write_npy_header(file, shape, dtype)
        file.seek(0)
        header = file.read()
        for rows in slices:
            rows = np.ascontiguousarray(rows, dtype=dtype)
            n_rows += len(rows)
            if rows.shape[1:] != shape[1:] or n_rows > shape[0]:
                break
            sums.update(rows)
            # tofile() would report a full disk without its reason.
            file.write(rows.reshape(-1).view(np.uint8))
        if n_rows != shape[0] or (n_rows and rows.shape[1:] != shape[1:]):
            raise ValueError(
                f"the slices must make up an array of shape {shape}, got {n_rows} row(s) of "
                f"{rows.shape[1:] if n_rows else 'nothing'}."
            )
        trailer = sums.trailer(header, label)
        file.write(trailer)
    return parse_trailer(trailer, header, math.prod(shape) * dtype.itemsize)[2]


def _written(file):
    """Return size and time of the last change of an open file."""
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns


def _read_header(file, path):
    """Return shape and data type of a ``.npy`` file, and move to the start of its data."""
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read(file)
    except (
        *(ValueError, KeyError, SyntaxError, TokenError, TypeError, Warning),
        *(RecursionError, MemoryError, OverflowError),
    ) as error:
        raise FileFormatError(f"not a .npy file that can be read: {error}", path) from error
    if dtype.hasobject:
        raise FileFormatError("the file holds pickled objects, expected numbers", path)
    if dtype.kind not in "fiub":
        raise FileFormatError(f"the file holds {dtype}, expected real numbers", path)
    if fortran_order and len(shape) > 1:
        raise FileFormatError("the array is in Fortran order, expected C order", path)
    # The header of an empty array can contain impossible lengths.
    positive = math.prod(n for n in shape if n) * dtype.itemsize
    if not shape or min(shape) < 0 or positive > np.iinfo(np.intp).max or len(shape) > 32:
        raise FileFormatError(f"no array can have the shape {shape} of {dtype}", path)
    return shape, dtype
