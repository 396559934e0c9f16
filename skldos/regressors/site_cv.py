"""Ridge regression on blocks with cross-validated penalty and weight of the sums."""

from functools import partial

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from skldos.data import iter_slices
from skldos.docstrings import documented, like
from skldos.links import PageLinkMixin
from skldos.prediction import dos_of_block
from skldos.regressors.checks import (
    checked_candidates,
    checked_dataset,
    checked_weights,
    linked_snapshots,
)
from skldos.regressors.parameters import OF_SITES
from skldos.regressors.ridge_left_out import LeaveOneOutRidge
from skldos.regressors.site import SiteRegressor, energy_weights
from skldos.validation import check_finite, check_option


@documented(OF_SITES)
class SiteRidgeCV(PageLinkMixin, RegressorMixin, BaseEstimator):
    r"""Ridge regression on blocks, with a penalty chosen by leaving out one snapshot at a time.

    The counterpart of ``RidgeCV`` for blocks: a :class:`~skldos.SiteRegressor` around ``Ridge``. It
    chooses the `alpha` and `dos_weight` with the smallest leave-one-out root mean square error of
    the band energies, or of the densities of states, of the training snapshots. The rows of one
    snapshot belong together, so they are left out together.

    This needs a single fit: the errors of a block in a model without it follow from the model of
    all blocks, and one singular value decomposition serves all penalties, see
    ``skldos/regressors/ridge_left_out.py``. Blocks are read one at a time, so their number is not
    limited.

    Parameters
    ----------
    alphas : sequence of float, default=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
        Penalties to choose from, for features of order one.
    dos_weights : sequence of float, default=(1e2, 1e3, 1e4, 1e5)
        Weights of the sums, :math:`\lambda`, to choose from.
    criterion : {"band_energy", "dos"}, default="band_energy"
        The errors that are compared: of band energies or of densities of states. Spectra that are
        aligned to the mean energy of the electrons (``ADOSRegressor(align="band")``) all have the
        same band energy and therefore require "dos".
    n_jobs : int, optional
        Number of joblib workers over the snapshots; the result does not depend on it.

    Attributes
    ----------
    alpha_, dos_weight_ : float
        The chosen values; the first of several equals.
    errors_ : ndarray of shape (n_dos_weights, n_alphas, n_snapshots)
        Leave-one-out errors. Those of band energies are predicted minus true, in meV/atom, to first
        order in the errors of the DOS, :math:`w \cdot \delta D`; those of the DOS are
        :math:`\sum_E |\delta D| / \sum_E |D|` in per cent.
    best_score_ : float
        Negative root mean square of the chosen errors, in meV/atom or per cent. You can compare
        descriptors by it. It is somewhat optimistic, because it is the best of several.
    regressor_ : SiteRegressor
        The final model, fitted to all snapshots; pass it to :class:`~skldos.RidgePosterior` for
        uncertainties.
    energies_, broadening_, kernel_, n_features_in_
        As in the regressor.

    See Also
    --------
    skldos.SiteRegressor : Fixed weights, and any scikit-learn regressor.

    Examples
    --------
    >>> from skldos import AtomSNAPTransformer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.decomposition import ADOSDecomposer
    >>> from skldos.regressors.site_cv import SiteRidgeCV
    >>> snapshots = make_snapshots(5, random_state=0)
    >>> X = AtomSNAPTransformer(twojmax=2).fit_transform(snapshots)
    >>> y = ADOSDecomposer().fit_transform(snapshots)
    >>> model = SiteRidgeCV(alphas=[1e-3, 1e-1, 10], dos_weights=[10]).fit(X[:4], y[:4])
    >>> model.alpha_ in (1e-3, 1e-1, 10)
    True
    >>> model.errors_.shape
    (1, 3, 4)
    >>> model.predict(X[4:])
    Blocks(1 of shape (4, 21))
    """

    def __init__(
        self,
        alphas=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        dos_weights=(1e2, 1e3, 1e4, 1e5),
        *,
        criterion="band_energy",
        n_jobs=None,
    ):
        self.alphas = alphas
        self.dos_weights = dos_weights
        self.criterion = criterion
        self.n_jobs = n_jobs

    def fit(self, X, y=None, sample_weight=None):
        """Choose the penalty and the weight, and fit the model.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot, made of snapshots by a transformer;
            at least two.
        %(y)s
        sample_weight : array-like of shape (n_snapshots,), optional
            Weights of the snapshots in the fit and in the mean of squared errors: 2 means two
            copies, which are left out together; 0 leaves a snapshot out. None weights all equally.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If blocks are not linked to snapshots, are too few or do not match the targets.
        SnapshotError
            If a snapshot lacks energies; for band energies, a temperature or a number of electrons.
        """
        check_option("criterion", self.criterion, tuple(MEASURES))
        alphas = checked_candidates("alphas", self.alphas)
        weights = checked_candidates("dos_weights", self.dos_weights, strict=False)
        snapshots = linked_snapshots(X, type(self).__name__)
        if len(X) < 2:
            raise ValueError(
                f"{type(self).__name__} chooses by leaving out snapshots, which needs at least two "
                f"of them, got {len(X)}. With one, set what it would choose: "
                "SiteRegressor(Ridge(alpha), dos_weight=...), or alpha of skldos.models.atoms()."
            )
        y = snapshots.targets if y is None else y
        counts = checked_weights(sample_weight, len(X))
        if counts is not None:
            present = np.flatnonzero(counts)
            if len(present) < 2:
                raise ValueError("sample_weight must be above zero for at least two snapshots.")
            X, y, counts = X[present], [y[i] for i in present], counts[present]
            snapshots = X.snapshots
        dataset = checked_dataset(X, y)
        for name, blocks in (("X", dataset.inputs), ("y", dataset.targets)):
            for i, block in enumerate(blocks):
                for rows in iter_slices(block):
                    check_finite(f"{name}[{i}]", rows)
        measures = map(MEASURES[self.criterion], dataset.targets, snapshots)
        multiplicities = np.ones(len(X)) if counts is None else counts
        models = [LeaveOneOutRidge(dataset, weight, multiplicities) for weight in weights]
        arguments = zip(dataset.inputs, dataset.targets, multiplicities, measures, strict=True)
        tasks = (delayed(_errors)(models, alphas, *args) for args in arguments)
        self.errors_ = np.stack(Parallel(n_jobs=self.n_jobs)(tasks), axis=-1)
        scores = -np.sqrt(np.average(self.errors_**2, axis=2, weights=counts))
        best = np.unravel_index(np.argmax(scores), scores.shape)
        self.best_score_ = float(scores[best])
        self.dos_weight_, self.alpha_ = weights[best[0]], alphas[best[1]]
        model = SiteRegressor(Ridge(self.alpha_), dos_weight=self.dos_weight_, n_jobs=self.n_jobs)
        self.regressor_ = model.fit(X, y, counts)
        for name in ("energies_", "broadening_", "kernel_", "calculation_", "n_features_in_"):
            setattr(self, name, getattr(self.regressor_, name))
        return self

    @like(SiteRegressor.predict)
    def predict(self, X):
        check_is_fitted(self)
        return self.regressor_.predict(X)

    @like(SiteRegressor.predict_sum)
    def predict_sum(self, X):
        check_is_fitted(self)
        return self.regressor_.predict_sum(X)

    @like(SiteRegressor.predict_lazy)
    def predict_lazy(self, X):
        check_is_fitted(self)
        return self.regressor_.predict_lazy(X)

    def score(self, X, y=None):
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        %(X)s
        y : sequence of array-like, optional
            True targets, as in :meth:`fit`.

        Returns
        -------
        float
            As :meth:`skldos.SiteRegressor.score`.
        """
        check_is_fitted(self)
        return self.regressor_.score(X, y)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


def _of_band_energy(target, snapshot):
    """Return a function of errors of sums over the rows of a block: band energies in meV/atom."""
    n_rows = target.shape[0]
    of_row = dos_of_block(np.ones((n_rows, 1)), snapshot)[0] / n_rows
    slope = 1e3 * of_row * energy_weights(target, snapshot) / len(snapshot.atoms)
    return partial(_along, slope=slope)


def _of_dos(target, snapshot):
    """Return a function of errors of sums over the rows of a block: densities of states in %."""
    snapshot.require("energies")
    total = sum(rows.sum(axis=0, dtype=float) for rows in iter_slices(target))
    return partial(_relative_error, total=np.abs(total).sum())


def _along(errors, slope):
    return errors @ slope


def _relative_error(errors, total):
    return 100 * np.abs(errors).sum(axis=-1) / total


#: What is compared, by the name of the criterion.
MEASURES = {"band_energy": _of_band_energy, "dos": _of_dos}


def _errors(models, alphas, block, target, count, measure):
    """Return the measure of the left-out errors of the sums, predicted minus true."""
    return [measure(-model.sum_errors(block, target, count, alphas)) for model in models]
