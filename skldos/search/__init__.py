"""Hyperparameter searches with scikit-learn's interface, and training-free scores.

- :mod:`skldos.search.fractional`: searches that evaluate a fraction of a grid, the runs of an
  orthogonal array or one parameter after the other;
- :mod:`skldos.search.study`: a search by an Optuna study, which many processes can share;
- :mod:`skldos.search.scores`: scores that need no training, of networks and of descriptors.

To compare the results of searches, use :mod:`skldos.search.candidates` (a table),
:mod:`skldos.search.effects` (which parameters mattered) and :mod:`skldos.search.correlation`
(whether two scores rank the candidates in the same order).
"""

from skldos.search.correlation import KendallInterval, kendall_interval
from skldos.search.fractional import (
    DirectSearchCV,
    OrthogonalArraySearchCV,
    is_balanced,
    orthogonal_array,
)
from skldos.search.scores import (
    ACSDScorer,
    MutualInformationScorer,
    NASWOTScorer,
    ReadoutScorer,
    acsd,
    mutual_information,
    naswot_score,
    readout_score,
)
from skldos.search.study import NASWOTPruner, StudySearchCV, screen_candidates

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
