"""Results that atoms carry: read as they are, never calculated."""

import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator

from skldos.data.results import results_of


class Costly(Calculator):
    """A calculator whose calculation would take days."""

    implemented_properties = ("energy", "forces")

    def calculate(self, *args, **kwargs):
        raise AssertionError("calculated")


def test_nothing_is_calculated():
    atoms = bulk("Al")
    atoms.calc = Costly()
    assert results_of(atoms) == {}
    atoms.calc.results = {"energy": -1.5}
    atoms.calc.atoms = atoms.copy()
    assert results_of(atoms) == {"total_energy": -1.5}


def test_results_of_other_positions_do_not_count():
    atoms = bulk("Al")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.5, forces=[[0.0, 0.0, 0.1]])
    assert results_of(atoms)["forces"].tolist() == [[0.0, 0.0, 0.1]]
    atoms.rattle(0.1)
    assert results_of(atoms) == {}


@pytest.mark.parametrize("name", ["skldos", "skldos LDOS"])
def test_predictions_are_no_reference(name):
    atoms = bulk("Al")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.5)
    atoms.calc.name = name
    assert results_of(atoms) == {}
