"""Feed-forward networks have the requested layers."""

import pytest
import torch
from torch import nn

from skldos.networks import FeedForward


def layers(network):
    return [type(layer).__name__ for layer in network]


def test_layers_in_their_order():
    network = FeedForward(3, 2, (5, 4), activation="tanh", dropout=0.1, output_activation="relu")
    assert layers(network) == [*2 * ["Linear", "Tanh", "Dropout"], "Linear", "ReLU"]
    shapes = [tuple(layer.weight.shape) for layer in network if isinstance(layer, nn.Linear)]
    assert shapes == [(5, 3), (4, 5), (2, 4)]


def test_no_hidden_layers_is_a_linear_map():
    network = FeedForward(3, 2, ())
    assert layers(network) == ["Linear"]
    X = torch.eye(3)
    torch.testing.assert_close(network(X), network[0].weight.T + network[0].bias)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"activation": "swish"}, ValueError, "activation must be one of 'relu'.* got 'swish'"),
        ({"output_activation": "max"}, ValueError, "output_activation must be one of None"),
        ({"dropout": 1.5}, ValueError, "dropout must be >= 0 and <= 1, got 1.5"),
        ({"hidden_layer_sizes": (3, 0)}, ValueError, "hidden_layer_sizes must be >= 1, got 0"),
        ({"hidden_layer_sizes": 10}, TypeError, "hidden_layer_sizes"),
        ({"n_in": 0}, ValueError, "n_in must be >= 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        FeedForward(**({"n_in": 3, "n_out": 2} | arguments))


@pytest.mark.parametrize("name", ["n_in", "n_out", "hidden_layer_sizes"])
def test_one_unit_is_enough_and_none_is_not(name):
    sizes = {"n_in": 3, "n_out": 2, "hidden_layer_sizes": (4,)}
    one, none = ((1,), (0,)) if name == "hidden_layer_sizes" else (1, 0)
    network = FeedForward(**sizes | {name: one})
    rows = torch.ones(5, 1 if name == "n_in" else 3)
    assert network(rows).shape == (5, 1 if name == "n_out" else 2)
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
        FeedForward(**sizes | {name: none})
