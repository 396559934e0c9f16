"""The name of a training: a hash of everything that affects its results."""

import hashlib
import inspect
import zlib

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skldos.regressors.skorch._plain_values import as_arrays

#: Parameters that do not affect any result.
WITHOUT_INFLUENCE = {"checkpoint", "verbose", "max_epochs", "warm_start"}

#: Number of pieces of a lazy block, and rows in each, that identify the whole block.
PIECES, PIECE_ROWS = 8, 8


def training_name(net, datasets, epochs, *, goes_on):
    """Return a hash of everything that affects the results of a training."""
    digest = hashlib.sha256(f"{type(net).__qualname__} {epochs} ".encode())
    for name, value in sorted(net.get_params(deep=False).items()):
        if name not in WITHOUT_INFLUENCE:
            digest.update(f"{name}={_described(value)};".encode())
    for dataset in datasets:
        for blocks in (dataset.inputs, dataset.targets, dataset.weights or ()):
            for block in blocks:
                digest.update(f"{block.shape} {block.dtype} {_checksum(block)};".encode())
    if goes_on:
        weights = as_arrays(dict(net.module_.state_dict()))
        digest.update(f"{len(net.history)} {_described(weights)}".encode())
    return digest.hexdigest()[:32]


def _described(value):
    """Return a string that identifies a value, the same in every process."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}{value.dtype}{_checksum(value)}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k!r}:{_described(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_described, value)) + "]"
    if isinstance(value, torch.nn.Module):
        return f"{value!r}{_described(as_arrays(dict(value.state_dict())))}"
    if isinstance(value, BaseEstimator):
        return f"{type(value).__qualname__}{_described(value.get_params(deep=False))}"
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def _checksum(block):
    """Return the CRC-32 of an array, or of pieces spread over a lazy one."""
    if isinstance(block, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(block).tobytes())
    checksum = 0
    for start in np.linspace(0, max(0, block.shape[0] - PIECE_ROWS), PIECES).astype(int):
        rows = np.ascontiguousarray(block[int(start) : int(start) + PIECE_ROWS])
        checksum = zlib.crc32(rows.tobytes(), checksum)
    return checksum
