"""The archive of a trained MALA model, read without executing any of its contents."""

import io
import json
import math
import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skldos.exceptions import FileFormatError
from skldos.io.limits import DAMAGE, reads_file

#: Largest file inside an archive in bytes: a network of 250 million weights.
LARGEST_MEMBER = 2**30
#: MALA's names of activations that skldos has; older archives store some as lists.
ACTIVATIONS = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "SiLU": "silu",
    "GELU": "gelu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    None: None,
}
SCALER_CLASS = ("mala.datahandling.data_scaler", "DataScaler")


class Affine(NamedTuple):
    """The affine map of a scaler, y = center + scale · z, with one number per column or one in all.

    Attributes
    ----------
    kind : {"standard", "minmax"} or None
        What the scaler learned; None for no scaling.
    center, scale : ndarray of shape (n_columns,) or (1,)
    """

    kind: str
    center: np.ndarray
    scale: np.ndarray


class MalaArchive(NamedTuple):
    """The contents of the archive of a trained MALA model.

    Attributes
    ----------
    path : Path
        The file.
    parameters : dict
        The sections of MALA's parameters.
    weights : list of (ndarray, ndarray)
        Matrix (n_out, n_in) and bias (n_out,) of every layer.
    activations : list of str or None
        The activation after each layer.
    inputs, outputs : Affine
        Scaling of the descriptors and of the LDOS.
    info : dict or None
        Atoms and results of one calculation, as in an ``.info.json``.
    """

    path: Path
    parameters: dict
    weights: list
    activations: list
    inputs: Affine
    outputs: Affine
    info: dict


@reads_file
def read_mala_archive(path):
    """Read the archive (``.zip``) of a trained MALA model as a :class:`MalaArchive`.

    A :class:`FileFormatError` is raised if it is damaged, incomplete or refers to code that does
    not belong there.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.getinfo(name) for name in archive.namelist()}
            parameters = _json(_member(archive, members, ".params.json", path), path)
            inputs = _scaler(archive, members, "iscaler", path)
            outputs = _scaler(archive, members, "oscaler", path)
            weights = _weights(_member(archive, members, ".network.pth", path), path)
            info = _member(archive, members, ".info.json", path, required=False)
    except zipfile.BadZipFile as error:
        raise FileFormatError(f"not an archive: {error}", path) from error
    sizes = [weights[0][0].shape[1], *(len(bias) for _, bias in weights)]
    expected = parameters["network"]["layer_sizes"]
    if sizes != expected:
        raise FileFormatError(f"expected layers of {expected} units, got {sizes}", path)
    for name, scaler, width in (("iscaler", inputs, sizes[0]), ("oscaler", outputs, sizes[-1])):
        if len(scaler.center) not in (1, width) or scaler.center.shape != scaler.scale.shape:
            raise FileFormatError(
                f"{name} must have one number or {width}, got {len(scaler.center)}", path
            )
    activations = _activations(parameters["network"], len(weights), path)
    info = None if info is None else _json(info, path)
    return MalaArchive(path, parameters, weights, activations, inputs, outputs, info)


def _member(archive, members, ending, path, *, required=True):
    """Return the bytes of the single file with this ending, or None."""
    names = [name for name in members if name.endswith(ending)]
    if not names and not required:
        return None
    if len(names) != 1:
        raise FileFormatError(f"expected one file *{ending} in it, got {len(names)}", path)
    size = members[names[0]].file_size
    if size > LARGEST_MEMBER:
        raise FileFormatError(
            f"{names[0]} has {size} bytes, more than the {LARGEST_MEMBER} of any model", path
        )
    return archive.read(names[0])


def _json(content, path):
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"not a JSON file in it: {error}", path) from error
    if not isinstance(values, dict):
        raise FileFormatError(f"expected a JSON object, got a {type(values).__name__}", path)
    return values


# -------------------------------------------------------------------- network


def _weights(content, path):
    """Return matrix and bias of every layer."""
    state = _load_tensors(content, path)
    if not isinstance(state, dict):
        raise FileFormatError(f"the network must be a dict, got a {type(state).__name__}", path)
    names = sorted(state, key=lambda name: int(name.split(".")[1]))
    numbers = list(dict.fromkeys(name.split(".")[1] for name in names))
    if set(state) != {f"layers.{n}.{kind}" for n in numbers for kind in ("weight", "bias")}:
        raise FileFormatError(f"expected only dense layers, got {sorted(state)[:6]}", path)
    layers = []
    for n in numbers:
        matrix, bias = (_array(state[f"layers.{n}.{kind}"]) for kind in ("weight", "bias"))
        n_in = len(layers[-1][1]) if layers else matrix.shape[1]
        if matrix.shape != (len(bias), n_in):
            raise FileFormatError(
                f"layers.{n} must have weights ({len(bias)}, {n_in}), got {matrix.shape}", path
            )
        if not (np.isfinite(matrix).all() and np.isfinite(bias).all()):
            raise FileFormatError(f"layers.{n} holds NaN or infinite weights", path)
        layers.append((matrix, bias))
    return layers


def _load_tensors(content, path):
    """Return the stored object by torch's loader for tensors and containers only."""
    import torch

    try:
        with warnings.catch_warnings():
            # A warning about the kind of pickle, before the pickle is rejected.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().split("\n")[0]
        raise FileFormatError(f"its tensors cannot be loaded safely: {reason}", path) from error


