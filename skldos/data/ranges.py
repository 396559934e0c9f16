"""Ranges of a snapshot's values: the one place where input numbers are checked.

Every reader makes a :class:`~skldos.Snapshot`, which calls these functions. The limits are
generous: they catch damaged files and wrong units, not bad physics. The functions raise
``ValueError`` or ``TypeError``.
"""

import copy
import warnings
from collections.abc import Mapping
from numbers import Number, Real

import numpy as np

from skldos.geometry import closest_pair
from skldos.validation import check_finite, check_scalar, check_shape, check_unmasked

#: Physical values in eV, Å and K are far smaller; only damaged data hold larger ones.
LARGEST = 1e30
#: Largest atomic number.
MAX_ATOMIC_NUMBER = 118
#: Largest coordinate of an atom, and length of a cell vector, in Å: a tenth of a millimetre.
LARGEST_LENGTH = 1e6
#: Smallest distance of opposite faces of the cell in Å.
SMALLEST_HEIGHT = 1e-2
#: Smallest volume per atom in Å³, far below that of any atom inside a star.
SMALLEST_VOLUME = 1e-2
#: Distance in Å below which two atoms count as one that is listed twice.
COINCIDENCE_DISTANCE = 0.01
#: Atoms closer than this distance in Å, or this fraction of the edge of a cube with the volume per
#: atom, are closer than in any real structure.
CLOSE_DISTANCE, CLOSE_FRACTION = 0.3, 0.3
#: Largest electronic temperature in K.
MAX_TEMPERATURE = 1e9
#: Largest energy on the grid, and width of a level, in eV; the 1s level of uranium is at −1.2e5.
LARGEST_ENERGY = 1e6
#: Largest number of electrons per atom of a snapshot.
MOST_ELECTRONS = 1e4
#: Largest number of electrons in a file, relative to the sum of the atomic numbers.
MOST_CHARGE = 2
#: Largest number in a reference, in eV: the total energy of 10⁹ atoms is about 10¹³.
LARGEST_REFERENCE = 1e15
#: Entries of a reference that are one number.
REFERENCE_NUMBERS = {
    *("band_energy", "charge", "ecutrho", "ecutwfc", "ewald", "fermi_energy", "hartree"),
    *("minus_ts", "one_electron", "total_energy", "xc"),
}
#: Largest number of grid points along one cell vector.
FINEST_GRID = 10**5


def check_within(name, array, limit, unit=""):
    """Raise a ``ValueError`` if `array` holds NaN or numbers beyond ±`limit`.

    Examples
    --------
    >>> check_within("positions", np.array([1e9]), 1e6, "Å")
    Traceback (most recent call last):
    ...
    ValueError: positions must lie within ±1e+06 Å, got 1e+09.
    """
    if array.dtype.kind not in "fiu" or array.size == 0:
        return
    # float(): a limit may be too large for half precision.
    low, high = float(array.min()), float(array.max())
    if not (low >= -limit and high <= limit):
        check_finite(name, array)
        worst = high if high > limit else low
        raise ValueError(f"{name} must lie within ±{limit:g} {unit}".rstrip() + f", got {worst:g}.")


def check_atoms_values(atoms):
    """Check atomic numbers, positions and cell of an ``ase.Atoms``."""
    numbers = atoms.numbers
    for name in ("numbers", "positions"):
        kind = atoms.arrays[name].dtype.kind
        if kind not in "fiu" or (name == "numbers" and (numbers % 1 != 0).any()):
            raise ValueError(
                f"{name} of atoms must be {'integers' if name == 'numbers' else 'real numbers'}, "
                f"got {atoms.arrays[name].dtype}."
            )
    if numbers.min() < 1 or numbers.max() > MAX_ATOMIC_NUMBER:
        wrong = numbers[(numbers < 1) | (numbers > MAX_ATOMIC_NUMBER)][0]
        raise ValueError(f"atomic numbers must be between 1 and {MAX_ATOMIC_NUMBER}, got {wrong}.")
    check_within(f"the positions of {atoms.symbols}", atoms.positions, LARGEST_LENGTH, "Å")
    cell = atoms.cell.array
    check_within(f"the cell of {atoms.symbols}", cell, LARGEST_LENGTH, "Å")
    volume = abs(np.linalg.det(cell))
    # |a_i · n_i| = Ω / |a_j × a_k|
    faces = [np.linalg.norm(np.cross(cell[i - 2], cell[i - 1])) for i in range(3)]
    if not volume >= SMALLEST_HEIGHT * max(faces) or volume == 0:
        raise ValueError(
            f"atoms must have a cell with a volume, its opposite faces at least "
            f"{SMALLEST_HEIGHT:g} Å apart, got {cell.tolist()} Å for {atoms.symbols}."
        )
    if volume < SMALLEST_VOLUME * len(atoms):
        raise ValueError(
            f"atoms must have a cell with a volume of at least {SMALLEST_VOLUME:g} Å^3 per atom, "
            f"got {volume:.3g} Å^3 for {atoms.symbols}."
        )
    _check_distances(atoms, cell, volume)


