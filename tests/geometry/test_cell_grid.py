import numpy as np
import pytest

from skldos.geometry import (
    check_block,
    check_cell,
    check_grid_shape,
    check_positions,
    grid_points,
    plane_spacings,
    reciprocal_cell,
    volume,
    voxel_volume,
)
from skldos.geometry.cell import MAX_LENGTH

TRICLINIC = np.array([[3.0, 0.2, 0.1], [-1.0, 2.5, 0.3], [0.4, -0.7, 4.0]])
LEFT_HANDED = TRICLINIC[[1, 0, 2]]


@pytest.mark.parametrize("cell", [TRICLINIC, LEFT_HANDED])
def test_volume_is_positive_determinant(cell):
    assert volume(cell) == pytest.approx(abs(np.linalg.det(cell)), rel=1e-14)
    assert volume(cell) > 1


@pytest.mark.parametrize("cell", [TRICLINIC, LEFT_HANDED])
def test_reciprocal_vectors_are_dual(cell):
    assert np.allclose(cell @ reciprocal_cell(cell).T, 2 * np.pi * np.eye(3), atol=1e-14)


@pytest.mark.parametrize("cell", [TRICLINIC, LEFT_HANDED])
def test_plane_spacing_is_volume_over_area(cell):
    for i in range(3):
        area = np.linalg.norm(np.cross(cell[(i + 1) % 3], cell[(i + 2) % 3]))
        assert plane_spacings(cell)[i] == pytest.approx(volume(cell) / area, rel=1e-14)


def test_check_cell_accepts_lists_and_left_handed_cells():
    assert check_cell([[4, 0, 0], [0, 4, 0], [0, 0, 4]]).dtype == np.float64
    assert np.array_equal(check_cell(LEFT_HANDED), LEFT_HANDED)


@pytest.mark.parametrize("cell", [np.diag([4.0, 4.0, 0.0]), np.ones((3, 3)), np.zeros((3, 3))])
def test_flat_cells_are_refused(cell):
    with pytest.raises(ValueError, match="linearly independent vectors, got volume 0 "):
        check_cell(cell)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_check_cell_does_not_depend_on_the_unit(scale):
    check_cell(scale * TRICLINIC)
    with pytest.raises(ValueError, match="linearly independent"):
        check_cell(scale * np.array([[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 1e-13]]))


def test_grid_points_are_fractions_of_the_cell_z_fastest():
    shape = (2, 3, 4)
    points = grid_points(TRICLINIC, shape).reshape(*shape, 3)
    for i, j, k in np.ndindex(*shape):
        expected = i / 2 * TRICLINIC[0] + j / 3 * TRICLINIC[1] + k / 4 * TRICLINIC[2]
        assert np.allclose(points[i, j, k], expected, atol=1e-14)


def test_grid_blocks_join_to_the_grid():
    blocks = [grid_points(TRICLINIC, (2, 3, 4), *bounds) for bounds in ((0, 5), (5, 6), (6, None))]
    assert np.array_equal(np.concatenate(blocks), grid_points(TRICLINIC, (2, 3, 4)))
    assert [len(block) for block in blocks] == [5, 1, 18]


def test_voxels_fill_the_cell():
    shape = (3, 4, 5)
    n_points = len(grid_points(TRICLINIC, shape))
    assert n_points * voxel_volume(TRICLINIC, shape) == pytest.approx(volume(TRICLINIC))


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (5, TypeError, "grid_shape must be three numbers of points, got 5"),
        ((5, 5), ValueError, r"three numbers of points, got \(5, 5\)"),
        ((5, 0, 5), ValueError, r"grid_shape\[1\] must be >= 1, got 0"),
        ((5, 5, 2.5), TypeError, r"grid_shape\[2\] must be an integer, got 2.5"),
    ],
)
def test_check_grid_shape_says_what_is_wrong(shape, error, message):
    with pytest.raises(error, match=message):
        check_grid_shape(shape)


def test_check_block_says_what_is_wrong():
    with pytest.raises(ValueError, match="start must be >= 0 and <= 24, got 25"):
        check_block((2, 3, 4), 25, None)
    with pytest.raises(ValueError, match="stop must be >= 6 and <= 24, got 5"):
        check_block((2, 3, 4), 6, 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_cells_beyond_double_precision_are_refused(sign):
    check_cell(np.diag([4.0, 4.0, sign * MAX_LENGTH]))
    with pytest.raises(ValueError, match="cell must be at most 100000 Å wide, got 100300 Å"):
        check_cell(np.diag([4.0, 4.0, 1.003 * sign * MAX_LENGTH]))


def test_grids_beyond_any_use_are_refused():
    assert check_grid_shape((4096, 4096, 4096)) == (4096, 4096, 4096)
    # The product of the last one wraps around in 64 bits.
    for shape in ((4096, 4096, 4097), (2**32, 2**32, 2**32)):
        with pytest.raises(ValueError, match="must have at most 68719476736 points, got"):
            check_grid_shape(shape)


@pytest.mark.parametrize("function", [volume, reciprocal_cell, plane_spacings, check_cell])
@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ([4.0, 4.0, 4.0], ValueError, r"cell must have shape \(3, 3\), got \(3,\)"),
        (np.eye(2), ValueError, r"cell must have shape \(3, 3\), got \(2, 2\)"),
        (4 * np.eye(3) + np.diag([0, 0, np.nan]), ValueError, "cell must be finite, got 1 NaN"),
        (4j * np.eye(3), TypeError, "cell must be real numbers, got values of complex128"),
        (np.ma.masked_equal(4 * np.eye(3), 4), ValueError, "no masked elements, got 3 of 9"),
        (None, TypeError, "cell must be real numbers"),
        ("cubic", TypeError, "cell must be real numbers"),
    ],
)
def test_what_is_no_cell(function, cell, error, message):
    with pytest.raises(error, match=message):
        function(cell)


@pytest.mark.parametrize("function", [reciprocal_cell, plane_spacings])
def test_flat_cells_have_no_reciprocal_vectors(function):
    with pytest.raises(ValueError, match="three linearly independent vectors, got"):
        function([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    assert volume([[1, 0, 0], [0, 1, 0], [1, 1, 0]]) == 0


def test_what_is_at_the_limit_is_accepted():
    check_positions(np.array([[0.0, -MAX_LENGTH, MAX_LENGTH]]))
    assert check_block((2, 3, 4), 24, None) == check_block((2, 3, 4), 24, 24) == (24, 24)
