"""The gradient written out by hand is the gradient of autograd."""

import copy

import pytest
import torch
from torch import nn

from skldos.networks import Backpropagation, FeedForward
from skldos.networks.backpropagation import MIN_TRANSPOSED, _strips
from skldos.networks.feedforward import ACTIVATIONS


def check(network, X, y, gradient_of=None, weights=None):
    """Compare with autograd, in a network with gradients of an earlier step."""
    twin, before = copy.deepcopy(network), (X.clone(), y.clone())
    twin.zero_grad()
    random = torch.get_rng_state()
    expected_predictions = twin(X)
    after = torch.get_rng_state()
    losses = nn.functional.mse_loss(expected_predictions, y, reduction="none")
    loss = (losses if weights is None else weights * losses).mean()
    loss.backward()
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.full_like(parameter, 7.0)
    torch.set_rng_state(random)
    predictions, found = (gradient_of or Backpropagation(network))(X, y, weights)
    assert torch.equal(torch.get_rng_state(), after)
    torch.testing.assert_close(found, loss.detach())
    torch.testing.assert_close(predictions, expected_predictions.detach())
    for parameter, expected in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad)
    torch.testing.assert_close((X, y), before, rtol=0, atol=0)


@pytest.mark.parametrize("output_activation", [None, "sigmoid", "relu"])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("hidden_layer_sizes", [(), (7,), (5, 6)])
def test_gradients_equal_those_of_autograd(hidden_layer_sizes, activation, output_activation):
    torch.manual_seed(0)
    network = FeedForward(4, 3, hidden_layer_sizes, activation, output_activation).double()
    nn.init.ones_([m for m in network if isinstance(m, nn.Linear)][-1].bias)  # no dead outputs
    check(network, torch.randn(10, 4).double(), torch.randn(10, 3).double())
    assert any(parameter.grad.abs().max() > 1e-4 for parameter in network.parameters())


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Linear(3, 4), nn.LeakyReLU(0.0), nn.Linear(4, 2)),
        (nn.Linear(3, 4), nn.LeakyReLU(0.3), nn.Linear(4, 2)),
        (nn.ReLU(), nn.Linear(3, 2)),
        (nn.Linear(3, 2), nn.Tanh(), nn.ReLU()),
    ],
)
def test_activations_of_any_slope_anywhere(layers):
    torch.manual_seed(0)
    check(nn.Sequential(*layers), torch.randn(6, 3), torch.randn(6, 2))


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Linear(3, 9), nn.SiLU(), nn.Dropout(0.4), nn.Linear(9, 2)),
        (nn.Linear(3, 9), nn.Dropout(0.4), nn.LeakyReLU(), nn.Dropout(0.2), nn.Linear(9, 2)),
        (nn.Dropout(0.4), nn.Linear(3, 2), nn.Dropout(0.2)),
        (nn.Linear(3, 9), nn.Dropout(0.4, inplace=True), nn.Linear(9, 2)),
    ],
)
def test_dropout_draws_the_numbers_of_torch(layers):
    torch.manual_seed(0)
    network = nn.Sequential(*layers)
    assert Backpropagation.knows(network)
    gradient_of, X, y = Backpropagation(network), torch.randn(8, 3), torch.randn(8, 2)
    for n_rows in (8, 8, 5, 8):
        check(network, X[:n_rows], y[:n_rows], gradient_of)
    random, _ = gradient_of(X, y)
    random = random.clone()
    assert not torch.equal(gradient_of(X, y)[0], random)
    network.eval()
    check(network, X, y, gradient_of)
    predictions = gradient_of(X, y)[0].clone()
    assert torch.equal(gradient_of(X, y)[0], predictions)


def test_batches_of_any_size_follow_each_other():
    torch.manual_seed(0)
    network = FeedForward(3, 2, (4,), "silu")
    gradient_of = Backpropagation(network)
    for n in (5, 8, 1, 8):
        check(network, torch.randn(n, 3), torch.randn(n, 2), gradient_of)


@pytest.mark.parametrize("output_activation", [None, "sigmoid"])
def test_weights_of_the_rows(output_activation):
    torch.manual_seed(0)
    network = FeedForward(4, 3, (5,), output_activation=output_activation).double()
    X, y = torch.randn(10, 4).double(), torch.randn(10, 3).double()
    gradient_of, weights = Backpropagation(network), torch.rand(10, 1).double()
    check(network, X, y, gradient_of, weights)
    weighted = network[0].weight.grad.clone()
    check(network, X, y, gradient_of)  # the next batch may have none
    assert not torch.allclose(network[0].weight.grad, weighted, rtol=0.1)
    check(network, X, y, gradient_of, (torch.arange(10) < 3)[:, None].double())
    weighted = network[0].weight.grad * 10 / 3  # the mean is over all rows
    check(network, X[:3], y[:3], gradient_of)
    torch.testing.assert_close(weighted, network[0].weight.grad)


