"""A regressor of the densities of states of atoms that makes its own targets."""

import math

from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from skldos.data import is_blocks
from skldos.decomposition import ADOSDecomposer
from skldos.regressors._checks import common_broadening, common_energies
from skldos.regressors._score import coefficient_of_determination


class ADOSRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Fit the density of states of every atom, decomposed from the LDOS inside ``fit``.

    At the end of a pipeline it lets ``fit(snapshots)`` work without `y`, and the decomposition has
    parameters that a search can vary: which partition is learned best shows in the error of
    the band energy, since the sum over the atoms does not depend on it.

    Parameters
    ----------
    regressor : estimator
        Regressor of blocks: a :class:`~skldos.regressors.site.SiteRegressor` around one of
        scikit-learn, or a network.
    decomposer : ADOSDecomposer, optional
        What makes the targets; None makes an :class:`~skldos.decomposition.ADOSDecomposer`. Set
        its `memory` where the same snapshots are decomposed again and again, as in a search.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    decomposer_ : ADOSDecomposer
        The fitted decomposer.
    energies_ : ndarray of shape (n_energies,)
        Energies of the densities of states in eV.
    broadening_, kernel_ : float and str, or None
        How the LDOS of the snapshots was broadened, as in :class:`~skldos.EnergyGrid`.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import AtomSNAPTransformer, BandEnergyScorer, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.regressors.ados import ADOSRegressor
    >>> from skldos.regressors.site import SiteRegressor
    >>> model = make_pipeline(
    ...     AtomSNAPTransformer(twojmax=4),
    ...     RowWise(StandardScaler()),
    ...     ADOSRegressor(SiteRegressor(Ridge())),
    ... )
    >>> search = GridSearchCV(
    ...     model,
    ...     {"adosregressor__decomposer__sigma": [0.8, 1.3]},
    ...     scoring=BandEnergyScorer(),
    ...     cv=2,
    ... ).fit(make_snapshots(4, random_state=0))
    >>> search.predict(make_snapshots(1, random_state=1))
    Blocks(1 of shape (4, 21))
    """

    def __init__(self, regressor, decomposer=None):
        self.regressor = regressor
        # Made here, not in fit: a search must find the parameters of the default one, too.
        self.decomposer = ADOSDecomposer() if decomposer is None else decomposer

    def fit(self, X, y=None):
        """Decompose the LDOS of the snapshots behind the blocks and fit the regressor.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot, made of snapshots by a transformer.
        y : sequence of array-like of shape (n_x, n_y, n_z, n_energies), optional
            LDOS to be decomposed; None takes those of the snapshots.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        SnapshotError
            If a snapshot has no LDOS, or another energy grid than the others.
        ValueError
            If the blocks do not know their snapshots, or have not one row per atom.
        """
        snapshots = self._snapshots(X, y)
        self.decomposer_ = clone(self.decomposer)
        targets = self.decomposer_.fit_transform(snapshots)
        self.energies_ = common_energies(snapshots)
        self.broadening_, self.kernel_ = common_broadening(snapshots)
        self.n_features_in_ = math.prod(X[0].shape[1:])
        self.regressor_ = clone(self.regressor).fit(X, targets)
        return self

    def predict(self, X, **options):
        """Predict the density of states of every atom.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot.
        **options : dict
            What else ``predict`` of the regressor takes.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_energies)`` per snapshot, in 1/eV.
        """
        check_is_fitted(self)
        return self.regressor_.predict(X, **options)

    def predict_sum(self, X):
        """Predict the density of states of every snapshot, the sum over its atoms.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_snapshots, n_energies)
            In 1/eV.
        """
        check_is_fitted(self)
        return self.decomposer_.inverse_transform(self.regressor_.predict(X))

    def score(self, X, y=None):
        r"""Return the coefficient of determination of the densities of states of atoms.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot.
        y : sequence of array-like of shape (n_x, n_y, n_z, n_energies), optional
            True LDOS; None takes those of the snapshots.

        Returns
        -------
        float
            :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` over all atoms and energies.
        """
        check_is_fitted(self)
        true = self.decomposer_.transform(self._snapshots(X, y))
        return coefficient_of_determination(zip(true, self.predict(X), strict=True))

    def _snapshots(self, X, y):
        """Return the snapshots behind the blocks, with the LDOS `y` if that is given."""
        if not is_blocks(X) or getattr(X, "snapshots", None) is None:
            raise ValueError(
                f"{type(self).__name__} takes blocks that know their snapshots, got "
                f"{type(X).__name__}: put a transformer such as AtomSNAPTransformer before it, in "
                "a pipeline."
            )
        snapshots = X.snapshots
        for i, (block, snapshot) in enumerate(zip(X, snapshots, strict=True)):
            if len(block) != len(snapshot.atoms):
                raise ValueError(
                    f"X[{i}] must have one row per atom of {snapshot!r}, got {len(block)}."
                )
        if y is None:
            return snapshots
        if len(y) != len(X):
            raise ValueError(f"X has {len(X)} blocks, but y has {len(y)}; they must match.")
        return [s.replace(ldos=ldos) for s, ldos in zip(snapshots, y, strict=True)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags
