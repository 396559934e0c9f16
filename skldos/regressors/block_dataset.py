"""Blocks, or plain rows, and their targets as datasets whose samples can be split."""

import numpy as np
import torch
from scipy.sparse import issparse

from skldos.data import Blocks, LazyArray, as_rows
from skldos.data.ranges import check_unmasked


class BlockDataset(torch.utils.data.Dataset):
    """Pairs of blocks (inputs, targets); its length is the number of blocks, not of rows.

    Splitting the dataset by index therefore splits it by snapshot. This is necessary because
    neighbouring grid points of a snapshot are not independent samples.

    Parameters
    ----------
    inputs : sequence of array-like of shape (n_sites, n_features)
        Input blocks.
    targets : sequence of array-like of shape (n_sites, ...), optional
        Target blocks; leading axes (a grid) are joined.
    """

    # The snapshots of the blocks, if known, and one weight per snapshot.
    snapshots = sample_weight = None
    # One array of weights per block, with one weight per row.
    weights = None

    def __init__(self, inputs, targets=None):
        self.inputs = [as_rows(as_block(f"X[{i}]", block)) for i, block in enumerate(inputs)]
        self.targets = None
        if targets is not None:
            self.targets = [as_rows(as_block(f"y[{i}]", block)) for i, block in enumerate(targets)]

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        return self.inputs[i], None if self.targets is None else self.targets[i]

    def take(self, indices):
        """Return the dataset of the blocks at `indices`."""
        targets = None if self.targets is None else [self.targets[i] for i in indices]
        dataset = BlockDataset([self.inputs[i] for i in indices], targets)
        if self.snapshots is not None:
            dataset.snapshots = self.snapshots[np.asarray(indices)]
        if self.weights is not None:
            dataset.weights = [self.weights[i] for i in indices]
        elif self.sample_weight is not None:
            sizes = [block.shape[0] for block in dataset.inputs]
            dataset.weights = [
                np.full(n, w) for n, w in zip(sizes, self.sample_weight[indices], strict=True)
            ]
        return dataset

    @property
    def blocks(self):
        """The inputs for a regressor, with their targets attached."""
        blocks = Blocks(self.inputs, self.snapshots)
        blocks.targets = self.targets
        return blocks

    @property
    def n_rows(self):
        """Number of rows of all blocks together."""
        return sum(block.shape[0] for block in self.inputs)

    @property
    def row_bytes(self):
        """Size of a row of inputs and targets in single precision."""
        columns = self.inputs[0].shape[1]
        columns += 0 if self.targets is None else self.targets[0].shape[1]
        return 4 * columns


class RowDataset(torch.utils.data.Dataset):
    """Rows of two plain arrays; the unit of a split is a row.

    Parameters
    ----------
    inputs : ndarray of shape (n_rows, n_features)
        Input rows.
    targets : ndarray of shape (n_rows, n_outputs)
        Target rows.
    """

    sample_weight = None

    def __init__(self, inputs, targets):
        self.inputs = inputs
        self.targets = targets

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        return self.inputs[i], self.targets[i]

    def take(self, indices):
        """Return a dataset with one block: the rows at `indices`."""
        dataset = BlockDataset([self.inputs[indices]], [self.targets[indices]])
        if self.sample_weight is not None:
            dataset.weights = [self.sample_weight[indices]]
        return dataset


def as_block(name, block):
    """Return a block that can be sliced; DataFrames come from ``set_output("pandas")``.

    Raise a ``ValueError`` if it is not a table of real numbers.
    """
    if not isinstance(block, LazyArray):
        check_unmasked(name, block)
        kind, block = type(block).__name__, np.asarray(block)
        if block.dtype.kind not in "fiub" or block.ndim < 2:
            got = f"a {kind}" if block.ndim == 0 else f"shape {block.shape} of {block.dtype}"
            raise ValueError(f"{name} must have a row per site and hold real numbers, got {got}.")
    if block.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one column, got shape {tuple(block.shape)}.")
    return block


def is_container(X):
    """Return whether X holds arrays in another form that skorch accepts."""
    is_dict = isinstance(X, dict) and not issparse(X)  # one kind of sparse matrix is a dict
    return is_dict or isinstance(X, torch.utils.data.Dataset)
