"""Gaussian cube files, and the LDOS of pp.x, which writes one cube file per energy."""

import glob
import math
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data import ArrayFile, EnergyGrid
from skldos.data.files import new_array
from skldos.data.ranges import MAX_ATOMIC_NUMBER
from skldos.exceptions import FileFormatError
from skldos.io.fortran import to_float
from skldos.io.limits import check_atoms, check_numbers, reads_file
from skldos.progress import progress_bar
from skldos.units import BOHR, RYDBERG

# pp.x prints an LDOS in 1/(Ry bohr³).
LDOS_UNIT = 1 / RYDBERG / BOHR / BOHR / BOHR
# The cell has six decimals in bohr, times the number of points: errors are far below a
# displacement.
SAME_POSITION = 1e-3
#: The second line of an LDOS.
ENERGY = re.compile(r"Energy =\s*(\S+) eV, broadening =\s*(\S+) eV")
#: Largest value of a quantity in any unit.
LARGEST_VALUE = 1e150
#: Characters of a damaged line in a message.
LONGEST_QUOTE = 100
# Memory for the energies that are collected before they are written.
BLOCK_BYTES = 2**29


def read_cube(path):
    r"""Read a Gaussian cube file with one value per point of a periodic grid.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    values : ndarray of shape (n_x, n_y, n_z), float64
        The values in the units of the file. pp.x writes densities in 1/bohr³ and the LDOS in
        1/(Ry bohr³).
    atoms : ase.Atoms
        The atoms in the cell that the grid fills, relative to its origin, in Å. pp.x wraps
        them into the cell.

    Raises
    ------
    FileFormatError
        If the file is damaged or truncated or holds several values per point; the message
        names file and line.

    Examples
    --------
    >>> import tempfile
    >>> from skldos.io import read_cube
    >>> text = "title\n\n 1 0 0 0\n 1 4 0 0\n 1 0 4 0\n 2 0 0 4\n 3 3. 1 2 4\n 0.5 2.5E-1\n"
    >>> with tempfile.NamedTemporaryFile("w", suffix=".cube") as file:
    ...     _ = file.write(text), file.flush()
    ...     values, atoms = read_cube(file.name)
    >>> values.tolist(), atoms.get_scaled_positions().tolist()
    ([[[0.5, 0.25]]], [[0.25, 0.5, 0.5]])
    """
    values, atoms, _ = _read(Path(path))
    return values, atoms


def read_ldos_cubes(paths, energies, *, out=None, verbose=False):
    """Read an LDOS from the cube files that pp.x wrote, one per energy.

    Parameters
    ----------
    paths : str, path-like or sequence of them
        The files in the order of the energies; or a pattern such as ``"ldos.pp*.cube"``. The
        matching files are sorted by the one number in which their names differ.
    energies : EnergyGrid or array-like of shape (n_energies,)
        Energies in eV. Where a file states its energy and broadening they must agree.
    out : str or path-like, optional
        A ``.npy`` file to write to. Memory then holds half a gigabyte (or one cube file, if that
        is larger) instead of the whole LDOS.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    ndarray or ArrayFile of shape (n_x, n_y, n_z, n_energies), float32
        The LDOS in 1/(eV Å³), converted from 1/(Ry bohr³).

    Raises
    ------
    FileNotFoundError
        If nothing matches the pattern, or a file is missing.
    ValueError
        If there is not one file per energy, or the file names do not determine their order.
    FileFormatError
        If a file is damaged, or grid, cell, atoms, energy or broadening do not agree; the message
        names the files.
    OSError
        If there is no space for `out`; no partial file remains.

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> from skldos.io import read_ldos_cubes
    >>> energies = EnergyGrid.regular(-5.0, 2.5, 11, broadening=5.0, kernel="fermi-dirac")
    >>> read_ldos_cubes("cubes/tmp.pp*Be_ldos.cube", energies).shape  # doctest: +SKIP
    (18, 18, 27, 11)
    """
    return ldos_cubes_with_atoms(paths, energies, out=out, verbose=verbose)[0]


