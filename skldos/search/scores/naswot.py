"""NASWOT: a training-free score of networks."""

import copy
import warnings
from functools import partial

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos.data import is_blocks
from skldos.docstrings import documented
from skldos.exceptions import ScoringError, as_scoring_error
from skldos.scoring.scorer import Scorer
from skldos.search.scores._rows import rows_at, transformed
from skldos.search.scores._untrained import OF_SCORERS, network_of, over_initializations
from skldos.validation import check_finite, check_option, check_scalar

#: Sign of the sum in the score.
CONVENTIONS = {"fiedler": 1.0, "mellor": -1.0}

#: Relative spread of a row that is due to rounding.
ROUNDING = 1e-13


def naswot_score(network, inputs, *, convention="fiedler", epsilon=1e-4):
    r"""Return the training-free score of a network with its current weights.

    With :math:`J_n = \nabla_x \sum_k f_k(x_n)`, the gradient of the summed outputs at sample n,
    the correlation coefficients of these rows, :math:`C_{nm}`, and their eigenvalues
    :math:`\lambda_n`, the score is [1]_

    .. math:: S = \pm \sum_n \Big[ \log(\lambda_n + \epsilon) + \frac{1}{\lambda_n + \epsilon}
              \Big] = \pm \big[ \log \det (C + \epsilon) + \mathrm{tr}\,(C + \epsilon)^{-1} \big].

    Parameters
    ----------
    network : torch.nn.Module
        Network whose output for a row depends only on that row. The network is not changed: a copy
        in evaluation mode and double precision is scored, on the CPU.
    inputs : array-like of shape (n_samples, n_features)
        The batch, as input of the network. More samples than features − 1 make the score
        meaningless: rows of n_features numbers, minus their mean, have a rank of at most
        n_features − 1, and every vanishing eigenvalue adds :math:`1/\epsilon`.
    convention : {"fiedler", "mellor"}, default="fiedler"
        The sign; greater is better in both. ``"fiedler"`` is plus, as Ref. [2]_ chose for the
        LDOS: it prefers networks that respond similarly to different samples, that is, narrow and
        shallow ones. ``"mellor"`` is minus, as Ref. [1]_ chose for images: it prefers networks that
        respond differently to each sample, that is, wide and deep ones.
    epsilon : float, default=1e-4
        Keeps the sum finite; Ref. [1]_ uses 1e-5.

    Returns
    -------
    float
        The score. Rows of J without variance, such as those of a dead network, count as equal to
        each other and as uncorrelated with all others.

    Raises
    ------
    ScoringError
        If the gradient is not finite.

    Warns
    -----
    UserWarning
        If there are more samples than features − 1.

    References
    ----------
    .. [1] J. Mellor et al., "Neural architecture search without training", ICML 2021.
    .. [2] L. Fiedler et al., "Training-free hyperparameter optimization of neural networks for
       electronic structures in matter", Mach. Learn.: Sci. Technol. 3, 045008 (2022).

    Examples
    --------
    >>> import torch
    >>> from skldos.networks import FeedForward
    >>> from skldos.search import naswot_score
    >>> inputs = torch.randn(16, 30, generator=torch.manual_seed(0))
    >>> narrow, wide = (FeedForward(30, 5, hidden_layer_sizes=(n,)) for n in (5, 100))
    >>> naswot_score(narrow, inputs) > naswot_score(wide, inputs)
    True
    """
    check_option("convention", convention, tuple(CONVENTIONS))
    check_scalar("epsilon", epsilon, low=0, strict=True)
    rows = np.asarray(inputs, dtype=float)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(
            f"inputs must have shape (n_samples, n_features) with two samples or more, got "
            f"{rows.shape}."
        )
    check_finite("inputs", rows)
    if len(rows) > rows.shape[1] - 1:
        warnings.warn(
            f"{len(rows)} samples of {rows.shape[1]} features: at least "
            f"{len(rows) - max(rows.shape[1] - 1, 0)} of the eigenvalues vanish whatever the "
            "network is, and dominate its score; take fewer samples than features.",
            UserWarning,
            stacklevel=2,
        )
    return CONVENTIONS[convention] * _spectral_sum(
        _correlations(_gradients(network, rows)), epsilon
    )


