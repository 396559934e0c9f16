"""Other torch settings of a process do not change any bit of a model."""

import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from skldos import CSNNRegressor, LDOSRegressor, MDNRegressor
from skldos.data import Blocks
from skldos.uncertainty import DeepEnsemble, MCDropout

QUICK = {"max_epochs": 2, "batch_size": 16, "random_state": 0}
FLAT = {"module__n_spheres": 1, "module__subdivisions": None, "module__factor": 1}


class Remembering(torch.nn.Module):
    """A user's network without a dtype."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = torch.nn.Linear(n_in, n_out)
        self.register_buffer("shift", torch.ones(n_in))

    def forward(self, rows):
        return self.linear(rows + self.shift * torch.tensor(2.0))


def dropping():
    return LDOSRegressor(module__hidden_layer_sizes=(6,), module__dropout=0.3, **QUICK)


MODELS = {
    "LDOS": lambda: LDOSRegressor(module__hidden_layer_sizes=(6,), train_split=2, **QUICK),
    "LDOS, Adam of one tensor": lambda: LDOSRegressor(optimizer__foreach=False, **QUICK),
    "LDOS, streamed": lambda: LDOSRegressor(buffer_size=1e-3, **QUICK),
    "LDOS, bfloat16": lambda: LDOSRegressor(autocast="bfloat16", **QUICK),
    "CSNN": lambda: CSNNRegressor(**FLAT, module__output="linear", dos_weight=10.0, **QUICK),
    "MDN": lambda: MDNRegressor(module__hidden_layer_sizes=(6,), **QUICK),
    "MDN, low rank": lambda: MDNRegressor(module__covariance="low_rank", **QUICK),
    "a network of a user": lambda: LDOSRegressor(Remembering, lr=1e-4, **QUICK),
    "MCDropout": lambda: MCDropout(dropping(), n_passes=4, random_state=0),
    "MCDropout, independent": lambda: MCDropout(
        dropping(), n_passes=4, masks="independent", random_state=0
    ),
    "DeepEnsemble": lambda: DeepEnsemble(dropping(), n_estimators=2, random_state=0),
}


@contextmanager
def double_precision():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def no_device():
    """Tensors made without naming a device have no numbers."""
    with torch.device("meta"):
        yield


SETTINGS = {
    "float64": double_precision,
    "device": no_device,
    "inference": torch.inference_mode,
    "no gradients": torch.no_grad,
}


def predictions(model, blocks):
    """All predictions of a model for blocks, in one array."""
    found = list(model.predict(blocks))
    if not isinstance(model, (LDOSRegressor, CSNNRegressor)):
        found += list(model.predict(blocks, return_std=True)[1])
    if not isinstance(model, MDNRegressor):
        found.append(np.asarray(model.predict_sum(blocks)))
    return np.concatenate([np.asarray(part, dtype=float) for part in found])


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_defaults_of_the_process_change_no_bit(make, setting, blocks, targets):
    blocks, targets = Blocks(blocks[:4]), targets[:4]
    before = make().fit(blocks, targets)
    expected = predictions(before, blocks)
    stored = pickle.dumps(before)
    with setting():
        np.testing.assert_array_equal(predictions(before, blocks), expected)
        within = make().fit(blocks, targets)
        np.testing.assert_array_equal(predictions(within, blocks), expected)
        np.testing.assert_array_equal(predictions(pickle.loads(stored), blocks), expected)
        loaded = pickle.loads(stored)
    if hasattr(within, "partial_fit"):
        # What was made there can be trained elsewhere.
        for model in (before, within, loaded):
            model.partial_fit(blocks, targets)
        np.testing.assert_array_equal(predictions(within, blocks), predictions(before, blocks))
        assert np.isfinite(predictions(loaded, blocks)).all()


def test_the_defaults_come_back(blocks, targets):
    with double_precision():
        LDOSRegressor(**QUICK).fit(blocks, targets).predict(blocks)
        with pytest.raises(ValueError, match="NaN"):
            LDOSRegressor(**QUICK).fit(blocks, [np.nan * target for target in targets])
        assert torch.get_default_dtype() == torch.float64


def test_an_instance_in_double_precision_is_trained_in_single(blocks, targets):
    module = torch.nn.Linear(3, 4).double()
    model = LDOSRegressor(module, **QUICK).fit(blocks, targets)
    assert model.module_.weight.dtype == torch.float32
    assert module.weight.dtype == torch.float64
