"""Problems whose answers are known."""

import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import ADOSRegressor, AtomSNAPTransformer, RowWise, SiteRegressor
from skldos.data import Blocks
from skldos.uncertainty import RidgePosterior

SIZES = (3, 5, 4, 3, 6, 4, 5, 2)


@pytest.fixture
def blocks(rng):
    """Eight blocks of two to six rows of three features."""
    return Blocks([rng.normal(size=(n, 3)) for n in SIZES])


@pytest.fixture
def targets(blocks, rng):
    """Two outputs that are nearly linear in the features."""
    weights = rng.normal(size=(3, 2))
    return [block @ weights + 1 + 0.1 * rng.normal(size=(len(block), 2)) for block in blocks]


@pytest.fixture
def posterior():
    """An unfitted model from snapshots to densities of states of atoms."""
    return make_pipeline(
        AtomSNAPTransformer(twojmax=2, n_jobs=1),
        RowWise(StandardScaler()),
        ADOSRegressor(RidgePosterior(SiteRegressor(Ridge(1e-3), dos_weight=10), random_state=0)),
    )
