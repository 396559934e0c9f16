"""One atomic configuration with the results of its calculation."""

import numpy as np
from ase import Atoms

from skldos.data.energy_grid import EnergyGrid
from skldos.data.formula import chemical_formula
from skldos.data.html import sparkline, table
from skldos.data.lazy import LazyArray, as_lazy, sum_rows
from skldos.data.ranges import (
    LARGEST,
    check_atoms_values,
    check_grid_size,
    check_n_electrons,
    check_reference,
    check_temperature,
    check_unmasked,
    check_within,
)
from skldos.data.results import results_of
from skldos.data.training import mass_density
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.geometry import check_grid_shape
from skldos.validation import check_shape

#: Axes of the fields, for messages.
AXES = ("n_x", "n_y", "n_z", "n_energies")
WITHOUT_LDOS = (
    ": training and scoring need snapshots with the results of a calculation; skldos.predict "
    "needs only atoms"
)


class Snapshot:
    """Atoms in a periodic cell, with their electronic structure on a grid, if known.

    One snapshot is one *sample* for scikit-learn: estimators take a sequence of them as `X`.
    Only the atoms are needed to predict; training also needs a target such as the LDOS.

    Parameters
    ----------
    atoms : ase.Atoms
        Numbers, positions and cell (Å), periodic in all three directions. A copy is stored, so a
        simulation can continue to change its own.
    grid_shape : tuple of 3 int, optional
        Points along each cell vector. Point (i, j, k) sits at i/n_x a₁ + j/n_y a₂ + k/n_z a₃.
        Taken from `ldos` or `density` when one is given.
    energies : EnergyGrid or array-like of shape (n_energies,), optional
        Energies of the LDOS in eV, strictly increasing; an :class:`EnergyGrid` also contains the
        broadening of the LDOS.
    temperature : float, optional
        Electronic temperature in K, >= 0.
    n_electrons : float, optional
        Number of valence electrons in the cell, > 0.
    ldos : array-like or ArrayFile of shape (n_x, n_y, n_z, n_energies), optional
        Local density of states in 1/(eV Å³), both spins together. A sliceable array of another
        library, such as h5py, zarr or dask, is read slice by slice.
    density : array-like or ArrayFile of shape (n_x, n_y, n_z), optional
        Electron density in 1/Å³; lazy as `ldos`.
    reference : mapping of str to float, array or str, optional
        Results of the DFT calculation in eV (forces in eV/Å), under the names ``"fermi_energy"``,
        ``"band_energy"``, ``"total_energy"`` (the free energy E − TS), ``"minus_ts"``,
        ``"one_electron"``, ``"hartree"``, ``"xc"``, ``"ewald"``, ``"forces"``; and its cutoffs
        ``"ecutwfc"`` and ``"ecutrho"`` in Ry and its ``"functional"``. None uses free energy,
        forces and stress (``"stress"``, eV/Å³) of an ASE calculator on the atoms, unless they are
        predictions of a skldos model.
    name : str, optional
        Name of the snapshot in messages, tables, legends and files.
    source : str, optional
        Origin, such as the path of the calculation.

    Attributes
    ----------
    energy_grid : EnergyGrid or None
        The energies with their broadening; `energies` holds the bare array.

    Raises
    ------
    SnapshotError
        If the arguments are inconsistent: an LDOS whose grid is not `grid_shape` or whose last axis
        is not the energy grid, an array with NaN or without real numbers, or a cell that is not
        periodic or has no volume.
    ValueError
        If `grid_shape`, `energies`, `temperature` or `n_electrons` has a value out of range.
    TypeError
        If `atoms` is not an ``ase.Atoms``, `reference` is not a mapping, or another argument is not
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
        name=None,
        source=None,
    ):
        self.atoms = _check_atoms(atoms)
        is_grid = energies is None or isinstance(energies, EnergyGrid)
        self.energy_grid = energies if is_grid else EnergyGrid(energies)
        self.ldos = _check_field("ldos", ldos, 4)
        self.density = _check_field("density", density, 3)
        self.grid_shape = _check_grid(grid_shape, self.ldos, self.density)
        if self.ldos is not None:
            self._check_ldos_energies()
        self.temperature = None if temperature is None else check_temperature(temperature)
        self.n_electrons = (
            None if n_electrons is None else check_n_electrons(n_electrons, self.atoms)
        )
        reference = results_of(atoms) if reference is None else reference
        self.reference = check_reference(reference, len(atoms))
        self.name = _check_text("name", name)
        self.source = _check_text("source", source)

    @property
    def formula(self):
        """Chemical formula of the cell, such as ``"Al3Mg"``."""
        return chemical_formula(self.atoms)

    @property
    def label(self):
        """The name, or else formula and temperature; for legends and tables."""
        if self.name is not None:
            return self.name
        temperature = [] if self.temperature is None else [f"{self.temperature:g} K"]
        return ", ".join([self.formula, *temperature])

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

        The LDOS is read in slices and summed in double precision. Without one, it is
        ``reference["dos"]``, at the energies of the snapshot.
        """
        if self.ldos is None and "dos" in self.reference:
            self.require("energies")
            dos = np.array(self.reference["dos"], dtype=float)
            check_shape("reference['dos']", dos, (len(self.energies),))
            return dos
        self.require("ldos")
        try:
            total = sum_rows(self.ldos)
        except FileFormatError as error:
            raise SnapshotError(f"the LDOS of {self!r} cannot be used: {error}") from error
        if not np.isfinite(total).all():
            raise SnapshotError(f"the LDOS of {self!r} holds NaN or infinite values.")
        return total * self.voxel_volume

    def require(self, *names):
        """Raise a :class:`SnapshotError` that names missing attributes."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            hint = WITHOUT_LDOS if "ldos" in missing else ""
            raise SnapshotError(f"{self!r} lacks {' and '.join(missing)}, needed here{hint}.")

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
            "name": self.name,
            "source": self.source,
        }
        unknown = sorted(set(changes) - set(arguments))
        if unknown:
            raise TypeError(f"a Snapshot has no argument {unknown[0]!r}; it has {[*arguments]}.")
        # A new field may have another grid.
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
        parts = [] if self.name is None else [repr(self.name)]
        parts.append(self.formula)
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

    def _repr_html_(self):
        density = mass_density(self.atoms)
        rows = [
            ("name", self.name),
            ("source", self.source),
            ("atoms", f"{self.formula}, {density:.3g} g/cm³"),
            ("grid", self.grid_shape and " × ".join(map(str, self.grid_shape))),
            ("energies", self.energy_grid and self.energy_grid.summary()),
            ("temperature", self.temperature is not None and f"{self.temperature:g} K"),
            ("electrons", self.n_electrons is not None and f"{self.n_electrons:g}"),
            ("reference", ", ".join(self.reference)),
            ("density of states", self._curve()),
        ]
        return table("Snapshot", [(name, value) for name, value in rows if value])

    def _curve(self):
        """Return the DOS as a small curve, unless that requires reading a file."""
        if self.ldos is None:
            shape = None if self.energy_grid is None else self.energies.shape
            if np.shape(self.reference.get("dos")) != shape:
                return None
        elif isinstance(self.ldos, (LazyArray, np.memmap)):
            return "of an LDOS on disk"
        return sparkline(self.energies, self.dos(), self.reference.get("fermi_energy"))


def _check_text(name, value):
    if not isinstance(value, (str, type(None))):
        raise TypeError(f"{name} must be a string, got {value!r} of type {type(value).__name__}.")
    return value


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
    try:
        check_atoms_values(atoms)
    except ValueError as error:
        raise SnapshotError(str(error)) from None
    atoms = atoms.copy()
    # ASE keeps any type of number; distances need doubles.
    for name, dtype in (("numbers", int), ("positions", float)):
        atoms.arrays[name] = np.asarray(atoms.arrays[name], dtype=dtype)
    return atoms


def _check_field(name, field, ndim):
    """Return a field on the grid as an array, checked for NaN, or as a lazy handle."""
    if field is None:
        return None
    field = as_lazy(field)
    if field.dtype.kind not in "fiu":
        raise SnapshotError(f"{name} must hold real numbers, got dtype {field.dtype}.")
    try:
        check_unmasked(name, field)
        if field.ndim != ndim:
            raise ValueError(
                f"{name} must have shape ({', '.join(AXES[:ndim])}), got {tuple(field.shape)}."
            )
        if not isinstance(field, (LazyArray, np.memmap)):
            check_within(name, field, LARGEST)
    except ValueError as error:
        raise SnapshotError(str(error)) from None
    return field


def _check_grid(grid_shape, *fields):
    """Return the common grid of all `fields`."""
    shapes = [tuple(field.shape[:3]) for field in fields if field is not None]
    if grid_shape is not None:
        shapes.append(check_grid_size(check_grid_shape(grid_shape)))
    if len(set(shapes)) > 1:
        raise SnapshotError(
            "ldos, density and grid_shape must have the same grid, got "
            + " and ".join("x".join(map(str, shape)) for shape in shapes)
            + "."
        )
    return shapes[0] if shapes else None
