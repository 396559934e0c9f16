"""Equivalent descriptions of the same crystal, including the fields of a snapshot."""

from typing import NamedTuple

import numpy as np

from skldos.data import Snapshot
from skldos.geometry import volume

#: A rotation about no axis of a crystal.
ROTATION = np.array([[2, 3, 6], [6, 2, -3], [-3, 6, -2]]) / 7


class Change(NamedTuple):
    """A snapshot of the same crystal, and the map of its sites to those of the original.

    Attributes
    ----------
    snapshot : Snapshot
        The other description.
    points : ndarray of shape (n_grid_points,)
        For each grid point the one of the original.
    atoms : ndarray of shape (n_atoms,)
        For each atom that of the original.

    Examples
    --------
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.testing.changes import reordered
    >>> snapshot = make_snapshots(1, random_state=0)[0]
    >>> reordered(snapshot).atoms
    array([3, 2, 1, 0])
    """

    snapshot: Snapshot
    points: np.ndarray
    atoms: np.ndarray

    def rows(self, block):
        """Return the rows that the block of the changed snapshot must have."""
        n_points = self.points.max() + 1
        return np.asarray(block)[self.points if len(block) == n_points else self.atoms]


def lattice_shifts(snapshot):
    """Move every atom by a different lattice vector, as after molecular dynamics."""
    atoms = snapshot.atoms.copy()
    shifts = np.random.default_rng(0).integers(-3, 4, (len(atoms), 3))
    shifts[0] = (1, 0, -2)  # at least one moves
    atoms.positions += shifts @ atoms.cell.array
    return _same_sites(snapshot, atoms)


def another_cell(snapshot):
    """Describe the same lattice by other, oblique vectors."""
    return _by_integers(snapshot, [[1, 0, 0], [1, 1, 0], [-1, 2, 1]])


def left_handed(snapshot):
    """Describe the same lattice by vectors of opposite handedness."""
    return _by_integers(snapshot, [[0, 1, 0], [1, 0, 0], [0, 0, 1]])


def reversed_axis(snapshot):
    """Reverse one lattice vector."""
    return _by_integers(snapshot, [[1, 0, 0], [0, -1, 0], [0, 0, 1]])


def supercell(snapshot):
    """Repeat the cell along one axis."""
    atoms = snapshot.atoms.repeat((1, 2, 1))
    index = np.arange(snapshot.n_grid_points).reshape(snapshot.grid_shape)
    points = np.concatenate([index, index], axis=1)
    each = np.tile(np.arange(len(snapshot.atoms)), 2)
    return Change(_moved(snapshot, atoms, points), points.ravel(), each)


def reordered(snapshot):
    """List the atoms in another order."""
    order = np.arange(len(snapshot.atoms))[::-1]
    changed = _same_sites(snapshot, snapshot.atoms[order])
    return changed._replace(atoms=order)


def rotated(snapshot):
    """Rotate atoms and cell in space; the grid turns with the cell."""
    atoms = snapshot.atoms.copy()
    atoms.set_cell(atoms.cell.array @ ROTATION)
    atoms.positions = snapshot.atoms.positions @ ROTATION
    return _same_sites(snapshot, atoms)


def _same_sites(snapshot, atoms):
    points = np.arange(snapshot.n_grid_points).reshape(snapshot.grid_shape)
    return Change(_moved(snapshot, atoms, points), points.ravel(), np.arange(len(atoms)))


def _by_integers(snapshot, matrix):
    """Return the same crystal by the cell vectors ``matrix @ cell``; the grid maps onto itself.

    For a grid with equally many points along each vector; its points do not change.
    """
    matrix, shape = np.array(matrix), np.array(snapshot.grid_shape)
    if len(set(shape)) > 1 or abs(round(np.linalg.det(matrix))) != 1:
        raise ValueError(f"the grid must have as many points along each vector, got {shape}.")
    atoms = snapshot.atoms.copy()
    atoms.set_cell(matrix @ atoms.cell.array)
    ijk = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    old = np.moveaxis(ijk @ matrix % shape, -1, 0)
    points = np.ravel_multi_index(tuple(old), tuple(shape))
    return Change(_moved(snapshot, atoms, points), points.ravel(), np.arange(len(atoms)))


def _moved(snapshot, atoms, points):
    """Return a snapshot of `atoms` whose fields are those of the given points."""
    times = volume(atoms.cell.array) / volume(snapshot.atoms.cell.array)
    moved = {}
    for name in ("ldos", "density"):
        field = getattr(snapshot, name)
        if field is not None:
            field = np.asarray(field)
            moved[name] = field.reshape(-1, *field.shape[3:])[points]
    n_electrons = snapshot.n_electrons
    return Snapshot(
        atoms,
        grid_shape=points.shape,
        energies=snapshot.energy_grid,
        temperature=snapshot.temperature,
        n_electrons=None if n_electrons is None else n_electrons * round(times),
        reference={k: v for k, v in snapshot.reference.items() if isinstance(v, str)}
        | {k: v for k, v in snapshot.reference.items() if k.startswith("ecut")},
        **moved,
    )
