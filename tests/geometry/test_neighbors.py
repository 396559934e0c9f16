import numpy as np
import pytest

from skldos.geometry import bin_neighbors, find_neighbors, periodic_images, volume, wrap
from skldos.geometry import neighbors as module

CELLS = {
    "cubic": 4.0 * np.eye(3),
    "triclinic": np.array([[3.0, 0.2, 0.1], [-1.0, 2.5, 0.3], [0.4, -0.7, 4.0]]),
    "left-handed": np.array([[-1.0, 2.5, 0.3], [3.0, 0.2, 0.1], [0.4, -0.7, 4.0]]),
    "flat": np.array([[9.0, 0, 0], [8.5, 2.0, 0], [0, 0, 12.0]]),
}


def brute_force(point, positions, cell, cutoff, span=9):
    """All neighbours by looking at every image in a large block of cells."""
    shifts = np.stack(np.meshgrid(*[np.arange(-span, span + 1)] * 3), axis=-1).reshape(-1, 3)
    displacements = positions[:, None] + shifts @ cell - point
    r = np.linalg.norm(displacements, axis=-1)
    inside = (r < cutoff) & (r > 1e-10)
    return np.nonzero(inside)[0], displacements[inside]


def ordered(atoms, displacements):
    order = np.lexsort((*displacements.round(6).T, atoms))
    return atoms[order], displacements[order]


@pytest.mark.parametrize("cutoff", [0.9, 2.0, 6.5])
@pytest.mark.parametrize("name", CELLS)
def test_neighbors_agree_with_brute_force(name, cutoff):
    rng = np.random.default_rng(3)
    cell = CELLS[name]
    # Atoms and points inside the cell, outside, and on its corners, faces and edges
    positions = np.concatenate([rng.uniform(-1.5, 2.5, (5, 3)), np.diag([1.0, 0, 0])]) @ cell
    points = np.concatenate([rng.uniform(-2, 2, (6, 3)), np.eye(3), rng.integers(0, 2, (3, 3))])
    bins = bin_neighbors(positions, cell, cutoff)
    total = 0
    for point in points @ cell:
        atoms, displacements = ordered(*find_neighbors(point, bins))
        expected = ordered(*brute_force(point, positions, cell, cutoff))
        assert np.array_equal(atoms, expected[0])
        assert np.allclose(displacements, expected[1], atol=1e-12)
        total += len(atoms)
    assert total > 0


def test_atom_is_not_its_own_neighbor_but_its_images_are():
    cell = 3.0 * np.eye(3)
    position = np.array([[2.999999999, 0.1, -7.3]])
    atoms, displacements = find_neighbors(position[0], bin_neighbors(position, cell, 3.1))
    assert len(atoms) == 6
    assert np.allclose(np.linalg.norm(displacements, axis=1), 3.0)


def test_number_of_neighbors_is_density_times_sphere():
    rng = np.random.default_rng(0)
    cell = np.diag([20.0, 22.0, 24.0])
    positions = rng.uniform(size=(3000, 3)) @ cell
    bins = bin_neighbors(positions, cell, 5.0)
    mean = np.mean([len(find_neighbors(p, bins)[0]) for p in rng.uniform(size=(200, 3)) @ cell])
    assert mean == pytest.approx(3000 / volume(cell) * 4 / 3 * np.pi * 5**3, rel=0.05)


def test_no_atoms_have_no_images():
    bins = bin_neighbors(np.zeros((0, 3)), 4.0 * np.eye(3), 3.0)
    assert len(find_neighbors(np.zeros(3), bins)[0]) == 0


def test_number_of_bins_is_bounded(monkeypatch):
    cell = np.diag([30.0, 30.0, 30.0])
    position = np.full((1, 3), 29.9)
    fine = bin_neighbors(position, cell, 0.5)
    monkeypatch.setattr(module, "MAX_BINS", 100)
    coarse = bin_neighbors(position, cell, 0.5)
    assert coarse.shape.prod() <= 100 < fine.shape.prod()
    for bins in (fine, coarse):
        atoms, displacements = find_neighbors(np.array([0.1, -0.1, 30.0]), bins)
        assert len(atoms) == 1
        assert np.allclose(displacements, [[-0.2, 0.0, -0.1]])


def test_wrapped_positions_are_inside_and_differ_by_lattice_vectors():
    rng = np.random.default_rng(1)
    cell = CELLS["left-handed"]
    positions = rng.uniform(-5, 5, (20, 3))
    wrapped = wrap(positions, cell)
    fractional = wrapped @ np.linalg.inv(cell)
    turns = (positions - wrapped) @ np.linalg.inv(cell)
    assert fractional.min() > -1e-12
    assert fractional.max() < 1 + 1e-12
    assert np.allclose(turns, turns.round(), atol=1e-12)
    assert np.abs(turns).max() > 0.5


def test_images_are_those_within_the_cutoff_of_the_cell():
    atoms, shifts = periodic_images(np.array([[0.5, 2.0, 2.0]]), 4.0 * np.eye(3), 1.0)
    assert sorted(map(tuple, shifts)) == [(0, 0, 0), (1, 0, 0)]
    assert np.array_equal(atoms, [0, 0])
