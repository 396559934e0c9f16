import numpy as np
import pytest

from skldos.geometry import bin_neighbors, find_neighbors, periodic_images, volume, wrap
from skldos.geometry import neighbors as module
from skldos.geometry.cell import MAX_LENGTH

CELLS = {
    "cubic": 4.0 * np.eye(3),
    "triclinic": np.array([[3.0, 0.2, 0.1], [-1.0, 2.5, 0.3], [0.4, -0.7, 4.0]]),
    "left-handed": np.array([[-1.0, 2.5, 0.3], [3.0, 0.2, 0.1], [0.4, -0.7, 4.0]]),
    "flat": np.array([[9.0, 0, 0], [8.5, 2.0, 0], [0, 0, 12.0]]),
}


def brute_force(point, positions, cell, r_cut, span=9):
    """All neighbours by looking at every image in a large block of cells."""
    shifts = np.stack(np.meshgrid(*[np.arange(-span, span + 1)] * 3), axis=-1).reshape(-1, 3)
    displacements = positions[:, None] + shifts @ cell - point
    r = np.linalg.norm(displacements, axis=-1)
    inside = (r < r_cut) & (r > 1e-10)
    return np.nonzero(inside)[0], displacements[inside]


def ordered(atoms, displacements):
    order = np.lexsort((*displacements.round(6).T, atoms))
    return atoms[order], displacements[order]


@pytest.mark.parametrize("r_cut", [0.9, 2.0, 6.5])
@pytest.mark.parametrize("name", CELLS)
def test_neighbors_agree_with_brute_force(name, r_cut):
    rng = np.random.default_rng(3)
    cell = CELLS[name]
    # Atoms and points inside the cell, outside, and on its corners, faces and edges
    positions = np.concatenate([rng.uniform(-1.5, 2.5, (5, 3)), np.diag([1.0, 0, 0])]) @ cell
    points = np.concatenate([rng.uniform(-2, 2, (6, 3)), np.eye(3), rng.integers(0, 2, (3, 3))])
    bins = bin_neighbors(positions, cell, r_cut)
    total = 0
    for point in points @ cell:
        atoms, displacements = ordered(*find_neighbors(point, bins))
        expected = ordered(*brute_force(point, positions, cell, r_cut))
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
    monkeypatch.setattr(module, "BINS_PER_IMAGE", 1)
    monkeypatch.setattr(module, "_cache", [])
    coarse = bin_neighbors(position, cell, 0.5)
    assert coarse.shape.prod() <= 100 < fine.shape.prod()
    for bins in (fine, coarse):
        atoms, displacements = find_neighbors(np.array([0.1, -0.1, 30.0]), bins)
        assert len(atoms) == 1
        assert np.allclose(displacements, [[-0.2, 0.0, -0.1]])


def test_bins_are_made_once_for_all_chunks_of_a_grid(monkeypatch, rng):
    made = []
    monkeypatch.setattr(
        module, "_bins", lambda *args, make=module._bins: made.append(1) or make(*args)
    )
    positions, cell = rng.random((5, 3)) * 6, 6.0 * np.eye(3)
    first = bin_neighbors(positions, cell, 3.0)
    assert bin_neighbors(positions.copy(), cell.copy(), 3.0) is first
    assert bin_neighbors(positions, cell, 2.0) is not first
    assert bin_neighbors(positions, cell, 3.0) is first
    assert len(made) == 2
    positions[0, 0] += 1e-9  # in place: what is kept is what was seen
    for moved in ((positions, cell, 3.0), (positions, cell * 1.01, 3.0)):
        assert bin_neighbors(*moved) is not first
    assert len(module._cache) == module.CACHE_SIZE < len(made) == 4


def test_a_large_cell_has_many_bins(monkeypatch, rng):
    monkeypatch.setattr(module, "MAX_BINS", 30)
    positions = rng.random((400, 3)) * 12
    bins = bin_neighbors(positions, 12.0 * np.eye(3), 2.0)
    assert 400 < bins.shape.prod() <= module.BINS_PER_IMAGE * bins.images.shape[1]


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


