"""The file ``data-file-schema.xml`` in the save directory of pw.x, all in Hartree units."""

import re
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.io.espresso.run import (
    MOVED,
    OTHER_SUM,
    WITHOUT_PAW,
    EspressoRun,
    add_pseudopotential,
    chemical_symbol,
    smearing_name,
)
from skldos.io.espresso.settings import check_xml_results, check_xml_settings
from skldos.io.espresso.tree import Tree
from skldos.io.fortran import to_float, to_int
from skldos.io.functionals import FUNCTIONALS, functional_name
from skldos.io.limits import check_run, located, reads_file
from skldos.units import BOHR, HARTREE

# Parts of the total energy that skldos can evaluate, and two entries that are not parts of it.
ENERGY_TERMS = {"ehart": "hartree", "etxc": "xc", "ewald": "ewald", "demet": "minus_ts"}
OTHER_ENERGIES = {"etot", "eband", "vtxc"}
#: Status of a relaxation that ran out of steps.
NOT_RELAXED = 3
#: Kinds of occupations, tetrahedra with any weights.
OCCUPATIONS = ("smearing", "tetrahedra", "fixed", "from_input")
# Positions in the file have sixteen digits; a step of a relaxation is far larger.
SAME_POSITION = 1e-8


@reads_file
def read_xml(path):
    """Read the results of a pw.x run as an :class:`EspressoRun`, to all digits.

    The file is ``data-file-schema.xml`` in ``prefix.save``, or its copy ``prefix.xml`` next to that
    folder. After ``calculation='nscf'`` there is no total energy.

    A :class:`FileFormatError` names file and line if the file is damaged or truncated; if the run
    did not converge, is spin-polarised or noncollinear, or used a setting that changes the
    Hamiltonian or the energy in ways that skldos does not know; if its energies do not add up; or
    if its final geometry is not that of its last self-consistent calculation (as in an unconverged
    relaxation or molecular dynamics).

    Examples
    --------
    >>> from skldos.io.espresso.xml import read_xml
    >>> read_xml("al.save/data-file-schema.xml").fermi_energy  # doctest: +SKIP
    7.044842
    """
    path = Path(path)
    tree = Tree.parse(path)
    calculation = _checked_calculation(tree)
    output, settings = tree["output"], settings_of(tree)
    structure, basis, bands = (
        output[name] for name in ("atomic_structure", "basis_set", "band_structure")
    )
    weights, eigenvalues, occupations = _states(bands)
    # With fixed or given occupations the entry is the highest occupied state.
    has_level = settings["occupations_kind"] not in ("fixed", "from-input")
    rotations, translations = _symmetries(output)
    run = EspressoRun(
        **settings,
        atoms=atoms_of(structure),
        grid_shape=tuple(basis["fft_grid"].attribute(f"nr{i}", to_int) for i in (1, 2, 3)),
        weights=weights,
        eigenvalues=eigenvalues,
        occupations=occupations,
        fermi_energy=bands["fermi_energy"].number() * HARTREE if has_level else None,
        energies=energies_of(output, settings) if calculation != "nscf" else {},
        forces=forces_of(output, structure),
        stress=stress_of(output),
        gamma_only=basis.flag("gamma_only"),
        assume_isolated=_boundary(tree),
        save_directory=_save_directory(path),
        rotations=rotations,
        translations=translations,
    )
    check_xml_results(tree)
    check_run(run)
    return run


def settings_of(tree):
    """Return what all steps share, as arguments of ``EspressoRun``."""
    output = tree["output"]
    bands, basis = output["band_structure"], output["basis_set"]
    kind, width = _occupations(bands)
    charge = tree.find("input/bands/tot_charge")
    return {
        "path": tree.path,
        "n_electrons": bands["nelec"].number(),
        "occupations_kind": kind,
        "width": width,
        "ecutwfc": basis["ecutwfc"].number() * 2,
        "ecutrho": basis["ecutrho"].number() * 2,
        "charge": None if charge is None else charge.number(),
        "functional": _functional(tree),
        "kind": _kind(output),
        "pseudopotentials": _pseudopotentials(output),
    }


def _checked_calculation(tree):
    """Return what was calculated, such as "scf", if it is supported and has ended well."""
    output = tree["output"]
    task = tree["input/control_variables/calculation"]
    calculation = task.text("scf").lower()
    if calculation == "bands":
        raise task.error("the k points of calculation='bands' have no weights; use 'nscf'")
    check_supported(tree)
    check_xml_settings(tree)
    convergence = convergence_of(output)
    converged = None if convergence is None else convergence.find("convergence_achieved")
    if calculation != "nscf" and converged is not None and not converged.logical():
        raise converged.error("the self-consistent calculation did not converge")
    _check_status(tree, calculation)
    if calculation not in ("scf", "nscf"):
        _check_last_step(tree, output["atomic_structure"])
    return calculation


