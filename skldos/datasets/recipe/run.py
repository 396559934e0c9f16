"""Run pw.x of Quantum ESPRESSO, and estimate the number of bands."""

import itertools
import os
import re
import shlex
import shutil
import subprocess

import numpy as np

from skldos.exceptions import EspressoError
from skldos.geometry import reciprocal_cell
from skldos.units import BOHR, RYDBERG

INPUT = "pw.in"
OUTPUT = "pw.out"
PREFIX = "skldos"
SAVE = f"{PREFIX}.save"


def resolve_command(command):
    """Return a command, a string or its words, as a list with the full path of an executable.

    Examples
    --------
    >>> resolve_command("no-such-program -nk 2")
    Traceback (most recent call last):
    ...
    FileNotFoundError: command: 'no-such-program' is not an executable on the PATH.
    """
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    executable = shutil.which(words[0]) if words else None
    if executable is None:
        name = words[0] if words else ""
        raise FileNotFoundError(f"command: {name!r} is not an executable on the PATH.")
    # The calculation runs in another folder, where a relative path would not be valid.
    return [os.path.abspath(executable), *words[1:]]


def run_pw(command, folder):
    """Run pw.x in `folder` on the ``pw.in`` there, which adds ``pw.out`` and the save directory.

    If pw.x did not finish or did not converge, an :class:`EspressoError` states the reason. The
    command comes from :func:`resolve_command`.
    """
    with open(folder / OUTPUT, "wb") as output:
        status = subprocess.call(
            [*command, "-in", INPUT],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    text = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")
    if status != 0 or (folder / "CRASH").exists() or "JOB DONE" not in text:
        raise EspressoError(f"{_reason(text)} (exit status {status})")


def _reason(text):
    """Return the reason that pw.x printed for its failure."""
    # Errors are printed between two lines of percent signs, one block per process.
    block = re.search(r"%{20,}\s*(.*?)\s*%{20,}", text, re.DOTALL)
    if block:
        return " ".join(block[1].split())
    unconverged = re.search(r"convergence NOT achieved after.*", text)
    if unconverged:
        return " ".join(unconverged[0].split())
    last = [line.strip() for line in text.splitlines() if line.strip()][-1:]
    return f"pw.x stopped; its last line was {last[0]!r}" if last else "pw.x wrote nothing"


def free_electron_bands(cell, kpts, width):
    r"""Count the bands of free electrons up to an energy E above the band bottom, the width in eV.

    .. math:: \max_k \#\{G : \hbar^2 (k + G)^2 / 2m < E\}

    The cell has its vectors as rows, in Å; k is on a Monkhorst-Pack grid through Γ.

    Examples
    --------
    >>> free_electron_bands(4.05 * np.eye(3), (1, 1, 1), 10.0)
    7
    """
    reciprocal = reciprocal_cell(cell)
    cutoff = width / (RYDBERG * BOHR**2)  # ħ²/2m = 1 Ry bohr²
    # |G · a_i| <= |G| |a_i| bounds the integers; k adds less than one.
    bounds = np.sqrt(cutoff) * np.linalg.norm(cell, axis=1) / (2 * np.pi)
    ranges = [np.arange(-np.ceil(m) - 1, np.ceil(m) + 1) for m in bounds]
    G = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    points = itertools.product(*(np.arange(n) / n for n in kpts))
    return max(int(((((G + k) @ reciprocal) ** 2).sum(1) < cutoff).sum()) for k in points)
