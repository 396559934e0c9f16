"""A few rows of blocks that are never computed as a whole."""

import numpy as np
from sklearn.pipeline import Pipeline

#: Rows that are computed in vain rather than begin anew after them: finding the neighbours of
#: the first bispectrum takes as long as 50 to 200 more of them.
GAP = 64
#: Rows that are computed at once, at most.
AT_ONCE = 8192


def transformed(estimator, X):
    """Return what the transformers of `estimator` make of `X`, lazily where they can.

    Parameters
    ----------
    estimator : estimator
        A fitted transformer, a pipeline of such, or one that ends in a regressor, which is left
        out; or a search that found one. A regressor alone has none.
    X : sequence of Snapshot, or Blocks, or array-like of shape (n_rows, n_features)
        What the first of them takes.

    Returns
    -------
    Blocks or array-like
        What the last of them gives.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = (
        [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    )
    if not hasattr(steps[-1], "transform"):
        steps = steps[:-1]
    for step in steps:
        if step not in (None, "passthrough"):
            X = getattr(step, "transform_lazy", step.transform)(X)
    return X


def rows_at(block, indices):
    """Return rows of a block in double precision; of a lazy one, such that are close in one go."""
    if isinstance(block, np.ndarray):
        return np.asarray(block[indices], dtype=float)
    order = np.argsort(indices)
    ordered = indices[order]
    ends = np.flatnonzero((np.diff(ordered) > GAP) | (np.diff(ordered // AT_ONCE) > 0)) + 1
    runs = np.split(ordered, ends)
    rows = [np.asarray(block[int(r[0]) : int(r[-1]) + 1], dtype=float)[r - r[0]] for r in runs]
    return np.concatenate(rows)[np.argsort(order)]