def _boundary(tree):
    """Return "2D" where the Coulomb interaction was truncated, or None."""
    boundary = tree.find("input/boundary_conditions/assume_isolated")
    return "2D" if boundary is not None and boundary.text("").lower() == "2d" else None


def _check_status(tree, calculation):
    """Check that pw.x came to its end; a relaxation may have needed more steps."""
    for name in ("exit_status", "status"):
        entry = tree.find(name)
        allowed = (0,) if calculation in ("scf", "nscf") else (0, NOT_RELAXED)
        if entry is not None and entry.integer() not in allowed:
            raise entry.error(f"pw.x stopped before its end, with the status {entry.text()}")


def convergence_of(step):
    """Return the entry of the last self-consistent cycle of ``<output>`` or a ``<step>``."""
    step = step.find("convergence_info") or step
    return step.find("scf_conv")


def check_supported(tree):
    """Raise an error if a run has spin, or if its numbers are in other units."""
    units = tree.element.get("Units", "Hartree")
    if "hartree" not in units.lower():
        raise tree.error(f"expected Units='Hartree atomic units', got {units!r}")
    for section in ("output/band_structure", "output/magnetization", "input/spin"):
        for name in ("lsda", "noncolin", "spinorbit"):
            if tree.flag(f"{section}/{name}"):
                kind = "spin-polarised" if name == "lsda" else "noncollinear"
                raise tree[f"{section}/{name}"].error(
                    f"the calculation is {kind}, which skldos does not support"
                )


def _occupations(bands):
    """Return the kind of the occupations and the width of the smearing in eV, 0 without one."""
    entry = bands["occupations_kind"]
    # tetrahedra_lin and tetrahedra_opt differ in the weights only.
    word = re.sub("[_-](lin|opt)$", "", entry.text("").lower())
    if word not in OCCUPATIONS:
        raise entry.error(f"unknown occupations {entry.text()!r}, expected one of {OCCUPATIONS}")
    if word != "smearing":
        return word.replace("_", "-"), 0.0
    smearing = bands["smearing"]
    with located(smearing.error):
        return smearing_name(smearing.text("")), smearing.attribute("degauss", to_float) * HARTREE


def _check_last_step(tree, structure):
    """Check that positions and energies of a relaxation or trajectory belong together."""
    steps = tree.all("step")
    if not steps:
        return
    last, end = (atoms_of(s) for s in (steps[-1]["atomic_structure"], structure))
    displacement = np.abs(last.cell.array - end.cell.array).max()
    displacement = max(displacement, np.abs(last.positions - end.positions).max())
    if displacement > SAME_POSITION:
        raise structure.error(MOVED.format(displacement))


def atoms_of(structure):
    """Return the atoms of an ``<atomic_structure>``, in Å."""
    positions, symbols = [], []
    for atom in structure.all("atomic_positions/atom"):
        positions.append(atom.numbers((3,)) * BOHR)
        with located(atom.error):
            symbols.append(chemical_symbol(atom.attribute("name")))
    expected = structure.attribute("nat", to_int)
    if len(symbols) != expected:
        raise structure.error(f"expected {expected} atoms, got {len(symbols)}")
    cell = [structure[f"cell/a{i}"].numbers((3,)) * BOHR for i in (1, 2, 3)]
    return Atoms(symbols, positions=positions, cell=cell, pbc=True)


def _states(bands):
    """Return weights, eigenvalues (eV) and occupations of all k points."""
    points = bands.all("ks_energies")
    expected = bands["nks"].integer()
    if len(points) != expected or not points:
        raise bands.error(f"expected the eigenvalues of {expected} k points, got {len(points)}")
    shape = (bands["nbnd"].integer(),)
    weights = np.array([point["k_point"].attribute("weight", to_float) for point in points])
    if not weights.sum() > 0:
        raise bands.error("the weights of the k points must have a positive sum")
    eigenvalues = np.array([point["eigenvalues"].numbers(shape) for point in points])
    occupations = np.array([point["occupations"].numbers(shape) for point in points])
    # Two spins: the weights add up to 2.
    return weights * (2 / weights.sum()), eigenvalues * HARTREE, occupations


def _kind(output):
    """Return the softest kind of the pseudopotentials."""
    if output.flag("algorithmic_info/paw"):
        return "paw"
    return "ultrasoft" if output.flag("algorithmic_info/uspp") else "norm-conserving"


