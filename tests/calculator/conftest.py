"""A quickly trained model of aluminium."""

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, SnapshotList
from skldos.datasets import load_aluminium_pseudopotentials, make_snapshots


@pytest.fixture(scope="session")
def training():
    """Four snapshots of 216 grid points and 11 energies, of several densities and temperatures."""
    snapshots = make_snapshots(4, n_energies=11, random_state=3)
    larger = snapshots[3].atoms.copy()
    larger.set_cell(1.01 * larger.cell.array, scale_atoms=True)
    hot = snapshots[3].replace(atoms=larger, temperature=2000.0)
    return SnapshotList([*snapshots[:3], hot])


@pytest.fixture(scope="session")
def train(training):
    """Function that fits a pipeline with an activation and row-wise steps."""

    def train(activation="silu", steps=None, snapshots=training, **snap):
        steps = [StandardScaler()] if steps is None else steps
        return make_pipeline(
            GridSNAPTransformer(**({"r_cut": 3.5, "twojmax": 4, "n_jobs": 1} | snap)),
            *map(RowWise, steps),
            LDOSRegressor(
                module__hidden_layer_sizes=(12, 12),
                module__activation=activation,
                lr=1e-2,
                max_epochs=40,
                batch_size=200,
                random_state=0,
            ),
        ).fit(snapshots)

    return train


@pytest.fixture(scope="session")
def model(train):
    """A pipeline whose network is smooth."""
    return train()


@pytest.fixture(scope="session")
def aluminium():
    """The pseudopotential."""
    return load_aluminium_pseudopotentials()


@pytest.fixture
def atoms(training):
    """Atoms of the first snapshot, to be moved."""
    return training[0].atoms.copy()
