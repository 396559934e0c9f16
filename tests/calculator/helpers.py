"""Labels of a cheap potential, and derivatives along paths of atoms and cells."""

import numpy as np
from ase.calculators.emt import EMT


def labelled(snapshot, factor=1.0, stress=False):
    """Return a snapshot at 933 K, its cell scaled, with energy and forces of EMT."""
    atoms = snapshot.atoms.copy()
    atoms.set_cell(atoms.cell * factor, scale_atoms=True)
    atoms.calc = EMT()
    found = {"total_energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if stress:
        found["stress"] = atoms.get_stress(voigt=False)
    return snapshot.replace(atoms=atoms, temperature=933.0, reference=found)


def slope(function, step):
    """Five-point derivative at zero."""
    near, far = function(step) - function(-step), function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


def moved(atoms, direction):
    def at(step):
        other = atoms.copy()
        other.positions += step * direction
        return other

    return at


def strained(atoms, direction):
    def at(step):
        other = atoms.copy()
        other.set_cell(atoms.cell.array @ (np.eye(3) + step * direction), scale_atoms=True)
        return other

    return at
