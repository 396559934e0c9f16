r"""Ridge regression from sums over rows, for any number of snapshots and workers.

Let :math:`z_r = (1, x_r, y_r)` be a row of inputs and targets, and :math:`\bar z_k` the mean row of
snapshot k. Ridge regression only needs the matrices

.. math:: S = \sum_k c_k \sum_{r \in k} z_r z_r^T, \qquad
          \bar S = \sum_k c_k n_k \bar z_k \bar z_k^T,

whose sizes do not depend on the number of rows. The loss of :class:`~skldos.SiteRegressor` with the
weight :math:`\lambda` of the sums is that of :math:`S + \lambda \bar S`.
"""

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg import LinAlgError, solve
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skldos.prediction.pieces import SLICE_ROWS, n_workers


class RidgeSums:
    """The matrices of a data set.

    Parameters
    ----------
    dataset : BlockDataset
        Blocks of inputs and targets, in memory or not.
    weights : array-like of shape (n_snapshots,), optional
        How often every snapshot counts; None is once.
    about_zero : bool, default=False
        Whether rows are taken as they are, for models without an intercept. Otherwise the first
        row is subtracted from all, so that little cancels.
    n_jobs : int, optional
        Number of workers of joblib. Sums are added in the order of the snapshots: the result does
        not depend on it.

    Attributes
    ----------
    target_mean : ndarray of shape (n_outputs,)
        Weighted mean of the targets.

    Raises
    ------
    ValueError
        If inputs or targets hold NaN or infinite values.
    """

    def __init__(self, dataset, weights=None, *, about_zero=False, n_jobs=None):
        inputs, targets = dataset.inputs, dataset.targets
        weights = np.ones(len(inputs)) if weights is None else weights
        self._n_features = inputs[0].shape[1]
        self._origin = np.concatenate([_first_row("X", inputs[0]), _first_row("y", targets[0])])
        self._origin *= not about_zero
        self._about_zero = about_zero
        groups = _groups(list(zip(inputs, targets, weights, strict=True)))
        tasks = (delayed(_sums)(group, self._origin) for group in groups)
        self._rows, self._means = 0.0, 0.0
        for row_sums, mean_sums in Parallel(n_jobs=n_workers(n_jobs), return_as="generator")(tasks):
            self._rows = self._rows + row_sums
            self._means = self._means + mean_sums
        mean = self._rows[0, 1:] / self._rows[0, 0] + self._origin
        self.target_mean = mean[self._n_features :]

    def fit(self, ridge, dos_weight, target_mean, direction=None):
        """Return a fitted copy of a ``Ridge``, equal to ``fit`` on all rows.

        :func:`fits_by_sums` must be true for it. `dos_weight` is the weight of the sums over
        snapshots, and `target_mean` is subtracted from the targets. With a `direction`, of shape
        (n_outputs,), only the component of the targets along it is fitted.
        """
        S, p = self._rows + dos_weight * self._means, self._n_features
        mean = S[0, 1:] / S[0, 0]
        centered = S[1:, 1:] - S[0, 0] * np.outer(mean, mean)
        if self._about_zero:
            centered = S[1:, 1:] - np.outer(S[0, 1:], np.r_[np.zeros(p), target_mean])
        normal, right = centered[:p, :p], centered[:p, p:]
        offset = mean[p:] + self._origin[p:] - target_mean
        if direction is not None:
            right, offset = right @ direction, offset @ direction
        fitted = clone(ridge)
        fitted.coef_ = _solve(normal + ridge.alpha * np.eye(p), right).T
        fitted.intercept_ = 0.0
        if not self._about_zero:
            fitted.intercept_ = offset - fitted.coef_ @ (mean[:p] + self._origin[:p])
        fitted.n_features_in_, fitted.n_iter_, fitted.solver_ = p, None, "cholesky"
        return fitted


def fits_by_sums(regressor, n_rows, n_features):
    """Return whether a regressor is a ``Ridge`` that can be fitted from sums over rows.

    With more features than rows scikit-learn solves the smaller problem between rows.

    Examples
    --------
    >>> fits_by_sums(Ridge(), 100, 10), fits_by_sums(Ridge(positive=True), 100, 10)
    (True, False)
    """
    return (
        type(regressor) is Ridge
        and not regressor.positive
        and regressor.solver in ("auto", "cholesky")
        and np.ndim(regressor.alpha) == 0
        and n_rows >= n_features
    )


def _groups(blocks):
    """Yield lists of consecutive blocks with at least the rows of a slice in total."""
    group, n_rows = [], 0
    for block in blocks:
        group.append(block)
        n_rows += block[0].shape[0]
        if n_rows >= SLICE_ROWS:
            yield group
            group, n_rows = [], 0
    if group:
        yield group


def _sums(group, origin):
    """Return the two matrices of some blocks."""
    size = len(origin) + 1
    row_sums, mean_sums = np.zeros((size, size)), np.zeros((size, size))
    for block, target, weight in group:
        S = np.zeros((size, size))
        for start in range(0, block.shape[0], SLICE_ROWS):
            rows = slice(start, start + SLICE_ROWS)
            arrays = [_finite("X", block[rows]), _finite("y", target[rows])]
            z = np.column_stack([np.ones(len(arrays[0])), np.column_stack(arrays) - origin])
            S += z.T @ z
        row_sums += weight * S
        mean_sums += weight * np.outer(S[0], S[0]) / S[0, 0]
    return row_sums, mean_sums


def _first_row(name, block):
    return _finite(name, block[:1])[0]


def _finite(name, rows):
    rows = np.asarray(rows, dtype=float)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinite values.")
    return rows


def _solve(normal, right):
    try:
        return solve(normal, right, assume_a="pos")
    except LinAlgError:  # without a penalty, and with dependent features
        return np.linalg.lstsq(normal, right, rcond=None)[0]
