"""Predicted local densities of states on the grid, one snapshot after the other."""

import numpy as np

from skldos.data import Blocks, as_rows, spooled
from skldos.exceptions import ScoringError
from skldos.scoring._dos import lazy_inputs, predicted_blocks, regressor_of, snapshots_of


def iter_ldos(estimator, X):
    """Yield every snapshot with its predicted LDOS, one after the other.

    Where the estimator is a pipeline that ends in a regressor of skldos, descriptors exist slice
    by slice, and an LDOS too large for memory is kept in a temporary file.

    Parameters
    ----------
    estimator : estimator
        Fitted; predicts the LDOS on grids.
    X : sequence of Snapshot, or Blocks
        The snapshots, or blocks made of them.

    Yields
    ------
    snapshot : Snapshot
        The snapshot, with its grid.
    ldos : ndarray or LazyArray of shape (n_x, n_y, n_z, n_energies)
        In 1/(eV Å³); read-only use, it may be a memory map.

    Raises
    ------
    ScoringError
        If the predictions are not on the grid.
    """
    snapshots = snapshots_of(X)
    if not hasattr(regressor_of(estimator), "predict_lazy"):
        for block, snapshot in predicted_blocks(estimator, X):
            yield snapshot, ldos_on_grid(block, snapshot)
        return
    X = X if isinstance(X, Blocks) else snapshots
    for i, snapshot in enumerate(snapshots):
        inputs, snapshot = lazy_inputs(estimator, X[i : i + 1], snapshot)
        (ldos,) = regressor_of(estimator).predict_lazy(inputs)
        yield snapshot, ldos_on_grid(ldos, snapshot)


def ldos_on_grid(block, snapshot):
    """Return the rows of a block as an LDOS on the grid of its snapshot."""
    rows = as_rows(block)
    if snapshot.grid_shape is None or rows.shape[0] != snapshot.n_grid_points:
        raise ScoringError(
            f"densities and total energies need the LDOS at every grid point of {snapshot!r}, "
            f"got a block of {rows.shape[0]} rows."
        )
    if np.shape(block)[:-1] == snapshot.grid_shape:
        return block  # which may be a file, and larger than memory
    return spooled(rows).reshape(*snapshot.grid_shape, -1)
