"""Mixed precision: what it changes in training, and what it must not change."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from skldos import CSNNRegressor, LDOSRegressor
from skldos.regressors import BlockRegressor

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
MODES = [
    pytest.param("bfloat16", "cpu"),
    pytest.param("bfloat16", "cuda", marks=cuda),
    pytest.param("float16", "cuda", marks=cuda),
]


class Watch(Callback):
    """Records the gradients that a clipping callback would get, and the results of batches."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.gradients, self.outputs, self.inside = [], [], set()
        net.module_[0].register_forward_hook(lambda *x: self.inside.add(x[-1].dtype))

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.gradients += [p.grad.detach().clone() for _, p in named_parameters]

    def on_batch_end(self, net, training, y_pred, loss, **kwargs):
        self.outputs.append((training, y_pred.dtype, loss.dtype))


@pytest.mark.parametrize(("autocast", "device"), MODES)
def test_products_are_short_and_all_else_is_long(blocks, targets, make, autocast, device):
    model = make(autocast=autocast, device=device, train_split=1, callbacks=[Watch()])
    model.fit(blocks, targets)
    watch = dict(model.callbacks_)["Watch"]
    assert watch.inside == {getattr(torch, autocast)}  # until predictions are made
    model.predict(blocks)
    assert watch.inside == {getattr(torch, autocast), torch.float32}
    assert set(watch.outputs) == {(t, torch.float32, torch.float32) for t in (True, False)}
    assert {p.dtype for p in model.module_.parameters()} == {torch.float32}
    assert {g.dtype for g in watch.gradients} == {torch.float32}
    assert {s.dtype for v in model.optimizer_.state.values() for s in v.values()} == {torch.float32}
    assert model.predict(blocks)[0].dtype == np.float32


@pytest.mark.parametrize(("autocast", "device"), MODES)
def test_gradients_are_those_of_single_precision_but_for_rounding(
    blocks, targets, make, autocast, device
):
    def first_gradients(**options):
        model = make(max_epochs=1, batch_size=200, callbacks=[Watch()], device=device, **options)
        return dict(model.fit(blocks, targets).callbacks_)["Watch"].gradients

    short, long = first_gradients(autocast=autocast), first_gradients()
    largest = max(float(g.abs().max()) for g in long)
    assert largest > 1e-2
    apart = max(float((a - b).abs().max()) for a, b in zip(short, long, strict=True))
    # Units of rounding are 2^-9 and 2^-12 of a number; those of sums over rows average out.
    assert 0 < apart < 1e-2 * largest


