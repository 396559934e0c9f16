"""The whole way from snapshots to band energies, inside the tools of scikit-learn."""

import joblib
import numpy as np
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skldos import (
    AtomSNAPTransformer,
    BandEnergyScorer,
    GridSNAPTransformer,
    LDOSRegressor,
    RowWise,
    predict_dos,
)
from skldos.data import Blocks, as_rows

SCORING = BandEnergyScorer()


@pytest.fixture
def model(pipeline):
    """The pipeline with short names for its steps."""
    return Pipeline(list(zip(("snap", "scale", "reg"), pipeline, strict=True)))


class RowRidge(RegressorMixin, BaseEstimator):
    """Any regressor of rows, on blocks."""

    def __init__(self, alpha=1e-6):
        self.alpha = alpha

    def fit(self, X, y=None):
        y = X.snapshots.targets if y is None else y
        rows = np.concatenate([np.asarray(block) for block in X])
        self.ridge_ = Ridge(self.alpha).fit(rows, np.concatenate([as_rows(t) for t in y]))
        return self

    def predict(self, X):
        return Blocks([self.ridge_.predict(np.asarray(block)) for block in X])


# -------------------------------------------------------------------- learning


def test_the_pipeline_learns_the_ldos(snapshots, model):
    model.set_params(snap__twojmax=4, reg__max_epochs=200, reg__module__hidden_layer_sizes=(40,))
    model.fit(snapshots[:4])
    blocks = model.predict(snapshots)
    for block, snapshot in zip(blocks, snapshots, strict=True):
        truth = as_rows(snapshot.ldos)
        assert np.std(block - truth) < 0.1 * truth.std()
    mean = np.mean([s.dos() for s in snapshots[:4]], axis=0)
    error = np.abs(predict_dos(model, snapshots[4:])[0] - snapshots[4].dos()).max()
    assert error < 0.05 * mean.max()


@pytest.mark.parametrize("y", ["given", "carried"])
def test_targets_may_be_given_or_carried(snapshots, model, y):
    given = clone(model).fit(snapshots, snapshots.targets)
    carried = clone(model).fit(snapshots)
    np.testing.assert_array_equal(given.predict(snapshots)[0], carried.predict(snapshots)[0])
    y = snapshots.targets if y == "given" else None
    assert cross_val_score(model, snapshots, y, cv=2, scoring=SCORING).shape == (2,)


# -------------------------------------------------------------------- cross-validation


def test_cross_validation_in_two_processes_gives_the_same_scores(snapshots, model):
    options = {"cv": 2, "scoring": SCORING, "error_score": "raise"}
    serial = cross_val_score(model, snapshots, **options)
    parallel = cross_val_score(model, snapshots, **options, n_jobs=2)
    np.testing.assert_allclose(parallel, serial, rtol=1e-3)


