"""Values that pickles and files of nets may contain: numbers, strings, arrays and tensors."""

import json

import numpy as np
import torch


class _NotPlainError(TypeError):
    """A value that cannot be stored in files and pickles of this package."""


def plain(mapping):
    """Return the items of `mapping` that are plain, recursively."""
    items = {}
    for name, value in mapping.items():
        try:
            items[name] = _checked(value)
        except _NotPlainError:
            continue
    return items


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
