"""Cells and positions in the text output of pw.x."""

import re

import numpy as np
from ase import Atoms

from skldos.io.espresso.lines import NUMBER
from skldos.io.espresso.run import MOVED, chemical_symbol
from skldos.units import BOHR

# Positions are printed with seven digits of alat at the start, with more in a step.
SAME_POSITION = 1e-5


def read_atoms(lines, end):
    """Return the atoms of the self-consistent calculation whose energy is in line `end`.

    These are the atoms of the last geometry before that line. A :class:`FileFormatError` is raised
    if another one follows, as it does when a relaxation stops early and in molecular dynamics.
    """
    for i, geometry, displacement in geometries(lines, end, len(lines)):
        if i < end:
            atoms = geometry
        elif displacement > SAME_POSITION:
            raise lines.error(MOVED.format(displacement), i)
    return atoms


def geometries(lines, end, stop):
    """Yield each geometry up to line `stop`: its line, its atoms and how far they moved in Å.

    The first is the initial one of the run, which is printed before line `end`.
    """
    alat = lines.number("celldm(1)=", end) * BOHR
    cell, symbols, positions = _initial_geometry(lines, end, alat)
    yield 0, Atoms(symbols, positions=positions, cell=cell, pbc=True), 0.0
    for i in range(stop):
        if lines.texts[i].startswith("CELL_PARAMETERS"):
            values = _table(lines, i, cell, alat, 3)[1]
            displacement, cell = np.abs(values - cell).max(), values
        elif lines.texts[i].startswith("ATOMIC_POSITIONS"):
            symbols, values = _table(lines, i, cell, alat, len(positions))
            displacement, positions = np.abs(values - positions).max(), values
        else:
            continue
        yield i, Atoms(symbols, positions=positions, cell=cell, pbc=True), displacement


def _initial_geometry(lines, end, alat):
    triple = rf"\(\s*({NUMBER})\s*({NUMBER})\s*({NUMBER})\s*\)"
    n_atoms = lines.number("number of atoms/cell =", end, convert=int)
    cell, symbols, positions = [], [], []
    for i in range(end):
        vector = re.search(rf"^\s+a\([123]\) = {triple}", lines.texts[i])
        if vector and len(cell) < 3:
            cell.append(vector.groups())
        site = re.search(rf"^\s+\d+\s+(\S+)\s+tau\(\s*\d+\)\s*=\s*{triple}", lines.texts[i])
        if site and len(positions) < n_atoms:
            with lines.located(i):
                symbols.append(chemical_symbol(site[1]))
            positions.append(site.groups()[1:])
    if len(cell) != 3 or len(positions) != n_atoms:
        raise lines.error(
            f"expected 3 crystal axes and {n_atoms} positions above this line, got {len(cell)} "
            f"and {len(positions)}",
            end,
        )
    return np.array(cell, dtype=float) * alat, symbols, np.array(positions, dtype=float) * alat


def _table(lines, index, cell, alat, n_rows):
    """Return labels and rows in Å of a card ``CELL_PARAMETERS`` or ``ATOMIC_POSITIONS``."""
    title = lines.texts[index]
    unit = re.search(rf"\((\w+)(?:=\s*({NUMBER}))?\)", title)
    scales = {"angstrom": 1.0, "bohr": BOHR, "alat": alat, "crystal": None}
    if unit is None or unit[1] not in scales:
        raise lines.error(f"expected a unit among {sorted(scales)}, got {title.strip()!r}", index)
    rows, symbols = [], []
    is_positions = title.startswith("ATOMIC")
    for i in range(index + 1, index + 1 + n_rows):
        words = lines.texts[i].split() if i < len(lines) else []
        if is_positions and words:
            with lines.located(i):
                symbols.append(chemical_symbol(words.pop(0)))
        try:
            rows.append([float(word) for word in words[:3]])
        except ValueError:
            rows.append([])
        if len(rows[-1]) != 3:
            raise lines.error("expected three coordinates", min(i, len(lines) - 1))
    rows = np.array(rows)
    if unit[1] == "crystal":
        return symbols, rows @ cell
    scale = float(unit[2]) * BOHR if unit[1] == "alat" and unit[2] else scales[unit[1]]
    return symbols, rows * scale
