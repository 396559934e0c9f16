"""Searches for hyperparameters, and scores that need no training.

Two searches evaluate a part of a grid: runs of an orthogonal array, or one parameter after the
other. Two scores judge without training: networks by their Jacobians, descriptors by how alike
they find the points that the LDOS finds alike.
"""

from skldos.search.acsd import ACSDScorer, acsd
from skldos.search.direct import DirectSearchCV
from skldos.search.naswot import NASWOTScorer, naswot_score
from skldos.search.orthogonal import OrthogonalArraySearchCV
from skldos.search.orthogonal_arrays import is_balanced, orthogonal_array

__all__ = [
    "NASWOTScorer",
    "naswot_score",
    "ACSDScorer",
    "acsd",
    "OrthogonalArraySearchCV",
    "orthogonal_array",
    "is_balanced",
    "DirectSearchCV",
]
