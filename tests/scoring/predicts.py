"""An estimator whose predictions a test chooses."""

from sklearn.base import BaseEstimator

from skldos.data import Blocks


class Predicts(BaseEstimator):
    """Predicts ``function(snapshot)``."""

    def __init__(self, function=None):
        self.function = function

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return Blocks([self.function(snapshot) for snapshot in X])
