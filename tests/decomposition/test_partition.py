"""A partition of unity: it adds up, includes every image, and works in vacuum."""

from functools import partial

import numpy as np
import pytest

from skldos.data import ComputedArray, iter_slices
from skldos.data.lazy import SLICE_BYTES
from skldos.decomposition import Partition, decompose
from skldos.geometry import wrap
from tests.decomposition.reference import ados, gaussian_weights, nearest_weights, squared_distances

CELLS = {
    "cubic": 4.05 * np.eye(3),
    "triclinic": np.array([[4.0, 0.3, -0.2], [1.5, 3.6, 0.4], [-0.9, 1.2, 4.4]]),
    "left-handed": np.array([[0.0, 4.0, 0.0], [4.2, 0.0, 0.5], [0.0, 0.0, 3.8]]),
    "small": np.array([[1.8, 0.0, 0.0], [0.4, 2.0, 0.0], [0.0, 0.2, 2.2]]),
}
GAUSSIAN = Partition.of("gaussian", sigma=1.3, tolerance=1e-15)
NEAREST = Partition.of("nearest", sigma=1.3, tolerance=1e-8)


@pytest.fixture(params=CELLS)
def system(request, rng):
    """A cell, three atoms some of which lie outside of it, and a field on its grid."""
    cell = CELLS[request.param]
    positions = rng.uniform(-1, 2, size=(3, 3)) @ cell
    return cell, positions, rng.normal(size=(6, 5, 7, 4)) + 1


# -------------------------------------------------------------------- laws


@pytest.mark.parametrize("partition", [GAUSSIAN, NEAREST])
def test_the_parts_add_up(system, partition):
    cell, positions, field = system
    parts = decompose(field, positions, cell, partition)
    total = field.sum(axis=(0, 1, 2)) * abs(np.linalg.det(cell)) / field[..., 0].size
    assert np.abs(total).min() > 0.1
    np.testing.assert_allclose(parts.sum(axis=0), total, rtol=1e-13)


def test_narrow_gaussians_become_the_nearest_atom(system):
    cell, positions, field = system
    narrow = Partition.of("gaussian", sigma=1e-3, tolerance=1e-8)
    nearest = decompose(field, positions, cell, NEAREST)
    np.testing.assert_allclose(decompose(field, positions, cell, narrow), nearest, atol=1e-4)


# -------------------------------------------------------------------- numbers


@pytest.mark.parametrize("sigma", [0.4, 1.3, 2.5])
def test_gaussians_equal_the_reference(system, sigma):
    cell, positions, field = system
    # Images up to 8 cells away are beyond 10 Å in the smallest cell, 4 of the widest Gaussians.
    weights_of = partial(gaussian_weights, sigma=sigma, reach=(8, 8, 8))
    expected = ados(field, wrap(positions, cell), cell, weights_of)
    partition = Partition.of("gaussian", sigma, 1e-15)
    parts = decompose(field, positions, cell, partition)
    # 8 cells of 1.8 Å at least: exp(-13²/2σ²) is left out of the reference at σ = 2.5 Å.
    np.testing.assert_allclose(parts, expected, rtol=1e-11 if sigma < 2 else 1e-5)


def test_widths_of_their_own_equal_the_reference(system):
    cell, positions, field = system
    widths = np.array([0.5, 1.3, 0.8])
    weights_of = partial(gaussian_weights, sigma=widths[:, None], reach=(8, 8, 8))
    expected = ados(field, wrap(positions, cell), cell, weights_of)
    scales = (1.3 / widths) ** 2
    parts = decompose(field, positions, cell, GAUSSIAN, scales=scales)
    np.testing.assert_allclose(parts, expected, rtol=1e-11)
    alike = decompose(field, positions, cell, GAUSSIAN)
    assert np.abs(parts - alike).max() > 1e-2 * np.abs(alike).max()
    # A factor of one changes no bit.
    assert np.array_equal(decompose(field, positions, cell, GAUSSIAN, scales=np.ones(3)), alike)


def test_the_nearest_atom_equals_the_reference(system):
    cell, positions, field = system
    expected = ados(field, wrap(positions, cell), cell, partial(nearest_weights, reach=(2, 2, 2)))
    np.testing.assert_allclose(decompose(field, positions, cell, NEAREST), expected, rtol=1e-12)


def test_equally_near_atoms_share_a_point():
    # Atoms on two points of a chain: the two other points lie half way between them.
    cell = np.diag([8.0, 3.0, 3.0])
    positions = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    field = np.arange(4.0).reshape(4, 1, 1, 1)
    parts = decompose(field, positions, cell, NEAREST)
    np.testing.assert_allclose(parts[:, 0] / 18.0, [0 + (1 + 3) / 2, 2 + (1 + 3) / 2])


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8])
def test_the_tolerance_bounds_the_error(system, tolerance):
    cell, positions, field = system
    exact = decompose(field, positions, cell, GAUSSIAN)
    pruned = decompose(field, positions, cell, Partition.of("gaussian", 1.3, tolerance))
    error = np.abs(pruned - exact).max() / np.abs(exact).max()
    # Some ten images lie within the last σ beyond the cut.
    assert 0 < error < 20 * tolerance


