"""Numbers as Fortran prints them."""

import re

#: A missing letter, before an exponent of three digits: 0.1-101
BARE_EXPONENT = re.compile(r"(?<=[\d.])([+-]\d{3})$")


def with_exponent(word):
    """Return a number as Python reads it: D for E, or no letter before three digits."""
    return BARE_EXPONENT.sub(r"E\1", word.replace("D", "E").replace("d", "e"))
