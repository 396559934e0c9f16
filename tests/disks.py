"""Disks that are full."""

import contextlib
import shutil
import subprocess

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


@contextlib.contextmanager
def mounted_disk(folder, size):
    """Mount a small file system such as ``size="64k"`` on a new folder; skip without the rights."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("a file system of its own needs the rights to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
