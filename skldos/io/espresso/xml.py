"""The file ``data-file-schema.xml`` in the save directory of pw.x, all in Hartree units."""

from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.exceptions import FileFormatError
from skldos.io.espresso.run import SMEARINGS, EspressoRun, chemical_symbol
from skldos.io.espresso.tree import Tree
from skldos.io.functionals import functional_name
from skldos.units import BOHR, HARTREE

# Parts of the total energy that skldos can evaluate, and two that are no parts of it.
PARTS = {"ehart": "hartree", "etxc": "xc", "ewald": "ewald", "demet": "minus_ts"}
OTHERS = {"etot", "eband", "vtxc"}
# Positions in the file have sixteen digits; a step of a relaxation is far larger.
SAME_POSITION = 1e-8


def read_xml(path):
    """Read what a run of pw.x left in its ``data-file-schema.xml``, to all digits.

    Parameters
    ----------
    path : str or path-like
        The file, in ``prefix.save``, or its copy ``prefix.xml`` beside that folder.

    Returns
    -------
    EspressoRun
        Everything in eV and Å. After ``calculation='nscf'`` it has no total energy.

    Raises
    ------
    FileFormatError
        If the file is damaged or truncated, or if the run did not converge, is spin-polarised
        or noncollinear, uses PAW, DFT+U or another term that is not known here, or left a
        geometry other than that of its last self-consistent calculation (as a relaxation that
        did not converge, or molecular dynamics). The message names file and line.

    Examples
    --------
    >>> from skldos.io.espresso.xml import read_xml
    >>> read_xml("al.save/data-file-schema.xml").fermi_energy  # doctest: +SKIP
    7.044842
    """
    path = Path(path)
    tree = Tree.parse(path)
    output = tree["output"]
    task = tree["input/control_variables/calculation"]
    calculation = task.text("scf")
    if calculation == "bands":
        raise task.error("the k points of calculation='bands' have no weights; use 'nscf'")
    _check_supported(output)
    converged = output.find("convergence_info/scf_conv/convergence_achieved")
    if calculation != "nscf" and converged is not None and converged.text() != "true":
        raise converged.error("the self-consistent calculation did not converge")
    structure = output["atomic_structure"]
    if calculation not in ("scf", "nscf"):
        _check_last_step(tree, structure)
    basis = output["basis_set"]
    bands = output["band_structure"]
    weights, eigenvalues, occupations = _states(bands)
    smearing, width = _smearing(bands)
    occupied = bands["occupations_kind"].text()
    rotations, translations = _symmetries(output)
    return EspressoRun(
        path=path,
        atoms=_atoms(structure),
        grid_shape=tuple(basis["fft_grid"].attribute(f"nr{i}", int) for i in (1, 2, 3)),
        n_electrons=bands["nelec"].number(),
        weights=weights,
        eigenvalues=eigenvalues,
        occupations=occupations,
        fermi_energy=_fermi_energy(bands, occupied),
        smearing=smearing,
        width=width,
        fixed_occupations=occupied == "fixed",
        ecutwfc=basis["ecutwfc"].number() * 2,
        ecutrho=basis["ecutrho"].number() * 2,
        energies=_energies(output["total_energy"]) if calculation != "nscf" else {},
        forces=_forces(output, structure),
        pseudopotentials=_pseudopotentials(output),
        functional=functional_name(output["dft/functional"].text()),
        kind="ultrasoft" if output.flag("algorithmic_info/uspp") else "norm-conserving",
        save_directory=_save_directory(path),
        gamma_only=basis.flag("gamma_only"),
        rotations=rotations,
        translations=translations,
    )


def _check_supported(output):
    bands = output["band_structure"]
    for name in ("lsda", "noncolin", "spinorbit"):
        if bands.flag(name):
            kind = "spin-polarised" if name == "lsda" else "noncollinear"
            raise bands[name].error(f"the calculation is {kind}, which skldos does not support")
    if output.flag("algorithmic_info/paw"):
        raise output["algorithmic_info/paw"].error(
            "the calculation uses PAW, whose density skldos cannot rebuild; take norm-conserving "
            "or ultrasoft pseudopotentials"
        )
    extension = output.find("dft/dftU") or output.find("dft/hybrid")
    if extension is not None:
        raise extension.error(f"<{extension.element.tag}> is not supported by skldos")