def test_cross_val_predict_returns_blocks_in_order(ragged, model):
    blocks = cross_val_predict(model, ragged, cv=3)
    assert blocks.shape == (6,)
    assert [block.shape for block in blocks] == [(s.n_grid_points, 11) for s in ragged]
    held_out = clone(model).fit(ragged[2:]).predict(ragged[:2])
    np.testing.assert_allclose(blocks[0], held_out[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(blocks[1], held_out[1], rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------- searches


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_grid_search(snapshots, model, n_jobs):
    grid = {"snap__twojmax": [2, 3], "reg__lr": [1e-6, 1e-2]}
    search = GridSearchCV(model, grid, cv=2, scoring=SCORING, error_score="raise", n_jobs=n_jobs)
    search.fit(snapshots)
    results = pd.DataFrame(search.cv_results_)
    assert len(results) == 4
    assert search.best_score_ == results["mean_test_score"].max()
    assert search.best_params_["reg__lr"] == 1e-2
    assert search.best_estimator_[0].twojmax == search.best_params_["snap__twojmax"]
    assert search.predict(snapshots)[0].shape == (64, 11)
    assert search.score(snapshots) == pytest.approx(SCORING(search.best_estimator_, snapshots))


def test_grid_search_over_steps_networks_and_callbacks(snapshots, model):
    grid = [
        {"scale": ["passthrough", RowWise(StandardScaler())]},
        {"scale__row_transformer": [PolynomialFeatures(2)]},
        {"reg__module__hidden_layer_sizes": [(), (4, 4)], "reg__optimizer__weight_decay": [0.1]},
        {"reg__target_scaling": ["standard"], "reg__lr_schedule": ["plateau"]},
    ]
    search = GridSearchCV(model, grid, cv=2, scoring=SCORING, error_score="raise").fit(snapshots)
    assert len(search.cv_results_["params"]) == 6
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("resource", "options"),
    [
        ("n_samples", {"min_resources": 4}),
        ("reg__max_epochs", {"min_resources": 30, "max_resources": 60}),
    ],
)
def test_halving_search(snapshots, model, resource, options):
    model.set_params(reg__max_epochs=30)
    search = HalvingGridSearchCV(
        model,
        {"reg__lr": [1e-6, 1e-2]},
        resource=resource,
        factor=2,
        cv=2,
        scoring=SCORING,
        random_state=0,
        error_score="raise",
        **options,
    ).fit(snapshots)
    assert search.best_params_["reg__lr"] == 1e-2


@pytest.mark.filterwarnings("ignore:.optuna.terminator.:FutureWarning")  # its own business
def test_optuna_search(snapshots, model):
    from optuna_integration import OptunaSearchCV

    space = {
        "reg__lr": FloatDistribution(1e-3, 1e-1, log=True),
        "snap__twojmax": IntDistribution(2, 3),
    }
    with pytest.warns(ExperimentalWarning):
        search = OptunaSearchCV(
            model, space, n_trials=3, cv=2, scoring=SCORING, random_state=0, error_score="raise"
        )
    search.fit(snapshots)
    assert search.n_trials_ == 3
    assert search.best_score_ == pytest.approx(max(t.value for t in search.trials_))
    assert len(predict_dos(search, snapshots)) == 6


# -------------------------------------------------------------------- pipelines


@pytest.mark.parametrize("lazy", [False, True])
def test_the_memory_of_a_pipeline(snapshots, model, tmp_path, lazy):
    expected = clone(model).fit(snapshots).predict(snapshots)
    model.set_params(memory=joblib.Memory(tmp_path / "pipeline", verbose=0))
    if lazy:
        model.set_params(snap__memory=tmp_path / "blocks")
    for _ in range(2):
        found = clone(model).fit(snapshots).predict(snapshots)
        np.testing.assert_allclose(np.stack(found), np.stack(expected), rtol=1e-5, atol=1e-6)


def test_blocks_on_disk_train_the_same_model(snapshots, model, tmp_path):
    expected = clone(model).fit(snapshots).predict(snapshots)
    model.set_params(snap__memory=tmp_path)
    for buffer_size in (512, 0.01):
        found = model.set_params(reg__buffer_size=buffer_size).fit(snapshots).predict(snapshots)
        assert np.isfinite(np.stack(found)).all()
        if buffer_size == 512:
            np.testing.assert_allclose(np.stack(found), np.stack(expected), rtol=1e-5, atol=1e-6)


def test_descriptors_are_computed_once_in_a_search(snapshots, model, tmp_path, monkeypatch):
    computed = []
    compute = GridSNAPTransformer.compute

    def counting(self, snapshot, start, stop):
        computed.append(id(snapshot))
        return compute(self, snapshot, start, stop)

    monkeypatch.setattr(GridSNAPTransformer, "compute", counting)
    model.set_params(snap__memory=tmp_path)
    GridSearchCV(model, {"reg__lr": [1e-3, 1e-2]}, cv=3, scoring=SCORING).fit(snapshots)
    assert sorted(computed) == sorted(id(s) for s in snapshots)


FRESH = """
import sys, joblib, numpy as np
from skldos import SnapshotList
model = joblib.load(sys.argv[1])
blocks = model.predict(SnapshotList.load(sys.argv[2]))
np.save(sys.argv[3], np.stack(blocks))
"""


def test_a_stored_pipeline_predicts_the_same_in_a_fresh_process(
    snapshots, model, tmp_path, run_python
):
    model.fit(snapshots)
    joblib.dump(model, tmp_path / "model.joblib")
    snapshots.save(tmp_path / "set")
    run_python(FRESH, tmp_path / "model.joblib", tmp_path / "set", tmp_path / "y.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.stack(model.predict(snapshots)))


def test_a_single_snapshot_is_refused(snapshots, model):
    with pytest.raises(TypeError, match="a single Snapshot"):
        model.fit(snapshots[0])
    with pytest.raises(TypeError, match="a single Atoms"):
        model.fit(snapshots).predict(snapshots[0].atoms)


# -------------------------------------------------------------------- other regressors


def test_any_regressor_may_stand_at_the_end(snapshots):
    model = make_pipeline(GridSNAPTransformer(twojmax=4), RowWise(StandardScaler()), RowRidge())
    scores = cross_val_score(model, snapshots, cv=3, scoring=SCORING, error_score="raise")
    assert (scores < 0).all()
    search = GridSearchCV(
        model, {"rowridge__alpha": [1e-6, 1.0]}, cv=2, scoring=SCORING, error_score="raise"
    ).fit(snapshots)
    blocks = search.predict(snapshots)
    for dos, block, snapshot in zip(predict_dos(search, snapshots), blocks, snapshots, strict=True):
        np.testing.assert_allclose(dos, block.sum(axis=0) * snapshot.voxel_volume)


def test_the_dos_of_atoms_can_be_learned(snapshots):
    y = [np.tile(s.dos() / 4, (4, 1)) for s in snapshots]
    model = make_pipeline(
        AtomSNAPTransformer(twojmax=2),
        RowWise(StandardScaler()),
        LDOSRegressor(max_epochs=200, lr=1e-2, random_state=0),
    )
    scores = cross_val_score(model, snapshots, y, cv=2, scoring=SCORING, error_score="raise")
    mean = np.mean([s.dos() for s in snapshots], axis=0)
    error = np.abs(predict_dos(model.fit(snapshots, y), snapshots)[0] - mean).max()
    assert error < 0.2 * mean.max()
    assert (scores < 0).all()
