r"""A partition of unity among the atoms, and sums of fields with its weights.

Each point of space is shared among the surrounding atoms, with weights that add up to one,

.. math:: w_i(r) = \frac{\sum_L e^{-|r - R_i - L|^2 / 2\sigma^2}}
                        {\sum_j \sum_L e^{-|r - R_j - L|^2 / 2\sigma^2}},

over all lattice vectors L. The code uses squared distances relative to the nearest image, so the
exponents are never large and the sums never vanish, however far the atoms are. In the limit
:math:`\sigma \to 0` a point belongs to its nearest atom, or to equally near atoms in equal parts.

Atoms may have widths of their own, :math:`\sigma_i`. With the largest, :math:`\sigma`, this is
the same partition with squared distances multiplied by :math:`s_i = (\sigma/\sigma_i)^2`.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from skldos.compilation import check_threads, compiled, inlined
from skldos.data import as_rows, iter_slices
from skldos.geometry import bin_neighbors, grid_points, volume
from skldos.geometry.neighbors import search_range
from skldos.validation import check_option, check_scalar

#: Kinds of partitions: Gaussian weights, or each point to its nearest atom.
PARTITIONS = ("gaussian", "nearest")

#: Atoms whose squared distances (Å^2) differ by less are equally near.
EQUALLY_NEAR = 1e-8
#: Every slice of a field is summed in this many parts, independent of the number of threads, so
#: that the order of the additions, and the result, do not depend on it.
N_PARTIAL_SUMS = 8


class Partition(NamedTuple):
    r"""Weights :math:`w \propto e^{-a(r^2 - r_0^2)}` of the atoms near a point.

    Attributes
    ----------
    exponent : float
        *a* in 1/Å²; 0 gives equal parts.
    reach2 : float
        An image counts if its squared distance exceeds that of the nearest image,
        :math:`r_0^2`, by at most this, in Å².
    """

    exponent: float
    reach2: float

    @classmethod
    def of(cls, kind, sigma, tolerance):
        """Return the partition of a kind.

        Parameters
        ----------
        kind : {"gaussian", "nearest"}
            Gaussians of width `sigma`, or the nearest atom.
        sigma : float
            In Å.
        tolerance : float
            An image counts if its weight, relative to the nearest image, is at least this.

        Returns
        -------
        Partition

        Examples
        --------
        >>> Partition.of("nearest", 1.3, 1e-8)
        Partition(exponent=0.0, reach2=1e-08)
        """
        if check_option("partition", kind, PARTITIONS) == "nearest":
            return cls(0.0, EQUALLY_NEAR)
        exponent = 0.5 / check_scalar("sigma", sigma, low=0, strict=True) ** 2
        tolerance = check_scalar("tolerance", tolerance, low=1e-100, high=0.1)
        return cls(exponent, max(-np.log(tolerance) / exponent, EQUALLY_NEAR))


def decompose(field, positions, cell, partition, n_threads=None, scales=None):
    r"""Sum a field over space, weighted by the partition of unity of each atom.

    .. math:: D_i = \sum_r w_i(r)\, d(r)\, \Delta V

    Parameters
    ----------
    field : ndarray or LazyArray of shape (n_x, n_y, n_z, n_columns)
        Values on the grid; read in slices.
    positions : ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    partition : Partition
        Weights of the atoms.
    n_threads : int, optional
        Number of threads; by default as many as Numba would use. The result does not depend on
        it.
    scales : ndarray of shape (n_atoms,), optional
        Factors of the squared distances from each atom, at least 1; None means 1.

    Returns
    -------
    ndarray of shape (n_atoms, n_columns)
        In units of the field times Å³; float64. The sum over the atoms equals that over the grid.

    Examples
    --------
    >>> positions = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    >>> partition = Partition.of("gaussian", sigma=1.3, tolerance=1e-8)
    >>> decompose(np.ones((4, 4, 4, 1)), positions, 4 * np.eye(3), partition)
    array([[32.],
           [32.]])
    """
    grid_shape = field.shape[:3]
    rows = as_rows(field)
    scales = np.ones(len(positions)) if scales is None else np.ascontiguousarray(scales, float)
    search = _Search(positions, cell, partition, scales)
    sums = np.zeros((N_PARTIAL_SUMS, len(positions), rows.shape[1]))

    def add(i, first, piece):
        search.add(grid_points(cell, grid_shape, first, first + len(piece)), piece, sums[i])

    with ThreadPoolExecutor(min(check_threads(n_threads), N_PARTIAL_SUMS)) as pool:
        first = 0
        for values in iter_slices(rows):
            values = _as_floats(values)
            ends = np.linspace(0, len(values), N_PARTIAL_SUMS + 1).astype(int)
            starts, pieces = ends[:-1] + first, np.split(values, ends[1:-1])
            for _ in pool.map(add, range(N_PARTIAL_SUMS), starts, pieces):
                pass
            first += len(values)
    return sums.sum(axis=0) * (volume(cell) / len(rows))


def _as_floats(values):
    """Return values in a type that the kernel is compiled for."""
    dtype = values.dtype if values.dtype in (np.float32, np.float64) else np.float64
    return np.ascontiguousarray(values, dtype=dtype)


class _Search:
    """Finds the atoms that share a point, in spheres as large as needed.

    The sphere must contain the nearest image and all others that count. The distance of the nearest
    image is not known in advance: for points in the vacuum of a slab, the search is repeated with
    larger spheres.
    """

    def __init__(self, positions, cell, partition, scales):
        self.positions, self.cell, self.partition = positions, cell, partition
        self.scales = scales
        nearest2 = (volume(cell) / len(positions)) ** (2 / 3)  # in a dense solid it is closer
        self._bins = [self._bin(np.sqrt(nearest2 + partition.reach2))]

    def _bin(self, r_cut):
        return bin_neighbors(self.positions, self.cell, r_cut)

    def add(self, points, values, sums):
        """Add the values at points to the sums of the atoms that share them."""
        for level in range(64):
            if level == len(self._bins):
                # Two threads may reach this line at once; both then create the same bins.
                self._bins[level : level + 1] = [self._bin(2 * self._bins[-1].r_cut)]
            open_ = np.zeros(len(points), dtype=np.bool_)
            add_shared(points, values, self._bins[level], *self.partition, self.scales, sums, open_)
            if not open_.any():
                return
            points, values = points[open_], values[open_]
        raise RuntimeError("no atom was found around some points of the grid.")


@compiled
def add_shared(points, values, bins, exponent, reach2, scales, sums, open_):
    """Add the rows of `values` to the sums of the atoms near their points.

    Points whose sphere may lack an image that counts are marked in `open_` and left out. Scales are
    at least 1, so no scaled distance outside the sphere is below its radius.
    """
    home, low, high = np.empty(3), np.empty(3, np.int64), np.empty(3, np.int64)
    room = bins.images.shape[1]
    r2, atoms = np.empty(room), np.empty(room, np.int64)
    weights = np.zeros(len(sums))
    sharing = np.empty(len(sums), np.int64)
    row = np.empty(values.shape[1])
    r_cut2 = bins.r_cut * bins.r_cut
    for p in range(len(points)):
        search_range(points[p], bins, home, low, high)
        n = squared_distances(bins, home, low, high, r2, atoms)
        nearest2 = r_cut2
        for k in range(n):
            r2[k] *= scales[atoms[k]]
            nearest2 = min(nearest2, r2[k])
        if nearest2 + reach2 > r_cut2:
            open_[p] = True
            continue
        n_sharing = 0
        total = 0.0
        for k in range(n):
            if r2[k] <= nearest2 + reach2:
                weight = np.exp(-exponent * (r2[k] - nearest2))
                if weights[atoms[k]] == 0.0:
                    sharing[n_sharing] = atoms[k]
                    n_sharing += 1
                weights[atoms[k]] += weight
                total += weight
        for e in range(len(row)):
            row[e] = values[p, e]
        for s in range(n_sharing):
            weight = weights[sharing[s]] / total
            weights[sharing[s]] = 0.0
            add_scaled(weight, row, sums[sharing[s]])


@inlined
def squared_distances(bins, home, low, high, r2, atoms):
    """Write the squared distances of the images in some bins; return their number.

    Unlike the neighbours of a site, an atom at the point itself counts.
    """
    x, y, z = bins.images[0], bins.images[1], bins.images[2]
    n = 0
    for bx in range(low[0], high[0] + 1):
        for by in range(low[1], high[1] + 1):
            row = (bx * bins.shape[1] + by) * bins.shape[2]
            for k in range(bins.first[row + low[2]], bins.first[row + high[2] + 1]):
                dx, dy, dz = x[k] - home[0], y[k] - home[1], z[k] - home[2]
                r2[n] = dx * dx + dy * dy + dz * dz
                atoms[n] = bins.atoms[k]
                n += 1
    return n


@inlined
def add_scaled(factor, row, total):
    """Total += factor · row."""
    for e in range(len(row)):
        total[e] += factor * row[e]
