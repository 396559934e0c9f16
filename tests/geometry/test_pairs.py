import numpy as np
import pytest

from skldos.geometry import bin_neighbors, find_neighbors, volume
from skldos.geometry.pairs import find_pairs
from tests.geometry.test_neighbors import CELLS


def brute_force(positions, cell, r_cut, span=7):
    """Both directions of every pair, by looking at every image in a large block of cells."""
    shifts = np.stack(np.meshgrid(*[np.arange(-span, span + 1)] * 3), axis=-1).reshape(-1, 3)
    d = positions[None, :, None] + shifts @ cell - positions[:, None, None]
    first, second, shift = np.nonzero(np.linalg.norm(d, axis=-1) < r_cut)
    itself = (first == second) & (shifts[shift] == 0).all(1)
    keys = zip(first, second, *shifts[shift].T, strict=True)
    return {tuple(map(int, key)) for key, same in zip(keys, itself, strict=True) if not same}


@pytest.mark.parametrize("r_cut", [2.5, 6.5])
@pytest.mark.parametrize("name", CELLS)
def test_pairs_are_those_of_brute_force_in_one_direction(name, r_cut):
    rng = np.random.default_rng(5)
    cell = CELLS[name]
    positions = np.concatenate([rng.uniform(-0.9, 1.9, (5, 3)), np.eye(3)[:1]]) @ cell
    first, second, shifts = find_pairs(positions, bin_neighbors(positions, cell, r_cut))
    keys = [tuple(map(int, key)) for key in zip(first, second, *shifts.T, strict=True)]
    backward = [(j, i, *(-n for n in shift)) for i, j, *shift in keys]
    assert (first <= second).all()
    assert len(set(keys)) == len(keys) > 0
    assert set(keys).isdisjoint(backward)
    assert {*keys, *backward} == brute_force(positions, cell, r_cut)


def test_blocks_of_atoms_make_up_the_list():
    rng = np.random.default_rng(2)
    cell = 9.0 * np.eye(3)
    positions = rng.uniform(size=(40, 3)) @ cell
    bins = bin_neighbors(positions, cell, 3.0)
    whole = find_pairs(positions, bins)
    parts = [find_pairs(positions, bins, *ends) for ends in ((0, 7), (7, 31), (31, None))]
    assert len(whole[0]) > 100
    for i in range(3):
        assert np.array_equal(np.concatenate([part[i] for part in parts]), whole[i])


def test_number_of_pairs_is_half_of_density_times_sphere():
    rng = np.random.default_rng(0)
    cell = np.diag([20.0, 22.0, 24.0])
    positions = rng.uniform(size=(3000, 3)) @ cell
    n_pairs = len(find_pairs(positions, bin_neighbors(positions, cell, 5.0))[0])
    expected = 3000**2 / volume(cell) * 2 / 3 * np.pi * 5**3
    assert n_pairs == pytest.approx(expected, rel=0.02)


def test_coinciding_atoms_are_a_pair():
    positions = np.array([[1.0, 1, 1], [5.0, 1, 1]])
    first, second, shifts = find_pairs(positions, bin_neighbors(positions, 4 * np.eye(3), 1.0))
    assert (first.tolist(), second.tolist(), shifts.tolist()) == ([0], [1], [[-1, 0, 0]])


def test_atoms_at_the_cutoff_are_no_pair():
    # 2 Å apart, to the last bit
    positions = np.array([[1.0, 1.0, 1.0], [3.0, 1.0, 1.0]])
    for r_cut, n in ((2.0, 0), (2.0 + 1e-12, 2)):  # the second one by both sides
        bins = bin_neighbors(positions, np.diag([4.0, 9.0, 9.0]), r_cut)
        assert len(find_pairs(positions, bins)[0]) == n
        assert len(find_neighbors(positions[0], bins)[0]) == n
