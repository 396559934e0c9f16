"""ACSD: a training-free score of descriptors."""

import math
from functools import partial

import numpy as np
from sklearn.utils import check_random_state, gen_batches

from skldos.docstrings import documented
from skldos.scoring.scorer import Scorer
from skldos.search.scores._descriptors import OF_SCORERS, checked_rows, drawn_rows, over_snapshots
from skldos.validation import check_finite, check_option, check_scalar

SIDED = ("two", "one")
#: Number of points whose cosines with all others are in memory at a time.
BATCH_ROWS = 1024


def acsd(descriptors, targets, *, n_pairs=40000, sided="one", random_state=None):
    r"""Return the average cosine-similarity difference of descriptors and targets.

    Descriptors are useful if points with similar descriptors B have similar targets d, and points
    with different descriptors have different targets. With the cosine similarity
    :math:`S(a, b) = a \cdot b / |a| |b|`, the mean over pairs of points [1]_

    .. math:: \overline{|S(d_i, d_j) - S(B_i, B_j)|}

    is 0 for descriptors that are as similar as the targets are.

    Parameters
    ----------
    descriptors : array-like of shape (n_rows, n_features)
        Descriptors with at least two features; of a lazy array, the rows of the pairs and few
        others are computed.
    targets : array-like of shape (n_rows, n_outputs)
        Targets, such as the LDOS.
    n_pairs : int or None, default=40000
        Minimum number of pairs: all pairs among a random sample of points of sufficient size. None
        uses all pairs.
    sided : {"one", "two"}, default="one"
        Whether any difference counts, or only :math:`\max(S_B - S_d, 0)`, as in the code of
        MALA: pairs whose descriptors are more similar than their targets, which a network cannot
        distinguish well.
    random_state : int, RandomState instance or None, default=None
        Seed for drawing the points.

    Returns
    -------
    float
        Between 0 and 2. Vectors of zeros count as equal to each other and as not similar to any
        other.

    References
    ----------
    .. [1] L. Fiedler et al., "Training-free hyperparameter optimization of neural networks for
       electronic structures in matter", Mach. Learn.: Sci. Technol. 3, 045008 (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from skldos.search import acsd
    >>> targets = np.random.default_rng(0).random((50, 4))
    >>> acsd(3 * targets, targets) < acsd(targets[::-1], targets)
    True
    """
    check_option("sided", sided, SIDED)
    descriptors, targets = checked_rows(descriptors, targets)
    n_rows = descriptors.shape[0]
    if n_rows < 2:
        raise ValueError(f"a pair needs two points, got {n_rows}.")
    for name, array in (("descriptors", descriptors), ("targets", targets)):
        if array.shape[1] < 2:
            raise ValueError(
                f"{name} must have two columns or more, got {array.shape[1]}: cosines of numbers "
                "carry no information."
            )
    n_points = n_rows if n_pairs is None else min(n_rows, _n_points(n_pairs))
    x, y = drawn_rows(descriptors, targets, n_points, random_state)
    x, y = _unit("descriptors", x), _unit("targets", y)
    total = 0.0
    for batch in gen_batches(n_points, BATCH_ROWS):
        difference = x[batch] @ x.T - y[batch] @ y.T
        difference = np.abs(difference) if sided == "two" else np.maximum(difference, 0)
        # A point and itself do not form a pair.
        difference[np.arange(len(difference)), np.arange(batch.start, batch.stop)] = 0
        total += difference.sum()
    return float(total / (n_points * (n_points - 1)))


@documented(OF_SCORERS)
class ACSDScorer(Scorer):
    r"""Negative average cosine-similarity difference between descriptors and LDOS.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. It evaluates a transformer, or the transformers of a
    pipeline, without any network; see :func:`acsd`.

    The score uses the output of the last transformer. In the raw bispectrum a few large components
    dominate; ``RowWise(StandardScaler(with_mean=False))`` gives all components equal weight. Do not
    centre them for the two-sided form: the LDOS is positive, with cosines near 1, while those of
    centred features average to nearly 0, and the difference is nearly 1 for any descriptors.

    On aluminium the one-sided form roughly ranks cutoffs and orders like their errors after
    training; the two-sided form of the paper gives the opposite ranking (benchmarks).

    Parameters
    ----------
    n_pairs : int or None, default=40000
        Minimum number of pairs of points per snapshot; None uses all.
    sided : {"one", "two"}, default="one"
        Whether any difference counts, or only descriptors that are more similar than the LDOS.
    %(random_state)s

    Raises
    ------
    %(ScoringError)s

    See Also
    --------
    acsd : The formula, for two arrays.
    NASWOTScorer : The same idea for networks.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skldos import GridSNAPTransformer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.search import ACSDScorer
    >>> search = GridSearchCV(
    ...     GridSNAPTransformer(twojmax=4),
    ...     {"r_cut": [2.5, 4.0]},
    ...     scoring=ACSDScorer(random_state=0),
    ...     cv=2,
    ... ).fit(make_snapshots(2, random_state=0))
    >>> search.cv_results_["mean_test_score"].shape
    (2,)
    """

    def __init__(self, n_pairs=40000, *, sided="one", random_state=None):
        if n_pairs is not None:
            n_pairs = check_scalar("n_pairs", n_pairs, low=1, integer=True)
        self.n_pairs = n_pairs
        self.sided = check_option("sided", sided, SIDED)
        self.random_state = random_state

    def differences(self, estimator, X, y=None):
        """Return the average cosine-similarity difference of every snapshot.

        Parameters
        ----------
        %(estimator)s
        %(X)s
        %(y)s

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Differences between 0 and 2.
        """
        rng = check_random_state(self.random_state)
        score = partial(acsd, n_pairs=self.n_pairs, sided=self.sided, random_state=rng)
        return over_snapshots(score, estimator, X, y)

    def __call__(self, estimator, X, y=None):
        """Return the negative mean difference."""
        return -float(np.mean(self.differences(estimator, X, y)))


def _n_points(n_pairs):
    """Return the smallest number of points with at least `n_pairs` pairs."""
    n_pairs = check_scalar("n_pairs", n_pairs, low=1, integer=True)
    # n (n − 1) / 2 >= n_pairs, that is, 2 n − 1 >= √(8 n_pairs + 1), rounded up
    root = math.isqrt(8 * n_pairs) + 1
    return (root + 2) // 2


def _unit(name, rows):
    """Return rows of unit length, whose products are cosines."""
    check_finite(name, rows)
    # Divide by the largest number first: the squares of tiny numbers would vanish.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    zero = largest == 0
    rows = rows / np.where(zero, 1, largest)
    rows /= np.where(zero, 1, np.linalg.norm(rows, axis=1, keepdims=True))
    # Zero vectors get a direction of their own, shared with no other vector.
    return np.hstack([rows, zero])
