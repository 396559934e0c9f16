"""Real-space grids: the points of an FFT grid and their volume."""

import math

import numpy as np

from skldos.geometry.cell import check_cell, volume
from skldos.validation import check_scalar

#: Largest number of grid points, 4096 along each axis: more than any program uses for a density,
#: and small enough for all index arithmetic.
MAX_POINTS = 2**36


def check_grid_shape(grid_shape):
    """Return `grid_shape` as a tuple of three positive integers.

    Examples
    --------
    >>> check_grid_shape([18, 18, 27])
    (18, 18, 27)
    >>> check_grid_shape((18, 18))
    Traceback (most recent call last):
    ...
    ValueError: grid_shape must be three numbers of points, got (18, 18).
    """
    try:
        lengths = tuple(grid_shape)
    except TypeError:
        raise TypeError(
            f"grid_shape must be three numbers of points, got {grid_shape!r}."
        ) from None
    if len(lengths) != 3:
        raise ValueError(f"grid_shape must be three numbers of points, got {lengths}.")
    shape = tuple(
        check_scalar(f"grid_shape[{axis}]", n, low=1, integer=True)
        for axis, n in enumerate(lengths)
    )
    if math.prod(shape) > MAX_POINTS:
        raise ValueError(f"grid_shape must have at most {MAX_POINTS} points, got {shape}.")
    return shape


def check_block(grid_shape, start, stop):
    """Return the bounds of a block of flattened grid points; `stop` None means the end.

    Examples
    --------
    >>> check_block((2, 3, 4), 6, None)
    (6, 24)
    """
    n_points = int(np.prod(grid_shape))
    start = check_scalar("start", start, low=0, high=n_points, integer=True)
    if stop is None:
        return start, n_points
    return start, check_scalar("stop", stop, low=start, high=n_points, integer=True)


def grid_points(cell, grid_shape, start=0, stop=None):
    r"""Cartesian coordinates of a block of grid points.

    Point *(i, j, k)* sits at :math:`i/n_x\,a_1 + j/n_y\,a_2 + k/n_z\,a_3`: the grid starts at the
    corner of the cell and is not shifted by half a voxel.

    Parameters
    ----------
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å.
    grid_shape : tuple of three int
        Number of points along each cell vector.
    start, stop : int, optional
        The block of points, counted in C order (the last axis fastest); by default all.

    Returns
    -------
    ndarray of shape (stop - start, 3)
        In Å.

    Examples
    --------
    >>> grid_points(4 * np.eye(3), (1, 2, 2))
    array([[0., 0., 0.],
           [0., 0., 2.],
           [0., 2., 0.],
           [0., 2., 2.]])
    """
    grid_shape = check_grid_shape(grid_shape)
    start, stop = check_block(grid_shape, start, stop)
    indices = np.unravel_index(np.arange(start, stop), grid_shape)
    return np.stack(indices, axis=1) / grid_shape @ check_cell(cell)


def voxel_volume(cell, grid_shape):
    """Volume of one grid point (voxel), in Å^3.

    Examples
    --------
    >>> float(voxel_volume(4 * np.eye(3), (2, 4, 8)))
    1.0
    """
    return volume(check_cell(cell)) / math.prod(check_grid_shape(grid_shape))
