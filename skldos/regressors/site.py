"""scikit-learn regressors on blocks, with a loss that weights the sums over sites."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skldos.data import Blocks, as_lazy, is_blocks
from skldos.data.calculation import common_calculation
from skldos.docstrings import documented
from skldos.links import PageLinkMixin
from skldos.prediction import dos_of_block
from skldos.prediction.completeness import warn_of_training_data
from skldos.prediction.observables import band_energy_weights
from skldos.regressors.block_dataset import as_block
from skldos.regressors.checks import (
    check_carried,
    check_predicts_rows,
    checked_dataset,
    checked_weights,
    common_broadening,
    common_energies,
    validated_rows,
    weights_for,
)
from skldos.regressors.feature_range import feature_range, warn_outside
from skldos.regressors.parameters import OF_SITES
from skldos.regressors.ridge_sums import RidgeSums, fits_by_sums
from skldos.regressors.site_sums import SiteSums
from skldos.validation import check_option, check_scalar


@documented(OF_SITES)
class SiteRegressor(PageLinkMixin, SiteSums, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    r"""Fit a scikit-learn regressor to the rows of all blocks.

    A row is a site: an atom with its density of states, or a grid point with its LDOS. Errors of
    single sites matter less than errors of their sums. A linear regressor therefore minimises, with
    the error :math:`\Delta_r` of row r, the mean error :math:`\bar\Delta_k` of the :math:`n_k` rows
    of snapshot k, and besides its own penalty,

    .. math:: \sum_k \Big[ \sum_{r \in k} |\Delta_r|^2 + \lambda n_k |\bar\Delta_k|^2
              + \kappa\, n_k (u \cdot \bar\Delta_k)^2 \Big] .

    The second term is the error of the density of states. The third is that of the band energy,
    which changes at constant number of electrons by

    .. math:: \delta E_\mathrm{band} = \int (E - \mu) f(E)\, \delta D(E)\, dE = w \cdot \delta D,

    to first order; *u* is the unit vector along the mean of *w* at the Fermi levels of the training
    snapshots. Both terms keep the closed form: the mean of the rows of a snapshot becomes one more
    row of weight :math:`\lambda n_k`. Since every output is fitted independently, the component
    along *u* is fitted a second time with weights :math:`(\lambda + \kappa) n_k`.

    Parameters
    ----------
    regressor : estimator
        Regressor that supports several outputs, such as ``Ridge``; wrap others in
        ``MultiOutputRegressor``.
    dos_weight : float, optional
        :math:`\lambda`; None means 0. Needs a regressor that is linear in its inputs (has
        ``coef_``) and accepts ``sample_weight``. Put scalers and feature maps before this
        regressor, in a :class:`~skldos.RowWise`.
    band_weight : float, optional
        :math:`\kappa`; None means 0. Needs blocks that are linked to snapshots, for the energies,
        temperatures and numbers of electrons.
    center : bool, default=True
        Whether to fit the difference to the mean target. Regressors without an intercept (kernels)
        need this.
    n_components : int, optional
        Number of principal components of the targets to fit; None fits the targets themselves.
        Without effect for one-dimensional targets. The component along *u* is always kept.
    n_jobs : int, optional
        Number of joblib workers. If `regressor` is a plain ``Ridge`` and `n_components` is None,
        they sum over the snapshots: blocks are then read slice by slice, and their number is not
        limited. Other regressors receive all rows at once.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    band_regressor_ : estimator or None
        Regressor of the component along `direction_`.
    direction_ : ndarray of shape (n_outputs,) or None
        The unit vector *u*.
    target_mean_ : ndarray of shape (n_outputs,)
        Mean target of a row, or zeros.
    components_ : ndarray of shape (n_components, n_outputs) or None
        Principal components of the targets.
    %(n_features_in_)s
    %(feature_range_)s
    %(energies_)s
    %(broadening_)s

    See Also
    --------
    skldos.regressors.ados.ADOSRegressor : Makes targets of atoms from the LDOS.
    skldos.regressors.site_cv.SiteRidgeCV : Chooses the penalty of a ``Ridge`` and `dos_weight`.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skldos import AtomSNAPTransformer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.decomposition import ADOSDecomposer
    >>> from skldos.regressors.site import SiteRegressor
    >>> snapshots = make_snapshots(4, random_state=0)
    >>> X = AtomSNAPTransformer(twojmax=4).fit_transform(snapshots)
    >>> y = ADOSDecomposer().fit_transform(snapshots)
    >>> model = SiteRegressor(Ridge(1e-3), dos_weight=10, band_weight=100).fit(X, y)
    >>> model.predict(X)
    Blocks(4 of shape (4, 21), (4, 21), (4, 21), (4, 21))
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def __init__(
        self,
        regressor,
        *,
        dos_weight=None,
        band_weight=None,
        center=True,
        n_components=None,
        n_jobs=None,
    ):
        self.regressor = regressor
        self.dos_weight = dos_weight
        self.band_weight = band_weight
        self.center = center
        self.n_components = n_components
        self.n_jobs = n_jobs

    # ---------------------------------------------------------------- fitting

    def fit(self, X, y=None, sample_weight=None):
        """Fit the regressor.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            One block ``(n_sites, n_features)`` per snapshot, or plain rows.
        y : sequence of array-like, array-like of shape (n_rows, n_outputs) or (n_rows,), optional
            %(y.text)s
        sample_weight : array-like of shape (n_snapshots,) or (n_rows,), optional
            Weights of the snapshots, or of plain rows: 2 counts twice, 0 is left out. None
            weights all equally.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If blocks and targets do not match or hold NaN, or if the regressor or the data do not
            support the given weights.
        """
        self._check_parameters()
        self._check_weighted(sample_weight)
        if is_blocks(X):
            dataset, direction, weights = self._blocks(X, y, sample_weight)
            if self.n_components is None and fits_by_sums(
                self.regressor, dataset.n_rows, self.n_features_in_
            ):
                return self._fit_by_sums(dataset, direction, weights)
            sizes = [len(block) for block in dataset.inputs]
            rows, targets = _joined("X", dataset.inputs), _joined("y", dataset.targets)
        else:
            rows, targets, weights = self._plain_rows(X, y, sample_weight)
            sizes = direction = None
        by_row = weights if weights is None or sizes is None else np.repeat(weights, sizes)
        self.target_mean_ = np.zeros(targets.shape[1:])
        if self.center:
            self.target_mean_ = np.average(targets, axis=0, weights=by_row)
        targets = targets - self.target_mean_
        self.components_ = self._principal_components(targets, by_row)
        self.direction_, self.band_regressor_ = direction, None
        scores = targets if self.components_ is None else targets @ self.components_.T
        weight = self.dos_weight or 0.0
        layout = sizes, weights, by_row
        self.regressor_ = self._fit_rows(rows, scores, weight, *layout)
        if direction is not None:
            weight += self.band_weight
            self.band_regressor_ = self._fit_rows(rows, targets @ direction, weight, *layout)
        return self

    def _check_parameters(self):
        check_predicts_rows("regressor", self.regressor)
        for name in ("dos_weight", "band_weight"):
            if getattr(self, name) is not None:
                check_scalar(name, getattr(self, name), low=0)
        check_option("center", self.center, (True, False))
        if self.n_components is not None:
            check_scalar("n_components", self.n_components, low=1, integer=True)
        weighted = bool(self.dos_weight or self.band_weight)
        if weighted and not has_fit_parameter(self.regressor, "sample_weight"):
            raise ValueError(
                "dos_weight and band_weight need a regressor that takes a sample_weight, got "
                f"{self.regressor!r}; scalers belong before this regressor, in a RowWise."
            )

    def _check_weighted(self, sample_weight):
        if sample_weight is not None and not has_fit_parameter(self.regressor, "sample_weight"):
            raise ValueError(
                f"sample_weight needs a regressor that takes one in fit, got {self.regressor!r}."
            )

    def _fit_by_sums(self, dataset, direction, weights):
        """Fit a ``Ridge`` of any number of rows."""
        about_zero = not self.regressor.fit_intercept
        sums = RidgeSums(dataset, weights, about_zero=about_zero, n_jobs=self.n_jobs)
        self.target_mean_ = sums.target_mean if self.center else np.zeros(self.n_outputs_)
        self.components_, self.direction_, self.band_regressor_ = None, direction, None
        weight = self.dos_weight or 0.0
        self.regressor_ = sums.fit(self.regressor, weight, self.target_mean_)
        if direction is not None:
            weight += self.band_weight
            self.band_regressor_ = sums.fit(self.regressor, weight, self.target_mean_, direction)
        return self

    def _plain_rows(self, X, y, sample_weight):
        """Return rows, targets and weights, without rows of zero weight."""
        if self.dos_weight or self.band_weight:
            raise ValueError(
                "dos_weight and band_weight need one block per snapshot, got plain rows, "
                "which do not show which rows belong together."
            )
        rows, targets = validated_rows(self, X, y, multi_output=True, y_numeric=True)
        self._learn_outputs(targets, None)
        self.feature_range_ = feature_range([rows])
        weights = checked_weights(sample_weight, len(rows))
        if weights is not None:
            present = weights > 0
            rows, targets, weights = rows[present], targets[present], weights[present]
        return rows, targets.astype(float), weights

    def _blocks(self, X, y, sample_weight):
        """Return blocks with targets, direction and weights, without blocks of zero weight."""
        snapshots, carried = getattr(X, "snapshots", None), y is None
        if carried:
            check_carried(self, snapshots)
            y = snapshots.targets
        dataset = checked_dataset(X, y)
        weights = checked_weights(sample_weight, len(dataset))
        if weights is not None:
            present = np.flatnonzero(weights)
            weights, dataset = weights[present], dataset.take(present)
            snapshots = None if snapshots is None else snapshots[present]
        self.__dict__.pop("feature_names_in_", None)
        self.n_features_in_ = dataset.inputs[0].shape[1]
        self._learn_outputs(dataset.targets[0], snapshots)
        self.feature_range_ = feature_range(dataset.inputs)
        if carried:
            warn_of_training_data(dataset.targets, snapshots)
        direction = None
        if self.band_weight:
            direction = self._band_direction(dataset.targets, snapshots, weights)
        return dataset, direction, weights

    def _learn_outputs(self, targets, snapshots):
        self.n_outputs_ = 1 if targets.ndim == 1 else targets.shape[1]
        self.energies_ = common_energies(snapshots)
        self.broadening_, self.kernel_ = common_broadening(snapshots)
        self.calculation_ = common_calculation(snapshots)

    def _band_direction(self, targets, snapshots, weights):
        """Return the unit vector along which an error of the DOS changes the band energy."""
        if snapshots is None:
            raise ValueError("band_weight needs blocks that are linked to snapshots, got others.")
        weights = np.ones(len(targets)) if weights is None else weights
        total = sum(
            weight * energy_weights(target, snapshot)
            for target, snapshot, weight in zip(targets, snapshots, weights, strict=True)
        )
        return total / np.linalg.norm(total)

    def _principal_components(self, targets, by_row):
        if self.n_components is None or targets.ndim == 1:
            return None
        if self.n_components > min(targets.shape):
            raise ValueError(
                f"n_components must be at most the numbers of rows and outputs, "
                f"{targets.shape}, got {self.n_components}."
            )
        if by_row is not None:
            targets = np.sqrt(by_row)[:, None] * targets
        return np.linalg.svd(targets, full_matrices=False)[2][: self.n_components]

    def _fit_rows(self, rows, targets, weight, sizes, snapshot_weights, by_row):
        """Return the regressor, fitted to the rows and, with a weight, to their means."""
        regressor = clone(self.regressor)
        if not weight:
            return regressor.fit(rows, targets, **weights_for(by_row))
        first = np.cumsum([0, *sizes[:-1]])
        means = [np.add.reduceat(a, first) / _column(sizes, a.ndim) for a in (rows, targets)]
        of_means = weight * np.asarray(sizes, dtype=float)
        if snapshot_weights is not None:
            of_means = of_means * snapshot_weights
        weights = np.concatenate([np.ones(len(rows)) if by_row is None else by_row, of_means])
        regressor.fit(
            np.concatenate([rows, means[0]]),
            np.concatenate([targets, means[1]]),
            sample_weight=weights,
        )
        if not hasattr(regressor, "coef_"):
            # Only for linear regressors, the mean of predictions is the prediction of the mean.
            raise ValueError(
                "dos_weight and band_weight need a regressor that is linear in its inputs, got "
                f"{self.regressor!r}, which has no coef_; put a feature map such as Nystroem "
                "before this regressor, in a RowWise, and use Ridge."
            )
        return regressor

    # ---------------------------------------------------------------- prediction

    def predict(self, X):
        """Predict the targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows.

        Returns
        -------
        Blocks or ndarray
            One block ``(n_sites, n_outputs)`` per snapshot, or an array of shape
            (n_rows, n_outputs), or (n_rows,) if `y` was one-dimensional.
        """
        check_is_fitted(self)
        if is_blocks(X):
            blocks = [self._predict_rows(np.asarray(block)) for block in self._input_blocks(X)]
            return Blocks(blocks, getattr(X, "snapshots", None))
        return self._predict_rows(validated_rows(self, X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_regressor = get_tags(self.regressor)
        tags.target_tags.multi_output = of_regressor.target_tags.multi_output
        tags.target_tags.single_output = of_regressor.target_tags.single_output
        tags.regressor_tags.poor_score = of_regressor.regressor_tags.poor_score
        tags.non_deterministic = of_regressor.non_deterministic
        return tags

    def _input_blocks(self, X):
        """Yield every block, checked."""
        for position, block in enumerate(X):
            block = as_block(f"X[{position}]", as_lazy(block))
            if block.ndim != 2 or block.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X must hold blocks of shape (n_sites, {self.n_features_in_}) as in fit, got "
                    f"{block.shape} at position {position}."
                )
            yield block

    def _predict_slice(self, block, start, stop):
        return self._predict_rows(np.asarray(block[start:stop]))

    def _predict_rows(self, rows):
        warn_outside(rows, self.feature_range_)
        predicted = np.asarray(self.regressor_.predict(rows))
        if self.components_ is not None:
            # Some regressors squeeze a single column.
            predicted = predicted.reshape(len(rows), -1) @ self.components_
        predicted = predicted.reshape(len(rows), *self.target_mean_.shape)
        if self.band_regressor_ is not None:
            along = self.band_regressor_.predict(rows) - predicted @ self.direction_
            predicted = predicted + np.outer(along, self.direction_)
        return predicted + self.target_mean_


def energy_weights(block, snapshot):
    """Return the weights w that turn errors of the DOS into those of the band energy."""
    snapshot.require("energies", "temperature", "n_electrons")
    return band_energy_weights(dos_of_block(block, snapshot), snapshot)


def _joined(name, blocks):
    """Return the rows of all blocks in one array of floats, checked for NaN."""
    rows = np.concatenate([np.asarray(block) for block in blocks]).astype(float, copy=False)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinite values.")
    return rows


def _column(sizes, ndim):
    return np.reshape(sizes, (-1,) + (1,) * (ndim - 1))
