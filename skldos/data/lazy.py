"""Arrays that are read or computed slice by slice, when they are indexed."""

import math
import operator

import numpy as np

#: Target size of one slice of a streamed array, in bytes.
SLICE_BYTES = 2**24


class LazyArray:
    """Base class of arrays that are read or computed slice by slice.

    A subclass sets `shape` and `dtype` and implements ``read(start, stop)``, which returns
    rows of the first axis. Indexing the first axis by an integer or a slice reads just those
    rows; everything else (``numpy.asarray``, fancy indices) reads the whole array.
    """

    shape = ()
    dtype = np.dtype(float)
    #: Number of rows read at once; slices are most efficient if they begin at a multiple of it.
    rows_together = 1

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        raise TypeError(f"{type(self).__name__} does not implement read().")

    def read_joined(self, start, stop):
        """Return rows `start` to `stop` of the array with all axes but the last joined.

        By default, whole slabs of the first axis are read and cut at both ends.
        """
        slab = math.prod(self.shape[1:-1])
        first, last = start // slab, -(-stop // slab)
        rows = self.read(first, last).reshape(-1, self.shape[-1])
        return rows[start - first * slab :][: stop - start]

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
        """Size of the whole array in memory, in bytes."""
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
            # Index all axes at once, as numpy does: an integer before index arrays acts as one of
            # them.
            return self.read(int(row), int(row) + 1)[0, *rest]
        return np.asarray(self)[key]

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(f"{type(self).__name__} has to be read: it can't avoid a copy.")
        return np.asarray(self.read(0, len(self)), dtype)

    def _read_slice(self, start, stop, step):
        """Return the rows of a slice, reading only rows between its ends."""
        if step == 1:
            return self.read(start, max(start, stop))
        indices = range(start, stop, step)
        if not indices:
            return self.read(0, 0)
        return self.read(min(indices), max(indices) + 1)[::step]

    def reshape_rows(self):
        """Return the array as ``(n_rows, n_columns)``, all leading axes joined, still lazy."""
        if self.ndim == 1:
            return np.asarray(self)[None]
        return self if self.ndim == 2 else _Rows(self)

    def map(self, function, n_columns=None, dtype=None):
        """Return the lazy array of ``function(rows)``, for a function that works row by row."""
        return _Mapped(self, function, n_columns, dtype)


class ComputedArray(LazyArray):
    """A lazy array whose rows are computed when they are needed.

    Parameters
    ----------
    function : callable
        ``function(start, stop)`` returns the rows of that slice as an ndarray.
    shape : tuple of int
        Shape of the whole array.
    dtype : dtype
        Data type of the array.

    Examples
    --------
    >>> ComputedArray(lambda start, stop: np.arange(start, stop) ** 2, (9,), int)[2:4]
    array([4, 9])
    """

    def __init__(self, function, shape, dtype):
        self._function = function
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        return self._function(start, stop)


class SlicedArray(LazyArray):
    """A lazy array around a sliceable array of another library: h5py, zarr or dask.

    It can be pickled if the other array can; an open h5py file cannot.

    Parameters
    ----------
    array : object with ``shape``, ``dtype`` and slicing
        The other array, read by ``numpy.asarray(array[start:stop])``.

    Attributes
    ----------
    array : object
        As the parameter.

    Examples
    --------
    >>> SlicedArray(np.arange(6).reshape(3, 2))[1:]
    array([[2, 3],
           [4, 5]])
    """

    def __init__(self, array):
        self.array = array
        self.shape = tuple(operator.index(n) for n in array.shape)
        self.dtype = np.dtype(array.dtype)

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        return np.asarray(self.array[start:stop])

    def read_joined(self, start, stop):
        """Return rows of the array with all axes but the last joined, from parts of one slab."""
        slab, line = math.prod(self.shape[1:-1]), math.prod(self.shape[2:-1])
        i = start // slab
        if self.ndim < 4 or start >= stop or stop > (i + 1) * slab:
            return super().read_joined(start, stop)
        first, last = (start - i * slab) // line, -(-(stop - i * slab) // line)
        rows = np.asarray(self.array[i, first:last]).reshape(-1, self.shape[-1])
        return rows[start - i * slab - first * line :][: stop - start]

    def __repr__(self):
        return f"SlicedArray({self.array!r})"


