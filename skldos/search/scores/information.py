"""Mutual information of descriptors and LDOS: a training-free score of descriptors."""

from functools import partial

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import digamma
from sklearn.utils import check_random_state, gen_batches

from skldos.docstrings import documented
from skldos.scoring.scorer import Scorer
from skldos.search.scores._descriptors import OF_SCORERS, checked_rows, drawn_rows, over_snapshots
from skldos.validation import check_finite, check_scalar

#: Relative spread up to which a column counts as constant.
SPREAD_TOLERANCE = 1e-6
#: Number of points whose distances to all others are in memory at a time.
BATCH_ROWS = 512


def mutual_information(descriptors, targets, *, n_points=2000, n_neighbors=3, random_state=None):
    r"""Return an estimate of the mutual information of descriptors and targets, in nats.

    The mutual information of descriptors B and targets d,

    .. math:: I = \int p(B, d) \ln \frac{p(B, d)}{p(B)\,p(d)} \,\mathrm{d}B\,\mathrm{d}d ,

    is 0 if they are independent, and grows with the accuracy to which one determines the other. For
    each of N points, let :math:`n_B` be the number of points that are nearer in descriptor space
    than its k-th neighbour in the joint space, and :math:`n_d` the same in target space. The
    estimate is [1]_

    .. math:: I \approx \psi(N) + \psi(k) - \overline{\psi(n_B + 1) + \psi(n_d + 1)} ,

    where the distance in the joint space is the larger of both. No density is modelled: the
    estimate is large if neighbours in one space are neighbours in the other.

    Parameters
    ----------
    descriptors : array-like of shape (n_rows, n_features)
        Descriptors; of a lazy array, the drawn rows and few others are computed. Every column is
        scaled to unit variance, because columns may have different units.
    targets : array-like of shape (n_rows, n_outputs)
        Targets, such as the LDOS. The columns share one unit and are not scaled.
    n_points : int or None, default=2000
        Number of points, drawn at random if there are more. None uses all. The time grows with its
        square. Estimates with different numbers of points are not comparable.
    n_neighbors : int, default=3
        The number k of neighbours. A larger k reduces the noise, but lowers the estimate where the
        density varies over the distance to the neighbours.
    random_state : int, RandomState instance or None, default=None
        Seed for drawing the points.

    Returns
    -------
    float
        Mutual information in nats, 1.44 times that in bits; at most :math:`\psi(N) - \psi(k)`,
        up to rounding slightly below 0 for independent data. Points that coincide in both spaces
        count as those of a discrete variable [2]_.

    Notes
    -----
    In many dimensions the estimate is too low, especially for strong dependence; the LDOS of a
    snapshot is a function of the three coordinates of its points. It is still useful to rank
    descriptors: a large number means that points with similar descriptors have a similar LDOS, at
    the resolution of N points.

    MALA integrates the density of a Gaussian mixture fitted to descriptors and targets jointly, and
    returns bits. It uses half as many diagonal Gaussians as columns. For a pair of numbers this is
    one Gaussian, which finds no information, whatever the correlation.

    References
    ----------
    .. [1] A. Kraskov, H. Stögbauer, P. Grassberger, "Estimating mutual information", Phys. Rev. E
       69, 066138 (2004).
    .. [2] W. Gao, S. Kannan, S. Oh, P. Viswanath, "Estimating mutual information for
       discrete-continuous mixtures", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skldos.search import mutual_information
    >>> rng = np.random.default_rng(0)
    >>> targets = rng.normal(size=(500, 2))
    >>> clear, noisy = (targets + noise * rng.normal(size=(500, 2)) for noise in (0.1, 1.0))
    >>> mutual_information(clear, targets) > mutual_information(noisy, targets)
    True
    """
    n_neighbors = check_scalar("n_neighbors", n_neighbors, low=1, integer=True)
    descriptors, targets = checked_rows(descriptors, targets)
    n_rows = descriptors.shape[0]
    if n_points is None:
        n_points = n_rows
    n_points = min(n_rows, check_scalar("n_points", n_points, low=2, integer=True))
    if n_points <= n_neighbors:
        raise ValueError(
            f"n_neighbors must be less than the number of points, {n_points}; got {n_neighbors}."
        )
    descriptors, targets = drawn_rows(descriptors, targets, n_points, random_state)
    check_finite("descriptors", descriptors)
    check_finite("targets", targets)
    terms = _terms(_unit(_standard(descriptors)), _unit(targets), n_neighbors)
    return float(digamma(n_points) + np.mean(terms))


