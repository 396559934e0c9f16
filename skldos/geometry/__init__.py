"""Cells, grids and neighbours: functions of arrays, in Å, with cell vectors as rows."""

from skldos.geometry.cell import (
    check_cell,
    check_positions,
    plane_spacings,
    reciprocal_cell,
    volume,
)
from skldos.geometry.closest import closest_pair
from skldos.geometry.grid import check_block, check_grid_shape, grid_points, voxel_volume
from skldos.geometry.neighbors import bin_neighbors, find_neighbors, periodic_images, wrap

__all__ = [
    "check_cell",
    "check_positions",
    "volume",
    "reciprocal_cell",
    "plane_spacings",
    "check_grid_shape",
    "check_block",
    "grid_points",
    "voxel_volume",
    "wrap",
    "periodic_images",
    "bin_neighbors",
    "find_neighbors",
    "closest_pair",
]
