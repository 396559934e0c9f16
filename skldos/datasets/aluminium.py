"""Real data that come with the package: four-atom cells of aluminium."""

import hashlib
from importlib.resources import files

import numpy as np
from ase import Atoms

from skldos._validation import check_option
from skldos.data import EnergyGrid, Snapshot, SnapshotList
from skldos.exceptions import FileFormatError

TEMPERATURES = (298, 933)
SNAPSHOTS_PER_TEMPERATURE = 4
#: What pw.x printed, by the names that a snapshot's reference has too.
REFERENCE = (
    "fermi_energy",
    "band_energy",
    "total_energy",
    "minus_ts",
    "one_electron",
    "hartree",
    "xc",
    "ewald",
    "forces",
)


def load_aluminium(*, temperature=None):
    """Load the bundled density-functional snapshots of aluminium.

    Eight cells of four atoms, displaced as at 298 K and at 933 K, with the LDOS on an 18³ grid
    and 81 energies, the density, and the energies and forces of Quantum ESPRESSO. How they
    were made stands in the README beside the files.

    Parameters
    ----------
    temperature : {298, 933}, optional
        Return only the snapshots at this temperature, in K.

    Returns
    -------
    SnapshotList
        Snapshots, 298 K first.

    Raises
    ------
    FileFormatError
        If a file is not the one that was bundled.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> snapshots = load_aluminium()
    >>> len(snapshots), snapshots[0]
    (8, Snapshot(Al4, grid 18x18x18, 81 energies -6…10 eV, 298 K, ldos, density))
    """
    check_option("temperature", temperature, (None, *TEMPERATURES))
    folder = files("skldos.datasets") / "data"
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    chosen = TEMPERATURES if temperature is None else (temperature,)
    names = [f"Al4_{t}K_{i}.npz" for t in chosen for i in range(SNAPSHOTS_PER_TEMPERATURE)]
    return SnapshotList([_read(folder / name, sums[name]) for name in names])


def _read(path, checksum):
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != checksum:
        raise FileFormatError(f"expected the checksum {checksum}, got {found}", path)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
        # Stored in half precision after scaling to its range.
        ldos = data["ldos"].astype(np.float32) / np.float32(data["ldos_scale"])
        energies = EnergyGrid(
            data["energies"], broadening=float(data["broadening"]), kernel="gaussian"
        )
        atoms = Atoms(data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
        return Snapshot(
            atoms,
            energies=energies,
            temperature=float(data["temperature"]),
            n_electrons=float(data["n_electrons"]),
            ldos=ldos,
            density=data["density"],
            reference={
                name: data[name] if data[name].ndim else data[name].item() for name in REFERENCE
            },
        )
