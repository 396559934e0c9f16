"""Snapshots on disk: a JSON index and one ``.npy`` file per field."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data.array_file import ArrayFile, write_array_file
from skldos.data.energy_grid import EnergyGrid
from skldos.data.files import atomic_file, staging_folder, sync_folder
from skldos.data.lazy import iter_slices
from skldos.data.ranges import check_charge
from skldos.data.snapshot import Snapshot
from skldos.exceptions import FileFormatError
from skldos.validation import check_shape

INDEX = "snapshots.json"
FORMAT = "skldos snapshots"
VERSION = 1
FIELDS = ("ldos", "density")
#: Attributes with the name and the origin of a snapshot.
TEXTS = ("name", "source")
#: Names of files that :func:`save_snapshots` writes.
OWN_NAME = re.compile(rf"({'|'.join(FIELDS)})_\d{{5,}}\.npy")


def save_snapshots(snapshots, directory, *, overwrite=False):
    """Write `snapshots` to `directory` and return it; see :meth:`SnapshotList.save`."""
    index = directory / INDEX
    _check_free(index, overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    with staging_folder(directory) as stage:
        records = [_write(snapshot, stage, i) for i, snapshot in enumerate(snapshots)]
        created = []
        try:
            _move_fields(records, stage, directory, created)
            content = {"format": FORMAT, "version": VERSION, "snapshots": records}
            # Another program may have saved here in the meantime.
            replaced = _check_free(index, overwrite)
            # The index is written last and in one step: a folder with an index is complete.
            with atomic_file(index, "w") as file:
                json.dump(content, file, indent=1, allow_nan=False)
        except BaseException:
            # The new index may already be in place; then its files stay.
            for name in set(created) - _check_free(index, overwrite=True):
                (directory / name).unlink(missing_ok=True)
            raise
    for name in replaced:
        # An index can name any file; only files that save() could have written are removed.
        if OWN_NAME.fullmatch(name):
            (directory / name).unlink(missing_ok=True)
    return directory


def load_snapshots(directory):
    """Return the list of snapshots in `directory`; see :meth:`SnapshotList.load`."""
    index = directory / INDEX
    if not index.exists():
        raise FileNotFoundError(f"{directory} holds no snapshots: there is no {INDEX} in it.")
    return [_read(record, directory, index) for record in _read_index(index)]


def _check_free(index, overwrite):
    """Return the names of the files to replace; raise an error if that is not allowed."""
    if not index.exists():
        return set()
    if not overwrite:
        raise FileExistsError(f"{index.parent} holds snapshots already; pass overwrite=True.")
    return set(_field_files(_read_index(index)))


def _move_fields(records, stage, directory, created):
    """Move the files of `records` to unused names in `directory`, and record these names."""
    number = 0
    for record in records:
        while not _claim(record, number, directory, created):
            number += 1
        for name in FIELDS:
            if name in record:
                final = f"{name}_{number:05d}.npy"
                os.replace(stage / record[name], directory / final)
                record[name] = final
        number += 1
    sync_folder(directory)


def _claim(record, number, directory, created):
    """Create empty files with the final names of one record; False if one of them exists.

    Existing files are never overwritten: they may belong to others, or be open for reading.
    """
    n_created = len(created)
    for name in (f"{name}_{number:05d}.npy" for name in FIELDS if name in record):
        try:
            (directory / name).touch(exist_ok=False)
        except FileExistsError:
            while len(created) > n_created:
                (directory / created.pop()).unlink()
            return False
        created.append(name)
    return True


def _read_index(index):
    """Return the records of an index, one mapping per snapshot."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise FileFormatError(f"not JSON: {error.msg}", index, error.lineno) from error
    except (ValueError, RecursionError) as error:  # encoding, digits, depth
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
    """Return the names of the files that hold the fields of some records."""
    return [record[name] for record in records for name in FIELDS if name in record]


def _write(snapshot, directory, position):
    if snapshot.n_electrons is not None:
        check_charge(snapshot.n_electrons, snapshot.atoms)
    grid = snapshot.energy_grid
    record = {
        "numbers": snapshot.atoms.numbers.tolist(),
        "positions": snapshot.atoms.positions.tolist(),
        "cell": snapshot.atoms.cell.array.tolist(),
        "grid_shape": snapshot.grid_shape,
        "temperature": snapshot.temperature,
        "n_electrons": snapshot.n_electrons,
        "reference": _plain(snapshot.reference),
    }
    for name in TEXTS:
        if getattr(snapshot, name) is not None:
            record[name] = getattr(snapshot, name)
    if grid is not None:
        record["energies"] = grid.values.tolist()
        record["broadening"] = grid.broadening
        record["kernel"] = grid.kernel
        if len(grid.windows) > 1:
            record["windows"] = [
                {"energies": w.values.tolist(), "broadening": w.broadening, "kernel": w.kernel}
                for w in grid.windows
            ]
    for name in FIELDS:
        field = getattr(snapshot, name)
        if field is not None:
            record[name] = f"{name}_{position}.npy"
            path, slices = directory / record[name], iter_slices(field)
            digest = write_array_file(path, field.shape, field.dtype, slices)
            record.setdefault("digests", {})[name] = digest
    return record


def _plain(value):
    """Return an entry of a reference as a JSON value."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return np.asarray(value).tolist()


def _read_grid(record):
    return EnergyGrid(record["energies"], broadening=record["broadening"], kernel=record["kernel"])


def _read(record, directory, index):
    try:
        grid = None
        if "energies" in record:
            grid = _read_grid(record)
            if "windows" in record:
                grid = EnergyGrid.joined(*map(_read_grid, record["windows"]))
        fields = {name: ArrayFile(directory / record[name]) for name in FIELDS if name in record}
        reference = {
            key: np.array(value) if isinstance(value, list) else value
            for key, value in record["reference"].items()
        }
        snapshot = Snapshot(
            _read_atoms(record),
            grid_shape=record["grid_shape"],
            energies=grid,
            temperature=record["temperature"],
            n_electrons=record["n_electrons"],
            reference=reference,
            **{name: record.get(name) for name in TEXTS},
            **fields,
        )
        if snapshot.n_electrons is not None:
            check_charge(snapshot.n_electrons, snapshot.atoms)
        for name, digest in record.get("digests", {}).items():
            if fields[name].digest != digest:
                raise FileFormatError(
                    f"this is not the file that was saved as the {name} of a snapshot",
                    fields[name].path,
                )
        return snapshot
    except KeyError as error:
        raise FileFormatError(f"a snapshot lacks the entry {error}", index) from error
    except FileFormatError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise FileFormatError(f"a snapshot is damaged: {error}", index) from error


def _read_atoms(record):
    numbers = np.array(record["numbers"])
    # ASE would truncate decimals, and interpret a string as a formula.
    if numbers.ndim != 1 or numbers.dtype.kind != "i":
        raise ValueError("numbers must be a list of atomic numbers")
    positions, cell = (np.array(record[name], dtype=float) for name in ("positions", "cell"))
    check_shape("positions", positions, (len(numbers), 3))
    check_shape("cell", cell, (3, 3))
    return Atoms(numbers, positions=positions, cell=cell, pbc=True)
