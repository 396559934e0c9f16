"""Pseudopotentials in the formats of Quantum ESPRESSO: UPF 1, UPF 2 and its XML schema.

All of them look like XML, but many files in use are not valid XML: their free text holds bare ``<``
and ``&``. Like pw.x, this module looks for the few tags it needs, reads as many numbers as the mesh
has points, and uses defaults for missing header entries.
"""

import re
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from skldos.exceptions import FileFormatError
from skldos.io.espresso.run import chemical_symbol
from skldos.io.fortran import first_word, to_float, to_floats, to_int
from skldos.io.functionals import functional_name
from skldos.io.limits import reads_file
from skldos.physics.pseudopotential import Pseudopotential
from skldos.units import BOHR

KINDS = {
    "NC": "norm-conserving",
    "SL": "norm-conserving",
    "1/R": "norm-conserving",
    "US": "ultrasoft",
    "USPP": "ultrasoft",
    "PAW": "paw",
}
#: Free text with arbitrary contents: comments, CDATA and the first section.
FREE_TEXT = {"<!--": "-->", "<![cdata[": r"\]\]>", "<pp_info": r"</(?i:PP_INFO)\s*>"}
OPENING = re.compile(r"<!--|<!\[CDATA\[|<(?i:PP_INFO)\b")
#: Attributes up to the end of a tag; within quotes a ">" does not end it.
ATTRIBUTES = re.compile(r"""((?:[^>"']|"[^"]*"|'[^']*')*+)>""")
ATTRIBUTE = re.compile(r"""(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:"([^"]*)"|'([^']*)')""")
#: Largest radius in Å; meshes end at about 10 Å.
LARGEST_RADIUS = 1e6
#: Numbers on a mesh, in the units of the file, are far smaller.
LARGEST = 1e15
#: Factor between the steps of the mesh and their weights that no file in use reaches.
OTHER_STEPS = 2
#: Pseudized cores hold fewer electrons than the atom.
MOST_CORE_CHARGE = 10
#: Number of protons of the heaviest atom; no valence is larger.
MAX_VALENCE = 118


@reads_file
def read_upf(path):
    """Read a pseudopotential file of Quantum ESPRESSO: valence, functional and densities.

    The format is UPF, 1 or 2, or the XML schema that ``upfconv.x -x`` writes
    (``<qe_pp:pseudo>``). As in pw.x, many entries are optional. The flags ``is_ultrasoft`` and
    ``is_paw`` determine the kind, also if ``pseudo_type`` contradicts them or is missing; without
    either, the pseudopotential is norm-conserving. Without ``core_correction`` there is none. The
    size of the mesh comes from ``<PP_MESH mesh=…>``, or else from the header.

    Parameters
    ----------
    path : str or path-like
        The file. Its name must begin with the chemical symbol only if the file does not contain
        the symbol.

    Returns
    -------
    Pseudopotential
        With lengths in Å and densities in 1/Å³. Its functional is ``"lda-pz"``,
        ``"lda-pw"``, ``"pbe"`` or ``"pbesol"``; for others the name in the file, in capitals; or
        None if the file names none.

    Raises
    ------
    FileFormatError
        If the file is of another format, truncated or damaged; the message names file and line.

    Examples
    --------
    >>> from skldos.io import read_upf
    >>> read_upf("Be.pbe-n-rrkjus_psl.1.0.0.UPF")  # doctest: +SKIP
    Pseudopotential(Be, valence 2, pbe, ultrasoft, core correction)
    """
    upf = _Upf(Path(path))
    header = upf.header()
    valence = upf.convert(to_float, header.get("z_valence"), "z_valence")
    if not 0 < valence <= MAX_VALENCE:
        raise upf.error(f"z_valence must be > 0 and <= {MAX_VALENCE}, got {valence:g}", "HEADER")
    functional = header.get("functional", "").strip()
    n_radii = upf.mesh_size(header)
    radii = upf.numbers("R", n_radii) * BOHR
    if not (radii[0] >= 0 and (np.diff(radii) > 0).all() and radii[-1] < LARGEST_RADIUS):
        raise upf.error(f"<PP_R> must hold radii that increase from 0 on, got {radii}", "R")
    weights = upf.numbers("RAB", n_radii) * BOHR
    _check_weights(upf, radii, weights)
    symbol = upf.symbol(header)
    # Pseudohydrogen, which saturates bonds, has up to two valence electrons.
    if valence > atomic_numbers[symbol] + 1:
        raise upf.error(
            f"z_valence must not exceed the electrons of {symbol}, {atomic_numbers[symbol]}, "
            f"got {valence:g}",
            "HEADER",
        )
    has_core = upf.flag(header, "core_correction")
    pseudopotential = Pseudopotential(
        symbol,
        valence,
        functional=functional_name(functional) if functional else None,
        kind=_kind(upf, header),
        radii=radii,
        radial_weights=weights,
        core_density=upf.numbers("NLCC", n_radii) / BOHR**3 if has_core else None,
        atomic_density=_atomic_density(upf, radii),
    )
    if has_core:
        # ∫ 4π r² n_c dr
        core = 4 * np.pi * float(radii**2 * weights @ pseudopotential.core_density)
        if not abs(core) <= MOST_CORE_CHARGE * atomic_numbers[symbol]:
            raise upf.error(
                f"the core charge of {symbol} must hold at most {MOST_CORE_CHARGE} times "
                f"{atomic_numbers[symbol]} electrons, got {core:.3g}",
                "NLCC",
            )
    if not upf.is_complete:
        raise upf.error("the file is truncated: its last section does not end", "END")
    return pseudopotential


