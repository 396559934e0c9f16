"""Systems and helpers that many tests share."""

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skldos
from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, SnapshotList
from skldos.data import Blocks, as_rows
from skldos.datasets import make_snapshots
from tests.processes import context, start_python

ROOT = Path(__file__).parents[1]

# Worker processes of joblib find the classes of the tests; appended, so that the package under
# test is the installed one.
sys.path.append(str(ROOT))

# The networks here are so small that threads only get into each other's way.
torch.set_num_threads(1)


def pytest_xdist_auto_num_workers(config):
    """Start no processes for single files: each would repeat all imports."""
    named = [Path(name.partition("::")[0]) for name in config.option.file_or_dir]
    return 0 if named and all(path.is_file() for path in named) else None


#: What the processes of xdist begin with: tests that compile all kernels, which takes minutes;
#: beside them tests that need none, so that no other process compiles the same; then a long file.
FIRST = (
    *("tests/testing", "tests/physics", "tests/networks", "tests/data", "tests/search/study"),
    *("tests/io", "tests/test_readme.py"),
)


def pytest_configure(config):
    """Keep the order of files; xdist would order them by their number of tests."""
    config.option.loadscopereorder = False
    remove_outdated_kernels(Path(skldos.__file__).parent)


def remove_outdated_kernels(package):
    """Remove compiled code that is older than a function that may be inlined in it.

    Numba compiles a kernel again if the file of the kernel has changed, but not if those have from
    which it takes inlined functions.
    """
    sources = [p for p in package.rglob("*.py") if "@inlined" in p.read_text(encoding="utf-8")]
    changed = max(p.stat().st_mtime for p in sources)
    for index in package.rglob("__pycache__/*.nbi"):
        with suppress(FileNotFoundError):  # another process may have removed it
            if index.stat().st_mtime < changed:
                index.unlink()


def pytest_collection_modifyitems(items):
    """Put slow tests first."""

    def rank(item):
        return [not item.nodeid.startswith(name) for name in FIRST]

    items.sort(key=rank)


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
    """An unfitted, quickly trained pipeline from snapshots to the LDOS."""
    return make_pipeline(
        GridSNAPTransformer(twojmax=2, n_jobs=1),
        RowWise(StandardScaler()),
        LDOSRegressor(
            module__hidden_layer_sizes=(8,), lr=1e-2, max_epochs=5, batch_size=64, random_state=0
        ),
    )


class Oracle(BaseEstimator):
    """Predicts the LDOS of a snapshot, times `factor`."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        """Learn nothing."""
        self.fitted_ = True
        return self

    def predict(self, X):
        """Return the true values."""
        return Blocks([self.factor * as_rows(snapshot.ldos) for snapshot in X], X)


@pytest.fixture
def oracle():
    """The class of an estimator that returns the true LDOS."""
    return Oracle


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data next to the repository; skips if absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.exists():
        pytest.skip("needs the data sets that are kept beside the repository")
    return folder


@pytest.fixture(scope="session")
def run_python(tmp_path_factory):
    """Run code in a fresh process, and return its output."""

    def run(code, *arguments):
        output = tmp_path_factory.mktemp("python") / "printed"
        process = start_python(code, *arguments, output=output)
        process.join(600)
        assert process.exitcode == 0, output.read_text(encoding="utf-8")
        return output.read_text(encoding="utf-8")

    return run


@pytest.fixture(scope="module")
def cluster():
    """Return a client of two worker processes of dask on this machine."""
    pytest.importorskip("distributed", reason="needs skldos[distributed]")
    import dask
    from dask.distributed import Client, LocalCluster

    method = {"distributed.worker.multiprocessing-method": context().get_start_method()}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        dask.config.set(method),
        LocalCluster(**options, processes=True, host="127.0.0.1") as workers,
        Client(workers) as client,
    ):
        yield client


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_open_figures():
    """Close the figures of a test: matplotlib warns of more than twenty open ones."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
