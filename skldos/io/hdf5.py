"""Opening HDF5 files, which some builds of pw.x and MALA write."""

from pathlib import Path

from skldos.exceptions import FileFormatError


def open_hdf5(path):
    """Open an HDF5 file for reading; return the ``h5py.File``.

    A :class:`FileFormatError` is raised if the file is not HDF5, or is truncated, an
    ``ImportError`` if h5py is not installed.
    """
    path = Path(path)
    try:
        import h5py  # optional: most files are of other kinds
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs h5py; install it with `pip install skldos[io]`."
        ) from error
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FileFormatError(f"not an HDF5 file that can be read: {error}", path) from error
