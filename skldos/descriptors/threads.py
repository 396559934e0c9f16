"""The number of threads of a transformer."""

import joblib

from skldos.validation import check_scalar


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
    if n_jobs is not None and check_scalar("n_jobs", n_jobs, integer=True) == 0:
        raise ValueError("n_jobs must be a number of threads, or negative for all; got 0.")


def n_threads(n_jobs):
    """Return the number of threads for `n_jobs`; None leaves the choice to the library.

    Examples
    --------
    >>> n_threads(2), n_threads(None)
    (2, None)
    """
    return None if n_jobs is None else joblib.effective_n_jobs(n_jobs)