def _check_weights(upf, radii, weights):
    """Check that the weights are dr/di of the radii, to a factor that wrong units exceed."""
    length, steps = radii[-1] - radii[0], 0.5 * (weights[1:] + weights[:-1])
    # The first and last step may be unusual.
    if (weights < 0).any() or not length / OTHER_STEPS <= steps.sum() <= length * OTHER_STEPS:
        raise upf.error(
            f"<PP_RAB> must hold the steps of the {len(radii)} radii, which sum up to "
            f"{length:.4g} Å, got {steps.sum():.4g} Å, the smallest {weights.min():.2g} Å",
            "RAB",
        )


def _kind(upf, header):
    """Return the kind, from the flags if there are any."""
    if "is_paw" in header or "is_ultrasoft" in header:
        if upf.flag(header, "is_paw"):
            return "paw"
        return "ultrasoft" if upf.flag(header, "is_ultrasoft") else "norm-conserving"
    word = header.get("pseudo_type", "NC").strip().upper()
    if word not in KINDS:
        raise upf.error(
            f"unknown pseudo_type {word!r} without is_ultrasoft and is_paw, expected one of "
            f"{sorted(KINDS)}",
            "HEADER",
        )
    return KINDS[word]


def _atomic_density(upf, radii):
    """Return the density of the free atom; None if the file has none."""
    if upf.find("RHOATOM") is None:
        return None
    # The file has the radial charge density, 4π r² n(r), in 1/bohr.
    charges = upf.numbers("RHOATOM", len(radii)) / BOHR
    density = np.divide(charges, 4 * np.pi * radii**2, out=np.zeros_like(radii), where=radii > 0)
    if len(radii) > 1 and radii[0] == 0:
        density[0] = density[1]
    return density


