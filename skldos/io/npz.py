"""Snapshots as single ``.npz`` files, the format of the benchmarks and the bundled data."""

import json
import zipfile
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data import EnergyGrid, Snapshot
from skldos.exceptions import FileFormatError, SnapshotError

#: Entries that become part of the reference of a snapshot.
REFERENCE = (
    *("fermi_energy", "band_energy", "total_energy", "minus_ts", "one_electron", "hartree", "xc"),
    *("ewald", "forces", "stress", "ecutwfc", "ecutrho", "functional", "charge", "dos", "ados"),
    "pseudopotentials",
)
#: Entries with another name in the reference.
RENAMED = {"sigma": "ados_sigma"}


def read_npz(path):
    """Read a snapshot from one ``.npz`` file.

    Parameters
    ----------
    path : str or path-like
        A file with ``numbers``, ``positions`` and ``cell`` (Å). Optional entries are
        ``temperature`` (K), ``n_electrons``, ``grid_shape``; ``energies``, ``broadening`` (eV) and
        ``kernel`` (default Gaussian); ``ldos`` and ``density``, divided by ``ldos_scale`` and
        ``density_scale`` if these are given; and, as entries of the reference,
        ``fermi_energy``, ``band_energy``, ``total_energy``, ``minus_ts``, ``one_electron``,
        ``hartree``, ``xc``, ``ewald`` (eV), ``forces`` (eV/Å), ``stress`` (eV/Å³), ``dos``,
        ``ados`` (1/eV) and ``sigma`` (Å, ``"ados_sigma"`` there), ``functional``, ``charge``,
        ``ecutwfc``, ``ecutrho`` (Ry), ``pseudopotentials`` (JSON). Other entries are ignored.

    Returns
    -------
    Snapshot
        Named after the file, with the path as `source`.

    Raises
    ------
    FileFormatError
        If the file is damaged, lacks the atoms or holds impossible values.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skldos.io import read_npz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/a.npz", numbers=[13], positions=[[0, 0, 0]], cell=3 * np.eye(3))
    ...     read_npz(f"{folder}/a.npz")
    Snapshot('a', Al)
    """
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"not an .npz file, or damaged: {error}", path) from error
    try:
        return _snapshot(data, path)
    except KeyError as error:
        raise FileFormatError(f"the entry {error} is missing", path) from error
    except (SnapshotError, TypeError, ValueError) as error:
        raise FileFormatError(f"it holds no snapshot: {error}", path) from error


def _snapshot(data, path):
    for name, kinds in {"numbers": "iu", "positions": "fiu", "cell": "fiu"}.items():
        _check_kind(data, name, kinds)
    atoms = Atoms(data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
    without_fields = "grid_shape" in data and not {"ldos", "density"} & data.keys()
    return Snapshot(
        atoms,
        grid_shape=tuple(data["grid_shape"].tolist()) if without_fields else None,
        energies=_energies(data),
        temperature=_number(data, "temperature"),
        n_electrons=_number(data, "n_electrons"),
        ldos=_field(data, "ldos"),
        density=_field(data, "density"),
        reference=_reference(data),
        name=path.stem,
        source=str(path),
    )


def _reference(data):
    names = {n: n for n in REFERENCE} | RENAMED
    return {name: _entry(data[key]) for key, name in names.items() if key in data}


def _energies(data):
    if "energies" not in data:
        return None
    kernel = str(data["kernel"]) if "kernel" in data else "gaussian"
    broadening = _number(data, "broadening")
    return EnergyGrid(
        data["energies"], broadening=broadening, kernel=None if broadening is None else kernel
    )


def _field(data, name):
    if name not in data:
        return None
    if f"{name}_scale" not in data:
        return data[name]
    return data[name].astype(np.float32) / np.float32(data[f"{name}_scale"])


def _number(data, name):
    if name not in data:
        return None
    _check_kind(data, name, "fiu")
    return float(data[name])


def _check_kind(data, name, kinds):
    """Raise a ``TypeError`` for numbers that would be read as others."""
    if data[name].dtype.kind not in kinds:
        expected = "integers" if kinds == "iu" else "real numbers"
        raise TypeError(f"{name} must be {expected}, got {data[name].dtype}")


def _entry(value):
    """Return an entry of the reference; strings may be JSON."""
    if value.dtype.kind == "U" and value.ndim == 0:
        text = str(value)
        return json.loads(text) if text.startswith("{") else text
    return value.item() if value.ndim == 0 else value
