"""Formulas as chemists write them, whatever the order of the atoms."""

import pytest
from ase import Atoms

from skldos.data.formula import chemical_formula


@pytest.mark.parametrize(
    ("symbols", "formula"),
    [
        ("Al2MgAl", "Al3Mg"),
        ("Mg3Al", "AlMg3"),
        ("CSi", "SiC"),
        ("O2Si", "SiO2"),
        ("ClNa", "NaCl"),
        ("AsGa", "GaAs"),
        ("OH2", "H2O"),
        ("H3N", "NH3"),
        ("O3Al2", "Al2O3"),
        ("FeO3Ti", "FeTiO3"),
        ("H4C", "CH4"),
        ("Al", "Al"),
    ],
)
def test_formula(symbols, formula):
    assert chemical_formula(Atoms(symbols)) == formula
    assert chemical_formula(Atoms(symbols)[::-1]) == formula
