"""Scorers in scikit-learn's tools; weights of snapshots."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LearningCurveDisplay, ValidationCurveDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    BandEnergyScorer,
    DensityScorer,
    GridSNAPTransformer,
    RowWise,
    SiteRegressor,
    TotalEnergyScorer,
)
from skldos.physics import Pseudopotential
from skldos.scoring import DOSScorer
from skldos.scoring.scorer import weighted_mean

mpl.use("Agg")

AL = [Pseudopotential("Al", 3, functional="lda-pz")]
SCORERS = [BandEnergyScorer(), TotalEnergyScorer(AL), DensityScorer("max"), DOSScorer("l2")]
every_scorer = pytest.mark.parametrize("scorer", SCORERS, ids=lambda s: type(s).__name__)


def on_grids():
    return make_pipeline(
        GridSNAPTransformer(twojmax=4, r_cut=3.5), RowWise(StandardScaler()), SiteRegressor(Ridge())
    )


@every_scorer
def test_displays_label_their_axes(snapshots, scorer):
    options = {"cv": 2, "scoring": scorer, "score_type": "test"}
    display = LearningCurveDisplay.from_estimator(
        on_grids(), snapshots, None, train_sizes=[1, 3], **options
    )
    assert scorer.__name__ == type(scorer).__name__
    assert display.ax_.get_ylabel() == scorer.__name__.capitalize()
    display = ValidationCurveDisplay.from_estimator(
        on_grids(), snapshots, None, param_name="siteregressor__regressor__alpha",
        param_range=[0.1, 10], **options,
    )  # fmt: skip
    assert display.ax_.get_ylabel() == scorer.__name__.capitalize()
    assert (display.test_scores < 0).all()


@pytest.mark.parametrize("weights", [[0.25, 0.75], [0.0, 1.0], [0.1, 0.2], [3, 1]])
def test_weights_are_relative(weights):
    expected = (2.0 * weights[0] + 6.0 * weights[1]) / sum(weights)
    assert weighted_mean([2.0, 6.0], weights) == pytest.approx(expected, rel=1e-14)
    # Means of three numbers and of one.
    expected = (6.0 * weights[0] + 6.0 * weights[1]) / (3 * weights[0] + weights[1])
    assert weighted_mean([2.0, 6.0], weights, [3, 1]) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [-1e-9, 1.0]])
def test_weights_without_a_mean(weights):
    with pytest.raises(ValueError, match="must not be negative, and not zero for all"):
        weighted_mean([2.0, 6.0], weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"sample_weight must have shape \(2\), got \(1,\)"),
        ([np.inf, 1.0], "sample_weight must be finite"),
    ],
)
def test_weights_that_do_not_belong_to_the_values(weights, message):
    with pytest.raises(ValueError, match=message):
        weighted_mean([2.0, 6.0], weights)
    assert weighted_mean([2.0, 6.0], [1e-300, 0.0]) == 2.0
    assert weighted_mean([2.0, 6.0]) == 4.0
