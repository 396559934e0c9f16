"""Optuna studies as a scikit-learn search, which many processes can share."""

from skldos.search.study.pruners import NASWOTPruner
from skldos.search.study.screening import screen_candidates
from skldos.search.study.search_cv import StudySearchCV

__all__ = ["StudySearchCV", "NASWOTPruner", "screen_candidates"]
