"""MALA's files: arrays in ``.npy`` or ``.h5`` files and a JSON file of results."""

import json
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data import ArrayFile, EnergyGrid, Snapshot, as_rows, iter_slices
from skldos.data.files import atomic_array, atomic_file
from skldos.data.lazy import fill
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.geometry import grid_points
from skldos.io.limits import DAMAGE
from skldos.io.openpmd import read_openpmd
from skldos.units import BOLTZMANN, RYDBERG
from skldos.validation import check_scalar, check_shape

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


def read_mala(ldos_npy, info_json=None, *, energies=None):
    """Read a snapshot from MALA's files.

    :func:`read_snapshots` reads all snapshots in a folder.

    Parameters
    ----------
    ldos_npy : str, path-like or None
        LDOS of shape (n_x, n_y, n_z, n_energies) in 1/(eV Å³), usually ``*.out.npy``; it stays
        on disk as an :class:`~skldos.ArrayFile`. An openPMD file ``*.h5`` works too and needs
        h5py (``pip install skldos[io]``). None reads a snapshot without LDOS.
    info_json : str or path-like, optional
        Atoms, cell, temperature and energies, usually ``*.info.json``. None looks for a file with
        the same prefix in the folder of the LDOS.
    energies : EnergyGrid or array-like of shape (n_energies,), optional
        Energies of the LDOS in eV, required with an LDOS because neither file contains them. MALA
        defines them as offset + k · spacing: ``EnergyGrid.regular(offset, spacing, n)``.

    Returns
    -------
    Snapshot
        The snapshot, with the energies of the calculation as `reference`.

    Raises
    ------
    FileFormatError
        If a file lacks an entry or is damaged; the message names it.
    IsADirectoryError
        If a folder is given.
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
    for path in (ldos_npy, info_json):
        if path is not None and Path(path).is_dir():
            raise IsADirectoryError(
                f"read_mala takes the files of one snapshot, got the folder {path}; use "
                "skldos.io.read_snapshots(folder, energies=...) for all snapshots in it."
            )
    if info_json is None:
        info_json = _beside(ldos_npy)
    info_json = Path(info_json)
    ldos = None if ldos_npy is None else _ldos(ldos_npy)
    return snapshot_of_info(_read_json(info_json), info_json, energies=energies, ldos=ldos)


def write_mala(snapshot, prefix, *, descriptors=None):
    """Write a snapshot to MALA's files.

    :func:`read_mala` reads them back. The files do not contain the energies of the LDOS: set MALA's
    parameters ``ldos_gridoffset_ev``, ``ldos_gridspacing_ev`` and ``ldos_gridsize``.

    Parameters
    ----------
    snapshot : Snapshot
        Atoms with a grid, temperature and number of electrons. Its LDOS and density are written
        if it has them.
    prefix : str or path-like
        Beginning of the file names, including the folder: ``"mala/Al_0"``.
    descriptors : array-like or LazyArray of shape (n_grid_points, n_features), optional
        A block of descriptors of the grid points, for example from
        :class:`~skldos.GridSNAPTransformer`.

    Returns
    -------
    dict of str to Path
        The files: ``"info"`` (``.info.json``), and those of ``"ldos"`` (``.out.npy``,
        1/(eV Å³)), ``"density"`` (``.dens.npy``, 1/Å³), ``"dos"`` (``.dos.npy``, 1/eV) and
        ``"descriptors"`` (``.in.npy``, after the coordinates in Å) that were written.

    Raises
    ------
    SnapshotError
        If the snapshot has no grid.
    ValueError
        If `descriptors` do not have one row per grid point.

    Examples
    --------
    >>> import tempfile
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.io import read_mala, write_mala
    >>> (snapshot,) = make_snapshots(1, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_mala(snapshot, f"{folder}/Al_0")
    ...     again = read_mala(files["ldos"], files["info"], energies=snapshot.energy_grid)
    ...     bool((again.ldos[:] == snapshot.ldos).all())
    True
    """
    if not isinstance(snapshot, Snapshot):
        raise TypeError(f"snapshot must be a Snapshot, got {type(snapshot).__name__}.")
    snapshot.require("grid_shape", "temperature", "n_electrons")
    prefix = Path(prefix)
    info = json.dumps(_info(snapshot), indent=4)
    grid, cell = snapshot.grid_shape, snapshot.atoms.cell.array
    fields = {}
    if snapshot.ldos is not None:
        fields["ldos"] = ".out.npy", as_rows(snapshot.ldos), np.float32
        fields["dos"] = ".dos.npy", snapshot.dos(), np.float64
    if snapshot.density is not None:
        fields["density"] = ".dens.npy", as_rows(np.asarray(snapshot.density)[..., None]), float
    files = {"info": Path(f"{prefix}.info.json")}
    if descriptors is not None:
        check_shape("descriptors", descriptors, (snapshot.n_grid_points, None))
        files["descriptors"] = Path(f"{prefix}.in.npy")
        shape = (*grid, 3 + descriptors.shape[1])
        with atomic_array(files["descriptors"], shape, np.float32) as array:
            rows = array.reshape(-1, shape[-1])
            rows[:, :3] = grid_points(cell, grid)
            fill(rows[:, 3:], iter_slices(descriptors))
    for name, (ending, values, dtype) in fields.items():
        files[name] = Path(f"{prefix}{ending}")
        shape = values.shape if name == "dos" else (*grid, values.shape[-1])
        with atomic_array(files[name], shape, dtype) as array:
            rows = array if name == "dos" else array.reshape(-1, shape[-1])
            fill(rows, iter_slices(values))
    with atomic_file(files["info"], "w") as file:
        file.write(info)
    return files


def _info(snapshot):
    """Return the entries of an ``.info.json``."""
    atoms, reference = snapshot.atoms, snapshot.reference
    info = {
        "temperature": snapshot.temperature,
        "number_of_electrons_exact": snapshot.n_electrons,
        "electrons_per_atom": snapshot.n_electrons / len(atoms),
        "grid_dimensions": [int(n) for n in snapshot.grid_shape],
        # MALA reads these by name, whether they are known or not.
        "ibrav": 0,
        "ecutwfc": reference.get("ecutwfc"),
        "ecutrho": reference.get("ecutrho"),
        "degauss": snapshot.temperature * BOLTZMANN / RYDBERG,
        "pseudopotentials": dict(reference.get("pseudopotentials") or {}),
        "voxel": {"array": (atoms.cell.array / np.c_[list(snapshot.grid_shape)]).tolist()},
        "atoms": {
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "cell": atoms.cell.array.tolist(),
            "pbc": [True, True, True],
        },
    }
    info |= {key: float(reference[name]) for key, name in REFERENCE.items() if name in reference}
    if "forces" in reference:
        info["atomic_forces_dft"] = np.asarray(reference["forces"]).tolist()
    return info


def snapshot_of_info(info, path, *, energies=None, ldos=None):
    """Return the snapshot that the entries of an ``.info.json`` describe; see :func:`read_mala`."""
    if energies is not None and not isinstance(energies, EnergyGrid):
        energies = EnergyGrid(energies)
    try:
        pbc = np.array(_array(info["atoms"].get("pbc", True)))
        if pbc.dtype.kind != "b":
            raise ValueError(f"pbc must be true or false, got {pbc.tolist()!r}")
        numbers = np.array(_array(info["atoms"]["numbers"]))
        # ASE would truncate decimals, and interpret a string as a formula.
        if numbers.ndim != 1 or numbers.dtype.kind != "i":
            raise ValueError(f"numbers must be a list of atomic numbers, got {numbers.tolist()!r}")
        atoms = Atoms(
            numbers,
            positions=_array(info["atoms"]["positions"]),
            cell=_array(info["atoms"]["cell"]),
            pbc=pbc,
        )
        entries = {key: name for key, name in REFERENCE.items() if info.get(key) is not None}
        reference = {name: _number(info, key) for key, name in entries.items()}
        if info.get("atomic_forces_dft") is not None:
            forces = np.array(_array(info["atomic_forces_dft"]), dtype=float)
            check_shape("atomic_forces_dft", forces, (len(atoms), 3))
            reference["forces"] = forces
        return Snapshot(
            atoms,
            grid_shape=info["grid_dimensions"],
            energies=energies,
            temperature=_number(info, "temperature"),
            n_electrons=_number(info, "number_of_electrons_exact"),
            ldos=ldos,
            reference=reference,
        )
    except SnapshotError:
        raise
    except KeyError as error:
        raise FileFormatError(f"the entry {error} is missing", path) from error
    except DAMAGE as error:
        raise FileFormatError(f"an entry is damaged: {error}", path) from error


def _beside(ldos_npy):
    """Return the JSON file that belongs to an LDOS by its name."""
    if ldos_npy is None:
        raise TypeError("read_mala needs an LDOS or an info_json, got neither.")
    path = Path(ldos_npy)
    return path.with_name(f"{path.name.removesuffix(path.suffix).removesuffix('.out')}.info.json")


def _ldos(path):
    """Return a lazy handle of the LDOS in either of MALA's formats."""
    is_openpmd = Path(path).suffix in (".h5", ".hdf5")
    return read_openpmd(path) if is_openpmd else ArrayFile(path)


def _read_json(path):
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, or too many digits
        line = getattr(error, "lineno", None)
        raise FileFormatError(f"not a JSON file: {error}", path, line) from error
    if not isinstance(info, dict):
        raise FileFormatError(f"expected a JSON object, got a {type(info).__name__}", path)
    return info


def _number(info, key):
    return check_scalar(key, info[key])


def _array(entry):
    """Return the numbers of an entry; some are wrapped as ``{"array": ...}``."""
    return entry["array"] if isinstance(entry, dict) else entry
