"""Checks shared by all modules; messages name the argument, expected and received values."""

import sys
from numbers import Integral, Real

import numpy as np


def check_scalar(name, value, *, low=None, high=None, strict=False, integer=False):
    """Return `value` if it is a finite number within bounds, else raise an error that names it.

    The bounds are inclusive; with `strict`, the lower bound itself is excluded.
    """
    kind = Integral if integer else Real
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        expected = "an integer" if integer else "a number"
        raise TypeError(f"{name} must be {expected}, got {value!r} of type {type(value).__name__}.")
    if isinstance(value, np.floating):
        value = float(value)  # bounds may be too large for its type
    too_low = low is not None and (value <= low if strict else value < low)
    too_high = high is not None and value > high
    # Not with isfinite(): an integer may be too large for a float. NaN fails both comparisons.
    finite = -sys.float_info.max <= value <= sys.float_info.max
    if not finite or too_low or too_high:
        bounds = []
        if low is not None:
            bounds.append(f"{'>' if strict else '>='} {low}")
        if high is not None:
            bounds.append(f"<= {high}")
        limits = " and ".join(bounds) or "finite"
        raise ValueError(f"{name} must be {limits}, got {value!r}.")
    return int(value) if integer else float(value)


def check_option(name, value, options):
    """Return `value` if it is one of `options`, else raise a ``ValueError`` that lists them."""
    if not any(value is option or value == option for option in options):
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {listed}; got {value!r}.")
    return value


def check_device(name, value):
    """Return the name of a torch device, such as ``"cuda:1"``, if this machine has it."""
    if isinstance(value, str) and value == "cpu":
        return value
    import torch  # takes a second, not needed for the CPU

    usable = ["cpu"]
    if torch.cuda.is_available():
        usable += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        usable.append("mps")
    if not isinstance(value, (str, torch.device)) or str(value) not in usable:
        listed = ", ".join(map(repr, usable))
        raise ValueError(
            f"{name} must be a device that torch finds on this machine, one of {listed}; got "
            f"{value!r}."
        )
    return str(value)


def as_real(name, values):
    """Return an array-like of real numbers, none of them masked, as a float64 array.

    Objects such as None count as NaN where NumPy converts them.

    Examples
    --------
    >>> as_real("stds", [1, 2])
    array([1., 2.])
    >>> as_real("stds", ["1"])
    Traceback (most recent call last):
    ...
    TypeError: stds must be real numbers, got values of <U1.
    """
    check_unmasked(name, values)
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and values is not None:
            array = array.astype(float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be real numbers, got {type(values).__name__}.") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got values of {array.dtype}.")
    return np.asarray(array, dtype=float)


def check_unmasked(name, array):
    """Raise a ``ValueError`` if an array has masked elements, whose numbers mean nothing."""
    if np.ma.is_masked(array):
        masked = np.ma.count_masked(array)
        raise ValueError(f"{name} must have no masked elements, got {masked} of {array.size}.")


def check_shape(name, array, shape):
    """Raise a ``ValueError`` unless `array` has `shape`, in which None fits any length.

    Examples
    --------
    >>> check_shape("cell", np.eye(3), (3, 3))
    >>> check_shape("positions", np.zeros((4, 2)), (None, 3))
    Traceback (most recent call last):
    ...
    ValueError: positions must have shape (any, 3), got (4, 2).
    """
    lengths = tuple(array.shape)
    if len(lengths) != len(shape) or any(
        want not in (None, length) for want, length in zip(shape, lengths, strict=True)
    ):
        expected = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape ({expected}), got {lengths}.")


def check_finite(name, array):
    """Raise a ``ValueError`` that counts the NaN and infinite values of `array`, if any.

    Examples
    --------
    >>> check_finite("ldos", np.array([0.0, np.nan]))
    Traceback (most recent call last):
    ...
    ValueError: ldos must be finite, got 1 NaN and 0 infinite value(s) among 2.
    """
    finite = np.isfinite(array)
    if not finite.all():
        n_nan = int(np.isnan(array).sum())
        n_infinite = int(array.size - finite.sum()) - n_nan
        raise ValueError(
            f"{name} must be finite, got {n_nan} NaN and {n_infinite} infinite value(s) "
            f"among {array.size}."
        )


def check_unchanged(estimator, fitted):
    """Raise a ``ValueError`` that names a parameter that has changed since ``fit``.

    `fitted` holds copies of the parameters that decide what the estimator returns, made in ``fit``.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> scaler = StandardScaler()
    >>> check_unchanged(scaler.set_params(with_mean=False), {"with_mean": True})
    Traceback (most recent call last):
    ...
    ValueError: the parameters of StandardScaler changed since fit: with_mean was True and is
    False; call fit again.
    """
    present = estimator.get_params(deep=False)
    for name, value in fitted.items():
        if not _same(value, present[name]):
            raise ValueError(
                f"the parameters of {type(estimator).__name__} changed since fit: {name} was "
                f"{value!r} and is {present[name]!r}; call fit again."
            )


def _same(a, b):
    if a is b:
        return True
    try:
        if a == b:
            return True
    except ValueError:  # from arrays, whose comparison is not a single bool
        pass
    import joblib

    return joblib.hash(a) == joblib.hash(b)
