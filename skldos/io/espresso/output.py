"""The text output of pw.x: energies in Ry and eV, lengths in bohr and units of ``alat``."""

import re
from pathlib import Path

import numpy as np

from skldos.io.espresso.geometry import read_atoms
from skldos.io.espresso.lines import NUMBER, Lines
from skldos.io.espresso.run import (
    OTHER_SUM,
    WITHOUT_PAW,
    EspressoRun,
    add_pseudopotential,
    smearing_name,
)
from skldos.io.espresso.settings import check_text_settings
from skldos.io.functionals import functional_name, functional_of_numbers
from skldos.io.limits import check_run, reads_file
from skldos.units import BOHR, RYDBERG

# Terms of the total energy as they are printed; skldos can evaluate no others.
ENERGY_TERMS = {
    "one-electron contribution": "one_electron",
    "hartree contribution": "hartree",
    "xc contribution": "xc",
    "ewald contribution": "ewald",
}
SPIN = {
    "SPIN UP": "spin-polarised",
    "Starting magnetic structure": "spin-polarised",
    "Noncollinear calculation": "noncollinear",
    "agnetic calculation with spin-orbit": "noncollinear",
}
#: Kinds of pseudopotentials as the output names them, the softest last.
KINDS = {"Pseudo is Ultrasoft": "ultrasoft", "Pseudo is Projector augmented-wave": "paw"}
# Half of the last digit of an energy in Ry and of a number of electrons.
ENERGY_ERROR = 0.5e-8
ELECTRONS_ERROR = 0.5e-2
BEGINNINGS = {True: "Self-consistent Calculation", False: "Band Structure Calculation"}
ENDS = {True: "End of self-consistent calculation", False: "End of band structure calculation"}
# Half of the last digit of a width, printed in Ry.
WIDTH_ERROR = 0.5e-4 * RYDBERG


@reads_file
def read_output(path):
    """Read the text that pw.x printed as an :class:`EspressoRun`; needs ``verbosity='high'``.

    pw.x prints eigenvalues with four decimals in eV, energies with eight in Ry, lengths with six or
    seven in units of the lattice constant, and the width of the smearing with four in Ry, that is,
    to 8 K. Prefer the XML file of the save directory if there is one. Fermi-Dirac occupations are
    calculated from the eigenvalues, and the printed weights of the k points are scaled to a sum of
    2. If the file holds several runs, the last one counts; of a relaxation, the final geometry.

    A :class:`FileFormatError` names file and line if the file is truncated or damaged, lacks
    eigenvalues, or holds a run that :func:`~skldos.io.espresso.xml.read_xml` refuses, too.

    Examples
    --------
    >>> from skldos.io.espresso.output import read_output
    >>> read_output("Be_snapshot0.out").fermi_energy  # doctest: +SKIP
    8.743
    """
    path = Path(path)
    lines = Lines(path)
    check_supported(lines)
    end, is_scf = _last_calculation(lines)
    begin = lines.last(BEGINNINGS[is_scf], before=end) or 0
    settings = settings_of(lines, begin)
    kind = settings["occupations_kind"]
    weights = _weights(lines, begin)
    eigenvalues, occupations = _bands(lines, begin, end, len(weights), is_scf)
    has_level = kind not in ("fixed", "from-input")
    fermi = lines.number("the Fermi energy is", end, begin) if has_level else None
    if kind == "fixed":
        occupations = np.zeros_like(eigenvalues)
        occupations[:, : round(settings["n_electrons"] / 2)] = 1
    elif kind == "fermi-dirac":
        # f = 1 / (1 + eˣ), written so that it cannot overflow
        occupations = 0.5 - 0.5 * np.tanh(0.5 * (eigenvalues - fermi) / settings["width"])
    settings["n_electrons"] = _refined(settings["n_electrons"], weights, occupations)
    grid = lines.match(
        r"Dense\s+grid:.*FFT dimensions:\s*\(\s*(\d+),\s*(\d+),\s*(\d+)", "FFT dimensions", begin
    )
    atoms = read_atoms(lines, end)
    run = EspressoRun(
        **settings,
        atoms=atoms,
        grid_shape=tuple(map(int, grid.groups())),
        weights=weights,
        eigenvalues=eigenvalues,
        occupations=occupations,
        fermi_energy=fermi,
        energies=energies_of(lines, end, settings["kind"]) if is_scf else {},
        forces=forces_of(lines, end, len(atoms)),
        stress=stress_of(lines, end),
        gamma_only=lines.last("gamma-point specific algorithms") is not None,
        assume_isolated=None if lines.last("2D cutoff") is None else "2D",
    )
    check_run(run)
    return run


