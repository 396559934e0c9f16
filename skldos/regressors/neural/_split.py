"""Split samples into training and validation data."""

from numbers import Integral, Real

import numpy as np
import torch

from skldos.regressors.block_dataset import BlockDataset


class Split:
    """Training and validation data, split by snapshot (or by row of plain arrays)."""

    def __init__(self, dataset, train_split):
        training, validation = split_units(train_split, dataset)
        self.by_snapshot = isinstance(dataset, BlockDataset)
        if dataset.sample_weight is not None:
            counts = dataset.sample_weight > 0
            training = training[counts[training]]
            if len(training) == 0:
                raise ValueError("sample_weight is zero for all samples that are trained on.")
            if validation is not None:
                validation = validation[counts[validation]]
                validation = validation if len(validation) else None
        self.training = dataset.take(training)
        self.validation = None if validation is None else dataset.take(validation)


def split_units(train_split, dataset):
    """Return sorted indices for training and for validation; the latter may be None.

    `train_split` is None, a number of randomly drawn samples, a fraction of them (at least one),
    the indices of the validation samples, or a skorch splitter such as ``ValidSplit`` that returns
    two subsets. Raise a ``ValueError`` if one of the parts would be empty, or an index is out of
    range.

    Examples
    --------
    >>> split_units([2, 3], range(4))
    (array([0, 1]), array([2, 3]))
    """
    n_samples = len(dataset)
    if train_split is None:
        return np.arange(n_samples), None
    if callable(train_split):
        training, validation = train_split(dataset)
        if not (hasattr(training, "indices") and hasattr(validation, "indices")):
            raise ValueError(
                f"train_split={train_split!r} must return two subsets with indices, as ValidSplit "
                "does; pass the indices of the validation samples instead."
            )
        return np.asarray(training.indices), np.asarray(validation.indices)
    if isinstance(train_split, bool):
        raise ValueError(f"train_split must be a number, indices or callable, got {train_split}.")
    if isinstance(train_split, Real):
        number = train_split
        if not isinstance(train_split, Integral) and train_split > 0:
            number = max(1, round(train_split * n_samples))
        if not 0 < number < n_samples:
            raise ValueError(
                f"train_split={train_split} would leave no samples for training or for "
                f"validation: there are {n_samples} sample(s)."
            )
        validation = torch.randperm(n_samples, device="cpu")[:number].numpy()
    else:
        validation = np.arange(n_samples)[_check_indices(train_split, n_samples)]
    validation = np.unique(validation)
    training = np.setdiff1d(np.arange(n_samples), validation)
    if len(training) == 0 or len(validation) == 0:
        raise ValueError(
            f"train_split leaves {len(training)} sample(s) for training and {len(validation)} "
            "for validation; both must be at least one."
        )
    return training, validation


def _check_indices(indices, n_samples):
    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise ValueError(f"train_split must hold the indices of samples, got {indices!r}.")
    outside = indices[(indices < -n_samples) | (indices >= n_samples)]
    if outside.size:
        raise ValueError(
            f"train_split holds the index {outside[0]}, but there are {n_samples} samples."
        )
    return indices.astype(int, copy=False)
