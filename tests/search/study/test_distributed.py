"""Searches whose fits run in worker processes of dask."""

import os

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import BandEnergyScorer, GridSNAPTransformer, LDOSRegressor, RowWise
from skldos.search import StudySearchCV

NET = LDOSRegressor(
    module__hidden_layer_sizes=(8,), lr=1e-2, max_epochs=3, batch_size=64, random_state=0
)


@pytest.fixture(scope="module")
def blocks(snapshots):
    """Descriptors made here, so that no worker has to load the kernels."""
    steps = GridSNAPTransformer(twojmax=2, n_jobs=1), RowWise(StandardScaler())
    return make_pipeline(*steps).fit_transform(snapshots)


class Where:
    """A scorer that tells which processes it runs in, through a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, estimator, X, y=None):
        """Leave a mark and return the score."""
        (self.folder / str(os.getpid())).touch()
        return BandEnergyScorer()(estimator, X, y)


def test_a_grid_search_over_worker_processes(cluster, blocks, tmp_path):
    options = {"cv": 2, "error_score": "raise"}
    search = GridSearchCV(NET, {"lr": [1e-2, 1e-3]}, scoring=Where(tmp_path), **options)
    with parallel_config("dask"):
        distributed = search.fit(blocks).cv_results_["mean_test_score"]
    assert processes(tmp_path) == set(cluster.run(os.getpid).values())
    alone = search.set_params(scoring=BandEnergyScorer()).fit(blocks)
    np.testing.assert_array_equal(distributed, alone.cv_results_["mean_test_score"])


def test_the_folds_of_a_study_over_worker_processes(cluster, blocks, tmp_path):
    options = {"n_trials": 2, "cv": 2, "random_state": 0, "error_score": "raise"}
    search = StudySearchCV(NET, {"lr": [1e-2, 1e-3]}, scoring=Where(tmp_path), **options)
    with parallel_config("dask"):
        distributed = search.fit(blocks).cv_results_
    # Its folds were judged there, and nothing here.
    assert set() < processes(tmp_path) <= set(cluster.run(os.getpid).values())
    alone = search.set_params(scoring=BandEnergyScorer()).fit(blocks).cv_results_
    assert distributed["params"] == alone["params"]
    np.testing.assert_array_equal(distributed["mean_test_score"], alone["mean_test_score"])


def processes(folder):
    """The processes that a scorer ran in."""
    return {int(path.name) for path in folder.iterdir()}
