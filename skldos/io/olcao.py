r"""Potentials of the OLCAO program: Gaussians on the atoms, one set per type of atom.

.. math:: V(r) = \sum_B \sum_i A_i^B\, e^{-\alpha_i^B |r - t_B|^2}

Fortran writes the file, in hartree and bohr⁻²: numbers may have the exponents E+00, D+00 or, when
three digits are needed, none of these letters (0.1-101).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError
from skldos.io.fortran import to_float
from skldos.io.limits import check_numbers, reads_file
from skldos.units import BOHR, HARTREE
from skldos.validation import check_finite

TYPES = "NUM_TYPES"
SPINS = ("TOTAL__OR__SPIN_UP", "SPIN_DN")
PLUS_U = "NUM__PLUSUJ__TERMS"
#: Coefficients and exponents in atomic units are far smaller.
LARGEST = 1e15
#: Columns of a row: A, α, and the fitted coefficients of the densities.
N_COLUMNS = 5
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+|[+-]\d{3}(?![\d.]))?")


@dataclass(frozen=True)
class OLCAOPotential:
    """Coefficients of Gaussians, type by type.

    Attributes
    ----------
    coefficients : tuple of ndarray of shape (2, n_gaussians)
        A in eV for spin up and spin down, equal without spin; one array per type.
    exponents : tuple of ndarray of shape (n_gaussians,)
        α in 1/Å²; one array per type.
    charges : tuple of ndarray of shape (2, n_gaussians, 3)
        Fitted coefficients of the total density, the valence density and its spin difference, as
        in the file; one array per type.
    plus_u : tuple of str
        The lines of the Hubbard terms, their number first, as in the file.
    """

    coefficients: tuple
    exponents: tuple
    charges: tuple
    plus_u: tuple = ("0", *SPINS)

    def __repr__(self):
        numbers = ", ".join(str(len(alpha)) for alpha in self.exponents[:6])
        more = ", …" if len(self.exponents) > 6 else ""
        return f"OLCAOPotential({len(self.exponents)} types of {numbers}{more} Gaussians)"


@reads_file
def read_olcao_potential(path):
    """Read the potential file of a self-consistent calculation with the OLCAO program.

    Parameters
    ----------
    path : str or path-like
        The file, ``gs_scfV-*.dat`` or an initial potential of the same form.

    Returns
    -------
    OLCAOPotential
        In eV and 1/Å².

    Raises
    ------
    FileFormatError
        If the file is damaged or truncated; the message names file and line.

    Examples
    --------
    >>> import os, tempfile
    >>> from skldos.io import read_olcao_potential, write_olcao_potential
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "scfV.dat")
    ...     write_olcao_potential(path, [[-3.0, 1.0]], [0.5, 2.0])
    ...     read_olcao_potential(path).coefficients[0][0].round(8)
    array([-3.,  1.])
    """
    lines = _Lines(Path(path))
    n_types = lines.count(TYPES, low=1)
    by_spin = []
    for spin in SPINS:
        lines.tag(spin)
        by_spin.append([_read_type(lines) for _ in range(n_types)])
    exponents = tuple(rows[:, 1] / BOHR**2 for rows in by_spin[0])
    for up, down in zip(*by_spin, strict=True):
        if up.shape != down.shape or not np.array_equal(up[:, 1], down[:, 1]):
            raise lines.error("expected the exponents of spin up also for spin down")
    tables = [np.stack(pair) for pair in zip(*by_spin, strict=True)]
    return OLCAOPotential(
        coefficients=tuple(rows[:, :, 0] * HARTREE for rows in tables),
        exponents=exponents,
        charges=tuple(rows[:, :, 2:] for rows in tables),
        plus_u=lines.rest(),
    )


def write_olcao_potential(path, coefficients, exponents, *, charges=None, plus_u=("0", *SPINS)):
    """Write a potential for the OLCAO program.

    Parameters
    ----------
    path : str or path-like
        The file. An existing one is replaced when the new one is complete.
    coefficients : sequence of array-like of shape (n_gaussians,) or (2, n_gaussians)
        A in eV, for both spins alike or for each; one per type. A block of
        :class:`~skldos.decomposition.GaussianPotentialDecomposer` treats every atom as a type.
    exponents : array-like of shape (n_gaussians,) or sequence of them
        α in 1/Å², the same for all types or one array per type.
    charges : sequence of array-like of shape (2, n_gaussians, 3), optional
        The other columns, see :class:`OLCAOPotential`; by default zero.
    plus_u : sequence of str, optional
        The lines of the Hubbard terms; none by default.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite or an exponent not positive.
    """
    types = _check_types(coefficients, exponents, charges)
    lines = [f"{TYPES} {len(types):5d}"]
    for spin, name in enumerate(SPINS):
        lines.append(name)
        for A, alpha, extra in types:
            lines.append(f"{len(alpha):5d}")
            for k, row in enumerate(zip(A[spin] / HARTREE, alpha * BOHR**2, strict=True)):
                words = [fortran(value, 10) for value in row]
                words += [fortran(value, 6) for value in extra[spin, k]]
                lines.append("".join(f" {word}" for word in words))
    lines += [PLUS_U, *(line.rstrip() for line in plus_u)]
    with atomic_file(path, "w") as file:
        file.write("\n".join(lines) + "\n")


def fortran(value, digits):
    """Return a number as Fortran's ``Ew.d`` prints it, w being seven more than d.

    Examples
    --------
    >>> fortran(-12.5, 4), fortran(3e-120, 2), fortran(0.0, 2)
    ('-0.1250E+02', ' 0.30-119', ' 0.00E+00')
    """
    mantissa, exponent = f"{abs(value):.{digits - 1}e}".split("e")
    shift = int(exponent) + (value != 0)
    letter = "E" if abs(shift) < 100 else ""
    power = f"{letter}{shift:+03d}"
    sign = "-" if math.copysign(1.0, value) < 0 else " "
    return f"{sign}0.{mantissa.replace('.', '')}{power}"


def _read_type(lines):
    """Return the rows of one type."""
    n = lines.count(low=0)
    rows = np.array([lines.numbers() for _ in range(n)]).reshape(n, N_COLUMNS)
    if not (rows[:, 1] > 0).all():
        raise lines.error(f"expected exponents > 0, got {rows[:, 1].min():g}")
    return rows


def _check_types(coefficients, exponents, charges):
    """Return coefficients, exponents and charges of every type."""
    shared = len(exponents) > 0 and np.ndim(exponents[0]) == 0
    exponents = [exponents] * len(coefficients) if shared else exponents
    tables = {"coefficients": coefficients, "exponents": exponents, "charges": charges}
    for name in ("exponents", "charges"):
        if tables[name] is not None and len(tables[name]) != len(coefficients):
            raise ValueError(
                f"{name} must have one entry per type, {len(coefficients)}, got "
                f"{len(tables[name])}."
            )
    types = []
    for i, A in enumerate(coefficients):
        alpha = np.asarray(exponents[i], dtype=float)
        A = np.asarray(A, dtype=float)
        if alpha.ndim != 1 or A.shape not in (alpha.shape, (2, *alpha.shape)):
            raise ValueError(
                f"coefficients[{i}] must have shape (n_gaussians,) or (2, n_gaussians), as many as "
                f"exponents, got {A.shape} and exponents of shape {alpha.shape}."
            )
        shape = (2, len(alpha), N_COLUMNS - 2)
        extra = np.zeros(shape) if charges is None else np.asarray(charges[i], dtype=float)
        if extra.shape != shape:
            raise ValueError(f"charges[{i}] must have shape {shape}, got {extra.shape}.")
        for name, values in (("coefficients", A), ("exponents", alpha), ("charges", extra)):
            check_finite(f"{name}[{i}]", values)
        if not (alpha > 0).all():
            raise ValueError(f"exponents[{i}] must be > 0, got {alpha.min():g}.")
        types.append((np.broadcast_to(A, (2, len(alpha))), alpha, extra))
    return types


class _Lines:
    """The non-empty lines of a file, and the position of the reader."""

    def __init__(self, path):
        self.path = path
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = enumerate(text.splitlines(), start=1)
        self.left = [(number, line) for number, line in lines if line.strip()][::-1]
        self.at = 1

    def error(self, message):
        """Return an error that names the last line that was read."""
        return FileFormatError(message, self.path, self.at)

    def next(self, expected):
        """Return the next line."""
        if not self.left:
            raise self.error(f"the file ends where {expected} was expected")
        self.at, line = self.left.pop()
        return line.strip()

    def tag(self, name):
        """Read a line that starts with a word, and return the rest of it."""
        word, *rest = self.next(name).split(maxsplit=1)
        if word != name:
            raise self.error(f"expected {name}, got {word!r}")
        return rest[0] if rest else ""

    def count(self, name=None, *, low):
        """Read a number, after a word or on the line that follows it."""
        word = self.tag(name) if name else ""
        word = word or self.next("a number of Gaussians or types")
        if not re.fullmatch(r"\d{1,9}", word, re.ASCII) or int(word) < low:
            raise self.error(f"expected an integer >= {low}, got {word!r}")
        return int(word)

    def numbers(self):
        """Read a row of five numbers."""
        line = self.next("a row of five numbers")
        words = NUMBER.findall(line)
        # Only numbers and blanks: stars stand for a number that was too large.
        if len(words) != N_COLUMNS or NUMBER.sub("", line).strip():
            raise self.error(f"expected five numbers, got {line!r}")
        numbers = [to_float(word) for word in words]
        check_numbers("a row", numbers, self.path, low=-LARGEST, high=LARGEST, line=self.at)
        return numbers

    def rest(self):
        """Return the lines of the Hubbard terms; if the file ends before, those for no terms."""
        if not self.left:
            return ("0", *SPINS)
        number = self.count(PLUS_U, low=0)
        lines = tuple(line for _, line in reversed(self.left))
        return (str(number), *lines)
