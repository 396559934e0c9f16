"""Common code of scores of descriptors: sampling of points, and the mean over snapshots."""

import numpy as np
from sklearn.utils import check_random_state, gen_batches

from skldos.data import ArrayFile, as_rows, is_blocks
from skldos.docstrings import entries_of
from skldos.exceptions import ScoringError, as_scoring_error
from skldos.prediction.pipelines import targets_of
from skldos.search.scores._rows import AT_ONCE, rows_at, transformed
from skldos.validation import as_real, check_finite, check_unmasked

#: Parameter texts that the scorers share; see :func:`skldos.docstrings.documented`.
OF_SCORERS = entries_of("""
    random_state : int, RandomState instance or None, default=None
        Seed for drawing the points. With an integer, all candidates of a search use the same.
    ScoringError
        When called, if a snapshot has no LDOS, or not one LDOS row per row of descriptors.
    estimator : estimator
        Fitted transformer, or a pipeline of such; a regressor at its end is ignored.
    X : sequence of Snapshot, or Blocks
        Input of the estimator.
    y : sequence of array-like of shape (..., n_outputs), optional
        Targets; None uses the LDOS of the snapshots.
""")


def checked_rows(descriptors, targets):
    """Return both as arrays of rows, lazy if they were.

    Raise a ``TypeError`` if they are not real numbers, and a ``ValueError`` if the numbers of rows
    differ, or are zero, or an array in memory holds NaN or infinite values, even in rows that are
    not drawn. Only the drawn rows of lazy arrays are read.
    """
    descriptors, targets = _as_rows("descriptors", descriptors), _as_rows("targets", targets)
    if descriptors.shape[0] != targets.shape[0]:
        raise ValueError(
            f"descriptors and targets must have one row per point, got {descriptors.shape[0]} and "
            f"{targets.shape[0]} rows."
        )
    for name, array in (("descriptors", descriptors), ("targets", targets)):
        # A memory map is also an ndarray, but of another class.
        if type(array) is np.ndarray:
            for rows in gen_batches(len(array), AT_ONCE):
                check_finite(name, array[rows])
    return descriptors, targets


def drawn_rows(descriptors, targets, n_points, random_state):
    """Return `n_points` rows of both in double precision, or all rows if there are fewer."""
    n_rows = descriptors.shape[0]
    indices = np.arange(n_rows)
    if n_points < n_rows:
        indices = check_random_state(random_state).choice(n_rows, n_points, replace=False)
    return rows_at(descriptors, indices), rows_at(targets, indices)


def over_snapshots(score, estimator, X, y):
    """Return the numbers ``score(descriptors, targets)`` of every snapshot, (n_snapshots,).

    Raise a ``ScoringError`` for any problem with the data; not a ValueError, which some searches
    hide.
    """
    with as_scoring_error(ValueError):
        if len(X) == 0:
            raise ScoringError("X must hold at least one snapshot, got none.")
        blocks = transformed(estimator, X)
        if not is_blocks(blocks):
            blocks, y = [blocks], None if y is None else [y]
        y = block_targets(blocks, y, lambda snapshots: snapshots.targets)
        return np.array([score(*pair) for pair in zip(blocks, y, strict=True)])


def block_targets(blocks, y, of_snapshots):
    """Return one target per block: `y`, or if that is None a function of the snapshots."""
    if y is None:
        if getattr(blocks, "snapshots", None) is None:
            raise ScoringError("pass y: the blocks are not linked to snapshots.")
        y = of_snapshots(blocks.snapshots)
    return targets_of(blocks, y)


def _as_rows(name, array):
    """Return `array` with all leading axes joined, lazy if it was."""
    array = array if hasattr(array, "dtype") else as_real(name, array)
    check_unmasked(name, array)
    if getattr(array.dtype, "kind", "f") not in "fiub":  # tensors have other types
        raise TypeError(f"{name} must be real numbers, got values of {array.dtype}.")
    if len(array.shape) < 2 or 0 in array.shape:
        raise ValueError(
            f"{name} must have at least one row and one column, got shape {tuple(array.shape)}."
        )
    # Read scattered rows from a memory map; reading blocks of rows would read the whole file.
    return as_rows(array.memmap() if isinstance(array, ArrayFile) else array)
