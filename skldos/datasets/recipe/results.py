"""Add snapshots to a folder one by one, each of them completely or not at all.

``directory/00003/finished.json`` marks snapshot 3 as complete and records its settings. Its fields
are in ``directory`` itself, with one index of all finished snapshots. Every file appears under its
name in one step, so an interrupted program never leaves a partial file that could be mistaken for a
result.
"""

import json
import os
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skldos.data import ArrayFile, SnapshotList
from skldos.data.files import atomic_file, locked, sync_folder
from skldos.data.storage import FIELDS, FORMAT, INDEX, VERSION
from skldos.exceptions import FileFormatError

FINISHED_FILE = "finished.json"
LOCK_FILE = "recipe.lock"


def check_folder(directory):
    """Check that `directory` does not hold snapshots of another origin."""
    if (directory / INDEX).exists() and not any(directory.glob(f"*/{FINISHED_FILE}")):
        raise FileExistsError(
            f"{directory} holds snapshots that were not calculated there; choose another folder."
        )


@contextmanager
def reserved(directory):
    """Keep other programs from calculating in `directory` at the same time."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(directory / LOCK_FILE))
        except BlockingIOError as error:
            raise BlockingIOError(
                error.errno, "another program is calculating in this folder", str(directory)
            ) from None
        yield


def folder_of(directory, position):
    """Return the folder of one snapshot."""
    return directory / f"{position:05d}"


def settings_of(directory, position):
    """Return the settings with which a snapshot was made, or None if it is not finished.

    A snapshot with missing or damaged fields, or those of another snapshot, is not finished. The
    check reads only the headers of the files, not their data.
    """
    finished = _read(folder_of(directory, position) / FINISHED_FILE)
    if finished is None:
        return None
    record = finished["snapshot"]
    digests = record.get("digests", {})
    for name in FIELDS:
        if name in record:
            try:
                file = ArrayFile(directory / record[name])
            except (FileNotFoundError, FileFormatError):
                return None
            if file.digest != digests.get(name, file.digest):
                return None
    return finished["settings"]


def add_result(directory, position, settings, snapshot):
    """Store `snapshot`, calculated with the mapping `settings`, at a position of `directory`."""
    folder = folder_of(directory, position)
    with tempfile.TemporaryDirectory(prefix="running-", dir=folder) as temporary:
        temporary = Path(temporary)
        SnapshotList([snapshot]).save(temporary)
        record = json.loads((temporary / INDEX).read_text(encoding="utf-8"))["snapshots"][0]
        for name in FIELDS:
            if name in record:
                source, record[name] = record[name], f"{name}_{position:05d}.npy"
                os.replace(temporary / source, directory / record[name])
    sync_folder(directory)
    _write(folder / FINISHED_FILE, {"settings": settings, "snapshot": record})
    write_index(directory)


def write_index(directory):
    """Write the index of all finished snapshots for :meth:`SnapshotList.load`; return positions."""
    paths = sorted(directory.glob("[0-9]" * 5 + f"/{FINISHED_FILE}"))
    positions = [int(path.parent.name) for path in paths]
    positions = [i for i in positions if settings_of(directory, i) is not None]
    records = [_read(folder_of(directory, i) / FINISHED_FILE)["snapshot"] for i in positions]
    _write(directory / INDEX, {"format": FORMAT, "version": VERSION, "snapshots": records})
    return positions


def _read(path):
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings, record = content["settings"], content["snapshot"]
        if not (isinstance(settings, dict) and isinstance(record, dict)):
            raise TypeError("settings and snapshot must be objects")
        names = [record[name] for name in FIELDS if name in record]
        if not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise ValueError(f"expected names of files, got {names}")
        if not isinstance(record.get("digests", {}), dict):
            raise TypeError("digests must be an object")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"not the record of a finished snapshot: {error}", path) from error
    return content


def _write(path, content):
    with atomic_file(path, "w") as file:
        json.dump(content, file, indent=1)
