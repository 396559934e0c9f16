"""Energies and their broadening."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from ase.build import bulk

from skldos import EnergyGrid, Snapshot, SnapshotList, physics


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


def test_whole_numbers_become_energies():
    grid = EnergyGrid([0, 1, 2])
    assert grid.values.dtype == float
    with pytest.raises(ValueError, match="energies must lie within"):
        EnergyGrid([0, 10**400])


def test_grids_compare_by_value():
    one = EnergyGrid([0, 1], broadening=0.1, kernel="gaussian")
    assert one == pickle.loads(pickle.dumps(one))
    assert one != EnergyGrid([0, 1])
    assert one != EnergyGrid([0, 1], broadening=0.1, kernel="fermi-dirac")
    assert one != EnergyGrid([0, 2], broadening=0.1, kernel="gaussian")
    assert one != "grid"


def test_repr():
    assert repr(EnergyGrid([0, 1])) == "EnergyGrid(2 energies from 0 to 1 eV)"
    assert "unknown broadening 0.1 eV" in repr(EnergyGrid([0, 1], broadening=0.1))


# -------------------------------------------------------------------- windows

LOW = EnergyGrid.regular(-46.0, 0.1, 41, broadening=0.2, kernel="gaussian")
HIGH = EnergyGrid.regular(-8.0, 0.2, 101, broadening=0.4, kernel="gaussian")


def test_windows_are_joined_with_nothing_between_them():
    grid = EnergyGrid.joined(LOW, HIGH)
    assert grid.windows == (LOW, HIGH)
    assert len(grid) == 41 + 101 + 2
    for window, columns in zip(grid.windows, grid.columns, strict=True):
        np.testing.assert_array_equal(grid.values[columns], window.values)
    np.testing.assert_allclose(grid.values[41:43], [-41.9, -8.2])
    assert (grid.broadening, grid.kernel) == (0.4, "gaussian")
    three = EnergyGrid.joined(EnergyGrid.regular(-90, 0.1, 11), LOW, HIGH)
    assert len(three) == 11 + 41 + 101 + 4
    assert [three.values[c][0] for c in three.columns] == [-90.0, -46.0, -8.0]


def test_levels_of_windows_are_counted_exactly():
    grid, levels = EnergyGrid.joined(LOW, HIGH), np.array([-44.0, -43.9, -2.0, 1.0, 3.0])
    dos = 2 * grid.broadened(levels).sum(axis=0)
    assert not dos[41:43].any()
    at = {"temperature": 300.0, "fermi_level": 8.0}
    # A peak of 0.2 eV on steps of 0.1 eV, and one of 0.4 eV on 0.2 eV, count to 1e-10.
    assert physics.n_electrons(dos, grid.values, **at) == pytest.approx(10.0, abs=1e-8)
    assert physics.band_energy(dos, grid.values, **at) == pytest.approx(2 * levels.sum(), abs=1e-6)
    parts = grid.join([window.broadened(levels).sum(axis=0) for window in grid.windows])
    np.testing.assert_allclose(2 * parts, dos)
    some = grid.broadened(levels, slice(40, 45))
    np.testing.assert_array_equal(some, grid.broadened(levels)[:, 40:45])


def test_windows_are_sharpened_one_by_one():
    grid = EnergyGrid.joined(LOW, HIGH)
    matrix = grid.sharpening_matrix(2)
    for window, columns in zip(grid.windows, grid.columns, strict=True):
        own = physics.sharpening_matrix(window.values, broadening=window.broadening, order=2)
        np.testing.assert_array_equal(matrix[columns, columns], own)
        matrix[columns, columns] = 0
    assert not matrix.any()
    plain = physics.sharpening_matrix(HIGH.values, broadening=0.4, order=1)
    np.testing.assert_array_equal(HIGH.sharpening_matrix(1), plain)


def test_windows_are_compared_stored_and_shown(tmp_path):
    grid = EnergyGrid.joined(LOW, HIGH)
    assert grid == EnergyGrid.joined(LOW, HIGH)
    assert grid != EnergyGrid.joined(EnergyGrid.regular(-46.0, 0.1, 41), HIGH)
    assert grid != EnergyGrid(grid.values, broadening=0.4, kernel="gaussian")
    assert HIGH.windows == (HIGH,)
    assert "2 windows" in repr(grid)
    for copy in (pickle.loads(pickle.dumps(grid)), deepcopy(grid)):
        assert copy == grid
        assert copy.columns == grid.columns
    ldos = np.ones((2, 2, 2, len(grid)), dtype=np.float32)
    SnapshotList([Snapshot(bulk("Al"), energies=grid, ldos=ldos)]).save(tmp_path / "x")
    assert SnapshotList.load(tmp_path / "x")[0].energy_grid == grid


def test_windows_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="wider than the sum of the spacings"):
        EnergyGrid.joined(EnergyGrid.regular(0, 1, 3), EnergyGrid.regular(3.9, 1, 3))
    with pytest.raises(ValueError, match="wider than the sum of the spacings"):
        EnergyGrid.joined(HIGH, LOW)
    with pytest.raises(TypeError, match="at least two EnergyGrids"):
        EnergyGrid.joined(HIGH)
    with pytest.raises(TypeError, match="at least two EnergyGrids"):
        EnergyGrid.joined(LOW, HIGH.values)
    joined = EnergyGrid.joined(LOW, HIGH)
    with pytest.raises(ValueError, match="already joined"):
        EnergyGrid.joined(joined, EnergyGrid.regular(20, 1, 3))
    with pytest.raises(ValueError, match=r"must have \[41, 101\] energies, got \[41, 100\]"):
        joined.join([np.ones(41), np.ones(100)])


@pytest.mark.parametrize("columns", [slice(None), slice(0, 1), slice(39, 43), slice(-1, None)])
def test_peaks_reach_the_ends_of_every_window(columns):
    grid = EnergyGrid.joined(LOW, HIGH)
    levels = np.array([-46.0, -42.0, -8.0, 12.0])
    expected = np.zeros((4, len(grid)))
    for window, place in zip(grid.windows, grid.columns, strict=True):
        x = (window.values - levels[:, None]) / window.broadening
        expected[:, place] = np.exp(-(x**2)) / (window.broadening * np.sqrt(np.pi))
    assert (expected.max(axis=1) > 0.9).all()
    np.testing.assert_allclose(grid.broadened(levels, columns), expected[:, columns], atol=1e-12)
