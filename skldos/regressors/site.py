"""Any regressor of scikit-learn on blocks, with a loss that knows what the sums are for."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from skldos._validation import check_option, check_scalar
from skldos.data import Blocks, is_blocks
from skldos.physics import fermi_level, integration_weights
from skldos.regressors._checks import checked_dataset, common_broadening, common_energies
from skldos.regressors._score import coefficient_of_determination
from skldos.scoring import dos_of_block


class SiteRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    r"""Fit a regressor of scikit-learn on the rows of all blocks.

    A row is a site: an atom with its density of states, or a grid point with its LDOS. Errors of
    sites matter less than those of their sums. With :math:`\Delta_r` the error of row r and
    :math:`\bar\Delta_k` the mean error of the :math:`n_k` rows of snapshot k, a linear regressor
    minimises, besides its own penalty,

    .. math:: \sum_k \Big[ \sum_{r \in k} |\Delta_r|^2 + \lambda n_k |\bar\Delta_k|^2
              + \kappa\, n_k (u \cdot \bar\Delta_k)^2 \Big] .

    The second term is the error of the density of states. The third is that of the band energy,
    which changes at constant number of electrons by

    .. math:: \delta E_\mathrm{band} = \int (E - \mu) f(E)\, \delta D(E)\, dE = w \cdot \delta D,

    to first order; *u* is the unit vector along the mean of *w* at the Fermi levels of the training
    snapshots. Both stay in closed form: the mean of the rows of a snapshot is one more row
    of weight :math:`\lambda n_k`; and since every output is a problem of its own, the component
    along *u* is fitted a second time with weights :math:`(\lambda + \kappa) n_k`.

    Parameters
    ----------
    regressor : estimator
        Regressor with several outputs (else wrap it in ``MultiOutputRegressor``), such as
        ``Ridge``.
    dos_weight : float, optional
        :math:`\lambda`; None is 0. Needs a regressor that is linear in its inputs (it has
        ``coef_``) and takes a ``sample_weight``; put scalers and feature maps before this
        regressor, into a :class:`~skldos.RowWise`.
    band_weight : float, optional
        :math:`\kappa`; None is 0. Needs blocks that know their snapshots, whose energies,
        temperatures and numbers of electrons are used.
    center : bool, default=True
        Whether the regressor fits the difference to the mean target, which regressors without an
        intercept (kernels) need.
    n_components : int, optional
        Number of principal components of the targets to be fitted; None fits the targets
        themselves, as do one-dimensional ones. The component along *u* is never cut.

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
    n_features_in_, n_outputs_ : int
        Numbers of inputs and outputs.
    energies_ : ndarray of shape (n_outputs,) or None
        Energies of the outputs in eV, where the blocks knew their snapshots.
    broadening_, kernel_ : float and str, or None
        How the LDOS of the snapshots was broadened, as in :class:`~skldos.EnergyGrid`.

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
        self, regressor, *, dos_weight=None, band_weight=None, center=True, n_components=None
    ):
        self.regressor = regressor
        self.dos_weight = dos_weight
        self.band_weight = band_weight
        self.center = center
        self.n_components = n_components

    # ---------------------------------------------------------------- fitting

    def fit(self, X, y=None):
        """Fit the regressor.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            One block ``(n_sites, n_features)`` per snapshot, or plain rows.
        y : sequence of array-like, array-like of shape (n_rows, n_outputs) or (n_rows,), optional
            Targets, per block ``(n_sites, n_outputs)`` or on the grid. None takes the LDOS of
            the snapshots behind the blocks.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If blocks and targets do not match, hold NaN, or weights were given that the regressor
            or the data do not allow.
        """
        self._check_parameters()
        rows, targets, sizes, direction = self._training_data(X, y)
        self.target_mean_ = targets.mean(axis=0) if self.center else np.zeros(targets.shape[1:])
        targets = targets - self.target_mean_
        self.components_ = self._principal_components(targets)
        self.direction_, self.band_regressor_ = direction, None
        scores = targets if self.components_ is None else targets @ self.components_.T
        weight = self.dos_weight or 0.0
        self.regressor_ = self._fit_rows(rows, scores, sizes, weight)
        if direction is not None:
            weight += self.band_weight
            self.band_regressor_ = self._fit_rows(rows, targets @ direction, sizes, weight)
        return self

    def _check_parameters(self):
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

    def _training_data(self, X, y):
        """Return all rows, all targets, the numbers of rows of the blocks, and the direction."""
        if not is_blocks(X):
            if self.dos_weight or self.band_weight:
                raise ValueError(
                    "dos_weight and band_weight need one block per snapshot, got plain rows, "
                    "which do not say what belongs together."
                )
            rows, targets = validate_data(self, X, y, multi_output=True, y_numeric=True)
            self._learn_outputs(targets, None)
            return rows, targets.astype(float), None, None
        snapshots = getattr(X, "snapshots", None)
        if y is None:
            if snapshots is None:
                raise ValueError(
                    f"{type(self).__name__}.fit needs targets: pass y, or blocks that a "
                    "transformer made of snapshots that carry them."
                )
            y = snapshots.targets
        dataset = checked_dataset(X, y)
        rows, targets = _joined("X", dataset.inputs), _joined("y", dataset.targets)
        self.__dict__.pop("feature_names_in_", None)
        self.n_features_in_ = rows.shape[1]
        self._learn_outputs(targets, snapshots)
        sizes = [len(block) for block in dataset.inputs]
        direction = self._band_direction(dataset.targets, snapshots) if self.band_weight else None
        return rows, targets, sizes, direction

    def _learn_outputs(self, targets, snapshots):
        self.n_outputs_ = 1 if targets.ndim == 1 else targets.shape[1]
        self.energies_ = common_energies(snapshots)
        self.broadening_, self.kernel_ = common_broadening(snapshots)

    def _band_direction(self, targets, snapshots):
        """Return the unit vector along which an error of the DOS changes the band energy."""
        if snapshots is None:
            raise ValueError("band_weight needs blocks that know their snapshots, got others.")
        total = sum(
            energy_weights(target, snapshot)
            for target, snapshot in zip(targets, snapshots, strict=True)
        )
        return total / np.linalg.norm(total)

    def _principal_components(self, targets):
        if self.n_components is None or targets.ndim == 1:
            return None
        if self.n_components > min(targets.shape):
            raise ValueError(
                f"n_components must be at most the numbers of rows and outputs, "
                f"{targets.shape}, got {self.n_components}."
            )
        return np.linalg.svd(targets, full_matrices=False)[2][: self.n_components]

    def _fit_rows(self, rows, targets, sizes, weight):
        """Return the regressor, fitted on the rows and, with a weight, on their means."""
        regressor = clone(self.regressor)
        if not weight:
            return regressor.fit(rows, targets)
        first = np.cumsum([0, *sizes[:-1]])
        means = [np.add.reduceat(a, first) / _column(sizes, a.ndim) for a in (rows, targets)]
        weights = np.concatenate([np.ones(len(rows)), weight * np.asarray(sizes, dtype=float)])
        regressor.fit(
            np.concatenate([rows, means[0]]),
            np.concatenate([targets, means[1]]),
            sample_weight=weights,
        )
        if not hasattr(regressor, "coef_"):
            # The mean of predictions is the prediction of the mean for these alone.
            raise ValueError(
                "dos_weight and band_weight need a regressor that is linear in its inputs, got "
                f"{self.regressor!r}, which has no coef_; put a feature map such as Nystroem "
                "before this regressor, in a RowWise, and take Ridge."
            )
        return regressor

    # ---------------------------------------------------------------- prediction

    def predict(self, X):
        """Predict the targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows, as in :meth:`fit`.

        Returns
        -------
        Blocks or ndarray
            One block ``(n_sites, n_outputs)`` per snapshot, or an array of shape
            (n_rows, n_outputs), or (n_rows,) if `y` was one-dimensional.
        """
        check_is_fitted(self)
        if is_blocks(X):
            return Blocks(list(self._predicted_blocks(X)), getattr(X, "snapshots", None))
        return self._predict_rows(validate_data(self, X, reset=False))

    def predict_sum(self, X):
        """Predict the sum of the targets over the sites of every snapshot.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_snapshots, n_outputs)
            For atoms the density of states in 1/eV.
        """
        check_is_fitted(self)
        sums = [block.sum(axis=0) for block in self._predicted_blocks(X)]
        return np.stack(sums) if sums else np.empty((0, self.n_outputs_))

    def score(self, X, y=None, sample_weight=None):
        r"""Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows.
        y : sequence of array-like, optional
            True targets, as in :meth:`fit`; needed for plain rows.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of plain rows.

        Returns
        -------
        float
            For plain rows that of :func:`sklearn.metrics.r2_score`; for blocks
            :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` over all rows and outputs.
        """
        if not is_blocks(X):
            return super().score(X, y, sample_weight)
        y = X.snapshots.targets if y is None and X.snapshots is not None else y
        true = checked_dataset(X, y).targets
        return coefficient_of_determination(zip(true, self.predict(X), strict=True))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_regressor = get_tags(self.regressor)
        tags.target_tags.multi_output = of_regressor.target_tags.multi_output
        tags.target_tags.single_output = of_regressor.target_tags.single_output
        tags.regressor_tags.poor_score = of_regressor.regressor_tags.poor_score
        tags.non_deterministic = of_regressor.non_deterministic
        return tags

    def _predicted_blocks(self, X):
        """Yield the prediction of every block."""
        for position, block in enumerate(X):
            rows = np.asarray(block)
            if rows.ndim != 2 or rows.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X must hold blocks of shape (n_sites, {self.n_features_in_}) as in fit, got "
                    f"{rows.shape} at position {position}."
                )
            yield self._predict_rows(rows)

    def _predict_rows(self, rows):
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
    """Return the weights w of errors of the DOS in that of the band energy, at a true block."""
    snapshot.require("energies", "temperature", "n_electrons")
    energies, state = snapshot.energies, {"temperature": snapshot.temperature}
    dos = dos_of_block(block, snapshot)
    mu = fermi_level(dos, energies, n_electrons=snapshot.n_electrons, **state)
    return integration_weights(energies, fermi_level=mu, quantity="energy", **state)


def _joined(name, blocks):
    """Return the rows of all blocks in one array of floats, after a look for NaN."""
    rows = np.concatenate([np.asarray(block) for block in blocks]).astype(float, copy=False)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinite values.")
    return rows


def _column(sizes, ndim):
    return np.reshape(sizes, (-1,) + (1,) * (ndim - 1))
