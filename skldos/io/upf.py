"""Pseudopotentials in the UPF formats of Quantum ESPRESSO, version 1 and 2.

Version 2 looks like XML, but many files in use are not: their free text holds bare ``<`` and
``&``. So both versions are read by looking for the few tags that are needed.
"""

import re
from pathlib import Path

import numpy as np

from skldos.exceptions import FileFormatError
from skldos.io._fortran import with_exponent
from skldos.io.functionals import functional_name
from skldos.physics.pseudopotential import Pseudopotential
from skldos.units import BOHR

KINDS = {
    "NC": "norm-conserving",
    "SL": "norm-conserving",
    "1/r": "norm-conserving",
    "US": "ultrasoft",
    "USPP": "ultrasoft",
    "PAW": "paw",
}


def read_upf(path):
    """Read a pseudopotential in the UPF format, 1 or 2: valence, functional and densities.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    Pseudopotential
        With lengths in Å and densities in 1/Å³. Its functional is ``"lda-pz"``,
        ``"lda-pw"``, ``"pbe"`` or ``"pbesol"``, or else what the file calls it, in capitals.

    Raises
    ------
    FileFormatError
        If the file is not UPF, truncated or damaged; the message names file and line.

    Examples
    --------
    >>> from skldos.io import read_upf
    >>> read_upf("Be.pbe-n-rrkjus_psl.1.0.0.UPF")  # doctest: +SKIP
    Pseudopotential(Be, valence 2, pbe, ultrasoft, core correction)
    """
    upf = _Upf(Path(path))
    header = upf.header()
    has_core = _flag(header["core_correction"])
    kind = header["pseudo_type"].strip()
    if kind not in KINDS:
        raise upf.error(f"unknown pseudo_type {kind!r}, expected one of {sorted(KINDS)}", "HEADER")
    n_radii = upf.convert(int, header["mesh_size"], "mesh_size")
    radii = upf.numbers("R", n_radii) * BOHR
    pseudopotential = Pseudopotential(
        header["element"].strip().capitalize(),
        upf.convert(float, header["z_valence"], "z_valence"),
        functional=functional_name(header["functional"]),
        kind=KINDS[kind],
        radii=radii,
        radial_weights=upf.numbers("RAB", n_radii) * BOHR,
        core_density=upf.numbers("NLCC", n_radii) / BOHR**3 if has_core else None,
        atomic_density=_atomic_density(upf, radii),
    )
    if not upf.is_complete:
        raise upf.error("the file is truncated: its last section does not end", "END")
    return pseudopotential


def _atomic_density(upf, radii):
    """Return the density of the free atom; None if the file has none."""
    if "<PP_RHOATOM" not in upf.text:
        return None
    # The file has the charge of a shell, 4π r² n(r), in 1/bohr.
    charges = upf.numbers("RHOATOM", len(radii)) / BOHR
    density = np.divide(charges, 4 * np.pi * radii**2, out=np.zeros_like(radii), where=radii > 0)
    if len(radii) > 1 and radii[0] == 0:
        density[0] = density[1]
    return density


class _Upf:
    """The text of a UPF file and where its sections begin."""

    def __init__(self, path):
        self.path = path
        # Names of authors are in any encoding, what is needed is ASCII.
        self.text = path.read_text(encoding="latin-1")
        if not re.search(r"<UPF\b|<PP_HEADER", self.text):
            raise FileFormatError("not a UPF file: neither <UPF> nor <PP_HEADER> is in it", path, 1)
        # The tag with which a complete file of version 2 or 1 ends, but for comments.
        end = "</UPF>" if "<UPF" in self.text else "</PP_RHOATOM>"
        self.is_complete = end in self.text

    def error(self, message, section=None, position=None):
        """Return an error that names the line of a section or of a position in the text."""
        if position is None:
            found = re.search(rf"<PP_{section}\b", self.text)
            position = found.start() if found else len(self.text)
        return FileFormatError(message, self.path, self.text.count("\n", 0, position) + 1)

    def section(self, name):
        """Return attributes and content of ``<PP_name …>…</PP_name>``."""
        start = re.search(rf"<PP_{name}\b([^>]*?)(/?)>", self.text)
        if start is None:
            raise self.error(f"the section <PP_{name}> is missing or truncated", name)
        if start[2]:
            return start[1], ""
        end = self.text.find(f"</PP_{name}>", start.end())
        if end < 0:
            raise self.error(f"the section <PP_{name}> does not end", position=start.start())
        return start[1], self.text[start.end() : end]

    def header(self):
        """Return the entries of the header under their names in version 2, as text."""
        attributes, content = self.section("HEADER")
        names = ("element", "pseudo_type", "core_correction", "functional", "z_valence")
        if "=" in attributes:
            found = dict(re.findall(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']", attributes))
            missing = [name for name in (*names, "mesh_size") if name not in found]
            if missing:
                raise self.error(f"the header lacks {missing[0]!r}", "HEADER")
            return found
        return self._old_header(content)

    def _old_header(self, content):
        """Read version 1: one entry per line, known by their order."""
        lines = content.strip().splitlines()
        if len(lines) < 10:
            raise self.error(f"the header has {len(lines)} lines, expected at least 10", "HEADER")
        element, kind, core, functional, valence = (line.strip() for line in lines[1:6])
        return {
            "element": element.split()[0],
            "pseudo_type": kind.split()[0],
            "core_correction": core.split()[0],
            "functional": " ".join(functional.split()[:4]),
            "z_valence": valence.split()[0],
            "mesh_size": lines[9].split()[0],
        }

    def numbers(self, name, count):
        """Return the `count` numbers of a section."""
        _, content = self.section(name)
        words = [with_exponent(word) for word in content.split()]
        numbers = np.array([self.convert(float, word, f"PP_{name}", name) for word in words])
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise self.error(f"<PP_{name}> must hold {count} numbers, got {len(numbers)}", name)
        return numbers

    def convert(self, kind, word, what, section="HEADER"):
        """Return `word` as a number of type `kind`."""
        try:
            return kind(word)
        except ValueError:
            raise self.error(f"{what} must be a number, got {word.strip()!r}", section) from None


def _flag(word):
    return word.strip().strip(".").lower() in ("t", "true")
