"""The base class of regressors with an uncertainty."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, is_blocks
from skldos.docstrings import entries_of, like
from skldos.links import PageLinkMixin
from skldos.regressors.checks import score_of_blocks
from skldos.regressors.site_sums import SiteSums

#: Parameter texts that they share; see :func:`skldos.docstrings.documented`.
OF_UNCERTAIN = entries_of("""
    X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
        Input of the regressor.
    y : sequence of array-like or array-like of shape (n_rows, n_outputs), optional
        Targets; None uses those of the snapshots.
    sample_weight : array-like of shape (n_snapshots,) or (n_rows,), optional
        Weights of the snapshots, or of plain rows; the regressor must support them. None
        weights all equally.
    energies_, broadening_, kernel_, n_features_in_
        As in the regressor.
""")


class UncertainRegressor(PageLinkMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Base class of regressors that wrap others and add uncertainties to their predictions.

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
            Whether to return standard deviations as well.

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
            The means of their distributions.
        """
        return self.sample_sums(X).mean(axis=0)

    @like(SiteSums.score)
    def score(self, X, y=None, sample_weight=None):
        if not is_blocks(X):
            return super().score(X, y, sample_weight)
        return score_of_blocks(self, X, y)

    def _remember(self, *names):
        """Store the parameters used in prediction with their values in ``fit``."""
        for name in names:
            setattr(self, f"{name}_", getattr(self, name))

    def _take_over(self, regressor):
        """Copy the attributes of the inner regressor that describe its inputs and outputs."""
        for name in ("energies_", "broadening_", "kernel_", "calculation_", "n_features_in_"):
            setattr(self, name, getattr(regressor, name, None))


def as_blocks(X):
    """Return plain rows as one block, and blocks as they are."""
    return X if is_blocks(X) else Blocks([np.asarray(X)])
