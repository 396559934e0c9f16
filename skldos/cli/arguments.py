"""Arguments that several commands share, and functions that parse them."""

import argparse
from pathlib import Path

from skldos.validation import check_scalar

#: Name of the bundled data.
BUNDLED = "aluminium"


def integer(**bounds):
    """Return a function that reads an integer within `bounds` from the command line."""
    return _reader(int, integer=True, **bounds)


def number(**bounds):
    """Return a function that reads a number within `bounds` from the command line."""
    return _reader(float, **bounds)


def _reader(kind, **bounds):
    def read(text):
        try:
            return check_scalar("value", kind(text), **bounds)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    read.__name__ = kind.__name__
    return read


def add_data(parser, **options):
    """Add the positional argument DATA."""
    parser.add_argument(
        "data", metavar="DATA", type=Path,
        help=f"folder of snapshots (from 'skldos convert'), or '{BUNDLED}' for the bundled data",
        **options,
    )  # fmt: skip


def add_pseudopotentials(parser):
    """Add the option that names pseudopotentials."""
    parser.add_argument(
        "--pseudo", metavar="FILE", type=Path, nargs="+",
        help="UPF files of the elements, for total energies",
    )  # fmt: skip


def add_output(parser, description, default=None):
    """Add the options for the output path."""
    parser.add_argument(
        "-o", "--output", metavar="PATH", type=Path, default=default,
        help=description + ("" if default is None else " (default: %(default)s)"),
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")


def check_free(path, overwrite):
    """Raise an error if a file exists and may not be replaced."""
    if path is not None and path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; name another file, or pass --overwrite.")


def check_target(path, overwrite):
    """Raise an error before the computation if its results could not be written."""
    check_free(path, overwrite)
    if path is not None and path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file.")
    if path is not None and not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to.")


def assignments(pairs):
    """Return NAME=VALUE pairs as a dictionary; values are Python literals or strings.

    Examples
    --------
    >>> assignments(["r_cut=5", "hidden_layer_sizes=(20, 20)", "activation=silu"])
    {'r_cut': 5, 'hidden_layer_sizes': (20, 20), 'activation': 'silu'}
    """
    import ast

    values = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"--set takes NAME=VALUE, got {pair!r}.")
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return values
