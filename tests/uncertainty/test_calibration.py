"""Numbers of calibration, for errors that are what they should be."""

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from skldos.uncertainty import calibration


def test_normal_errors_are_calibrated(rng):
    n = 20_000
    std = rng.uniform(0.5, 2.0, n)
    error = std * rng.normal(size=n)
    numbers = calibration(error, std)
    # Five standard errors.
    assert numbers["coverage_68"] == pytest.approx(0.68, abs=5 * np.sqrt(0.68 * 0.32 / n))
    assert numbers["coverage_95"] == pytest.approx(0.95, abs=5 * np.sqrt(0.95 * 0.05 / n))
    assert numbers["rms_z"] == pytest.approx(1, abs=5 / np.sqrt(2 * n))
    assert numbers["nll"] == pytest.approx(-norm.logpdf(error, scale=std).mean(), rel=1e-12)
    assert numbers["spearman"] == pytest.approx(spearmanr(np.abs(error), std)[0], rel=1e-12)
    # They score best with their own standard deviations.
    assert all(calibration(error, f * std)["nll"] > numbers["nll"] for f in (0.8, 1.25))
    assert calibration(error, 0.5 * std)["rms_z"] == pytest.approx(2 * numbers["rms_z"])


def test_constant_deviations_have_no_ranks():
    assert np.isnan(calibration([1.0, 2.0], [1.0, 1.0])["spearman"])


@pytest.mark.parametrize(
    ("error", "std", "message"),
    [
        ([1.0], [0.0], "std must be positive, got 0.0"),
        ([1.0], [1.0, 2.0], r"std must have shape \(1\), got \(2,\)"),
        ([np.nan], [1.0], "error must be finite"),
        ([1.0], [np.nan], "std must be finite"),
        ([], [], "at least one value"),
    ],
)
def test_bad_input(error, std, message):
    with pytest.raises(ValueError, match=message):
        calibration(error, std)


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_an_error_at_the_edge_of_an_interval_is_within(level):
    edge = norm.ppf((1 + level) / 2)
    for error, covered in ((edge, 1), (-edge, 1), (edge * (1 + 1e-9), 0)):
        assert calibration([error], [1.0])[f"coverage_{100 * level:.0f}"] == covered
