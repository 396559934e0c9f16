"""The one way in which skldos compiles functions for the CPU."""

import numba

# Sums may be reordered and contracted, which vectorising needs; NaN and inf keep their meaning.
FASTMATH = {"reassoc", "contract", "nsz"}


def compiled(function):
    """Compile a function with Numba when it is first called; without the global lock.

    The machine code is kept on disk, beside the module or in the user's cache directory. Where
    neither can be written, it is compiled anew in each process.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(**options)(function)
