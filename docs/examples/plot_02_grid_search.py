"""
A grid search
=============

Choose the cutoff radius and the learning rate by cross-validation: every combination is judged by
the band energies of held-out snapshots.
"""

# %%
# Synthetic snapshots are enough to show the steps.

from skldos.datasets import make_snapshots

snapshots = make_snapshots(6, random_state=0)

# %%
# With ``memory``, descriptors are kept in a folder: those of each cutoff radius are computed once
# for all folds and learning rates.

import tempfile

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

cache = tempfile.TemporaryDirectory()
model = Pipeline(
    [
        ("snap", GridSNAPTransformer(twojmax=4, memory=cache.name)),
        ("scale", RowWise(StandardScaler())),
        ("ldos", LDOSRegressor(max_epochs=10, batch_size=100, random_state=0)),
    ]
)

# %%
# The scorer is the negative mean absolute error of the band energy in meV/atom.

from sklearn.model_selection import GridSearchCV

from skldos import BandEnergyScorer

search = GridSearchCV(
    model,
    {"snap__r_cut": [3.5, 4.7], "ldos__lr": [1e-3, 1e-2]},
    scoring=BandEnergyScorer(),
    cv=3,
).fit(snapshots)

# %%
# All results are in a table. The best model is refitted on all snapshots.

import pandas as pd

table = pd.DataFrame(search.cv_results_)
print(table[["param_snap__r_cut", "param_ldos__lr", "mean_test_score", "std_test_score"]])
print(search.best_params_)

# %%
# Would more snapshots help? The learning curve of the best model:

import matplotlib.pyplot as plt
from sklearn.model_selection import learning_curve

sizes, _, scores = learning_curve(
    search.best_estimator_,
    snapshots,
    None,  # targets: the snapshots carry them
    train_sizes=[1, 2, 4],
    cv=3,
    scoring=BandEnergyScorer(),
)
figure, ax = plt.subplots(figsize=(5.4, 3.6), dpi=120, layout="constrained")
ax.errorbar(sizes, -scores.mean(axis=1), yerr=scores.std(axis=1), marker="o", capsize=3)
ax.set(
    xlabel="snapshots in training",
    ylabel="error of the band energy (meV/atom)",
    xticks=sizes,
    ylim=(0, None),
)

cache.cleanup()
