"""Predicted total and local densities of states, for any kind of sites."""

from functools import partial

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from skldos.data import Blocks, LazyArray, SnapshotList, as_rows, spooled, sum_rows
from skldos.docstrings import documented, entries_of
from skldos.exceptions import ScoringError
from skldos.prediction.pieces import iter_rows, iter_sums, n_workers
from skldos.prediction.pipelines import (
    check_predicts_states,
    lazy_inputs,
    regressor_of,
    snapshots_of,
)

#: Parameter texts that functions and scorers share; see :func:`skldos.docstrings.documented`.
OF_PREDICTIONS = entries_of("""
    n_jobs : int, optional
        Number of workers over snapshots and their rows; None means one, unless
        :func:`joblib.parallel_config` sets another number. Any joblib backend works: processes,
        threads, dask or ray. The results are bitwise identical. Only for pipelines that end in a
        regressor of skldos.
    sharpen : int or None, default=0
        Order to which the broadening of the LDOS is undone first, so that results can be compared
        with those of the calculation; see :func:`skldos.physics.sharpening_matrix`. 0 keeps the
        broadening. None means 2 for snapshots with a known broadening, as in the calculator, and 0
        for others.
""")


@documented(OF_PREDICTIONS)
def predict_dos(estimator, X, *, n_jobs=None):
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
    %(n_jobs)s

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
    snapshots, regressor = snapshots_of(X), regressor_of(estimator)
    if hasattr(regressor, "predict_lazy"):
        grids = []
        sums = iter_sums(_iter_lazy(estimator, X, snapshots, n_jobs, grids), n_jobs)
        return [_checked(total, *grids[i]) for i, total in enumerate(sums)]
    if hasattr(regressor, "predict_sum"):
        # One snapshot at a time, so that only its descriptors are in memory.
        X = X if isinstance(X, Blocks) else snapshots
        singles = (X[i : i + 1] for i in range(len(snapshots)))
        tasks = map(delayed(partial(_streamed_dos, estimator)), singles, snapshots)
        return list(Parallel(n_jobs=n_workers(n_jobs))(tasks))
    return [dos_of_block(block, s) for block, s in predicted_blocks(estimator, X)]


def _iter_lazy(estimator, X, snapshots, n_jobs, grids):
    """Yield the predicted rows of every snapshot, not yet computed.

    The number of rows and the snapshot, on the grid of the rows, are appended to `grids`.
    """
    for i, snapshot in enumerate(snapshots):
        rows, snapshot = lazy_rows(estimator, X, i, snapshot, n_jobs)
        grids.append((rows.shape[0], snapshot))
        yield rows


def lazy_rows(estimator, X, i, snapshot, n_jobs):
    """Return the predicted rows of one snapshot, not yet computed, and the snapshot."""
    if not isinstance(X, Blocks) and effective_n_jobs(n_workers(n_jobs)) > 1:
        # The LDOS to predict need not be sent to the workers.
        in_memory = snapshot.ldos is not None and not isinstance(snapshot.ldos, LazyArray)
        if in_memory:
            snapshot = snapshot.replace(ldos=None, grid_shape=snapshot.grid_shape)
    single = X[i : i + 1] if isinstance(X, Blocks) else SnapshotList([snapshot])
    inputs, snapshot = lazy_inputs(estimator, single, snapshot)
    (rows,) = regressor_of(estimator).predict_lazy(inputs)
    return rows, snapshot


def predicted_blocks(estimator, X):
    """Return pairs of a predicted block and its snapshot, from any estimator."""
    check_predicts_states(estimator)
    snapshots = snapshots_of(X)
    # A transformer with an inverse, but without predictions, decomposes fields of the snapshots.
    decomposes = hasattr(estimator, "inverse_transform") and not hasattr(estimator, "predict")
    predict = estimator.transform if decomposes else estimator.predict
    blocks = predict(X if isinstance(X, Blocks) else snapshots)
    snapshots = getattr(blocks, "snapshots", None) or snapshots
    if len(blocks) != len(snapshots):
        raise ScoringError(
            f"expected one predicted block per snapshot, {len(snapshots)}, got {len(blocks)}."
        )
    return list(zip(blocks, snapshots, strict=True))


