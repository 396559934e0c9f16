r"""The posterior of a linear model, in closed form.

A :class:`~skldos.SiteRegressor` around ``Ridge`` minimises, with features :math:`\phi` (a constant
first), :math:`\lambda` = ``dos_weight`` and a penalty on all coefficients but the constant's,

.. math:: \sum_k \mathrm{tr}\,(Y_k - \Phi_k W)^T M_k (Y_k - \Phi_k W) + \alpha |W|^2, \qquad
          M_k = 1 + \frac{\lambda}{n_k} \mathbf{1}\mathbf{1}^T ,

over snapshots k of :math:`n_k` sites. That is the negative logarithm of the posterior of W for
noise of covariance :math:`M_k^{-1} \otimes \Sigma`: independent between sites but for their sum,
which is known better. The posterior is normal, of covariance :math:`A^{-1} \otimes \Sigma` with

.. math:: A = \sum_k \Phi_k^T M_k \Phi_k + \alpha .
"""

import copy

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos._validation import check_scalar
from skldos.data import is_blocks
from skldos.regressors import SiteRegressor
from skldos.regressors._checks import checked_dataset
from skldos.uncertainty._base import UncertainRegressor


class RidgePosterior(UncertainRegressor):
    r"""Give ridge regression on blocks its uncertainty, in closed form.

    Predictions are those of the regressor. The sums over the sites of snapshots i and j, with
    :math:`s_i = \sum_{r \in i} \phi_r`, have errors of the covariance

    .. math:: V_{ij}\, \Sigma, \qquad
              V_{ij} = s_i^T A^{-1} s_j + \delta_{ij} \frac{n_i}{1 + \lambda} ,

    where the matrix A and the noise of the second term follow from what the regressor minimises;
    :math:`\Sigma` (outputs × outputs) comes from the errors :math:`e_k` of predictions of every
    snapshot of the training by a model of all others, which need no fits,

    .. math:: \Sigma = \frac{1}{K} \sum_k \frac{e_k e_k^T}{V_{kk}^{(-k)}} .

    V alone says which snapshots are known well; it does not depend on targets at all.

    Parameters
    ----------
    regressor : SiteRegressor
        Around a ``Ridge`` with one penalty and an intercept (or, with ``center=False``, without
        one); with neither `band_weight` nor `n_components`.
    n_samples : int, default=512
        Number of samples that :meth:`sample_sums` draws.
    random_state : int, RandomState or None, default=None
        For the samples; an int draws the same ones every time.

    Attributes
    ----------
    regressor_ : SiteRegressor
        The fitted regressor.
    precision_ : ndarray of shape (n_coefficients, n_coefficients)
        The matrix A; the constant comes first, where there is one.
    feature_mean_ : ndarray of shape (n_features_in,)
        Subtracted from all features before; zeros without an intercept.
    loo_residuals_ : ndarray of shape (n_snapshots, n_outputs)
        Errors :math:`e_k`, true minus predicted sums.
    sum_residuals_ : ndarray of shape (n_snapshots, n_outputs)
        Rows :math:`e_k / (K V_{kk}^{(-k)})^{1/2}`; :math:`\Sigma` is the product of their
        transpose with them.
    site_variance_ : ndarray of shape (n_outputs,)
        The diagonal of :math:`\Sigma` from the errors of single sites, for :meth:`predict`.
    energies_, broadening_, kernel_, n_features_in_
        As the regressor has them.

    Notes
    -----
    A is inverted in the space of the features: some thousands of them at most.

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

    def fit(self, X, y=None):
        """Fit the regressor, and learn the scale of its errors.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot; at least two.
        y : sequence of array-like, optional
            Targets, per block ``(n_sites, n_outputs)`` or on the grid. None takes the LDOS of
            the snapshots behind the blocks.

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
                "X must hold blocks of at least two snapshots, whose errors tell the scale, got "
                f"{f'{len(X)} block' if is_blocks(X) else 'plain rows'}."
            )
        self.regressor_ = clone(self.regressor).fit(X, y)
        self._take_over(self.regressor_)
        dataset = checked_dataset(X, X.snapshots.targets if y is None else y)
        inputs = [np.asarray(block, dtype=float) for block in dataset.inputs]
        self.feature_mean_ = np.zeros(self.n_features_in_)
        if self._has_constant:
            self.feature_mean_ = np.concatenate(inputs).mean(axis=0)
        designs = [self._design(block) for block in inputs]
        penalty = np.full(designs[0].shape[1], float(self.regressor_.regressor_.alpha))
        penalty[: self._has_constant] = 0.0
        self._set_precision(np.diag(penalty) + sum(self._information(phi) for phi in designs))
        residuals = [
            np.asarray(target, dtype=float) - predicted
            for target, predicted in zip(dataset.targets, self.regressor_.predict(X), strict=True)
        ]
        self._learn_scale(designs, residuals)
        return self

    def _check_regressor(self):
        outer = self.regressor
        inner = getattr(outer, "regressor", None)
        plain = (
            isinstance(outer, SiteRegressor)
            and type(inner) is Ridge
            and not (outer.band_weight or outer.n_components or inner.positive)
            and np.ndim(inner.alpha) == 0
            # The mean target would be that of the snapshot left out, too.
            and (inner.fit_intercept or not outer.center)
        )
        if not plain:
            raise ValueError(
                "regressor must be a SiteRegressor around a Ridge with one penalty, without "
                "band_weight and n_components, and center=False if it has no intercept; got "
                f"{outer!r}."
            )
        if inner.alpha <= 0:
            raise ValueError(f"alpha of the Ridge must be positive, got {inner.alpha!r}.")

    def _learn_scale(self, designs, residuals):
        """Turn the residuals of the fit into those of the snapshots left out, all at once."""
        n_snapshots, n_rows = len(designs), sum(map(len, designs))
        sums, scaled, variance = [], [], 0.0
        for phi, residual in zip(designs, residuals, strict=True):
            metric = self._metric(len(phi))
            # The covariance of the rows without their snapshot, C = M^-1 + Phi A_(-k)^-1 Phi^T,
            # by Woodbury's identity: C^-1 = M - M Phi A^-1 Phi^T M
            inverse = metric - metric @ phi @ cho_solve(self._cholesky, phi.T) @ metric
            covariance = np.linalg.inv((inverse + inverse.T) / 2)
            left_out = covariance @ metric @ residual
            variance = variance + np.einsum("ij,ij->j", left_out, inverse @ left_out) / n_rows
            sums.append(left_out.sum(axis=0))
            scaled.append(sums[-1] / np.sqrt(n_snapshots * covariance.sum()))
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
        rng = check_random_state(self.random_state)
        z = rng.standard_normal((self.n_samples, len(X), len(self.sum_residuals_)))
        return mean + factor @ z @ self.sum_residuals_

    def predict_sum(self, X):
        """Predict the sum of the targets over the sites of every snapshot.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_snapshots, n_outputs)
            As the regressor predicts it.
        """
        check_is_fitted(self)
        return self.regressor_.predict_sum(X)

    def condition(self, X):
        """Return this posterior as it would be if the targets of further snapshots were known.

        The uncertainty does not depend on targets: what they will say is not needed, and
        predictions and the scale of errors stay as they are.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            The further snapshots, one block ``(n_sites, n_features)`` each.

        Returns
        -------
        RidgePosterior
            Another one; this one stays as it is.
        """
        check_is_fitted(self)
        other = copy.copy(self)
        gained = sum(self._information(self._design(block)) for block in X)
        other._set_precision(self.precision_ + gained)
        return other

    def _mean_and_std(self, blocks):
        for block, mean in zip(blocks, self.regressor_.predict(blocks), strict=True):
            n, weight = len(mean), self._dos_weight
            known = np.square(self._whiten(self._design(block))).sum(axis=1)
            # The diagonal of the inverse of M.
            noise = 1 - weight / (n * (1 + weight))
            yield mean, np.sqrt(np.outer(known + noise, self.site_variance_))

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
        """Return what the sites of a snapshot add to the precision, Phi^T M Phi."""
        total = phi.sum(axis=0)
        return phi.T @ phi + self._dos_weight / len(phi) * np.outer(total, total)

    def _set_precision(self, precision):
        self.precision_ = precision
        try:
            self._cholesky = cho_factor(precision, lower=True)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"alpha={self.regressor_.regressor_.alpha!r} of the Ridge is too small to tell "
                "the features apart; take a larger one."
            ) from error

    def _whiten(self, rows):
        """Return rows whose scalar products are those of `rows` with the metric A^-1."""
        return solve_triangular(self._cholesky[0], rows.T, lower=True).T
