"""Proper scores: scores of predicted distributions that favour the true one on average."""

import numpy as np
from scipy.special import ndtr

from skldos.validation import as_real, check_finite, check_shape


def crps(y, means, stds, weights=None):
    r"""Return the continuous ranked probability score of mixtures of normal distributions.

    .. math:: \mathrm{CRPS} = \int \big(F(t) - \theta(t - y)\big)^2 dt
              = \sum_k w_k A(y - \mu_k, \sigma_k^2)
              - \tfrac12 \sum_{kl} w_k w_l A(\mu_k - \mu_l, \sigma_k^2 + \sigma_l^2)

    with :math:`A(m, s^2) = m\,(2\Phi(m/s) - 1) + 2 s\,\phi(m/s)` [1]_. It has the unit of y. For a
    prediction of zero width it is the absolute error.

    Parameters
    ----------
    y : array-like of shape (...)
        True values.
    means, stds : array-like of shape (n_components, ...) or (...)
        Means and standard deviations (>= 0) of the components, or of single normal distributions.
    weights : array-like of shape (n_components, ...), optional
        Weights of the components; None for single normal distributions.

    Returns
    -------
    ndarray of shape (...)
        Scores >= 0; smaller is better.

    Raises
    ------
    ValueError
        If shapes do not match, or a value is not finite, or a standard deviation negative.

    References
    ----------
    .. [1] E. P. Grimit et al., Q. J. R. Meteorol. Soc. 132, 2925 (2006).

    Examples
    --------
    >>> crps([2.0], [0.5], [0.0])
    array([1.5])
    >>> crps([0.0], [[-1.0], [1.0]], [[0.1], [0.1]], [[0.5], [0.5]]).round(3)
    array([0.472])
    """
    y, means, stds = as_real("y", y), as_real("means", means), as_real("stds", stds)
    if weights is None:
        means, stds = means[None], stds[None]
        weights = np.ones(means.shape)
    weights = as_real("weights", weights)
    check_shape("means", means, (None, *y.shape))
    check_shape("stds", stds, means.shape)
    check_shape("weights", weights, means.shape)
    for name, array in (("y", y), ("means", means), ("stds", stds), ("weights", weights)):
        check_finite(name, array)
    if (stds < 0).any():
        raise ValueError(f"stds must not be negative, got {stds.min()}.")
    score = (weights * _expected_distance(y - means, stds)).sum(axis=0)
    for mean, std, weight in zip(means, stds, weights, strict=True):
        distances = _expected_distance(mean - means, np.hypot(std, stds))
        score = score - 0.5 * weight * (weights * distances).sum(axis=0)
    return score


def _expected_distance(m, s):
    r"""Return the mean of \|t\| for t from N(m, s²)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = m / s
        spread = m * (2 * ndtr(z) - 1) + 2 * s * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.where(s > 0, spread, np.abs(m))


def energy_score(y, samples, metric=None):
    r"""Return the energy score, the CRPS of several variables at once.

    .. math:: \mathrm{ES} = \overline{\|Y_s - y\|} - \tfrac12\, \overline{\|Y_s - Y_t\|},
              \qquad \|v\|^2 = v^T S v,

    with means over the samples, and over pairs of different ones [1]_. For coefficients of
    functions, with their overlap matrix as S, this is the norm of the functions.

    Parameters
    ----------
    y : array-like of shape (n_rows, n_outputs)
        True values.
    samples : array-like of shape (n_samples, n_rows, n_outputs)
        At least two draws from every predicted distribution.
    metric : array-like of shape (n_outputs, n_outputs), optional
        S, symmetric and positive semidefinite; None for the unit matrix.

    Returns
    -------
    ndarray of shape (n_rows,)
        Scores, in the unit of the norm; smaller is better.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery, J. Am. Stat. Assoc. 102, 359 (2007).

    Examples
    --------
    >>> energy_score([[0.0, 0.0]], [[[3.0, 4.0]], [[3.0, 4.0]]])
    array([5.])
    """
    y, samples = as_real("y", y), as_real("samples", samples)
    check_shape("y", y, (None, None))
    check_shape("samples", samples, (None, *y.shape))
    if len(samples) < 2:
        raise ValueError(f"samples must hold at least two draws, got {len(samples)}.")
    for name, array in (("y", y), ("samples", samples)):
        check_finite(name, array)
    metric = np.eye(y.shape[1]) if metric is None else as_real("metric", metric)
    check_shape("metric", metric, (y.shape[1], y.shape[1]))

    def norm(vectors):
        squares = np.einsum("...i,ij,...j->...", vectors, metric, vectors)
        return np.sqrt(np.maximum(squares, 0.0))

    distances = sum(
        norm(samples[i + 1 :] - samples[i]).sum(axis=0) for i in range(len(samples) - 1)
    )
    pairs = len(samples) * (len(samples) - 1) / 2
    return norm(samples - y).mean(axis=0) - 0.5 * distances / pairs
