"""Training state on disk, updated after every epoch, to continue after a killed process."""

import hashlib
import inspect
import io
import pickle
import zlib
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError
from skldos.regressors import _state

#: The first bytes of a file; eight hexadecimal digits of the CRC-32 of the rest follow.
MAGIC = b"skldos training 1\n"

#: Parameters that do not affect any result.
WITHOUT_INFLUENCE = {"checkpoint", "verbose", "max_epochs", "warm_start"}

#: Number of pieces of a lazy block, and rows in each, that identify the whole block.
PIECES, PIECE_ROWS = 8, 8


class TrainingFile:
    """The file of one training in a folder; its name is a hash of parameters and data.

    Trainings with other parameters or data, as in a cross-validation, therefore have other files
    and are never confused.

    Parameters
    ----------
    folder : str or path-like
        Folder; created if it does not exist.
    net : SkorchRegressor
        Net to be trained.
    datasets : sequence of BlockDataset
        Training and validation data.
    epochs : int
        Number of epochs.
    goes_on : bool
        Whether training continues from the current weights of the net.
    """

    def __init__(self, folder, net, datasets, epochs, *, goes_on):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{training_name(net, datasets, epochs, goes_on=goes_on)}.training"

    def read(self):
        """Return the state after the last complete epoch; None for a new training.

        Raises
        ------
        FileFormatError
            If the file is damaged.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        head, body = content[: len(MAGIC) + 8], content[len(MAGIC) + 8 :]
        if head != MAGIC + f"{zlib.crc32(body):08x}".encode():
            raise FileFormatError(
                "expected a training of skldos, whole and unchanged; remove the file to train from "
                "the start",
                self.path,
            )
        try:
            # Only tensors and plain values: nothing in the file is executed.
            return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError) as error:
            raise FileFormatError("the training cannot be read", self.path) from error

    def write(self, state):
        """Replace the file by the state of a training, in one step."""
        body = io.BytesIO()
        torch.save(state, body)
        body = body.getvalue()
        with atomic_file(self.path) as file:
            file.write(MAGIC + f"{zlib.crc32(body):08x}".encode() + body)


def training_file_state(net, *, stopped):
    """Return the state needed to continue; `stopped` means that a callback has ended training."""
    return {
        "stopped": stopped,
        "weights": dict(net.module_.state_dict()),
        "history": _state.history_rows(net),
        "rates": _state.rates(net),
        "callbacks": _state.callback_states(net),
        **_state.training_state(net),
        **_state.optimizer_state(net),
    }


def restore(net, state):
    """Set a net to a stored state, after its callbacks have seen the start of training."""
    net.module_.load_state_dict(state["weights"])
    net.criterion_.load_state_dict(state["criterion"])
    net.optimizer_.load_state_dict(state["optimizer"])
    _state.set_history(net, state["history"])
    _state.restore_callbacks(net, state["callbacks"])
    _state.restore_training(net, state)
    _state.set_rates(net, state["rates"])
    _state.restore_random(net, state)


# -------------------------------------------------------------------- names


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
        weights = _state.as_arrays(dict(net.module_.state_dict()))
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
        return f"{value!r}{_described(_state.as_arrays(dict(value.state_dict())))}"
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
