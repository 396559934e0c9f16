"""Real data that come with the package: four-atom cells of aluminium."""

import hashlib
from importlib.resources import files

import numpy as np
from ase import Atoms

from skldos._validation import check_option
from skldos.data import EnergyGrid, Snapshot, SnapshotList
from skldos.exceptions import FileFormatError
from skldos.physics import Pseudopotential

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


def load_aluminium_pseudopotentials():
    """Return what total energies of the bundled snapshots need of their pseudopotential.

    It is ``Al.pz-vbc.UPF``, as Quantum ESPRESSO distributes it: norm-conserving, three valence
    electrons, no core correction.

    Returns
    -------
    dict of str to Pseudopotential
        That of aluminium.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium_pseudopotentials
    >>> load_aluminium_pseudopotentials()
    {'Al': Pseudopotential(Al, valence 3, lda-pz, norm-conserving)}
    """
    return {"Al": Pseudopotential("Al", 3, functional="lda-pz")}


def aluminium_recipe(**options):
    """Return the recipe with which the bundled snapshots were calculated.

    Their temperature comes with them: ``aluminium_recipe().run(load_aluminium(), directory)``
    would calculate them again, in half a minute each.

    Parameters
    ----------
    **options
        Arguments of :class:`EspressoRecipe` to change: `pseudo_dir`, where ``Al.pz-vbc.UPF`` of
        Quantum ESPRESSO lies, or `command`, or a temperature for other atoms.

    Returns
    -------
    EspressoRecipe
        With a cutoff of 12 Ry and 8×8×8 k points.

    Examples
    --------
    >>> from skldos.datasets import aluminium_recipe
    >>> aluminium_recipe(command="mpirun -np 2 pw.x -nk 2").energies
    EnergyGrid(81 energies from -6 to 10 eV, gaussian broadening 0.4 eV)
    """
    # Importing it takes a second, which those who load the data need not spend.
    from skldos.datasets.espresso import EspressoRecipe

    settings = {
        "pseudopotentials": {"Al": "Al.pz-vbc.UPF"},
        "energies": EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian"),
        "ecutwfc": 12.0,
        "kpts": (8, 8, 8),
        "n_bands": 20,
        "conv_thr": 1e-8,
        "input_data": {"system": {"nosym": True}, "electrons": {"mixing_beta": 0.7}},
    }
    return EspressoRecipe(**settings | options)


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
