"""Lazy arrays that are read more than once: kept, in memory or in a file that vanishes."""

import tempfile

import numpy as np

from skldos.data.lazy import LazyArray, iter_slices

#: Arrays up to so many bytes are kept in memory.
SPOOL_BYTES = 2**30


def spooled(array, max_bytes=SPOOL_BYTES):
    """Return an array whose rows are computed or read only once.

    Parameters
    ----------
    array : ndarray or LazyArray
        What is to be read more than once.
    max_bytes : int
        A larger lazy array goes to a temporary file.

    Returns
    -------
    ndarray
        `array` itself if it was in memory; else a copy, or a memory map of a temporary file
        without a name, which goes with the last reference to it.

    Examples
    --------
    >>> from skldos.data import ComputedArray
    >>> rows = ComputedArray(lambda start, stop: np.arange(start, stop)[:, None], (5, 1), int)
    >>> spooled(rows)[:, 0]
    array([0, 1, 2, 3, 4])
    """
    if not isinstance(array, LazyArray):
        return array
    if array.nbytes <= max_bytes:
        kept = np.empty(array.shape, array.dtype)
    else:
        with tempfile.TemporaryFile() as file:
            kept = np.memmap(file, dtype=array.dtype, mode="w+", shape=array.shape)
    start = 0
    for rows in iter_slices(array):
        kept[start : start + len(rows)] = rows
        start += len(rows)
    return kept
