"""Blocks on disk, each computed once."""

import os
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path

import joblib

from skldos.data import ArrayFile
from skldos.data.array_file import write_array_file
from skldos.data.files import staging_folder
from skldos.exceptions import FileFormatError

#: Blocks up to this size are verified when they are found.
VERIFY_BYTES = 2**26


class BlockStore:
    """A folder of ``.npy`` files named by the hash of everything the block depends on.

    A damaged block counts as missing. Blocks of up to :data:`VERIFY_BYTES` are verified when they
    are found. Reading a larger one only for this would take noticeable time, so its chunks are
    verified when they are first read, and a damaged chunk is an error.

    Unlike :class:`joblib.Memory`, the store writes a block chunk by chunk while it is computed, and
    returns a lazy handle: neither writing nor reading needs the whole block in memory. Processes
    may share a folder; a file appears under its name only when it is complete. A read-only folder,
    for example on another machine, is only read.

    Parameters
    ----------
    memory : str, path-like or joblib.Memory
        The folder, or a memory whose folder is used.
    """

    def __init__(self, memory):
        if isinstance(memory, joblib.Memory):
            memory = memory.location
        elif not isinstance(memory, (str, os.PathLike)):
            raise TypeError(
                f"memory must be a folder or a joblib.Memory, got {type(memory).__name__}."
            )
        self.folder = None if memory is None else Path(memory) / "skldos-blocks"
        self._writable = True  # until a write fails

    def find(self, key, shape, dtype):
        """Return a handle of the block under `key`; None if it is missing or damaged."""
        if self.folder is None:
            return None
        try:
            file = ArrayFile(self._path(key))
            if file.nbytes <= VERIFY_BYTES:
                file.verify()
        except (OSError, FileFormatError):
            return None
        # The label detects a block under the name of another one.
        same = (file.shape, file.dtype, file.label) == (shape, dtype, key)
        return file if same else None

    def write(self, key, shape, dtype, chunks):
        """Write a block, replacing a damaged one, and return a handle of it.

        `chunks` yields ``(start, stop, rows)`` in order, and is untouched if nothing can be
        written. Without a folder, or, with a warning, where the block cannot be written, the result
        is None. If another process has written the same block in the meantime, that one is
        returned.
        """
        with self._stage() as stage:
            if stage is None:
                return None
            block = stage / "block.npy"
            write_array_file(block, shape, dtype, (rows for _, _, rows in chunks), label=key)
            return self._publish(block, key, shape, dtype)

    def _publish(self, block, key, shape, dtype):
        """Name a complete file; keep that of a faster process, to which handles already lead."""
        path = self._path(key)
        try:
            os.link(block, path)
        except OSError:  # the name is taken, or the file system has no links
            existing = self.find(key, shape, dtype)
            if existing is not None:
                return existing
            os.replace(block, path)
        return ArrayFile(path)

    def _path(self, key):
        return self.folder / f"{key}.npy"

    @contextmanager
    def _stage(self):
        """Create a folder to write to; None if that is not possible."""
        with ExitStack() as stack:
            stage = None
            if self.folder is not None and self._writable:
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    stage = stack.enter_context(staging_folder(self.folder))
                except (NotADirectoryError, FileExistsError):
                    raise  # no folder at all, on any machine
                except OSError as error:
                    warnings.warn(
                        f"memory cannot be written: {error}; blocks that are not in {self.folder} "
                        "are computed and not kept.",
                        UserWarning,
                        stacklevel=5,
                    )
                    self._writable = False
            yield stage
