"""Feed-forward networks."""

from collections.abc import Iterable
from itertools import pairwise

from torch import nn

from skldos.validation import check_option, check_scalar

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
}


class FeedForward(nn.Sequential):
    r"""Dense layers, :math:`h_{l+1} = \phi(W_l h_l + b_l)`, with a linear last layer.

    Parameters
    ----------
    n_in : int
        Number of inputs.
    n_out : int
        Number of outputs.
    hidden_layer_sizes : sequence of int, default=(100,)
        Width of each hidden layer; empty for a linear model.
    activation : str, default="leaky_relu"
        Function :math:`\phi` after each hidden layer: ``"relu"``, ``"leaky_relu"``, ``"silu"``,
        ``"gelu"``, ``"tanh"``, ``"sigmoid"`` or ``"softplus"``.
    output_activation : str, optional
        Function after the last layer. With None the last layer is linear, and slightly negative
        targets can be learned.
    dropout : float, default=0.0
        Probability of dropping a hidden unit in training.

    Examples
    --------
    >>> import torch
    >>> FeedForward(91, 81, hidden_layer_sizes=(400, 400))(torch.zeros(5, 91)).shape
    torch.Size([5, 81])
    """

    def __init__(
        self,
        n_in,
        n_out,
        hidden_layer_sizes=(100,),
        activation="leaky_relu",
        output_activation=None,
        dropout=0.0,
    ):
        check_option("activation", activation, tuple(ACTIVATIONS))
        check_option("output_activation", output_activation, (None, *ACTIVATIONS))
        check_scalar("dropout", dropout, low=0, high=1)
        if not isinstance(hidden_layer_sizes, Iterable):
            raise TypeError(
                f"hidden_layer_sizes must be a sequence of widths, got {hidden_layer_sizes!r}."
            )
        widths = [check_scalar("n_in", n_in, low=1, integer=True)]
        for width in hidden_layer_sizes:
            widths.append(check_scalar("hidden_layer_sizes", width, low=1, integer=True))
        layers = []
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out), ACTIVATIONS[activation]()]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(widths[-1], check_scalar("n_out", n_out, low=1, integer=True)))
        if output_activation is not None:
            layers.append(ACTIVATIONS[output_activation]())
        super().__init__(*layers)

    def __getitem__(self, key):
        # Slices of the network are plain Sequential objects, not FeedForward.
        return (
            nn.Sequential(*list(self)[key]) if isinstance(key, slice) else super().__getitem__(key)
        )