def dos_of_block(block, snapshot):
    """Return the DOS in 1/eV of one block: the LDOS on the grid, or the DOS of every atom.

    Which it is shows in its number of rows.
    """
    return _checked(sum_rows(block), as_rows(block).shape[0], snapshot)


def iter_ldos(estimator, X, n_jobs=None):
    """Yield every snapshot with its predicted LDOS in 1/(eV Å³), one after the other.

    Where the estimator is a pipeline that ends in a regressor of skldos, descriptors exist slice by
    slice, and an LDOS too large for memory is kept in a temporary file. Do not write to an LDOS: it
    may be a memory map. Predictions that are not on the grid raise a ``ScoringError``.
    """
    for snapshot, rows in iter_rows_on_grid(estimator, X, n_jobs):
        buffer = spooled(rows, slices=iter_rows(rows, n_jobs))
        yield snapshot, buffer.reshape(*snapshot.grid_shape, -1)


def iter_rows_on_grid(estimator, X, n_jobs=None):
    """Yield every snapshot with the rows of its predicted LDOS, lazy ones if possible.

    Arguments and errors are those of :func:`iter_ldos`.
    """
    snapshots = snapshots_of(X)
    if not hasattr(regressor_of(estimator), "predict_lazy"):
        for block, snapshot in predicted_blocks(estimator, X):
            yield snapshot, as_rows(ldos_on_grid(block, snapshot))
        return
    for i, snapshot in enumerate(snapshots):
        rows, snapshot = lazy_rows(estimator, X, i, snapshot, n_jobs)
        check_on_grid(rows, snapshot)
        yield snapshot, rows


def ldos_on_grid(block, snapshot):
    """Return the rows of a block as an LDOS on the grid of its snapshot."""
    rows = as_rows(block)
    check_on_grid(rows, snapshot)
    if np.shape(block)[:-1] == snapshot.grid_shape:
        return block  # may be a file, larger than memory
    return spooled(rows).reshape(*snapshot.grid_shape, -1)


def check_on_grid(rows, snapshot):
    """Raise an error unless there is a row for every grid point of `snapshot`."""
    if snapshot.grid_shape is None or rows.shape[0] != snapshot.n_grid_points:
        raise ScoringError(
            f"densities and total energies need the LDOS at every grid point of {snapshot!r}, "
            f"got a block of {rows.shape[0]} rows; use a model of grid points, such as "
            "skldos.models.grid()."
        )


def _streamed_dos(estimator, X, snapshot):
    X, snapshot = lazy_inputs(estimator, X, snapshot)
    return _checked(regressor_of(estimator).predict_sum(X)[0], X[0].shape[0], snapshot)


def _checked(total, n_sites, snapshot):
    """Return a sum over `n_sites` sites as DOS.

    The number of sites shows their kind: a grid has many more points than there are atoms.
    """
    return check_dos(total, snapshot) * site_volume(n_sites, snapshot)


def site_volume(n_sites, snapshot):
    """Return the factor that turns a sum over the sites into a DOS in 1/eV, 1 for atoms."""
    if snapshot.grid_shape is not None and n_sites == snapshot.n_grid_points:
        return snapshot.voxel_volume
    if n_sites == len(snapshot.atoms):
        return 1.0
    raise ScoringError(
        f"expected a block with one row per grid point or per atom of {snapshot!r}, got "
        f"{n_sites} rows."
    )


def check_dos(dos, snapshot):
    """Return a sum over an LDOS, after checking for NaN."""
    if not np.isfinite(dos).all():
        raise ScoringError(f"the (predicted) LDOS of {snapshot!r} holds NaN or infinite values.")
    return dos
