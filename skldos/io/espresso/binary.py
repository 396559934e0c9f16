"""Binary files of Quantum ESPRESSO: wavefunctions and densities as plane-wave coefficients.

pw.x writes them as unformatted Fortran records (``.dat``), each between two 4-byte lengths, or as
HDF5 files (``.hdf5``), depending on how it was built. Coefficients keep the units of the file;
their wave vectors are integers, in units of the reciprocal lattice vectors.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError
from skldos.geometry import check_cell, check_grid_shape, reciprocal_cell
from skldos.io.espresso.plane_waves import ordered_waves
from skldos.io.hdf5 import open_hdf5
from skldos.io.limits import check_numbers, check_stored, reads_file, refusing_damage
from skldos.units import BOHR
from skldos.validation import check_finite, check_scalar

# One record each: before the Miller indices of a wavefunction and of a density.
_WAVEFUNCTION_HEADER = [("ik", "<i4"), ("xk", "<f8", 3), ("ispin", "<i4"), ("gamma", "<i4")]
_WAVEFUNCTION_HEADER += [("scale", "<f8")]
_SIZES = [("ngw", "<i4"), ("igwx", "<i4"), ("npol", "<i4"), ("nbnd", "<i4")]
_DENSITY_HEADER = [("gamma", "<i4"), ("ngm", "<i4"), ("nspin", "<i4")]
#: Densities in 1/bohr³ are far smaller.
MAX_DENSITY = 1e12
_RECIPROCAL = [("b", "<f8", (3, 3))]


class WavefunctionFile:
    """The bands of one k point, read on demand.

    Parameters
    ----------
    path : str or path-like
        A file ``wfc1.dat`` or ``wfc1.hdf5`` in the save directory of pw.x. The latter needs h5py.

    Attributes
    ----------
    k_point : int
        Number of the k point, from 1.
    gamma_only : bool
        Whether only one of each pair G, -G is stored, because the bands are real.
    n_spinors : int
        1, or 2 in a noncollinear calculation.
    n_bands : int
        Number of bands.
    miller : ndarray of shape (n_waves, 3)
        Integer wave vectors G.

    Raises
    ------
    FileFormatError
        If the file is not one of pw.x, or is truncated.
    """

    def __init__(self, path):
        self.path = Path(path)
        with refusing_damage(path):
            if self.path.suffix == ".hdf5":
                self._read_hdf5()
            else:
                self._read_records()

    def bands(self, indices):
        """Return the coefficients of bands, shape (n_indices, n_waves), complex."""
        indices = np.asarray(indices)
        if self.path.suffix == ".hdf5":
            with refusing_damage(self.path), open_hdf5(self.path) as file:
                return file["evc"][indices].view(np.complex128)
        record = _record([("c", "<c16", self.n_spinors * len(self.miller))])
        # Only the pages that hold the chosen bands are read.
        stored = np.memmap(
            self.path, record, mode="r", offset=self._first_band, shape=self.n_bands
        )[indices]
        _check_lengths(stored, self.path)
        return stored["c"].copy()  # aligned and contiguous

    def _read_records(self):
        with open(self.path, "rb") as file:
            header = _read_record(file, _WAVEFUNCTION_HEADER)
            sizes = _read_record(file, _SIZES)
            _read_record(file, _RECIPROCAL)
            self._set(header["ik"], header["gamma"], sizes["npol"], sizes["nbnd"])
            n_waves = _check_count("number of plane waves", sizes["igwx"], self.path, 12)
            self.miller = _read_record(file, [("m", "<i4", (n_waves, 3))])["m"].astype(int)
            self._first_band = file.tell()
        band = _record([("c", "<c16", self.n_spinors * n_waves)]).itemsize
        expected = self._first_band + self.n_bands * band
        if self.path.stat().st_size != expected:
            raise FileFormatError(
                f"expected {expected} bytes for {self.n_bands} bands of {n_waves} plane waves, "
                f"got {self.path.stat().st_size}",
                self.path,
            )

    def _read_hdf5(self):
        with _opened_hdf5(self.path, "wavefunction", "evc") as (miller, gamma_only, evc):
            sizes = [int(evc.file.attrs[name]) for name in ("ik", "npol", "nbnd")]
            self._set(sizes[0], gamma_only, *sizes[1:])
            self.miller = miller
            expected, shape = (self.n_bands, 2 * self.n_spinors * len(miller)), evc.shape
        if shape != expected:
            raise FileFormatError(f"expected evc of shape {expected}, got {shape}", self.path)

    def _set(self, k_point, gamma_only, n_spinors, n_bands):
        self.k_point = int(k_point)
        self.gamma_only = bool(gamma_only)
        self.n_spinors = _check_count("number of spinor components", n_spinors, self.path)
        self.n_bands = _check_count("number of bands", n_bands, self.path)


@reads_file
def read_charge_density(path):
    """Read the plane waves of a density: ``charge-density.dat``, or ``.hdf5``, which needs h5py.

    Return the integer wave vectors G, (n_waves, 3), their complex coefficients in 1/bohr³, of the
    sum over both spins, and whether only one of each pair G, -G is stored. A
    :class:`FileFormatError` is raised if the file is not one of pw.x, or is truncated.
    """
    path = Path(path)
    if path.suffix == ".hdf5":
        with _opened_hdf5(path, "density", "rhotot_g") as (miller, gamma_only, density):
            coefficients = density[:].view(np.complex128)
        if len(miller) != len(coefficients):
            raise FileFormatError(
                f"expected {len(miller)} coefficients, got {len(coefficients)}", path
            )
    else:
        with open(path, "rb") as file:
            header = _read_record(file, _DENSITY_HEADER)
            n_waves = _check_count("number of plane waves", header["ngm"], path, 28)
            _read_record(file, _RECIPROCAL)
            miller = _read_record(file, [("m", "<i4", (n_waves, 3))])["m"].astype(int)
            coefficients = _read_record(file, [("c", "<c16", n_waves)])["c"]
            gamma_only = bool(header["gamma"])
    check_numbers("the density", coefficients.view(float), path, low=-MAX_DENSITY, high=MAX_DENSITY)
    return miller, coefficients, gamma_only


@contextmanager
def _opened_hdf5(path, kind, name):
    """Open a file of waves; yield wave vectors, whether they are halved, and a dataset."""
    with open_hdf5(path) as file:
        try:
            gamma_only = _is_true(file.attrs["gamma_only"])
            check_stored(file["MillerIndices"], path)
            check_stored(file[name], path)
            yield file["MillerIndices"][:].astype(int), gamma_only, file[name]
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"not a {kind} of pw.x: {error}", path) from error


def write_charge_density(path, density, cell, *, density_cutoff, gamma_only=False):
    r"""Write a density from which pw.x can start.

    .. math:: n_G = \frac{1}{N} \sum_r n(r)\, e^{-i G \cdot r}

    pw.x reads it with ``startingpot = 'file'``, from ``charge-density.dat`` in the folder
    ``prefix.save`` in its ``outdir``; it needs no other file there. pw.x relies on the order of the
    waves in the file, so they are written in its own order: by length, then by their integers.

    Parameters
    ----------
    path : str or path-like
        The file. An existing one is replaced when the new one is complete.
    density : array-like of shape (n_x, n_y, n_z)
        In 1/Å³, of the sum over both spins, without the core. pw.x scales it to its number of
        electrons.
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å.
    density_cutoff : float
        Kinetic energy in eV up to which waves are written: pw.x's ecutrho, by default four times
        ecutwfc.
    gamma_only : bool, default=False
        Whether only one of each pair G, -G is written, as for ``K_POINTS gamma``.

    Raises
    ------
    ValueError
        If the density is not on a grid or not finite, the grid lacks waves up to the cutoff, or
        `path` asks for HDF5, which skldos can only read.

    See Also
    --------
    skldos.io.charge_density : The density in a save directory, on the grid.

    Examples
    --------
    >>> import tempfile
    >>> density = np.full((8, 8, 8), 0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/charge-density.dat"
    ...     write_charge_density(path, density, 4 * np.eye(3), density_cutoff=50.0)
    ...     miller, coefficients, _ = read_charge_density(path)
    >>> miller[:3].tolist(), (coefficients[:3].real / BOHR**3).round(6).tolist()
    ([[0, 0, 0], [-1, 0, 0], [0, -1, 0]], [0.1, 0.0, 0.0])
    """
    path, cell = Path(path), check_cell(cell)
    if path.suffix == ".hdf5":
        raise ValueError(f"path must be that of a .dat file, got {path.name}.")
    density = np.asarray(density, dtype=float)
    grid_shape = np.array(check_grid_shape(density.shape))
    check_finite("density", density)
    density_cutoff = check_scalar("density_cutoff", density_cutoff, low=0, strict=True)
    miller = ordered_waves(cell, density_cutoff, gamma_only=gamma_only)
    if (2 * np.abs(miller) >= grid_shape).any():
        min_shape = tuple((2 * np.abs(miller).max(axis=0) + 1).tolist())
        raise ValueError(
            f"density must be on a grid with all waves up to the cutoff of {density_cutoff:g} eV, "
            f"at least {min_shape} points, got {density.shape}."
        )
    waves = torch.fft.fftn(torch.from_numpy(density), norm="forward").numpy()
    coefficients = waves[tuple((miller % grid_shape).T)] * BOHR**3
    with atomic_file(path) as file:
        _write_record(file, _DENSITY_HEADER, int(gamma_only), len(miller), 1)
        _write_record(file, _RECIPROCAL, reciprocal_cell(cell) * BOHR)
        _write_record(file, [("m", "<i4", miller.shape)], miller)
        _write_record(file, [("c", "<c16", len(miller))], coefficients)


def _write_record(file, fields, *values):
    """Write values between two lengths, as Fortran does."""
    record = np.zeros(1, _record(fields))
    record["before"] = record["after"] = record.itemsize - 8
    for (name, *_), value in zip(fields, values, strict=True):
        record[name] = value
    file.write(record.tobytes())  # not tofile(), which gives no reason if the disk is full


def _record(fields):
    """Return the type of a Fortran record of `fields`, between its two lengths."""
    return np.dtype([("before", "<i4"), *fields, ("after", "<i4")])


def _read_record(file, fields):
    record = np.fromfile(file, _record(fields), count=1)
    if len(record) == 0:  # the file has fewer bytes left
        raise FileFormatError("the file ends too early for one of pw.x", file.name)
    _check_lengths(record, file.name)
    # Copies: arrays inside the record are not aligned, which torch does not support.
    return {name: record[name][0].copy() for name in record.dtype.names}


def _check_lengths(records, path):
    expected = records.dtype.itemsize - 8
    lengths = np.concatenate([records["before"], records["after"]])
    if (lengths != expected).any():
        raise FileFormatError(
            f"expected a Fortran record of {expected} bytes, got "
            f"{lengths[lengths != expected][0]}: not a file of pw.x, or of another version",
            path,
        )


def _check_count(name, count, path, n_bytes=1):
    """Return a count, if the file has `n_bytes` for each item."""
    if not 1 <= count <= path.stat().st_size // n_bytes:
        raise FileFormatError(f"expected a {name} that fits the file, got {count}", path)
    return int(count)


def _is_true(attribute):
    """Read a Fortran logical that was written as text: ``.TRUE.`` or ``.FALSE.``."""
    text = attribute.decode() if isinstance(attribute, bytes) else str(attribute)
    if text.strip().upper() not in (".TRUE.", ".FALSE."):
        raise ValueError(f"gamma_only is {text!r}")
    return text.strip().upper() == ".TRUE."
