"""List all pairs of atoms within a cutoff, periodic images included, each pair once."""

import numpy as np

from skldos.compilation import compiled
from skldos.geometry.neighbors import search_range


@compiled
def _scan_pairs(positions, bins, start, stop, fill, first, second, shifts):
    """Count the pairs of the atoms from `start` to `stop`, and write them if `fill`."""
    home, low, high = np.empty(3), np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    turns = np.zeros(3, dtype=np.int64)
    x, y, z = bins.images[0], bins.images[1], bins.images[2]
    r_cut2 = bins.r_cut * bins.r_cut
    n = 0
    for i in range(start, stop):
        search_range(positions[i], bins, home, low, high)
        for bx in range(low[0], high[0] + 1):
            for by in range(low[1], high[1] + 1):
                row = (bx * bins.shape[1] + by) * bins.shape[2]
                for k in range(bins.first[row + low[2]], bins.first[row + high[2] + 1]):
                    j = bins.atoms[k]
                    if j < i:
                        continue
                    dx, dy, dz = x[k] - home[0], y[k] - home[1], z[k] - home[2]
                    if not dx * dx + dy * dy + dz * dz < r_cut2:
                        continue
                    if fill or i == j:
                        # The displacement is positions[j] - positions[i] + turns @ cell.
                        dx += positions[i, 0] - positions[j, 0]
                        dy += positions[i, 1] - positions[j, 1]
                        dz += positions[i, 2] - positions[j, 2]
                        for a in range(3):
                            turns[a] = round(
                                dx * bins.inverse[0, a]
                                + dy * bins.inverse[1, a]
                                + dz * bins.inverse[2, a]
                            )
                    if i == j:
                        # For an atom and its own images, only one of two opposite images counts.
                        lead = turns[0] if turns[0] != 0 else turns[1]
                        lead = lead if lead != 0 else turns[2]
                        if lead <= 0:
                            continue
                    if fill:
                        first[n], second[n] = i, j
                        shifts[n, 0], shifts[n, 1], shifts[n, 2] = turns[0], turns[1], turns[2]
                    n += 1
    return n


def find_pairs(positions, bins, start=0, stop=None):
    """List the pairs of atoms within the cutoff, each once, images and coinciding atoms included.

    For `positions` in Å, the same as for `bins`, return the indices of the atoms, two arrays
    (n_pairs,) with ``first <= second``, equal for an atom and its own image, and integers,
    (n_pairs, 3): the displacement is ``positions[second] + shifts @ cell - positions[first]``.

    The time grows with the number of pairs. If the whole list would not fit in memory, process the
    atoms in blocks: only pairs whose first atom is in the range from `start` to `stop` are listed.

    Examples
    --------
    >>> from skldos.geometry import bin_neighbors
    >>> positions = np.array([[0.0, 0, 0], [0, 0, 1.5]])
    >>> first, second, shifts = find_pairs(positions, bin_neighbors(positions, 4 * np.eye(3), 2.6))
    >>> first, second, shifts.tolist()
    (array([0, 0]), array([1, 1]), [[0, 0, -1], [0, 0, 0]])
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    stop = len(positions) if stop is None else stop
    indices, triples = np.empty(0, dtype=np.int64), np.empty((0, 3), dtype=np.int64)
    n_pairs = _scan_pairs(positions, bins, start, stop, False, indices, indices, triples)
    first, second = np.empty(n_pairs, dtype=np.int64), np.empty(n_pairs, dtype=np.int64)
    shifts = np.empty((n_pairs, 3), dtype=np.int64)
    _scan_pairs(positions, bins, start, stop, True, first, second, shifts)
    return first, second, shifts
