"""Ensembles of models of the same kind; their disagreement measures the uncertainty."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks
from skldos.docstrings import documented
from skldos.regressors.checks import check_predicts_rows, checked_weights, weights_for
from skldos.uncertainty._base import OF_UNCERTAIN, UncertainRegressor, as_blocks
from skldos.validation import check_option, check_scalar


@documented(OF_UNCERTAIN)
class DeepEnsemble(UncertainRegressor):
    """Ensemble of regressors fitted with different seeds.

    The prediction is the mean over the members, the uncertainty their standard deviation [1]_.

    Parameters
    ----------
    regressor : estimator
        Regressor of blocks, with a ``random_state`` somewhere among its parameters: a network,
        or an :class:`~skldos.ADOSRegressor` around one.
    n_estimators : int, default=5
        Number of regressors.
    bootstrap : bool, default=False
        Whether to fit every member to snapshots (or rows of plain arrays) drawn with replacement,
        as many as there are. This makes members differ even without a random state.
    n_jobs : int, optional
        Number of members fitted at the same time, each in its own process.
    random_state : int, RandomState or None, default=None
        Seed of the random states of the members.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted members.
    %(energies_)s

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and scalable predictive
       uncertainty estimation using deep ensembles", NeurIPS (2017).

    Examples
    --------
    >>> from skldos import AtomSNAPTransformer, LDOSRegressor
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.decomposition import ADOSDecomposer
    >>> from skldos.uncertainty import DeepEnsemble
    >>> snapshots = make_snapshots(4, random_state=0)
    >>> X = AtomSNAPTransformer(twojmax=2).fit_transform(snapshots)
    >>> y = ADOSDecomposer().fit_transform(snapshots)
    >>> network = LDOSRegressor(module__hidden_layer_sizes=(8,), max_epochs=5)
    >>> ensemble = DeepEnsemble(network, n_estimators=3, random_state=0).fit(X, y)
    >>> mean, std = ensemble.predict(X, return_std=True)
    >>> std
    Blocks(4 of shape (4, 21), (4, 21), (4, 21), (4, 21))
    >>> ensemble.sample_sums(X).shape
    (3, 4, 21)
    """

    def __init__(
        self, regressor, n_estimators=5, *, bootstrap=False, n_jobs=None, random_state=None
    ):
        self.regressor = regressor
        self.n_estimators = n_estimators
        self.bootstrap = bootstrap
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X, y=None, sample_weight=None):
        """Fit all members.

        Parameters
        ----------
        %(X)s
        %(y)s
        %(sample_weight)s

        Returns
        -------
        self
            The fitted ensemble.

        Raises
        ------
        ValueError
            If the members would all be the same.
        """
        check_predicts_rows("regressor", self.regressor)
        check_scalar("n_estimators", self.n_estimators, low=2, integer=True)
        check_option("bootstrap", self.bootstrap, (True, False))
        params = self.regressor.get_params()
        names = [name for name in params if name.split("__")[-1] == "random_state"]
        if not names and not self.bootstrap:
            raise ValueError(
                "regressor must have a parameter random_state, or bootstrap must be True, so that "
                f"the members differ; got {self.regressor!r}."
            )
        rng = check_random_state(self.random_state)
        data = X, y, sample_weight
        jobs = [self._draw_member(rng, names, *data) for _ in range(self.n_estimators)]
        self.estimators_ = Parallel(n_jobs=self.n_jobs)(delayed(_fit)(*job) for job in jobs)
        self._take_over(self.estimators_[0])
        return self

    def sample_sums(self, X):
        """Return the sums of the targets over the sites for every member.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_estimators, n_snapshots, n_outputs)
            For atoms, densities of states in 1/eV.
        """
        check_is_fitted(self)
        return np.stack([_sums(member, X) for member in self.estimators_])

    def _draw_member(self, rng, names, X, y, sample_weight):
        """Return an unfitted member and its data."""
        states = {name: rng.randint(np.iinfo(np.int32).max) for name in sorted(names)}
        member = clone(self.regressor).set_params(**states)
        if not self.bootstrap:
            return member, X, y, weights_for(sample_weight)
        indices = rng.randint(len(X), size=len(X))
        if sample_weight is not None:
            sample_weight = checked_weights(sample_weight, len(X))[indices]
        y = None if y is None else _take(y, indices)
        return member, _take(X, indices), y, weights_for(sample_weight)

    def _mean_and_std(self, blocks):
        for block in blocks:
            X = Blocks([block])
            predicted = np.stack([np.asarray(m.predict(X)[0]) for m in self.estimators_])
            # Deviations from the first member, so that members that agree have exactly zero
            # deviation.
            deviations = predicted.astype(float) - predicted[0]
            yield predicted[0] + deviations.mean(axis=0), deviations.std(axis=0, ddof=1)


def _fit(member, X, y, weights):
    return member.fit(X, y, **weights)


def _take(data, indices):
    """Return selected blocks, or rows, with their snapshots."""
    return data[indices] if isinstance(data, np.ndarray) else [data[i] for i in indices]


def _sums(member, X):
    if hasattr(member, "predict_sum"):
        return member.predict_sum(X)
    return np.stack([np.sum(block, axis=0, dtype=float) for block in member.predict(as_blocks(X))])
