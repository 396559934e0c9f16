"""Figures are drawn in memory."""

import matplotlib
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import EnergyGrid, GridSNAPTransformer, LDOSRegressor, RowWise, SnapshotList
from skldos.datasets import make_snapshots

matplotlib.use("Agg")


@pytest.fixture(scope="package")
def snapshots():
    return make_snapshots(3, random_state=0)


@pytest.fixture(scope="package")
def broadened(snapshots):
    """Return the same snapshots with a known broadening."""
    grid = EnergyGrid(snapshots[0].energies, broadening=1.0, kernel="gaussian")
    return SnapshotList([snapshot.replace(energies=grid) for snapshot in snapshots])


@pytest.fixture(scope="package")
def model(snapshots):
    return make_pipeline(
        GridSNAPTransformer(twojmax=2),
        RowWise(StandardScaler()),
        LDOSRegressor(lr=1e-2, max_epochs=30, random_state=0),
    ).fit(snapshots[:2])
