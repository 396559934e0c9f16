"""Systems and helpers that many tests share."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, SnapshotList
from skldos.data import Blocks, as_rows
from skldos.datasets import make_snapshots

ROOT = Path(__file__).parents[1]

# Worker processes of joblib find the classes of the tests; appended, so that the package under
# test is the installed one.
sys.path.append(str(ROOT))

# The networks here are so small that threads only get into each other's way.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def snapshots():
    """Six snapshots of 64 grid points and 11 energies."""
    return make_snapshots(6, grid_shape=(4, 4, 4), n_energies=11, random_state=0)


@pytest.fixture(scope="session")
def ragged():
    """Six snapshots on two different grids, alternating."""
    cubes = make_snapshots(3, grid_shape=(4, 4, 4), n_energies=11, random_state=1)
    boxes = make_snapshots(3, grid_shape=(5, 4, 3), n_energies=11, random_state=2)
    return SnapshotList([s for pair in zip(cubes, boxes, strict=True) for s in pair])


@pytest.fixture
def pipeline():
    """An unfitted pipeline from snapshots to the LDOS that trains in no time."""
    return make_pipeline(
        GridSNAPTransformer(twojmax=2, n_jobs=1),
        RowWise(StandardScaler()),
        LDOSRegressor(
            module__hidden_layer_sizes=(8,), lr=1e-2, max_epochs=5, batch_size=64, random_state=0
        ),
    )


class Oracle(BaseEstimator):
    """Predicts the LDOS that a snapshot carries, times `factor`."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        """Learn nothing."""
        self.fitted_ = True
        return self

    def predict(self, X):
        """Return the truth."""
        return Blocks([self.factor * as_rows(snapshot.ldos) for snapshot in X], X)


@pytest.fixture
def oracle():
    """The class of an estimator that knows the true LDOS."""
    return Oracle


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data beside the repository; skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.exists():
        pytest.skip("needs the data sets that are kept beside the repository")
    return folder


@pytest.fixture(scope="session")
def run_python():
    """Run code in a fresh interpreter and return what it printed."""

    def run(code, *arguments):
        command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)
