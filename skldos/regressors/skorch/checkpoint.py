"""Training state on disk, updated after every epoch, to continue after a killed process."""

import io
import pickle
import zlib
from pathlib import Path

import torch

from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError
from skldos.regressors.skorch import _records
from skldos.regressors.skorch.training_name import training_name

#: The first bytes of a file; eight hexadecimal digits of the CRC-32 of the rest follow.
MAGIC = b"skldos training 1\n"


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

        Raise a ``FileFormatError`` if the file is damaged.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        head, body = content[: len(MAGIC) + 8], content[len(MAGIC) + 8 :]
        if head != MAGIC + f"{zlib.crc32(body):08x}".encode():
            raise FileFormatError(
                "expected a complete checkpoint of skldos; remove the file to train from the start",
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
        "history": _records.history_rows(net),
        "rates": _records.rates(net),
        "callbacks": _records.callback_states(net),
        **_records.training_state(net),
        **_records.optimizer_state(net),
    }


def restore(net, state):
    """Set a net to a stored state, after its callbacks have seen the start of training."""
    net.module_.load_state_dict(state["weights"])
    net.criterion_.load_state_dict(state["criterion"])
    net.optimizer_.load_state_dict(state["optimizer"])
    _records.set_history(net, state["history"])
    _records.restore_callbacks(net, state["callbacks"])
    _records.restore_training(net, state)
    _records.set_rates(net, state["rates"])
    _records.restore_random(net, state)
