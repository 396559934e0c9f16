"""Predicted LDOS of whole grids, in memory or straight to disk."""

import os
from pathlib import Path

import numpy as np

from skldos.data import ArrayFile
from skldos.data.array_file import write_array_file
from skldos.data.lazy import fill
from skldos.docstrings import documented
from skldos.exceptions import ScoringError
from skldos.prediction.dos import OF_PREDICTIONS, check_on_grid, iter_ldos, lazy_rows
from skldos.prediction.pieces import iter_rows
from skldos.prediction.pipelines import regressor_of, snapshots_of

#: Size of a chunk of a zarr array in bytes, before compression.
CHUNK_BYTES = 2**24


@documented(OF_PREDICTIONS)
def predict_ldos(estimator, X, *, out=None, n_jobs=None):
    """Predict the LDOS of every snapshot on its grid.

    Parameters
    ----------
    estimator : estimator
        Fitted; predicts the LDOS on grids.
    X : sequence of Snapshot, or Blocks
        The snapshots, or blocks made of them, if the estimator takes blocks.
    out : list of path-like or array, optional
        Where the LDOS of each snapshot goes, one entry per snapshot: the path of a new file that
        ends in ``.npy`` or ``.zarr``, or any array that is written to by slices of its first axis,
        such as one of zarr or h5py. An LDOS larger than memory needs it. None returns arrays.
    %(n_jobs)s

    Returns
    -------
    list of ndarray, ArrayFile or array of shape (n_x, n_y, n_z, n_energies)
        In 1/(eV Å³); handles of the files, or the arrays that were given. Without `out`, arrays
        above 1 GiB are memory maps of temporary files.

    Raises
    ------
    ScoringError
        If the predictions are not on the grid, or an estimator that is not one of skldos is to
        predict to `out`.
    ValueError
        If `out` has another number of entries than `X`, an ending that is not known, or an array
        of another shape.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, predict_ldos
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(2, random_state=0)
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2), RowWise(StandardScaler()), LDOSRegressor(max_epochs=1)
    ... ).fit(snapshots)
    >>> predict_ldos(model, snapshots)[0].shape
    (6, 6, 6, 21)
    """
    if out is None:
        return [ldos for _, ldos in iter_ldos(estimator, X, n_jobs)]
    snapshots = snapshots_of(X)
    _check_out(out, len(snapshots))
    if not hasattr(regressor_of(estimator), "predict_lazy"):
        raise ScoringError(
            "out needs a pipeline that ends in a regressor of skldos, which predicts slice by "
            f"slice; got {regressor_of(estimator)!r}."
        )
    fields = []
    for i, snapshot in enumerate(snapshots):
        rows, snapshot = lazy_rows(estimator, X, i, snapshot, n_jobs)
        check_on_grid(rows, snapshot)
        shape = (*snapshot.grid_shape, rows.shape[1])
        fields.append(_write(f"out[{i}]", out[i], shape, rows, n_jobs))
    return fields


def _check_out(out, n_snapshots):
    if isinstance(out, (str, os.PathLike)):
        raise TypeError(f"out must be a list of paths or arrays, one per snapshot, got {out!r}.")
    if len(out) != n_snapshots:
        raise ValueError(
            f"out must have one path or array per snapshot, {n_snapshots}, got {len(out)}."
        )
    for path in out:
        if isinstance(path, (str, os.PathLike)) and Path(path).suffix not in (".npy", ".zarr"):
            raise ValueError(f"a path in out must end in .npy or .zarr, got {str(path)!r}.")


def _write(name, out, shape, rows, n_jobs):
    """Write predicted rows to a file or an array, and return it."""
    is_path = isinstance(out, (str, os.PathLike))
    if not is_path and tuple(np.shape(out)) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(np.shape(out))}.")
    slabs = _slabs(iter_rows(rows, n_jobs), shape)
    if is_path and Path(out).suffix == ".npy":
        write_array_file(out, shape, rows.dtype, slabs)
        return ArrayFile(out)
    array = _new_zarr(out, shape, rows.dtype) if is_path else out
    fill(array, slabs)
    return array


def _new_zarr(path, shape, dtype):
    import zarr

    slab_bytes = int(np.prod(shape[1:])) * dtype.itemsize
    thickness = min(shape[0], max(1, CHUNK_BYTES // slab_bytes))
    chunks = (thickness, *shape[1:])
    return zarr.create_array(store=str(path), shape=shape, dtype=dtype, chunks=chunks)


def _slabs(slices, shape):
    """Yield whole slabs of the first axis of a grid from consecutive rows."""
    per_slab, buffer, n_rows = shape[1] * shape[2], [], 0
    for rows in slices:
        buffer.append(rows)
        n_rows += len(rows)
        end = n_rows - n_rows % per_slab
        if end:
            joined = np.concatenate(buffer)
            yield joined[:end].reshape(-1, *shape[1:])
            buffer, n_rows = [joined[end:]], n_rows - end
