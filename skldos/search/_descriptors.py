"""What scores of descriptors have in common: drawn points, and the mean over snapshots."""

import numpy as np
from sklearn.utils import check_random_state

from skldos.data import ArrayFile, as_rows, is_blocks
from skldos.exceptions import ScoringError
from skldos.scoring._errors import as_scoring_error
from skldos.search._rows import rows_at, transformed


def checked_rows(descriptors, targets):
    """Return both as arrays of rows, lazy if they were.

    Raises
    ------
    ValueError
        If they have not as many rows.
    """
    descriptors, targets = _as_rows(descriptors), _as_rows(targets)
    if descriptors.shape[0] != targets.shape[0]:
        raise ValueError(
            f"descriptors and targets must have one row per point, got {descriptors.shape[0]} and "
            f"{targets.shape[0]} rows."
        )
    return descriptors, targets


def drawn_rows(descriptors, targets, n_points, random_state):
    """Return `n_points` rows of both in double precision, all of them if there are no more."""
    n_rows = descriptors.shape[0]
    chosen = np.arange(n_rows)
    if n_points < n_rows:
        chosen = check_random_state(random_state).choice(n_rows, n_points, replace=False)
    return rows_at(descriptors, chosen), rows_at(targets, chosen)


def over_snapshots(score, estimator, X, y):
    """Return `score` of the descriptors and targets of every snapshot.

    Parameters
    ----------
    score : callable
        Takes the descriptors and targets of a snapshot, returns a number.
    estimator : estimator
        Fitted transformer, or a pipeline of such; a regressor at its end is ignored.
    X : sequence of Snapshot, or Blocks, or array-like of shape (n_rows, n_features)
        What the estimator takes.
    y : sequence of array-like of shape (..., n_outputs), optional
        Targets; None takes the LDOS of the snapshots.

    Returns
    -------
    ndarray of shape (n_snapshots,)
        The numbers.

    Raises
    ------
    ScoringError
        For whatever is wrong with the data; not a ValueError, which some searches swallow.
    """
    with as_scoring_error(ValueError):
        if len(X) == 0:
            raise ScoringError("X must hold at least one snapshot, got none.")
        blocks = transformed(estimator, X)
        if not is_blocks(blocks):
            blocks, y = [blocks], None if y is None else [y]
        if y is None:
            y = _targets(blocks)
        if len(y) != len(blocks):
            raise ScoringError(f"X has {len(blocks)} snapshots, but y has {len(y)} targets.")
        return np.array([score(*pair) for pair in zip(blocks, y, strict=True)])


def _targets(blocks):
    snapshots = getattr(blocks, "snapshots", None)
    if snapshots is None:
        raise ScoringError("pass y: the blocks do not know their snapshots.")
    return snapshots.targets


def _as_rows(array):
    """Return `array` with all leading axes joined, lazy if it was."""
    # Single rows, all over a file, are read from a map of it: blocks of rows would be all of it.
    return as_rows(array.memmap() if isinstance(array, ArrayFile) else array)
