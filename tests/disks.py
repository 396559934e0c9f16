"""Disks that are full."""

import contextlib

import pytest

resource = pytest.importorskip("resource")
#: What writing says then; CPython turns the signal of a limit into an error.
NO_SPACE = r"[Ff]ile too large|No space"


@contextlib.contextmanager
def largest_file(n_bytes):
    """Limit the size of this process's files."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