def _functional(tree):
    """Return the name of the functional, from the input if pw.x has no short name for it."""
    name = tree["output/dft/functional"].text("")
    input_name = tree.find("input/dft/functional")
    if name == "no shortname" and input_name is not None:
        name = input_name.text("")
    return functional_name(name) if name else None


def energies_of(output, settings):
    """Return the parts of the total energy in eV, of ``<output>`` or a ``<step>``."""
    total = output["total_energy"]
    unknown = [
        term.tag for term in total.element if term.tag not in ENERGY_TERMS.keys() | OTHER_ENERGIES
    ]
    if unknown:
        raise total[unknown[0]].error(
            f"the total energy has a part <{unknown[0]}>, which skldos does not support"
        )
    energies = {"total_energy": total["etot"].number() * HARTREE}
    for tag, name in ENERGY_TERMS.items():
        # Without smearing there is no -TS.
        term = total.find(tag) if tag == "demet" else total[tag]
        energies[name] = 0.0 if term is None else term.number() * HARTREE
    if settings["kind"] == "paw":
        return {name: energies[name] for name in WITHOUT_PAW}
    # The file omits one part, which is the total minus the others.
    sum_of_terms = sum(energies[name] for name in ENERGY_TERMS.values())
    one_electron = energies["total_energy"] - sum_of_terms
    if settings["functional"] in FUNCTIONALS.values():
        _check_sum(output, energies, one_electron)
    return energies | {"one_electron": one_electron}


def _check_sum(output, energies, one_electron):
    """Check that the rest of the total energy is the one-electron energy.

    This is the band energy minus ∫ n (v_H + v_xc) = 2 E_H + ∫ n v_xc, within the convergence of the
    calculation: an error δn of the density with the energy e = ½⟨δn|K|δn⟩, which pw.x estimates,
    changes ⟨n|K|δn⟩ by less than 2 √(E e) with E = ½⟨n|K|n⟩.
    """
    total = output["total_energy"]
    expected = total["eband"].number() - 2 * total["ehart"].number() - total["vtxc"].number()
    accuracy = convergence_of(output)
    accuracy = None if accuracy is None else accuracy.find("scf_error")
    error = 1e-6 if accuracy is None else abs(accuracy.number())
    scale = (abs(energies["hartree"]) + abs(energies["xc"])) / HARTREE
    slack = 1e-6 + 1e-8 * scale + 4 * np.sqrt(scale * error)
    remainder = one_electron / HARTREE - expected
    if abs(remainder) > slack:
        raise total.error(OTHER_SUM.format(f"{remainder * HARTREE:.6f} eV"))


def forces_of(output, structure):
    """Return the forces in eV/Å, shape (n_atoms, 3), or None."""
    forces = output.find("forces")
    if forces is None:
        return None
    # Three components per atom, one atom after the other: order="F" of (3, nat).
    return forces.numbers((structure.attribute("nat", to_int), 3)) * (HARTREE / BOHR)


def stress_of(output):
    """Return the stress in eV/Å³, shape (3, 3), positive if the cell tends to shrink, or None."""
    stress = output.find("stress")
    if stress is None:
        return None
    # Fortran order, of a symmetric tensor; pw.x counts compression as positive.
    return -stress.numbers((3, 3)) * HARTREE / BOHR**3


def _pseudopotentials(output):
    """Return the name of the pseudopotential file of every element.

    A snapshot knows elements, not labels, so an element can have one pseudopotential only.
    """
    labels = {
        atom.attribute("name") for atom in output.all("atomic_structure/atomic_positions/atom")
    }
    files = {}
    for species in output.all("atomic_species/species"):
        label = species.attribute("name")
        if label in labels or not files:
            with located(species.error):
                add_pseudopotential(files, label, species["pseudo_file"].text(""))
    return files


def _symmetries(output):
    """Return the matrices s(i, j) in crystal axes and fractional translations of the crystal."""
    rotations, translations = [], []
    for symmetry in output.all("symmetries/symmetry"):
        if symmetry["info"].text() != "crystal_symmetry":
            continue  # a symmetry of the lattice only
        # Fortran order: the first index runs fastest.
        rotations.append(symmetry["rotation"].numbers((3, 3)).T)
        translation = symmetry.find("fractional_translation")
        translations.append(np.zeros(3) if translation is None else translation.numbers((3,)))
    shape = (len(rotations), 3, 3)
    return np.rint(rotations).astype(int).reshape(shape), np.reshape(translations, (-1, 3))


def _save_directory(path):
    if path.name == "data-file-schema.xml":
        return path.parent
    folder = path.with_suffix(".save")
    return folder if folder.is_dir() else None
