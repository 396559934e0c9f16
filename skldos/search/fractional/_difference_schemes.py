"""Difference schemes D(r, c, s), for the arrays of :mod:`.orthogonal_arrays`.

The differences of any two of the c columns of length r contain all elements of GF(s) equally often.
"""

import numpy as np

from skldos.search.fractional._galois import field
from skldos.search.fractional._hadamard import hadamard, has_hadamard

# D(12, 12, 3) of Taguchi's L36, row by row.
_TWELVE = """
    000000000000 000011112222 001201220112 002102121021 012021022101 012100212210
    010222011012 011220100221 021012202011 021110021202 022212110100 020121201120
"""


def scheme_rows(s, n_columns, step, largest):
    """Return the least multiple of `step` for which a scheme has `n_columns`, or None."""
    for n_rows in range(step, largest + 1, step):
        if _scheme_columns(s, n_rows) >= n_columns:
            return n_rows
        if n_rows > 4 * s * n_columns:
            return None
    return None


def _scheme_columns(s, n_rows):
    if s == 2 and has_hadamard(n_rows):
        return n_rows
    power = _largest_power(s, n_rows)
    return max(factor * power for factor in _bases(s) if n_rows % (factor * power) == 0)


def _bases(s):
    """Return the numbers of rows, in units of s, of the basic schemes."""
    return (1, 2, 4) if s == 3 else (1, 2) if s % 2 else (1,)


def _largest_power(s, n):
    power = s
    while n % (power * s) == 0:
        power *= s
    return power


def difference_scheme(s, n_rows, n_columns):
    """Return D(r, c, s): differences of two columns contain all elements of GF(s) equally often."""
    if s == 2 and has_hadamard(n_rows):
        return (hadamard(n_rows) < 0).astype(int)[:, :n_columns]
    add, multiply = field(s)
    power = _largest_power(s, n_rows)
    # The table is used only if the constructed schemes have too few columns.
    factor = max(f for f in _bases(s)[:2] if n_rows % (f * power) == 0)
    if factor * power < n_columns:
        factor = _bases(s)[-1]
        scheme = np.array([list(map(int, row)) for row in _TWELVE.split()])
    else:
        scheme = _twofold_scheme(s) if factor == 2 else multiply
    while len(scheme) < factor * power:
        # The sums of all entries of two schemes form a scheme again.
        summed = add[scheme[:, None, :, None], multiply[None, :, None, :]]
        scheme = summed.reshape(len(scheme) * s, -1)
    return np.tile(scheme, (n_rows // len(scheme), 1))[:, :n_columns]


def _twofold_scheme(q):
    r"""Return D(2q, 2q, q) for odd q.

    In blocks of rows x and columns y, with a non-square n,

    .. math::

        \begin{pmatrix} xy + x^2 + y^2/4 & xy - y^2/4 \\
        xy + n x^2 + y^2/(4n) & nxy - n y^2/4 \end{pmatrix}

    Columns of one block differ by a linear function of x, which takes every value once in each
    block of rows. Columns y and z of different blocks differ by the values t of a quadratic
    function of x: its discriminants in the two blocks of rows, 4t + w and n (4t + w) with the
    same w, are never both squares unless they are zero, so each t occurs twice in total.
    """
    add, multiply = field(q)
    x, y = np.ogrid[:q, :q]
    squares = multiply[np.arange(q), np.arange(q)]
    n = min(set(range(q)) - set(squares.tolist()))
    negative = np.argmin(add, axis=1)
    inverse = np.argmax(multiply == 1, axis=1)
    four = add[add[1, 1], add[1, 1]]
    quarter = inverse[four]
    xy, x2, y2 = multiply[x, y], squares[x], multiply[squares[y], quarter]
    upper = add[add[xy, x2], y2], add[xy, negative[y2]]
    lower = (
        add[add[xy, multiply[n, x2]], multiply[inverse[n], y2]],
        multiply[n, add[xy, negative[y2]]],
    )
    return np.block([list(upper), list(lower)])