def _check_distances(atoms, cell, volume):
    """Raise an error if atoms coincide; warn if they are closer than in any real structure."""
    within = max(
        COINCIDENCE_DISTANCE, min(CLOSE_DISTANCE, CLOSE_FRACTION * (volume / len(atoms)) ** (1 / 3))
    )
    closest = closest_pair(np.asarray(atoms.positions, dtype=float), cell, within)
    if closest is None:
        return
    distance, i, j = closest
    pair = (
        f"atoms {i} and {j} of {atoms.symbols} are {distance:.2g} Å apart, periodic images included"
    )
    if distance <= COINCIDENCE_DISTANCE:
        raise ValueError(
            f"atoms must not coincide: {pair}. List an atom on the boundary of the cell once."
        )
    warnings.warn(
        f"{pair}: closer than {within:.2g} Å. Check units and cell.",
        UserWarning,
        stacklevel=5,
    )


def check_temperature(temperature):
    """Return an electronic temperature in K as a float."""
    check_scalar("temperature", temperature, low=0)
    return check_scalar("temperature", temperature, high=MAX_TEMPERATURE)


def check_n_electrons(n_electrons, atoms):
    """Return the number of valence electrons of `atoms` as a float."""
    check_scalar("n_electrons", n_electrons, low=0, strict=True)
    return check_scalar("n_electrons", n_electrons, high=MOST_ELECTRONS * len(atoms))


def check_charge(n_electrons, atoms):
    """Raise a ``ValueError`` if a file names more electrons than `atoms` can hold.

    In memory a snapshot may have any number of electrons, for experiments; files must be physical.

    Examples
    --------
    >>> from ase.build import bulk
    >>> check_charge(500.0, bulk("Al", cubic=True))
    Traceback (most recent call last):
    ...
    ValueError: n_electrons must be at most 104, twice the electrons of neutral Al4, got 500.
    """
    neutral = int(atoms.numbers.sum())
    if n_electrons > MOST_CHARGE * neutral:
        raise ValueError(
            f"n_electrons must be at most {MOST_CHARGE * neutral:g}, twice the electrons of "
            f"neutral {atoms.symbols}, got {n_electrons:g}."
        )


def check_broadening(broadening):
    """Return the width of a level in eV as a float."""
    check_scalar("broadening", broadening, low=0, strict=True)
    return check_scalar("broadening", broadening, high=LARGEST_ENERGY)


def check_grid_size(grid_shape):
    """Return a tuple of three plausible numbers of points."""
    if max(grid_shape) > FINEST_GRID:
        raise ValueError(
            f"grid_shape must be at most {FINEST_GRID} along each cell vector, got {grid_shape}."
        )
    return grid_shape


def check_reference(reference, n_atoms=None):
    """Return a mapping from names to finite numbers, arrays, strings or such mappings.

    Arrays are copied, because a loop may fill the same array again. Entries that the package reads
    must have their shapes: of energies one number, of forces a row for each of the `n_atoms`.

    Examples
    --------
    >>> check_reference({"band_energy": float("nan")})
    Traceback (most recent call last):
    ...
    ValueError: reference['band_energy'] must be finite, got 1 NaN and 0 infinite value(s) among 1.
    """
    if reference is None:
        return {}
    reference = _check_mapping("reference", reference, depth=2)
    for name in REFERENCE_NUMBERS & set(reference):
        if np.ndim(reference[name]) > 0 or isinstance(reference[name], str):
            raise TypeError(f"reference[{name!r}] must be one number, got {reference[name]!r}.")
    if "forces" in reference:
        check_shape("reference['forces']", np.asarray(reference["forces"]), (n_atoms, 3))
    if (stress := reference.get("stress")) is not None and np.shape(stress) not in ((3, 3), (6,)):
        raise ValueError(
            f"reference['stress'] must have shape (3, 3) or (6,), got {np.shape(stress)}."
        )
    return reference


def _check_mapping(where, mapping, depth):
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{where} must be a mapping, got {type(mapping).__name__}.")
    copied = {}
    for name, value in mapping.items():
        if not isinstance(name, str):
            raise TypeError(f"{where} must have names as keys, got {name!r}.")
        entry = f"{where}[{name!r}]"
        if isinstance(value, Mapping) and depth > 1:
            copied[name] = _check_mapping(entry, value, depth - 1)
            continue
        if not isinstance(value, (str, bool, np.bool_)):
            check_within(entry, _numbers(entry, value), LARGEST_REFERENCE)
        copied[name] = value if isinstance(value, np.memmap) else copy.deepcopy(value)
    return copied


def _numbers(entry, value):
    """Return a number or a nested sequence of numbers as an array."""
    check_unmasked(entry, value)
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    if array.dtype.kind == "O" and isinstance(value, Real):  # an integer beyond 64 bits
        raise ValueError(f"{entry} must lie within ±{LARGEST_REFERENCE:g}.")
    if array.dtype.kind not in "fiub":
        kind = "complex numbers" if isinstance(value, Number) else type(value).__name__
        raise TypeError(f"{entry} must be a number, an array of numbers or a string, got {kind}.")
    return array