def settings_of(lines, begin):
    """Return what all steps share, from lines before `begin`, as arguments of ``EspressoRun``."""
    n_electrons = lines.number("number of electrons =", begin)
    kind, width = _occupations(lines, begin)
    return {
        "path": lines.path,
        "n_electrons": n_electrons,
        "occupations_kind": kind,
        "width": width,
        "width_error": WIDTH_ERROR,
        "ecutwfc": lines.number("kinetic-energy cutoff =", begin),
        "ecutrho": lines.number("charge density cutoff =", begin),
        "charge": charge_of(lines, begin, n_electrons),
        "functional": _functional(lines),
        "kind": _kind(lines),
        "pseudopotentials": _pseudopotentials(lines),
    }


def check_supported(lines):
    """Raise an error if a run has spin or settings that skldos does not support."""
    for needle, kind in SPIN.items():
        line = lines.last(needle)
        if line is not None:
            raise lines.error(f"the calculation is {kind}, which skldos does not support", line)
    check_text_settings(lines)


def _kind(lines):
    """Return the softest kind of the pseudopotentials."""
    kinds = [name for needle, name in KINDS.items() if lines.last(needle) is not None]
    return kinds[-1] if kinds else "norm-conserving"


def _last_calculation(lines):
    """Return the line at which the last calculation ends, and whether it was self-consistent.

    If so, it ends with its total energy, which is marked by a "!". The correction of Makov and
    Payne below it has the same mark, but does not belong to the periodic system.
    """
    marked = [i for i, text in enumerate(lines.texts) if re.match(r"!\s+total energy", text)]
    failed = lines.last("convergence NOT achieved", after=marked[-1] if marked else 0)
    if failed is not None:
        raise lines.error("the self-consistent calculation did not converge", failed)
    if marked:
        return marked[-1], True
    if lines.last(ENDS[False]) is None:
        raise lines.error("the output holds no total energy of a self-consistent calculation", -1)
    end = lines.last("Writing output data file") or len(lines) - 1
    start = lines.last(ENDS[False])
    if all(lines.last(text, end, start) is None for text in ("the Fermi energy", "highest occ")):
        raise lines.error("the k points of calculation='bands' have no weights; use 'nscf'", start)
    return end, False


def charge_of(lines, begin, n_electrons):
    """Return the sum of the valences minus the electrons, to two decimals, or None."""
    valences = {}
    for text in lines.texts[:begin]:
        # The label, valence, mass and pseudopotential of a species.
        match = re.match(rf"\s+(\S+)\s+({NUMBER})\s+({NUMBER})\s+\S+\s*\(", text)
        if match:
            valences[match[1]] = float(match[2])
    sites = [
        re.match(rf"\s+\d+\s+(\S+)\s+tau\(\s*\d+\)\s*=\s*\(\s*{NUMBER}", text)
        for text in lines.texts[:begin]
    ]
    labels = [site[1] for site in sites if site]
    labels = labels[: lines.number("number of atoms/cell =", begin, convert=int)]
    if not labels or not set(labels) <= valences.keys():
        return None
    charge = sum(valences[label] for label in labels) - n_electrons
    # Each of the two decimals may be off by half a unit.
    slack = ELECTRONS_ERROR * (1 + len(labels) * any(v % 1 for v in valences.values()))
    return 0.0 if abs(charge) < 1.01 * slack else round(charge, 2)


def _refined(n_electrons, weights, occupations):
    """Return the number of electrons, printed with two decimals, from the occupied states.

    The states give four decimals.
    """
    if n_electrons % 1 == 0 or occupations is None:
        return n_electrons
    # N = Σ_kn w_k f_kn
    counted = float(weights @ occupations.sum(axis=1))
    return counted if 1e-4 < abs(counted - n_electrons) < 2 * ELECTRONS_ERROR else n_electrons


def _k_points(lines, begin):
    """Return the line with the number of k points, which also names the smearing."""
    start = lines.last("number of k points=", before=begin)
    if start is None:
        raise lines.error("'number of k points=' is missing before this line", begin)
    return start


def _weights(lines, begin):
    """Return the weights of the k points, of sum 2."""
    start = _k_points(lines, begin)
    expected = lines.number("number of k points=", start + 1, start, int)
    weights = []
    for text in lines.texts[start + 1 : begin]:
        if "cryst. coord." in text:
            break  # the same points again
        match = re.search(rf"wk =\s*({NUMBER})", text)
        if match:
            weights.append(float(match[1]))
    if len(weights) != expected or not sum(weights) > 0:
        raise lines.error(
            f"expected the weights of {expected} k points, got {len(weights)}: run pw.x with "
            "verbosity='high'",
            start,
        )
    return np.array(weights) * (2 / sum(weights))


