"""Band energies from densities of states, as all studies of errors compare them."""

import numpy as np


def dos_of(ldos, snapshot):
    """Return the density of states in 1/eV of an LDOS on the grid of a snapshot."""
    rows = np.reshape(ldos, (-1, len(snapshot.energies)))
    return np.sum(rows, axis=0, dtype=float) * snapshot.voxel_volume


def band_energies(dos, snapshots):
    """Return band energies in meV/atom, each at the Fermi level of its density of states."""
    from skldos.physics import band_energy, fermi_level

    energies = []
    for D, s in zip(dos, snapshots, strict=True):
        state = {"temperature": s.temperature}
        level = fermi_level(D, s.energies, n_electrons=s.n_electrons, **state)
        energies.append(band_energy(D, s.energies, fermi_level=level, **state) / len(s.atoms))
    return 1e3 * np.array(energies)
