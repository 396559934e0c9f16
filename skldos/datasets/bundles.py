"""Bundled snapshots without a grid: atoms, atom-decomposed DOS, energies and forces."""

import hashlib
from importlib.resources import files

import numpy as np
from ase import Atoms

from skldos.data import EnergyGrid, Snapshot, SnapshotList
from skldos.exceptions import FileFormatError

#: Energies that pw.x printed, in eV, by their names in a snapshot's reference.
ENERGIES = (
    *("fermi_energy", "band_energy", "total_energy", "minus_ts"),
    *("one_electron", "hartree", "xc", "ewald"),
)


def checked_file(name):
    """Return the path of a file in ``skldos/datasets/data`` after checking its checksum."""
    folder = files("skldos.datasets") / "data"
    listed = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = dict(line.split()[::-1] for line in listed)
    path = folder / name
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    if checksum != sums[name]:
        raise FileFormatError(f"expected the checksum {sums[name]}, got {checksum}", path)
    return path


def read_bundle(name, pseudopotentials):
    """Return the snapshots in a bundle, a file that ``benchmarks/data/package.py`` writes.

    `pseudopotentials` holds the names of the files by element. The `reference` of each snapshot has
    the energies and forces of the calculation, the density of states (``"dos"``, 1/eV), the
    atom-decomposed DOS (``"ados"``, with the width ``"ados_sigma"`` of the partition in Å),
    ``"kind"`` and ``"split"``, and the ``"stress"`` (eV/Å³) if the file has it.
    """
    with np.load(checked_file(name), allow_pickle=False) as file:
        data = dict(file)
    ados = data["ados_low"] + data["ados_step"] * data["ados"].astype(float)
    grid = EnergyGrid(
        data["energies"], broadening=float(data["broadening"]), kernel=str(data["kernel"])
    )
    snapshots, start = [], 0
    for i, n_atoms in enumerate(data["n_atoms"]):
        rows = slice(start, start + int(n_atoms))
        start = rows.stop
        atoms = Atoms(
            data["numbers"][rows], data["positions"][rows], cell=data["cell"][i], pbc=True
        )
        reference = {key: float(data[key][i]) for key in ENERGIES} | {
            "forces": data["forces"][rows].astype(float),
            "dos": ados[rows].sum(axis=0),
            "ados": ados[rows],
            "ados_sigma": float(data["sigma"]),
            "functional": "lda-pz",
            "pseudopotentials": {s: pseudopotentials[s] for s in sorted(set(atoms.symbols))},
            "ecutwfc": float(data["ecutwfc"][i]),
            "kind": str(data["kind"][i]),
            "split": str(data["split"][i]),
        }
        if "stress" in data:
            reference["stress"] = data["stress"][i]
        snapshots.append(
            Snapshot(
                atoms,
                energies=grid,
                temperature=float(data["temperature"][i]),
                n_electrons=float(data["n_electrons"][i]),
                reference=reference,
                name=str(data["name"][i]),
            )
        )
    return SnapshotList(snapshots)
