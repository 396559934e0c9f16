"""DOS and density of an LDOS that is predicted once, slice by slice, and not stored."""

import warnings
from typing import NamedTuple

import numpy as np

from skldos.data import ComputedArray, spooled
from skldos.exceptions import FermiLevelError
from skldos.physics.fermi_window import FermiWindow
from skldos.prediction.pieces import iter_pieces
from skldos.workers import results_of

#: An LDOS up to this size is stored instead, so no guess of the Fermi level is needed.
KEPT_BYTES = 2**28
#: A first guess of the Fermi level comes from every fourth line of points along two axes.
SAMPLING_STEP = 4
#: Number of points whose densities are computed at once.
POINTS_AT_ONCE = 2**18
#: Number of rows in double precision at once.
TILE_ROWS = 1024


class Electrons(NamedTuple):
    """Electronic quantities of one snapshot.

    Attributes
    ----------
    dos, broadened_dos : ndarray of shape (n_energies,)
        In 1/eV, with and without the matrix.
    fermi_level : float
        In eV.
    density, density_slope : ndarray of shape (n_x, n_y, n_z)
        In 1/Å³ at the Fermi level, and its derivative by that level in 1/(eV Å³).
    """

    dos: np.ndarray
    broadened_dos: np.ndarray
    fermi_level: float
    density: np.ndarray
    density_slope: np.ndarray


def stream_electrons(
    rows, grid_shape, energies, *, temperature, voxel_volume, level_of, matrix=None, n_jobs=None
):
    """Return DOS, Fermi level and density of an LDOS, reading every row about once.

    Rows, (n_points, n_energies) in 1/(eV Å³), are read again only if the Fermi level is far from
    that of a sixteenth of the points. ``level_of`` returns the Fermi level in eV of a DOS in 1/eV.
    Every row is multiplied from the left by `matrix`, such as a sharpening. The result does not
    depend on the number of workers.
    """
    matrix = np.eye(len(energies)) if matrix is None else matrix

    def dos_of(total, n_points):
        return total * (voxel_volume * (len(rows) / n_points))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about electrons that a sample does not hold
        try:
            guess = level_of(matrix @ dos_of(*_sampled_sum(rows, grid_shape, n_jobs)))
        except FermiLevelError:  # that the points together may well have
            guess = float(energies[-1])
    while True:
        window = FermiWindow(energies, temperature, guess)
        total, density, near = _one_pass(rows, window, matrix, n_jobs)
        dos = dos_of(total, len(rows))
        level = level_of(matrix @ dos)
        projection = window.at(level)
        if projection is not None:
            break
        guess = level
    slope, (coefficients, slopes) = np.empty(len(rows)), projection
    for start in range(0, len(rows), POINTS_AT_ONCE):
        points = slice(start, start + POINTS_AT_ONCE)
        differences = near[points].astype(float)
        density[points] += differences @ coefficients
        slope[points] = differences @ slopes
    fields = density.reshape(grid_shape), slope.reshape(grid_shape)
    return Electrons(matrix @ dos, dos, level, *fields)


def _sampled_sum(rows, grid_shape, n_jobs):
    """Return the sum over some lines of points, and their number."""
    n_x, n_y, n_z = grid_shape
    starts = [
        [(i * n_y + j) * n_z for j in range(0, n_y, SAMPLING_STEP)]
        for i in range(0, n_x, SAMPLING_STEP)
    ]
    tasks = [(_sum_of_lines, rows, planes, n_z) for planes in starts]
    return sum(results_of(tasks, n_jobs)), n_z * sum(map(len, starts))


def _sum_of_lines(rows, starts, length):
    return sum(rows[start : start + length].sum(axis=0, dtype=float) for start in starts)


def _one_pass(rows, window, matrix, n_jobs):
    """Return the sum of all rows, the density at a window's level, and products with its vectors.

    The differences to which the latter add up are a thousandth of the density: float32 is enough.
    """
    project = _Projection(matrix.T @ window.weights, matrix.T @ window.vectors)
    n_vectors = window.vectors.shape[1]
    total, density = np.zeros(rows.shape[1]), np.empty(len(rows))

    def slices():
        nonlocal total
        start = 0
        for partial_sum, at_level, near in iter_pieces(project, rows, 8 + 4 * n_vectors, n_jobs):
            total += partial_sum
            density[start : start + len(near)] = at_level
            start += len(near)
            yield near

    near = spooled(ComputedArray(None, (len(rows), n_vectors), np.float32), slices=slices())
    return total, density, near


class _Projection:
    """Sums of slices of rows, and their products with vectors; can be sent to other processes."""

    def __init__(self, weights, vectors):
        self._weights, self._vectors = weights, vectors

    def __call__(self, run):
        return [self._project(rows) for rows in run]

    def _project(self, rows):
        total, at_level = np.zeros(rows.shape[1]), np.empty(len(rows))
        near = np.empty((len(rows), self._vectors.shape[1]), dtype=np.float32)
        for start in range(0, len(rows), TILE_ROWS):
            tile = slice(start, start + TILE_ROWS)
            exact = rows[tile].astype(float)
            total += exact.sum(axis=0)
            at_level[tile] = exact @ self._weights
            near[tile] = exact @ self._vectors
        return total, at_level, near
