"""The state of a training as arrays, numbers and strings, from which a stored net continues."""

import json

import numpy as np
import torch
from skorch.callbacks import LRScheduler

#: Metadata key in a file of weights, for everything else that predictions need.
KEY = "skldos"


# -------------------------------------------------------------------- of a training


def training_state(net):
    """Return the state needed to continue training, besides weights and optimizer.

    The random state is the current one. The learning rate is that of the parameters, because
    schedules store the annealed rate.
    """
    schedules = {
        name: _plain(callback.lr_scheduler_.state_dict())
        for name, callback in net.callbacks_
        if isinstance(callback, LRScheduler) and callback.lr_scheduler_ is not None
    }
    cuda = torch.device(net.device).type == "cuda"
    scaler = getattr(net, "_scaler_", None)
    return {
        "lr": net.lr,
        "schedules": schedules,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(net.device) if cuda else None,
        "scaler": {} if scaler is None else scaler.state_dict(),
    }


def optimizer_state(net):
    """Return the states of optimizer and criterion."""
    return {"optimizer": net.optimizer_.state_dict(), "criterion": net.criterion_.state_dict()}


def restore_random(net, state):
    """Continue the random numbers from the time at which `state` was taken."""
    torch.set_rng_state(torch.as_tensor(state["random"], device="cpu"))
    if state["random_cuda"] is not None and torch.device(net.device).type == "cuda":
        torch.cuda.set_rng_state(torch.as_tensor(state["random_cuda"], device="cpu"), net.device)


def restore_training(net, state):
    """Continue the schedules of the callbacks, and the scaling of the loss."""
    for name, callback in net.callbacks_:
        known = state["schedules"].get(name)
        if known is not None and isinstance(callback, LRScheduler):
            callback.lr_scheduler_.load_state_dict(known)
    if state["scaler"] and getattr(net, "_scaler_", None) is not None:
        net._scaler_.load_state_dict(state["scaler"])


def rates(net):
    """Return the options of all parameter groups of the optimizer, such as the learning rate."""
    return [
        {name: value for name, value in group.items() if name != "params"}
        for group in net.optimizer_.param_groups
    ]


def set_rates(net, options):
    """Set the options that :func:`rates` returned."""
    for group, known in zip(net.optimizer_.param_groups, options, strict=True):
        group.update(known)


def callback_states(net):
    """Return the plain attributes of every callback, such as best scores."""
    return {
        name: _plain({k: v for k, v in vars(callback).items() if k.endswith("_")})
        for name, callback in net.callbacks_
    }


def restore_callbacks(net, states):
    """Restore the attributes of the callbacks."""
    for name, callback in net.callbacks_:
        vars(callback).update(states.get(name, {}))


def history_rows(net):
    """Return one dict of plain values per epoch, without the batches."""
    return [_plain({k: v for k, v in row.items() if k != "batches"}) for row in net.history]


def set_history(net, rows):
    """Replace the history of a net."""
    net.history.clear()
    net.history.extend(dict(row) | {"batches": []} for row in rows)


# -------------------------------------------------------------------- plain values


class _NotPlainError(TypeError):
    """A value that cannot be stored in files and pickles of this package."""


def _plain(mapping):
    """Return the items of `mapping` that are plain, recursively."""
    kept = {}
    for name, value in mapping.items():
        try:
            kept[name] = _checked(value)
        except _NotPlainError:
            continue
    return kept


def _checked(value):
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_checked, value)) if type(value) in (list, tuple) else _fail(value)
    if isinstance(value, dict):
        return {name: _checked(item) for name, item in value.items()}
    return _fail(value)


def _fail(value):
    raise _NotPlainError(type(value).__name__)


def as_arrays(value):
    """Return `value` with tensors as arrays, and dicts with non-string keys as pairs."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, dict):
        if all(isinstance(name, str) for name in value):
            return {name: as_arrays(item) for name, item in value.items()}
        return {"pairs": [[name, as_arrays(item)] for name, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return type(value)(map(as_arrays, value))
    return value


def as_tensors(value):
    """Undo :func:`as_arrays`."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        if list(value) == ["pairs"]:
            return {name: as_tensors(item) for name, item in value["pairs"]}
        return {name: as_tensors(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(as_tensors, value))
    return value


# -------------------------------------------------------------------- as text


def to_json(values):
    """Return attributes of a fitted net, including arrays, as text without loss of bits."""
    return json.dumps({name: _encode(value) for name, value in values.items()})


def from_json(text):
    """Undo :func:`to_json`."""
    return {name: _decode(value) for name, value in json.loads(text).items()}


def _encode(value):
    if isinstance(value, np.ndarray):
        kind = "object" if value.dtype == object else value.dtype.str
        return {"array": value.tolist(), "dtype": kind}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return {"tuple": [_encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": {name: _encode(item) for name, item in value.items()}}
    return [_encode(item) for item in value] if isinstance(value, list) else value


def _decode(value):
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["array"], dtype=value["dtype"])
    if "tuple" in value:
        return tuple(_decode(item) for item in value["tuple"])
    return {name: _decode(item) for name, item in value["dict"].items()}
