r"""The posterior of a linear model, in closed form.

A :class:`~skldos.SiteRegressor` around ``Ridge`` minimises, with features :math:`\phi` (a constant
first), :math:`\lambda` = ``dos_weight`` and a penalty on all coefficients but the constant's,

.. math:: \sum_k \mathrm{tr}\,(Y_k - \Phi_k W)^T M_k (Y_k - \Phi_k W) + \alpha |W|^2, \qquad
          M_k = 1 + \frac{\lambda}{n_k} \mathbf{1}\mathbf{1}^T ,

over snapshots k of :math:`n_k` sites. This is the negative logarithm of the posterior of W for
noise with covariance :math:`M_k^{-1} \otimes \Sigma`: it is independent between sites, except that
their sum is known more accurately. The posterior is normal with covariance
:math:`A^{-1} \otimes \Sigma`, where

.. math:: A = \sum_k \Phi_k^T M_k \Phi_k + \alpha .
"""

import copy

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos.data import is_blocks
from skldos.docstrings import documented, like
from skldos.regressors import SiteRegressor, SiteRidgeCV
from skldos.regressors.checks import checked_dataset, checked_weights
from skldos.uncertainty._base import OF_UNCERTAIN, UncertainRegressor
from skldos.validation import check_scalar


@documented(OF_UNCERTAIN)
class RidgePosterior(UncertainRegressor):
    r"""Ridge regression on blocks with its posterior uncertainty, in closed form.

    Predictions equal those of the regressor. The errors of the sums over the sites of snapshots i
    and j, with :math:`s_i = \sum_{r \in i} \phi_r`, have the covariance

    .. math:: V_{ij}\, \Sigma, \qquad
              V_{ij} = s_i^T A^{-1} s_j + \delta_{ij} \frac{n_i}{1 + \lambda} ,

    The matrix A and the noise of the second term follow from the objective of the regressor.
    :math:`\Sigma` (outputs × outputs) comes from the leave-one-out errors :math:`e_k` of the
    training snapshots, which are known in closed form without further fits,

    .. math:: \Sigma = \frac{1}{K} \sum_k \frac{e_k e_k^T}{V_{kk}^{(-k)}} .

    V alone shows which snapshots are known well; it does not depend on the targets.

    Parameters
    ----------
    regressor : SiteRegressor or SiteRidgeCV
        Wraps a ``Ridge`` with one penalty and an intercept (or none, with ``center=False``); must
        have neither `band_weight` nor `n_components`. ``SiteRidgeCV`` chooses its settings first.
    n_samples : int, default=512
        Number of samples that :meth:`sample_sums` draws.
    random_state : int, RandomState or None, default=None
        Seed of the samples; an int draws the same ones every time.

    Attributes
    ----------
    regressor_ : SiteRegressor
        The fitted regressor.
    precision_ : ndarray of shape (n_coefficients, n_coefficients)
        The matrix A; the constant, if any, comes first.
    feature_mean_ : ndarray of shape (n_features_in,)
        Subtracted from the features; zeros without an intercept.
    loo_residuals_ : ndarray of shape (n_snapshots, n_outputs)
        Errors :math:`e_k`, true minus predicted sums.
    sum_residuals_ : ndarray of shape (n_snapshots, n_outputs)
        Rows :math:`e_k / (K V_{kk}^{(-k)})^{1/2}`; :math:`\Sigma` is the product of their
        transpose with them.
    site_variance_ : ndarray of shape (n_outputs,)
        The diagonal of :math:`\Sigma` from the errors of single sites, for :meth:`predict`.
    n_samples_, random_state_
        The parameters at the time of ``fit``, used in :meth:`sample_sums`.
    %(energies_)s

    Notes
    -----
    A is inverted in the space of the features, so use at most some thousands of them.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skldos import AtomSNAPTransformer, SiteRegressor
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.decomposition import ADOSDecomposer
    >>> from skldos.uncertainty import RidgePosterior
    >>> snapshots = make_snapshots(5, random_state=0)
    >>> X = AtomSNAPTransformer(twojmax=2).fit_transform(snapshots)
    >>> y = ADOSDecomposer().fit_transform(snapshots)
    >>> model = RidgePosterior(SiteRegressor(Ridge(1e-2), dos_weight=10), random_state=0)
    >>> model.fit(X[:4], y[:4]).sample_sums(X[4:]).shape
    (512, 1, 21)
    >>> model.sum_covariance(X).shape
    (5, 5)
    """

    def __init__(self, regressor, n_samples=512, *, random_state=None):
        self.regressor = regressor
        self.n_samples = n_samples
        self.random_state = random_state

    # ---------------------------------------------------------------- fitting

    def fit(self, X, y=None, sample_weight=None):
        """Fit the regressor and estimate the scale of its errors.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot; at least two.
        y : sequence of array-like, optional
            Targets, per block ``(n_sites, n_outputs)`` or on the grid. None uses the LDOS of the
            blocks' snapshots.
        sample_weight : array-like of shape (n_snapshots,), optional
            Weights of the snapshots. Weight w counts as w observations with independent noise,
            which are left out together to estimate the scale of the errors; 0 ignores a snapshot.
            None weights all equally.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If the regressor is of another kind, or there is only one snapshot.
        """
        check_scalar("n_samples", self.n_samples, low=2, integer=True)
        self._check_regressor()
        if not is_blocks(X) or len(X) < 2:
            raise ValueError(
                "X must hold blocks of at least two snapshots to estimate the errors, got "
                f"{f'{len(X)} block' if is_blocks(X) else 'plain rows'}."
            )
        dataset = checked_dataset(X, X.snapshots.targets if y is None else y)
        weights = checked_weights(sample_weight, len(X))
        fitted = clone(self.regressor).fit(X, y, weights)
        self.regressor_ = fitted.regressor_ if isinstance(fitted, SiteRidgeCV) else fitted
        self._take_over(self.regressor_)
        self._remember("n_samples", "random_state")
        if weights is not None:
            present = np.flatnonzero(weights)
            weights, dataset = weights[present], dataset.take(present)
            if len(present) < 2:
                raise ValueError("sample_weight must be above zero for at least two snapshots.")
        inputs = [np.asarray(block, dtype=float) for block in dataset.inputs]
        self.feature_mean_ = np.zeros(self.n_features_in_)
        if self._has_constant:
            self.feature_mean_ = np.concatenate(inputs).mean(axis=0)
        designs = [self._design(block) for block in inputs]
        penalty = np.full(designs[0].shape[1], float(self.regressor_.regressor_.alpha))
        penalty[: self._has_constant] = 0.0
        weights = np.ones(len(designs)) if weights is None else weights
        pairs = list(zip(designs, weights, strict=True))
        self._set_precision(np.diag(penalty) + sum(w * self._information(phi) for phi, w in pairs))
        residuals = [
            np.asarray(target, dtype=float) - predicted
            for target, predicted in zip(
                dataset.targets, self.regressor_.predict(dataset.inputs), strict=True
            )
        ]
        self._learn_scale(designs, residuals, weights)
        return self

    def _check_regressor(self):
        outer = self.regressor
        if isinstance(outer, SiteRidgeCV):
            return
        inner = getattr(outer, "regressor", None)
        supported = (
            isinstance(outer, SiteRegressor)
            and type(inner) is Ridge
            and not (outer.band_weight or outer.n_components or inner.positive)
            and np.ndim(inner.alpha) == 0
            # The mean target would include the snapshot that is left out.
            and (inner.fit_intercept or not outer.center)
        )
        if not supported:
            raise ValueError(
                "regressor must be a SiteRidgeCV, or a SiteRegressor around a Ridge with one "
                "penalty, without band_weight and n_components, and center=False if it has no "
                f"intercept; got {outer!r}."
            )
        if inner.alpha <= 0:
            raise ValueError(f"alpha of the Ridge must be positive, got {inner.alpha!r}.")

    def _learn_scale(self, designs, residuals, weights):
        """Turn the residuals of the fit into leave-one-out residuals of the snapshots."""
        n_snapshots = weights.sum()
        n_rows = sum(w * len(phi) for phi, w in zip(designs, weights, strict=True))
        sums, scaled, variance = [], [], 0.0
        for phi, residual, w in zip(designs, residuals, weights, strict=True):
            n = len(phi)
            metric = w * self._metric(n)
            # The covariance of the rows without their snapshot, C = M^-1 + Phi A_(-k)^-1 Phi^T,
            # by Woodbury's identity: C^-1 = M - M Phi A^-1 Phi^T M
            inverse = metric - metric @ phi @ cho_solve(self._cholesky, phi.T) @ metric
            covariance = np.linalg.inv((inverse + inverse.T) / 2)
            left_out = covariance @ metric @ residual
            if w != 1:
                # Covariance of a single observation: M^-1 instead of M^-1 / w.
                noise = np.eye(n) - self._dos_weight / (n * (1 + self._dos_weight))
                covariance = covariance + (1 - 1 / w) * noise
                inverse = np.linalg.inv(covariance)
            quadratic = np.einsum("ij,ij->j", left_out, inverse @ left_out)
            variance = variance + w * quadratic / n_rows
            sums.append(left_out.sum(axis=0))
            scaled.append(sums[-1] * np.sqrt(w / (n_snapshots * covariance.sum())))
        self.loo_residuals_, self.sum_residuals_ = np.array(sums), np.array(scaled)
        self.site_variance_ = variance

    # ---------------------------------------------------------------- the posterior

    def sum_covariance(self, X):
        r"""Return the factors :math:`V_{ij}` of the covariances of sums over sites.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_snapshots, n_snapshots)
            The factors, dimensionless.
        """
        check_is_fitted(self)
        designs = [self._design(block) for block in X]
        half = self._whiten(np.array([phi.sum(axis=0) for phi in designs]))
        noise = [len(phi) / (1 + self._dos_weight) for phi in designs]
        return half @ half.T + np.diag(noise)

    def sample_sums(self, X):
        """Draw samples of the sums of the targets over the sites.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_samples, n_snapshots, n_outputs)
            Samples of the joint distribution of all snapshots.
        """
        mean = self.predict_sum(X)
        factor = np.linalg.cholesky(self.sum_covariance(X))
        rng = check_random_state(self.random_state_)
        z = rng.standard_normal((self.n_samples_, len(X), len(self.sum_residuals_)))
        return mean + factor @ z @ self.sum_residuals_

    @like(UncertainRegressor.predict_sum)
    def predict_sum(self, X):
        check_is_fitted(self)
        return self.regressor_.predict_sum(X)

    def condition(self, X):
        """Return the posterior if the targets of further snapshots were known.

        The uncertainty does not depend on the targets, so their values are not needed. Predictions
        and the scale of the errors do not change.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            The further snapshots, one block ``(n_sites, n_features)`` each.

        Returns
        -------
        RidgePosterior
            A new posterior; this one does not change.
        """
        check_is_fitted(self)
        other = copy.copy(self)
        gained = sum(self._information(self._design(block)) for block in X)
        other._set_precision(self.precision_ + gained)
        return other

    def _mean_and_std(self, blocks):
        for block, mean in zip(blocks, self.regressor_.predict(blocks), strict=True):
            n, weight = len(mean), self._dos_weight
            leverage = np.square(self._whiten(self._design(block))).sum(axis=1)
            # The diagonal of the inverse of M.
            noise = 1 - weight / (n * (1 + weight))
            yield mean, np.sqrt(np.outer(leverage + noise, self.site_variance_))

    # ---------------------------------------------------------------- parts of the formulas

    @property
    def _has_constant(self):
        return bool(self.regressor_.regressor_.fit_intercept)

    @property
    def _dos_weight(self):
        return self.regressor_.dos_weight or 0.0

    def _design(self, block):
        """Return the features of a block, with a constant first."""
        phi = np.asarray(block, dtype=float) - self.feature_mean_
        return np.column_stack([np.ones(len(phi)), phi]) if self._has_constant else phi

    def _metric(self, n):
        return np.eye(n) + self._dos_weight / n

    def _information(self, phi):
        """Return the contribution of a snapshot to the precision, Phi^T M Phi."""
        total = phi.sum(axis=0)
        return phi.T @ phi + self._dos_weight / len(phi) * np.outer(total, total)

    def _set_precision(self, precision):
        self.precision_ = precision
        try:
            self._cholesky = cho_factor(precision, lower=True)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"alpha={self.regressor_.regressor_.alpha!r} of the Ridge is too small to "
                "separate the features; increase it."
            ) from error

    def _whiten(self, rows):
        """Return rows whose scalar products are those of `rows` with the metric A^-1."""
        return solve_triangular(self._cholesky[0], rows.T, lower=True).T
