"""Snapshots on disk: a JSON index beside one ``.npy`` file per field."""

import json
import os
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data.array_file import ArrayFile
from skldos.data.energy_grid import EnergyGrid
from skldos.data.lazy import iter_slices
from skldos.data.snapshot import Snapshot
from skldos.exceptions import FileFormatError

INDEX = "snapshots.json"
FORMAT = "skldos snapshots"
VERSION = 1
FIELDS = ("ldos", "density")


def save_snapshots(snapshots, directory, *, overwrite=False):
    """Write `snapshots` to `directory` and return it; see :meth:`SnapshotList.save`."""
    index = directory / INDEX
    if index.exists() and not overwrite:
        raise FileExistsError(f"{directory} holds snapshots already; pass overwrite=True.")
    directory.mkdir(parents=True, exist_ok=True)
    replaced = _field_files(_read_index(index)) if index.exists() else []
    # No file is written over: `snapshots` may be reading it, and if this is interrupted the
    # old index still describes a complete set. Numbers go on from those that are taken.
    taken = [int(path.stem[-5:]) for path in directory.glob("*_" + 5 * "[0-9]" + ".npy")]
    first = max(taken, default=-1) + 1
    records = [_write(snapshot, directory, i) for i, snapshot in enumerate(snapshots, first)]
    # The index comes last and in one step: a folder with an index is complete.
    temporary = index.with_suffix(".partial")
    content = {"format": FORMAT, "version": VERSION, "snapshots": records}
    temporary.write_text(json.dumps(content, indent=1))
    os.replace(temporary, index)
    for name in replaced:
        (directory / name).unlink(missing_ok=True)
    return directory


def load_snapshots(directory):
    """Return the list of snapshots in `directory`; see :meth:`SnapshotList.load`."""
    index = directory / INDEX
    if not index.exists():
        raise FileNotFoundError(f"{directory} holds no snapshots: there is no {INDEX} in it.")
    return [_read(record, directory, index) for record in _read_index(index)]


def _read_index(index):
    """Return the records of an index, one mapping per snapshot."""
    try:
        content = json.loads(index.read_text())
    except json.JSONDecodeError as error:
        raise FileFormatError(f"not JSON: {error.msg}", index, error.lineno) from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"not JSON: {error}", index) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FileFormatError(f"expected the format {FORMAT!r}", index)
    if content.get("version") != VERSION:
        raise FileFormatError(
            f"expected version {VERSION} of the format, got {content.get('version')!r}", index
        )
    records = content.get("snapshots")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise FileFormatError("expected a list of snapshots", index)
    for name in _field_files(records):
        if not isinstance(name, str) or Path(name).name != name:
            raise FileFormatError(f"expected the name of a file beside it, got {name!r}", index)
    return records


def _field_files(records):
    """Return the names of the files in which the fields of some records are."""
    return [record[name] for record in records for name in FIELDS if name in record]


def _write(snapshot, directory, position):
    grid = snapshot.energy_grid
    record = {
        "numbers": snapshot.atoms.numbers.tolist(),
        "positions": snapshot.atoms.positions.tolist(),
        "cell": snapshot.atoms.cell.array.tolist(),
        "grid_shape": snapshot.grid_shape,
        "temperature": snapshot.temperature,
        "n_electrons": snapshot.n_electrons,
        "reference": {key: np.asarray(v).tolist() for key, v in snapshot.reference.items()},
    }
    if grid is not None:
        record["energies"] = grid.values.tolist()
        record["broadening"] = grid.broadening
        record["kernel"] = grid.kernel
    for name in FIELDS:
        field = getattr(snapshot, name)
        if field is not None:
            record[name] = f"{name}_{position:05d}.npy"
            _write_array(field, directory / record[name])
    return record


def _write_array(array, path):
    """Write `array` slice by slice; the file appears under its name when it is complete."""
    temporary = path.with_suffix(".partial")
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(array.dtype)),
        "fortran_order": False,
        "shape": tuple(array.shape),
    }
    with open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for rows in iter_slices(array):
            np.ascontiguousarray(rows).tofile(file)
    os.replace(temporary, path)


def _read(record, directory, index):
    try:
        grid = None
        if "energies" in record:
            grid = EnergyGrid(
                record["energies"], broadening=record["broadening"], kernel=record["kernel"]
            )
        fields = {name: ArrayFile(directory / record[name]) for name in FIELDS if name in record}
        reference = {
            key: np.array(value) if isinstance(value, list) else value
            for key, value in record["reference"].items()
        }
        atoms = Atoms(
            record["numbers"], positions=record["positions"], cell=record["cell"], pbc=True
        )
        return Snapshot(
            atoms,
            grid_shape=record["grid_shape"],
            energies=grid,
            temperature=record["temperature"],
            n_electrons=record["n_electrons"],
            reference=reference,
            **fields,
        )
    except KeyError as error:
        raise FileFormatError(f"a snapshot lacks the entry {error}", index) from error
    except FileFormatError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"a snapshot is damaged: {error}", index) from error
