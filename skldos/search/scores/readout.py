"""Readout score: a training-free score of networks with a fitted output layer."""

import copy
from functools import partial

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos.data import is_blocks
from skldos.docstrings import documented
from skldos.exceptions import ScoringError, as_scoring_error
from skldos.regressors import ADOSRegressor
from skldos.regressors.neural.output_layer import output_layer
from skldos.scoring.scorer import Scorer
from skldos.search.scores._descriptors import block_targets, checked_rows, drawn_rows
from skldos.search.scores._rows import transformed
from skldos.search.scores._untrained import OF_SCORERS, network_of, over_initializations
from skldos.validation import check_finite, check_option, check_scalar

METRICS = ("dos", "ldos")

#: Number of parts into which the rows of a single block are divided.
N_PARTS = 5

#: Computing one row of lazy descriptors takes about as long as this many in a slice.
SLICE_FACTOR = 50


def readout_score(network, inputs, targets, *, metric="dos", ridge=1e-6):
    r"""Return how well random features of a network predict the LDOS of a left-out snapshot.

    The hidden layers keep their random weights and give the features h of every point, including a
    constant. Each snapshot k is left out once, and the output layer is fitted to the others in
    closed form,

    .. math:: W_k = \arg \min_W \sum_{l \ne k} \sum_{r \in l} |W h_r - d_r|^2
              + \lambda \, |W|^2 .

    The score is the negative error of these predictions: either of the sums over the points of a
    snapshot, which determine the density of states,

    .. math:: S_\mathrm{dos} = - \frac{\sum_k \big| \sum_{r \in k} (W_k h_r - d_r) \big|_1}
              {\sum_k \big| \sum_{r \in k} d_r \big|_1} ,

    or at every point, relative to the spread of the targets,

    .. math:: S_\mathrm{ldos} = - \Big[ \frac{\sum_k \sum_{r \in k} |W_k h_r - d_r|^2}
              {\sum_k \sum_{r \in k} |d_r - \bar d|^2} \Big]^{1/2} .

    Features that predict well without being learned are a good start for learning [1]_.

    Parameters
    ----------
    network : torch.nn.Sequential
        Network that ends in a linear layer, whose weights do not matter. The network is not
        changed: a copy in evaluation mode and double precision is scored, on the CPU.
    inputs : sequence of array-like of shape (n_points, n_features)
        Some points of each snapshot, as input of the network. Their total number should be several
        times the width of the last hidden layer.
    targets : sequence of array-like of shape (n_points, n_outputs)
        The LDOS at these points, in any unit.
    metric : {"dos", "ldos"}, default="dos"
        Kind of error.
    ridge : float, default=1e-6
        The penalty :math:`\lambda`, in units of the mean square of a feature times the number of
        points, so that the scale of the features does not matter. The constant has none.

    Returns
    -------
    float
        The score, at most 0.

    Raises
    ------
    ValueError
        If the network ends in anything but a linear layer with a bias, there are fewer than two
        snapshots, or inputs and targets do not match.
    ScoringError
        If the features are not finite.

    References
    ----------
    .. [1] A. Rahimi and B. Recht, "Weighted sums of random kitchen sinks: replacing minimization
       with randomization in learning", NeurIPS 2008.

    Examples
    --------
    >>> import torch
    >>> from skldos.networks import FeedForward
    >>> from skldos.search import readout_score
    >>> inputs = torch.randn(4, 100, 3, generator=torch.manual_seed(0))
    >>> targets = (inputs**2).sum(dim=-1, keepdim=True)
    >>> narrow, wide = (FeedForward(3, 1, hidden_layer_sizes=(n,)) for n in (2, 50))
    >>> readout_score(narrow, inputs, targets) < readout_score(wide, inputs, targets) < 0
    True
    """
    check_option("metric", metric, METRICS)
    check_scalar("ridge", ridge, low=0, strict=True)
    inputs, targets = _checked(inputs, targets)
    features = _features(network, inputs)
    residuals = _left_out(features, targets, ridge)
    if metric == "dos":
        error = sum(residual.sum(dim=0).abs().sum() for residual in residuals)
        return -float(error / sum(block.sum(dim=0).abs().sum() for block in targets))
    mean = torch.cat(targets).mean(dim=0)
    error = sum(residual.square().sum() for residual in residuals)
    return -float((error / sum((block - mean).square().sum() for block in targets)).sqrt())