class _Mapped(LazyArray):
    """The result of applying a function that works row by row to the rows of `source`."""

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
        self.rows_together = math.prod(source.shape[1:-1])
        self.shape = (source.shape[0] * self.rows_together, source.shape[-1])
        self.dtype = source.dtype

    def read(self, start, stop):
        return self._source.read_joined(start, stop)


def as_lazy(array):
    """Return `array` as an ndarray if it is in memory, else as a :class:`LazyArray`.

    An object with ``shape``, ``dtype`` and slicing that is not a NumPy array, such as an h5py
    data set or an array of zarr or dask, is read slice by slice.

    Parameters
    ----------
    array : array-like
        An array of any library, or nested sequences of numbers.

    Returns
    -------
    ndarray or LazyArray

    Examples
    --------
    >>> as_lazy([[1.0, 2.0]]).shape
    (1, 2)
    """
    if isinstance(array, (LazyArray, np.ndarray)):
        return array
    if is_sliced(array):
        try:
            return SlicedArray(array)
        except TypeError:  # types or shapes that NumPy does not support, such as those of torch
            pass
    return np.asanyarray(array)


def is_sliced(array):
    """Return whether `array` is of another library and has ``shape``, ``dtype`` and slicing.

    Examples
    --------
    >>> is_sliced([1.0, 2.0]), is_sliced(np.float64(1.0))
    (False, False)
    """
    if isinstance(array, (LazyArray, np.ndarray, np.generic)) or hasattr(array, "iloc"):
        return False
    return all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__"))


def as_rows(array):
    """Return `array` as ``(n_rows, n_columns)`` with all leading axes joined, lazy if it was.

    Examples
    --------
    >>> as_rows(np.zeros((2, 3, 4, 5))).shape
    (24, 5)
    """
    array = as_lazy(array)
    if isinstance(array, LazyArray):
        return array.reshape_rows()
    array = np.asarray(array)
    return array.reshape(-1, array.shape[-1])


def iter_slices(array, max_bytes=None, start=0, stop=None):
    """Yield consecutive slices of the first axis of `array`, each about `max_bytes` large.

    The default is 16 MiB. A slice is at least one row. `start` and `stop` are the first row and the
    one after the last, by default those of the whole array.

    Examples
    --------
    >>> [rows.shape for rows in iter_slices(np.zeros((5, 2)), max_bytes=32)]
    [(2, 2), (2, 2), (1, 2)]
    """
    array = as_lazy(array)
    stop = array.shape[0] if stop is None else stop
    row_bytes = max(1, math.prod(array.shape[1:]) * np.dtype(array.dtype).itemsize)
    step = max(1, (SLICE_BYTES if max_bytes is None else max_bytes) // row_bytes)
    together = getattr(array, "rows_together", 1)
    if step > together:
        step -= step % max(1, together)  # otherwise both ends of a slice would be read twice
    for first in range(start, stop, step):
        yield array[first : min(first + step, stop)]


def fill(array, slices):
    """Write consecutive slices to the first axis of `array`.

    Examples
    --------
    >>> array = np.zeros(3)
    >>> fill(array, [[1, 2], [3]])
    >>> array
    array([1., 2., 3.])
    """
    start = 0
    for rows in slices:
        array[start : start + len(rows)] = rows
        start += len(rows)


def sum_rows(array):
    """Return the sum over all axes but the last, in double precision and slice by slice.

    Examples
    --------
    >>> sum_rows(np.ones((2, 3, 4, 5), dtype=np.float32))
    array([24., 24., 24., 24., 24.])
    """
    array = as_lazy(array)
    total = np.zeros(array.shape[-1])
    for part in iter_slices(array):
        total += part.reshape(-1, len(total)).sum(axis=0, dtype=float)
    return total
