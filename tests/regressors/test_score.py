"""Scores of regressors on blocks."""

import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import BandEnergyScorer, GridSNAPTransformer, LDOSRegressor, RowWise, evaluate
from skldos.datasets import make_snapshots


@pytest.fixture(scope="module")
def snapshots():
    return make_snapshots(4, grid_shape=(4, 4, 4), random_state=0)


@pytest.fixture(scope="module")
def transformer(snapshots):
    return make_pipeline(GridSNAPTransformer(twojmax=2), RowWise(StandardScaler())).fit(snapshots)


def test_score_of_blocks_is_r2_over_all_rows(snapshots, transformer):
    blocks = transformer.transform(snapshots)
    model = LDOSRegressor(max_epochs=20, random_state=0).fit(blocks)
    true = np.concatenate([s.ldos.reshape(-1, 21) for s in snapshots]).astype(float)
    predicted = np.concatenate(list(model.predict(blocks)))
    expected = r2_score(true, predicted, multioutput="variance_weighted")
    assert 0.5 < expected < 1
    assert model.score(blocks) == pytest.approx(expected, rel=1e-9)
    assert model.score(blocks, snapshots.targets) == model.score(blocks)


def test_pipeline_is_cross_validated_without_a_scorer(snapshots):
    model = make_pipeline(
        GridSNAPTransformer(twojmax=2),
        RowWise(StandardScaler()),
        LDOSRegressor(max_epochs=20, random_state=0),
    )
    scores = cross_val_score(model, snapshots, cv=2, error_score="raise")
    assert (scores > 0.5).all()


def test_blocks_made_once_are_scored_like_their_snapshots(snapshots, transformer):
    blocks = transformer.transform(snapshots)
    model = LDOSRegressor(max_epochs=20, random_state=0)
    scores = cross_val_score(model, blocks, cv=2, scoring=BandEnergyScorer(), error_score="raise")
    assert np.isfinite(scores).all()
    model.fit(blocks)
    whole = make_pipeline(*[step for _, step in transformer.steps], model)
    assert evaluate(model, blocks).equals(evaluate(whole, snapshots))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_have_no_score(snapshots, transformer, bad):
    blocks = transformer.transform(snapshots)
    model = LDOSRegressor(max_epochs=1, random_state=0).fit(blocks)
    targets = [target.copy() for target in snapshots.targets]
    targets[2][-1, 3] = bad
    with pytest.raises(ValueError, match="true and predicted values must be finite"):
        model.score(blocks, targets)
