"""Run tasks on any number of joblib workers, with results in order."""

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from skldos.validation import check_scalar


def check_n_jobs(n_jobs, unit="workers"):
    """Raise an error unless `n_jobs` is None, or a number of workers or threads.

    Examples
    --------
    >>> check_n_jobs(-1)
    >>> check_n_jobs(0)
    Traceback (most recent call last):
    ...
    ValueError: n_jobs must be a number of workers, or negative for all; got 0.
    """
    if n_jobs is not None and check_scalar("n_jobs", n_jobs, integer=True) == 0:
        raise ValueError(f"n_jobs must be a number of {unit}, or negative for all; got 0.")


def n_workers(n_jobs):
    """Return `n_jobs` after a check, or 1 for the default inside a task of joblib.

    A task that hands out tasks itself makes room in its process of dask for another one: the two
    would share its cores and its memory.
    """
    check_n_jobs(n_jobs)
    backend, _ = get_active_backend()
    return 1 if n_jobs is None and backend.nesting_level != 0 else n_jobs


def n_threads(n_jobs):
    """Return the number of threads for `n_jobs`; None leaves the choice to the library."""
    return None if n_jobs is None else effective_n_jobs(n_jobs)


def results_of(tasks, n_jobs=None, prefer=None):
    """Yield the results of some tasks in order; see :func:`in_order`.

    Examples
    --------
    >>> list(results_of([(abs, -1), (max, 2, 3)]))
    [1, 3]
    """
    for results in in_order([tasks], n_jobs, prefer):
        yield from results


def in_order(jobs, n_jobs=None, prefer=None):
    """Yield an iterator over the results of its tasks for every job; exhaust each iterator.

    A task is a tuple of a function and its arguments. With one worker, a job is not looked at
    before the one before it is done. `prefer` is what workers are, ``"threads"`` or
    ``"processes"``, unless :func:`joblib.parallel_config` says otherwise.

    Examples
    --------
    >>> [list(results) for results in in_order([[(abs, -1), (abs, 2)], [(abs, -3)]])]
    [[1, 2], [3]]
    """
    n_jobs = n_workers(n_jobs)
    if effective_n_jobs(n_jobs) == 1:
        for job in jobs:
            yield (function(*arguments) for function, *arguments in job)
        return
    # Jobs are created here, not in the threads that feed the workers.
    jobs = list(jobs)
    tasks = (delayed(function)(*arguments) for job in jobs for function, *arguments in job)
    parallel = Parallel(n_jobs=n_jobs, prefer=prefer, return_as="generator", batch_size=1)
    results = parallel(tasks)
    try:
        for job in jobs:
            yield (next(results) for _ in job)
    finally:
        results.close()
