"""All steps of a relaxation or of molecular dynamics with pw.x, as snapshots without fields."""

import re
import warnings
from bisect import bisect
from pathlib import Path

from skldos.data import Snapshot, SnapshotList
from skldos.io.espresso import output as text_output
from skldos.io.espresso import xml as xml_file
from skldos.io.espresso.geometry import geometries
from skldos.io.espresso.lines import Lines
from skldos.io.espresso.locate import find_run
from skldos.io.espresso.reader import temperature_of
from skldos.io.espresso.run import WITHOUT_PAW, checked_settings
from skldos.io.espresso.settings import check_xml_results, check_xml_settings
from skldos.io.espresso.tree import Tree
from skldos.io.limits import check_step, reads_file
from skldos.units import RYDBERG

TOTAL_ENERGY_LINE = re.compile(r"!\s+total energy")
#: Tolerance in Ry for total energies that occur twice in the XML file.
SAME_ENERGY = 1e-9
#: Lines below a table that mark its last line as complete.
LINES_AFTER_TABLE = 1


def read_espresso_trajectory(path, *, prefix=None, temperature=None):
    """Read all steps of a run of Quantum ESPRESSO's pw.x: atoms, free energies, forces, stresses.

    For models of atoms (:class:`~skldos.FreeEnergyRegressor`), which need no fields. The run may
    be of any kind: ``scf``, ``relax``, ``vc-relax``, ``md`` or ``vc-md``. It must be without spin
    and without settings that :func:`read_espresso` refuses; every step must be converged.

    Parameters
    ----------
    path : str or path-like
        The text output of pw.x, which has the stresses of all steps if they were calculated; or
        the folder `outdir` with ``prefix.save`` in it, the folder ``prefix.save`` itself or its
        ``data-file-schema.xml``, which have all digits, but only the last stress.
    prefix : str, optional
        Which ``prefix.save`` to read if `path` holds several.
    temperature : float, optional
        Electronic temperature in K, as for :func:`read_espresso`: not needed with Fermi-Dirac
        smearing or fixed occupations.

    Returns
    -------
    SnapshotList
        One snapshot per step, in order. Its `reference` holds ``"total_energy"`` (the free energy
        E − TS) and ``"minus_ts"`` in eV, and, if the run calculated them, ``"forces"`` in eV/Å
        and ``"stress"`` in eV/Å³, (3, 3), positive if the cell tends to shrink. From an XML file
        it also holds the other parts of the energy. The calculation is described as by
        :func:`read_espresso`.

    Raises
    ------
    FileNotFoundError
        If there is no run.
    FileFormatError
        If the file is damaged, belongs to another calculation, holds an unsupported calculation,
        or no complete step. The message names file and line.
    ValueError
        If the temperature is missing or contradicts the run.

    Warns
    -----
    UserWarning
        If the last step is incomplete or did not converge; it is left out.

    Notes
    -----
    A run with a variable cell keeps the plane waves of its first cell, so its energies belong to a
    fixed number of waves, not to a fixed cutoff. If a text output holds several runs, the last one
    counts.

    Examples
    --------
    >>> from skldos.io import read_espresso_trajectory
    >>> read_espresso_trajectory("md.out")[0].reference["forces"]  # doctest: +SKIP
    array([[-0.19358952, -0.19112366,  0.38643219],
           [ 0.19358952,  0.19112366, -0.38643219]])
    """
    file = find_run(Path(path), prefix)
    settings, steps = (_read_xml if file.suffix == ".xml" else _read_output)(file)
    temperature = temperature_of(settings, temperature)
    digits = len(str(len(steps)))
    return SnapshotList(
        Snapshot(
            atoms,
            temperature=temperature,
            n_electrons=settings.n_electrons,
            reference={
                name: value
                for name, value in (settings.reference | results).items()
                if value is not None
            },
            name=f"{file.stem} {i:0{digits}d}",
            source=str(file),
        )
        for i, (atoms, results) in enumerate(steps, start=1)
    )


# -------------------------------------------------------------------- the XML file


@reads_file
def _read_xml(path):
    tree = Tree.parse(path)
    output = tree["output"]
    task = tree["input/control_variables/calculation"]
    if task.text("scf").lower() in ("nscf", "bands"):
        raise task.error(f"calculation={task.text()!r} has no total energy")
    xml_file.check_supported(tree)
    check_xml_settings(tree)
    check_xml_results(tree)
    settings = checked_settings(**xml_file.settings_of(tree))
    steps_in_file = tree.all("step") or [output]
    if steps_in_file[0].tag == "step":
        energies = [p["total_energy/etot"].number() for p in (steps_in_file[-1], output)]
        if abs(energies[0] - energies[1]) > SAME_ENERGY and _is_converged(steps_in_file[-1]):
            # The final cell of a relaxation is calculated again with its own plane waves.
            steps_in_file.append(output)
    steps = [_xml_step(step, vars(settings)) for step in _without_torn(steps_in_file, path)]
    if len(steps) == len(steps_in_file):
        steps[-1][1]["stress"] = xml_file.stress_of(output)
    for atoms, results in steps:
        check_step(atoms, settings.n_electrons, results, path)
    return settings, steps


