"""Blocks: one array of rows per snapshot, a row per site (grid point or atom)."""

from copy import deepcopy

import numpy as np

from skldos.data.html import ROWS, table
from skldos.data.lazy import LazyArray, is_sliced


class Blocks(np.ndarray):
    """A 1-D object array with one block per snapshot.

    A block is an array or lazy array whose first axis runs over the sites of its snapshot:
    ``(n_sites, n_features)``. Grids and numbers of atoms may differ between snapshots, so the
    blocks cannot be stacked; scikit-learn indexes and splits this container like any array.

    Parameters
    ----------
    blocks : sequence of array-like
        The blocks.
    snapshots : SnapshotList, optional
        Their snapshots. A regressor at the end of a pipeline finds the targets of its samples
        in them.
    derivatives : sequence of callables, optional
        One function per block, without arguments. It returns the derivatives of the sum of the
        block's rows with respect to positions, of shape (n_atoms, 3, n_features), and strain,
        (3, 3, n_features). Regressors that learn forces need them.

    Examples
    --------
    >>> blocks = Blocks([np.zeros((4, 2)), np.zeros((6, 2))])
    >>> [block.shape for block in blocks], blocks[:1].shape
    ([(4, 2), (6, 2)], (1,))
    """

    def __new__(cls, blocks, snapshots=None, derivatives=None):
        """Fill a new object array; ``numpy.array`` would stack blocks of equal shape."""
        self = np.empty(len(blocks), dtype=object).view(cls)
        for i, block in enumerate(blocks):
            np.ndarray.__setitem__(self, i, block)
        self.snapshots = snapshots
        if derivatives is not None:
            self.derivatives = np.fromiter(derivatives, dtype=object, count=len(blocks))
        return self

    def __array_finalize__(self, template):
        self.snapshots = self.derivatives = None

    def __getitem__(self, key):
        selected = super().__getitem__(key)
        if isinstance(selected, Blocks):
            if self.snapshots is not None:
                selected.snapshots = self.snapshots[key]
            if self.derivatives is not None:
                selected.derivatives = self.derivatives[key]
        return selected

    def copy(self, order="C"):
        """Return a new container with the same arrays and snapshots."""
        return Blocks(self, self.snapshots, self.derivatives)

    __copy__ = copy

    def __deepcopy__(self, memo):
        attributes = (list(self), self.snapshots, self.derivatives)
        return Blocks(*(deepcopy(attribute, memo) for attribute in attributes))

    def __reduce__(self):
        return (Blocks, (list(self), self.snapshots, self.derivatives))

    def __repr__(self):
        shapes = ", ".join(str(tuple(block.shape)) for block in self[:6])
        more = ", …" if len(self) > 6 else ""
        return f"Blocks({len(self)} of shape {shapes}{more})"

    __str__ = __repr__

    def _repr_html_(self):
        snapshots = [None] * len(self) if self.snapshots is None else self.snapshots
        rows = [
            (str(i), "" if s is None else s.label, " × ".join(map(str, block.shape)))
            for i, (block, s) in enumerate(zip(self[:ROWS], snapshots[:ROWS], strict=True))
        ]
        more = f", the first {ROWS}" if len(self) > ROWS else ""
        header = ["", "snapshot", "sites × features"]
        return table(f"Blocks of {len(self)} snapshots{more}", rows, header)

    def to_frame(self):
        """Return all rows in one table.

        Returns
        -------
        pandas.DataFrame
            A row per site and a column per feature, with an index of ``snapshot`` and ``site``.
        """
        import pandas as pd

        frames = {i: pd.DataFrame(np.reshape(b, (len(b), -1))) for i, b in enumerate(self)}
        return pd.concat(frames, names=["snapshot", "site"]) if frames else pd.DataFrame()


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
    if isinstance(item, (LazyArray, np.ndarray)) or is_sliced(item):
        return len(item.shape) >= 2
    # set_output(transform="pandas") gives one DataFrame per block.
    return hasattr(item, "iloc") and item.ndim == 2
