"""
A grid search
=============

Which cutoff, which learning rate? Every combination is judged by the band energies of snapshots
that it has not been trained on.
"""

# %%
# Synthetic snapshots are enough to see how it goes.

from skldos.datasets import make_snapshots

snapshots = make_snapshots(6, random_state=0)

# %%
# Descriptors are kept in a folder: each cutoff is computed once for all folds and learning rates.

import tempfile

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

cache = tempfile.TemporaryDirectory()
model = Pipeline(
    [
        ("snap", GridSNAPTransformer(twojmax=4, memory=cache.name)),
        ("scale", RowWise(StandardScaler())),
        ("ldos", LDOSRegressor(max_epochs=20, batch_size=100, random_state=0)),
    ]
)

# %%
# The scorer is the negative mean absolute error of the band energy in meV/atom.

from sklearn.model_selection import GridSearchCV

from skldos import BandEnergyScorer

search = GridSearchCV(
    model,
    {"snap__rcut": [3.5, 4.7], "ldos__lr": [1e-3, 1e-2]},
    scoring=BandEnergyScorer(),
    cv=3,
).fit(snapshots)

# %%
# All results are in a table, the best model has been fitted on all snapshots.

import pandas as pd

table = pd.DataFrame(search.cv_results_)
print(table[["param_snap__rcut", "param_ldos__lr", "mean_test_score", "std_test_score"]])
print(search.best_params_)

# %%
# How would the best one do with more snapshots?

from sklearn.model_selection import learning_curve

sizes, _, scores = learning_curve(
    search.best_estimator_,
    snapshots,
    None,  # targets: the snapshots carry them
    train_sizes=[1, 2, 4],
    cv=3,
    scoring=BandEnergyScorer(),
)
for size, score in zip(sizes, scores.mean(axis=1), strict=True):
    print(f"{size} snapshots: {-score:.1f} meV/atom")

cache.cleanup()
