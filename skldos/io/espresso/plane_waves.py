"""The plane waves of a density in the order that pw.x relies on when it reads them."""

import numpy as np
import torch

from skldos.compilation import compiled, inlined
from skldos.geometry import reciprocal_cell
from skldos.physics.fourier import in_sphere
from skldos.units import BOHR, RYDBERG

# Squares of wave vectors that differ by less count as equal, in units of (2π/|a_1|)².
SAME_LENGTH = 1e-8


def ordered_waves(cell, density_cutoff, *, gamma_only=False):
    """Return the wave vectors up to a cutoff in eV, sorted by length, then by their integers.

    For a cell with vectors as rows in Å; in units of the reciprocal lattice vectors, (n_waves, 3).
    With `gamma_only`, there is only one of each pair G, -G.

    Examples
    --------
    >>> ordered_waves(4 * np.eye(3), 10.0, gamma_only=True).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    """
    lengths = np.linalg.norm(cell, axis=1)
    # |m_i| = |G · a_i| / 2π, with the same slack as for the cutoff sphere
    bounds = np.sqrt(density_cutoff / RYDBERG) / BOHR * (1 + 1e-6) * lengths / (2 * np.pi)
    axes = [np.arange(-m, m + 1) for m in bounds.astype(int)]
    miller = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    if gamma_only:
        # From G = 0 on, this order contains one wave of each pair.
        miller = miller[len(miller) // 2 :]
    G = miller @ reciprocal_cell(cell)
    inside = in_sphere(torch.from_numpy(G), density_cutoff).numpy()
    squares = (G[inside] ** 2).sum(axis=1) * (lengths[0] / (2 * np.pi)) ** 2
    return miller[inside][_heap_order(squares, SAME_LENGTH)]


# "Equal within a tolerance" does not define an order: shells can be connected by a chain of small
# steps, as in a hexagonal cell given to eight digits. The result then depends on which pairs are
# compared, so this must be heapsort, as in pw.x.
@compiled
def _heap_order(values, tolerance):
    """Return the order of values; nearly equal values keep their order."""
    order = np.arange(len(values))
    for root in range(len(values) // 2 - 1, -1, -1):
        _sift(values, order, order[root], root, len(values), tolerance)
    for end in range(len(values) - 1, 0, -1):
        last = order[end]
        order[end] = order[0]
        _sift(values, order, last, 0, end, tolerance)
    return order


@inlined
def _sift(values, order, item, hole, end, tolerance):
    """Insert an item into a heap of the first `end` items, at a hole or below it."""
    child = 2 * hole + 1
    while child < end:
        if child + 1 < end and _precedes(values, order[child], order[child + 1], tolerance):
            child += 1
        if not _precedes(values, item, order[child], tolerance):
            break
        order[hole] = order[child]
        hole, child = child, 2 * child + 1
    order[hole] = item


@inlined
def _precedes(values, i, j, tolerance):
    if abs(values[i] - values[j]) < tolerance:
        return i < j
    return values[i] < values[j]
