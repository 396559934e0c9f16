"""Lazy predictions for sites, their sums and their score."""

from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, ComputedArray, is_blocks
from skldos.docstrings import documented
from skldos.prediction.pieces import iter_sums
from skldos.regressors.checks import checked_weights, score_of_blocks
from skldos.regressors.parameters import OF_SITES


@documented(OF_SITES)
class SiteSums:
    """Mixin for regressors with `_input_blocks`, `_predict_slice` and `n_outputs_`."""

    _lazy_dtype = float

    def predict_lazy(self, X):
        """Return blocks of targets whose rows are predicted when they are read.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One lazy block ``(n_sites, n_outputs)`` per snapshot.
        """
        check_is_fitted(self)
        lazy = [
            ComputedArray(
                partial(self._predict_slice, block),
                (block.shape[0], self.n_outputs_),
                self._lazy_dtype,
            )
            for block in self._input_blocks(X)
        ]
        return Blocks(lazy, getattr(X, "snapshots", None))

    def predict_sum(self, X):
        """Predict the sum of the targets over the sites of every snapshot.

        Predictions are added slice by slice, so no block of predictions is ever in memory. The sum
        of an LDOS over the grid, times the voxel volume, is the density of states; the sum over
        atoms is the density of states in 1/eV.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        ndarray of shape (n_snapshots, n_outputs)
            Sums in double precision.
        """
        sums = list(iter_sums(self.predict_lazy(X)))
        return np.stack(sums) if sums else np.empty((0, self.n_outputs_))

    def score(self, X, y=None, sample_weight=None):
        r"""Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows.
        y : sequence of array-like, optional
            True targets, as in :meth:`fit`; needed for plain rows.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of plain rows.

        Returns
        -------
        float
            For plain rows as :func:`sklearn.metrics.r2_score`; for blocks
            :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` over all rows and outputs, with
            the mean :math:`\bar y` of each output.
        """
        if not is_blocks(X):
            return super().score(X, y, checked_weights(sample_weight, len(X)))
        return score_of_blocks(self, X, y)
