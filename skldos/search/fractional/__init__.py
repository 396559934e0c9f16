"""Fractional grid searches: runs of an orthogonal array, or one parameter after the other."""

from skldos.search.fractional.direct import DirectSearchCV
from skldos.search.fractional.orthogonal import OrthogonalArraySearchCV
from skldos.search.fractional.orthogonal_arrays import is_balanced, orthogonal_array

__all__ = ["OrthogonalArraySearchCV", "DirectSearchCV", "orthogonal_array", "is_balanced"]
