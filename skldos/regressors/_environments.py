"""Blocks of environments as rows, whatever axes they have, seen in one frame or in several."""

import math

import numpy as np
from scipy.spatial.transform import Rotation

from skldos.data import Blocks, LazyArray
from skldos.regressors._batches import BlockDataset, RowBatches


class FlatBlock(LazyArray):
    """A block ``(n_atoms, ...)`` as lazy rows ``(n_atoms, n_features)``: what an atom has.

    Parameters
    ----------
    block : array-like of shape (n_atoms, ...)
        The block; if it can be turned, its rows can.
    """

    def __init__(self, block):
        self._block = block
        self.shape = (block.shape[0], math.prod(block.shape[1:]))
        self.dtype = np.dtype(block.dtype)

    @property
    def turns(self):
        """Whether the block can be looked at in rotated frames."""
        return hasattr(self._block, "rotated")

    def rotated(self, rotations):
        """Return the rows in a rotated frame; `rotations` of shape (3, 3) or (n_atoms, 3, 3)."""
        return FlatBlock(self._block.rotated(rotations))

    def read(self, start, stop):
        """Return rows `start` to `stop` as an array in memory."""
        return np.asarray(self._block[start:stop]).reshape(-1, self.shape[1])


class Frames:
    """The same rows in several frames.

    Parameters
    ----------
    blocks : list of array-like of shape (n_atoms, n_features)
        One for each frame.
    rows : slice, default=slice(None)
        Which of their rows.
    """

    def __init__(self, blocks, rows=slice(None)):
        self.blocks = blocks
        self.rows = range(blocks[0].shape[0])[rows]
        self.shape = (len(self.rows), blocks[0].shape[1])

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        """Return a slice of the rows, which nobody has read yet."""
        rows = self.rows[rows]
        return Frames(self.blocks, slice(rows.start, rows.stop))

    def pieces(self, n_rows):
        """Yield the pieces of every frame, of at most `n_rows`, as arrays."""
        for block in self.blocks:
            for start in range(self.rows.start, self.rows.stop, n_rows):
                yield block[start : min(start + n_rows, self.rows.stop)]


class TurnedBatches:
    """Batches in which every atom's surroundings are turned at random, anew in every epoch.

    Parameters
    ----------
    dataset : BlockDataset
        Rows of environments that can be turned.
    rng : numpy.random.Generator
        Draws the rotations.
    *args, **kwargs
        As for :class:`~skldos.regressors._batches.RowBatches`.
    """

    def __init__(self, dataset, rng, *args, **kwargs):
        self._dataset = dataset
        self._rng = rng
        self._arguments = args, kwargs

    def __len__(self):
        return len(self._batches(self._dataset))

    def __iter__(self):
        turned = [
            block.rotated(Rotation.random(len(block), self._rng).as_matrix())
            for block in self._dataset.inputs
        ]
        yield from self._batches(BlockDataset(turned, self._dataset.targets))

    def _batches(self, dataset):
        args, kwargs = self._arguments
        return RowBatches(dataset, *args, **kwargs)


def flatten(X):
    """Return blocks with two axes each, and what the others had behind the first.

    Parameters
    ----------
    X : sequence of array-like of shape (n_atoms, ...)
        Blocks, which all have the same axes behind the first.

    Returns
    -------
    blocks : Blocks
        Those with two axes as they came, others as :class:`FlatBlock`.
    shape : tuple of int or None
        ``(n_spheres, n_vertices)`` or ``(n_channels, n_spheres, n_vertices)``; None if the blocks
        had two axes, which do not tell.

    Raises
    ------
    ValueError
        If the blocks have different axes.
    """
    shapes = sorted({tuple(block.shape[1:]) for block in X})
    if all(len(shape) == 1 for shape in shapes):
        return X, None
    if len(shapes) > 1:
        raise ValueError(f"all blocks must have the same axes after the first, got {shapes}.")
    return Blocks([FlatBlock(block) for block in X], getattr(X, "snapshots", None)), shapes[0]


def frame_rotations(n):
    """Return `n` rotation matrices, always the same: the identity, and then random ones."""
    random = Rotation.random(n, 0).as_matrix()
    random[0] = np.eye(3)
    return random
