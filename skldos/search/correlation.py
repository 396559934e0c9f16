"""Rank correlation of two scores of candidates, with a confidence interval.

``scipy.stats.bootstrap`` gives the same percentile interval, but takes 40 to 200 times as long (3.6
s for 2,000 resamples), because it computes one correlation after the other. It returns no interval
if a resample repeats a single item, which happens with few items.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau
from sklearn.utils import check_random_state

from skldos.validation import as_real, check_scalar, check_shape


class KendallInterval(NamedTuple):
    """The result of :func:`kendall_interval`.

    Attributes
    ----------
    tau : float
        The rank correlation.
    low, high : float
        Its confidence interval.
    pvalue : float
        Probability of a correlation at least as large by chance.
    """

    tau: float
    low: float
    high: float
    pvalue: float


def kendall_interval(a, b, *, confidence=0.95, n_resamples=2000, random_state=None):
    r"""Return Kendall's rank correlation with a confidence interval from the bootstrap.

    With the signs :math:`s_{ij} = \mathrm{sign}(a_i - a_j)` and
    :math:`t_{ij} = \mathrm{sign}(b_i - b_j)`,

    .. math:: \tau_b = \frac{\sum_{ij} s_{ij} t_{ij}}
              {\big( \sum_{ij} s_{ij}^2 \; \sum_{ij} t_{ij}^2 \big)^{1/2}}

    is 1 if both rankings agree, −1 if they are opposite, and about 0 if they are
    unrelated. Pairs that are equal in one ranking count for neither.

    Parameters
    ----------
    a, b : array-like of shape (n_items,)
        Values to rank the items by, such as a training-free score and the error after training.
        Items with NaN, such as failed candidates, are left out; infinite values are ranked.
    confidence : float, default=0.95
        Confidence level of the interval.
    n_resamples : int, default=2000
        Number of bootstrap samples; the interval lies between quantiles of their correlations.
    random_state : int, RandomState instance or None, default=None
        Seed of the samples.

    Returns
    -------
    KendallInterval
        Named tuple of `tau`, `low`, `high` and `pvalue`, the probability of a correlation at least
        as large, of either sign, between unrelated rankings. All are NaN if there are fewer than
        two items or one ranking is constant; the interval is NaN for two items.

    Notes
    -----
    If all items are ranked perfectly, so are all samples: an interval of zero width means that no
    inversion was seen, not that there is none. For 10 to 50 normal items with a linear correlation
    of 0, 0.5 or 0.9, intervals of 95 % contained the true value in 93 to 99 % of cases.

    Examples
    --------
    >>> from skldos.search import kendall_interval
    >>> interval = kendall_interval([1, 2, 3, 4, 5, 6], [2, 1, 3, 4, 6, 5], random_state=0)
    >>> round(interval.tau, 3), interval.low < interval.tau < interval.high
    (0.733, True)
    """
    confidence = check_scalar("confidence", confidence, low=0, high=1, strict=True)
    n_resamples = check_scalar("n_resamples", n_resamples, low=1, integer=True)
    a, b = as_real("a", a), as_real("b", b)
    check_shape("a", a, (None,))
    check_shape("b", b, a.shape)
    mask = ~(np.isnan(a) | np.isnan(b))
    a, b = a[mask], b[mask]
    if len(a) < 2 or (a == a[0]).all() or (b == b[0]).all():
        return KendallInterval(np.nan, np.nan, np.nan, np.nan)
    tau, pvalue = map(float, kendalltau(a, b))
    low = high = np.nan
    samples = _resampled(a, b, n_resamples, check_random_state(random_state))
    if len(a) > 2 and len(samples):
        low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return KendallInterval(tau, float(low), float(high), pvalue)


def _resampled(a, b, n_resamples, rng):
    """Return the correlations of bootstrap samples, without those of a single repeated item."""
    s, t = (np.sign(_ranks(x)[:, None] - _ranks(x)) for x in (a, b))
    # How often each item is in each sample. Every sum over pairs is a quadratic form of these
    # counts.
    counts = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), size=n_resamples).astype(float)
    products = (s * t, s * s, t * t)
    covariance, variance_a, variance_b = (((counts @ m) * counts).sum(axis=1) for m in products)
    # Counts and their sums are integers, so there are no rounding errors before the division.
    defined = (variance_a > 0) & (variance_b > 0)
    return covariance[defined] / np.sqrt(variance_a[defined] * variance_b[defined])


def _ranks(values):
    """Return integers in the order of `values`, because differences of infinities are undefined."""
    return np.unique(values, return_inverse=True)[1].astype(float)