# -------------------------------------------------------------------- guards

FCC = 2.025 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])


def radius_of(n_neighbors):
    """Cutoff with this number of neighbours in aluminium."""
    return (n_neighbors * volume(FCC) * 3 / (4 * np.pi)) ** (1 / 3)


def test_atoms_within_the_cutoff_are_bounded():
    limit = module.MAX_NEIGHBORS
    bins = bin_neighbors(np.zeros((1, 3)), FCC, radius_of(limit / 3))
    assert len(find_neighbors(np.zeros(3), bins)[0]) == pytest.approx(limit / 3, rel=0.02)
    with pytest.raises(ValueError, match=r"at most 100000 atoms within it, got 3e\+05 for 1 atoms"):
        bin_neighbors(np.zeros((1, 3)), FCC, radius_of(3 * limit))
    with pytest.raises(ValueError, match=r"r_cut=10000 Å must reach at most"):
        periodic_images(np.zeros((4, 3)), 4.05 * np.eye(3), 1e4)


@pytest.mark.parametrize(("flat", "refused"), [(1 / 3, True), (3.0, False)])
def test_cells_that_are_flat_by_mistake_are_refused(flat, refused):
    # The height at which a sphere of 4.67 Å holds the limit.
    height = flat * 4 / 3 * np.pi * 4.67**3 / 4 / module.MAX_NEIGHBORS
    cell = np.diag([2.0, 2.0, height])
    if refused:
        with pytest.raises(ValueError, match=r"r_cut=4.67 Å must reach .* 0.00035"):
            bin_neighbors(np.zeros((1, 3)), cell, 4.67)
    else:
        bins = bin_neighbors(np.zeros((1, 3)), cell, 4.67)
        assert len(find_neighbors(np.zeros(3), bins)[0]) > module.MAX_NEIGHBORS / 4


HEIGHT = volume(FCC) / np.linalg.norm(np.cross(FCC[0], FCC[1]))  # of the cell, along each vector


def test_cells_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_CELLS", 100)
    positions = np.full((1, 3), 0.1)
    assert len(periodic_images(positions, FCC, 0.9 * HEIGHT)[0]) == 8  # out of 27 cells
    with pytest.raises(ValueError, match="at most 100 cells to look through, got 343 for 1 atoms"):
        periodic_images(positions, FCC, 2.9 * HEIGHT)


def test_images_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_IMAGES", 2000)
    positions = np.random.default_rng(0).uniform(size=(20, 3)) @ FCC

    def images(n):
        # An atom has (1 + 2 reach)³.
        reach = ((n / 20) ** (1 / 3) - 1) / 2
        return len(periodic_images(positions, FCC, reach * HEIGHT)[0])

    assert images(2000 / 3) == pytest.approx(2000 / 3, rel=0.3)
    with pytest.raises(ValueError, match="at most 2000 images of atoms, got 6e"):
        images(3 * 2000)


@pytest.mark.parametrize("axis", [0, 2])
def test_positions_that_double_precision_cannot_resolve_are_refused(axis):
    cell = CELLS["triclinic"]
    positions = np.array([[0.3, 0.4, 0.5], [1.0, 2.0, 3.0]]) @ cell
    turns = np.zeros(3, dtype=int)
    turns[axis] = int(MAX_LENGTH / 3 / np.abs(cell[axis]).max())
    bins = bin_neighbors(positions, cell, 3.0)
    for sign in (1, -1):
        far = positions + sign * np.outer([0, 1], turns @ cell)
        atoms, displacements = find_neighbors(far[1], bin_neighbors(far, cell, 3.0))
        near, expected = find_neighbors(positions[1], bins)
        assert len(near) > 5
        np.testing.assert_array_equal(np.sort(atoms), np.sort(near))
        lengths, wanted = (np.sort(np.linalg.norm(d, axis=1)) for d in (displacements, expected))
        np.testing.assert_allclose(lengths, wanted, atol=1e-10)
        too_far = positions + 9 * sign * np.outer([0, 1], turns @ cell)
        for attempt in (
            lambda far: bin_neighbors(far, cell, 3.0),
            lambda far: periodic_images(far, cell, 3.0),
            lambda far: wrap(far, cell),
            lambda far: find_neighbors(far[1], bins),
        ):
            with pytest.raises(
                ValueError, match=r"positions must be within 100000 Å .* got -?\d{6}"
            ):
                attempt(too_far)


