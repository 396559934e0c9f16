"""Mixture density networks: a mixture of Gaussians for the targets of every row."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, is_blocks
from skldos.docstrings import documented
from skldos.networks.mixture import MixtureDensity, MixtureNLL
from skldos.regressors.checks import validated_rows
from skldos.regressors.neural.base import BlockRegressor
from skldos.regressors.neural.mixtures import GaussianMixtures
from skldos.regressors.neural.target_scaling import SCALINGS
from skldos.regressors.parameters import OF_NETS


@documented(OF_NETS)
class MDNRegressor(BlockRegressor):
    r"""Mixture density network: predicts the probability density of the targets.

    .. math:: p(y | x) = \sum_{k=1}^K w_k(x)\, N\big(y; \mu_k(x), \Sigma_k(x)\big)

    with weights, means and covariances from one network [1]_, trained by maximum likelihood. Least
    squares learn only the mean. If two answers are possible, the mean may be a value that never
    occurs, for example for coefficients of nearly redundant Gaussians. With one component the model
    is a regression with a predicted variance.

    The targets are whitened, that is, transformed to principal components of unit variance over the
    training data, so neither units nor strong correlations between targets matter.

    It takes the blocks of a transformer of atoms, such as :class:`~skldos.AtomSNAPTransformer`,
    with targets `y` such as those of
    :class:`~skldos.decomposition.GaussianPotentialDecomposer`, or plain rows.

    Parameters
    ----------
    module : type or torch.nn.Module, default=MixtureDensity
        Network, built as ``module(n_in, n_out, **module__x)``, that returns
        :class:`~skldos.networks.mixture.MixtureParameters`.
    criterion : type, default=MixtureNLL
        Loss between the output of the network and normalised targets.
    %(optimizer)s
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=200
        Passes over the training data; 0 only initialises the network.
    batch_size : int, default=32
        Rows per batch.
    %(train_split)s
    %(early_stopping)s
    %(lr_schedule)s
    target_scaling : {"max", "minmax", "standard", "whiten"} or None, default="whiten"
        Normalisation of the targets: divide by the largest absolute value in the training data,
        scale to [0, 1], scale every output, or every principal component, to zero mean and unit
        variance, or none.
    %(buffer_size)s
    %(callbacks)s
    %(checkpoint)s
    %(warm_start)s
    %(device)s
    %(verbose)s
    %(compile)s
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, validation split, batches and dropout.
    **kwargs : dict
        ``module__x`` and the like; for the default network ``module__n_components``,
        ``module__covariance`` (``"full"``, ``"diagonal"`` or ``"low_rank"``), ``module__rank``,
        ``module__hidden_layer_sizes``, ``module__activation``, ``module__dropout``,
        ``module__floor``.

    Attributes
    ----------
    %(module_)s
    history_ : skorch.history.History
        One entry per epoch with ``train_loss``, ``valid_loss`` (means of the negative
        log-likelihood over rows, of normalised targets) and ``dur`` in s.
    target_center_, target_scale_ : ndarray
        The normalisation, y = center + scale · z, with a matrix or factors.
    %(n_features_in_)s

    References
    ----------
    .. [1] C. M. Bishop, "Mixture density networks", Aston University NCRG/94/004 (1994).

    Examples
    --------
    The square root of 1 has two values, and their mean is neither:

    >>> import numpy as np
    >>> from skldos import MDNRegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.choice([-1.0, 1.0], 200)[:, None] + 0.1 * rng.standard_normal((200, 1))
    >>> x = rng.standard_normal((200, 2))
    >>> model = MDNRegressor(module__n_components=2, lr=1e-2, max_epochs=30, random_state=0)
    >>> model.fit(x, y).predict_mixtures(x[:1])
    GaussianMixtures(1 of 2 components for 1 outputs)
    >>> mean, std = model.predict(x[:1], return_std=True)
    >>> bool(abs(mean[0, 0]) < 0.5 < abs(model.predict_mode(x[:1])[0, 0]))
    True
    """

    _scalings = SCALINGS
    # Likelihoods of narrow components need single precision.
    autocast = None

    def __init__(
        self,
        module=MixtureDensity,
        *,
        criterion=MixtureNLL,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=200,
        batch_size=32,
        train_split=None,
        early_stopping=None,
        lr_schedule="cosine",
        target_scaling="whiten",
        buffer_size=256,
        callbacks=None,
        checkpoint=None,
        warm_start=False,
        device="cpu",
        verbose=0,
        compile=False,  # noqa: A002 (skorch's name)
        random_state=None,
        **kwargs,
    ):
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.train_split = train_split
        self.early_stopping = early_stopping
        self.lr_schedule = lr_schedule
        self.target_scaling = target_scaling
        self.buffer_size = buffer_size
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.compile = compile
        self.random_state = random_state
        vars(self).update(kwargs)

    @staticmethod
    def block_targets(snapshots):
        """Raise an error: snapshots carry targets of grid points, not of atoms."""
        raise ValueError(
            "MDNRegressor.fit needs targets y with a row for every row of X, such as "
            "GaussianPotentialDecomposer makes."
        )

    # ---------------------------------------------------------------- prediction

    def predict(self, X, return_std=False):
        """Predict the mean of the targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows, as in :meth:`fit`.
        return_std : bool, default=False
            Whether standard deviations are returned as well.

        Returns
        -------
        mean : Blocks or ndarray
            One block ``(n_sites, n_outputs)`` per snapshot, or an array of shape
            (n_rows, n_outputs), or (n_rows,) if `y` was one-dimensional.
        std : Blocks or ndarray
            Standard deviations of the same shapes, if `return_std`.
        """
        mean = super().predict(X)
        if not return_std:
            return mean
        return mean, self._of_mixtures(X, GaussianMixtures.std)

    def predict_mode(self, X):
        """Predict the most probable targets of every row; see :meth:`GaussianMixtures.mode`.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows.

        Returns
        -------
        Blocks or ndarray
            Of the same shapes as from :meth:`predict`.
        """
        return self._of_mixtures(X, GaussianMixtures.mode)

    def predict_mixtures(self, X):
        """Predict the distribution of the targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks, whose rows are joined, or plain rows.

        Returns
        -------
        GaussianMixtures
            One mixture per row, in units of the targets.
        """
        check_is_fitted(self)
        if is_blocks(X):
            rows = np.concatenate([np.asarray(block[:]) for block in self._input_blocks(X)])
        else:
            rows = validated_rows(self, X, reset=False, dtype=np.float32)
        return self._mixtures(rows)

    def sample(self, X, n_samples=1, *, random_state=None):
        """Draw targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks, whose rows are joined, or plain rows.
        n_samples : int, default=1
            Number of draws.
        random_state : int, RandomState instance or None, default=None
            Seed.

        Returns
        -------
        ndarray of shape (n_samples, n_rows, n_outputs)
            Draws, independent between rows.
        """
        return self.predict_mixtures(X).sample(n_samples, random_state=random_state)

    def log_likelihood(self, X, y):
        r"""Return the mean of :math:`\log p(y | x)` over all rows.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows.
        y : sequence of array-like, or array-like of shape (n_rows, n_outputs)
            True targets.

        Returns
        -------
        float
            In the units of the targets: it grows by the logarithm of a factor that divides them.
        """
        y = np.concatenate([np.asarray(block) for block in y]) if is_blocks(X) else np.asarray(y)
        return float(self.predict_mixtures(X).log_density(y.reshape(-1, self.n_outputs_)).mean())

    def _of_mixtures(self, X, function):
        """Apply a function of mixtures to every block, or to plain rows."""
        check_is_fitted(self)
        if is_blocks(X):
            values = (function(self._mixtures(block[:])) for block in self._input_blocks(X))
            blocks = [block.astype(np.float32) for block in values]
            return Blocks(blocks, getattr(X, "snapshots", None))
        rows = function(self.predict_mixtures(X)).astype(self.target_dtype_, copy=False)
        return rows[:, 0] if self.target_ndim_ == 1 else rows

    def _mixtures(self, rows):
        """Return mixtures in units of the targets."""
        mixture = self._outputs(rows)
        weights = torch.softmax(mixture.logits, dim=-1)
        weights, means, roots = (
            a.double().cpu().numpy() for a in (weights, mixture.means, mixture.roots())
        )
        scale = self.target_scale_.astype(float)
        scale = np.diag(np.broadcast_to(scale, self.n_outputs_)) if scale.ndim == 1 else scale
        weights /= weights.sum(axis=1, keepdims=True)
        return GaussianMixtures(weights, means @ scale.T + self.target_center_, scale @ roots)

    def _restored(self, mixture):
        """Return the means of the targets, in their own units, from outputs of the network."""
        weights = torch.softmax(mixture.logits.double(), dim=-1)
        means = (weights[..., None] * mixture.means.double()).sum(dim=1).detach().cpu().numpy()
        return self._scaling.restore(means).astype(np.float32)
