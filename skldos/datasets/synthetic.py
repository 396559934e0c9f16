"""Synthetic snapshots for tests and examples."""

import numpy as np
from sklearn.utils import check_random_state

from skldos import physics
from skldos.data import EnergyGrid, Snapshot, SnapshotList
from skldos.geometry import check_grid_shape, grid_points
from skldos.validation import check_scalar

#: Electrons per atom, and their Fermi level in eV at 0 K.
VALENCE = 3.0
FILLED_TO = 7.0


def make_snapshots(
    n,
    *,
    grid_shape=(6, 6, 6),
    n_energies=21,
    displacement=0.1,
    temperature=298.0,
    random_state=None,
):
    r"""Make synthetic snapshots of displaced fcc aluminium with a model LDOS.

    The LDOS models free electrons in a potential that depends on the surrounding atoms,

    .. math:: d(r, E) \propto n(r) \sqrt{E - E_0 + n(r) / \bar n},

    where the density :math:`n(r)` is a sum of Gaussians on the atoms. Like a real LDOS, it is
    smooth, positive, and a local function of the structure. The numbers have no other physical
    meaning.

    Parameters
    ----------
    n : int
        Number of snapshots, of four atoms each.
    grid_shape : tuple of 3 int, default=(6, 6, 6)
        Points along each cell vector.
    n_energies : int, default=21
        Number of energies, from −4 to 12 eV.
    displacement : float, default=0.1
        Standard deviation of the displacements in Å.
    temperature : float, default=298.0
        Electronic temperature in K.
    random_state : int, RandomState instance or None, default=None
        Seed of the displacements.

    Returns
    -------
    SnapshotList
        Snapshots with LDOS, density, and band energy and Fermi level of the model as
        `reference`.

    Examples
    --------
    >>> from skldos.datasets import make_snapshots
    >>> make_snapshots(2, random_state=0)[0]
    Snapshot(Al4, grid 6x6x6, 21 energies -4…12 eV, 298 K, ldos, density)
    """
    # Imported here: it loads ase.db and ase.io, which commands on real data do not need.
    from ase.build import bulk

    n = check_scalar("n", n, low=1, integer=True)
    check_scalar("displacement", displacement, low=0)
    grid_shape = check_grid_shape(grid_shape)
    rng = check_random_state(random_state)
    energies = np.linspace(-4.0, 12.0, check_scalar("n_energies", n_energies, low=2, integer=True))
    snapshots = []
    for _ in range(n):
        atoms = bulk("Al", cubic=True)
        atoms.positions += rng.normal(scale=displacement, size=(len(atoms), 3))
        snapshots.append(_snapshot(atoms, grid_shape, energies, temperature))
    return SnapshotList(snapshots)


def _snapshot(atoms, grid_shape, energies, temperature):
    cell = atoms.cell.array
    n_electrons = VALENCE * len(atoms)
    voxel = atoms.cell.volume / np.prod(grid_shape)
    weight = _gaussians(grid_points(cell, grid_shape), atoms)
    weight *= n_electrons / (weight.sum() * voxel)  # 1/Å^3
    shifted = energies + 3.0 + weight[:, None] / weight.mean()
    ldos = weight[:, None] * np.sqrt(np.maximum(shifted, 0.0))
    dos = ldos.sum(axis=0) * voxel
    filled = physics.n_electrons(dos, energies, temperature=0.0, fermi_level=FILLED_TO)
    ldos *= n_electrons / filled
    dos *= n_electrons / filled
    mu = physics.fermi_level(dos, energies, temperature=temperature, n_electrons=n_electrons)
    state = {"temperature": temperature, "fermi_level": mu}
    return Snapshot(
        atoms,
        energies=EnergyGrid(energies),
        temperature=temperature,
        n_electrons=n_electrons,
        ldos=ldos.reshape(*grid_shape, -1).astype(np.float32),
        density=physics.density(ldos, energies, **state).reshape(grid_shape),
        reference={
            "fermi_energy": float(mu),
            "band_energy": float(physics.band_energy(dos, energies, **state)),
            "minus_ts": float(physics.entropy(dos, energies, **state)),
        },
    )


def _gaussians(points, atoms, width=0.8):
    """Return the sum of Gaussians on the atoms and their nearest images at `points`."""
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centers = (atoms.positions[:, None] + images @ atoms.cell.array).reshape(-1, 3)
    squared = ((points[:, None] - centers) ** 2).sum(axis=-1)
    return np.exp(-squared / (2 * width**2)).sum(axis=1)
