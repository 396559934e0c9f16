"""One atomic configuration with everything that a calculation said about it."""

from collections.abc import Mapping

import numpy as np
from ase import Atoms

from skldos._validation import check_finite, check_scalar, check_shape
from skldos.data.energy_grid import EnergyGrid
from skldos.data.lazy import LazyArray, sum_rows
from skldos.exceptions import SnapshotError
from skldos.geometry import check_grid_shape


class Snapshot:
    """Atoms in a periodic cell, with the electronic structure on a grid where it is known.

    One snapshot is one *sample* for scikit-learn: estimators take a sequence of them as `X`.
    Only the atoms are needed to predict; training also needs a target such as the LDOS.

    Parameters
    ----------
    atoms : ase.Atoms
        Numbers, positions and cell (Å), periodic in all three directions. A copy is kept, so
        that the loop of a simulation may go on with its own.
    grid_shape : tuple of 3 int, optional
        Points along each cell vector. Point (i, j, k) sits at i/n_x a₁ + j/n_y a₂ + k/n_z a₃.
        Taken from `ldos` or `density` when one is given.
    energies : EnergyGrid or array-like of shape (n_energies,), optional
        Energies of the LDOS in eV, strictly increasing; an :class:`EnergyGrid` also says how
        the LDOS was broadened.
    temperature : float, optional
        Electronic temperature in K, >= 0.
    n_electrons : float, optional
        Number of valence electrons in the cell, > 0.
    ldos : array-like or ArrayFile of shape (n_x, n_y, n_z, n_energies), optional
        Local density of states in 1/(eV Å³), both spins together.
    density : array-like or ArrayFile of shape (n_x, n_y, n_z), optional
        Electron density in 1/Å³.
    reference : mapping of str to float, array or str, optional
        What the density-functional calculation itself returned, in eV (forces eV/Å), under
        the names ``"fermi_energy"``, ``"band_energy"``, ``"total_energy"`` (the free energy
        E − TS), ``"minus_ts"``, ``"one_electron"``, ``"hartree"``, ``"xc"``, ``"ewald"``,
        ``"forces"``; and its cutoffs ``"ecutwfc"`` and ``"ecutrho"`` in Ry and its
        ``"functional"``.

    Attributes
    ----------
    energy_grid : EnergyGrid or None
        The energies with their broadening; `energies` holds the bare array.

    Raises
    ------
    SnapshotError
        If the parts do not fit together: an LDOS whose grid is not `grid_shape`, or whose
        last axis is not the energy grid, an array with NaN or of anything but real numbers, a
        cell that is not periodic or has no volume.
    ValueError
        If `grid_shape`, `energies`, `temperature` or `n_electrons` has a value out of range.
    TypeError
        If `atoms` is not an ``ase.Atoms``, `reference` not a mapping, or one of the others not
        a number.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import Snapshot
    >>> Snapshot(bulk("Al", cubic=True), grid_shape=(8, 8, 8), temperature=298.0)
    Snapshot(Al4, grid 8x8x8, 298 K)
    """

    def __init__(
        self,
        atoms,
        *,
        grid_shape=None,
        energies=None,
        temperature=None,
        n_electrons=None,
        ldos=None,
        density=None,
        reference=None,
    ):
        self.atoms = _check_atoms(atoms)
        self.energy_grid = _check_energies(energies)
        self.ldos = _check_field("ldos", ldos, 4)
        self.density = _check_field("density", density, 3)
        self.grid_shape = _check_grid(grid_shape, self.ldos, self.density)
        if self.ldos is not None:
            self._check_ldos_energies()
        if temperature is not None:
            temperature = check_scalar("temperature", temperature, low=0)
        if n_electrons is not None:
            n_electrons = check_scalar("n_electrons", n_electrons, low=0, strict=True)
        self.temperature = temperature
        self.n_electrons = n_electrons
        self.reference = _check_reference(reference)

    @property
    def energies(self):
        """Energies of the LDOS in eV, an array of shape (n_energies,), or None."""
        return None if self.energy_grid is None else self.energy_grid.values

    @property
    def n_grid_points(self):
        """Number of points of the grid."""
        self.require("grid_shape")
        return int(np.prod(self.grid_shape))

    @property
    def voxel_volume(self):
        """Volume of one voxel of the grid in Å³."""
        self.require("grid_shape")
        return abs(self.atoms.cell.volume) / self.n_grid_points

    def dos(self):
        """Return the density of states D(E) = Σ_r d(r, E) ΔV in 1/eV, shape (n_energies,).

        The LDOS is read in slices and summed in double precision.
        """
        self.require("ldos")
        total = sum_rows(self.ldos)
        if not np.isfinite(total).all():
            raise SnapshotError(f"the LDOS of {self!r} holds NaN or infinite values.")
        return total * self.voxel_volume

    def require(self, *names):
        """Raise a :class:`SnapshotError` that names those of the attributes that are missing."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise SnapshotError(f"{self!r} lacks {' and '.join(missing)}, needed here.")

    def replace(self, **changes):
        """Return a copy with some of the constructor's arguments changed.

        Examples
        --------
        >>> from ase.build import bulk
        >>> Snapshot(bulk("Al"), temperature=298.0).replace(temperature=933.0).temperature
        933.0
        """
        arguments = {
            "atoms": self.atoms,
            "grid_shape": self.grid_shape,
            "energies": self.energy_grid,
            "temperature": self.temperature,
            "n_electrons": self.n_electrons,
            "ldos": self.ldos,
            "density": self.density,
            "reference": self.reference,
        }
        unknown = sorted(set(changes) - set(arguments))
        if unknown:
            raise TypeError(f"a Snapshot has no argument {unknown[0]!r}; it has {[*arguments]}.")
        # A new field brings its own grid.
        if changes.keys() & {"ldos", "density", "atoms"} and "grid_shape" not in changes:
            fields = [changes.get("ldos", self.ldos), changes.get("density", self.density)]
            if any(field is not None for field in fields):
                arguments["grid_shape"] = None
        return Snapshot(**(arguments | changes))

    def _check_ldos_energies(self):
        if self.energy_grid is None:
            raise SnapshotError(
                f"energies are needed with an LDOS of shape {self.ldos.shape}, got none."
            )
        if self.ldos.shape[-1] != len(self.energy_grid):
            raise SnapshotError(
                f"the last axis of ldos must be the energy grid of {len(self.energy_grid)} "
                f"energies, got an LDOS of shape {self.ldos.shape}."
            )

    def __repr__(self):
        parts = [str(self.atoms.symbols)]
        if self.grid_shape is not None:
            parts.append("grid " + "x".join(map(str, self.grid_shape)))
        if self.energy_grid is not None:
            values = self.energies
            parts.append(f"{len(values)} energies {values[0]:g}…{values[-1]:g} eV")
        if self.temperature is not None:
            parts.append(f"{self.temperature:g} K")
        for name in ("ldos", "density"):
            field = getattr(self, name)
            if field is not None:
                where = " on disk" if isinstance(field, LazyArray) else ""
                parts.append(f"{name}{where}")
        return f"Snapshot({', '.join(parts)})"


def _check_atoms(atoms):
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms must be an ase.Atoms, got {type(atoms).__name__}.")
    if len(atoms) == 0:
        raise SnapshotError("atoms must hold at least one atom, got none.")
    if not atoms.pbc.all():
        raise SnapshotError(
            f"atoms must be periodic in all three directions (pbc=True), got pbc={atoms.pbc} "
            f"for {atoms.symbols}; put a molecule or a slab into a cell with enough vacuum."
        )
    if not np.isfinite(atoms.cell.array).all() or abs(atoms.cell.volume) < 1e-6:
        raise SnapshotError(
            f"atoms must have a cell with a volume, got {atoms.cell.array.tolist()} Å for "
            f"{atoms.symbols}."
        )
    if not np.isfinite(atoms.positions).all():
        raise SnapshotError(f"the positions of {atoms.symbols} hold NaN or infinite values.")
    return atoms.copy()


def _check_energies(energies):
    return (
        energies if energies is None or isinstance(energies, EnergyGrid) else EnergyGrid(energies)
    )


def _check_field(name, field, ndim):
    """Return a field on the grid as an array or a lazy handle; free of NaN if in memory."""
    if field is None:
        return None
    if not isinstance(field, LazyArray):
        field = np.asanyarray(field)
    if field.dtype.kind not in "fiu":
        raise SnapshotError(f"{name} must hold real numbers, got dtype {field.dtype}.")
    try:
        check_shape(name, field, (None,) * ndim)
        if not isinstance(field, (LazyArray, np.memmap)):
            check_finite(name, field)
    except ValueError as error:
        raise SnapshotError(str(error)) from None
    return field


def _check_grid(grid_shape, *fields):
    """Return the one grid on which all `fields` are given."""
    shapes = [tuple(field.shape[:3]) for field in fields if field is not None]
    if grid_shape is not None:
        shapes.append(check_grid_shape(grid_shape))
    if len(set(shapes)) > 1:
        raise SnapshotError(
            "ldos, density and grid_shape must be on one grid, got "
            + " and ".join("x".join(map(str, shape)) for shape in shapes)
            + "."
        )
    return shapes[0] if shapes else None


def _check_reference(reference):
    if reference is None:
        return {}
    if not isinstance(reference, Mapping):
        raise TypeError(f"reference must be a mapping, got {type(reference).__name__}.")
    return dict(reference)
