"""The number of threads of a transformer."""

import joblib

from skldos import workers


def check_n_jobs(n_jobs):
    """Raise an error unless `n_jobs` is None or a number of threads.

    Examples
    --------
    >>> check_n_jobs(-1)
    >>> check_n_jobs(0)
    Traceback (most recent call last):
    ...
    ValueError: n_jobs must be a number of threads, or negative for all; got 0.
    """
    workers.check_n_jobs(n_jobs, "threads")


def n_threads(n_jobs):
    """Return the number of threads for `n_jobs`; None leaves the choice to the library.

    Examples
    --------
    >>> n_threads(2), n_threads(None)
    (2, None)
    """
    return None if n_jobs is None else joblib.effective_n_jobs(n_jobs)
