"""Compute single rows of blocks, without computing whole blocks."""

import numpy as np

from skldos.prediction.pipelines import steps_of, transform_lazily

#: Largest gap of unneeded rows that are computed rather than skipped: the neighbour search for the
#: first bispectrum takes as long as 50 to 200 more of them.
MAX_GAP = 64
#: Largest number of rows computed at once.
AT_ONCE = 8192


def transformed(estimator, X):
    """Return `X` transformed by the transformers of `estimator`, lazily if possible.

    The estimator is a fitted transformer, a pipeline of transformers or one that ends in a
    regressor, which is left out; or a fitted search of these. A regressor alone has no
    transformers. `X` is the input of the first one.
    """
    steps = steps_of(estimator)
    return transform_lazily(steps if hasattr(steps[-1], "transform") else steps[:-1], X)


def rows_at(block, indices):
    """Return rows of a block in double precision; nearby lazy rows are computed together."""
    if isinstance(block, np.ndarray):
        return np.asarray(block[indices], dtype=float)
    order = np.argsort(indices)
    ordered = indices[order]
    ends = np.flatnonzero((np.diff(ordered) > MAX_GAP) | (np.diff(ordered // AT_ONCE) > 0)) + 1
    runs = np.split(ordered, ends)
    rows = [np.asarray(block[int(r[0]) : int(r[-1]) + 1], dtype=float)[r - r[0]] for r in runs]
    return np.concatenate(rows)[np.argsort(order)]
