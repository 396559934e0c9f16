"""CalibrationDisplay: stored numbers, and drawing."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import ADOSRegressor, AtomSNAPTransformer, RowWise, SiteRegressor, evaluate
from skldos.plotting import CalibrationDisplay
from skldos.uncertainty import RidgePosterior, energy_uncertainty
from tests.plotting.displays import legend_of

ERROR = np.array([0.5, -1.5, 5.0, -0.1])
STD = np.array([1.0, 1.0, 2.0, 0.5])


def test_errors_against_deviations():
    display = CalibrationDisplay.from_predictions(ERROR, STD)
    assert legend_of(display) == ["±σ", "±2σ", "50 % within σ, 75 % within 2σ"]
    *guides, points = display.ax_.lines
    np.testing.assert_array_equal(points.get_xydata(), np.column_stack([STD, ERROR]))
    slopes = [np.ptp(g.get_ydata()) / np.ptp(g.get_xdata()) for g in guides]
    np.testing.assert_allclose(slopes, [1, 1, 2, 2])
    assert display.ax_.get_ylabel() == "error (meV/atom)"


def test_coverage_of_normal_errors_is_the_diagonal(rng):
    std = rng.uniform(1, 2, 4000)
    display = CalibrationDisplay.from_predictions(std * rng.normal(size=4000), std, kind="coverage")
    expected, observed = display.ax_.lines[-1].get_data()
    assert (expected[0], observed[0], expected[-1], observed[-1]) == (0, 0, 1, 1)
    # The largest distance of Kolmogorov and Smirnov exceeds 2/sqrt(n) once in 1500 times.
    assert np.abs(expected - observed).max() < 2 / np.sqrt(4000)
    assert legend_of(display)[0].startswith("NLL ")


def test_from_estimator():
    from skldos.datasets import make_snapshots

    snapshots = make_snapshots(5, random_state=0)
    model = make_pipeline(
        AtomSNAPTransformer(twojmax=2, n_jobs=1),
        RowWise(StandardScaler()),
        ADOSRegressor(RidgePosterior(SiteRegressor(Ridge(1e-3)), 2000, random_state=0)),
    ).fit(snapshots[:3])
    display = CalibrationDisplay.from_estimator(model, snapshots[3:])
    std = energy_uncertainty(model, snapshots[3:])["band_energy_std"]
    np.testing.assert_array_equal(display.std, std)
    table = evaluate(model, snapshots[3:])
    mean = energy_uncertainty(model, snapshots[3:])["band_energy"]
    np.testing.assert_allclose(display.error, 1e3 * (mean - table["band_energy_true"]) / 4)
    # The mean of 2000 samples is the prediction to within 0.1 standard deviations.
    error = table["band_energy_error"]
    assert (np.abs(display.error - error) < 0.1 * std).all()
    y = [s.ldos for s in snapshots[3:]]
    ax = plt.figure().subplots()
    again = CalibrationDisplay.from_estimator(model, snapshots[3:], y, kind="coverage", ax=ax)
    assert again.ax_ is ax
    np.testing.assert_array_equal(again.error, display.error)
    with pytest.raises(ValueError, match="shorter"):
        CalibrationDisplay.from_estimator(model, snapshots[3:], y[:1])
