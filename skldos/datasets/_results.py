"""Snapshots that are added to a folder one by one, each of them wholly or not at all.

``directory/00003/finished.json`` says that snapshot 3 is complete, and with which settings it was
made; its fields lie in ``directory`` itself, where one index covers all that are finished. Every
file appears under its name in one step, so whatever stops the program leaves nothing half-written
that could be taken for a result.
"""

import json
import os
import tempfile
from pathlib import Path

from skldos.data import SnapshotList
from skldos.data.storage import FIELDS, FORMAT, INDEX, VERSION
from skldos.exceptions import FileFormatError

FINISHED = "finished.json"


def check_folder(directory):
    """Make sure that `directory` may be used: it does not hold snapshots of another origin."""
    if (directory / INDEX).exists() and not any(directory.glob(f"*/{FINISHED}")):
        raise FileExistsError(
            f"{directory} holds snapshots that were not calculated there; choose another folder."
        )


def folder_of(directory, position):
    """Return the folder of one snapshot."""
    return directory / f"{position:05d}"


def settings_of(directory, position):
    """Return the settings with which a snapshot was made, or None if it is not finished."""
    finished = _read(folder_of(directory, position) / FINISHED)
    if finished is None:
        return None
    record = finished["snapshot"]
    if not all((directory / record[name]).exists() for name in FIELDS if name in record):
        return None  # somebody removed them
    return finished["settings"]


def add_result(directory, position, settings, snapshot):
    """Store `snapshot`, made with the mapping `settings`, at a position of `directory`."""
    folder = folder_of(directory, position)
    with tempfile.TemporaryDirectory(prefix="running-", dir=folder) as temporary:
        temporary = Path(temporary)
        SnapshotList([snapshot]).save(temporary)
        record = json.loads((temporary / INDEX).read_text())["snapshots"][0]
        for name in FIELDS:
            if name in record:
                source, record[name] = record[name], f"{name}_{position:05d}.npy"
                os.replace(temporary / source, directory / record[name])
    _write(folder / FINISHED, {"settings": settings, "snapshot": record})
    write_index(directory)


def write_index(directory):
    """Make :meth:`SnapshotList.load` find all finished snapshots, and return their positions."""
    paths = sorted(directory.glob("[0-9]" * 5 + f"/{FINISHED}"))
    positions = [int(path.parent.name) for path in paths]
    positions = [i for i in positions if settings_of(directory, i) is not None]
    records = [_read(folder_of(directory, i) / FINISHED)["snapshot"] for i in positions]
    _write(directory / INDEX, {"format": FORMAT, "version": VERSION, "snapshots": records})
    return positions


def _read(path):
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
        content["settings"], content["snapshot"]
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"not the record of a finished snapshot: {error}", path) from error
    return content


def _write(path, content):
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(content, indent=1))
    os.replace(temporary, path)
