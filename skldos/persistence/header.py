"""Header of a model file: format, versions and card."""

import io
import json
import zipfile
from pathlib import Path

import skldos
from skldos.exceptions import FileFormatError

#: Version of the format. Raise it when older versions cannot read new files.
FORMAT_VERSION = 1
#: Name of the card within the archive.
CARD_FILE = "card.json"


def add_header(content, card):
    """Return the bytes of an archive with the model's card."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        header = {"format": FORMAT_VERSION, "card": card}
        archive.writestr(CARD_FILE, json.dumps(header, indent=1, ensure_ascii=False))
    return buffer.getvalue()


def read_header(path):
    """Return the card of a model file as a dictionary, without reading the model.

    A :class:`FileFormatError` is raised if the file is damaged, not a skldos file, or of a newer
    format.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read(CARD_FILE))
        version, card = header["format"], dict(header["card"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, NotImplementedError) as error:
        raise FileFormatError(
            "not a file of skldos.save, or damaged; a pickle or a file of joblib can execute code "
            "and is not read here",
            path,
        ) from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        writer = card.get("versions", {}).get("skldos", "a newer version")
        raise FileFormatError(
            f"saved by skldos {writer} in version {version} of the format, but skldos "
            f"{skldos.__version__} only reads up to {FORMAT_VERSION}: install a newer skldos",
            path,
        )
    return card
