"""
Data larger than memory
=======================

The same pipeline, with nothing but slices of the data in memory at any time.
"""

# %%
# Snapshots on disk: a folder with one ``.npy`` file per LDOS. They come back as handles, which
# read what is sliced and nothing else.

import tempfile
from pathlib import Path

from skldos import SnapshotList
from skldos.datasets import make_snapshots

folder = tempfile.TemporaryDirectory()
make_snapshots(3, grid_shape=(12, 12, 12), random_state=0).save(Path(folder.name) / "set")
snapshots = SnapshotList.load(Path(folder.name) / "set")
print(snapshots[0].ldos)

# %%
# With ``memory`` descriptors go to disk, chunk by chunk, and come back as handles too; single
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
# Training draws its batches from a buffer that is filled from all snapshots in turn. Here it is
# a fraction of the data, so that it has to be filled many times.

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
# The density of states is summed up while predictions pass by; no LDOS is ever held.

from skldos import evaluate

print(evaluate(model, snapshots)[["fermi_level_error", "band_energy_error"]])

folder.cleanup()
