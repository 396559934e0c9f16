"""Energies and their broadening."""

import pickle

import numpy as np
import pytest

from skldos import EnergyGrid


def test_regular_grids_count_from_the_start():
    grid = EnergyGrid.regular(-5.0, 2.5, 11)
    np.testing.assert_array_equal(grid.values, -5 + 2.5 * np.arange(11))
    np.testing.assert_array_equal(np.asarray(grid, dtype=np.float32), grid.values)
    assert len(grid) == 11


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.0], {}, "at least two strictly increasing"),
        ([0.0, 0.0], {}, "strictly increasing"),
        ([[0.0, 1.0]], {}, r"energies must have shape \(any\), got \(1, 2\)"),
        ([0.0, np.inf], {}, "energies must be finite"),
        ([0.0, 1.0], {"broadening": 0.0}, "broadening must be > 0, got 0"),
        ([0.0, 1.0], {"kernel": "box"}, "kernel must be one of 'gaussian'.*got 'box'"),
    ],
)
def test_wrong_energies_are_named(values, options, message):
    with pytest.raises(ValueError, match=message):
        EnergyGrid(values, **options)


def test_values_are_a_copy_that_cannot_be_changed():
    values = np.array([0.0, 1.0])
    grid = EnergyGrid(values)
    values[0] = -1
    assert grid.values[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.values[0] = 1


def test_grids_compare_by_value():
    one = EnergyGrid([0, 1], broadening=0.1, kernel="gaussian")
    assert one == pickle.loads(pickle.dumps(one))
    assert one != EnergyGrid([0, 1])
    assert one != EnergyGrid([0, 2], broadening=0.1, kernel="gaussian")
    assert one != "grid"


def test_repr():
    assert repr(EnergyGrid([0, 1])) == "EnergyGrid(2 energies from 0 to 1 eV)"
    assert "unknown broadening 0.1 eV" in repr(EnergyGrid([0, 1], broadening=0.1))
