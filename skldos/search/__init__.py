"""Searches for hyperparameters, and scores that need no training.

Two searches evaluate a part of a grid: runs of an orthogonal array, or one parameter after the
other. A third is a study of optuna, in which many processes can share. Some scores judge without
training: networks by their Jacobians or by what their random features tell, descriptors by how
alike they find the points that the LDOS finds alike.
"""

from skldos.search._statistics import KendallInterval, kendall_interval
from skldos.search.acsd import ACSDScorer, acsd
from skldos.search.candidates import screen_candidates
from skldos.search.direct import DirectSearchCV
from skldos.search.information import MutualInformationScorer, mutual_information
from skldos.search.naswot import NASWOTScorer, naswot_score
from skldos.search.orthogonal import OrthogonalArraySearchCV
from skldos.search.orthogonal_arrays import is_balanced, orthogonal_array
from skldos.search.pruners import NASWOTPruner
from skldos.search.readout import ReadoutScorer, readout_score
from skldos.search.study import StudySearchCV

__all__ = [
    "NASWOTScorer",
    "naswot_score",
    "ReadoutScorer",
    "readout_score",
    "ACSDScorer",
    "acsd",
    "MutualInformationScorer",
    "mutual_information",
    "kendall_interval",
    "KendallInterval",
    "OrthogonalArraySearchCV",
    "orthogonal_array",
    "is_balanced",
    "DirectSearchCV",
    "StudySearchCV",
    "NASWOTPruner",
    "screen_candidates",
]