def ldos_cubes_with_atoms(paths, energies, *, out=None, verbose=False):
    """Return the result of :func:`read_ldos_cubes`, and the atoms in the files."""
    energies = energies if isinstance(energies, EnergyGrid) else EnergyGrid(energies)
    paths = cube_paths(paths)
    if len(paths) != len(energies):
        raise ValueError(
            f"paths must be one cube file per energy, {len(energies)}, got {len(paths)}: "
            f"{paths[0]} to {paths[-1]}."
        )
    first, atoms, title = _read(paths[0])
    stated = ENERGY.search(title) is not None
    shape = (*first.shape, len(paths))
    in_memory = out is None
    # The energies of one point are contiguous in a file: write many of them at a time.
    length = 1 if in_memory else max(1, BLOCK_BYTES // (4 * first.size))
    with new_array(out, shape, np.float32) as ldos:
        _gather(paths, energies, atoms, stated, ldos, length, verbose)
    return (ldos if in_memory else ArrayFile(out)), atoms


def _gather(paths, energies, atoms, stated, ldos, length, verbose):
    """Copy the values of all files into `ldos`, `length` files at a time.

    Either all titles state their energies or, as `stated` says, none.
    """
    grid_shape = ldos.shape[:3]
    with progress_bar(total=len(paths), desc="cube files", shown=verbose) as progress:
        for start in range(0, len(paths), length):
            chunk = paths[start : start + length]
            block = np.empty((*grid_shape, len(chunk)), dtype=np.float32)
            for k, path in enumerate(chunk):
                values, file_atoms, title = _read(path)
                _check_same(paths[0], atoms, grid_shape, path, file_atoms, values.shape)
                if (ENERGY.search(title) is not None) != stated:
                    raise FileFormatError(
                        f"expected an LDOS at one energy, as {paths[0]}, got {title.strip()!r}",
                        path,
                        2,
                    )
                _check_title(title, path, energies, start + k)
                check_numbers("the LDOS", values, path)
                block[..., k] = values * LDOS_UNIT
                progress.update()
            ldos[..., start : start + length] = block


def cube_paths(paths):
    """Return the files given by a pattern or a sequence, in order."""
    if not isinstance(paths, (str, os.PathLike)):
        if not isinstance(paths, Iterable):
            raise TypeError(f"paths must be a pattern or a sequence of files, got {paths!r}.")
        paths = [Path(os.fsdecode(path)) for path in paths]
        if not paths:
            raise ValueError("paths must be at least one cube file, got none.")
        return paths
    pattern = os.fspath(paths)
    paths = [Path(pattern)] if os.path.exists(pattern) else map(Path, glob.glob(pattern))
    paths = list(paths)
    if not paths:
        raise FileNotFoundError(f"no file matches {pattern!r}.")
    return _in_order(paths)


def _in_order(paths):
    """Sort files by the single number in which their names differ; it must increase by one."""
    if len(paths) == 1:
        return paths
    words = [re.split(r"(\d+)", str(path)) for path in paths]
    same_text = len({tuple(word[::2]) for word in words}) == 1
    numbers = np.array([[int(n) for n in word[1::2]] for word in words]) if same_text else None
    differing = np.flatnonzero(np.ptp(numbers, axis=0)) if same_text else []
    if len(differing) == 1:
        column = numbers[:, differing[0]]
        order = np.argsort(column)
        if (np.diff(column[order]) == 1).all():
            return [paths[i] for i in order]
    raise ValueError(
        "paths must match files whose names differ in one number that counts up by one, got "
        f"{', '.join(sorted(str(path) for path in paths)[:4])}, … ({len(paths)} files); give a "
        "list in the order of the energies instead."
    )


def same_atoms(atoms, other):
    """Return whether cell, species and positions agree to the digits of a cube file.

    Positions may differ by lattice vectors.
    """
    if len(atoms) != len(other) or (atoms.numbers != other.numbers).any():
        return False
    shift = np.linalg.solve(atoms.cell.array.T, (other.positions - atoms.positions).T).T
    displacement = (shift - shift.round()) @ atoms.cell.array
    return (
        np.abs(atoms.cell.array - other.cell.array).max() < SAME_POSITION
        and np.abs(displacement).max(initial=0) < SAME_POSITION
    )


def _check_same(first, atoms, shape, path, other_atoms, other_shape):
    if shape != other_shape:
        raise FileFormatError(
            f"expected the grid {shape} of {first}, got {other_shape}", path, line=4
        )
    if not same_atoms(atoms, other_atoms):
        raise FileFormatError(f"cell and atoms differ from those of {first}", path, line=3)


def _check_title(title, path, energies, index):
    """Compare energy and broadening with what pp.x writes into the second line."""
    match = ENERGY.search(title)
    if match is None:
        return
    try:
        energy, broadening = map(float, match.groups())
    except ValueError:
        return  # stars: the number is too wide for its column
    # four decimals
    if abs(energy - energies.values[index]) > 1e-4:
        raise FileFormatError(
            f"expected the LDOS at {energies.values[index]:.4f} eV, got {energy:.4f} eV", path, 2
        )
    if energies.broadening is not None and abs(broadening - energies.broadening) > 1e-4:
        raise FileFormatError(
            f"expected a broadening of {energies.broadening:.4f} eV, got {broadening:.4f} eV",
            path,
            2,
        )


@reads_file
def _read(path):
    """Return values, atoms and the second title line of a cube file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        title = [file.readline() for _ in range(2)][1]
        natoms, *origin = _row(file.readline(), path, 3, (4, 5))
        # A negative number means that a line with orbital numbers follows.
        n_atoms, has_orbitals = abs(int(natoms)), natoms < 0
        if n_atoms != abs(natoms):
            raise FileFormatError(f"expected a number of atoms, got {natoms:g}", path, 3)
        voxel = np.array([_row(file.readline(), path, 4 + i, (4,)) for i in range(3)])
        rows = [_row(file.readline(), path, 7 + i, (5,)) for i in range(n_atoms)]
        line = 7 + n_atoms
        n_values = origin[3] if len(origin) == 4 else 1
        if has_orbitals:
            n_values = _row(file.readline(), path, line, None)[0]
            line += 1
        if n_values != 1:
            raise FileFormatError(f"expected one value per point, got {n_values:g}", path, line)
        text = file.read()
    shape = tuple(map(int, voxel[:, 0]))
    if min(shape) < 1 or (voxel[:, 0] != shape).any():
        raise FileFormatError(
            f"expected three positive numbers of points (and lengths in bohr), got {shape}", path, 4
        )
    atoms = np.reshape(rows, (-1, 5))
    if (atoms[:, 0] % 1 != 0).any() or (np.abs(atoms[:, 0]) > MAX_ATOMIC_NUMBER).any():
        raise FileFormatError(f"expected atomic numbers, got {atoms[:, 0]}", path, 7)
    cell = voxel[:, 1:] * voxel[:, :1]
    atoms = Atoms(
        atoms[:, 0].astype(int),
        positions=(atoms[:, 2:] - origin[:3]) * BOHR,
        cell=cell * BOHR,
        pbc=True,
    )
    check_atoms(atoms, path, 3)
    values = _values(text, shape, path, line)
    check_numbers("the values", values, path, low=-LARGEST_VALUE, high=LARGEST_VALUE)
    return values, atoms, title


def _row(text, path, line, lengths):
    """Return the numbers in a line of the header."""
    try:
        numbers = [to_float(word) for word in text.split()]
    except ValueError:
        numbers = []
    wrong_length = not numbers or (lengths is not None and len(numbers) not in lengths)
    if wrong_length or not np.isfinite(numbers).all():
        expected = "numbers" if lengths is None else f"{lengths[0]} numbers"
        got = repr(text.strip()[:LONGEST_QUOTE])
        raise FileFormatError(f"expected {expected}, got {got}", path, line)
    return numbers


def _values(text, shape, path, line):
    """Return the numbers in `text` as an array of `shape`."""
    values = _fast_values(text)
    if values is None:
        # Fortran drops the E of an exponent with three digits: 0.12345-101
        text = re.sub(r"(\d)([-+]\d)", r"\1E\2", text)
        values = _careful_values(text, path, line)
    expected = math.prod(shape)
    if values.size != expected or not np.isfinite(values).all() or _ends_within_number(text):
        raise FileFormatError(
            f"expected {expected} complete, finite values on a grid {shape}, got {values.size} "
            "up to this line",
            path,
            line + len(text.splitlines()) - 1,
        )
    return values.reshape(shape)


def _ends_within_number(text):
    """Return whether the last number seems truncated: shorter than the first, no line end."""
    if not text or text[-1].isspace():
        return False
    first, last = (word.lstrip("+-") for word in (text.split(None, 1)[0], text.split()[-1]))
    return len(last) < len(first)


def _fast_values(text):
    """Return the numbers in `text`, or None if some of it may be unreadable."""
    with warnings.catch_warnings():
        # numpy warns if it finds anything but numbers
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(text, sep=" ")
        except (DeprecationWarning, ValueError):
            return None
    # 0.12345-101 would be read as two numbers, but has one decimal point.
    return values if text.count(".") == values.size else None


def _careful_values(text, path, line):
    """Return the numbers in `text`, read line by line (slow); an error names the damaged line."""
    rows = enumerate(text.splitlines(), line)
    values = [number for i, row in rows if row.strip() for number in _row(row, path, i, None)]
    return np.array(values)
