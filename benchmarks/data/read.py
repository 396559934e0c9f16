"""Snapshots of a set: those that come with the package, and what `make.py` has finished since."""

import numpy as np

from benchmarks.common import harness
from benchmarks.data import make

#: Where `make.py` leaves finished snapshots, unless it is told otherwise.
MADE = harness.OUTPUT / "data" / "output"
POTENTIALS = {
    "Al": "Al.pz-vbc.UPF",
    "Mg": "Mg.pz-n-vbc.UPF",
    "Si": "Si.pz-vbc.UPF",
    "C": "C.UPF",
}


def snapshots_of(name, folders=()):
    """Return all snapshots of a set, without a grid, each once.

    Parameters
    ----------
    name : {"al32", "almg", "sic"}
        Of the set.
    folders : sequence of Path
        Folders with ``name/*.npz`` of `make.py`.

    Returns
    -------
    SnapshotList
        Those of the package first, then those of `bundles/`, then those of the folders.
    """
    from skldos import SnapshotList
    from skldos.datasets import (
        load_aluminium,
        load_aluminium_magnesium,
        load_silicon_carbide,
    )

    bundled = {
        "al32": lambda: load_aluminium(n_atoms=32),
        "almg": load_aluminium_magnesium,
        "sic": load_silicon_carbide,
    }
    snapshots = list(bundled[name]()) if name in bundled else []
    made = [as_snapshot(one) for one in make.unbundle(make.BUNDLES / f"{name}.npz")]
    for folder in folders:
        made += [as_snapshot(np.load(path)) for path in sorted((folder / name).glob("*.npz"))]
    known = {s.name for s in snapshots}
    for snapshot in made:
        if snapshot.name not in known:
            known.add(snapshot.name)
            snapshots.append(snapshot)
    return SnapshotList(snapshots)


def as_snapshot(data):
    """Return a snapshot without a grid, from the arrays that `make.py` keeps."""
    from ase import Atoms

    from skldos import EnergyGrid, Snapshot
    from skldos.datasets.bundles import ENERGIES

    atoms = Atoms(data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
    grid = EnergyGrid(
        data["energies"], broadening=float(data["broadening"]), kernel=str(data["kernel"])
    )
    reference = {key: float(data[key]) for key in ENERGIES if key in data} | {
        "forces": data["forces"],
        "ados": data["ados"].astype(float),
        "dos": data["ados"].astype(float).sum(axis=0),
        "ados_sigma": float(data["sigma"]),
        "functional": "lda-pz",
        "pseudopotentials": {s: POTENTIALS[s] for s in sorted(set(atoms.symbols))},
        "ecutwfc": float(data["ecutwfc"]),
        "split": str(data["split"]),
    }
    return Snapshot(
        atoms,
        energies=grid,
        temperature=float(data["temperature"]),
        n_electrons=float(data["n_electrons"]),
        reference=reference,
        name=str(data["name"]),
    )