@pytest.mark.parametrize("r_cut", [-1.0, np.nan, np.inf])
def test_cutoffs_that_are_none_are_refused(r_cut):
    for attempt in (periodic_images, bin_neighbors):
        with pytest.raises(ValueError, match="r_cut must be"):
            attempt(np.zeros((1, 3)), FCC, r_cut)
    assert len(periodic_images(np.full((1, 3), 0.1), FCC, 0.0)[0]) == 1
    with pytest.raises(ValueError, match="r_cut must be > 0"):
        bin_neighbors(np.zeros((1, 3)), FCC, 0.0)


@pytest.mark.parametrize("search", [periodic_images, bin_neighbors])
def test_the_largest_cutoff_is_that_of_a_cell(search):
    nothing, cell = np.zeros((0, 3)), MAX_LENGTH * np.eye(3)
    search(nothing, cell, MAX_LENGTH)
    with pytest.raises(ValueError, match=r"r_cut must be .* <= 100000.*, got 100001"):
        search(nothing, cell, MAX_LENGTH + 1)


def test_limits_have_the_promised_numbers():
    # No atoms, but many cells.
    with pytest.raises(ValueError, match=r"at most 262144 cells to look through, got 2\.75e"):
        periodic_images(np.zeros((0, 3)), np.eye(3), 32.0)
    # Flat and long: 21 x 21 cells with many atoms, few of which are near any point.
    atoms = np.zeros((80_000, 3))
    with pytest.raises(ValueError, match=r"at most 33554432 images of atoms, got 3\.5"):
        periodic_images(atoms, np.diag([1.0, 1.0, 1e4]), 10.0)


@pytest.mark.parametrize("lengths", [(4.0, 4.0, 4.0), (4.0, 100.5, 4.0), (0.3, 900.0, 4.0)])
def test_bins_cover_the_cell_and_a_cutoff_on_every_side(lengths):
    bins = bin_neighbors(np.zeros((1, 3)), np.diag(lengths), 1.0)
    np.testing.assert_allclose(bins.width * bins.shape * lengths, np.add(lengths, 2.0))
    assert (bins.width * lengths <= 1).all()
    assert bins.shape.min() >= 1


def test_images_in_a_bin_keep_their_order(monkeypatch, rng):
    monkeypatch.setattr(module, "MAX_BINS", 1)
    monkeypatch.setattr(module, "BINS_PER_IMAGE", 0)
    positions, cell = rng.random((300, 3)) * 9.5, 9.5 * np.eye(3)
    bins = bin_neighbors(positions, cell, 4.0)
    assert bins.shape.prod() == 1
    atoms, shifts = periodic_images(positions, cell, 4.0)
    np.testing.assert_array_equal(bins.atoms, atoms)
    np.testing.assert_array_equal(bins.images.T, positions[atoms] + shifts @ cell)


def test_whole_numbers_are_lengths_too():
    positions, cell = np.array([[0, 1, 2], [2, 2, 1]]), 4 * np.eye(3, dtype=int)
    found, expected = bin_neighbors(positions, cell, 3), module._bins(1.0 * positions, cell, 3.0)
    for name, value in expected._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), value, strict=True)
    assert found.cell.dtype == found.images.dtype == np.float64
