"""A stored model is plain arrays, predicts the same bit by bit, and runs no code."""

import copy
import pickle
import pickletools

import joblib
import numpy as np
import pytest
import torch
from skorch.exceptions import DeviceWarning

from skldos import LDOSRegressor
from skldos.networks import FeedForward


@pytest.fixture
def model(blocks, targets, make):
    return make(train_split=1, early_stopping=2, lr_schedule="plateau").fit(blocks, targets)


def round_trips():
    import skops.io

    def skops_trip(model):
        dumped = skops.io.dumps(model)
        return skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))

    return {
        "pickle": lambda model: pickle.loads(pickle.dumps(model)),
        "deepcopy": copy.deepcopy,
        "skops": skops_trip,
    }


every_trip = pytest.mark.parametrize("trip", round_trips().values(), ids=round_trips())


@every_trip
def test_predictions_are_the_same_bit_by_bit(trip, model, blocks, rows):
    copied = trip(model)
    for found, expected in zip(copied.predict(blocks), model.predict(blocks), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(copied.predict(rows[0]), model.predict(rows[0]), strict=True)
    assert copied.get_params().keys() == model.get_params().keys()
    assert copied.history_[:, "train_loss"] == model.history_[:, "train_loss"]
    assert copied.history_[:, "valid_loss"] == model.history_[:, "valid_loss"]
    assert not copied.module_.training
    assert repr(copied) == repr(model)


@every_trip
def test_unfitted_models_travel_too(trip, make, blocks, targets):
    copied = trip(make())
    assert copied.get_params() == make().get_params()
    np.testing.assert_array_equal(
        copied.fit(blocks, targets).predict(blocks)[0],
        make().fit(blocks, targets).predict(blocks)[0],
    )


@every_trip
@pytest.mark.parametrize("lr_schedule", [None, "plateau", "cosine"])
def test_training_goes_on_after_it(trip, lr_schedule, make, blocks, targets):
    model = make(lr_schedule=lr_schedule).fit(blocks, targets)
    copied = trip(model).partial_fit(blocks, targets)
    assert len(copied.history_) == 6
    assert copied.history_[-1, "train_loss"] < model.history_[-1, "train_loss"]


class Counted(torch.optim.AdamW):
    """Counts how often an optimizer is built."""

    built = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        type(self).built += 1


def test_training_alone_builds_an_optimizer(make, blocks, targets, monkeypatch):
    monkeypatch.setattr(Counted, "built", 0)
    model = make(optimizer=Counted, max_epochs=2).fit(blocks, targets)
    loaded = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(model))))
    loaded.predict(blocks)
    assert Counted.built == 1
    moments, expected = (net.optimizer_.state_dict()["state"] for net in (loaded, model))
    assert len(expected) > 0
    torch.testing.assert_close(moments, expected, rtol=0, atol=0)
    assert loaded.optimizer_ is loaded.optimizer_
    assert Counted.built == 2


@every_trip
def test_the_state_of_torch_is_left_alone(trip, model):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    trip(model)
    torch.testing.assert_close(torch.get_rng_state(), before)


def test_models_of_plain_arrays_keep_the_form_of_y(rows, make):
    model = make().fit(rows[0], rows[1][:, 0])
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(rows[0]), model.predict(rows[0]), strict=True)


def test_a_copy_is_independent(model, blocks, targets, weights):
    copied = copy.deepcopy(model)
    before = weights(model).copy()
    copied.partial_fit(blocks, targets)
    np.testing.assert_array_equal(weights(model), before)
    assert len(copied.history_) > len(model.history_)


def globals_of(pickled):
    """Return the names that unpickling would look up, and all byte strings."""
    names, strings, bytestrings = set(), [], []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            names.add(argument.replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            names.add(".".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
        elif isinstance(argument, bytes):
            bytestrings.append(argument)
    return names, bytestrings


def test_a_pickle_holds_arrays_and_classes_alone(model):
    # Protocol 2 has no memo of module names, so that every name stands beside its use.
    names, bytestrings = globals_of(pickle.dumps(model, protocol=2))
    ours = {
        "skldos.regressors.neural.ldos.LDOSRegressor",
        "skldos.networks.feedforward.FeedForward",
    }
    classes = {"torch.nn.modules.loss.MSELoss", "torch.optim.adam.Adam"}
    arrays = {
        *("numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype"),
        *("numpy._core.multiarray.scalar", "_codecs.encode", "copy_reg._reconstructor"),
        *("builtins.object", "__builtin__.object", "__builtin__.bytes", "copyreg._reconstructor"),
    }
    assert ours <= names <= ours | classes | arrays
    # No pickle in a pickle: protocol 2 to 5 start with \x80 and end with a stop.
    for content in bytestrings:
        assert not (content[:1] == b"\x80" and content[-1:] == b"."), content[:40]


def test_the_state_is_plain(model):
    def check(value):
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
            for item in value.values():
                check(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                check(item)
        else:
            plain = (np.ndarray, np.generic, str, int, float, type, type(None))
            assert isinstance(value, plain), type(value)

    check(model.__getstate__())


def test_skops_asks_for_few_types(model, tmp_path):
    import skops.io

    skops.io.dump(model, tmp_path / "model.skops")
    assert set(skops.io.get_untrusted_types(file=tmp_path / "model.skops")) <= {
        "skldos.regressors.neural.ldos.LDOSRegressor",
        "skldos.networks.feedforward.FeedForward",
        "torch.nn.modules.loss.MSELoss",
        "torch.optim.adam.Adam",
    }


FRESH = """
import sys, joblib, numpy as np
model = joblib.load(sys.argv[1])
X = np.load(sys.argv[2])
np.save(sys.argv[3], model.predict(X))
"""


def test_a_fresh_process_predicts_the_same(model, rows, tmp_path, run_python):
    joblib.dump(model, tmp_path / "model.joblib")
    np.save(tmp_path / "X.npy", rows[0])
    run_python(FRESH, tmp_path / "model.joblib", tmp_path / "X.npy", tmp_path / "y.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.predict(rows[0]))


def test_a_module_instance_travels(blocks, targets):
    torch.manual_seed(0)
    model = LDOSRegressor(module=FeedForward(3, 4), max_epochs=1).fit(blocks, targets)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(blocks)[0], model.predict(blocks)[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_model_from_a_graphics_card_runs_on_the_cpu(model, blocks, device):
    pickled = pickle.dumps(model.set_params(device=device))
    with pytest.warns(DeviceWarning, match=f"fitted on {device}, which is not available") as caught:
        loaded = pickle.loads(pickled)
    assert len(caught) == 1
    assert loaded.device == "cpu"
    model.set_params(device="cpu")
    np.testing.assert_array_equal(loaded.predict(blocks)[0], model.predict(blocks)[0])
