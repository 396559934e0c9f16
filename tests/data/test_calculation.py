"""Common and different properties of calculations."""

from types import SimpleNamespace

import pytest
from ase import Atoms
from ase.build import bulk

from skldos import EnergyGrid, Snapshot
from skldos.data.calculation import (
    common_calculation,
    differing_fact,
    electrons_of,
    energy_grid_of,
)
from skldos.exceptions import SnapshotError


def snapshot(symbol, **reference):
    return Snapshot(bulk(symbol), reference=reference)


def test_pseudopotentials_are_compared_element_by_element():
    al, mg = {"Al": "Al.upf"}, {"Mg": "Mg.upf"}
    parts = [snapshot("Al", pseudopotentials=al), snapshot("Mg", pseudopotentials=mg)]
    known = common_calculation(parts)
    assert known["pseudopotentials"] == al | mg
    assert parts[0].reference["pseudopotentials"] == al
    assert differing_fact(parts[1].reference, known) is None
    other = snapshot("Mg", pseudopotentials={"Mg": "another.upf"})
    assert differing_fact(other.reference, known) == "pseudopotentials"
    with pytest.raises(SnapshotError, match="same pseudopotentials"):
        common_calculation([*parts, other])


@pytest.mark.parametrize(("fact", "value"), [("functional", "pbe"), ("charge", 1e-3)])
def test_other_facts_are_compared_as_they_are(fact, value):
    first = snapshot("Al", functional="lda-pz", charge=0.0)
    known = common_calculation([first, snapshot("Al", charge=3e-7)])
    assert differing_fact(first.reference, known) is None
    assert differing_fact(snapshot("Al", **{fact: value}).reference, known) == fact
    with pytest.raises(SnapshotError, match=f"same {fact}"):
        common_calculation([first, snapshot("Al", **{fact: value})])


def test_electrons_follow_from_the_cells_of_the_training():
    known = {"valence_electrons": {"Al4": 12.0, "AlMg3": 9.0}}
    for formula, electrons in (("Al", 3), ("Mg", 2), ("Al2Mg2", 10), ("Mg5Al", 13)):
        assert electrons_of(Atoms(formula), known) == electrons
    assert electrons_of(Atoms("AlSi"), known) is None
    assert electrons_of(Atoms("Al"), {}) is None
    alloy = {"valence_electrons": {"Al2Mg2": 10.0}}
    assert electrons_of(Atoms("AlMg"), alloy) == 5
    assert electrons_of(Atoms("Al3Mg"), alloy) is None


@pytest.mark.parametrize("n", [1, 2, 3])
def test_energies_of_a_model_keep_their_windows(n):
    windows = [
        EnergyGrid.regular(start, 0.5, 4 + i, broadening=0.3 + i, kernel="gaussian")
        for i, start in enumerate((-60.0, -20.0, 0.0)[:n])
    ]
    grid = EnergyGrid.joined(*windows) if n > 1 else windows[0]
    known = common_calculation([Snapshot(bulk("Al"), energies=grid)])
    regressor = SimpleNamespace(energies_=grid.values, calculation_=known)
    regressor.broadening_, regressor.kernel_ = grid.broadening, grid.kernel
    assert energy_grid_of(regressor) == grid
    assert energy_grid_of(SimpleNamespace(energies_=None)) is None
    assert energy_grid_of(SimpleNamespace(energies_=[0.0, 1.0])) == EnergyGrid([0.0, 1.0])


@pytest.mark.parametrize(("charge", "same"), [(0.99e-6, True), (1.01e-6, False)])
def test_numbers_are_equal_to_a_millionth(charge, same):
    known = common_calculation([snapshot("Al", charge=0.0)])
    assert (differing_fact(snapshot("Al", charge=charge).reference, known) is None) == same


@pytest.mark.parametrize(("change", "same"), [(0.0, True), (9e-4, True), (1.1e-3, False)])
def test_numbers_of_electrons_of_the_same_atoms_must_agree(change, same):
    one, other = (snapshot("Al").replace(n_electrons=n) for n in (3.0, 3.0 - change))
    if same:
        assert common_calculation([one, other])["valence_electrons"] == {"Al": 3.0}
        return
    with pytest.raises(SnapshotError, match="of Al must have the same number of valence electrons"):
        common_calculation([one, other])
    known = common_calculation([one])
    with pytest.raises(SnapshotError, match=r"3 and 2\.9989 differ"):
        common_calculation([other], known)
