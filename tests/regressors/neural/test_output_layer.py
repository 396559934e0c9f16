"""The closed-form refit of the last layer minimises the stated loss."""

import copy
import gc

import numpy as np
import pytest
import torch
from torch import nn

from skldos import LDOSRegressor
from skldos.data import Blocks
from skldos.networks import FeedForward
from skldos.regressors.neural import output_layer
from skldos.regressors.neural.output_layer import fit_output_layer


@pytest.fixture
def snapshots():
    """Three snapshots of rows, for a network from 3 inputs to 2 outputs."""
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(n, 3, generator=generator).double(),
            torch.randn(n, 2, generator=generator).double(),
        )
        for n in (30, 20, 50)
    ]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FeedForward(3, 2, (6,)).double()


def objective(network, snapshots, weight):
    total = 0.0
    for X, y in snapshots:
        error = network(X) - y
        total = total + (error**2).sum() + weight / len(X) * (error.sum(dim=0) ** 2).sum()
    return total


@pytest.mark.parametrize("weight", [0.0, 1.0, 100.0])
def test_the_gradient_of_the_objective_vanishes(network, snapshots, weight):
    before = objective(network, snapshots, weight).item()
    hidden = network[0].weight.detach().clone()
    fit_output_layer(network, [[snapshot] for snapshot in snapshots], weight, ridge=1e-12)
    after = objective(network, snapshots, weight)
    assert after.item() < before
    after.backward()
    for parameter in network[-1].parameters():
        assert parameter.grad.abs().max() < 1e-6 * before
    torch.testing.assert_close(network[0].weight.detach(), hidden)


def test_ridge_holds_the_trained_weights(network, snapshots):
    trained, bias = (p.detach().clone() for p in network[-1].parameters())
    hidden = torch.cat([network[:-1](X).detach() for X, _ in snapshots])
    # The mean eigenvalue of the normal matrix of the hidden layer and the constant.
    scale = ((hidden**2).sum() + len(hidden)) / (hidden.shape[1] + 1)
    fit_output_layer(network, [[snapshot] for snapshot in snapshots], 0.0, ridge=0.3)
    last = network[-1]
    change = ((last.weight - trained) ** 2).sum() + ((last.bias - bias) ** 2).sum()
    assert change > 1e-4
    (objective(network, snapshots, 0.0) + 0.3 * scale * change).backward()
    for parameter in last.parameters():
        assert parameter.grad.abs().max() < 1e-9


def test_slices_of_a_snapshot_are_one_snapshot(network, snapshots, monkeypatch):
    twin = copy.deepcopy(network)
    fit_output_layer(network, [[snapshot] for snapshot in snapshots], 10.0)
    monkeypatch.setattr(output_layer, "TILE_ROWS", 4)
    fit_output_layer(twin, [zip(X.split(7), y.split(7), strict=True) for X, y in snapshots], 10.0)
    torch.testing.assert_close(network[-1].weight, twin[-1].weight)


def bytes_of_tensors():
    storages = [t.untyped_storage() for t in gc.get_objects() if type(t) is torch.Tensor]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_memory_does_not_grow_with_the_products_of_snapshots():
    network, alive = FeedForward(3, 2, (200,)), []

    def one_after_the_other():
        for i in range(12):
            yield [(torch.randn(5, 3), torch.randn(5, 2))]
            if i in (1, 11):
                alive.append(bytes_of_tensors())

    fit_output_layer(network, one_after_the_other(), 1.0)
    assert alive[1] - alive[0] < 201 * 203 * 8  # the products of one snapshot


def test_sums_over_the_training_snapshots_get_better(blocks, targets, make):
    sums = np.array([target.sum(axis=0) for target in targets])
    errors = []
    for dos_weight in (None, 0.0, 100.0):
        model = make(dos_weight=dos_weight).fit(blocks, targets)
        errors.append(np.abs(model.predict_sum(blocks) - sums).mean())
    assert errors[2] < errors[1] < errors[0]


def test_validation_data_are_not_used(blocks, targets, make, weights):
    model = make(dos_weight=10.0, train_split=[5]).fit(blocks, targets)
    other = make(dos_weight=10.0, train_split=[5]).fit(blocks, [*targets[:5], 100 * targets[5]])
    np.testing.assert_array_equal(weights(model), weights(other))


def test_plain_arrays_and_no_epochs_are_left_alone(rows, blocks, targets, make, weights):
    plain = weights(make(dos_weight=None).fit(*rows))
    np.testing.assert_array_equal(weights(make(dos_weight=10.0).fit(*rows)), plain)
    none = weights(make(dos_weight=None, max_epochs=0).fit(blocks, targets))
    np.testing.assert_array_equal(
        weights(make(dos_weight="auto", max_epochs=0).fit(blocks, targets)), none
    )


def test_a_number_acts_without_epochs_too(blocks, targets, make):
    """Random features and a linear readout are better than random weights."""
    random, fitted = (
        make(dos_weight=weight, max_epochs=0).fit(blocks, targets) for weight in (None, 10.0)
    )
    assert fitted.score(blocks, targets) > 0.5 > random.score(blocks, targets)
    with pytest.raises(ValueError, match="needs a network that ends in a linear layer"):
        make(dos_weight=10.0, max_epochs=0, module__output_activation="relu").fit(blocks, targets)


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(3, 4),
        FeedForward(3, 4, output_activation="sigmoid"),
        nn.Sequential(nn.Linear(3, 4, bias=False)),
        nn.Sequential(nn.Linear(3, 4).requires_grad_(False)),
        nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 4))),
    ],
    ids=["no sequence", "output activation", "no bias", "frozen", "nested"],
)
def test_a_network_without_a_linear_end_is_named(blocks, targets, module):
    model = LDOSRegressor(module=module, dos_weight=1.0, max_epochs=1)
    with pytest.raises(ValueError, match=r"dos_weight=1.0 needs a network that ends in a linear"):
        model.fit(blocks, targets)


def test_dropout_is_off_while_it_is_refitted(blocks, targets, make):
    model = make(dos_weight=100.0, module__dropout=0.5).fit(blocks, targets)
    sums = [target.sum(axis=0) for target in targets]
    plain = make(dos_weight=None, module__dropout=0.5).fit(blocks, targets)
    error = np.abs(model.predict_sum(blocks) - sums).mean()
    assert error < np.abs(plain.predict_sum(blocks) - sums).mean()


def test_lazy_blocks_are_streamed(blocks, targets, make, weights):
    small = make(dos_weight=10.0, buffer_size=1e-3, lr=1e-12).fit(blocks, targets)
    large = make(dos_weight=10.0, lr=1e-12).fit(Blocks(blocks), targets)
    np.testing.assert_allclose(weights(small), weights(large), rtol=1e-3, atol=1e-4)
