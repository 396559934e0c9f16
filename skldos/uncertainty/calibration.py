"""Measures of whether standard deviations agree with the errors."""

import numpy as np

from skldos.validation import as_real, check_finite, check_shape

#: Fractions of the errors that should lie within this distance of zero.
LEVELS = (0.68, 0.95)


def calibration(error, std):
    r"""Compare errors with their predicted standard deviations.

    Parameters
    ----------
    error : array-like of shape (n_predictions,)
        Predicted minus true.
    std : array-like of shape (n_predictions,)
        Standard deviations in the same unit; positive.

    Returns
    -------
    dict of str to float
        ``coverage_68`` and ``coverage_95``, the fractions of errors inside the 68 % and 95 %
        intervals of the normal distribution; ``nll``, the mean negative logarithm of the density
        :math:`N(0, \sigma^2)` at the errors; ``rms_z``, the root mean square of error over
        standard deviation, which is 1 if the standard deviations are right overall (below 1 if
        they are too large); and ``spearman``, the rank correlation of absolute errors and standard
        deviations (NaN if either is constant).

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite or a standard deviation not positive.

    Examples
    --------
    >>> calibration([0.5, -1.5, 4.0], [1.0, 2.0, 3.0])["coverage_68"]
    0.6666666666666666
    """
    from scipy.stats import norm

    error, std = check_errors(error, std)
    z = error / std
    coverage = {
        f"coverage_{100 * level:.0f}": float(np.mean(np.abs(z) <= norm.ppf((1 + level) / 2)))
        for level in LEVELS
    }
    return coverage | {
        "nll": float(np.mean(0.5 * z**2 + np.log(std * np.sqrt(2 * np.pi)))),
        "rms_z": float(np.sqrt(np.mean(z**2))),
        "spearman": _rank_correlation(np.abs(error), std),
    }


def check_errors(error, std):
    """Return errors and standard deviations as arrays, after checking them."""
    error, std = as_real("error", error), as_real("std", std)
    check_shape("error", error, (None,))
    check_shape("std", std, error.shape)
    if len(error) == 0:
        raise ValueError("error must hold at least one value, got none.")
    check_finite("error", error)
    check_finite("std", std)
    if (std <= 0).any():
        raise ValueError(f"std must be positive, got {std.min()}.")
    return error, std


def _rank_correlation(a, b):
    from scipy.stats import rankdata

    ranks = rankdata(a), rankdata(b)
    if any(np.ptp(r) == 0 for r in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])
