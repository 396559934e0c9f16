"""A few rows of blocks that are never computed as a whole."""

import numpy as np
from sklearn.pipeline import Pipeline


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
    """Return rows of a block in double precision, computing or reading no others."""
    if isinstance(block, np.ndarray):
        return np.asarray(block[indices], dtype=float)
    return np.stack([np.asarray(block[int(i)], dtype=float) for i in indices])
