"""The coefficient of determination over all blocks."""

import numpy as np


def coefficient_of_determination(pairs):
    r"""Return :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` over all rows and outputs.

    Pairs are true and predicted rows, block by block or in smaller slices. Where the true rows are
    all the same, the result is 1 if the predictions are too and 0 otherwise, as
    :func:`sklearn.metrics.r2_score` has it. Values that are not finite raise a ``ValueError``.
    """
    error = total = squares = 0.0
    origin, n_rows = None, 0
    for true, predicted in pairs:
        true = np.asarray(true, dtype=float)
        error += np.square(true - predicted).sum()
        # Relative to the first row, to reduce cancellation and give zero for constant rows.
        origin = true[0] if origin is None else origin
        total = total + (true - origin).sum(axis=0)
        squares += np.square(true - origin).sum()
        n_rows += len(true)
    if not np.isfinite(error) or not np.isfinite(squares):
        raise ValueError("true and predicted values must be finite, got NaN or infinite ones.")
    variation = squares - np.square(total).sum() / n_rows
    if variation <= 0:
        return 1.0 if error == 0 else 0.0
    return float(1 - error / variation)
