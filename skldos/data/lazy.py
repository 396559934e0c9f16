"""Arrays that exist only where they are looked at."""

import math

import numpy as np

#: Target size of one slice of a streamed array, in bytes.
SLICE_BYTES = 2**24


class LazyArray:
    """Base of arrays that are read, or computed, slice by slice.

    A subclass sets `shape` and `dtype` and implements ``read(start, stop)``, which returns
    rows of the first axis. Indexing the first axis by an integer or a slice reads just those
    rows; everything else (``numpy.asarray``, fancy indices) reads the whole array.
    """

    shape = ()
    dtype = np.dtype(float)

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        raise TypeError(f"{type(self).__name__} does not implement read().")

    @property
    def ndim(self):
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self):
        """Size of the whole array in bytes, were it in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        first, *rest = key if isinstance(key, tuple) and key else (key,)
        if isinstance(first, slice):
            rows = self._read_slice(*first.indices(len(self)))
            return rows[:, *rest] if rest else rows
        if isinstance(first, (int, np.integer)) and not isinstance(first, bool):
            row = first + len(self) if first < 0 else first
            if not 0 <= row < len(self):
                raise IndexError(f"index {first} is out of bounds for axis 0 with size {len(self)}")
            # All in one step, as numpy does: an integer before index arrays acts as one of them.
            return self.read(int(row), int(row) + 1)[0, *rest]
        return np.asarray(self)[key]

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(f"{type(self).__name__} has to be read: it can't avoid a copy.")
        array = self.read(0, len(self))
        return array if dtype is None else array.astype(dtype, copy=False)

    def _read_slice(self, start, stop, step):
        """Return the rows of a slice, reading no others than those between its ends."""
        if step == 1:
            return self.read(start, max(start, stop))
        chosen = range(start, stop, step)
        if not chosen:
            return self.read(0, 0)
        return self.read(min(chosen), max(chosen) + 1)[::step]

    def reshape_rows(self):
        """Return the array as ``(n_rows, n_columns)``, all leading axes joined, still lazy."""
        return self if self.ndim == 2 else _Rows(self)

    def map(self, function, n_columns=None, dtype=None):
        """Return the lazy array of ``function(rows)``, for a function that works row by row."""
        return _Mapped(self, function, n_columns, dtype)


class ComputedArray(LazyArray):
    """A lazy array whose rows are computed by ``function(start, stop)`` when they are needed."""

    def __init__(self, function, shape, dtype):
        self._function = function
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        return self._function(start, stop)


class _Mapped(LazyArray):
    """The rows of `source` under a function that works row by row."""

    def __init__(self, source, function, n_columns, dtype):
        self._source = source
        self._function = function
        columns = source.shape[1:] if n_columns is None else (n_columns,)
        self.shape = (source.shape[0], *columns)
        self.dtype = np.dtype(source.dtype if dtype is None else dtype)

    def read(self, start, stop):
        return self._function(self._source.read(start, stop))


class _Rows(LazyArray):
    """A lazy array with all axes but the last joined into one."""

    def __init__(self, source):
        self._source = source
        self._per_slab = math.prod(source.shape[1:-1])
        self.shape = (source.shape[0] * self._per_slab, source.shape[-1])
        self.dtype = source.dtype

    def read(self, start, stop):
        # Read whole slabs of the first axis and cut the rows at both ends.
        first, last = start // self._per_slab, -(-stop // self._per_slab)
        rows = self._source.read(first, last).reshape(-1, self.shape[-1])
        skip = start - first * self._per_slab
        return rows[skip : skip + stop - start]


def as_rows(array):
    """Return `array` as ``(n_rows, n_columns)`` with all leading axes joined, lazy if it was.

    Examples
    --------
    >>> as_rows(np.zeros((2, 3, 4, 5))).shape
    (24, 5)
    """
    if isinstance(array, LazyArray):
        return array.reshape_rows()
    array = np.asarray(array)
    return array.reshape(-1, array.shape[-1])


def iter_slices(array, max_bytes=SLICE_BYTES):
    """Yield consecutive slices of the first axis of `array`, each about `max_bytes` large.

    Examples
    --------
    >>> [rows.shape for rows in iter_slices(np.zeros((5, 2)), max_bytes=32)]
    [(2, 2), (2, 2), (1, 2)]
    """
    n_rows = array.shape[0]
    row_bytes = max(1, math.prod(array.shape[1:]) * np.dtype(array.dtype).itemsize)
    step = max(1, max_bytes // row_bytes)
    for start in range(0, n_rows, step):
        yield array[start : min(start + step, n_rows)]


def sum_rows(array):
    """Return the sum over all axes but the last, in double precision and slice by slice.

    Examples
    --------
    >>> sum_rows(np.ones((2, 3, 4, 5), dtype=np.float32))
    array([24., 24., 24., 24., 24.])
    """
    rows = as_rows(array)
    total = np.zeros(rows.shape[1])
    for part in iter_slices(rows):
        total += part.sum(axis=0, dtype=float)
    return total
