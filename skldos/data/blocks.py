"""Blocks: one array of rows per snapshot, a row per site (grid point or atom)."""

from copy import deepcopy

import numpy as np

from skldos.data.lazy import LazyArray


class Blocks(np.ndarray):
    """A 1-D object array with one block per snapshot.

    A block is an array, or a lazy one, whose first axis runs over the sites of its snapshot:
    ``(n_sites, n_features)``. Grids and numbers of atoms may differ between snapshots, so the
    blocks cannot be stacked; scikit-learn indexes and splits this container like any array.

    Parameters
    ----------
    blocks : sequence of array-like
        The blocks.
    snapshots : SnapshotList, optional
        The snapshots they belong to, carried along so that a regressor at the end of a
        pipeline finds the targets of its samples.

    Examples
    --------
    >>> blocks = Blocks([np.zeros((4, 2)), np.zeros((6, 2))])
    >>> [block.shape for block in blocks], blocks[:1].shape
    ([(4, 2), (6, 2)], (1,))
    """

    def __new__(cls, blocks, snapshots=None):
        """Fill a fresh object array; ``numpy.array`` would stack blocks of equal shape."""
        self = np.empty(len(blocks), dtype=object).view(cls)
        for i, block in enumerate(blocks):
            np.ndarray.__setitem__(self, i, block)
        self.snapshots = snapshots
        return self

    def __array_finalize__(self, template):
        self.snapshots = None

    def __getitem__(self, key):
        selected = super().__getitem__(key)
        if isinstance(selected, Blocks) and self.snapshots is not None:
            selected.snapshots = self.snapshots[key]
        return selected

    def copy(self, order="C"):
        """Return new blocks of the same arrays and snapshots."""
        return Blocks(self, self.snapshots)

    __copy__ = copy

    def __deepcopy__(self, memo):
        return Blocks(deepcopy(list(self), memo), deepcopy(self.snapshots, memo))

    def __reduce__(self):
        return (Blocks, (list(self), self.snapshots))

    def __repr__(self):
        shapes = ", ".join(str(tuple(block.shape)) for block in self[:6])
        more = ", …" if len(self) > 6 else ""
        return f"Blocks({len(self)} of shape {shapes}{more})"

    __str__ = __repr__


def is_blocks(X):
    """Return whether `X` is a sequence of blocks rather than one 2-D array of rows.

    Examples
    --------
    >>> is_blocks([np.zeros((4, 2)), np.zeros((6, 2))]), is_blocks(np.zeros((4, 2)))
    (True, False)
    """
    if isinstance(X, Blocks):
        return True
    if isinstance(X, np.ndarray):
        if X.dtype != object or X.ndim != 1:
            return False
    elif not isinstance(X, (list, tuple)):
        return False
    return len(X) > 0 and _is_block(X[0])


def _is_block(item):
    if isinstance(item, (LazyArray, np.ndarray)):
        return item.ndim >= 2
    # A DataFrame per block is what set_output(transform="pandas") gives.
    return hasattr(item, "iloc") and item.ndim == 2
