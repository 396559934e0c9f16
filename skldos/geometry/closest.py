"""The closest two atoms of a periodic structure, for checks of input."""

import numpy as np
from scipy.spatial import KDTree

from skldos.geometry.cell import plane_spacings


def closest_pair(positions, cell, within):
    r"""Return the closest two atoms, counting their periodic images.

    An atom and its own images do not count as a pair.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    within : float
        Largest distance to look for in Å. It is reduced to a little less than half of the
        smallest spacing of lattice planes, within which there is one image at most.

    Returns
    -------
    tuple of (float, int, int) or None
        The distance in Å and the indices of the atoms; None if no pair is that close.

    Examples
    --------
    >>> cell = 4.0 * np.eye(3)
    >>> closest_pair(np.array([[0.1, 0, 0], [3.9, 0, 0], [2, 2, 2]]), cell, within=0.5)
    (0.2, 0, 1)
    """
    spacings = plane_spacings(cell)
    within = min(within, 0.49 * spacings.min())
    fractions = np.linalg.solve(cell.T, positions.T).T
    fractions -= np.floor(fractions)
    fractions[fractions >= 1] = 0  # of -1e-17, say
    # |x_i - x'_i| h_i <= |r - r'| for fractional coordinates x and spacings h of lattice planes
    tree = KDTree(fractions * spacings, boxsize=spacings)
    pairs = tree.query_pairs(within, p=np.inf, output_type="ndarray")
    if len(pairs) == 0:
        return None
    differences = fractions[pairs[:, 0]] - fractions[pairs[:, 1]]
    distances = np.linalg.norm((differences - np.round(differences)) @ cell, axis=1)
    best = int(np.argmin(distances))
    if distances[best] > within:
        return None
    i, j = sorted(pairs[best].tolist())
    return round(float(distances[best]), 12), i, j
