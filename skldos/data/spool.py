"""Lazy arrays that are read more than once, kept in memory or in a temporary file."""

import tempfile

import numpy as np

from skldos.data.files import mapped
from skldos.data.lazy import LazyArray, fill, iter_slices

#: Arrays up to this many bytes are kept in memory.
SPOOL_BYTES = 2**30


def spooled(array, max_bytes=None, slices=None):
    """Return an array whose rows are computed or read only once.

    Parameters
    ----------
    array : ndarray or LazyArray
        The array to be read more than once.
    max_bytes : int, default=SPOOL_BYTES
        A larger lazy array goes to a temporary file.
    slices : iterable of ndarray, optional
        Consecutive slices of a lazy array, if it is read or computed elsewhere.

    Returns
    -------
    ndarray
        `array` itself if it was in memory; else a copy, or a memory map of an unnamed temporary
        file, which disappears with the last reference to it.

    Raises
    ------
    OSError
        If the folder for temporary files is full; set ``TMPDIR`` to another one.

    Examples
    --------
    >>> from skldos.data import ComputedArray
    >>> rows = ComputedArray(lambda start, stop: np.arange(start, stop)[:, None], (5, 1), int)
    >>> spooled(rows)[:, 0]
    array([0, 1, 2, 3, 4])
    """
    if not isinstance(array, LazyArray):
        return array
    if array.nbytes <= (SPOOL_BYTES if max_bytes is None else max_bytes):
        buffer = np.empty(array.shape, array.dtype)
    else:
        with tempfile.TemporaryFile() as file:
            buffer = mapped(file, array.shape, array.dtype)
    fill(buffer, iter_slices(array) if slices is None else slices)
    return buffer
