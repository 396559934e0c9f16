"""Python processes that need not import the large libraries first.

A fresh interpreter spends some five seconds of CPU time on torch, scikit-learn and ase. These
processes are copies of one that has imported them, but nothing from skldos.
"""

import contextlib
import multiprocessing
import os
import sys
import traceback
import types
import warnings
from multiprocessing import forkserver
from unittest import mock

LIBRARIES = (
    "ase.build",
    "joblib",
    "numba",
    "pandas",
    "sklearn.pipeline",
    "skorch",
    "torch._dynamo",
)


def context():
    """Return a context of multiprocessing whose processes have imported the libraries."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(LIBRARIES))
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
        forkserver.ensure_running()
    return found


def start_python(code, *arguments, output):
    """Run code as ``python -W error -c`` would, and return the process.

    What it prints goes to the file `output`, line by line.
    """
    process = context().Process(target=_run, args=(code, [*map(str, arguments)], str(output)))
    process.start()
    return process


def _run(code, arguments, output):
    with open(output, "w", buffering=1, encoding="utf-8") as file:
        sys.argv = ["-c", *arguments]
        sys.modules["__main__"] = types.ModuleType("__main__")
        warnings.simplefilter("error")
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            try:
                exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
            except Exception:
                traceback.print_exc()
                sys.exit(1)
