r"""Leave-one-out errors of ridge regression for sums over snapshots, in two passes.

With :math:`M_k = 1 + \frac{\lambda}{n_k} \mathbf{1}\mathbf{1}^T` the loss of
:class:`~skldos.SiteRegressor` is that of plain ridge regression of :math:`M_k^{1/2} Y_k` on
:math:`M_k^{1/2} \Phi_k`. Let H be the matrix that maps these targets to their predictions. The
errors of block k in a model without it are

.. math:: M_k^{-1/2}\, [(1 - H)_{kk}]^{-1}\, [(1 - H)\, M^{1/2} Y]_k .

Only the triangle R of :math:`M^{1/2} [\Phi\; Y] = Q R` is needed of all rows together. It is built
block by block, and its singular value decomposition gives every block of H.
"""

import numpy as np

#: Number of rows added to a triangle at once, as a multiple of its size.
ROWS_PER_TRIANGLE = 2


class LeaveOneOutRidge:
    r"""The triangle of a data set, and left-out errors computed from it.

    Parameters
    ----------
    dataset : BlockDataset
        Blocks of inputs and targets; the inputs have a constant beside them.
    weight : float
        Weight of the sums, :math:`\lambda`.
    counts : array-like of shape (n_snapshots,)
        How often every snapshot counts: one that counts twice is left out twice at once.
    """

    def __init__(self, dataset, weight, counts):
        self._root = np.sqrt(1 + weight)
        self._n_features = p = dataset.inputs[0].shape[1]
        triples = list(zip(dataset.inputs, dataset.targets, counts, strict=True))
        self._n_rows = sum(count * block.shape[0] for block, _, count in triples)
        sums = (count * _joined(block, target).sum(axis=0) for block, target, count in triples)
        self._mean = sum(sums) / self._n_rows
        R = _triangle(self._scaled(*triple) for triple in triples)
        U, self._s, axes = np.linalg.svd(R[:p, :p], full_matrices=False)
        self._along = U.T @ R[:p, p:]
        # The rows of U for a block are its rows times this matrix.
        self._axes = axes.T / np.where(self._s > 0, self._s, np.inf)

    def sum_errors(self, block, target, count, alphas):
        """Return the sums of the left-out errors of a block, true minus predicted.

        For every penalty of `alphas`, shape (n_alphas, n_outputs); `count` is how often the block,
        one of the data set, counts.
        """
        rows = self._scaled(block, target, count)
        U, values = rows[:, : self._n_features] @ self._axes, rows[:, self._n_features :]
        constant = np.full((len(U), 1), np.sqrt(count / self._n_rows))
        errors = []
        for alpha in alphas:
            shrinkage = self._s**2 / (self._s**2 + alpha)
            residuals = values - U @ (shrinkage[:, None] * self._along)
            root = np.hstack([U * np.sqrt(shrinkage), constant])  # H_kk = root root^T
            errors.append(_solve_outside(root, residuals).sum(axis=0))
        return np.array(errors) / (np.sqrt(count) * self._root)

    def _scaled(self, block, target, count):
        """Return inputs and targets of a block, times M^(1/2) and without their means."""
        # M^(1/2) multiplies the mean of a block by `root` and does not change the rest.
        rows = _joined(block, target)
        rows = rows + (self._root - 1) * rows.mean(axis=0)
        return np.sqrt(count) * (rows - self._root * self._mean)


def _joined(block, target):
    return np.column_stack([np.asarray(block, dtype=float), np.asarray(target, dtype=float)])


def _triangle(blocks):
    """Return R of the QR decomposition of all rows, with few of them in memory."""
    stack = []
    for rows in blocks:
        stack.append(rows)
        if sum(map(len, stack)) > (1 + ROWS_PER_TRIANGLE) * rows.shape[1]:
            stack = [np.linalg.qr(np.concatenate(stack), mode="r")]
    return np.linalg.qr(np.concatenate(stack), mode="r")


def _solve_outside(root, residuals):
    """Return (1 - root root^T)^-1 times residuals, from the smaller of two linear systems."""
    n_rows, n = root.shape
    if n_rows <= n:
        return np.linalg.solve(np.eye(n_rows) - root @ root.T, residuals)
    inner = np.linalg.solve(np.eye(n) - root.T @ root, root.T @ residuals)
    return residuals + root @ inner
