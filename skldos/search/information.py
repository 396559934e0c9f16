"""How much descriptors tell of the LDOS, without any model."""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import digamma
from sklearn.utils import check_random_state, gen_batches

from skldos._validation import check_finite, check_scalar
from skldos.search._descriptors import checked_rows, drawn_rows, over_snapshots

#: Spread of a column, relative to its largest number, that counts as none.
CONSTANT = 1e-6
#: Points whose distances to all others are in memory at a time.
BATCH = 512


def mutual_information(descriptors, targets, *, n_points=2000, n_neighbors=3, random_state=None):
    r"""Return an estimate of the mutual information of descriptors and targets, in nats.

    The mutual information of descriptors B and targets d,

    .. math:: I = \int p(B, d) \ln \frac{p(B, d)}{p(B)\,p(d)} \,\mathrm{d}B\,\mathrm{d}d ,

    is 0 if they are independent, and the larger the more accurately one tells the other. With N
    points, of which :math:`n_B` are nearer to one of them in the space of descriptors than its
    k-th neighbour in both spaces, and :math:`n_d` in that of the targets, it is estimated
    by [1]_

    .. math:: I \approx \psi(N) + \psi(k) - \overline{\psi(n_B + 1) + \psi(n_d + 1)} ,

    where the distance in both spaces is the larger one. No density is modelled: where the
    neighbours of a point in one space are its neighbours in the other, the number is large.

    Parameters
    ----------
    descriptors : array-like of shape (n_rows, n_features)
        Descriptors; an array that computes its rows when they are read computes those that are
        drawn, and few others. Every column is scaled to unit variance, since each may have a
        unit of its own.
    targets : array-like of shape (n_rows, n_outputs)
        What they are to predict, such as the LDOS. The columns have one unit in common and keep
        their weights.
    n_points : int or None, default=2000
        Number of points, drawn at random if there are more. None takes all. The time goes with
        its square, and estimates of different numbers of points do not compare.
    n_neighbors : int, default=3
        The number k of neighbours. More make the estimate less noisy, and lower where the
        density changes over their distance.
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
    In many dimensions the estimate is too low, the more the stronger both depend on each
    other; the LDOS of a snapshot is a function of the three coordinates of its points. As a
    rank of descriptors it serves: a large number means that points with like descriptors have
    a like LDOS, at the resolution that N points have.

    MALA integrates the density of a Gaussian mixture, fitted to both side by side, and returns
    bits. It takes half as many diagonal Gaussians as there are columns, that is, one for a pair
    of numbers, which finds no information in it, whatever the correlation.

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


class MutualInformationScorer:
    r"""Mutual information between descriptors and LDOS, in nats.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` of every search and
    cross-validation of scikit-learn; greater is better. It judges a transformer, or the
    transformers of a pipeline, without any network, as :func:`mutual_information` says: the
    mean over snapshots. The scale of single descriptors has no influence.

    Parameters
    ----------
    n_points : int or None, default=2000
        Number of points per snapshot; None takes all. Where snapshots have fewer, scores of
        different snapshots do not compare, but those of candidates of a search do.
    n_neighbors : int, default=3
        Number of neighbours.
    random_state : int, RandomState instance or None, default=None
        Seed for drawing the points. With an integer all candidates of a search see the same.

    Raises
    ------
    ScoringError
        When called, if snapshots have no LDOS, or it has not one row per row of descriptors.

    See Also
    --------
    mutual_information : The formula, for two arrays.
    ACSDScorer : How alike descriptors and LDOS find the points.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skldos import GridSNAPTransformer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.search import MutualInformationScorer
    >>> search = GridSearchCV(
    ...     GridSNAPTransformer(twojmax=4),
    ...     {"rcut": [2.5, 4.0]},
    ...     scoring=MutualInformationScorer(n_points=500, random_state=0),
    ...     cv=2,
    ... ).fit(make_snapshots(2, random_state=0))
    >>> search.cv_results_["mean_test_score"].shape
    (2,)
    """

    def __init__(self, n_points=2000, n_neighbors=3, random_state=None):
        if n_points is not None:
            n_points = check_scalar("n_points", n_points, low=2, integer=True)
        self.n_points = n_points
        self.n_neighbors = check_scalar("n_neighbors", n_neighbors, low=1, integer=True)
        self.random_state = random_state

    def informations(self, estimator, X, y=None):
        """Return the mutual information of every snapshot.

        Parameters
        ----------
        estimator : estimator
            Fitted transformer, or a pipeline of such; a regressor at its end is ignored.
        X : sequence of Snapshot, or Blocks
            What the estimator takes.
        y : sequence of array-like of shape (..., n_outputs), optional
            Targets; None takes the LDOS of the snapshots.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Mutual information in nats.
        """
        rng = check_random_state(self.random_state)
        options = {"n_points": self.n_points, "n_neighbors": self.n_neighbors, "random_state": rng}

        def score(block, target):
            return mutual_information(block, target, **options)

        return over_snapshots(score, estimator, X, y)

    def __call__(self, estimator, X, y=None):
        """Return the mean mutual information."""
        return float(np.mean(self.informations(estimator, X, y)))

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"MutualInformationScorer({options})"


def _standard(rows):
    """Scale every column to unit variance, and leave out those that are constant."""
    spread = rows.std(axis=0)
    varies = spread > CONSTANT * np.abs(rows).max(axis=0)
    return rows[:, varies] / spread[varies]


def _unit(rows):
    """Scale all columns alike, to a total variance of one, unless there is none.

    What is the larger one of two distances depends on their scales.
    """
    total = np.sqrt(rows.var(axis=0).sum())
    return rows / total if total > 0 else rows


def _terms(a, b, k):
    """Return ψ(k) − ψ(n_a + 1) − ψ(n_b + 1) for every point."""
    terms = np.empty(len(a))
    for batch in gen_batches(len(a), BATCH):
        in_a, in_b = cdist(a[batch], a), cdist(b[batch], b)
        in_both = np.maximum(in_a, in_b)
        # A point itself, at the distance 0, is the first of its neighbours.
        radius = np.partition(in_both, k, axis=1)[:, k, None]
        # The counts include the point itself. Where k others are at the same place as the point,
        # nothing is nearer: what is counted, in both spaces too, is all that is there.
        same = radius == 0
        n_both = np.where(same[:, 0], np.sum(in_both == 0, axis=1), k)
        n_a, n_b = (np.sum((x < radius) | (same & (x == 0)), axis=1) for x in (in_a, in_b))
        terms[batch] = digamma(n_both) - digamma(n_a) - digamma(n_b)
    return terms
