"""All atoms within a cutoff of arbitrary points of a periodic cell.

The images of the atoms that any point of the cell can see are listed once and sorted into bins,
parallelepipeds that share the cell's axes; a point then looks at the few bins around it. The cost
per point does not grow with the number of atoms, the cutoff may exceed the cell, and the cell may
be triclinic or left-handed.
"""

from typing import NamedTuple

import numpy as np

from skldos.geometry._compiled import compiled
from skldos.geometry.cell import plane_spacings

#: An atom closer than this (squared, in Å^2) is the centre itself, not its neighbour.
SAME_SITE = 1e-20
#: Bins per cutoff radius: finer bins hug the sphere more closely but cost more to visit.
BINS_PER_CUTOFF = 3
#: No more bins than this, however large and empty the cell.
MAX_BINS = 1 << 18


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
        Where the images of each bin (in C order) begin.
    images : ndarray of shape (3, n_images)
        Cartesian positions in the order of the bins, in Å.
    atoms : ndarray of shape (n_images,)
        Index of the atom of which this is an image.
    cutoff : float
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
    cutoff: float


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
        Cartesian, in Å. What lies inside is returned bit for bit.

    Examples
    --------
    >>> wrap(np.array([[5.0, -1.0, 2.0]]), 4 * np.eye(3))
    array([[1., 3., 2.]])
    """
    return positions - np.floor(positions @ np.linalg.inv(cell)) @ cell


def periodic_images(positions, cell, cutoff):
    """List the images of atoms that lie within a cutoff of the cell, and a few more.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    cutoff : float
        In Å.

    Returns
    -------
    atoms : ndarray of shape (n_images,)
        The atom of which each is an image.
    shifts : ndarray of shape (n_images, 3)
        Integers; the image sits at ``positions[atoms] + shifts @ cell``.

    Examples
    --------
    >>> atoms, shifts = periodic_images(np.full((1, 3), 2.0), 4 * np.eye(3), 1.0)
    >>> atoms, shifts
    (array([0]), array([[0, 0, 0]]))
    """
    reach = cutoff / plane_spacings(cell)
    fractional = positions @ np.linalg.inv(cell)
    home = np.floor(fractional).astype(np.int64)
    fractional = fractional - home
    # Wrapped atoms have coordinates in [0, 1]; the images wanted are in [-reach, 1 + reach].
    steps = [np.arange(-n, n + 1) for n in np.ceil(reach).astype(int)]
    atoms, shifts = [], []
    for shift in np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3):
        image = fractional + shift
        seen = np.flatnonzero(np.all((image >= -reach) & (image <= 1 + reach), axis=1))
        atoms.append(seen)
        shifts.append(shift - home[seen])
    return np.concatenate(atoms), np.concatenate(shifts)


def bin_neighbors(positions, cell, cutoff):
    """Prepare the search for neighbours of points in a cell.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    cutoff : float
        In Å; may exceed the cell.

    Returns
    -------
    NeighborBins

    Examples
    --------
    >>> bins = bin_neighbors(np.zeros((1, 3)), 2 * np.eye(3), 2.5)
    >>> len(find_neighbors(np.zeros(3), bins)[0])  # the 6 nearest, excluding itself
    6
    """
    reach = cutoff / plane_spacings(cell)
    inverse = np.linalg.inv(cell)
    atoms, shifts = periodic_images(positions, cell, cutoff)
    images = positions[atoms] + shifts @ cell

    extent = 1 + 2 * reach
    shape = np.maximum(1, np.floor(extent / reach * BINS_PER_CUTOFF))
    shape = np.maximum(1, np.floor(shape * min(1.0, (MAX_BINS / shape.prod()) ** (1 / 3))))
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
        images=np.ascontiguousarray(images[order].T),
        atoms=atoms[order].astype(np.int64),
        cutoff=float(cutoff),
    )


@compiled
def search_range(point, bins, home, low, high):
    """Wrap a point into the cell and give the bins that its sphere can touch.

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


@compiled
def collect_neighbors(point, bins, home, low, high, displacements, found):
    """Write the neighbours of a point: what :func:`find_neighbors` returns, without allocating.

    Returns their number, or minus the room needed where `found` is too short.
    """
    search_range(point, bins, home, low, high)
    x, y, z = bins.images[0], bins.images[1], bins.images[2]
    cutoff2 = bins.cutoff * bins.cutoff
    n = 0
    for bx in range(low[0], high[0] + 1):
        for by in range(low[1], high[1] + 1):
            row = (bx * bins.shape[1] + by) * bins.shape[2]
            begin, end = bins.first[row + low[2]], bins.first[row + high[2] + 1]
            if n + end - begin > len(found):
                return -(n + end - begin)
            for k in range(begin, end):
                dx, dy, dz = x[k] - home[0], y[k] - home[1], z[k] - home[2]
                r2 = dx * dx + dy * dy + dz * dz
                # Written always, counted if inside: one candidate in six is, and a branch that
                # cannot be predicted costs more than the stores.
                displacements[0, n] = dx
                displacements[1, n] = dy
                displacements[2, n] = dz
                found[n] = bins.atoms[k]
                n += (r2 < cutoff2) & (r2 > SAME_SITE)
    return n


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
        Indices of the atoms, one for each image seen. An atom at the point itself
        (squared distance up to 1e-20 Å^2) is not its neighbour.
    displacements : ndarray of shape (n_neighbors, 3)
        From the point to the atoms, in Å.
    """
    home, low, high = np.empty(3), np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    room = bins.images.shape[1]
    displacements, found = np.empty((3, room)), np.empty(room, dtype=np.int64)
    point = np.asarray(point, dtype=np.float64)
    n = collect_neighbors(point, bins, home, low, high, displacements, found)
    return found[:n].copy(), displacements[:, :n].T.copy()
