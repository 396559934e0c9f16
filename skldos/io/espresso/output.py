"""The text output of pw.x: energies in Ry and eV, lengths in bohr and units of ``alat``."""

import re
from pathlib import Path

import numpy as np

from skldos.io.espresso.geometry import read_atoms
from skldos.io.espresso.lines import NUMBER, Lines
from skldos.io.espresso.run import SMEARINGS, EspressoRun, chemical_symbol
from skldos.io.functionals import functional_name
from skldos.units import BOHR, RYDBERG

# Terms of the total energy as they are printed; skldos can evaluate no others.
PARTS = {
    "one-electron contribution": "one_electron",
    "hartree contribution": "hartree",
    "xc contribution": "xc",
    "ewald contribution": "ewald",
}
UNSUPPORTED = {
    "SPIN UP": "is spin-polarised, which skldos does not support",
    "Starting magnetic structure": "is spin-polarised, which skldos does not support",
    "Noncollinear calculation": "is noncollinear, which skldos does not support",
    "agnetic calculation with spin-orbit": "is noncollinear, which skldos does not support",
    "Pseudo is Projector augmented-wave": "uses PAW, whose density skldos cannot rebuild; take "
    "norm-conserving or ultrasoft pseudopotentials",
    "LDA+U calculation": "uses DFT+U, which skldos does not support",
    "DFT+U calculation": "uses DFT+U, which skldos does not support",
}
# Half of the last digit of a width, printed in Ry.
WIDTH_ERROR = 0.5e-4 * RYDBERG


def read_output(path):
    """Read the text that pw.x printed; needs ``verbosity='high'``.

    Printed are four decimals of an eigenvalue in eV, eight of an energy in Ry, six or seven of
    a length in units of the lattice constant, and four of the width of the smearing in Ry,
    which is 8 K: prefer the XML file of the save directory where there is one. Of several runs
    in one file the last one counts, of a relaxation its final geometry.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    EspressoRun
        Everything in eV and Å. Fermi-Dirac occupations are calculated from the eigenvalues;
        the printed weights of the k points are scaled so that they add up to 2.

    Raises
    ------
    FileFormatError
        If the file is truncated or damaged, lacks eigenvalues, or holds a run that
        :func:`~skldos.io.espresso.xml.read_xml` refuses, too. The message names file and line.

    Examples
    --------
    >>> from skldos.io.espresso.output import read_output
    >>> read_output("Be_snapshot0.out").fermi_energy  # doctest: +SKIP
    8.743
    """
    path = Path(path)
    lines = Lines(path)
    for needle, problem in UNSUPPORTED.items():
        found = lines.last(needle)
        if found is not None:
            raise lines.error(f"the calculation {problem}", found)
    end = _last_scf(lines)
    begin = lines.last("Self-consistent Calculation", before=end) or 0
    n_electrons = lines.number("number of electrons =", begin)
    weights, smearing, width, fixed = _k_points(lines, begin)
    given = lines.last("Occupations read from input", before=begin) is not None
    fixed = fixed and not given
    eigenvalues, printed = _bands(lines, begin, end, len(weights))
    fermi = None if fixed or given else lines.number("the Fermi energy is", end, begin)
    if fixed:
        occupations = np.zeros_like(eigenvalues)
        occupations[:, : round(n_electrons / 2)] = 1
    elif smearing == "fermi-dirac":
        # f = 1 / (1 + eˣ), written so that it cannot overflow
        occupations = 0.5 - 0.5 * np.tanh(0.5 * (eigenvalues - fermi) / width)
    else:
        occupations = printed
    grid = lines.match(
        r"Dense\s+grid:.*FFT dimensions:\s*\(\s*(\d+),\s*(\d+),\s*(\d+)", "FFT dimensions", begin
    )
    atoms = read_atoms(lines, end)
    return EspressoRun(
        path=path,
        atoms=atoms,
        grid_shape=tuple(map(int, grid.groups())),
        n_electrons=n_electrons,
        weights=weights,
        eigenvalues=eigenvalues,
        occupations=occupations,
        fermi_energy=fermi,
        smearing=smearing,
        width=width,
        width_error=WIDTH_ERROR,
        fixed_occupations=fixed,
        ecutwfc=lines.number("kinetic-energy cutoff =", begin),
        ecutrho=lines.number("charge density cutoff =", begin),
        energies=_energies(lines, end),
        forces=_forces(lines, end, len(atoms)),
        pseudopotentials=_pseudopotentials(lines),
        functional=_functional(lines),
        kind="norm-conserving" if lines.last("Pseudo is Ultrasoft") is None else "ultrasoft",
        gamma_only=lines.last("gamma-point specific algorithms") is not None,
    )


def _last_scf(lines):
    """Return the index of the line with the last total energy, which is marked by a "!"."""
    marked = [i for i, text in enumerate(lines.texts) if text.startswith("!")]
    failed = lines.last("convergence NOT achieved", after=marked[-1] if marked else 0)
    if failed is not None:
        raise lines.error("the self-consistent calculation did not converge", failed)
    if not marked:
        raise lines.error("the output holds no total energy of a self-consistent calculation", -1)
    return marked[-1]


