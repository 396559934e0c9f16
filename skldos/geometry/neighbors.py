"""Find all atoms within a cutoff of arbitrary points of a periodic cell.

All images of atoms within the cutoff of any point of the cell are listed once and sorted into bins,
parallelepipeds along the axes of the cell. The search for the neighbours of a point visits only the
few bins around it. The cost per point does not grow with the number of atoms, the cutoff may exceed
the cell, and the cell may be triclinic or left-handed.
"""

from threading import Lock
from typing import NamedTuple

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.geometry.cell import MAX_LENGTH, check_cell, check_positions, plane_spacings, volume
from skldos.validation import check_scalar

#: An atom within this squared distance (in Å^2) is the centre itself, not its neighbour.
SAME_SITE = 1e-20
#: Bins per cutoff radius: finer bins fit the sphere more closely but cost more to visit.
BINS_PER_CUTOFF = 3
#: Largest number of bins, for large and empty cells; and largest number of bins per image.
MAX_BINS = 1 << 18
BINS_PER_IMAGE = 8
#: Number of recent results kept, because descriptors process the same snapshot in chunks.
CACHE_SIZE = 2
#: Largest number of atoms within the cutoff of a point, on average. Very dense matter of one atom
#: per Å^3 has 34,000 within 20 Å. A cell that is flat by mistake has millions, and the search would
#: never end.
MAX_NEIGHBORS = 100_000
#: Largest number of cells to search for images, which takes some seconds.
MAX_CELLS = 1 << 18
#: Largest number of images, which take about three gigabytes.
MAX_IMAGES = 1 << 25


class NeighborBins(NamedTuple):
    """Periodic images of the atoms, sorted into bins.

    Attributes
    ----------
    cell, inverse : ndarray of shape (3, 3)
        Lattice vectors as rows, and the inverse matrix.
    reach : ndarray of shape (3,)
        The cutoff in units of the spacing of the lattice planes.
    width : ndarray of shape (3,)
        Width of the bins, in fractional coordinates.
    shape : ndarray of shape (3,)
        Number of bins along each cell vector, from ``-reach`` to ``1 + reach``.
    first : ndarray of shape (n_bins + 1,)
        Index of the first image of each bin (in C order).
    images : ndarray of shape (3, n_images)
        Cartesian positions in the order of the bins, in Å.
    atoms : ndarray of shape (n_images,)
        Index of the atom of each image.
    r_cut : float
        In Å.
    """

    cell: np.ndarray
    inverse: np.ndarray
    reach: np.ndarray
    width: np.ndarray
    shape: np.ndarray
    first: np.ndarray
    images: np.ndarray
    atoms: np.ndarray
    r_cut: float


def wrap(positions, cell):
    """Move positions into the cell by lattice vectors.

    Parameters
    ----------
    positions : ndarray of shape (n, 3)
        Cartesian, in Å.
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.

    Returns
    -------
    ndarray of shape (n, 3)
        Cartesian, in Å. Positions inside the cell are returned unchanged.

    Examples
    --------
    >>> wrap(np.array([[5.0, -1.0, 2.0]]), 4 * np.eye(3))
    array([[1., 3., 2.]])
    """
    check_positions(positions)
    check_cell(cell)
    return positions - np.floor(positions @ np.linalg.inv(cell)) @ cell


