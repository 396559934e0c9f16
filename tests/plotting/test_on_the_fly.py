"""The display of learning on the fly shows the given numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skldos.plotting import OnTheFlyDisplay


def test_lines_show_the_tables():
    bars = pd.DataFrame({"step": [0, 1, 2], "expected": [0.2, 0.05, 0.07], "asked": [True] * 3})
    asked = pd.DataFrame(
        {
            "why": ["initial", "threshold", "check"],
            "step": [0, 0, 2],
            "force_error": [np.nan, 0.15, 0.03],
        }
    )
    display = OnTheFlyDisplay(error_bars=bars, asked=asked, threshold=0.1).plot()
    lines = {line.get_label(): line.get_xydata() for line in display.ax_.lines}
    np.testing.assert_array_equal(lines["expected, worst atom"], bars[["step", "expected"]])
    np.testing.assert_array_equal(lines["true: threshold"], [[0, 0.15]])
    np.testing.assert_array_equal(lines["true: check"], [[2, 0.03]])
    assert set(lines["threshold"][:, 1]) == {0.1}


def test_from_learner_takes_its_tables():
    class Learner:
        error_bars = pd.DataFrame({"step": [0], "expected": [0.2], "asked": [False]})
        asked = pd.DataFrame({"why": ["initial"], "step": [0], "force_error": [np.nan]})
        threshold = 0.3

    ax = plt.figure().subplots()
    display = OnTheFlyDisplay.from_learner(Learner(), ax=ax)
    assert display.ax_ is ax
    assert display.threshold == 0.3
    assert len(display.ax_.lines) == 2
