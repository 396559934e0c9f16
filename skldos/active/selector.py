"""Selection of the snapshots from which a model would learn most."""

import numpy as np
from ase import Atoms
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skldos.data import Snapshot
from skldos.links import PageLinkMixin
from skldos.uncertainty.energies import (
    covariance_units,
    energy_covariance,
    inputs_of,
    sampler_and_inputs,
)
from skldos.validation import check_option, check_scalar

STRATEGIES = ("uncertainty", "diversity", "both", "reduction", "random")


class SnapshotSelector(PageLinkMixin, BaseEstimator):
    r"""Select the next configurations for DFT from a pool without LDOS.

    All strategies are greedy: they pick a snapshot, account for what the model would learn from it,
    and pick the next.

    ===============  ==========================================================================
    strategy         the next snapshot is the one
    ===============  ==========================================================================
    "uncertainty"    whose band energy per atom has the largest variance :math:`C_{kk}`, given
                     those picked before
    "diversity"      whose mean descriptor is farthest from those of all labelled and picked
                     snapshots
    "both"           with the largest product of standard deviation and that distance
    "reduction"      that lowers the variances of all others most, by
                     :math:`\sum_{j \ne k} C_{jk}^2 / C_{kk}` plus its own
    "random"         picked at random, for comparison
    ===============  ==========================================================================

    C is the covariance of the errors of the band energies, from
    :func:`~skldos.uncertainty.energy_covariance`; a pick k changes it to
    :math:`C_{ij} - C_{ik} C_{kj} / C_{kk}`. If the model knows the effect of all sites of the
    snapshot in closed form (:meth:`~skldos.uncertainty.RidgePosterior.condition`), the exact
    remaining covariance is used instead.

    Parameters
    ----------
    strategy : {"uncertainty", "diversity", "both", "reduction", "random"}, default="uncertainty"
        Selection criterion.
    n_select : int, default=1
        Number of picks; the size of the pool ranks all of it.
    random_state : int, RandomState or None, default=None
        Only for ``"random"``; the others return the first of several equals.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import ADOSRegressor, AtomSNAPTransformer, RowWise, SiteRegressor
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.active import SnapshotSelector
    >>> from skldos.uncertainty import RidgePosterior
    >>> snapshots = make_snapshots(8, random_state=0)
    >>> labelled, pool = snapshots[:3], snapshots[3:]
    >>> model = make_pipeline(
    ...     AtomSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     ADOSRegressor(RidgePosterior(SiteRegressor(Ridge(1e-3)))),
    ... ).fit(labelled)
    >>> picked = SnapshotSelector("both", n_select=2).select(model, pool, labelled)
    >>> len(set(picked))
    2
    """

    def __init__(self, strategy="uncertainty", n_select=1, *, random_state=None):
        self.strategy = strategy
        self.n_select = n_select
        self.random_state = random_state

    def fit(self, X=None, y=None):
        """Check the parameters; `X` and `y` are ignored.

        Returns
        -------
        self
            The selector.
        """
        check_option("strategy", self.strategy, STRATEGIES)
        check_scalar("n_select", self.n_select, low=1, integer=True)
        return self

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        return tags

    def select(self, estimator, pool, labelled=None):
        """Pick snapshots.

        Parameters
        ----------
        estimator : estimator
            Fitted to the labelled snapshots. For all but ``"diversity"`` and ``"random"`` it
            must provide uncertainties, see :func:`~skldos.uncertainty.energy_uncertainty`.
        pool : sequence of Snapshot, or Blocks
            Configurations to pick from; they need energies, temperature and number of electrons,
            but no LDOS.
        labelled : sequence of Snapshot, or Blocks, optional
            The training data of the estimator, required for ``"diversity"`` and ``"both"``.

        Returns
        -------
        ndarray of int of shape (n_select,)
            Positions in the pool, in order of selection.

        Raises
        ------
        ValueError
            If the pool is too small, or `labelled` is needed and missing.
        TypeError
            If the strategy needs uncertainties and the estimator has none.
        """
        n_select = self.fit().n_select
        if isinstance(pool, (Atoms, Snapshot)) or not hasattr(pool, "__len__"):
            raise TypeError(f"pool must be a sequence of snapshots, got {type(pool).__name__}.")
        if n_select > len(pool):
            raise ValueError(
                f"n_select must be at most the size of the pool, {len(pool)}, got {n_select}."
            )
        if self.strategy == "random":
            return check_random_state(self.random_state).permutation(len(pool))[:n_select]
        spread = self._spread(estimator, pool, labelled)
        variance = None if self.strategy == "diversity" else _covariance(estimator, pool)
        picked = []
        for _ in range(n_select):
            scores = self._scores(variance, spread)
            scores[picked] = -np.inf
            picked.append(int(np.argmax(scores)))
            for criterion in (variance, spread):
                if criterion is not None:
                    criterion.pick(picked[-1])
        return np.array(picked)

    def _spread(self, estimator, pool, labelled):
        if self.strategy not in ("diversity", "both"):
            return None
        if labelled is None or len(labelled) == 0:
            raise ValueError(
                f"strategy {self.strategy!r} needs labelled: the snapshots the estimator was "
                "fitted to."
            )
        return _Spread(*(_mean_descriptors(estimator, snapshots) for snapshots in (pool, labelled)))

    def _scores(self, variance, spread):
        """Return the criterion for every snapshot of the pool; the largest is picked."""
        if self.strategy == "diversity":
            return spread.distances.copy()
        variances = np.maximum(np.diag(variance.matrix), 0.0)
        if self.strategy == "uncertainty":
            return variances
        if self.strategy == "both":
            return np.sqrt(variances) * spread.distances
        gained = np.square(variance.matrix).sum(axis=1)
        return np.divide(gained, variances, out=np.zeros_like(variances), where=variances > 0)


