"""Compilation of functions for the CPU, the same for all of skldos."""

import warnings

import numba

# Sums may be reordered and contracted, as vectorisation requires; NaN and inf are respected.
FASTMATH = {"reassoc", "contract", "nsz"}


def compiled(function):
    """Compile a function with Numba when it is first called; without the global lock.

    The machine code is kept on disk, beside the module or in the user's cache directory. Where
    neither can be written, it is compiled anew in each process.

    Warns
    -----
    UserWarning
        Where that is so.
    """
    # Inlined calls: code that is read from the disk would otherwise be linked with other copies of
    # the functions it calls than code just compiled, and differ from it in the last bit.
    options = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH, "forceinline": True}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        warnings.warn(
            "the compiled code of skldos cannot be cached, so every process compiles it again, "
            "which takes about ten seconds per kernel: set the environment variable "
            "NUMBA_CACHE_DIR to a folder that can be written.",
            UserWarning,
            stacklevel=1,  # so that it is shown once
        )
        return numba.njit(**options)(function)
