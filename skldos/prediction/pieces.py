"""Predicted rows of large blocks, slice by slice, on any number of workers.

The unit of work is a slice of :data:`SLICE_ROWS` rows of one snapshot. A task is a run of slices,
and sums over sites are the sums of slices, added in their order. Results are therefore bitwise
independent of the number of workers.
"""

from itertools import chain

from joblib import effective_n_jobs

from skldos.data import LazyArray, as_rows
from skldos.workers import in_order, n_workers, results_of

#: Number of rows predicted at once.
SLICE_ROWS = 8192
#: Largest number of slices of a task whose result is a sum: seconds of work, compared with
#: milliseconds to send it.
SLICES_PER_TASK = 8
#: Smallest number of tasks per worker; tasks have fewer slices if necessary.
TASKS_PER_WORKER = 4
#: Largest size in bytes of predictions that a task sends back.
TASK_BYTES = 2**25


def iter_sums(blocks, n_jobs=None):
    """Yield the sum over the rows of every block, in double precision.

    Lazy blocks are read, or computed, by the workers of joblib, whatever they are: processes,
    threads, dask or ray.
    """
    jobs = (_tasks(slice_sums, block, SLICES_PER_TASK, n_jobs) for block in blocks)
    for results in in_order(jobs, n_jobs):
        yield sum(chain.from_iterable(results))


def iter_rows(block, n_jobs=None):
    """Yield the rows of a block in order, some slices at a time.

    A lazy block is read, or computed, by the workers of joblib. Each holds at most
    :data:`TASK_BYTES` of results.
    """
    row_bytes = max(1, block.shape[1] * block.dtype.itemsize)
    yield from iter_pieces(list, block, row_bytes, n_jobs)


def iter_pieces(function, block, row_bytes, n_jobs=None):
    """Yield the results of a function for every slice of a block, in order; see :func:`iter_rows`.

    The function takes an iterable of slices, and returns a list of as many results, of `row_bytes`
    for each row.
    """
    most = TASK_BYTES // (row_bytes * SLICE_ROWS)
    tasks = _tasks(function, block, most, n_jobs)
    yield from chain.from_iterable(results_of(tasks, n_jobs))


def slice_sums(run):
    """Return the sum of every slice of a run."""
    return [rows.sum(axis=0, dtype=float) for rows in run]


class Run:
    """Consecutive slices of an array, not yet read; can be sent to another process.

    Parameters
    ----------
    rows : ndarray or LazyArray
        The array. Of one in memory only the rows of the run are kept.
    start, stop : int
        The first row, and the one after the last.
    step : int
        Rows of a slice.
    """

    def __init__(self, rows, start, stop, step):
        if not isinstance(rows, LazyArray):
            rows, start, stop = rows[start:stop], 0, stop - start
        self._rows, self._slices = rows, range(start, stop, step)

    def __iter__(self):
        stop, step = self._slices.stop, self._slices.step
        return (self._rows[start : min(start + step, stop)] for start in self._slices)


def _tasks(function, block, most, n_jobs):
    """Return calls of `function` for runs of slices, enough for all workers."""
    block = as_rows(block)
    n_tasks = TASKS_PER_WORKER * effective_n_jobs(n_workers(n_jobs))
    step = max(1, min(most, block.shape[0] // SLICE_ROWS // n_tasks)) * SLICE_ROWS
    starts = range(0, block.shape[0], step)
    return [
        (function, Run(block, start, min(start + step, block.shape[0]), SLICE_ROWS))
        for start in starts
    ]
