"""An estimator that scores what it is given, for searches that several processes share."""

import time
from multiprocessing import get_all_start_methods

import numpy as np
import optuna
import pytest
from sklearn.base import BaseEstimator

X = np.zeros((4, 1))
SPACE = {"a": optuna.distributions.FloatDistribution(0, 1), "b": [(1,), (2, 3)]}
# A fresh interpreter would spend seconds on imports. No thread of this one runs meanwhile.
forks = pytest.mark.skipif("fork" not in get_all_start_methods(), reason="needs fork and kill -9")
quiet_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class Height(BaseEstimator):
    """Scores what it is given."""

    def __init__(self, a=0.0, b=None):
        self.a = a
        self.b = b

    def fit(self, X, y=None):
        """Learn nothing, for a moment."""
        time.sleep(0.002)
        return self

    def score(self, X, y=None):
        """Return the height."""
        return self.a