def _check_last_step(tree, structure):
    """Make sure that the positions of a relaxation or trajectory are those of its energies."""
    steps = tree.all("step")
    if not steps:
        return
    last, end = (_atoms(s) for s in (steps[-1]["atomic_structure"], structure))
    moved = np.abs(last.cell.array - end.cell.array).max()
    moved = max(moved, np.abs(last.positions - end.positions).max())
    if moved > SAME_POSITION:
        raise structure.error(
            f"the atoms moved by {moved:.2g} Å after the last self-consistent calculation; "
            "run calculation='scf' for the geometry that is wanted"
        )


def _atoms(structure):
    positions, symbols = [], []
    for atom in structure.all("atomic_positions/atom"):
        positions.append(atom.numbers((3,)) * BOHR)
        try:
            symbols.append(chemical_symbol(atom.attribute("name")))
        except FileFormatError:
            raise
        except ValueError as error:
            raise atom.error(str(error)) from error
    expected = structure.attribute("nat", int)
    if len(symbols) != expected:
        raise structure.error(f"expected {expected} atoms, got {len(symbols)}")
    cell = [structure[f"cell/a{i}"].numbers((3,)) * BOHR for i in (1, 2, 3)]
    return Atoms(symbols, positions=positions, cell=cell, pbc=True)


def _states(bands):
    """Return weights, eigenvalues (eV) and occupations of all k points."""
    points = bands.all("ks_energies")
    expected = int(bands["nks"].number())
    if len(points) != expected or not points:
        raise bands.error(f"expected the eigenvalues of {expected} k points, got {len(points)}")
    shape = (int(bands["nbnd"].number()),)
    weights = np.array([point["k_point"].attribute("weight", float) for point in points])
    if not weights.sum() > 0:
        raise bands.error("the weights of the k points must have a positive sum")
    eigenvalues = np.array([point["eigenvalues"].numbers(shape) for point in points])
    occupations = np.array([point["occupations"].numbers(shape) for point in points])
    # Two spins: the weights add up to 2.
    return weights * (2 / weights.sum()), eigenvalues * HARTREE, occupations


def _fermi_energy(bands, occupied):
    if occupied in ("fixed", "from_input"):
        return None  # what stands there is the highest occupied state
    return bands["fermi_energy"].number() * HARTREE


def _smearing(bands):
    smearing = bands.find("smearing")
    if smearing is None or bands["occupations_kind"].text() != "smearing":
        return None, 0.0
    name = smearing.text()
    if name not in SMEARINGS:
        raise smearing.error(f"unknown smearing {name!r}, expected one of {sorted(SMEARINGS)}")
    return SMEARINGS[name], smearing.attribute("degauss", float) * HARTREE


def _energies(total):
    """Return the parts of the total energy in eV."""
    unknown = [part.tag for part in total.element if part.tag not in PARTS.keys() | OTHERS]
    if unknown:
        raise total[unknown[0]].error(
            f"the total energy has a part <{unknown[0]}>, which skldos does not support"
        )
    energies = {"total_energy": total["etot"].number() * HARTREE}
    for tag, name in PARTS.items():
        # Without a smearing there is no -TS.
        part = total.find(tag) if tag == "demet" else total[tag]
        energies[name] = 0.0 if part is None else part.number() * HARTREE
    # The file leaves out the one part that the others leave.
    others = sum(energies[name] for name in PARTS.values())
    return energies | {"one_electron": energies["total_energy"] - others}


def _forces(output, structure):
    forces = output.find("forces")
    if forces is None:
        return None
    # Three components after another, atom by atom, which is what order="F" of (3, nat) means.
    return forces.numbers((structure.attribute("nat", int), 3)) * (HARTREE / BOHR)


def _pseudopotentials(output):
    return {
        chemical_symbol(species.attribute("name")): species["pseudo_file"].text("")
        for species in output.all("atomic_species/species")
    }


def _symmetries(output):
    """Return the matrices s(i, j) in crystal axes and fractional translations of the crystal."""
    rotations, translations = [], []
    for symmetry in output.all("symmetries/symmetry"):
        if symmetry["info"].text() != "crystal_symmetry":
            continue  # of the lattice only
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
