"""Mixture density networks."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.distributions import LowRankMultivariateNormal

from skldos.networks.feedforward import FeedForward
from skldos.validation import check_option, check_scalar

COVARIANCES = ("full", "diagonal", "low_rank")


class MixtureParameters(NamedTuple):
    r"""Parameters of the mixture that a mixture density network predicts for every row.

    Parameters
    ----------
    logits : Tensor of shape (n_rows, K)
        Logarithms of the weights of the K components, up to a constant.
    means : Tensor of shape (n_rows, K, D)
        Means of the D outputs.
    scale : Tensor of shape (n_rows, K, D) or (n_rows, K, D, D)
        Standard deviations :math:`s_k`, or lower triangles :math:`L_k` with
        :math:`\Sigma_k^{-1} = L_k L_k^T`.
    factors : Tensor of shape (n_rows, K, D, rank), optional
        :math:`U_k` of :math:`\Sigma_k = \mathrm{diag}(s_k^2) + U_k U_k^T`.
    """

    logits: torch.Tensor
    means: torch.Tensor
    scale: torch.Tensor
    factors: torch.Tensor | None = None

    def log_density(self, targets):
        """Return the log densities at rows of targets, of shape (n_rows,)."""
        weights = torch.log_softmax(self.logits, dim=-1)
        return torch.logsumexp(weights + self._log_components(targets[:, None]), dim=-1)

    def _log_components(self, targets):
        if self.factors is not None:
            # Checking the arguments would cost more than a small network.
            normal = LowRankMultivariateNormal(
                self.means, self.factors, self.scale**2, validate_args=False
            )
            return normal.log_prob(targets)
        deviation = targets - self.means
        if self.scale.ndim == self.means.ndim:
            z, log_det = deviation / self.scale, -self.scale.log().sum(dim=-1)
        else:
            z = (self.scale.mT @ deviation[..., None])[..., 0]
            log_det = self.scale.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
        constant = 0.5 * targets.shape[-1] * math.log(2 * math.pi)
        return log_det - 0.5 * z.square().sum(dim=-1) - constant

    def roots(self):
        """Return R with covariances R Rᵀ, of shape (n_rows, K, D, D), in double precision."""
        scale = self.scale.double()
        if self.factors is not None:
            factors = self.factors.double()
            return torch.linalg.cholesky(torch.diag_embed(scale**2) + factors @ factors.mT)
        if self.scale.ndim == self.means.ndim:
            return torch.diag_embed(scale)
        unit = torch.eye(scale.shape[-1], dtype=scale.dtype, device=scale.device)
        return torch.linalg.solve_triangular(scale.mT, unit.expand_as(scale), upper=True)


class MixtureDensity(nn.Module):
    r"""Dense layers that end in a mixture of Gaussians.

    .. math:: p(y | x) = \sum_{k=1}^K w_k(x)\, N\big(y; \mu_k(x), \Sigma_k(x)\big)

    with the weights, means and covariances as outputs of one network [1]_. A full covariance is
    parametrised by the Cholesky factor of its inverse, because the log density is quadratic in it.
    Training on the factor of the covariance itself gets stuck.

    Parameters
    ----------
    n_in, n_out : int
        Number of inputs, and number D of outputs.
    n_components : int, default=3
        Number K of components.
    covariance : {"full", "diagonal", "low_rank"}, default="full"
        Form of :math:`\Sigma_k`; ``"low_rank"`` is a diagonal and `rank` directions.
    rank : int, default=1
        Number of directions for ``"low_rank"``.
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Width of each hidden layer.
    activation : str, default="silu"
        As in :class:`~skldos.networks.FeedForward`.
    dropout : float, default=0.0
        Probability of dropping a hidden unit in training.
    floor : float, default=1e-2
        Smallest standard deviation in units of the normalised targets (for ``"full"``, of an output
        given those after it). Without it, a component that shrinks onto a single row of the
        training data makes the likelihood infinite.

    References
    ----------
    .. [1] C. M. Bishop, "Mixture density networks", Aston University NCRG/94/004 (1994).

    Examples
    --------
    >>> import torch
    >>> mixture = MixtureDensity(5, 2, n_components=4)(torch.zeros(3, 5))
    >>> mixture.means.shape, mixture.log_density(torch.zeros(3, 2)).shape
    (torch.Size([3, 4, 2]), torch.Size([3]))
    """

    def __init__(
        self,
        n_in,
        n_out,
        n_components=3,
        covariance="full",
        rank=1,
        hidden_layer_sizes=(64, 64),
        activation="silu",
        dropout=0.0,
        floor=1e-2,
    ):
        super().__init__()
        self.n_out = check_scalar("n_out", n_out, low=1, integer=True)
        self.n_components = check_scalar("n_components", n_components, low=1, integer=True)
        self.covariance = check_option("covariance", covariance, COVARIANCES)
        self.rank = check_scalar("rank", rank, low=1, integer=True)
        self.floor = check_scalar("floor", floor, low=0)
        spread = {"full": n_out * (n_out - 1) // 2, "diagonal": 0, "low_rank": n_out * rank}
        self._sizes = [n_components * n for n in (1, n_out, n_out, spread[covariance])]
        self.layers = FeedForward(
            n_in, sum(self._sizes), hidden_layer_sizes, activation, dropout=dropout
        )
        self._scatter()

    @torch.no_grad()
    def _scatter(self):
        """Start with round components of about unit width at different places."""
        last = self.layers[-1]
        last.weight *= 0.1
        last.bias.zero_()
        # Components that start at the same place may never separate.
        means = slice(self._sizes[0], sum(self._sizes[:2]))
        last.bias[means] = _spread(
            self.n_components, self.n_out, dtype=last.bias.dtype, device=last.bias.device
        ).flatten()

    def forward(self, inputs):
        """Return the :class:`MixtureParameters` of rows of shape (n_rows, n_in)."""
        logits, means, widths, spread = self.layers(inputs).split(self._sizes, dim=-1)
        shape = (len(inputs), self.n_components, self.n_out)
        means, scale = means.reshape(shape), nn.functional.softplus(widths.reshape(shape))
        scale = scale + self.floor
        if self.covariance == "diagonal":
            return MixtureParameters(logits, means, scale)
        if self.covariance == "low_rank":
            return MixtureParameters(logits, means, scale, spread.reshape(*shape, self.rank))
        row, column = torch.tril_indices(self.n_out, self.n_out, -1, device=inputs.device)
        # The diagonal holds the inverse standard deviation of an output, given the later ones.
        triangle = torch.diag_embed(1 / scale)
        triangle[:, :, row, column] = spread.reshape(*shape[:2], len(row))
        return MixtureParameters(logits, means, triangle)


def _spread(n_points, n_dimensions, **like):
    """Return points that quantise a standard normal distribution, by Lloyd's method."""
    if n_points == 1:
        return torch.zeros(1, n_dimensions, **like)
    draws = torch.randn(256 * n_points, n_dimensions, **like)
    points = draws[:n_points].clone()
    for _ in range(20):
        nearest = torch.cdist(draws, points).argmin(dim=1)
        for k in nearest.unique():
            points[k] = draws[nearest == k].mean(dim=0)
    return points


class MixtureNLL(nn.Module):
    r"""Mean of :math:`-\log p(y | x)` over rows, for :class:`MixtureParameters` and targets.

    Parameters
    ----------
    reduction : {"mean", "none"}, default="mean"
        Whether to return the mean, or the value of every row.
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = check_option("reduction", reduction, ("mean", "none"))

    def forward(self, mixture, targets):
        """Return the loss, a scalar, or one value per row."""
        losses = -mixture.log_density(targets)
        return losses.mean() if self.reduction == "mean" else losses
