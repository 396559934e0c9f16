"""Blocks of environments with any axes as rows, in one or several rotated frames."""

import math

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from skldos.data import Blocks, LazyArray
from skldos.regressors.block_dataset import BlockDataset
from skldos.regressors.neural._batches import RowBatches


class FlatBlock(LazyArray):
    """A block ``(n_atoms, ...)`` as lazy rows ``(n_atoms, n_features)``, one per atom.

    If the block can be rotated, so can its rows.
    """

    def __init__(self, block):
        self._block = block
        self.shape = (block.shape[0], math.prod(block.shape[1:]))
        self.dtype = np.dtype(block.dtype)

    @property
    def can_rotate(self):
        """Whether the block can be rotated."""
        return hasattr(self._block, "rotated")

    def rotated(self, rotations):
        """Return the rows in a rotated frame; `rotations` of shape (3, 3) or (n_atoms, 3, 3)."""
        return FlatBlock(self._block.rotated(rotations))

    def read(self, start, stop):
        """Return rows `start` to `stop` as an array in memory."""
        return np.asarray(self._block[start:stop]).reshape(-1, self.shape[1])


class Frames:
    """The same rows in several frames: of one block ``(n_atoms, n_features)`` for each frame."""

    def __init__(self, blocks, rows=slice(None)):
        self.blocks = blocks
        self.rows = range(blocks[0].shape[0])[rows]
        self.shape = (len(self.rows), blocks[0].shape[1])

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        """Return a slice of the rows, not yet read."""
        rows = self.rows[rows]
        return Frames(self.blocks, slice(rows.start, rows.stop))

    def pieces(self, n_rows):
        """Yield the pieces of every frame, of at most `n_rows`, as arrays."""
        for block in self.blocks:
            for start in range(self.rows.start, self.rows.stop, n_rows):
                yield block[start : min(start + n_rows, self.rows.stop)]


class RotatedBatches:
    """Batches in which the surroundings of every atom are rotated randomly in every epoch.

    The arguments are those of ``RowBatches``, with inputs that can be rotated.
    """

    def __init__(self, dataset, *args, **kwargs):
        self._dataset = dataset
        self._arguments = args, kwargs

    def __len__(self):
        return len(self._batches(self._dataset))

    def __iter__(self):
        # All random numbers of an epoch come from torch's state, which checkpoints contain.
        rng = np.random.default_rng(torch.randint(2**31, (), device="cpu").item())
        rotated = [
            block.rotated(Rotation.random(len(block), rng).as_matrix())
            for block in self._dataset.inputs
        ]
        dataset = BlockDataset(rotated, self._dataset.targets)
        dataset.weights = self._dataset.weights
        yield from self._batches(dataset)

    def _batches(self, dataset):
        args, kwargs = self._arguments
        return RowBatches(dataset, *args, **kwargs)


def flatten(X):
    """Return blocks with two axes each, and the original shape after the first axis.

    Blocks ``(n_atoms, n_features)`` are unchanged, and the shape is then None. Others become
    :class:`FlatBlock`, and the shape is ``(n_spheres, n_vertices)`` or
    ``(n_channels, n_spheres, n_vertices)``, which must be that of all blocks.
    """
    shapes = sorted({tuple(block.shape[1:]) for block in X})
    if all(len(shape) == 1 for shape in shapes):
        return X, None
    if len(shapes) > 1:
        raise ValueError(f"all blocks must have the same axes after the first, got {shapes}.")
    return Blocks([FlatBlock(block) for block in X], getattr(X, "snapshots", None)), shapes[0]


def frame_rotations(n):
    """Return `n` fixed rotation matrices: the identity, then random ones with a fixed seed."""
    random = Rotation.random(n, 0).as_matrix()
    random[0] = np.eye(3)
    return random
