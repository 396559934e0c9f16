"""Displays of small data, and what tests read from them."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

from skldos.plotting import (
    ADOSDisplay,
    CalibrationDisplay,
    DensityDisplay,
    DOSDisplay,
    EnvironmentDisplay,
    OnTheFlyDisplay,
    ParityDisplay,
    SearchDisplay,
)

ENERGIES = np.linspace(-2.0, 3.0, 11)
DOS = np.array([np.sin(0.3 * (i + np.arange(11))) ** 2 + 0.5 for i in range(4)])
X = np.zeros((4, 1))


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def dos(n=1, factor=1.01, **options):
    """Return a display of `n` densities of states of two atoms."""
    options = {"energies": ENERGIES, "n_atoms": 2, "temperature": 3000.0} | options
    options = {"n_electrons": 2.0} | options
    return DOSDisplay.from_predictions(2 * DOS[:n], 2 * factor * DOS[:n], **options)


def ados(n=1, factor=1.01, **options):
    """Return a display of the densities of states of two atoms in `n` snapshots."""
    blocks = [np.array([0.5 * row, 1.5 * row]) for row in DOS[:n]]
    options = {"energies": ENERGIES, "symbols": [["Al", "Mg"]] * n} | options
    return ADOSDisplay.from_predictions(2 * factor * DOS[:n], blocks, **options)


def calibration(kind="errors", **options):
    return CalibrationDisplay.from_predictions(
        [1.0, -3.0, 0.5], [2.0, 2.0, 1.0], kind=kind, **options
    )


def density(**options):
    """Return a display of a field on (4, 5, 6) points, in a cell with edges along x, y and z."""
    true = np.random.default_rng(0).uniform(0.1, 0.3, (4, 5, 6))
    options = {"cell": np.diag([3.0, 6.0, 2.0])} | options
    return DensityDisplay.from_predictions(true, true + 1e-3 * (true - 0.2), **options)


def parity(true, predicted=None, **options):
    predicted = true if predicted is None else predicted
    return ParityDisplay.from_predictions(np.asarray(true), np.asarray(predicted), **options)


def environment(n=5, **options):
    """Return a display of `n` spheres of twelve vertices around one atom."""
    block = np.random.default_rng(0).uniform(size=(1, n, 12))
    return EnvironmentDisplay.from_block(block, **options)


class Sum(BaseEstimator):
    """Scores the sum of its parameters; fails if it is seven."""

    def __init__(self, a=1, b=0.0):
        self.a = a
        self.b = b

    def fit(self, X, y=None):
        """Fail or do nothing."""
        if self.a + self.b == 7:
            raise ValueError("seven")
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        """Return the sum."""
        return self.a + self.b


def search(kind="progress", **options):
    search = GridSearchCV(Sum(), {"a": [1, 2], "b": [0.0, 4.0]}, cv=2).fit(X)
    return SearchDisplay.from_search(search, kind=kind, **options)


def on_the_fly():
    bars = pd.DataFrame({"step": [0, 1, 2], "expected": [0.2, 0.05, 0.07], "asked": [True] * 3})
    rows = {"why": ["threshold", "check"], "step": [0, 2], "force_error": [0.15, 0.03]}
    return OnTheFlyDisplay(error_bars=bars, asked=pd.DataFrame(rows), threshold=0.1).plot()