def periodic_images(positions, cell, r_cut):
    """List all images of atoms within a cutoff of the cell (and some beyond it).

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    r_cut : float
        In Å.

    Returns
    -------
    atoms : ndarray of shape (n_images,)
        Index of the atom of each image.
    shifts : ndarray of shape (n_images, 3)
        Integers; the images are at ``positions[atoms] + shifts @ cell``.

    Raises
    ------
    ValueError
        If an atom is too far away (see :func:`skldos.geometry.check_positions`), the cutoff is
        negative, or there are so many images within it that the cell or the cutoff must be wrong.

    Examples
    --------
    >>> atoms, shifts = periodic_images(np.full((1, 3), 2.0), 4 * np.eye(3), 1.0)
    >>> atoms, shifts
    (array([0]), array([[0, 0, 0]]))
    """
    check_positions(positions)
    check_cell(cell)
    check_scalar("r_cut", float(r_cut), low=0, high=MAX_LENGTH)
    reach = r_cut / plane_spacings(cell)
    _check_extent(len(positions), cell, r_cut, reach)
    fractional = positions @ np.linalg.inv(cell)
    home = np.floor(fractional).astype(np.int64)
    fractional = fractional - home
    # Wrapped atoms have coordinates in [0, 1]; the images wanted are in [-reach, 1 + reach].
    steps = [np.arange(-n, n + 1) for n in np.ceil(reach).astype(int)]
    atoms, shifts = [], []
    for shift in np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3):
        image = fractional + shift
        inside = np.flatnonzero(np.all((image >= -reach) & (image <= 1 + reach), axis=1))
        atoms.append(inside)
        shifts.append(shift - home[inside])
    return np.concatenate(atoms), np.concatenate(shifts)


def _check_extent(n_atoms, cell, r_cut, reach):
    """Raise a ``ValueError`` if there would be too many images within a cutoff."""
    extents = {
        "atoms within it": (n_atoms / volume(cell) * 4 / 3 * np.pi * r_cut**3, MAX_NEIGHBORS),
        "cells to look through": (np.prod(2 * np.ceil(reach) + 1), MAX_CELLS),
        "images of atoms": (n_atoms * np.prod(2 * reach + 1), MAX_IMAGES),
    }
    for name, (n, limit) in extents.items():
        if n > limit:
            raise ValueError(
                f"r_cut={r_cut:g} Å must reach at most {limit} {name}, got {n:.3g} for {n_atoms} "
                f"atoms in a cell of {volume(cell):.3g} Å^3 with edges "
                f"{np.linalg.norm(cell, axis=1).round(6).tolist()} Å."
            )


_cache, _lock = [], Lock()


def bin_neighbors(positions, cell, r_cut):
    """Sort the atoms of a cell into bins for the neighbour search.

    The last results are kept, so you can call this function for every chunk of a large grid.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    r_cut : float
        In Å; may exceed the cell.

    Returns
    -------
    NeighborBins

    Raises
    ------
    ValueError
        As :func:`periodic_images`, and if the cutoff is zero.

    Examples
    --------
    >>> bins = bin_neighbors(np.zeros((1, 3)), 2 * np.eye(3), 2.5)
    >>> len(find_neighbors(np.zeros(3), bins)[0])  # the 6 nearest, excluding itself
    6
    """
    check_cell(cell)
    check_scalar("r_cut", float(r_cut), low=0, high=MAX_LENGTH, strict=True)
    with _lock:
        for arguments, bins in _cache:
            if arguments[2] == r_cut and all(map(np.array_equal, arguments[:2], (positions, cell))):
                return bins
    bins = _bins(positions, cell, r_cut)
    with _lock:
        _cache.insert(0, ((np.array(positions), np.array(cell), r_cut), bins))
        del _cache[CACHE_SIZE:]
    return bins


def _bins(positions, cell, r_cut):
    reach = r_cut / plane_spacings(cell)
    inverse = np.linalg.inv(cell)
    atoms, shifts = periodic_images(positions, cell, r_cut)
    images = positions[atoms] + shifts @ cell

    extent = 1 + 2 * reach
    shape = np.floor(extent / reach * BINS_PER_CUTOFF)
    most = max(MAX_BINS, BINS_PER_IMAGE * len(images))
    shape = np.maximum(1, np.floor(shape * min(1.0, (most / shape.prod()) ** (1 / 3))))
    width = extent / shape
    shape = shape.astype(np.int64)
    index = np.floor((images @ inverse + reach) / width).astype(np.int64)
    index = np.clip(index, 0, shape - 1)
    flat = np.ravel_multi_index(tuple(index.T), tuple(shape))
    order = np.argsort(flat, kind="stable")
    first = np.searchsorted(flat[order], np.arange(shape.prod() + 1))
    return NeighborBins(
        cell=np.ascontiguousarray(cell, dtype=np.float64),
        inverse=np.ascontiguousarray(inverse),
        reach=reach,
        width=width,
        shape=shape,
        first=first.astype(np.int64),
        images=np.ascontiguousarray(images[order].T, dtype=np.float64),
        atoms=atoms[order].astype(np.int64),
        r_cut=float(r_cut),
    )


