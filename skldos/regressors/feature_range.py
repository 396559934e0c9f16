"""The range of the features that a model was trained on, and a warning far outside of it."""

import warnings

import numpy as np

from skldos.data import LazyArray

#: How far a feature may lie outside its range, in units of the range's width. The two halves of the
#: snapshots of solid and liquid aluminium at hand lie outside each other's range by up to 0.8 (32
#: atoms) and 2.6 (4 atoms) of the widths of SOAP, an atom 1.7 Å from its neighbour by 3.3.
MARGIN = 3.0
#: Part of the rows that may lie outside. A grid point in the centre of an atom does not see this
#: atom, and differs from all points beside it.
FEW_ROWS = 1e-3
#: With fewer rows, the range is too random, and there is no warning.
MIN_ROWS = 100
#: Number of rows read from a block that is not in memory, in runs of consecutive rows.
SAMPLED_ROWS, N_RUNS = 4096, 4
#: Relative width of a constant feature: rounding in single precision.
ROUNDING = 1e-5


def feature_range(blocks):
    """Return the smallest and largest value of every column of training blocks, (2, n_features).

    None of fewer than :data:`MIN_ROWS` rows. For blocks that are not in memory, a few thousand rows
    are sampled: reading all of them may take hours.

    Examples
    --------
    >>> import numpy as np
    >>> feature_range([np.zeros((60, 2)), np.ones((60, 2))]).tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    if sum(block.shape[0] for block in blocks) < MIN_ROWS:
        return None
    ranges = [[rows.min(axis=0), rows.max(axis=0)] for b in blocks for rows in _sampled(b)]
    lows, highs = zip(*ranges, strict=True)
    return np.array([np.min(lows, axis=0), np.max(highs, axis=0)])


def _sampled(block):
    """Yield all rows of an array in memory, and runs of rows of any other."""
    n_rows = block.shape[0]
    if not isinstance(block, LazyArray) or n_rows <= SAMPLED_ROWS:
        if n_rows:
            yield np.asarray(block)
        return
    length = SAMPLED_ROWS // N_RUNS
    for start in np.linspace(0, n_rows - length, N_RUNS).astype(int):
        yield np.asarray(block[start : start + length])


def warn_outside(rows, limits):
    """Warn if features of rows lie far outside `limits`, the :func:`feature_range` of the training.

    That is, if in more than one of a thousand rows any feature lies outside by more than
    :data:`MARGIN` times the width of its range. The text is always the same, so that Python shows
    it once.
    """
    if limits is None or not len(rows):
        return
    low, high = limits
    margin = MARGIN * np.maximum(high - low, ROUNDING * np.maximum(np.abs(low), np.abs(high)))
    low, high = low - margin, high + margin
    if (rows.min(axis=0) >= low).all() and (rows.max(axis=0) <= high).all():
        return
    if ((rows < low) | (rows > high)).any(axis=1).mean() > FEW_ROWS:
        warnings.warn(
            "some features lie outside of their range in the training data (feature_range_) by "
            f"more than {MARGIN:g} times its width: predictions there are unreliable. Look for "
            "atoms that are too close, or train on such environments too.",
            UserWarning,
            stacklevel=2,
        )
