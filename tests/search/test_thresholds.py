"""Guards of searches and scores, at a third of and at three times their threshold."""

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from skldos.search import OrthogonalArraySearchCV, mutual_information, orthogonal_array
from skldos.search.scores import information, naswot
from skldos.search.study import _storage

BESIDE = [(1 / 3, False), (3, True)]


@pytest.mark.parametrize(("factor", "varies"), BESIDE)
def test_rows_of_gradients_that_vary_by_rounding_are_equal(factor, varies):
    pattern = np.tile([1.0, -1.0], 8)
    spread = factor * naswot.ROUNDING * pattern
    rows = 7.0 * np.array([1 + spread, 1 - spread])
    # Opposite where they vary, and equal where they do not.
    assert naswot._correlations(rows)[0, 1] == pytest.approx(-1 if varies else 1, abs=0.02)


@pytest.mark.parametrize(("factor", "varies"), BESIDE)
def test_columns_that_hardly_vary_tell_nothing(factor, varies, rng):
    targets = rng.normal(size=(300, 1))
    unit = (targets - targets.mean()) / targets.std()
    descriptors = 5.0 * (1 + factor * information.SPREAD_TOLERANCE * unit)
    assert (mutual_information(descriptors, targets) > 1) == varies


def test_the_largest_array():
    assert len(orthogonal_array([59, 61, 97])) == 349_103
    with pytest.raises(ValueError, match="need 2970911 runs, more than 1000000"):
        orthogonal_array([127, 149, 157])


@pytest.mark.parametrize(("factor", "dead"), BESIDE)
def test_how_long_a_process_may_be_silent(factor, dead, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(_storage.time, "monotonic", lambda: now[0])
    study = optuna.create_study(direction="maximize")
    study.ask()
    roll = _storage.RollCall(30.0)
    roll.call(study)
    now[0] += factor * _storage.MISSED_HEARTBEATS * 30.0
    roll.call(study)
    assert (study.trials[0].state == TrialState.FAIL) == dead


def test_effects_are_those_of_the_grid_that_was_searched():
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    from skldos.search.effects import main_effects

    X, y = load_diabetes(return_X_y=True)
    grid = {"alpha": [0.1, 10.0], "fit_intercept": [True, False]}
    search = OrthogonalArraySearchCV(Ridge(), grid, cv=2).fit(X, y)
    before = main_effects(search)
    search.set_params(param_grid={"alpha": [5.0, 7.0]})
    pd.testing.assert_frame_equal(main_effects(search), before)
