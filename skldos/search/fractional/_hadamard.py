"""Hadamard matrices by the constructions of Sylvester and Paley."""

from functools import lru_cache

import numpy as np

from skldos.search.fractional._galois import field, prime_powers


@lru_cache(maxsize=1024)
def has_hadamard(n):
    """Return whether one of the constructions of :func:`hadamard` has `n` rows."""
    return n in (1, 2) or (n % 4 == 0 and (_paley_order(n) is not None or has_hadamard(n // 2)))


def _paley_order(n):
    for q, residue in ((n - 1, 3), (n // 2 - 1, 1)):
        if q > 2 and q % 4 == residue and len(prime_powers(q)) == 1:
            return q
    return None


def hadamard(n):
    """Return a matrix H of n rows of 1 and -1 with H H^T = n and a first column of ones."""
    if n == 1:
        return np.ones((1, 1), dtype=int)
    q = _paley_order(n) if n > 2 else None
    if q is None:
        # Sylvester
        return np.kron([[1, 1], [1, -1]], hadamard(n // 2))
    matrix = _paley(q)
    return matrix * matrix[:, :1]


def _paley(q):
    """Return the matrix of R. E. A. C. Paley from the squares of GF(q)."""
    add, multiply = field(q)
    negative = np.argmin(add, axis=1)
    character = np.full(q, -1)
    character[multiply[np.arange(q), np.arange(q)]] = 1
    character[0] = 0
    core = np.zeros((q + 1, q + 1), dtype=int)
    core[1:, 1:] = character[add[:, negative]]
    core[0, 1:] = 1
    if q % 4 == 3:
        core[1:, 0] = -1
        return core + np.eye(q + 1, dtype=int)
    core[1:, 0] = 1
    identity = np.eye(q + 1, dtype=int)
    return np.kron(core, [[1, 1], [1, -1]]) + np.kron(identity, [[1, -1], [-1, -1]])
