"""Streams of training batches out of blocks that may be larger than memory."""

import numpy as np
import torch

from skldos.data import LazyArray, as_rows

#: Rows collected in one call when they are drawn in random order; should stay in the cache.
GATHER_BYTES = 2**19


class BlockDataset(torch.utils.data.Dataset):
    """Pairs of blocks (inputs, targets); its length is the number of blocks, not of rows.

    Whoever splits a dataset into training and validation parts by index thus splits it by
    snapshot, as must be: neighbouring grid points of one snapshot are no independent samples.

    Parameters
    ----------
    inputs : sequence of array-like of shape (n_sites, n_features)
        Input blocks.
    targets : sequence of array-like of shape (n_sites, ...), optional
        Target blocks; leading axes (a grid) are joined.
    """

    def __init__(self, inputs, targets=None):
        self.inputs = [as_rows(_as_array(block)) for block in inputs]
        self.targets = None if targets is None else [as_rows(_as_array(block)) for block in targets]

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        return self.inputs[i], None if self.targets is None else self.targets[i]

    def take(self, indices):
        """Return the dataset of the blocks at `indices`."""
        targets = None if self.targets is None else [self.targets[i] for i in indices]
        return BlockDataset([self.inputs[i] for i in indices], targets)

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
    """Rows of two plain arrays; the unit of a split is a row."""

    def __init__(self, inputs, targets):
        self.inputs = inputs
        self.targets = targets

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        return self.inputs[i], self.targets[i]

    def take(self, indices):
        """Return a dataset with one block: the rows at `indices`."""
        return BlockDataset([self.inputs[indices]], [self.targets[indices]])


class RowBatches:
    """Batches of rows as pairs of float32 tensors, drawn across all blocks of a dataset.

    Everything that fits into the buffer is loaded once and shuffled as a whole each epoch.
    What does not fit streams through it: the blocks are cut into pieces of consecutive rows,
    the pieces are drawn in random order, and the buffer mixes as many of them as it holds.

    Parameters
    ----------
    dataset : BlockDataset
        Inputs and targets.
    batch_size : int
        Rows per batch; only the last batch of an epoch may be smaller.
    shuffle : bool
        Whether to draw the rows in random order, by torch's own random state.
    buffer_bytes : int
        Memory for rows that are drawn from.
    device : str or torch.device
        Where the batches go.
    scaling : TargetScaling
        Normalisation of the targets.
    """

    #: Pieces that are mixed in a full buffer: more shuffle better, fewer read faster.
    pieces_per_buffer = 16

    def __init__(self, dataset, batch_size, *, shuffle, buffer_bytes, device, scaling):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.device = device
        self.scaling = scaling
        rows = max(self.pieces_per_buffer, buffer_bytes // dataset.row_bytes)
        self._fits = dataset.n_rows <= rows
        self._pieces_per_filling = self.pieces_per_buffer
        if self._fits:
            self._piece_rows = rows
        elif shuffle:
            self._piece_rows = max(1, rows // self.pieces_per_buffer)
        else:
            # In order, there is nothing to mix.
            self._piece_rows, self._pieces_per_filling = batch_size, 1
        self._loaded = None

    def __len__(self):
        return -(-self.dataset.n_rows // self.batch_size)

    def __iter__(self):
        rest = None
        for pieces in self._fillings():
            inputs, targets = self._fill(pieces, rest)
            n_rows = len(inputs)
            order = torch.randperm(n_rows, device=self.device) if self.shuffle else None
            end = n_rows - n_rows % self.batch_size
            step = self._batches_per_gather() * self.batch_size
            for start in range(0, end, step):
                rows = slice(start, min(start + step, end))
                rows = rows if order is None else order[rows]
                yield from zip(
                    inputs[rows].split(self.batch_size),
                    targets[rows].split(self.batch_size),
                    strict=True,
                )
            # What does not fill a batch waits for the next buffer.
            rows = slice(end, n_rows) if order is None else order[end:]
            rest = (inputs[rows].clone(), targets[rows].clone()) if end < n_rows else None
            del inputs, targets  # lest two buffers exist at a time
        if rest is not None:
            yield rest

    def _batches_per_gather(self):
        """How many batches are collected at once: small ones are dominated by the call."""
        return max(1, GATHER_BYTES // (self.batch_size * self.dataset.row_bytes))

    def _fillings(self):
        """Yield the pieces that are in the buffer together, one filling after the other."""
        pieces = self._pieces()
        if self._fits:
            yield pieces
            return
        if self.shuffle:
            pieces = [pieces[i] for i in torch.randperm(len(pieces))]
        for first in range(0, len(pieces), self._pieces_per_filling):
            yield pieces[first : first + self._pieces_per_filling]

    def _fill(self, pieces, rest):
        """Return the buffer, filled with what is left of the last filling and with `pieces`."""
        if self._loaded is not None:
            return self._loaded
        inputs = _gather("X", self.dataset.inputs, pieces, rest and rest[0])
        targets = _gather("y", self.dataset.targets, pieces, rest and rest[1], self.scaling)
        buffer = inputs.to(self.device), targets.to(self.device)
        if self._fits:
            self._loaded = buffer
        return buffer

    def _pieces(self):
        """Cut every block into pieces: (block, first row, last row + 1)."""
        return [
            (i, start, min(start + self._piece_rows, block.shape[0]))
            for i, block in enumerate(self.dataset.inputs)
            for start in range(0, block.shape[0], self._piece_rows)
        ]


def _as_array(block):
    """Return a block as something to slice; DataFrames come from ``set_output("pandas")``."""
    return block if isinstance(block, LazyArray) else np.asarray(block)


def _gather(name, blocks, pieces, rest=None, scaling=None):
    """Join `rest` and pieces of blocks into one float32 tensor, one piece at a time."""
    n_rest = 0 if rest is None else len(rest)
    n_rows = n_rest + sum(stop - start for _, start, stop in pieces)
    gathered = torch.empty((n_rows, blocks[0].shape[1]), dtype=torch.float32)
    if rest is not None:
        gathered[:n_rest] = rest
    first = n_rest
    for i, start, stop in pieces:
        rows = gathered[first : first + stop - start].numpy()
        rows[:] = blocks[i][start:stop]
        if not np.isfinite(rows).all():
            raise ValueError(
                f"{name} holds NaN or infinite values, or such that float32 cannot hold."
            )
        if scaling is not None:
            scaling.normalise(rows)
        first += stop - start
    return gathered
