"""Normalisation of targets, learned in one pass over blocks of any size."""

import numpy as np

from skldos._validation import check_option
from skldos.data import iter_slices

SCALINGS = ("max", "minmax", "standard", "whiten", None)

#: Smallest variance of a combination of outputs that is brought to one, relative to the largest:
#: what is smaller is rounding of single precision.
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
    def learn(cls, blocks, method):
        """Learn the map from target blocks.

        ``"max"`` divides by the largest absolute value of all outputs, as Ellis et al. (2021)
        normalise the LDOS; ``"minmax"`` maps the range of all outputs to [0, 1];
        ``"standard"`` brings every output to zero mean and unit variance; ``"whiten"`` does so
        with the principal components, which are uncorrelated; None leaves the targets as they are.
        """
        check_option("target_scaling", method, SCALINGS)
        if method == "standard":
            return cls(*_mean_and_deviation(blocks))
        if method == "whiten":
            return cls(*_mean_and_components(blocks))
        lowest, highest = _range(blocks)
        if method == "max":
            return cls([0.0], [max(-lowest, highest) or 1.0])
        if method == "minmax":
            return cls([lowest], [highest - lowest or 1.0])
        return cls([0.0], [1.0])

    def normalise(self, rows):
        """Replace targets y by what the network learns, z, in place."""
        rows -= self.center
        if self.scale.ndim == 1:
            rows /= self.scale
        else:
            rows[:] = np.linalg.solve(self.scale.astype(float), rows.T).T

    def restore(self, outputs):
        """Return targets y from what the network gives, z."""
        scaled = outputs * self.scale if self.scale.ndim == 1 else outputs @ self.scale.T
        return scaled + self.center


def _range(blocks):
    """Return the lowest and the highest value."""
    ends = [(rows.min(), rows.max()) for rows in _slices(blocks)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _mean_and_deviation(blocks):
    """Return mean and standard deviation of every column; 1 where a column is constant."""
    n_rows, shift, total, squares = _moments(blocks, "ij,ij->j")
    mean = total / n_rows
    deviation = np.sqrt(np.maximum(squares / n_rows - mean**2, 0.0))
    return shift + mean, np.where(deviation > 0, deviation, 1.0)


def _mean_and_components(blocks):
    """Return the mean, and the principal axes times the standard deviations along them."""
    n_rows, shift, total, squares = _moments(blocks, "ij,ik->jk")
    mean = total / n_rows
    variances, axes = np.linalg.eigh(squares / n_rows - np.outer(mean, mean))
    smallest = SMALLEST_VARIANCE * variances[-1] if variances[-1] > 0 else 1.0
    return shift + mean, axes * np.sqrt(np.maximum(variances, smallest))


def _moments(blocks, products):
    """Return the number of rows, a shift, and sums of shifted rows and of their products."""
    n_rows, shift = 0, None
    total = squares = 0.0
    for rows in _slices(blocks):
        # Sums about some row of the data keep the variance free of cancellation.
        shift = np.array(rows[0], dtype=float) if shift is None else shift
        rows = rows - shift
        total = total + rows.sum(axis=0)
        squares = squares + np.einsum(products, rows, rows, optimize=True)
        n_rows += len(rows)
    return n_rows, shift, total, squares


def _slices(blocks):
    """Yield the rows of all blocks in slices, after a look for NaN."""
    for position, block in enumerate(blocks):
        for rows in iter_slices(block):
            if not np.isfinite(rows).all():
                raise ValueError(f"y holds NaN or infinite values (in sample {position}).")
            yield np.asarray(rows)