@documented(OF_SCORERS)
class NASWOTScorer(Scorer):
    r"""Training-free score of an architecture from the Jacobians of untrained networks (NASWOT).

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. It draws a batch of rows from `X`, as
    they reach the network through the fitted steps before it, makes fresh networks of the
    estimator's architecture, and returns the mean of their :func:`naswot_score`. Training of the
    estimator has no influence: search with ``max_epochs=0`` (and ``dos_weight=None``, to skip the
    fit of the output layer).

    Descriptors are computed only for the rows of the batch if the transformers support it.

    Parameters
    ----------
    %(n_initializations)s
    batch_size : int, default=64
        Number of rows. It is reduced, with a warning, to the number of features − 1, which is
        the largest possible rank of the correlation matrix: zero eigenvalues would otherwise
        dominate the score. Scores of batches of different size are not comparable: if a search
        varies the number of features, choose a size that fits the smallest.
    convention : {"fiedler", "mellor"}, default="fiedler"
        Sign of the score, see :func:`naswot_score`: ``"fiedler"`` prefers narrow and shallow
        networks, whose responses to different samples are similar; ``"mellor"`` the opposite.
    epsilon : float, default=1e-4
        Added to the eigenvalues.
    random_state : int, RandomState instance or None, default=None
        Seed of rows and weights. With an integer, all candidates of a search use the same rows.

    Raises
    ------
    ScoringError
        When called, if the estimator ends in no network regressor of skldos, there are too few
        rows or features, or the network cannot be initialised anew.

    See Also
    --------
    naswot_score : The formula, for one network.
    ACSDScorer : The same idea for descriptors.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.search import NASWOTScorer
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=4),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(max_epochs=0, dos_weight=None),
    ... )
    >>> search = GridSearchCV(
    ...     model,
    ...     {"ldosregressor__module__hidden_layer_sizes": [(5,), (100,)]},
    ...     scoring=NASWOTScorer(batch_size=12, random_state=0),
    ...     cv=2,
    ... ).fit(make_snapshots(2, random_state=0))
    >>> search.best_params_
    {'ldosregressor__module__hidden_layer_sizes': (5,)}
    """

    def __init__(
        self,
        n_initializations=5,
        batch_size=64,
        *,
        convention="fiedler",
        epsilon=1e-4,
        random_state=None,
    ):
        self.n_initializations = check_scalar(
            "n_initializations", n_initializations, low=1, integer=True
        )
        self.batch_size = check_scalar("batch_size", batch_size, low=2, integer=True)
        self.convention = check_option("convention", convention, tuple(CONVENTIONS))
        self.random_state = random_state
        self.epsilon = check_scalar("epsilon", epsilon, low=0, strict=True)

    def scores(self, estimator, X):
        """Return the score of every initialisation, for mean and standard deviation.

        Parameters
        ----------
        %(estimator)s
        %(X)s

        Returns
        -------
        ndarray of shape (n_initializations,)
            Scores.
        """
        _, regressor = network_of(estimator, self)
        rng = check_random_state(self.random_state)
        # Not ValueErrors, which some searches hide.
        with as_scoring_error(ValueError):
            check_is_fitted(regressor)
            batch = self._batch(regressor, transformed(estimator, X), rng)
            score = partial(
                naswot_score, inputs=batch, convention=self.convention, epsilon=self.epsilon
            )
            return over_initializations(score, regressor, self.n_initializations, rng)

    def __call__(self, estimator, X, y=None):
        """Return the mean score; `y` is ignored."""
        return float(np.mean(self.scores(estimator, X)))

    def _batch(self, regressor, X, rng):
        """Return rows of the network's inputs, drawn without replacement from all blocks."""
        if is_blocks(X):
            # For an atom in several frames, the first frame.
            inputs = regressor._input_blocks(X)
            blocks = [getattr(block, "blocks", (block,))[0] for block in inputs]
        else:
            blocks = [np.asarray(X)]
            check_finite("X", blocks[0])
            regressor._check_n_features(blocks[0].shape[1], reset=False)
        lengths = [block.shape[0] for block in blocks]
        n_features = regressor.n_features_in_
        size = min(self.batch_size, sum(lengths))
        if size > n_features - 1:
            warnings.warn(
                f"a batch of {size} rows is reduced to {n_features - 1}: the Jacobians of "
                f"{n_features} features have no larger rank; set batch_size.",
                UserWarning,
                stacklevel=4,
            )
            size = n_features - 1
        if size < 2:
            raise ScoringError(
                f"correlations need two rows and three features or more, got {sum(lengths)} and "
                f"{n_features}."
            )
        indices = np.sort(rng.choice(sum(lengths), size, replace=False))
        ends = np.cumsum(lengths)
        by_block = np.split(indices, np.searchsorted(indices, ends[:-1]))
        return np.concatenate(
            [
                rows_at(block, rows - end + length)
                for block, rows, end, length in zip(blocks, by_block, ends, lengths, strict=True)
                if len(rows)
            ]
        )


def _gradients(network, rows):
    """Return the gradient of the summed outputs with respect to every row of inputs.

    Networks are processed one by one: ``vmap`` over stacked weights takes longer, and does not
    support every layer.
    """
    network = copy.deepcopy(network).to("cpu", torch.float64).eval().requires_grad_(False)
    inputs = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    # A row of outputs depends only on its own row of inputs, so one sum gives the gradients of all
    # rows.
    with torch.enable_grad():
        outputs = network(inputs)
        if not isinstance(outputs, torch.Tensor):
            kind = type(outputs).__name__
            raise ScoringError(f"the network must return a tensor to be scored, got {kind}.")
        (gradients,) = torch.autograd.grad(outputs.sum(), inputs)
    gradients = gradients.numpy()
    if not np.isfinite(gradients).all():
        raise ScoringError("the gradient of the network's outputs holds NaN or infinite values.")
    return gradients


def _correlations(rows):
    """Return the correlation coefficients of the rows; constant rows count as equal."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1)
    still = norms <= ROUNDING * np.abs(rows).max(axis=1) * np.sqrt(rows.shape[1])
    unit = np.where(still, 0, centred.T / np.where(still, 1, norms)).T
    correlations = unit @ unit.T + np.outer(still, still)
    np.fill_diagonal(correlations, 1.0)
    return correlations


def _spectral_sum(correlations, epsilon):
    """Return the sum of log(λ + ε) + 1/(λ + ε) over the eigenvalues, without computing them."""
    # C + ε = L Lᵀ:  Σ log(λ + ε) = 2 Σ log L_nn,  Σ 1/(λ + ε) = |L⁻¹|²
    lower = torch.linalg.cholesky(
        torch.from_numpy(correlations + epsilon * np.eye(len(correlations)))
    )
    logarithms = 2 * lower.diagonal().log().sum()
    return float(logarithms + torch.cholesky_inverse(lower).trace())
