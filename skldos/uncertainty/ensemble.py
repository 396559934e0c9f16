"""Several models of the same kind, which disagree where they know little."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos._validation import check_option, check_scalar
from skldos.data import Blocks
from skldos.uncertainty._base import UncertainRegressor, as_blocks


class DeepEnsemble(UncertainRegressor):
    """Fit several regressors that differ by their random states.

    Predictions are means over the members, uncertainties the deviations between them [1]_.

    Parameters
    ----------
    regressor : estimator
        Regressor of blocks, with a ``random_state`` somewhere among its parameters: a network,
        or an :class:`~skldos.ADOSRegressor` around one.
    n_members : int, default=5
        Number of regressors.
    bootstrap : bool, default=False
        Whether every member is fitted to as many snapshots (or rows, of plain arrays) drawn with
        replacement, which makes members differ that have no random state.
    random_state : int, RandomState or None, default=None
        Where all the random states of the members come from.
    n_jobs : int, optional
        Members that are fitted at the same time, in processes of their own.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted members.
    energies_, broadening_, kernel_, n_features_in_
        As the members have them.

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
    >>> ensemble = DeepEnsemble(network, n_members=3, random_state=0).fit(X, y)
    >>> mean, std = ensemble.predict(X, return_std=True)
    >>> std
    Blocks(4 of shape (4, 21), (4, 21), (4, 21), (4, 21))
    >>> ensemble.sample_sums(X).shape
    (3, 4, 21)
    """

    def __init__(self, regressor, n_members=5, *, bootstrap=False, random_state=None, n_jobs=None):
        self.regressor = regressor
        self.n_members = n_members
        self.bootstrap = bootstrap
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X, y=None):
        """Fit all members.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            What the members take.
        y : sequence of array-like or array-like of shape (n_rows, n_outputs), optional
            Their targets; None takes those of the snapshots.

        Returns
        -------
        self
            The fitted ensemble.

        Raises
        ------
        ValueError
            If nothing would make the members differ.
        """
        check_scalar("n_members", self.n_members, low=2, integer=True)
        check_option("bootstrap", self.bootstrap, (True, False))
        names = [name for name in self.regressor.get_params() if _is_random_state(name)]
        if not names and not self.bootstrap:
            raise ValueError(
                "regressor must have a random_state among its parameters, or bootstrap be True, "
                f"lest all members are the same; got {self.regressor!r}."
            )
        rng = check_random_state(self.random_state)
        jobs = [self._draw_member(rng, names, X, y) for _ in range(self.n_members)]
        self.estimators_ = Parallel(n_jobs=self.n_jobs)(delayed(_fit)(*job) for job in jobs)
        self._take_over(self.estimators_[0])
        return self

    def sample_sums(self, X):
        """Return the sums of the targets over the sites, as every member predicts them.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_members, n_snapshots, n_outputs)
            For atoms densities of states in 1/eV.
        """
        check_is_fitted(self)
        return np.stack([_sums(member, X) for member in self.estimators_])

    def _draw_member(self, rng, names, X, y):
        """Return an unfitted member and its data."""
        states = {name: rng.randint(np.iinfo(np.int32).max) for name in sorted(names)}
        member = clone(self.regressor).set_params(**states)
        if not self.bootstrap:
            return member, X, y
        chosen = rng.randint(len(X), size=len(X))
        return member, _take(X, chosen), None if y is None else _take(y, chosen)

    def _mean_and_std(self, blocks):
        for block in blocks:
            X = Blocks([block])
            predicted = np.stack([np.asarray(m.predict(X)[0]) for m in self.estimators_])
            # About the first, so that members that agree have no deviation at all.
            apart = predicted.astype(float) - predicted[0]
            yield predicted[0] + apart.mean(axis=0), apart.std(axis=0, ddof=1)


def _is_random_state(name):
    return name == "random_state" or name.endswith("__random_state")


def _fit(member, X, y):
    return member.fit(X, y)


def _take(data, indices):
    """Return chosen blocks, or rows, with the snapshots behind them."""
    return data[indices] if isinstance(data, np.ndarray) else [data[i] for i in indices]


def _sums(member, X):
    if hasattr(member, "predict_sum"):
        return member.predict_sum(X)
    return np.stack([np.sum(block, axis=0, dtype=float) for block in member.predict(as_blocks(X))])
