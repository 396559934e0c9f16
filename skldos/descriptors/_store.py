"""Blocks on disk, each computed once."""

import os
import time
import warnings
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import joblib
import numpy as np

from skldos.data import ArrayFile
from skldos.exceptions import FileFormatError

#: Seconds after which an unfinished file is taken for that of a process that was killed.
ABANDONED_AFTER = 24 * 3600


class BlockStore:
    """A folder of ``.npy`` files named by the hash of what the blocks depend on.

    Unlike :class:`joblib.Memory` it writes a block while it is computed, chunk by chunk, and
    returns a lazy handle: neither writing nor reading needs the block in memory. Processes may
    share a folder; a file appears under its name only when it is complete. A folder that cannot
    be written, as on another machine than that of the fit, holds what it holds.

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
        self._writable = True  # as far as is known

    def find(self, key, shape, dtype):
        """Return the block under `key`; None if it is not there, or damaged.

        Parameters
        ----------
        key : str
            Name of the block.
        shape : tuple of int
            Its shape.
        dtype : numpy.dtype
            Its data type.

        Returns
        -------
        ArrayFile or None
            A handle.
        """
        if self.folder is None:
            return None
        try:
            file = ArrayFile(self._path(key))
        except (OSError, FileFormatError):
            return None
        return file if (file.shape, file.dtype) == (shape, dtype) else None

    def write(self, key, shape, dtype, chunks):
        """Write a block, in place of a damaged one if there is one, and return it.

        Parameters
        ----------
        key : str
            Name of the block.
        shape : tuple of int
            Its shape.
        dtype : numpy.dtype
            Its data type.
        chunks : iterator
            Yields ``(start, stop, rows)`` in order; untouched if nothing can be written.

        Returns
        -------
        ArrayFile or None
            A handle; None if there is no folder, or, with a warning, if it can't be written.
        """
        # Not by tempfile, whose files nobody else may read: folders are shared.
        temporary = self._open()
        if temporary is None:
            return None
        self._remove_abandoned()
        path = self._path(key)
        try:
            with open(temporary, "wb") as file:
                header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for _, _, rows in chunks:
                    np.ascontiguousarray(rows, dtype=dtype).tofile(file)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return ArrayFile(path)

    def _path(self, key):
        return self.folder / f"{key}.npy"

    def _open(self):
        """Make an empty file to write to; None if that is not possible."""
        if self.folder is None or not self._writable:
            return None
        temporary = self.folder / f"{uuid4().hex}.partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
        except (NotADirectoryError, FileExistsError):
            raise  # no folder at all, on any machine
        except OSError as error:
            warnings.warn(
                f"memory cannot be written: {error}; blocks that are not in {self.folder} are "
                "computed and not kept.",
                UserWarning,
                stacklevel=3,
            )
            self._writable = False
            return None
        return temporary

    def _remove_abandoned(self):
        for path in self.folder.glob("*.partial"):
            # Other processes may remove it at the same time, or not let this one.
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                    path.unlink()
