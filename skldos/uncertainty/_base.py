"""What regressors with an uncertainty share."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, as_rows, is_blocks
from skldos.regressors._score import coefficient_of_determination


class UncertainRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Base of regressors around others that say how far their predictions can be trusted.

    A subclass fits, and implements ``_mean_and_std(blocks)``, which yields a pair of arrays
    (n_sites, n_outputs) per block, and ``sample_sums(X)``.
    """

    def predict(self, X, return_std=False):
        """Predict the targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows, as in :meth:`fit`.
        return_std : bool, default=False
            Whether standard deviations are returned as well.

        Returns
        -------
        mean : Blocks or ndarray
            One block ``(n_sites, n_outputs)`` per snapshot, or an array of shape
            (n_rows, n_outputs).
        std : Blocks or ndarray
            Standard deviations of the same shapes, if `return_std`.
        """
        check_is_fitted(self)
        pairs = list(self._mean_and_std(as_blocks(X)))
        if is_blocks(X):
            snapshots = getattr(X, "snapshots", None)
            mean, std = (Blocks([pair[i] for pair in pairs], snapshots) for i in (0, 1))
        else:
            ((mean, std),) = pairs
        return (mean, std) if return_std else mean

    def predict_sum(self, X):
        """Predict the sum of the targets over the sites of every snapshot.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_snapshots, n_outputs)
            The mean over the samples.
        """
        return self.sample_sums(X).mean(axis=0)

    def score(self, X, y=None, sample_weight=None):
        r"""Return the coefficient of determination, as the regressor inside has it.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows.
        y : sequence of array-like, optional
            True targets; None takes those of the snapshots behind blocks.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of plain rows.

        Returns
        -------
        float
            :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2`.
        """
        check_is_fitted(self)
        if not is_blocks(X):
            return super().score(X, y, sample_weight)
        snapshots = getattr(X, "snapshots", None)
        if y is None and snapshots is None:
            raise ValueError(f"{type(self).__name__}.score needs targets y, got None.")
        true = [as_rows(target) for target in (snapshots.targets if y is None else y)]
        return coefficient_of_determination(zip(true, self.predict(X), strict=True))

    def _take_over(self, regressor):
        """Note what the fitted regressor inside knows of its inputs and outputs."""
        for name in ("energies_", "broadening_", "kernel_", "n_features_in_"):
            setattr(self, name, getattr(regressor, name, None))


def as_blocks(X):
    """Return plain rows as one block, and blocks as they are."""
    return X if is_blocks(X) else Blocks([np.asarray(X)])
