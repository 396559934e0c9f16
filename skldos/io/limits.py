"""Limits for numbers in files of other programs; every reader uses them.

A reader looks for the entries of its format and names the line where one is missing. A damaged file
can hold anything else instead. The functions here turn every resulting error, and every number that
no calculation can have, into a :class:`~skldos.exceptions.FileFormatError`.
"""

import functools
from contextlib import contextmanager

import numpy as np

from skldos.data.ranges import (
    FINEST_GRID,
    LARGEST,
    LARGEST_ENERGY,
    LARGEST_REFERENCE,
    MAX_TEMPERATURE,
    check_atoms_values,
    check_n_electrons,
)
from skldos.exceptions import FileFormatError, SkldosError
from skldos.units import BOHR, BOLTZMANN

#: Errors that Python and its libraries raise for unexpected data.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,  # from HDF5, and for too deep recursion
    TypeError,
    ValueError,
)
#: Largest kinetic energy of a plane wave in Ry, and smallest that makes a grid.
LARGEST_CUTOFF = 1e5
SMALLEST_CUTOFF = 0.1
#: An FFT grid may be this many times finer than the waves need.
MAX_OVERSAMPLING = 16
#: How far an occupation may be outside 0 to 1, for example with Methfessel-Paxton smearing.
OCCUPATION_MARGIN = 1.0
#: Deviation of a fixed occupation from 0 or 1 because of its digits.
FIXED_OCCUPATION_TOLERANCE = 1e-6
#: Relative difference allowed between the electrons in the states and the number of electrons.
MISSING_ELECTRONS = 1e-2
#: Difference in eV/Å³ allowed between two components of a stress that have to be equal.
ASYMMETRIC_STRESS = 1e-4
#: Largest entry of the rotation and of the fractional translation of a symmetry.
LARGEST_SYMMETRY = 100
#: Deflate compresses a gigabyte of zeros to a megabyte; other filters are not much better.
MAX_COMPRESSION = 1100


@contextmanager
def refusing_damage(path):
    """Turn errors caused by damaged data into a :class:`FileFormatError` that names the file.

    Errors of this package and of the file system pass unchanged, and so does a ``MemoryError``,
    which an intact file can cause, too.

    Examples
    --------
    >>> with refusing_damage("a.json"):
    ...     1 / 0
    Traceback (most recent call last):
    ...
    skldos.exceptions.FileFormatError: the file is damaged: division by zero (a.json)
    """
    try:
        # Overflows are detected as out of bounds, so numpy's warning is not needed.
        with np.errstate(all="ignore"):
            yield
    except (SkldosError, OSError):
        raise
    except DAMAGE as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise FileFormatError(f"the file is damaged: {reason.rstrip('.')}", path) from error


def reads_file(function):
    """Decorate a function whose first argument is a file, so that it refuses damaged files."""

    @functools.wraps(function)
    def wrapper(path, *args, **kwargs):
        with refusing_damage(path):
            return function(path, *args, **kwargs)

    return wrapper


@contextmanager
def located(error):
    """Turn a ``ValueError`` into what `error` makes of its message: one with file and line.

    Examples
    --------
    >>> with located(lambda message: FileFormatError(message, "a.xyz", 3)):
    ...     raise ValueError("positions must be finite.")
    Traceback (most recent call last):
    ...
    skldos.exceptions.FileFormatError: positions must be finite (a.xyz:3)
    """
    try:
        yield
    except SkldosError:
        raise
    except (TypeError, ValueError) as reason:
        raise error(str(reason).rstrip(".")) from reason


