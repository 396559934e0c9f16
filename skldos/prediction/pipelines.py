"""The parts of a fitted pipeline, and the input of its last step."""

from os import PathLike

import numpy as np
from sklearn.pipeline import Pipeline

from skldos.data import Blocks, EnergyGrid, as_snapshots
from skldos.data.calculation import differing_fact
from skldos.exceptions import ScoringError


def snapshots_of(X):
    """Return the snapshots that `X` consists of, or that its blocks were made of."""
    if not isinstance(X, Blocks):
        return as_snapshots(X)
    if X.snapshots is None:
        raise ScoringError("the blocks of X are not linked to snapshots; pass the snapshots.")
    return X.snapshots


def targets_of(snapshots, y):
    """Return the targets `y`, or None for each of the snapshots."""
    targets = [None] * len(snapshots) if y is None else list(y)
    if len(targets) != len(snapshots):
        raise ScoringError(f"X has {len(snapshots)} snapshots, but y has {len(targets)} targets.")
    return targets


def regressor_of(estimator):
    """Return the last step of a pipeline or best pipeline of a search, or the estimator itself."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def steps_of(estimator):
    """Return the steps of a pipeline, or of the best one of a search, that are not passthrough.

    Any other estimator is the only step.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = [s for _, s in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    return [step for step in steps if step not in (None, "passthrough")]


def transform_lazily(steps, X):
    """Return `X` transformed by some steps, lazily where they can do that."""
    for step in steps:
        X = getattr(step, "transform_lazy", step.transform)(X)
    return X


def check_predicts(estimator):
    """Raise a ``TypeError`` unless `estimator` can predict."""
    if isinstance(estimator, (str, PathLike)):
        raise TypeError(f"expected a fitted model, got {str(estimator)!r}: load it by skldos.load.")
    # A transformer with an inverse decomposes fields of the snapshots.
    if not any(hasattr(estimator, name) for name in ("predict", "inverse_transform")):
        raise TypeError(
            "expected a model that ends in a regressor, such as ADOSRegressor or LDOSRegressor, "
            f"got one that ends in {type(regressor_of(estimator)).__name__}."
        )


def predicts_free_energies(estimator):
    """Return whether an estimator is a model of free energies, as sums over the atoms."""
    return hasattr(regressor_of(estimator), "predict_atoms")


def check_predicts_states(estimator):
    """Raise an error if a model of free energies is used to predict electronic states."""
    check_predicts(estimator)
    if predicts_free_energies(estimator):
        raise ScoringError(
            "a FreeEnergyRegressor predicts free energies without densities of states; use a model "
            "of these, such as skldos.models.atoms()."
        )


def calculation_of(estimator):
    """Return the stored properties of a fitted model's training data, or an empty dict."""
    return getattr(regressor_of(estimator), "calculation_", None) or {}


def check_calculations(estimator, snapshots):
    """Raise an error unless the snapshots were calculated like the training data of a model."""
    calculation = calculation_of(estimator)
    for snapshot in snapshots:
        name = differing_fact(snapshot.reference, calculation)
        if name is not None:
            raise ScoringError(
                f"the model was trained on calculations with the {name} {calculation[name]!r}, but "
                f"{snapshot!r} was made with {snapshot.reference[name]!r}."
            )


def lazy_inputs(estimator, X, snapshot):
    """Return the input of the last step of a pipeline for one snapshot, and the snapshot.

    Descriptors are computed when they are read, where the transformers can do that. The
    transformer may have named the grid; the snapshot that comes back has it.
    """
    energies, own_energies = getattr(regressor_of(estimator), "energies_", None), snapshot.energies
    comparable = energies is not None and own_energies is not None
    if comparable and not np.array_equal(energies, own_energies):
        raise ScoringError(
            f"the model predicts the LDOS at {EnergyGrid(energies)!r}, but {snapshot!r} has "
            f"{snapshot.energy_grid!r}."
        )
    X = transform_lazily(steps_of(estimator)[:-1], X)
    snapshots = getattr(X, "snapshots", None)
    return X, snapshot if snapshots is None else snapshots[0]
