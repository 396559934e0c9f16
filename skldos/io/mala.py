"""The layout of MALA: arrays in ``.npy`` or ``.h5`` files beside a JSON file of results."""

import json
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data import ArrayFile, EnergyGrid, Snapshot
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.io.openpmd import read_openpmd

#: Names of the energies in the JSON file, in eV, and in the reference of a snapshot.
REFERENCE = {
    "fermi_energy_dft": "fermi_energy",
    "band_energy_dft_calculation": "band_energy",
    "total_energy_dft_calculation": "total_energy",
    "entropy_contribution_dft_calculation": "minus_ts",
    "one_electron_contribution": "one_electron",
    "hartree_contribution": "hartree",
    "xc_contribution": "xc",
    "ewald_contribution": "ewald",
}


def read_mala(ldos_npy, info_json, *, energies):
    """Read a snapshot from the files that MALA works with.

    Parameters
    ----------
    ldos_npy : str, path-like or None
        LDOS of shape (n_x, n_y, n_z, n_energies) in 1/(eV Å³), usually ``*.out.npy``; it is
        not read but handed on as an :class:`~skldos.ArrayFile`. An openPMD file ``*.h5`` will
        do as well, which needs h5py (``pip install skldos[io]``). None reads the rest alone.
    info_json : str or path-like
        Atoms, cell, temperature and energies, usually ``*.info.json``.
    energies : EnergyGrid or array-like of shape (n_energies,) or None
        Energies of the LDOS in eV; they stand in neither file. MALA counts them as
        offset + k · spacing: ``EnergyGrid.regular(offset, spacing, n)``.

    Returns
    -------
    Snapshot
        The snapshot, with the energies of the calculation as `reference`.

    Raises
    ------
    FileFormatError
        If a file lacks an entry or is damaged; the message names it.
    SnapshotError
        If grid, energies and LDOS do not fit together.

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> from skldos.io import read_mala
    >>> snapshot = read_mala(
    ...     "Be_snapshot0.out.npy",
    ...     "Be_snapshot0.info.json",
    ...     energies=EnergyGrid.regular(-5.0, 2.5, 11, broadening=5.0, kernel="fermi-dirac"),
    ... )  # doctest: +SKIP
    """
    info_json = Path(info_json)
    info = _read_json(info_json)
    if energies is not None and not isinstance(energies, EnergyGrid):
        energies = EnergyGrid(energies)
    ldos = None if ldos_npy is None else _ldos(ldos_npy)
    try:
        atoms = Atoms(
            _array(info["atoms"]["numbers"]),
            positions=_array(info["atoms"]["positions"]),
            cell=_array(info["atoms"]["cell"]),
            pbc=_array(info["atoms"].get("pbc", True)),
        )
        reference = {name: info[key] for key, name in REFERENCE.items() if key in info}
        if "atomic_forces_dft" in info:
            reference["forces"] = np.array(_array(info["atomic_forces_dft"]), dtype=float)
        return Snapshot(
            atoms,
            grid_shape=info["grid_dimensions"],
            energies=energies,
            temperature=info["temperature"],
            n_electrons=info["number_of_electrons_exact"],
            ldos=ldos,
            reference=reference,
        )
    except SnapshotError:
        raise
    except KeyError as error:
        raise FileFormatError(f"the entry {error} is missing", info_json) from error
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"an entry is damaged: {error}", info_json) from error


def _ldos(path):
    """Return a lazy handle of the LDOS in either of the formats of MALA."""
    is_openpmd = Path(path).suffix in (".h5", ".hdf5")
    return read_openpmd(path) if is_openpmd else ArrayFile(path)


def _read_json(path):
    try:
        info = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", None)
        raise FileFormatError(f"not a JSON file: {error}", path, line) from error
    if not isinstance(info, dict):
        raise FileFormatError(f"expected a JSON object, got a {type(info).__name__}", path)
    return info


def _array(entry):
    """Return the numbers of an entry; some are wrapped as ``{"array": ...}``."""
    return entry["array"] if isinstance(entry, dict) else entry
