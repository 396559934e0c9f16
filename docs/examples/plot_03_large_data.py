"""
Data larger than memory
=======================

Train and predict out-of-core: only slices of the data are in memory at any time.
"""

# %%
# Snapshots on disk are a folder with one ``.npy`` file per LDOS. Loaded, each LDOS is a handle that
# reads only the slices that are needed.

import tempfile
from pathlib import Path

from skldos import SnapshotList
from skldos.datasets import make_snapshots

folder = tempfile.TemporaryDirectory()
make_snapshots(3, grid_shape=(12, 12, 12), random_state=0).save(Path(folder.name) / "set")
snapshots = SnapshotList.load(Path(folder.name) / "set")
print(snapshots[0].ldos)

# %%
# With ``memory``, descriptors are written to disk chunk by chunk and are handles as well; single
# precision halves their size. ``RowWise(StandardScaler())`` learns from slices and scales slices.

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, RowWise

features = make_pipeline(
    GridSNAPTransformer(twojmax=4, memory=f"{folder.name}/cache", dtype="float32"),
    RowWise(StandardScaler()),
)
print(features.fit_transform(snapshots)[0])

# %%
# Training draws its batches from a buffer that is filled from all snapshots in turn. Here the
# buffer is a fraction of the data, so it is filled many times.

from skldos import LDOSRegressor

model = make_pipeline(
    *[step for _, step in features.steps],
    LDOSRegressor(
        buffer_size=0.1,  # MiB
        batch_size=200,
        lr=1e-2,
        max_epochs=20,
        train_split=[2],  # watch the third snapshot, train on the others
        early_stopping=5,
        random_state=0,
    ),
)
model.fit(snapshots)
print(f"stopped after {len(model[-1].history_)} epochs")

# %%
# Prediction sums the density of states slice by slice; the predicted LDOS is never in memory as a
# whole.

from skldos import evaluate

print(evaluate(model, snapshots)[["fermi_level_error", "band_energy_error"]])

# %%
# The density of states of the snapshot that was watched: true (thick), predicted (thin).

from skldos.plotting import DOSDisplay

DOSDisplay.from_estimator(model, snapshots[2:])

folder.cleanup()