@documented(OF_SCORERS)
class MutualInformationScorer(Scorer):
    r"""Mutual information between descriptors and LDOS, in nats.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. It evaluates a transformer, or the transformers of a
    pipeline, without any network, and returns the mean of :func:`mutual_information` over
    snapshots. The scale of single descriptors has no influence.

    Parameters
    ----------
    n_points : int or None, default=2000
        Number of points per snapshot; None uses all. If snapshots have fewer, scores of different
        snapshots are not comparable, but those of candidates of a search are.
    n_neighbors : int, default=3
        Number of neighbours.
    %(random_state)s

    Raises
    ------
    %(ScoringError)s

    See Also
    --------
    mutual_information : The formula, for two arrays.
    ACSDScorer : Compares the similarities of descriptors and of LDOS.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skldos import GridSNAPTransformer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.search import MutualInformationScorer
    >>> search = GridSearchCV(
    ...     GridSNAPTransformer(twojmax=4),
    ...     {"r_cut": [2.5, 4.0]},
    ...     scoring=MutualInformationScorer(n_points=500, random_state=0),
    ...     cv=2,
    ... ).fit(make_snapshots(2, random_state=0))
    >>> search.cv_results_["mean_test_score"].shape
    (2,)
    """

    def __init__(self, n_points=2000, *, n_neighbors=3, random_state=None):
        if n_points is not None:
            n_points = check_scalar("n_points", n_points, low=2, integer=True)
        self.n_points = n_points
        self.n_neighbors = check_scalar("n_neighbors", n_neighbors, low=1, integer=True)
        self.random_state = random_state

    def informations(self, estimator, X, y=None):
        """Return the mutual information of every snapshot.

        Parameters
        ----------
        %(estimator)s
        %(X)s
        %(y)s

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Mutual information in nats.
        """
        rng = check_random_state(self.random_state)
        options = {"n_points": self.n_points, "n_neighbors": self.n_neighbors, "random_state": rng}
        return over_snapshots(partial(mutual_information, **options), estimator, X, y)

    def __call__(self, estimator, X, y=None):
        """Return the mean mutual information."""
        return float(np.mean(self.informations(estimator, X, y)))


def _standard(rows):
    """Scale every column to unit variance, and leave out constant columns."""
    spread = rows.std(axis=0)
    varies = spread > SPREAD_TOLERANCE * np.abs(rows).max(axis=0)
    return rows[:, varies] / spread[varies]


def _unit(rows):
    """Scale all columns by the same factor to a total variance of one, unless it is zero.

    Which of two distances is larger depends on their scales.
    """
    total = np.sqrt(rows.var(axis=0).sum())
    return rows / total if total > 0 else rows


def _terms(a, b, k):
    """Return ψ(k) − ψ(n_a + 1) − ψ(n_b + 1) for every point."""
    terms = np.empty(len(a))
    for batch in gen_batches(len(a), BATCH_ROWS):
        distances_a, distances_b = cdist(a[batch], a), cdist(b[batch], b)
        distances = np.maximum(distances_a, distances_b)
        # A point itself, at the distance 0, is the first of its neighbours.
        radius = np.partition(distances, k, axis=1)[:, k, None]
        # The counts include the point itself. If k other points coincide with the point, none is
        # nearer; all coinciding points are then counted, in both spaces.
        coincide = radius == 0
        n_neighbors = np.where(coincide[:, 0], np.sum(distances == 0, axis=1), k)
        n_a, n_b = (
            np.sum((d < radius) | (coincide & (d == 0)), axis=1) for d in (distances_a, distances_b)
        )
        terms[batch] = digamma(n_neighbors) - digamma(n_a) - digamma(n_b)
    return terms
