"""Numbers as Fortran prints and reads them."""

import re

REAL = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[EeDdQq][+-]?\d+|[+-]\d+)?", re.ASCII)
#: Characters that end a value for ``READ (unit, *)``.
SEPARATORS = re.compile(r"[\s,;]+")


def to_float(word):
    """Return a number in any form that Fortran reads.

    Anything else is a ``ValueError``, including ``nan``, ``inf`` and ``1_000``, which Python reads.

    Examples
    --------
    >>> to_float("3.0D+00"), to_float("-.5"), to_float("0.1-101")
    (3.0, -0.5, 1e-102)
    """
    if REAL.fullmatch(word) is None:
        raise ValueError(f"not a number: {word!r}")
    word = re.sub("[DdQq]", "e", word)
    # 0.1-101: the sign of an exponent without its letter
    return float(re.sub(r"(?<=[\d.])([+-])", r"e\1", word))


def to_int(word):
    """Return an integer; raise a ``ValueError`` unless it consists of sign and digits.

    Examples
    --------
    >>> to_int("+12")
    12
    """
    if re.fullmatch(r"[+-]?\d{1,18}", word, re.ASCII) is None:
        raise ValueError(f"not an integer: {word!r}")
    return int(word)


def first_word(text):
    """Return the text that a ``READ (text, *)`` of one value reads, possibly empty.

    Examples
    --------
    >>> first_word(" 3.0, the valence")
    '3.0'
    """
    return SEPARATORS.split(text.strip(), maxsplit=1)[0]


def to_floats(text, count):
    """Return the first `count` numbers in a text, fewer if it holds fewer.

    The rules are those of Fortran's list-directed input: commas separate as blanks do, ``3*0.0``
    means three zeros, and anything after the last requested number is ignored. What is not a number
    is a ``ValueError``.

    Examples
    --------
    >>> to_floats("1.0, 2.5D-1 3*0.0 and so on", 5)
    [1.0, 0.25, 0.0, 0.0, 0.0]
    """
    numbers = []
    for word in filter(None, SEPARATORS.split(text)):
        if len(numbers) >= count:
            break
        times, star, value = word.rpartition("*")
        if star and not times.isdecimal():
            raise ValueError(f"not a number: {word!r}")
        missing = count - len(numbers)
        numbers += [to_float(value)] * (min(int(times[:20]), missing) if star else 1)
    return numbers