def _array(tensor):
    return tensor.detach().numpy().astype(np.float32)


def _activations(network, n_layers, path):
    """Return the activation after every layer, under skldos's names.

    Before ``layer_activations_include_output_layer`` (MALA 1.3.1), a list of one activation applied
    to all layers including the last. Since then MALA reads a list layer by layer.
    """
    if network.get("nn_type", "feed-forward") != "feed-forward":
        raise FileFormatError(
            f"expected a feed-forward network, got {network['nn_type']!r}, which is not supported",
            path,
        )
    activations = network["layer_activations"]
    output_too = network.get("layer_activations_include_output_layer")
    if not isinstance(activations, list):
        activations = [activations] * n_layers
    elif len(activations) == 1 and output_too is None:
        activations = activations * n_layers
    activations = (activations + [None] * n_layers)[:n_layers]
    if output_too is False:
        activations[-1] = None
    unknown = [
        name for name in activations if not isinstance(name, str | None) or name not in ACTIVATIONS
    ]
    if unknown:
        raise FileFormatError(
            f"expected activations among {[*ACTIVATIONS][:-1]}, got {unknown[0]!r}", path
        )
    return [ACTIVATIONS[name] for name in activations]


# -------------------------------------------------------------------- scalers


def _scaler(archive, members, name, path):
    """Return the map of a scaler, from JSON if available, else from a pickle."""
    text = _member(archive, members, f".{name}.json", path, required=False)
    if text is not None:
        values = _json(text, path)
    else:
        values = unpickle_scaler(_member(archive, members, f".{name}.pkl", path), path)
    # Before version 1.3, MALA called minmax "normal".
    minmax = values.get("scale_minmax", values.get("scale_normal"))
    by_feature = values["feature_wise"]

    def of(by_column, in_all):
        return np.asarray(values[by_column if by_feature else in_all], dtype=float).reshape(-1)

    if values["scale_standard"]:
        kind, center, scale = "standard", of("means", "total_mean"), of("stds", "total_std")
    elif minmax:
        low, high = of("mins", "total_min"), of("maxs", "total_max")
        kind, center, scale = "minmax", low, high - low
    else:
        kind, center, scale = None, np.zeros(1), np.ones(1)
    if not (np.isfinite(center).all() and np.isfinite(scale).all() and (scale >= 0).all()):
        raise FileFormatError(f"{name} holds invalid numbers", path)
    return Affine(kind, center, scale)


def unpickle_scaler(content, path):
    """Return the attributes of a pickled ``DataScaler`` as a dictionary, tensors as arrays.

    A pickle is a program. This reader replaces the four names in the pickle of a scaler by its own
    functions, and rejects any other name with a :class:`FileFormatError`. It therefore executes no
    code from MALA, torch or anywhere else. `path` is the file, for messages.
    """
    try:
        scaler = _ScalerUnpickler(content, path).load()
    except FileFormatError:
        raise
    except (pickle.UnpicklingError, EOFError, *DAMAGE) as error:
        raise FileFormatError(f"a pickled scaler is damaged: {error}", path) from error
    if type(scaler).__name__ != "DataScaler":
        raise FileFormatError(f"expected a DataScaler, got a {type(scaler).__name__}", path)
    return dict(vars(scaler))


class _ScalerUnpickler(pickle.Unpickler):
    def __init__(self, content, path):
        super().__init__(io.BytesIO(content))
        self._path = path
        # Created for every pickle, so that a pickle cannot modify them for the next.
        self._globals = {
            SCALER_CLASS: type("DataScaler", (), {}),
            ("torch._utils", "_rebuild_tensor_v2"): lambda *args: _tensor(*args, path=path),
            ("torch.storage", "_load_from_bytes"): lambda bytes_: _storage(bytes_, path),
            ("collections", "OrderedDict"): lambda: OrderedDict(),
        }

    def find_class(self, module, name):
        if (module, name) not in self._globals:
            raise FileFormatError(
                f"a pickled scaler refers to {module}.{name}, which does not belong there. It was "
                "not executed, but do not trust this file",
                self._path,
            )
        return self._globals[module, name]


def _storage(content, path):
    """Return the numbers of a storage as an array."""
    with warnings.catch_warnings():
        # A tensor pickled by torch.save inside a pickle has a storage in the old format.
        warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
        return np.array(_load_tensors(content, path).tolist(), dtype=float)


def _tensor(values, offset, size, stride, *_, path):
    """Return a tensor of a pickle as an array; those of scalers are dense."""
    size = tuple(size)
    n = math.prod(size)
    dense = tuple(math.prod(size[i + 1 :]) for i in range(len(size)))
    varied = [i for i, length in enumerate(size) if length > 1]
    if any(stride[i] != dense[i] for i in varied) or not 0 <= offset <= len(values) - n:
        raise FileFormatError("a pickled scaler holds a tensor that is not dense", path)
    return values[offset : offset + n].reshape(size)
