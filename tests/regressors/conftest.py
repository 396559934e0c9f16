"""A small problem that a network learns quickly."""

import numpy as np
import pytest

from skldos import ADOSDecomposer, AtomSNAPTransformer, LDOSRegressor
from skldos.data import Blocks

N_FEATURES, N_OUTPUTS = 3, 4
WEIGHTS = np.random.default_rng(7).normal(size=(N_FEATURES, N_OUTPUTS))


def target(X):
    """Return the smooth target function."""
    return np.tanh(X @ WEIGHTS) + 0.5 * (X[:, :1] ** 2)


@pytest.fixture
def blocks(rng):
    """Six blocks of 20 to 45 rows."""
    return Blocks([rng.normal(size=(n, N_FEATURES)) for n in (20, 45, 30, 21, 40, 33)])


@pytest.fixture
def targets(blocks):
    """The targets of the blocks."""
    return [target(block) for block in blocks]


@pytest.fixture
def rows(blocks, targets):
    """All blocks in one array, and all targets."""
    return np.concatenate(blocks), np.concatenate(targets)


@pytest.fixture(scope="package")
def atoms(snapshots):
    """Blocks of descriptors of atoms, and their densities of states."""
    X = AtomSNAPTransformer(twojmax=2, n_jobs=1).fit_transform(snapshots)
    return X, ADOSDecomposer().fit_transform(snapshots)


@pytest.fixture
def make():
    """Make a small, quick, seeded regressor."""

    def make(**params):
        quick = {
            "module__hidden_layer_sizes": (8,),
            "lr": 1e-2,
            "max_epochs": 3,
            "batch_size": 16,
            "dos_weight": None,
            "random_state": 0,
        }
        return LDOSRegressor(**(quick | params))

    return make


@pytest.fixture
def weights():
    """Return all weights of a fitted regressor in one vector."""

    def weights(model):
        return np.concatenate([p.detach().numpy().ravel() for p in model.module_.parameters()])

    return weights