@pytest.mark.parametrize(("autocast", "device"), MODES)
def test_predictions_are_those_of_the_weights_in_single_precision(
    blocks, targets, make, autocast, device
):
    model = make(autocast=autocast, device=device, dos_weight=10.0).fit(blocks, targets)
    plain = make(device=device, dos_weight=10.0).fit(blocks, targets)
    assert not np.array_equal(model.predict(blocks)[0], plain.predict(blocks)[0])
    plain.module_.load_state_dict(model.module_.state_dict())
    for ours, theirs in zip(model.predict(blocks), plain.predict(blocks), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = pickle.loads(pickle.dumps(model))
    assert again.autocast == autocast
    np.testing.assert_array_equal(again.predict(blocks)[0], model.predict(blocks)[0])


@pytest.mark.parametrize(("autocast", "device"), MODES)
def test_learns_as_well(blocks, targets, make, autocast, device):
    options = {"max_epochs": 60, "device": device, "dos_weight": "auto"}
    long = make(**options).fit(blocks, targets).score(blocks, targets)
    short = make(autocast=autocast, **options).fit(blocks, targets).score(blocks, targets)
    assert long > 0.9
    assert short > long - 0.01


def test_the_same_every_time_and_after_cloning(blocks, targets, make):
    model = make(autocast="bfloat16").fit(blocks, targets)
    again = clone(model).fit(blocks, targets)
    np.testing.assert_array_equal(again.predict(blocks)[0], model.predict(blocks)[0])
    model.partial_fit(blocks, targets)
    assert len(model.history) == 6
    assert model.set_params(autocast=None).fit(blocks, targets).autocast is None


@pytest.mark.parametrize(("autocast", "device"), MODES)
def test_convolutions_on_spheres(rng, autocast, device):
    X, y = rng.normal(size=(12, 4 * 42)), rng.random(size=(12, 5))
    options = {"module__n_spheres": 4, "module__subdivisions": 1, "module__factor": 1}
    options |= {"max_epochs": 2, "batch_size": 6, "random_state": 0, "device": device}
    models = [CSNNRegressor(autocast=a, **options).fit(X, y) for a in (autocast, None)]
    losses = np.array([model.history[:, "train_loss"] for model in models])
    assert (losses[0] != losses[1]).any()
    # Rounding is small beside an activation, but not beside what tells six rows apart, which the
    # batch normalisations bring to one.
    np.testing.assert_allclose(*losses, rtol=0.2)
    assert {p.dtype for p in models[0].module_.parameters()} == {torch.float32}
    assert models[0].predict(X).dtype == y.dtype


def normalised(n_in, n_out):
    """Return a network that normalises what hardly differs between rows beside its bias."""
    first = torch.nn.Linear(n_in, 6)
    with torch.no_grad():
        first.weight.mul_(1e-2)
        first.bias.fill_(10.0)
    norm = torch.nn.BatchNorm1d(6)
    return torch.nn.Sequential(first, norm, torch.nn.ReLU(), torch.nn.Linear(6, n_out))


@pytest.mark.parametrize(("autocast", "device"), MODES)
def test_batch_normalisations_know_what_single_precision_gives(rows, make, autocast, device):
    X, y = rows
    # Without momentum from epochs that have other weights, and all rows in a batch.
    model = make(module=normalised, autocast=autocast, device=device, batch_size=len(X))
    del model.module__hidden_layer_sizes
    model.fit(X, y)
    norm = model.module_[1]
    with torch.no_grad():
        before = model.module_[0](torch.tensor(X, dtype=torch.float32, device=device))
    torch.testing.assert_close(norm.running_mean, before.mean(dim=0))
    torch.testing.assert_close(norm.running_var, before.var(dim=0), rtol=1e-4, atol=0)
    assert norm.momentum == 0.1
    assert not norm.training
    # In the short type numbers about 10 have steps as large as what tells rows apart.
    assert norm.running_var.max() < 0.1**2
    short = before.to(getattr(torch, autocast)).float()
    assert (short - before).abs().max() > 0.1 * before.std(dim=0).max()


@cuda
def test_losses_too_large_for_half_precision_are_scaled_down(blocks, targets, make):
    # Gradients above 65504 are infinite in "float16": steps are left out until the scale fits.
    large = [1e3 * y for y in targets]
    options = {"target_scaling": None, "device": "cuda", "max_epochs": 20}
    model = make(autocast="float16", **options).fit(blocks, large)
    assert np.isfinite(model.history[:, "train_loss"]).all()
    assert all(torch.isfinite(p).all() for p in model.module_.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"autocast": "half"}, "autocast must be one of None, 'bfloat16', 'float16'; got 'half'"),
        ({"autocast": True}, "autocast must be one of None"),
        ({"autocast": "bfloat16", "optimizer": torch.optim.LBFGS}, "optimizer=LBFGS"),
        ({"autocast": "float16"}, "needs device=\"cuda\", got device='cpu'"),
    ],
)
def test_nonsense_is_named(blocks, targets, make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options).fit(blocks, targets)


def test_regressors_without_the_parameter_are_in_single_precision():
    assert BlockRegressor.autocast is None
    assert "autocast" in LDOSRegressor().get_params()
