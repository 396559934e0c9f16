"""Skorch nets as pickles and files of plain arrays, which execute nothing when read."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from skorch.exceptions import DeviceWarning
from skorch.history import History

from skldos.data.files import atomic_file
from skldos.regressors.skorch import _records
from skldos.regressors.skorch._plain_values import as_arrays, as_tensors, from_json, to_json
from skldos.regressors.torch_state import Placeholders, own_defaults

#: Metadata key in a file of weights, for everything else that predictions need.
METADATA_KEY = "skldos"
#: Prefixes of the parameters of the parts of a net.
PART_PREFIXES = ("module", "criterion", "optimizer")


class StoredOptimizer(NamedTuple):
    """An optimizer that is built when it is used: torch loads its compiler with the first one.

    Attributes
    ----------
    make : callable
        Returns a new optimizer of the weights.
    state : dict
        What it continues from.
    """

    make: Callable
    state: dict

    def state_dict(self):
        """Return the stored state."""
        return self.state

    def build(self):
        """Return the optimizer in the stored state."""
        optimizer = self.make()
        optimizer.load_state_dict(self.state)
        return optimizer


class SkorchState:
    """How a skorch net is stored; a part of :class:`.SkorchRegressor`.

    A pickle of stock skorch contains further pickles of its modules, which would execute code even
    in a safe loader. Here the state consists of plain arrays.
    """

    # The parameters that the network was built with.
    _built = {}  # noqa: RUF012 (replaced, never changed)

    #: Fitted attributes in the pickled state besides the weights.
    _fitted_scalars = ("n_features_in_", "feature_names_in_", "n_outputs_")

    # The state of the optimizer while a net is restored.
    _stored_state = None

    @property
    def optimizer_(self):
        """The optimizer; that of a stored net is built when training uses it."""
        if isinstance(self._optimizer_, StoredOptimizer):
            self.optimizer_ = self._optimizer_.build()
        return self._optimizer_

    @optimizer_.setter
    def optimizer_(self, optimizer):
        vars(self)["_optimizer_"] = optimizer  # skorch would register an attribute of this name

    def __getstate__(self):
        state = {"params": self.get_params(deep=False)}
        state |= self._fitted()
        if self.initialized_:
            weights = self.module_.state_dict()
            state["weights"] = {k: v.detach().cpu().numpy() for k, v in weights.items()}
            state["history"] = _records.history_rows(self)
            if not _same_objects(self._built, parts_of(state["params"])):
                state["built"] = self._built
            if vars(self).get("_optimizer_") is not None:
                training = _records.optimizer_state(self) | (self._training_state or {})
                state["training"] = as_arrays(training)
        for name in ("_sklearn_output_config", "_metadata_request"):
            if name in self.__dict__:
                state[name] = self.__dict__[name]
        return state

    def __setstate__(self, state):
        # Tensors created in inference mode could never be trained.
        with own_defaults():
            self._restore(dict(state))

    def _restore(self, state):
        weights, history = state.pop("weights", None), state.pop("history", [])
        params, built = state.pop("params"), state.pop("built", {})
        training = as_tensors(state.pop("training", {}))
        self.__init__(**params)
        self.__dict__.update(state)
        if weights is None:
            return
        self._fall_back_to_cpu()
        if built:
            for name in parts_of(params):
                del vars(self)[name]
            vars(self).update(built)
        self._stored_state = training.pop("optimizer", None)
        with warnings.catch_warnings(), Placeholders():
            warnings.simplefilter("ignore", DeviceWarning)
            self.initialize()
        vars(self).update(parts_of(params))
        self.module_.load_state_dict(as_tensors(weights))
        self.module_.eval()
        if training:
            self.criterion_.load_state_dict(training.pop("criterion"))
        self._training_state = training or None
        _records.set_history(self, history)

    def save_params(self, f_params=None, *args, use_safetensors=False, **kwargs):
        """Save weights, optimizer, criterion and history to files.

        The file of the weights is a plain state dict, as in skorch, which torch can read. Its
        metadata contain everything else that predictions need, such as the scaling of the targets.

        Parameters
        ----------
        f_params : str, path-like or file object, optional
            File of the weights.
        *args, **kwargs
            ``f_optimizer``, ``f_criterion`` and ``f_history``, as in skorch.
        use_safetensors : bool, default=False
            Whether to store the weights in the safetensors format.
        """
        # skorch's Checkpoint uses this name for the weights.
        f_params = kwargs.pop("f_module", None) or f_params
        if f_params is not None:
            self.check_is_fitted(msg="Cannot save the weights of a net that is not fitted.")
            weights, fitted = self.module_.state_dict(), to_json(self._fitted())
            if use_safetensors:
                from safetensors.torch import save

                weights = {name: value.contiguous() for name, value in weights.items()}
                _write(f_params, save(weights, {METADATA_KEY: fitted}))
            else:
                weights._metadata[METADATA_KEY] = {"fitted": fitted}
                content = io.BytesIO()
                torch.save(weights, content)
                _write(f_params, content.getvalue())
        if f_params is None or args or any(file is not None for file in kwargs.values()):
            super().save_params(None, *args, use_safetensors=use_safetensors, **kwargs)

    def load_params(self, f_params=None, *args, checkpoint=None, use_safetensors=False, **kwargs):
        """Load weights, optimizer, criterion and history from files, without executing code.

        Parameters
        ----------
        f_params : str, path-like or file object, optional
            File of the weights, written by :meth:`save_params`. An unfitted net is built with the
            numbers of inputs and outputs in the file.
        *args, **kwargs
            ``f_optimizer``, ``f_criterion`` and ``f_history``, as in skorch.
        checkpoint : skorch.callbacks.Checkpoint, optional
            Checkpoint that names the files.
        use_safetensors : bool, default=False
            Whether the weights were stored in the safetensors format.

        Raises
        ------
        ValueError
            If the file holds only weights, or those of a net for other data.
        NotInitializedError
            If the net has not been fitted and no file of weights is given.
        """
        history = None
        if checkpoint is not None:
            if checkpoint.f_history is not None:
                history = self.history_ = History.from_file(checkpoint.f_history_)
            files = checkpoint.get_formatted_files(self)
            f_params = f_params or files.pop("f_params", None)
            kwargs = {name: f for name, f in files.items() if name != "f_params"} | kwargs
            kwargs.pop("f_history", None)
        f_params = kwargs.pop("f_module", None) or f_params
        if f_params is not None:
            self._load_weights(f_params, use_safetensors)
        if args or any(file is not None for file in kwargs.values()):
            super().load_params(None, *args, use_safetensors=use_safetensors, **kwargs)
        if history is not None:
            self.history_ = history

    def _load_weights(self, f_params, use_safetensors):
        weights, fitted = _read_weights(f_params, use_safetensors)
        sizes = ("n_features_in_", "n_outputs_")
        if fitted is None or not set(sizes) <= set(fitted):
            raise ValueError(
                f"f_params={f_params!r} holds weights alone, without the scaling of the targets "
                "that a prediction needs; expected a file by save_params of skldos."
            )
        file_sizes = tuple(fitted[name] for name in sizes)
        if self.initialized_:
            net_sizes = tuple(getattr(self, name) for name in sizes)
            if net_sizes != file_sizes:
                raise ValueError(
                    "f_params holds a net for {} inputs and {} outputs, but this one was fitted "
                    "with {} and {}.".format(*file_sizes, *net_sizes)
                )
        else:
            vars(self).update(fitted)
            with own_defaults(), Placeholders():
                self.initialize()
        self.module_.load_state_dict(weights)
        self.module_.eval()
        for name in self._fitted_scalars:
            vars(self).pop(name, None)
        vars(self).update(fitted)
        self._training_state = None

    def _fitted(self):
        """Return the fitted attributes besides the weights, by name."""
        return {name: vars(self)[name] for name in self._fitted_scalars if name in vars(self)}

    def _fall_back_to_cpu(self):
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            warnings.warn(
                f"the model was fitted on {device}, which is not available: it runs on the CPU.",
                DeviceWarning,
                stacklevel=2,
            )
            self.device = "cpu"


def parts_of(params):
    """Return the parameters with which the parts of a net are built."""
    return {name: value for name, value in params.items() if name.startswith(PART_PREFIXES)}


def _same_objects(a, b):
    return a.keys() == b.keys() and all(a[name] is b[name] for name in a)


def _write(f, content):
    """Write bytes to an open file, or to a new one that appears when it is complete."""
    if hasattr(f, "write"):
        f.write(content)
        return
    with atomic_file(f) as file:
        file.write(content)


def _read_weights(f, use_safetensors):
    """Return a state dict, and other data for predictions (None if the file has none)."""
    content = f.read() if hasattr(f, "read") else Path(f).read_bytes()
    if use_safetensors:
        from safetensors.torch import load

        # The file begins with the length of a JSON header.
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        weights, fitted = load(content), metadata.get(METADATA_KEY)
    else:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        fitted = getattr(weights, "_metadata", {}).pop(METADATA_KEY, {}).get("fitted")
    return weights, None if fitted is None else from_json(fitted)