def _occupations(lines, begin):
    """Return the kind of the occupations and the width of the smearing in eV, 0 without one."""
    start = _k_points(lines, begin)
    title = lines.texts[start]
    match = re.search(rf"(\S{{1,40}})\s+smearing, width \(Ry\)=\s*({NUMBER})", title)
    if match is None:
        if lines.last("Occupations read from input", before=begin) is not None:
            return "from-input", 0.0
        return "tetrahedra" if "tetrahedr" in title else "fixed", 0.0
    with lines.located(start):
        name = smearing_name(match[1])
    width = float(match[2]) * RYDBERG
    if not width > 0:
        raise lines.error("the width of the smearing is too small for its digits", start)
    return name, width


def _bands(lines, begin, end, n_points, is_scf):
    """Return eigenvalues in eV and printed occupations (None if there are none)."""
    n_bands = lines.number("number of Kohn-Sham states=", begin, convert=int)
    start = lines.last(ENDS[is_scf], before=end, after=begin) or begin
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


def energies_of(lines, end, kind, before=None):
    """Return the total energy in line `end` and its parts below, in eV."""
    energies = {"total_energy": lines.number("!    total energy =", end + 1, end), "minus_ts": 0.0}
    stop = lines.last("convergence has been achieved", before=before, after=end)
    if stop is None:
        raise lines.error("'convergence has been achieved' is missing below this line", end)
    terms_begin = lines.last("sum of the following terms", before=stop, after=end) or end
    for i in range(end + 1, stop):
        match = re.match(rf"\s+(\S.*\S)\s+=\s+({NUMBER}) Ry", lines.texts[i])
        if match and match[1] == "smearing contrib. (-TS)":
            energies["minus_ts"] = float(match[2])
        elif match and match[1] in ENERGY_TERMS:
            energies[ENERGY_TERMS[match[1]]] = float(match[2])
        elif match and i > terms_begin and kind != "paw":
            raise lines.error(
                f"the total energy has a part {match[1]!r}, which skldos does not support", i
            )
    if kind == "paw":
        return {name: energies[name] * RYDBERG for name in WITHOUT_PAW}
    missing = sorted(set(ENERGY_TERMS.values()) - energies.keys())
    if missing:
        raise lines.error(f"the total energy lacks its part {missing[0]!r}", end)
    remainder = 2 * energies["total_energy"] - sum(energies.values())
    if abs(remainder) > 1.1 * ENERGY_ERROR * len(energies):
        raise lines.error(OTHER_SUM.format(f"{remainder:.8f} Ry"), end)
    return {name: value * RYDBERG for name, value in energies.items()}


def forces_of(lines, end, n_atoms, stop=None):
    """Return the forces in eV/Å printed between two lines, shape (n_atoms, 3), or None."""
    start = lines.last("Forces acting on atoms", before=stop, after=end)
    if start is None:
        return None
    forces = []
    # One line per atom after an empty one; with verbosity='high' their parts follow.
    for text in lines.texts[start + 2 : start + 2 + n_atoms]:
        match = re.match(r"\s+atom\s+\d+\s+type\s+\d+\s+force =(.*)", text)
        forces.append([float(number) for number in re.findall(NUMBER, match[1] if match else "")])
    if len(forces) != n_atoms or {len(force) for force in forces} != {3}:
        raise lines.error(f"expected three components of the forces on {n_atoms} atoms", start)
    return np.array(forces) * (RYDBERG / BOHR)


def stress_of(lines, begin, stop=None):
    """Return the stress in eV/Å³, positive if the cell tends to shrink, or None."""
    start = lines.last("total   stress", before=stop, after=begin)
    if start is None:
        return None
    if start + 3 >= len(lines):
        raise lines.error("expected three lines of the stress", start)
    # In Ry/bohr³ on the left and in kbar on the right; compression is positive.
    rows = [lines.numbers(start + i, 6)[:3] for i in (1, 2, 3)]
    return -np.array(rows) * RYDBERG / BOHR**3


def _functional(lines):
    """Return the name of the functional, or None."""
    line = lines.last("Exchange-correlation")
    if line is None:
        return None
    # The numbers of its parts stand behind it or, in later versions, on the next line:
    # SLA PZ NOGX NOGC ( 1  1  0  0 0 0), and without blanks if one of them has two digits.
    name, _, numbers = lines.texts[line].split("=", 1)[-1].partition("(")
    if not numbers and line + 1 < len(lines):
        numbers = lines.texts[line + 1].strip().removeprefix("(")
    numbers = [int(number) for number in re.findall(r"\b\d{1,3}\b", numbers)]
    return functional_of_numbers(name, numbers) if len(numbers) >= 4 else functional_name(name)


def _pseudopotentials(lines):
    """Return the name of the pseudopotential file of every element; see the XML file."""
    files = {}
    for i in range(lines.last("Program PWSCF") or 0, len(lines) - 1):
        title = re.search(r"PseudoPot\. #\s*\d+ for\s+(\S+)\s+read from file", lines.texts[i])
        if title:
            with lines.located(i):
                add_pseudopotential(files, title[1], Path(lines.texts[i + 1].strip()).name)
    return files
