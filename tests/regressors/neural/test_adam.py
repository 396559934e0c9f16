"""Steps of the bare kernel of Adam are those of the optimizer, to the bit."""

import copy

import pytest
import torch

from skldos.regressors.neural._adam import FusedAdam

KINDS = {
    "Adam": (torch.optim.Adam, {}),
    "L2": (torch.optim.Adam, {"weight_decay": 0.1, "betas": (0.8, 0.99), "eps": 1e-6}),
    "AdamW": (torch.optim.AdamW, {"weight_decay": 0.1}),
}


@pytest.fixture
def make():
    """Function that makes parameters, one without a gradient, and an optimizer of two groups."""

    def make(kind, **options):
        optimizer, more = KINDS[kind]
        generator = torch.Generator().manual_seed(0)
        weights = [
            torch.randn(shape, generator=generator) for shape in ((5, 3), (5,), (2, 5), (7,))
        ]
        weights = [weight.requires_grad_() for weight in weights]
        groups = [{"params": weights[:2], "lr": 0.1}, {"params": weights[2:]}]
        return weights, optimizer(groups, fused=True, **more | options)

    return make


def train(weights, step, optimizer):
    generator = torch.Generator().manual_seed(1)
    for i in range(6):
        for weight in weights[:-1]:
            weight.grad = torch.randn(weight.shape, generator=generator)
        if i == 4:
            optimizer.param_groups[1]["lr"] = 0.02
        step()


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_the_optimizer(make, kind):
    weights, optimizer = make(kind)
    before = copy.deepcopy(weights)
    train(weights, FusedAdam(optimizer).step, optimizer)
    expected, plain = make(kind)
    train(expected, plain.step, plain)
    assert FusedAdam.knows(plain)
    for found, one, first in zip(weights, expected, before, strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=0)
        assert torch.equal(found, first) == (found is weights[-1])
    found, expected = optimizer.state_dict(), plain.state_dict()
    assert found["state"][0]["step"] == 6
    for i, state in expected["state"].items():
        for name, value in state.items():
            torch.testing.assert_close(found["state"][i][name], value, rtol=0, atol=0)


def test_it_goes_on_from_a_state_that_was_loaded(make):
    weights, optimizer = make("Adam")
    train(weights, FusedAdam(optimizer).step, optimizer)
    stored = copy.deepcopy(optimizer.state_dict())
    copies = copy.deepcopy(weights)
    train(weights, optimizer.step, optimizer)
    other = torch.optim.Adam([{"params": copies[:2]}, {"params": copies[2:]}], fused=True)
    other.load_state_dict(stored)
    train(copies, FusedAdam(other).step, other)
    for found, expected in zip(copies, weights, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_group_without_gradients_stays_as_it_is(make):
    weights, optimizer = make("AdamW")
    before = copy.deepcopy(weights)
    steps = FusedAdam(optimizer)
    for _ in range(3):
        weights[2].grad = weights[2].detach() + 1
        steps.step()
    for found, first in zip(weights, before, strict=True):
        assert torch.equal(found, first) == (found is not weights[2])
    assert [state["step"].item() for state in optimizer.state.values()] == [3]


@pytest.mark.parametrize("option", ["amsgrad", "maximize"])
def test_what_the_kernel_does_not_do_is_left_to_the_optimizer(make, option):
    assert not FusedAdam.knows(make("Adam", **{option: True})[1])


def test_other_optimizers_and_hooks_are_left_alone(make):
    weights, optimizer = make("Adam")
    assert not FusedAdam.knows(torch.optim.SGD(weights))
    assert not FusedAdam.knows(torch.optim.Adam(weights))
    handle = optimizer.register_step_post_hook(lambda *a: None)
    assert not FusedAdam.knows(optimizer)
    handle.remove()
    assert FusedAdam.knows(optimizer)
