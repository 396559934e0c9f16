"""Torch tensors or NumPy arrays in, the same kind out; the arithmetic is float64 torch."""

import functools
import inspect
from contextlib import contextmanager, nullcontext

import numpy as np
import torch

from skldos.validation import check_unmasked

#: How many numbers of a large array are converted at once: 32 MiB of float64.
PIECE = 2**22


def same_kind_out(*names, large=()):
    """Decorate a function of tensors so that it also takes and returns NumPy arrays.

    The function receives the arguments called `names` as float64 tensors. If any of them, or of the
    `large` arguments, is a tensor, all are moved to its device, and the function returns a tensor
    with gradients. Otherwise it returns a NumPy array, or a NumPy scalar for a result without axes.

    Parameters
    ----------
    *names : str
        Arguments to convert.
    large : tuple of str, default=()
        Arguments that decide the kind as well but are passed unchanged, because a float64 copy of
        them could fill the memory; the function converts them piece by piece.

    Returns
    -------
    callable
        The decorator.

    Examples
    --------
    >>> @same_kind_out("x")
    ... def square(x):
    ...     return x**2
    >>> float(square(np.float32(3.0)))
    9.0
    >>> square(torch.tensor([3.0]))
    tensor([9.], dtype=torch.float64)
    """

    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            arguments = signature.bind(*args, **kwargs).arguments
            for name in large:
                if not hasattr(arguments.get(name), "shape"):
                    arguments[name] = np.asarray(arguments[name])
            values = (arguments[name] for name in (*names, *large) if name in arguments)
            tensors = [array for array in values if isinstance(array, torch.Tensor)]
            device = next((t.device for t in tensors if t.device.type != "cpu"), None)
            with autograd(bool(tensors) and torch.is_grad_enabled()):
                for name in names:
                    if name in arguments:
                        arguments[name] = to_float64(name, arguments[name], device)
                result = function(**arguments)
            return result if tensors else _to_numpy(result)

        return wrapper

    return decorate


@contextmanager
def autograd(enabled=True):
    """Record gradients, or not, regardless of the mode and default device of the process.

    Functions that differentiate internally work within ``torch.inference_mode`` too, because this
    leaves that mode.
    """
    on_cpu = torch.device("cpu") if torch.empty(0).device.type != "cpu" else nullcontext()
    with torch.inference_mode(False), torch.set_grad_enabled(enabled), on_cpu:
        yield


def to_float64(name, value, device=None):
    """Return a tensor, an array or a number as a float64 tensor; unmasked real numbers only."""
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            raise TypeError(f"{name} must be real, got a tensor of {value.dtype}.")
        if value.is_inference() and not torch.is_inference_mode_enabled():
            value = value.clone()  # autograd may keep the copy
        return value.to(dtype=torch.float64, device=device or value.device)
    check_unmasked(name, value)
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} must be a real number or an array of them, got {type(value).__name__}"
            f" of dtype {array.dtype}."
        )
    # torch needs writable memory, which a memory map or a broadcast array is not.
    return torch.from_numpy(np.require(array, np.float64, ["C", "W"])).to(device=device)


def _to_numpy(result):
    """Return a tensor, or a tuple of them, as NumPy arrays; without axes, as scalars."""
    if isinstance(result, tuple):
        return tuple(_to_numpy(tensor) for tensor in result)
    return result.numpy()[()]


def slabs(name, array, *, device=None, size=None):
    """Yield a large array as float64 tensors, about `size` numbers at a time along axis 0.

    By default `size` is :data:`PIECE`. Pieces are slices of axis 0 rather than of flattened rows. A
    memory map is therefore read piece by piece in any memory order, and never copied as a whole.
    """
    size = PIECE if size is None else size
    step = max(1, size * len(array) // max(1, int(np.prod(array.shape))))
    for start in range(0, len(array), step):
        yield to_float64(name, array[start : start + step], device)


def check_energies(energies):
    """Raise a ``ValueError`` unless `energies` is an increasing 1-D grid of two or more."""
    if energies.ndim != 1 or len(energies) < 2:
        raise ValueError(
            f"energies must be one axis of at least 2 values, got shape {tuple(energies.shape)}."
        )
    check_finite("energies", energies)
    spacing = torch.diff(energies.detach())
    if not (spacing > 0).all():
        at = int((spacing <= 0).nonzero()[0])
        raise ValueError(
            f"energies must increase strictly, got {energies[at].item():.6g} before "
            f"{energies[at + 1].item():.6g} at index {at}."
        )


def check_last_axis(name, array, energies):
    """Raise a ``ValueError`` unless the last axis of `array` runs over `energies`."""
    if array.ndim < 1 or array.shape[-1] != len(energies):
        raise ValueError(
            f"{name} must have one value per energy along its last axis, that is shape "
            f"(..., {len(energies)}), got {tuple(array.shape)}."
        )


def check_finite(name, values):
    """Raise a ``ValueError`` that counts the values of a tensor that are not finite, if any."""
    finite = torch.isfinite(values)
    if not finite.all():
        n_bad = values.numel() - int(finite.sum())
        raise ValueError(f"{name} must be finite, got {n_bad} NaN or infinite of {values.numel()}.")


def check_temperature(temperature):
    """Raise a ``ValueError`` unless every temperature is zero or positive."""
    _check_bound("temperature", temperature, ">= 0 K", temperature >= 0)


def check_positive(name, values):
    """Raise a ``ValueError`` unless every value is positive."""
    _check_bound(name, values, "> 0", values > 0)


def _check_bound(name, values, bound, within):
    check_finite(name, values)
    if not within.all():
        raise ValueError(f"{name} must be {bound}, got {values[~within].flatten()[0].item():.6g}.")
