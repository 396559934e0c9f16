"""Checks of blocks and their targets, before training and for scores."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted, validate_data

from skldos.data import EnergyGrid, is_blocks
from skldos.data.calculation import common_calculation
from skldos.data.ranges import check_unmasked
from skldos.regressors.block_dataset import BlockDataset
from skldos.scoring.r2 import coefficient_of_determination
from skldos.validation import check_scalar


def validated_rows(estimator, X, *y, **options):
    """Return plain rows, and targets if they are given, as :func:`validate_data` does.

    It refuses what scikit-learn accepts or does not name: masked elements, generators, dates,
    sparse targets. The arrays are contiguous, as torch needs them.
    """
    for name, values in zip("Xy", (X, *y), strict=False):
        dtype = getattr(values, "dtype", None)
        kind = getattr(dtype, "kind", "f")
        if isinstance(values, Iterator) or kind in "mMV" or (name == "y" and issparse(values)):
            got = f"values of {dtype}" if kind in "mMV" else f"a {type(values).__name__}"
            raise TypeError(f"{name} must be an array of real numbers, got {got}.")
        check_unmasked(name, values)
    return validate_data(estimator, X, *y, order="C", **options)


def check_predicts_rows(name, regressor):
    """Raise a ``TypeError`` unless an argument is a regressor: an instance that has ``predict``."""
    if isinstance(regressor, type) or not hasattr(regressor, "predict"):
        raise TypeError(f"{name} must be a regressor, such as Ridge(), got {regressor!r}.")


def checked_dataset(X, y):
    """Return blocks and targets as a dataset, after checking numbers and shapes.

    Raise a ``ValueError`` if there are none, or they do not match in number, rows or columns.
    """
    if len(X) == 0:
        raise ValueError("X must hold at least one block, got none.")
    if len(y) != len(X):
        raise ValueError(f"X has {len(X)} blocks, but y has {len(y)}; they must match.")
    for i, target in enumerate(y):
        _check_target(f"y[{i}]", target)
    dataset = BlockDataset(X, y)
    n_features, n_outputs = dataset.inputs[0].shape[1], dataset.targets[0].shape[1]
    for i, (block, target) in enumerate(zip(dataset.inputs, dataset.targets, strict=True)):
        if block.shape[0] == 0:
            raise ValueError(f"X[{i}] has no rows; every block must have at least one.")
        if block.shape[0] != target.shape[0]:
            raise ValueError(
                f"X[{i}] has {block.shape[0]} sites, but y[{i}] has {target.shape[0]} rows: the "
                "LDOS needs a row per grid point (GridSNAPTransformer), the DOS of atoms a row "
                "per atom (AtomSOAPTransformer, and ADOSRegressor around the regressor)."
            )
        if block.shape[1] != n_features or target.shape[1] != n_outputs:
            raise ValueError(
                f"all blocks must have {n_features} features and {n_outputs} outputs as the "
                f"first has, got {block.shape[1]} and {target.shape[1]} in block {i}."
            )
    return dataset


def linked_snapshots(X, name):
    """Return the snapshots that blocks were made of; `name` is that of the regressor."""
    snapshots = getattr(X, "snapshots", None) if is_blocks(X) else None
    if snapshots is None:
        raise ValueError(
            f"{name} needs blocks that are linked to snapshots, got {type(X).__name__}: put a "
            "transformer such as AtomSNAPTransformer before it, in a pipeline."
        )
    return snapshots


def check_carried(regressor, snapshots):
    """Raise a ``ValueError`` unless blocks have snapshots, which carry targets where y is None."""
    if snapshots is None:
        raise ValueError(
            f"{type(regressor).__name__}.fit needs targets: pass y, or blocks that a transformer "
            "made of snapshots that carry them."
        )


def score_of_blocks(regressor, X, y):
    """Return the coefficient of determination of blocks, whose snapshots may carry the targets."""
    check_is_fitted(regressor)
    snapshots = getattr(X, "snapshots", None)
    common_calculation(snapshots, regressor.calculation_)
    if y is None and snapshots is None:
        raise ValueError(f"{type(regressor).__name__}.score needs targets y, got None.")
    true = checked_dataset(X, snapshots.targets if y is None else y).targets
    return coefficient_of_determination(zip(true, regressor.predict(X), strict=True))


def common_energies(snapshots, energies=None):
    """Return the energies that all `snapshots` have, and that `energies` are unless None.

    Raise a ``ValueError`` if two of them differ.
    """
    for snapshot in snapshots or ():
        if snapshot.energies is None:
            continue
        if energies is None:
            energies = snapshot.energies
        elif not np.array_equal(energies, snapshot.energies):
            raise ValueError(
                "all snapshots must have the same energies: "
                f"{EnergyGrid(energies)!r} and {snapshot.energy_grid!r} differ."
            )
    return energies


def common_broadening(snapshots, broadening=(None, None)):
    """Return width (eV) and kernel with which all LDOS were broadened; None where none says.

    Raise a ``ValueError`` if two of them differ.
    """
    for snapshot in snapshots or ():
        grid = snapshot.energy_grid
        if grid is None or grid.broadening is None:
            continue
        if broadening[0] is None:
            broadening = grid.broadening, grid.kernel
        elif broadening != (grid.broadening, grid.kernel):
            raise ValueError(
                "all snapshots must have the same broadening of the LDOS: "
                f"{broadening[1]} {broadening[0]:g} eV and {grid.kernel} {grid.broadening:g} eV "
                "differ."
            )
    return broadening


def checked_weights(sample_weight, n_samples):
    """Return the weights of snapshots (or of plain rows) as an array, None for None.

    Raise a ``ValueError`` if there are not as many as samples, one is negative or not finite, or
    all are zero.

    Examples
    --------
    >>> checked_weights([1, 2], 2)
    array([1., 2.])
    """
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight)
    check_unmasked("sample_weight", sample_weight)
    try:
        if weights.dtype.kind not in "fiubO":
            raise ValueError
        weights = weights.astype(float)
    except (TypeError, ValueError):
        raise ValueError(f"sample_weight must be real numbers, got {sample_weight!r}.") from None
    if weights.ndim == 0:
        weights = np.full(n_samples, weights)
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have one weight per sample, shape ({n_samples},), got shape "
            f"{weights.shape}."
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(
            "sample_weight must be finite, not negative and not all zero, got values from "
            f"{weights.min()} to {weights.max()}."
        )
    return weights


def checked_candidates(name, values, *, strict=True):
    """Return numbers to choose from as floats; all must be above zero, or at least not below."""
    if np.ndim(values) != 1 or len(values) == 0:
        raise ValueError(f"{name} must be a sequence of at least one number, got {values!r}.")
    return [check_scalar(name, value, low=0, strict=strict) for value in values]


def weights_for(sample_weight):
    """Return the weights as keyword arguments, none for None: regressors may not accept them."""
    return {} if sample_weight is None else {"sample_weight": sample_weight}


def _check_target(name, target):
    """Raise an error unless `target` has rows of numbers."""
    shape, dtype = getattr(target, "shape", None), getattr(target, "dtype", np.dtype(float))
    if target is None or (shape is not None and len(shape) < 2) or dtype.kind not in "fiu":
        got = type(target).__name__ if shape is None else f"shape {tuple(shape)} of {dtype}"
        raise ValueError(
            f"{name} must have shape (n_sites, n_outputs) or (n_x, n_y, n_z, n_outputs) and hold "
            f"numbers, got {got}."
        )
