"""A model that has learned aluminium a little, and quickly."""

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
from skldos.datasets import load_aluminium_pseudopotentials, make_snapshots


@pytest.fixture(scope="session")
def training():
    """Four snapshots of 216 grid points and 11 energies."""
    return make_snapshots(4, n_energies=11, random_state=3)


@pytest.fixture(scope="session")
def train(training):
    """Function that fits a pipeline with an activation and row-wise steps."""

    def train(activation="silu", steps=None, snapshots=training, **snap):
        steps = [StandardScaler()] if steps is None else steps
        return make_pipeline(
            GridSNAPTransformer(**({"rcut": 3.5, "twojmax": 4, "n_jobs": 1} | snap)),
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
    """Atoms that move: those of the first snapshot."""
    return training[0].atoms.copy()
