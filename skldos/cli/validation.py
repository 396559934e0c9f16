"""Cross-validation with all temperatures in every fold."""

import numpy as np

from skldos.progress import is_watched, progress_bar


def folds_by_temperature(temperatures, n_folds):
    """Return the fold of every snapshot; each fold has all temperatures.

    Examples
    --------
    >>> folds_by_temperature([298, 298, 298, 298, 933, 933, 933, 933], 4).tolist()
    [0, 1, 2, 3, 0, 1, 2, 3]
    """
    folds = np.empty(len(temperatures), dtype=int)
    folds[np.argsort(temperatures, kind="stable")] = np.arange(len(temperatures))
    return folds % min(n_folds, len(temperatures))


def splits(snapshots, n_folds):
    """Return pairs of positions, training and test, one per fold."""
    from sklearn.model_selection import PredefinedSplit

    temperatures = [0.0 if s.temperature is None else s.temperature for s in snapshots]
    return list(PredefinedSplit(folds_by_temperature(temperatures, n_folds)).split())


def each_fold(snapshots, n_folds):
    """Iterate over the splits, with a progress bar on a terminal."""
    folds = splits(snapshots, n_folds)
    return progress_bar(folds, desc="cross-validation", unit="fold", shown=is_watched())


def cross_validated(model, snapshots, n_folds, pseudopotentials=None):
    """Return the table of :func:`skldos.evaluate`, with cross-validated predictions."""
    import pandas as pd
    from sklearn.base import clone

    from skldos import evaluate
    from skldos.prediction.unlabelled import predicts_on_grid

    # Models of free energies do not use pseudopotentials; models of atoms have no density.
    tables = []
    for training, test in each_fold(snapshots, n_folds):
        fitted = clone(model).fit(snapshots[training])
        options = {"pseudopotentials": pseudopotentials, "density": True}
        if not predicts_on_grid(fitted):
            options = {}
        tables.append(evaluate(fitted, snapshots[test], **options).set_index(test))
    return pd.concat(tables).sort_index()