@documented(OF_SCORERS)
class ReadoutScorer(Scorer):
    r"""Training-free score of an architecture: only its output layer is fitted.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. It draws points from every snapshot, as
    they reach the network through the fitted steps before it, makes fresh networks of the
    estimator's architecture, and returns the mean of their :func:`readout_score`. Training of the
    estimator has no influence: search with ``max_epochs=0``.

    Unlike :class:`NASWOTScorer` it uses the targets. It does not depend on training parameters such
    as the learning rate, and is not meant to compare descriptors. A single snapshot, or plain rows,
    are divided into five parts.

    Parameters
    ----------
    n_initializations : int, default=3
        %(n_initializations.text)s
    batch_size : int, default=2000
        Number of points, the same from every snapshot. Several times the width of the last hidden
        layer is enough.
    metric : {"dos", "ldos"}, default="dos"
        Error of the sums over the points of a snapshot, or error at every point.
    ridge : float, default=1e-6
        Relative penalty on the weights of the output layer.
    random_state : int, RandomState instance or None, default=None
        Seed of points and weights. With an integer, all candidates of a search use the same points.

    Raises
    ------
    ScoringError
        When called, if the estimator does not end in a network regressor of skldos with a linear
        output layer, or the targets are missing.

    See Also
    --------
    readout_score : The formula, for one network.
    NASWOTScorer : A score by Jacobians, which needs no targets.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.search import ReadoutScorer
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=4),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(max_epochs=0),
    ... )
    >>> search = GridSearchCV(
    ...     model,
    ...     {"ldosregressor__module__hidden_layer_sizes": [(2,), (50,)]},
    ...     scoring=ReadoutScorer(random_state=0),
    ...     cv=2,
    ... ).fit(make_snapshots(4, random_state=0))
    >>> search.best_params_
    {'ldosregressor__module__hidden_layer_sizes': (50,)}
    """

    def __init__(
        self, n_initializations=3, batch_size=2000, *, metric="dos", ridge=1e-6, random_state=None
    ):
        self.n_initializations = check_scalar(
            "n_initializations", n_initializations, low=1, integer=True
        )
        self.batch_size = check_scalar("batch_size", batch_size, low=2, integer=True)
        self.metric = check_option("metric", metric, METRICS)
        self.random_state = random_state
        self.ridge = check_scalar("ridge", ridge, low=0, strict=True)

    def scores(self, estimator, X, y=None):
        """Return the score of every initialisation, for mean and standard deviation.

        Parameters
        ----------
        %(estimator)s
        %(X)s
        y : sequence of array-like of shape (..., n_outputs), optional
            Targets; None uses the LDOS of the snapshots.

        Returns
        -------
        ndarray of shape (n_initializations,)
            Scores.
        """
        last, regressor = network_of(estimator, self)
        rng = check_random_state(self.random_state)
        # Not ValueErrors, which some searches hide.
        with as_scoring_error(ValueError):
            check_is_fitted(regressor)
            inputs, targets = self._batch(*_pairs(last, transformed(estimator, X), y), rng)
            score = partial(
                readout_score, inputs=inputs, targets=targets, metric=self.metric, ridge=self.ridge
            )
            return over_initializations(score, regressor, self.n_initializations, rng)

    def __call__(self, estimator, X, y=None):
        """Return the mean score."""
        return float(np.mean(self.scores(estimator, X, y)))

    def _batch(self, blocks, targets, rng):
        """Return rows of inputs and targets, drawn without replacement from every block."""
        size = max(1, self.batch_size // len(blocks))
        pairs = []
        for block, target in zip(blocks, targets, strict=True):
            x, y = checked_rows(block, target)
            if x.shape[0] <= SLICE_FACTOR * size:
                x = np.asarray(x)
            pairs.append(drawn_rows(x, y, size, rng))
        if len(pairs) == 1:
            pairs = list(zip(*(np.array_split(x, N_PARTS) for x in pairs[0]), strict=True))
        return tuple(zip(*pairs, strict=True))


def _pairs(regressor, X, y):
    """Return blocks of inputs and of targets; plain rows are a single block."""
    if not is_blocks(X):
        if y is None:
            raise ScoringError("pass y: plain rows have no targets.")
        y = np.asarray(y)
        return [np.asarray(X)], [y.reshape(len(y), -1)]
    if isinstance(regressor, ADOSRegressor):
        return X, regressor.decomposer_.transform(regressor._snapshots(X, y))
    return X, block_targets(X, y, regressor.block_targets)


def _checked(inputs, targets):
    """Return blocks of inputs and targets as tensors in double precision."""
    if len(inputs) < 2 or len(inputs) != len(targets):
        raise ValueError(
            "inputs and targets must hold the same number of blocks, at least two, got "
            f"{len(inputs)} and {len(targets)}."
        )
    tensors = []
    for name, blocks in (("inputs", inputs), ("targets", targets)):
        arrays = [np.asarray(block, dtype=float) for block in blocks]
        for i, (array, other) in enumerate(zip(arrays, inputs, strict=True)):
            if array.ndim != 2 or len(array) != len(other) or len(array) == 0:
                raise ValueError(
                    f"{name}[{i}] must have shape (n_points, n), with as many points in inputs and "
                    f"targets, got {array.shape}."
                )
            check_finite(f"{name}[{i}]", array)
        tensors.append([torch.from_numpy(array) for array in arrays])
    return tensors


def _features(network, inputs):
    """Return the outputs of the hidden layers with a constant, for every block of inputs."""
    last, hidden_layers = output_layer(network)
    if last is None:
        raise ValueError(
            f"network must be a Sequential that ends in a linear layer with a bias, got {network}."
        )
    hidden_layers = copy.deepcopy(hidden_layers).to("cpu", torch.float64).eval()
    with torch.no_grad():
        features = [hidden_layers(block) for block in inputs]
    if not all(torch.isfinite(block).all() for block in features):
        raise ScoringError("the hidden layers of the network give NaN or infinite values.")
    return [torch.cat([block, torch.ones_like(block[:, :1])], dim=1) for block in features]


def _left_out(features, targets, ridge):
    """Return the residuals of every block with the output layer fitted to all other blocks."""
    normals = torch.stack([h.T @ h for h in features])
    rights = torch.stack([h.T @ d for h, d in zip(features, targets, strict=True)])
    n_hidden = normals.shape[-1] - 1
    penalty = torch.zeros(n_hidden + 1, dtype=torch.float64)
    residuals = []
    for k, (h, d) in enumerate(zip(features, targets, strict=True)):
        normal = normals.sum(dim=0) - normals[k]
        # In a dead network, only the constant is left.
        penalty[:-1] = ridge * (float(normal.diagonal()[:-1].mean()) or 1.0)
        weights = torch.linalg.solve(normal + penalty.diag(), rights.sum(dim=0) - rights[k])
        residuals.append(h @ weights - d)
    return residuals