def check_numbers(name, values, path, *, low=-LARGEST, high=LARGEST, line=None):
    """Raise a :class:`FileFormatError` unless all `values` are real numbers within bounds.

    The bounds are inclusive.

    Examples
    --------
    >>> check_numbers("the density", [0.5, 2.0], "n.cube")
    >>> check_numbers("the density", [0.5, 1e308], "n.cube")
    Traceback (most recent call last):
    ...
    skldos.exceptions.FileFormatError: the density must lie within -1e+30 and 1e+30, got 1e+308 \
(n.cube)
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise FileFormatError(f"{name} must be real numbers, got {values.dtype}", path, line)
    if values.size == 0:
        return
    # NaN, which minimum and maximum propagate, is never within bounds.
    smallest, largest = float(values.min()), float(values.max())
    if not (smallest >= low and largest <= high):
        worst = largest if smallest >= low else smallest
        raise FileFormatError(
            f"{name} must lie within {low:g} and {high:g}, got {worst:g}", path, line
        )


def check_atoms(atoms, path, line=None):
    """Raise a :class:`FileFormatError` unless atoms and cell of an ``ase.Atoms`` are possible."""
    if len(atoms) == 0:
        raise FileFormatError("expected at least one atom, got none", path, line)
    with located(lambda message: FileFormatError(message, path, line)):
        check_atoms_values(atoms)


def check_settings(settings):
    """Raise a :class:`FileFormatError` unless the settings of a run of pw.x are possible."""
    path = settings.path
    for name in ("ecutwfc", "ecutrho"):
        cutoff = getattr(settings, name)
        check_numbers(name, cutoff, path, low=SMALLEST_CUTOFF, high=LARGEST_CUTOFF)
    if settings.smearing is not None:
        bounds = {"low": 1e-12, "high": MAX_TEMPERATURE * BOLTZMANN}
        check_numbers("the width of the smearing", settings.width, path, **bounds)
    if settings.charge is not None:
        check_numbers("the charge", settings.charge, path, low=-1e9, high=1e9)


def check_step(atoms, n_electrons, results, path):
    """Raise a :class:`FileFormatError` unless a step of pw.x is possible.

    `results` holds energies in eV, forces in eV/Å and stress in eV/Å³ by name, None if missing.
    """
    check_atoms(atoms, path)
    with located(lambda message: FileFormatError(message, path)):
        check_n_electrons(n_electrons, atoms)
    for name, values in results.items():
        limit = LARGEST_ENERGY if name in ("forces", "stress") else LARGEST_REFERENCE
        if values is not None:
            check_numbers(name, values, path, low=-limit, high=limit)
    stress = results.get("stress")
    if stress is not None and np.abs(stress - np.transpose(stress)).max() > ASYMMETRIC_STRESS:
        raise FileFormatError(f"the stress is not symmetric: {stress.tolist()}", path)


def check_run(run):
    """Raise a :class:`FileFormatError` unless an :class:`EspressoRun` is possible."""
    path = run.path
    check_settings(run)
    check_step(run.atoms, run.n_electrons, run.results, path)
    check_numbers("the FFT grid", run.grid_shape, path, low=1, high=FINEST_GRID)
    # The waves up to the cutoff have |m_i| = |G · a_i| / 2π.
    lengths = np.linalg.norm(run.atoms.cell.array, axis=1) / BOHR
    n_points = 2 * np.sqrt(run.ecutrho) * lengths / (2 * np.pi) + 1
    if (np.array(run.grid_shape) > MAX_OVERSAMPLING * (n_points + 4)).any():
        raise FileFormatError(
            f"the FFT grid {run.grid_shape} is far finer than ecutrho = {run.ecutrho:g} Ry needs, "
            f"{tuple(n_points.round().astype(int).tolist())}",
            path,
        )
    levels = {"low": -LARGEST_ENERGY, "high": LARGEST_ENERGY}
    check_numbers("eigenvalues", run.eigenvalues, path, **levels)
    check_numbers("weights of k points", run.weights, path, low=0, high=2 + 1e-9)
    for name in ("rotations", "translations"):
        symmetries = {"low": -LARGEST_SYMMETRY, "high": LARGEST_SYMMETRY}
        check_numbers(f"{name} of symmetries", getattr(run, name), path, **symmetries)
    if run.fermi_energy is not None:
        check_numbers("the Fermi energy", run.fermi_energy, path, **levels)
    if run.occupations is not None:
        _check_occupations(run)


def _check_occupations(run):
    bounds = {"low": -OCCUPATION_MARGIN, "high": 1 + OCCUPATION_MARGIN}
    check_numbers("occupations", run.occupations, run.path, **bounds)
    partial = np.abs(run.occupations - run.occupations.round()).max()
    if run.occupations_kind == "fixed" and partial > FIXED_OCCUPATION_TOLERANCE:
        raise FileFormatError(
            f"fixed occupations must be 0 or 1, got some that differ by {partial:.3g}", run.path
        )
    electrons = float(run.weights @ run.occupations.sum(axis=1))
    if abs(electrons - run.n_electrons) > MISSING_ELECTRONS * (1 + run.n_electrons):
        raise FileFormatError(
            f"the states hold {electrons:.6g} electrons, but the number of electrons is "
            f"{run.n_electrons:g}",
            run.path,
        )


def check_stored(dataset, path):
    """Raise a :class:`FileFormatError` unless an HDF5 dataset is stored in its own file.

    A dataset may declare terabytes that were never written, or refer to other files.
    """
    if dataset.is_virtual or dataset.external:
        raise FileFormatError(f"{dataset.name} refers to other files", path)
    stored, promised = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
    filtered = dataset.id.get_create_plist().get_nfilters() > 0
    if promised > stored * (MAX_COMPRESSION if filtered else 1):
        raise FileFormatError(
            f"{dataset.name} needs {promised} bytes, but the file has {stored}", path
        )
