"""Pseudopotentials given as objects or as paths."""

import os
from collections.abc import Mapping

from skldos.io.upf import read_upf
from skldos.physics import Pseudopotential


def as_pseudopotentials(pseudopotentials):
    """Return a mapping of elements to pseudopotentials; read those given as paths.

    Parameters
    ----------
    pseudopotentials : mapping of str to Pseudopotential or path, or sequence of them
        Pseudopotentials by element, or a sequence of them, each of which names its element.

    Returns
    -------
    dict of str to Pseudopotential
        One per element.

    Raises
    ------
    TypeError
        If the argument is neither, or an entry is neither a pseudopotential nor a path.
    ValueError
        If a pseudopotential is listed under another element, or an element has two.
    FileFormatError
        If a file is not a UPF file.

    Examples
    --------
    >>> from skldos.physics import Pseudopotential
    >>> as_pseudopotentials([Pseudopotential("Al", 3, functional="lda-pz")])
    {'Al': Pseudopotential(Al, valence 3, lda-pz, norm-conserving)}
    """
    if isinstance(pseudopotentials, Mapping):
        by_element = {symbol: _read(value) for symbol, value in pseudopotentials.items()}
        for symbol, pseudo in by_element.items():
            if pseudo.symbol != symbol:
                raise ValueError(
                    f"pseudopotentials[{symbol!r}] must be one of {symbol}, got {pseudo!r}."
                )
        return by_element
    if isinstance(pseudopotentials, (str, bytes)) or not hasattr(pseudopotentials, "__iter__"):
        raise TypeError(
            "pseudopotentials must be a mapping of elements to pseudopotentials or paths, got "
            f"{pseudopotentials!r}."
        )
    by_element = {}
    for pseudo in map(_read, pseudopotentials):
        if pseudo.symbol in by_element:
            raise ValueError(f"pseudopotentials must hold one for {pseudo.symbol}, got two.")
        by_element[pseudo.symbol] = pseudo
    return by_element


def _read(value):
    if isinstance(value, Pseudopotential):
        return value
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(
            f"a pseudopotential must be a Pseudopotential or the path of a UPF file, got {value!r}."
        )
    return read_upf(value)
