"""Compiled functions for the CPU: how they are compiled, and run in threads."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numba
from numba.extending import register_jitable

from skldos.validation import check_scalar

# Sums may be reordered and contracted, as vectorisation requires; NaN and inf are respected.
FASTMATH = {"reassoc", "contract", "nsz"}
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH}


def compiled(function):
    """Compile a function with Numba when it is first called; without the global lock.

    The machine code is kept on disk, beside the module or in the user's cache directory. Where
    neither can be written, it is compiled anew in each process.

    Warns
    -----
    UserWarning
        Where that is so.
    """
    try:
        return numba.njit(cache=True, no_cfunc_wrapper=True, **OPTIONS)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        warnings.warn(
            "the compiled code of skldos cannot be cached, so every process compiles it again, "
            "which takes about ten seconds per kernel: set the environment variable "
            "NUMBA_CACHE_DIR to a folder that can be written.",
            UserWarning,
            stacklevel=1,  # so that it is shown once
        )
        return numba.njit(no_cfunc_wrapper=True, **OPTIONS)(function)


def inlined(function):
    """Let compiled functions call a function, which becomes a part of each of them.

    So code from the disk equals code just compiled to the last bit: it is not linked with other
    copies of what it calls. Such a function must not allocate, since its arrays are not counted as
    references: in a short loop, this would take longer than the arithmetic. Called from Python, it
    is an ordinary function.
    """
    unused = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return register_jitable(forceinline=True, _nrt=False, **unused, **OPTIONS)(function)


def check_threads(n_threads):
    """Return a checked number of threads; None stands for as many as Numba would use."""
    if n_threads is None:
        # Read from the environment, which joblib sets in its workers. Asking Numba would start its
        # thread pool, after which processes can no longer be forked safely.
        return numba.config.NUMBA_NUM_THREADS
    return check_scalar("n_threads", n_threads, low=1, integer=True)


def in_threads(function, items, n_threads):
    """Yield the results of a function for a sequence of items in order, computed in threads.

    These are Python threads rather than Numba's: compiled functions release the lock, and Python
    threads also work in forked workers and in threads of the caller.
    """
    n_threads = check_threads(n_threads)
    if n_threads == 1 or len(items) <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(min(n_threads, len(items))) as pool:
        yield from pool.map(function, items)