@pytest.mark.parametrize("partition", [GAUSSIAN, NEAREST])
def test_points_in_the_vacuum_belong_to_the_nearest_atoms(partition):
    # A slab at the bottom of a long cell; its Gaussians underflow 50 Å above it.
    cell = np.diag([4.0, 4.0, 120.0])
    positions = np.array([[0.0, 0.0, 0.5], [2.0, 2.0, 2.5]])
    field = np.zeros((4, 4, 60, 1))
    field[:, :, 30] = 1.0  # 57.5 Å above the upper atom, 60.5 Å below the image of the lower one
    assert np.exp(-(57.5**2) / (2 * 1.3**2)) == 0
    parts = decompose(field, positions, cell, partition)
    assert np.isfinite(parts).all()
    np.testing.assert_allclose(parts[:, 0], [0, 4 * 4 * 2], atol=1e-12)


# -------------------------------------------------------------------- streaming


def test_the_number_of_threads_changes_no_bit(system):
    cell, positions, field = system
    one, three = (decompose(field, positions, cell, GAUSSIAN, n_threads=n) for n in (1, 3))
    assert np.array_equal(one, three)


def test_the_field_is_read_in_slices(rng):
    shape, reads = (128, 32, 32, 70), []
    row = rng.normal(size=70)

    def read(start, stop):
        reads.append(stop - start)
        return np.broadcast_to(row, (stop - start, 32, 32, 70)).astype(np.float32)

    lazy = ComputedArray(read, shape, np.float32)
    positions = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    parts = decompose(lazy, positions, 4 * np.eye(3), NEAREST)
    slab = 32 * 32 * 70 * 4  # slices may begin and end within one
    assert max(reads) * slab <= SLICE_BYTES + 2 * slab
    assert len(reads) > 1
    # Boundary points are shared, so that both halves are equal but for the row's float32.
    np.testing.assert_allclose(parts, np.tile(32 * row, (2, 1)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_any_real_type_is_summed_in_double_precision(dtype, rng):
    field = rng.integers(1, 50, size=(4, 4, 4, 3)).astype(dtype)
    positions = np.array([[0.3, 0.0, 0.0], [2.0, 2.1, 2.0]])
    parts = decompose(field, positions, 4 * np.eye(3), GAUSSIAN)
    expected = decompose(field.astype(float), positions, 4 * np.eye(3), GAUSSIAN)
    assert parts.dtype == np.float64
    assert np.array_equal(parts, expected)


# -------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("voronoi", 1.3, 1e-8), "partition must be one of 'gaussian', 'nearest'; got 'voronoi'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Partition.of(*arguments)


# -------------------------------------------------------------------- pieces and slabs


def test_slices_equal_the_whole(system, monkeypatch):
    cell, positions, field = system
    whole = decompose(field, positions, cell, GAUSSIAN)
    for rows in (1, 7, 100):
        size = rows * field.shape[-1] * field.itemsize
        smaller = partial(iter_slices, max_bytes=size)
        monkeypatch.setattr("skldos.decomposition.partition.iter_slices", smaller)
        parts = decompose(field, positions, cell, GAUSSIAN)
        np.testing.assert_allclose(parts, whole, rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.7, 1.3, 3.0])
@pytest.mark.parametrize("vacuum", [6.0, 11.0, 25.0])
def test_every_point_of_a_slab_sees_all_images_that_count(sigma, vacuum):
    # Where the nearest atom is found in a small sphere, others that count may lie beyond it. At a
    # coarse tolerance they weigh much; images beyond it are left out here as well.
    cell = np.array([[2.9, 0.2, 0.0], [-0.4, 3.1, 0.0], [0.3, 0.1, 5.0 + vacuum]])
    positions = np.array([[0.1, 0.2, 0.4], [1.6, 1.5, 2.2], [0.2, 1.9, 4.1]])
    field = np.tile(np.eye(24), (2, 2, 1, 1))  # a column per layer of points
    shared = Partition.of("gaussian", sigma, 1e-2)

    def weights(points, positions, cell):
        r2 = squared_distances(points, positions, cell, (14, 14, 3))
        beyond = r2 - r2.min(axis=(1, 2), keepdims=True)
        each = np.where(beyond <= shared.reach2, np.exp(-shared.exponent * beyond), 0).sum(axis=2)
        return each / each.sum(axis=1, keepdims=True)

    expected = ados(field, positions, cell, weights)
    np.testing.assert_allclose(decompose(field, positions, cell, shared), expected, rtol=1e-9)


def test_needles_are_no_sharper_than_the_nearest_atom():
    assert Partition.of("gaussian", 1e-6, 1e-8).reach2 == NEAREST.reach2 == 1e-8
    # exp(-a r²) with a = 1/2σ² has the tolerance at the reach.
    wide = Partition.of("gaussian", 2.0, 1e-3)
    assert wide.exponent == 1 / 8
    assert np.exp(-wide.exponent * wide.reach2) == pytest.approx(1e-3, rel=1e-12)
