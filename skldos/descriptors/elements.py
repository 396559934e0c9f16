"""Parameters with a number for every element."""

from collections.abc import Mapping

import numpy as np

from skldos.exceptions import SnapshotError
from skldos.validation import check_scalar


def check_by_element(name, by_element, **bounds):
    """Raise an error unless `by_element` is None or maps elements to numbers within `bounds`."""
    if by_element is None:
        return
    if not isinstance(by_element, Mapping):
        raise TypeError(
            f"{name} must be a mapping of elements to numbers, got {type(by_element).__name__}."
        )
    for symbol, number in by_element.items():
        check_scalar(f"{name}[{symbol!r}]", number, **bounds)


def check_elements(name, by_element, snapshot):
    """Raise an error if `by_element` is set and lacks an element of `snapshot`."""
    if by_element is None:
        return
    missing = sorted(set(snapshot.atoms.symbols) - set(by_element))
    if missing:
        raise SnapshotError(
            f"{name} must have a value for every element: {missing[0]} of {snapshot!r} is not "
            f"among {sorted(by_element)}."
        )


def by_atom(by_element, atoms):
    """Return the number of every atom's element as an array."""
    return np.array([by_element[symbol] for symbol in atoms.symbols], dtype=float)
