"""The base class of scorers."""

import numpy as np

from skldos.validation import check_finite, check_shape


class Scorer:
    """A callable ``scorer(estimator, X, y=None)`` based on errors; greater is better.

    A subclass implements :meth:`errors`; the score is minus their mean absolute value. Scores of
    another kind override the call.
    """

    @property
    def __name__(self):
        """Name of the scorer, like a function's: scikit-learn's displays use it as a label."""
        return type(self).__name__

    def __call__(self, estimator, X, y=None, sample_weight=None):
        """Return the negative mean absolute error, weighted by snapshot if weights are given."""
        return -weighted_mean(np.abs(self.errors(estimator, X, y)), sample_weight)

    def errors(self, estimator, X, y=None):
        """Return the error of every snapshot, predicted minus true.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        X : sequence of Snapshot
            The snapshots.
        y : sequence of array-like, optional
            True LDOS; None uses those of the snapshots.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Errors in the unit of the score.
        """
        raise NotImplementedError

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


def weighted_mean(values, sample_weight=None, numbers=1.0):
    """Return the mean of one value per snapshot, as a float.

    Each value is itself the mean of as many numbers as `numbers` says.
    """
    weights = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, float)
    check_shape("sample_weight", weights, (len(values),))
    check_finite("sample_weight", weights)
    if weights.min() < 0 or weights.sum() == 0:
        raise ValueError("sample_weight must not be negative, and not zero for all snapshots.")
    return float(np.average(values, weights=weights * numbers))