def _k_points(lines, begin):
    """Return weights, name and width (eV) of the smearing, and whether there is no broadening."""
    start = lines.last("number of k points=", before=begin)
    if start is None:
        raise lines.error("'number of k points=' is missing before this line", begin)
    expected = lines.number("number of k points=", start + 1, start, int)
    weights = []
    for text in lines.texts[start + 1 : begin]:
        if "cryst. coord." in text:
            break  # the same points again
        found = re.search(rf"wk =\s*({NUMBER})", text)
        if found:
            weights.append(float(found[1]))
    if len(weights) != expected or not sum(weights) > 0:
        raise lines.error(
            f"expected the weights of {expected} k points, got {len(weights)}: run pw.x with "
            "verbosity='high'",
            start,
        )
    weights = np.array(weights) * (2 / sum(weights))
    title = lines.texts[start]
    found = re.search(rf"(\S+)\s+smearing, width \(Ry\)=\s*({NUMBER})", title)
    if found is None:
        return weights, None, 0.0, "tetrahedr" not in title
    name = found[1].lower()
    if name not in SMEARINGS:
        raise lines.error(f"unknown smearing {name!r}, expected one of {sorted(SMEARINGS)}", start)
    width = float(found[2]) * RYDBERG
    if not width > 0:
        raise lines.error("the width of the smearing is too small for its digits", start)
    return weights, SMEARINGS[name], width, False


def _bands(lines, begin, end, n_points):
    """Return eigenvalues in eV and printed occupations (None if there are none)."""
    n_bands = lines.number("number of Kohn-Sham states=", begin, convert=int)
    start = lines.last("End of self-consistent calculation", before=end, after=begin) or begin
    tables = {"bands (ev)": [], "occupation numbers": []}
    current, blanks = None, 0
    for i in range(start, end):
        text = lines.texts[i]
        title = next((name for name in tables if name in text), None)
        if title is not None:
            current, blanks = [], 0
            tables[title].append(current)
        elif current is not None and len(current) < n_bands:
            blanks += not text.strip()
            if blanks > 1 or len(text) > 90 or re.search("[a-z]", text):
                break
            current += lines.numbers(i)
    eigenvalues, occupations = tables.values()
    complete = [len(values) == n_bands for values in eigenvalues]
    if sum(complete) != n_points:
        raise lines.error(
            f"expected the eigenvalues of {n_bands} bands at {n_points} k points, got them at "
            f"{sum(complete)}: run pw.x with verbosity='high'",
            start,
        )
    if [len(values) for values in occupations] != [n_bands] * n_points:
        return np.array(eigenvalues), None
    return np.array(eigenvalues), np.array(occupations)


def _energies(lines, end):
    """Return total energy and its parts in eV."""
    energies = {"total_energy": lines.number("!    total energy =", end + 1, end), "minus_ts": 0.0}
    stop = lines.last("convergence has been achieved", after=end)
    if stop is None:
        raise lines.error("'convergence has been achieved' is missing below this line", end)
    parts_begin = lines.last("sum of the following terms", before=stop, after=end) or end
    for i in range(end + 1, stop):
        found = re.match(rf"\s+(\S.*\S)\s+=\s+({NUMBER}) Ry", lines.texts[i])
        if found and found[1] == "smearing contrib. (-TS)":
            energies["minus_ts"] = float(found[2])
        elif found and found[1] in PARTS:
            energies[PARTS[found[1]]] = float(found[2])
        elif found and i > parts_begin:
            raise lines.error(
                f"the total energy has a part {found[1]!r}, which skldos does not support", i
            )
    missing = sorted(set(PARTS.values()) - energies.keys())
    if missing:
        raise lines.error(f"the total energy lacks its part {missing[0]!r}", end)
    return {name: value * RYDBERG for name, value in energies.items()}


def _forces(lines, end, n_atoms):
    start = lines.last("Forces acting on atoms", after=end)
    if start is None:
        return None
    forces = []
    # One line per atom after an empty one; with verbosity='high' their parts follow.
    for text in lines.texts[start + 2 : start + 2 + n_atoms]:
        found = re.match(r"\s+atom\s+\d+\s+type\s+\d+\s+force =(.*)", text)
        forces.append([float(number) for number in re.findall(NUMBER, found[1] if found else "")])
    if len(forces) != n_atoms or {len(force) for force in forces} != {3}:
        raise lines.error(f"expected three components of the forces on {n_atoms} atoms", start)
    return np.array(forces) * (RYDBERG / BOHR)


def _functional(lines):
    found = lines.last("Exchange-correlation")
    if found is None:
        return None
    # Older versions add the indices of its parts: "SLA PZ NOGX NOGC ( 1  1  0  0 0 0)".
    return functional_name(lines.texts[found].split("=", 1)[-1].split("(")[0])


def _pseudopotentials(lines):
    found = {}
    for i, text in enumerate(lines.texts[:-1]):
        title = re.search(r"PseudoPot\. #\s*\d+ for\s+(\S+)\s+read from file", text)
        if title:
            found[chemical_symbol(title[1])] = Path(lines.texts[i + 1].strip()).name
    return found