@pytest.mark.parametrize("n_rows", [MIN_TRANSPOSED - 1, MIN_TRANSPOSED, MIN_TRANSPOSED + 57])
@pytest.mark.parametrize(
    ("sizes", "outputs", "gradients"),
    [
        # Products of 100 x 30 and 30 x 100 are cut into 100 x 4 and 30 x 7 pieces.
        ((30, 100, 11), [False, True], [True, False]),
        ((32, 96, 16), [False, False], [False, False]),
        ((15, 2, 1), [True, False], [False, False]),
    ],
)
def test_transposed_products_give_the_same_gradient(sizes, outputs, gradients, n_rows):
    torch.manual_seed(0)
    network = FeedForward(sizes[0], sizes[2], (sizes[1],)).double()
    gradient_of = Backpropagation(network)
    X, y = torch.randn(n_rows, sizes[0]).double(), torch.randn(n_rows, sizes[2]).double()
    check(network, X, y, gradient_of)
    dense, large = gradient_of._layers[::2], n_rows >= MIN_TRANSPOSED
    assert [d._z_transposed is not None for d in dense] == [large and o for o in outputs]
    assert [d._gradient_transposed is not None for d in dense] == [large and g for g in gradients]


def test_data_that_record_gradients():
    torch.manual_seed(0)
    network = FeedForward(3, 2, (4,))
    X, y = torch.randn(5, 3), torch.randn(5, 2)
    expected = Backpropagation(network)(X, y)[1].item()
    predictions, loss = Backpropagation(network)(X.requires_grad_(), y.requires_grad_())
    assert loss.item() == expected > 0
    assert not predictions.requires_grad
    assert not loss.requires_grad
    assert X.grad is None


def test_numbers_of_strips():
    assert [_strips(n) for n in (1, 15, 16, 30, 81, 91, 96, 100)] == [1, 4, 1, 4, 6, 8, 6, 7]


class Scaled(nn.Linear):
    """A dense layer that does something else."""

    def forward(self, X):
        return 2 * super().forward(X)


class Residual(nn.Sequential):
    """Known layers in another arrangement."""

    def forward(self, X):
        return X + super().forward(X)


def hooked():
    network = FeedForward(2, 2)
    network[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    return network


def frozen():
    network = FeedForward(2, 2)
    network[0].weight.requires_grad_(False)
    return network


@pytest.mark.parametrize(
    "network",
    [
        FeedForward(2, 2, activation="gelu"),
        FeedForward(2, 2, dropout=1.0),
        nn.Sequential(Scaled(2, 2)),
        nn.Sequential(nn.Linear(2, 2, bias=False)),
        nn.Sequential(nn.Sequential(nn.Linear(2, 2))),
        nn.Linear(2, 2),
        Residual(nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(-0.1)),
        nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True)),
        hooked(),
        frozen(),
    ],
    ids=[
        *("gelu", "dropout", "own layer", "no bias", "nested", "bare layer", "own forward"),
        *("negative slope", "in place", "hook", "frozen"),
    ],
)
def test_other_networks_are_left_to_autograd(network):
    if Backpropagation.knows(network):  # then it has to be right
        check(network, torch.ones(3, 2), torch.zeros(3, 2))


def test_it_can_be_called_again_after_a_step():
    torch.manual_seed(0)
    network = FeedForward(3, 2, (4,))
    gradient_of = Backpropagation(network)
    X, y = torch.randn(6, 3), torch.randn(6, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        losses.append(float(gradient_of(X, y)[1]))
        optimizer.step()
    assert losses[-1] < losses[0]
    torch.testing.assert_close(gradient_of(X, y)[1], nn.functional.mse_loss(network(X), y).detach())


def test_a_layer_that_occurs_twice_is_left_to_autograd():
    layer = torch.nn.Linear(3, 3)
    assert not Backpropagation.knows(torch.nn.Sequential(layer, torch.nn.Tanh(), layer))


@pytest.mark.parametrize("layer", [nn.LeakyReLU(0.0), nn.ReLU(), nn.SiLU(), nn.Tanh()])
def test_flat_sides_are_known(layer):
    assert Backpropagation.knows(nn.Sequential(nn.Linear(2, 2), layer))


@pytest.mark.parametrize("activation", [None, "relu", "silu"])
def test_memory_is_used_again(activation):
    network = FeedForward(3, 2, (4,), output_activation=activation)
    gradient_of, X, y = Backpropagation(network), torch.rand(6, 3), torch.rand(6, 2)
    places = []
    for _ in range(2):
        predictions, _ = gradient_of(X, y)
        tensors = predictions, *(p.grad for p in network.parameters())
        places.append([tensor.data_ptr() for tensor in tensors])
    assert places[0] == places[1]