@inlined
def search_range(point, bins, home, low, high):
    """Wrap a point into the cell and find the bins that its sphere can overlap.

    Writes the wrapped point to `home` and the first and last bin of each axis to `low`, `high`.
    """
    for i in range(3):
        home[i] = point[i]
    for i in range(3):
        f = 0.0
        for x in range(3):
            f += point[x] * bins.inverse[x, i]
        turns = np.floor(f)
        f -= turns
        for x in range(3):
            home[x] -= turns * bins.cell[i, x]
        # The sphere spans [f - reach, f + reach]; the first bin begins at -reach. The margin
        # covers the rounding of f.
        low[i] = max(0, int(np.floor(f / bins.width[i] - 1e-9)))
        high[i] = min(bins.shape[i] - 1, int((f + 2 * bins.reach[i]) / bins.width[i] + 1e-9))


@inlined
def collect_neighbors(point, bins, home, low, high, displacements, atoms):
    """Write the neighbours of a point: what :func:`find_neighbors` returns, without allocating.

    Returns their number, or minus the length needed if `atoms` is too short.
    """
    search_range(point, bins, home, low, high)
    x, y, z = bins.images[0], bins.images[1], bins.images[2]
    hx, hy, hz = home[0], home[1], home[2]
    r_cut2 = bins.r_cut * bins.r_cut
    n = 0
    for bx in range(low[0], high[0] + 1):
        for by in range(low[1], high[1] + 1):
            row = (bx * bins.shape[1] + by) * bins.shape[2]
            begin, end = bins.first[row + low[2]], bins.first[row + high[2] + 1]
            if n + end - begin > len(atoms):
                return -(n + end - begin)
            for k in range(begin, end):
                dx, dy, dz = x[k] - hx, y[k] - hy, z[k] - hz
                r2 = dx * dx + dy * dy + dz * dz
                # Always written, counted only if inside. One candidate in six is inside, and an
                # unpredictable branch costs more than the store.
                atoms[n] = k
                n += (r2 < r_cut2) & (r2 > SAME_SITE)
    for i in range(n):
        k = atoms[i]
        displacements[0, i] = x[k] - hx
        displacements[1, i] = y[k] - hy
        displacements[2, i] = z[k] - hz
        atoms[i] = bins.atoms[k]
    return n


@compiled
def neighbors_of(point, bins, home, low, high, displacements, atoms):
    """Write the neighbours of a point; see :func:`collect_neighbors`."""
    return collect_neighbors(point, bins, home, low, high, displacements, atoms)


def find_neighbors(point, bins):
    """Find the atoms, with their periodic images, within the cutoff of one point.

    Parameters
    ----------
    point : ndarray of shape (3,)
        Cartesian, in Å; inside the cell or not.
    bins : NeighborBins
        From :func:`bin_neighbors`.

    Returns
    -------
    atoms : ndarray of shape (n_neighbors,)
        Indices of the atoms, one for each image. An atom at the point itself (squared distance up
        to 1e-20 Å^2) is not a neighbour.
    displacements : ndarray of shape (n_neighbors, 3)
        From the point to the atoms, in Å.
    """
    home, low, high = np.empty(3), np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    room = bins.images.shape[1]
    displacements, atoms = np.empty((3, room)), np.empty(room, dtype=np.int64)
    point = np.asarray(point, dtype=np.float64)
    check_positions(point)
    n = neighbors_of(point, bins, home, low, high, displacements, atoms)
    return atoms[:n].copy(), displacements[:, :n].T.copy()
