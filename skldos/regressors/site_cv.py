"""Ridge regression on blocks that chooses its penalty and the weight of the sums by itself."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from skldos._validation import check_scalar
from skldos.data import is_blocks
from skldos.regressors._checks import checked_dataset
from skldos.regressors.site import SiteRegressor, energy_weights
from skldos.scoring import dos_of_block


class SiteRidgeCV(RegressorMixin, BaseEstimator):
    r"""Ridge regression on blocks, with a penalty chosen by leaving out one snapshot at a time.

    What ``RidgeCV`` is for tables this is for blocks: a :class:`~skldos.SiteRegressor` around
    ``Ridge`` whose `alpha` and `dos_weight` are those of the smallest root mean square error of the
    band energies of training snapshots, each predicted by a model of all others. The rows of one
    snapshot belong together, so they are left out together.

    That takes no fits but one. With :math:`M_k = 1 + \frac{\lambda}{n_k} \mathbf{1}\mathbf{1}^T`
    the loss of :class:`~skldos.SiteRegressor` is that of plain ridge regression of
    :math:`M_k^{1/2} Y_k` on :math:`M_k^{1/2} \Phi_k`. Let H be the matrix that turns these targets
    into their predictions; then the errors of block k in a model without it are

    .. math:: M_k^{-1/2}\, [(1 - H)_{kk}]^{-1}\, [(1 - H)\, M^{1/2} Y]_k ,

    and one singular value decomposition serves all penalties.

    Parameters
    ----------
    alphas : sequence of float, default=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
        Penalties to choose from, for features of the order of one.
    dos_weights : sequence of float, default=(1e2, 1e3, 1e4, 1e5)
        Weights of the sums, :math:`\lambda`, to choose from.

    Attributes
    ----------
    alpha_, dos_weight_ : float
        The chosen ones; of equals those that come first.
    errors_ : ndarray of shape (n_dos_weights, n_alphas, n_snapshots)
        Errors of the band energies of snapshots left out, predicted minus true, in meV/atom: to
        first order in the errors of the DOS, :math:`w \cdot \delta D`.
    best_score_ : float
        Negative root mean square of the chosen errors, in meV/atom, by which descriptors can be
        compared, too. It is somewhat too good, for being the best of several.
    regressor_ : SiteRegressor
        The model that was fitted to all snapshots in the end; give it to
        :class:`~skldos.RidgePosterior` for uncertainties.
    energies_, broadening_, kernel_, n_features_in_
        As the regressor has them.

    See Also
    --------
    skldos.SiteRegressor : With fixed weights, and around any regressor of scikit-learn.

    Notes
    -----
    All rows are held in memory as float64 with their left singular vectors.

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
        self, alphas=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1), dos_weights=(1e2, 1e3, 1e4, 1e5)
    ):
        self.alphas = alphas
        self.dos_weights = dos_weights

    def fit(self, X, y=None):
        """Choose the penalty and the weight, and fit the model.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot, made of snapshots by a transformer;
            at least two.
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
            If blocks do not know their snapshots, are too few or do not match the targets.
        SnapshotError
            If a snapshot lacks energies, a temperature or a number of electrons.
        """
        alphas = _candidates("alphas", self.alphas, strict=True)
        weights = _candidates("dos_weights", self.dos_weights, strict=False)
        snapshots = getattr(X, "snapshots", None) if is_blocks(X) else None
        if snapshots is None or len(X) < 2:
            raise ValueError(
                f"{type(self).__name__} takes blocks of at least two snapshots that it knows, got "
                f"{f'{len(X)} block(s)' if is_blocks(X) else type(X).__name__}: put a transformer "
                "such as SOAPTransformer before it, in a pipeline."
            )
        dataset = checked_dataset(X, snapshots.targets if y is None else y)
        inputs, targets = (
            [np.asarray(block, dtype=float) for block in blocks]
            for blocks in (dataset.inputs, dataset.targets)
        )
        pairs = list(zip(targets, snapshots, strict=True))
        slopes = [1e3 * energy_weights(*pair) / len(pair[1].atoms) for pair in pairs]
        self.errors_ = np.empty((len(weights), len(alphas), len(X)))
        for errors, weight in zip(self.errors_, weights, strict=True):
            for row, residuals in zip(
                errors, _left_out(inputs, targets, weight, alphas), strict=True
            ):
                changes = map(dos_of_block, residuals, snapshots)
                row[:] = [-slope @ change for slope, change in zip(slopes, changes, strict=True)]
        scores = -np.sqrt(np.mean(self.errors_**2, axis=2))
        best = np.unravel_index(np.argmax(scores), scores.shape)
        self.best_score_ = float(scores[best])
        self.dos_weight_, self.alpha_ = weights[best[0]], alphas[best[1]]
        model = SiteRegressor(Ridge(self.alpha_), dos_weight=self.dos_weight_)
        self.regressor_ = model.fit(X, y)
        for name in ("energies_", "broadening_", "kernel_", "n_features_in_"):
            setattr(self, name, getattr(self.regressor_, name))
        return self

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
            (n_rows, n_outputs).
        """
        check_is_fitted(self)
        return self.regressor_.predict(X)

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
        return self.regressor_.predict_sum(X)

    def score(self, X, y=None):
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.
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


def _candidates(name, values, *, strict):
    if np.ndim(values) != 1 or len(values) == 0:
        raise ValueError(f"{name} must be a sequence of at least one number, got {values!r}.")
    return [float(check_scalar(name, value, low=0, strict=strict)) for value in values]


def _left_out(inputs, targets, weight, alphas):
    """Yield, for every alpha, the errors (true minus predicted) of all blocks when left out."""
    root = np.sqrt(1 + weight)
    # M^(1/2) multiplies the mean of a block by `root` and leaves the rest alone. It keeps a
    # constant column constant, so that the intercept is a matter of subtracting means still.
    rows = _centered(np.concatenate([_mean_scaled(block, root) for block in inputs]))
    values = _centered(np.concatenate([_mean_scaled(block, root) for block in targets]))
    U, s, _ = np.linalg.svd(rows, full_matrices=False)
    along = U.T @ values
    ends = np.cumsum([len(block) for block in inputs])
    parts = [slice(end - len(block), end) for end, block in zip(ends, inputs, strict=True)]
    for alpha in alphas:
        kept = s**2 / (s**2 + alpha)
        residuals = values - U @ (kept[:, None] * along)
        yield [
            _mean_scaled(
                np.linalg.solve(_outside(U[part], kept, len(rows)), residuals[part]), 1 / root
            )
            for part in parts
        ]


def _outside(U, kept, n_rows):
    """Return the diagonal block of 1 - H of some rows of U; 1/n_rows is that of the intercept."""
    return np.eye(len(U)) - 1 / n_rows - (U * kept) @ U.T


def _mean_scaled(block, factor):
    return block + (factor - 1) * block.mean(axis=0)


def _centered(rows):
    return rows - rows.mean(axis=0)
