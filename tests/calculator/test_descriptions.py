"""Energies, forces and stress do not depend on the description of a crystal."""

import numpy as np
import pytest

from skldos import LDOSCalculator
from skldos.testing import changes

STATE = {"temperature": 900.0}
CHANGES = [
    changes.lattice_shifts,
    changes.left_handed,
    changes.reversed_axis,
    changes.supercell,
    changes.reordered,
    changes.rotated,
]


def properties(atoms, calculator):
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)


@pytest.fixture
def calculator(model, aluminium):
    return LDOSCalculator(model, aluminium, **STATE)


@pytest.fixture
def rotation(atoms):
    """The rotation matrix of :func:`changes.rotated`."""

    def of(changed):
        return np.linalg.solve(atoms.cell.array, changed.cell.array)

    return of


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_descriptions_of_the_crystal_do_not_matter(calculator, training, rotation, change):
    snapshot = training[0].replace(reference={})
    energy, forces, stress = properties(snapshot.atoms, calculator)
    assert np.abs(forces).max() > 0.1
    assert np.abs(stress).max() > 1e-3
    changed = change(snapshot)
    other = properties(changed.snapshot.atoms, calculator)
    n = len(changed.snapshot.atoms) / len(snapshot.atoms)
    assert other[0] == pytest.approx(n * energy, rel=1e-10)
    turn = rotation(changed.snapshot.atoms) if change is changes.rotated else np.eye(3)
    if change is changes.rotated:
        assert np.abs(turn - np.eye(3)).max() > 0.5
    np.testing.assert_allclose(other[1], forces[changed.atoms] @ turn, atol=1e-8)
    # Of the two signs of the highest wave of an even grid one is taken, which a shear notices.
    atol = 1e-5 if change is changes.reversed_axis else 1e-10
    np.testing.assert_allclose(other[2], turn.T @ stress @ turn, atol=atol)


@pytest.mark.filterwarnings("ignore:density_cutoff=13 eV leaves out most")
def test_another_choice_of_cell_has_the_same_energy_on_the_same_points(model, aluminium, training):
    snapshot = training[0].replace(reference={})
    # All waves within the cutoff are held by both descriptions of the grid.
    options = {"grid_shape": snapshot.grid_shape, "density_cutoff": 13.0, **STATE}
    calculator = LDOSCalculator(model, aluminium, **options)
    energy, forces, stress = properties(snapshot.atoms, calculator)
    other = properties(changes.another_cell(snapshot).snapshot.atoms, calculator)
    assert other[0] == pytest.approx(energy, rel=1e-10)
    np.testing.assert_allclose(other[1], forces, atol=1e-8)
    np.testing.assert_allclose(other[2], stress, atol=1e-8)
