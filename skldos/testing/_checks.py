"""How checks are listed, run and reported."""

from functools import partial

import numpy as np


def require(condition, message):
    """Raise an :class:`AssertionError` unless `condition`; also under ``-O``, unlike ``assert``."""
    if not condition:
        raise AssertionError(message)


def named(checks, *args):
    """Return ``(name, check)`` pairs, each check bound to `args` and ready to be called."""
    return [(check.__name__.removeprefix("check_"), partial(check, *args)) for check in checks]


def run(pairs, what):
    """Run all checks; raise an :class:`AssertionError` that names the first law that fails."""
    for name, check in pairs:
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"{what} fails {name}: {error}") from error


def close(found, expected, message, rtol=None):
    """Require equal arrays, up to rounding by default: 1e-9, or 1e-4 in float32, of the largest."""
    found, expected = np.asarray(found), np.asarray(expected)
    require(found.shape == expected.shape, f"{message}: shape {found.shape}, not {expected.shape}")
    if rtol is None:
        rtol = 1e-4 if np.float32 in (found.dtype, expected.dtype) else 1e-9
    scale = np.abs(expected).max(initial=0.0)
    difference = np.abs(found.astype(float) - expected.astype(float)).max(initial=0.0)
    require(
        np.isfinite(difference) and difference <= rtol * scale,
        f"{message}: largest difference {difference:.3g} of values up to {scale:.3g}",
    )


def raises(kinds, function, *args, match=""):
    """Require that a call raises one of `kinds` with `match` in its message."""
    try:
        function(*args)
    except kinds as error:
        require(match in str(error), f"the message {str(error)!r} does not name {match!r}")
    else:
        names = kinds.__name__ if isinstance(kinds, type) else "/".join(k.__name__ for k in kinds)
        raise AssertionError(f"no {names} was raised")