class _Spread:
    """Distances of the snapshots of a pool from the nearest known snapshot."""

    def __init__(self, pool, labelled):
        self._pool = pool
        self.distances = _distances(pool, labelled).min(axis=1)

    def pick(self, k):
        """Treat snapshot `k` as known."""
        distances = _distances(self._pool, self._pool[k : k + 1])[:, 0]
        self.distances = np.minimum(self.distances, distances)


class _NormalVariance:
    """The covariance of the band energies of a pool, for a normal distribution."""

    def __init__(self, matrix):
        self.matrix = matrix

    def pick(self, k):
        """Treat the band energy of snapshot `k` as known."""
        column = self.matrix[:, k]
        if column[k] > 0:
            self.matrix = self.matrix - np.outer(column, column) / column[k]


class _PosteriorVariance:
    """The covariance of the band energies of a pool, from a closed-form posterior."""

    def __init__(self, sampler, blocks, snapshots):
        self._sampler, self._blocks = sampler, blocks
        # These stay, and V shrinks.
        self._units = covariance_units(sampler, blocks, snapshots)
        self.matrix = self._units * sampler.sum_covariance(blocks)

    def pick(self, k):
        """Treat the targets of all sites of snapshot `k` as known."""
        self._sampler = self._sampler.condition(self._blocks[k : k + 1])
        self.matrix = self._units * self._sampler.sum_covariance(self._blocks)


def _covariance(estimator, pool):
    sampler, blocks, snapshots = sampler_and_inputs(estimator, pool)
    if hasattr(sampler, "condition"):
        return _PosteriorVariance(sampler, blocks, snapshots)
    return _NormalVariance(energy_covariance(estimator, pool))


def _mean_descriptors(estimator, X):
    """Return the mean row of the last step's input for every snapshot."""
    blocks, _ = inputs_of(estimator, X)
    means = [np.mean(block, axis=0, dtype=float).ravel() for block in blocks]
    return np.array(means)


def _distances(a, b):
    return np.sqrt(np.square(a[:, None] - b[None]).sum(axis=2))