def _is_converged(step):
    convergence = xml_file.convergence_of(step)
    return convergence is None or convergence["convergence_achieved"].logical()


def _without_torn(steps, path):
    """Return the steps, without the last one if it did not converge."""
    for number, step in enumerate(steps, start=1):
        if not _is_converged(step):
            if number < len(steps) or number == 1:
                raise step.error(f"step {number} did not converge")
            _warn_of_torn(number, "did not converge", path)
            return steps[:-1]
    return steps


def _xml_step(step, settings):
    structure = step["atomic_structure"]
    results = xml_file.energies_of(step, settings)
    results["forces"] = xml_file.forces_of(step, structure)
    return xml_file.atoms_of(structure), results


# -------------------------------------------------------------------- the text output


@reads_file
def _read_output(path):
    lines = Lines(path, torn=True)
    marks = [i for i, text in enumerate(lines.texts) if TOTAL_ENERGY_LINE.match(text)]
    if not marks:
        raise lines.error("the output holds no total energy of a self-consistent calculation", -1)
    text_output.check_supported(lines)
    settings = checked_settings(**text_output.settings_of(lines, marks[0]))
    steps, stops = [], [*marks[1:], len(lines)]
    geometries = _geometries(lines, marks)
    for number, (mark, stop) in enumerate(zip(marks, stops, strict=True), start=1):
        problem = _problem(lines, mark, stop, steps, is_last=number == len(marks))
        if problem is not None:
            if number < len(marks) or number == 1:
                raise lines.error(f"step {number} {problem}", mark)
            _warn_of_torn(number, problem, path)
            break
        atoms = geometries[number - 1]
        results = _text_energies(lines, mark, stop, settings.kind)
        results["forces"] = text_output.forces_of(lines, mark, len(atoms), stop)
        results["stress"] = text_output.stress_of(lines, mark, stop)
        check_step(atoms, settings.n_electrons, results, path)
        steps.append((atoms, results))
    return settings, steps


def _geometries(lines, marks):
    """Return the atoms for every total energy, from the last geometry above it."""
    found = list(geometries(lines, marks[0], marks[-1]))
    starts = [start for start, *_ in found]
    return [found[bisect(starts, mark) - 1][1] for mark in marks]


def _problem(lines, mark, stop, earlier, is_last):
    """Return the defect of a step, or None; `earlier` steps show the expected results."""
    if lines.last("convergence NOT achieved", before=stop, after=mark) is not None:
        return "is followed by one that did not converge" if not is_last else "did not converge"
    if lines.last("convergence has been achieved", before=stop, after=mark) is None:
        return "is incomplete: 'convergence has been achieved' is missing"
    results = earlier[-1][1] if earlier else {}
    for name, needle, n_lines in (
        ("forces", "Total force =", LINES_AFTER_TABLE),
        ("stress", "total   stress", 3 + LINES_AFTER_TABLE),
    ):
        title = "Forces acting on atoms" if name == "forces" else needle
        begun = lines.last(title, before=stop, after=mark) is not None
        end = lines.last(needle, before=stop, after=mark)
        complete = end is not None and end + n_lines < len(lines)
        if (begun or results.get(name) is not None) and not complete:
            return f"is incomplete: it lacks its {name}"
    return None


def _text_energies(lines, mark, stop, kind):
    """Return the energies of a step in eV; the parts are only printed for some steps."""
    end = lines.last("convergence has been achieved", before=stop, after=mark)
    if kind == "paw" or lines.last("sum of the following terms", end, mark) is None:
        energy = lines.number("!    total energy =", mark + 1, mark)
        smeared = lines.last("smearing contrib. (-TS)", end, mark)
        minus_ts = 0.0
        if smeared is not None:
            minus_ts = lines.number("smearing contrib. (-TS) =", smeared + 1, smeared)
        return {"total_energy": energy * RYDBERG, "minus_ts": minus_ts * RYDBERG}
    energies = text_output.energies_of(lines, mark, kind, end + 1)
    return {name: energies[name] for name in WITHOUT_PAW}


# -------------------------------------------------------------------- both


def _warn_of_torn(number, problem, path):
    warnings.warn(
        f"the last step, number {number}, {problem}; it is left out ({path}).",
        UserWarning,
        stacklevel=5,
    )
