"""Streams of training batches from blocks that may be larger than memory."""

import numpy as np
import torch

from skldos.regressors.team import SINGLE_PROCESS

#: Rows collected in one call in random order; few enough for the cache.
GATHER_BYTES = 2**19


class Batch(tuple):
    """A pair of inputs and targets; `weights` has one weight per row, or is None.

    If several processes share a batch, these are the rows of this process out of `n_shared`.
    """

    weights = n_shared = None

    def __new__(cls, inputs, targets, weights=None):
        self = super().__new__(cls, (inputs, targets))
        self.weights = weights
        return self


class RowBatches:
    """Batches of rows as pairs of float32 tensors, drawn across all blocks of a dataset.

    If all rows fit into the buffer, they are loaded once and shuffled as a whole each epoch.
    Otherwise they stream through it: blocks are cut into pieces of consecutive rows, the pieces are
    drawn in random order, and the buffer mixes as many as it can hold.

    Parameters
    ----------
    dataset : BlockDataset
        Inputs and targets.
    batch_size : int
        Rows per batch; only the last batch of an epoch may be smaller.
    shuffle : bool
        Whether to draw the rows in random order, with torch's random state.
    buffer_bytes : int
        Memory of the shuffling buffer in bytes.
    device : str or torch.device
        Device of the batches.
    scaling : TargetScaling
        Normalisation of the targets.
    team : Team
        Processes that share the rows. Each process reads only its own pieces. With shuffling, the
        batches are those that a single process would draw, and every process gets its rows of them;
        the buffer size is that of all processes together.
    """

    #: Number of pieces mixed in a full buffer: more pieces shuffle better, fewer are read faster.
    pieces_per_buffer = 16

    def __init__(
        self, dataset, batch_size, *, shuffle, buffer_bytes, device, scaling, team=SINGLE_PROCESS
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.device = device
        self.scaling = scaling
        self.team = team
        rows = max(self.pieces_per_buffer, buffer_bytes // dataset.row_bytes)
        self._fits = dataset.n_rows <= rows
        self._pieces_per_filling = self.pieces_per_buffer
        if self._fits:
            # A single process reads whole blocks; several read equal numbers of small pieces.
            shares = 1 if team.size == 1 else self.pieces_per_buffer * team.size
            self._piece_rows = -(-dataset.n_rows // shares)
        elif shuffle:
            self._piece_rows = max(1, rows // self.pieces_per_buffer)
        else:
            # Without shuffling, pieces are not mixed.
            self._piece_rows, self._pieces_per_filling = batch_size, 1
        self._loaded = None
        if dataset.weights is not None:
            # Normalised to a mean of one over all rows, so that equal weights do not change any
            # bit.
            mean = sum(w.sum() for w in dataset.weights) / dataset.n_rows
            self._weights = [(w / mean)[:, None] for w in dataset.weights]

    def __len__(self):
        return -(-self.dataset.n_rows // self.batch_size)

    def __iter__(self):
        if self.shuffle and self.team.size > 1:
            yield from self._shared_batches()
            return
        rest = None
        for pieces in self._fillings():
            buffer = self._fill(pieces, rest)
            n_rows = len(buffer[0])
            order = torch.randperm(n_rows, device=self.device) if self.shuffle else None
            end = n_rows - n_rows % self.batch_size
            # Several batches at once: for small ones the call dominates.
            n_batches = max(1, GATHER_BYTES // (self.batch_size * self.dataset.row_bytes))
            step = n_batches * self.batch_size
            for start in range(0, end, step):
                rows = slice(start, min(start + step, end))
                yield from self._split(buffer, rows if order is None else order[rows])
            # Rows that do not fill a batch wait for the next buffer.
            rows = slice(end, n_rows) if order is None else order[end:]
            rest = [tensor[rows].clone() for tensor in buffer] if end < n_rows else None
            del buffer  # so that only one buffer exists at a time
        if rest is not None:
            yield Batch(*rest)

    def _split(self, buffer, rows):
        """Yield batches of some rows, which are collected at once.

        After the last one, the memory is free and still in the cache: the next rows get it, unless
        a batch is kept.
        """
        selected = [_select(tensor, rows) for tensor in buffer]
        if len(selected[0]) == self.batch_size:
            yield Batch(*selected)
            return
        for batch in zip(*(rows.split(self.batch_size) for rows in selected), strict=True):
            yield Batch(*batch)

    def _shared_batches(self):
        """Yield this process's rows of every batch."""
        rest, rest_places = None, torch.empty(0, dtype=torch.int64, device="cpu")
        for pieces in self._fillings():
            buffer = self._fill(pieces[self.team.rank :: self.team.size], rest)
            places = self._places(pieces, rest_places)
            order = self.team.permutation(len(places))
            end = len(places) - len(places) % self.batch_size
            for start in range(0, end, self.batch_size):
                yield self._share(buffer, places[order[start : start + self.batch_size]])
            rest_places = places[order[end:]]
            local = rest_places >= 0
            rows = rest_places[local].to(self.device)
            rest = [tensor[rows].clone() for tensor in buffer]
            rest_places[local] = torch.arange(len(rows))
            del buffer  # so that only one buffer exists at a time
        if len(rest_places) > 0:
            yield self._share(rest, rest_places)

    def _places(self, pieces, rest_places):
        """Return the position of every row in this process's buffer, -1 if it is not there."""
        n_rest = int((rest_places >= 0).sum())
        sizes = [stop - start for _, start, stop in pieces]
        owners = torch.repeat_interleave(
            torch.arange(len(pieces)) % self.team.size, torch.tensor(sizes)
        )
        places = torch.full((sum(sizes),), -1)
        local = owners == self.team.rank
        places[local] = n_rest + torch.arange(int(local.sum()))
        return torch.cat([rest_places, places])

    def _share(self, buffer, places):
        """Return this process's rows of one batch."""
        rows = places[places >= 0].to(self.device)
        batch = Batch(*(_select(tensor, rows) for tensor in buffer))
        batch.n_shared = len(places)
        return batch

    def _fillings(self):
        """Yield the lists of pieces that fill the buffer, one after the other."""
        pieces = self._pieces()
        if not self.shuffle:
            # Without shuffling, each process reads its own pieces in order.
            pieces = pieces[self.team.rank :: self.team.size]
            if not pieces:
                return
        if self._fits:
            yield pieces
            return
        if self.shuffle:
            pieces = [pieces[i] for i in self.team.permutation(len(pieces))]
        for first in range(0, len(pieces), self._pieces_per_filling):
            yield pieces[first : first + self._pieces_per_filling]

    def _fill(self, pieces, rest):
        """Return the buffer, filled with the remaining rows of the last one and with `pieces`.

        Inputs, targets and weights are columns of one table: rows in random order are read faster
        if they lie side by side.
        """
        if self._loaded is not None:
            return self._loaded
        columns = [("X", self.dataset.inputs, None), ("y", self.dataset.targets, self.scaling)]
        if self.dataset.weights is not None:
            columns.append(("sample_weight", self._weights, None))
        widths = [blocks[0].shape[1] for _, blocks, _ in columns]
        n_rest = 0 if rest is None else len(rest[0])
        n_rows = n_rest + sum(stop - start for _, start, stop in pieces)
        # numpy asks the system for large pages, in which rows are found faster; torch does not.
        table = torch.from_numpy(np.empty((n_rows, sum(widths)), np.float32))
        for i, (part, column) in enumerate(zip(table.split(widths, dim=1), columns, strict=True)):
            if rest is not None:
                part[:n_rest] = rest[i]
            _read(*column, pieces, part[n_rest:].numpy())
        buffer = table.to(self.device).split(widths, dim=1)
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


def _select(tensor, rows):
    """Return a copy of some rows; ``index_select`` is three times faster than indexing."""
    if isinstance(rows, slice):
        return tensor[rows].contiguous()
    return torch.index_select(tensor, 0, rows)


def _read(name, blocks, scaling, pieces, rows):
    """Read pieces of blocks into `rows`, one piece at a time, and normalise them."""
    for i, start, stop in pieces:
        piece, rows = rows[: stop - start], rows[stop - start :]
        piece[:] = blocks[i][start:stop]
        if not np.isfinite(piece).all():
            raise ValueError(
                f"{name} holds NaN, infinite values, or values beyond the range of float32."
            )
        if scaling is not None:
            scaling.normalise(piece)
