"""Blocks on disk, each computed once."""

import os
from pathlib import Path
from uuid import uuid4

import joblib
import numpy as np

from skldos.data import ArrayFile


class BlockStore:
    """A folder of ``.npy`` files named by the hash of what the blocks depend on.

    Unlike :class:`joblib.Memory` it writes a block while it is computed, chunk by chunk, and
    returns a lazy handle: neither writing nor reading needs the block in memory. Processes may
    share a folder; a file appears under its name only when it is complete.

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

    def __contains__(self, key):
        return self.folder is not None and self._path(key).exists()

    def get(self, key, shape, dtype, chunks):
        """Return the block under `key`, computing it if it is not there.

        Parameters
        ----------
        key : str
            Name of the block.
        shape : tuple of int
            Its shape.
        dtype : numpy.dtype
            Its data type.
        chunks : callable
            ``chunks()`` yields ``(start, stop, rows)`` in order.

        Returns
        -------
        ArrayFile or ndarray
            A handle; an array if the memory has no folder.
        """
        if self.folder is None:
            return np.concatenate([rows for _, _, rows in chunks()]).astype(dtype, copy=False)
        path = self._path(key)
        if not path.exists():
            self._write(path, shape, dtype, chunks)
        return ArrayFile(path)

    def _path(self, key):
        return self.folder / f"{key}.npy"

    def _write(self, path, shape, dtype, chunks):
        self.folder.mkdir(parents=True, exist_ok=True)
        # Not by tempfile, whose files nobody else may read: folders are shared.
        temporary = self.folder / f"{uuid4().hex}.partial"
        try:
            with open(temporary, "xb") as file:
                header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for _, _, rows in chunks():
                    np.ascontiguousarray(rows, dtype=dtype).tofile(file)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
