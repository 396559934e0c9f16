"""Densities of states of predictions and targets, whatever sites they are given on."""

import numpy as np
from sklearn.pipeline import Pipeline

from skldos.data import Blocks, EnergyGrid, as_rows, as_snapshots, sum_rows
from skldos.exceptions import ScoringError


def predict_dos(estimator, X):
    """Predict the density of states of every snapshot without keeping its LDOS.

    Where the estimator is a pipeline that ends in a regressor of skldos, descriptors and
    predictions pass through slice by slice; from any other, predictions are summed up.

    Parameters
    ----------
    estimator : estimator
        Fitted; predicts one block per snapshot, of the LDOS on its grid or of the DOS of
        every atom; or an ADOSDecomposer, whose parts add up to the true DOS but for rounding.
    X : sequence of Snapshot or ase.Atoms, or Blocks
        The snapshots; or blocks that a transformer made of them, where the estimator takes
        blocks.

    Returns
    -------
    list of ndarray of shape (n_energies,)
        Densities of states in 1/eV.

    Raises
    ------
    ScoringError
        If a block has neither a row per grid point nor a row per atom.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, predict_dos
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(2, random_state=0)
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2), RowWise(StandardScaler()), LDOSRegressor(max_epochs=1)
    ... ).fit(snapshots)
    >>> predict_dos(model, snapshots)[0].shape
    (21,)
    """
    snapshots = snapshots_of(X)
    if hasattr(regressor_of(estimator), "predict_sum"):
        # One snapshot at a time: descriptors of the others need not exist yet.
        X = X if isinstance(X, Blocks) else snapshots
        return [_streamed_dos(estimator, X[i : i + 1], s) for i, s in enumerate(snapshots)]
    return [dos_of_block(block, s) for block, s in predicted_blocks(estimator, X)]


def predicted_blocks(estimator, X):
    """Return pairs of a predicted block and its snapshot, from any estimator."""
    snapshots = snapshots_of(X)
    # What can be undone without a prediction is a decomposition of what the snapshots hold.
    parts = hasattr(estimator, "inverse_transform") and not hasattr(estimator, "predict")
    predict = estimator.transform if parts else estimator.predict
    blocks = predict(X if isinstance(X, Blocks) else snapshots)
    snapshots = getattr(blocks, "snapshots", None) or snapshots
    if len(blocks) != len(snapshots):
        raise ScoringError(
            f"expected one predicted block per snapshot, {len(snapshots)}, got {len(blocks)}."
        )
    return list(zip(blocks, snapshots, strict=True))


def snapshots_of(X):
    """Return the snapshots that `X` consists of, or that its blocks were made of."""
    if not isinstance(X, Blocks):
        return as_snapshots(X)
    if X.snapshots is None:
        raise ScoringError("X are blocks that do not know their snapshots; pass the snapshots.")
    return X.snapshots


def dos_of_block(block, snapshot):
    """Return the DOS in 1/eV of one block: the LDOS on the grid, or the DOS of every atom.

    Which it is shows in its number of rows.
    """
    return _checked(sum_rows(block), as_rows(block).shape[0], snapshot)


def regressor_of(estimator):
    """Return the last step of a pipeline, or the estimator itself, out of a search if it is one."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def lazy_inputs(estimator, X, snapshot):
    """Return what the last step of a pipeline is given for one snapshot, and the snapshot.

    Descriptors are computed when they are read, where the transformers can do that. The
    transformer may have named the grid; the snapshot that comes back has it.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    energies, wanted = getattr(regressor_of(estimator), "energies_", None), snapshot.energies
    known = energies is not None and wanted is not None
    if known and not np.array_equal(energies, wanted):
        raise ScoringError(
            f"the model predicts the LDOS at {EnergyGrid(energies)!r}, but {snapshot!r} has "
            f"{snapshot.energy_grid!r}."
        )
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            if step not in (None, "passthrough"):
                X = getattr(step, "transform_lazy", step.transform)(X)
    made_of = getattr(X, "snapshots", None)
    return X, snapshot if made_of is None else made_of[0]


def _streamed_dos(estimator, X, snapshot):
    X, snapshot = lazy_inputs(estimator, X, snapshot)
    return _checked(regressor_of(estimator).predict_sum(X)[0], X[0].shape[0], snapshot)


def _checked(total, n_sites, snapshot):
    """Return a sum over `n_sites` sites as DOS.

    What the sites are shows in their number; a grid has many more points than there are atoms.
    """
    if not np.isfinite(total).all():
        raise ScoringError(f"the (predicted) LDOS of {snapshot!r} holds NaN or infinite values.")
    if snapshot.grid_shape is not None and n_sites == snapshot.n_grid_points:
        return total * snapshot.voxel_volume
    if n_sites == len(snapshot.atoms):
        return total
    raise ScoringError(
        f"expected a block with one row per grid point or per atom of {snapshot!r}, got "
        f"{n_sites} rows."
    )