class _Upf:
    """The text of a file, and the positions of its sections."""

    def __init__(self, path):
        self.path = path
        # Names of authors may have any encoding; everything needed is ASCII.
        self.free = path.read_text(encoding="latin-1")
        # Replace free text by blanks, so that all other characters keep their positions.
        self.text = _without_free_text(self.free)
        root = re.search(r"<((?i:UPF|qe_pp:pseudo))\b", self.text)
        if root is None and self.find("HEADER") is None:
            raise FileFormatError(
                "not a UPF file: neither <UPF>, <qe_pp:pseudo> nor <PP_HEADER> is in it; "
                "upfconv.x of Quantum ESPRESSO converts other formats (upfconv.x -u)",
                path,
                1,
            )
        # Everything needed is before the end of the last section, or of the file.
        ends = "PP_RHOATOM" if root is None else rf"(?:{root[1]}|PP_RHOATOM)"
        self.is_complete = re.search(rf"</(?i:{ends})\s*>", self.text) is not None
        self.is_old = root is None

    def error(self, message, section):
        """Return an error that names the line of a section, or the last one if it is missing."""
        match = self.find(section)
        position = match.start() if match else len(self.text)
        return FileFormatError(message, self.path, self.text.count("\n", 0, position) + 1)

    def find(self, name):
        """Return the match of the beginning of a tag, or None."""
        return re.search(rf"<(?i:PP_{name})(?![\w.-])", self.text)

    def tag(self, name):
        """Return the attributes of ``<PP_name …>`` and its end."""
        match = self.find(name)
        tag = ATTRIBUTES.match(self.text, match.end()) if match else None
        if tag is None:
            raise self.error(f"the section <PP_{name}> is missing or truncated", name)
        return tag[1], tag.end()

    def section(self, name):
        """Return attributes and content of ``<PP_name …>…</PP_name>``."""
        attributes, start = self.tag(name)
        if attributes.rstrip().endswith("/"):
            return attributes, ""
        end = re.compile(rf"</(?i:PP_{name})\s*>").search(self.text, start)
        if end is None:
            raise self.error(f"the section <PP_{name}> does not end", name)
        return attributes, self.text[start : end.start()]

    def header(self):
        """Return the entries of the header under their names in version 2, as text."""
        attributes, content = self.section("HEADER")
        if "=" in attributes:
            return _attributes(attributes)
        if self.is_old:
            return self._old_header(content)
        # The XML schema has an element for every entry.
        items = re.findall(r"<(\w+)\s*>([^<]*)</\1\s*>", content)
        entries = {name.lower(): value for name, value in reversed(items)}
        return entries | ({"pseudo_type": entries["type"]} if "type" in entries else {})

    def _old_header(self, content):
        """Read version 1: one entry per line, known by their order."""
        lines = content.strip("\n").splitlines()
        while lines and not lines[0].strip():
            del lines[0]
        words = [(line.split() or [""])[0] for line in lines[:10]]
        # The numbers of wavefunctions and projectors follow, so no line is missing.
        if len(lines) < 11 or "" in words or not re.match(r"\s*\d+[\s,]+\d+", lines[10]):
            raise self.error(
                "expected a header of ten lines with an entry each, and the numbers of "
                f"wavefunctions and projectors below them, got {len(lines)} lines",
                "HEADER",
            )
        # The functional has twenty characters; if there are more, its first four words.
        short, long = lines[4][:20].strip(), " ".join(lines[4].split()[:4])
        is_short = functional_name(short) != " ".join(short.upper().split())
        return {
            "element": words[1],
            "pseudo_type": words[2],
            "core_correction": words[3],
            "functional": short if is_short else long,
            "z_valence": words[5],
            "mesh_size": words[9],
        }

    def mesh_size(self, header):
        """Return the number of radii, from the mesh itself if available."""
        attributes, _ = self.tag("MESH")
        sizes = (_attributes(attributes).get("mesh"), header.get("mesh_size"))
        sizes = [self.convert(to_int, text, "mesh_size") for text in sizes if text and text.strip()]
        if not any(sizes):
            raise self.error(
                "neither <PP_MESH mesh=…> nor mesh_size gives the number of radii", "MESH"
            )
        size = next(filter(None, sizes))
        if not 1 <= size <= len(self.text):
            raise self.error(f"mesh_size must fit the file and be >= 1, got {size}", "HEADER")
        return size

    def symbol(self, header):
        """Return the chemical symbol from the header, the free text or the file name."""
        match = re.search(r"^[ \t]*Element:[ \t]*([A-Za-z]{1,2})\b", self.free, re.MULTILINE)
        for label in (header.get("element", ""), match[1] if match else "", self.path.name):
            if label.strip():
                try:
                    return chemical_symbol(label)
                except ValueError:
                    continue
        raise self.error(f"no chemical element, got {header.get('element')!r}", "HEADER")

    def numbers(self, name, count):
        """Return the first `count` numbers of a section."""
        _, content = self.section(name)
        try:
            numbers = np.array(to_floats(content, count))
        except ValueError as error:
            raise self.error(f"PP_{name} must hold numbers, {error}", name) from None
        if len(numbers) != count or not (np.abs(numbers) < LARGEST).all():
            raise self.error(f"<PP_{name}> must hold {count} numbers, got {len(numbers)}", name)
        return numbers

    def flag(self, header, name):
        """Return a logical of the header, false if missing."""
        word = header.get(name, "").strip().lstrip(".").lower()
        if word[:1] not in ("", "t", "f", "n"):
            raise self.error(f"{name} must be true or false, got {header[name]!r}", "HEADER")
        return word[:1] == "t"

    def convert(self, kind, text, name):
        """Return an entry of the header as a number of type `kind`."""
        if text is None:
            raise self.error(f"the header lacks {name!r}", "HEADER")
        try:
            return kind(first_word(text))
        except ValueError:
            raise self.error(f"{name} must be a number, got {text.strip()!r}", "HEADER") from None


def _without_free_text(text):
    """Return the text with free text replaced by blanks, except for line ends."""
    pieces, position = [], 0
    closing = {opening: re.compile(end) for opening, end in FREE_TEXT.items()}
    for match in OPENING.finditer(text):
        kind = match[0].lower()
        if match.start() < position or kind not in closing:
            continue
        end = closing[kind].search(text, match.end())
        if end is None:
            del closing[kind]  # no later one of this kind ends either
            continue
        pieces += [
            text[position : match.start()],
            re.sub(r"[^\n]", " ", text[match.start() : end.end()]),
        ]
        position = end.end()
    return "".join((*pieces, text[position:]))


def _attributes(text):
    """Return the attributes of a tag with lower-case names; the first of duplicates counts."""
    items = ATTRIBUTE.findall(text)
    return {name.lower(): double or single for name, double, single in reversed(items)}
