"""Estimators whose predictions a test chooses."""

import numpy as np
from sklearn.base import BaseEstimator

from skldos.data import Blocks
from skldos.data.free_energies import full_stress


class Predicts(BaseEstimator):
    """Predicts ``function(snapshot)``."""

    def __init__(self, function=None):
        self.function = function

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return Blocks([self.function(snapshot) for snapshot in X])


class Potential(BaseEstimator):
    """Predicts the free energies, forces and stresses of the snapshots, times a factor."""

    def __init__(self, factor=1.1, stress=True, temperature=None):
        self.factor = factor
        self.stress = stress
        self.temperature_ = temperature

    def predict(self, X):
        return np.array([self.factor * s.reference["total_energy"] for s in X])

    def predict_forces(self, X):
        return [self.factor * np.asarray(s.reference["forces"]) for s in X]

    def predict_stress(self, X):
        return [self.factor * full_stress(s.reference["stress"]) for s in X]

    def knows_stress(self):
        return self.stress


def not_a_number(snapshot):
    return np.full((snapshot.n_grid_points, 11), np.nan)


def too_few_energies(snapshot):
    return np.ones((snapshot.n_grid_points, 10))


#: Functions of a snapshot that predict what cannot be scored, and what is said.
MISTAKES = [
    (not_a_number, "holds NaN"),
    (too_few_energies, "the DOS has 10 values, but there are 11 energies"),
]
