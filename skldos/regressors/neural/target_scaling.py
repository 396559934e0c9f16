"""Normalisation of targets, learned in one pass over blocks of any size."""

from contextlib import contextmanager

import numpy as np
import torch

from skldos.data import iter_slices
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.regressors.team import SINGLE_PROCESS
from skldos.validation import check_option

SCALINGS = ("max", "minmax", "standard", "whiten", None)

#: Smallest variance of a combination of outputs that is scaled to one, relative to the largest;
#: smaller variances are rounding errors of single precision.
SMALLEST_VARIANCE = 1e-10


class TargetScaling:
    """The affine map between targets and what the network learns, y = center + scale · z.

    Parameters
    ----------
    center : ndarray of shape (n_outputs,) or (1,)
        Offset, in units of the target.
    scale : ndarray of shape (n_outputs,), (1,) or (n_outputs, n_outputs)
        Factors, or a matrix, in units of the target.
    """

    def __init__(self, center, scale):
        self.center = np.asarray(center, dtype=np.float32)
        self.scale = np.asarray(scale, dtype=np.float32)

    @classmethod
    def learn(cls, blocks, method, weights=None, team=SINGLE_PROCESS):
        """Learn the map from target blocks.

        ``"max"`` divides by the largest absolute value of all outputs, as Ellis et al. (2021)
        normalise the LDOS; ``"minmax"`` maps the range of all outputs to [0, 1];
        ``"standard"`` brings every output to zero mean and unit variance; ``"whiten"`` does so
        with the principal components, which are uncorrelated; None leaves the targets as they are.
        `weights` has one array per block, with one weight per row, for the means. Each process of
        `team` looks at a part of the rows.
        """
        check_option("target_scaling", method, SCALINGS)
        if method == "standard":
            return cls(*_mean_and_deviation(blocks, weights, team))
        if method == "whiten":
            return cls(*_mean_and_components(blocks, weights, team))
        lowest, highest = _range(blocks, team)
        if method == "max":
            return cls([0.0], [max(-lowest, highest) or 1.0])
        if method == "minmax":
            return cls([lowest], [highest - lowest or 1.0])
        return cls([0.0], [1.0])

    def normalise(self, rows):
        """Replace targets y by scaled targets z, in place."""
        rows -= self.center
        if self.scale.ndim == 1:
            rows /= self.scale
        else:
            rows[:] = np.linalg.solve(self.scale.astype(float), rows.T).T

    def restore(self, outputs):
        """Return targets y from outputs z of the network."""
        scaled = outputs * self.scale if self.scale.ndim == 1 else outputs @ self.scale.T
        return scaled + self.center


def _range(blocks, team):
    """Return the lowest and the highest value."""
    ends = [(-float(rows.min()), float(rows.max())) for _, rows in _slices(blocks, team)]
    low, high = (max((pair[i] for pair in ends), default=-np.inf) for i in (0, 1))
    low, high = team.largest(low, high)
    return -low, high


def _mean_and_deviation(blocks, weights, team):
    """Return mean and standard deviation of every column; 1 where a column is constant."""
    n_rows, shift, total, squares = _moments(blocks, weights, "ij,ij->j", team)
    mean = total / n_rows
    deviation = np.sqrt(np.maximum(squares / n_rows - mean**2, 0.0))
    return shift + mean, np.where(deviation > 0, deviation, 1.0)


def _mean_and_components(blocks, weights, team):
    """Return the mean, and the principal axes times the standard deviations along them."""
    n_rows, shift, total, squares = _moments(blocks, weights, "ij,ik->jk", team)
    mean = total / n_rows
    variances, axes = np.linalg.eigh(squares / n_rows - np.outer(mean, mean))
    smallest = SMALLEST_VARIANCE * variances[-1] if variances[-1] > 0 else 1.0
    return shift + mean, axes * np.sqrt(np.maximum(variances, smallest))


def _moments(blocks, weights, products, team):
    """Return the number of rows, a shift, and sums of shifted rows and of their products.

    All of them are weighted, the number of rows too.
    """
    # Sums relative to a row of the data avoid cancellation in the variance.
    with _naming_sample(0):
        shift = np.array(blocks[0][:1], dtype=float)[0]
    n_columns = len(shift)
    n_rows, total = np.zeros(()), np.zeros(n_columns)
    squares = np.zeros(n_columns if products.endswith(">j") else (n_columns, n_columns))
    for (position, first), rows in _slices(blocks, team):
        rows = rows - shift
        weighted, n = rows, len(rows)
        if weights is not None:
            w = weights[position][first : first + len(rows), None]
            weighted, n = rows * w, w.sum()
        n_rows += n
        total += weighted.sum(axis=0)
        squares += np.einsum(products, weighted, rows, optimize=True)
    sums = team.sum(*map(torch.from_numpy, map(np.atleast_1d, (n_rows, total, squares))))
    n_rows, total, squares = (x.numpy() for x in sums)
    return float(n_rows[0]), shift, total, squares


def _slices(blocks, team):
    """Yield the start and the rows of slices of the blocks, checked for NaN."""
    for position, block in enumerate(blocks):
        first, stop = team.part(block.shape[0])
        with _naming_sample(position):
            for rows in iter_slices(block, start=first, stop=stop):
                if not np.isfinite(rows).all():
                    raise ValueError(f"y holds NaN or infinite values (in sample {position}).")
                yield (position, first), np.asarray(rows)
                first += len(rows)


@contextmanager
def _naming_sample(position):
    try:
        yield
    except FileFormatError as error:
        raise SnapshotError(f"y cannot be read (in sample {position}): {error}") from error
