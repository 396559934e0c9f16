"""The closest two atoms agree with a plain search over images."""

from itertools import product

import numpy as np
import pytest

from skldos.geometry import closest_pair

CELLS = {
    "cube": 6 * np.eye(3),
    "flat": np.diag([9.0, 6.0, 1.5]),
    "triclinic": np.array([[6.0, 0, 0], [5.0, 4, 0], [-3.0, 2, 5]]),
    "left-handed": np.array([[0, 6.0, 0], [5.0, 1, 0], [0.0, 2, 5]]),
}


def plain(positions, cell):
    """The smallest distance of two atoms, over many images."""
    shifts = np.array(list(product(range(-5, 6), repeat=3))) @ cell
    distances = np.linalg.norm(
        positions[:, None, None] - positions[None, :, None] - shifts[None, None], axis=3
    ).min(axis=2)
    distances[np.diag_indices(len(positions))] = np.inf
    return distances.min(), np.unravel_index(distances.argmin(), distances.shape)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_it_is_that_of_a_plain_sum(cell, rng):
    found = 0
    for _ in range(20):
        positions = (rng.random((12, 3)) + rng.integers(-2, 3, (12, 3))) @ cell
        expected, pair = plain(positions, cell)
        result = closest_pair(positions, cell, within=0.6)
        if expected > 0.6:
            assert result is None
        else:
            found += 1
            assert result[0] == pytest.approx(expected, abs=1e-10)
            assert result[1:] == tuple(sorted(pair))
    assert 1 < found < 20 or cell is CELLS["flat"]


def test_edges_of_the_cell_are_one():
    cell = np.diag([4.0, 5.0, 6.0])
    for shift in product((0, 1, -1), repeat=3):
        positions = np.array([[0.0, 0, 0], shift @ cell - 1e-17, [2, 2, 2]])
        assert closest_pair(positions, cell, within=0.1) == (0.0, 0, 1)


@pytest.mark.parametrize(("distance", "found"), [(0.299, True), (0.301, False)])
def test_the_limit(distance, found):
    # along a diagonal, where what is looked at first is a cube
    positions = np.array([[5.95, 0.0, 0.0], [5.95, 0.0, 0.0] + distance / 3**0.5 * np.ones(3)])
    result = closest_pair(positions, 6 * np.eye(3), within=0.3)
    assert result == (pytest.approx(distance), 0, 1) if found else result is None


def test_an_atom_and_its_images_are_no_pair():
    assert closest_pair(np.zeros((1, 3)), 0.1 * np.eye(3), within=0.3) is None


@pytest.mark.parametrize(("distance", "found"), [(2.92, True), (2.96, False)])
def test_distances_are_looked_at_up_to_half_a_cell(distance, found):
    # a little less: of 6 Å between planes, 2.94 Å
    positions = np.array([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0 + distance]])
    result = closest_pair(positions, np.diag([9.0, 8.0, 6.0]), within=100.0)
    assert result == (pytest.approx(distance), 0, 1) if found else result is None


def test_distances_have_twelve_digits():
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.12345678901234]])
    assert closest_pair(positions, 6 * np.eye(3), within=0.3) == (0.123456789012, 0, 1)


@pytest.mark.parametrize("axis", range(3))
def test_neighbours_across_a_face_of_a_large_cell(axis):
    lengths = np.array([6.0, 20.0, 0.9])
    positions = np.full((2, 3), 0.4)
    positions[:, axis] = 0.01, lengths[axis] - 0.01
    assert closest_pair(positions, np.diag(lengths), within=0.03) == (0.02, 0, 1)
    assert closest_pair(positions, np.diag(lengths), within=0.019) is None
