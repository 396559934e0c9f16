"""Features of atoms and models of their coefficients, for `models.py` and `scf_start.py`."""

import numpy as np

from benchmarks.common import harness
from benchmarks.potentials._data import KINDS

FOLDER = harness.OUTPUT / "potentials" / "blocks"
#: Local, medium and long range, in Å.
CUTOFFS = (3.0, 5.0, 7.0)
N_FOLDS, N_COMPONENTS = 4, 20
NETWORKS = {
    "gaussian": {"module__n_components": 1},
    "MDN, full": {"module__n_components": 3},
    "MDN, diagonal": {"module__n_components": 3, "module__covariance": "diagonal"},
    "MDN, low rank": {"module__n_components": 3, "module__covariance": "low_rank"},
}
MODELS = ("mean", "nearest", "ridge", *NETWORKS)


def folds_of(snapshots):
    """Return the fold of every snapshot: the next one for the next of its kind."""
    seen, folds = dict.fromkeys(KINDS, 0), []
    for snapshot in snapshots:
        kind = snapshot.reference["kind"]
        folds.append(seen[kind] % N_FOLDS)
        seen[kind] += 1
    return np.array(folds)


def features():
    """Return the pipeline from snapshots to features."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import AtomSNAPTransformer, BlockUnion, RowWise

    parts = [
        (f"{r_cut:g}", AtomSNAPTransformer(r_cut, 8, memory=str(FOLDER), n_jobs=1))
        for r_cut in CUTOFFS
    ]
    reduced = make_pipeline(StandardScaler(), PCA(N_COMPONENTS, whiten=False), StandardScaler())
    return make_pipeline(BlockUnion(parts), RowWise(reduced))


def estimator(model, seed):
    """Return a regressor of blocks."""
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor
    from torch.optim import AdamW

    from skldos import MDNRegressor, SiteRegressor

    if model in NETWORKS:
        return MDNRegressor(
            optimizer=AdamW,
            optimizer__weight_decay=0.05,
            max_epochs=60,
            module__floor=0.15,
            module__dropout=0.3,
            random_state=seed,
            **NETWORKS[model],
        )
    simple = {
        "mean": DummyRegressor(),
        "nearest": KNeighborsRegressor(1),
        "ridge": RidgeCV(np.geomspace(1e-2, 1e4, 13)),
    }
    return SiteRegressor(simple[model])
