"""The aluminium data next to the repository, as snapshots."""

import numpy as np

REFERENCE = (
    *("fermi_energy", "band_energy", "total_energy", "minus_ts"),
    *("one_electron", "hartree", "xc", "ewald", "forces"),
)


def read_snapshot(path):
    """Return a file of the data as a Snapshot; it holds the LDOS as float16 times `ldos_scale`."""
    from ase import Atoms

    from skldos import EnergyGrid, Snapshot

    with np.load(path) as data:
        energies = {"broadening": float(data["broadening"]), "kernel": "gaussian"}
        return Snapshot(
            Atoms(data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True),
            energies=EnergyGrid(data["energies"], **energies),
            temperature=float(data["temperature"]),
            n_electrons=float(data["n_electrons"]),
            ldos=data["ldos"].astype(np.float32) / np.float32(data["ldos_scale"]),
            density=data["density"],
            reference={
                name: data[name] if data[name].ndim else data[name].item() for name in REFERENCE
            },
        )


def thinned(snapshot, step):
    """Return a snapshot with every `step`-th point of the grid in each direction."""
    ldos = np.ascontiguousarray(snapshot.ldos[::step, ::step, ::step])
    return snapshot.replace(ldos=ldos, density=None)
