"""
Hyperparameters
===============

Networks judged before they are trained, trained ones given up early, and three ways to search,
which take one another's place in one line.
"""

# %%
# Synthetic snapshots, and a model of their LDOS. Descriptors are kept in a folder: the searches
# below compute none twice.

import tempfile

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
from skldos.datasets import make_snapshots

snapshots = make_snapshots(6, random_state=0)
cache = tempfile.TemporaryDirectory()
model = Pipeline(
    [
        ("snap", GridSNAPTransformer(twojmax=4, memory=cache.name, n_jobs=1)),
        ("scale", RowWise(StandardScaler())),
        ("ldos", LDOSRegressor(max_epochs=10, batch_size=200, random_state=0)),
    ]
)

# %%
# A score of untrained networks: do they tell points apart, or respond to all alike? It takes
# milliseconds. Its sign is a matter of debate; the convention of Mellor et al. prefers networks
# that tell apart.

import pandas as pd

from skldos.search import NASWOTScorer, screen_candidates

naswot = NASWOTScorer(batch_size=13, convention="mellor", random_state=0)


def space(trial):
    """One or two layers, with a width each."""
    n_layers = trial.suggest_int("layers", 1, 2)
    widths = [trial.suggest_categorical(f"width_{i}", [30, 100]) for i in range(n_layers)]
    return {
        "ldos__module__hidden_layer_sizes": tuple(widths),
        "ldos__module__activation": trial.suggest_categorical("activation", ["tanh", "leaky_relu"]),
        "ldos__lr": trial.suggest_float("lr", 1e-3, 3e-2, log=True),
    }


candidates, scores = screen_candidates(
    model, space, snapshots[:2], scorer=naswot, n_candidates=40, n_best=3, random_state=0
)
print(pd.DataFrame(candidates).assign(naswot=scores.round(0)))

# %%
# They are what a study of Optuna begins with; then it draws its own. A candidate goes before it is
# trained if its score is too low in the light of what has been found so far, or while it is trained
# if after some epoch it is behind the median of the others. Scores are band energies of snapshots
# that were not trained on. With ``storage="study.log"`` the study would survive the death of this
# process, and others could join it.

from optuna.pruners import MedianPruner

from skldos import BandEnergyScorer
from skldos.search import NASWOTPruner, StudySearchCV

options = {"scoring": BandEnergyScorer(), "cv": 2}
study = StudySearchCV(
    model,
    space,
    n_trials=12,
    candidates=candidates,
    naswot=naswot,
    pruner=NASWOTPruner(MedianPruner(n_startup_trials=5, n_warmup_steps=6), quantile=0.3),
    random_state=0,
    **options,
).fit(snapshots)
table = pd.DataFrame(study.cv_results_)
print(table[["state", "naswot", "mean_test_score", "mean_fit_time"]].round(2))
print(study.best_params_, f"{-study.best_score_:.2f} meV/atom")

# %%
# Here the score before training foretells little, and what it ranked first is not what won. That is
# why the threshold never exceeds the scores of the best trained networks: a score that is of no use
# does little harm.
#
# Now a grid: a balanced part of it, by an orthogonal array; one parameter after the other; and a
# study again, for which a dict is a space as well.

from skldos.search import DirectSearchCV, OrthogonalArraySearchCV

grid = {
    "ldos__module__hidden_layer_sizes": [(30,), (100,)],
    "ldos__module__activation": ["tanh", "leaky_relu"],
    "ldos__lr": [1e-3, 1e-2],
}
searches = {
    "orthogonal array": OrthogonalArraySearchCV(model, grid, **options),
    "direct": DirectSearchCV(model, grid, **options),
    "study": StudySearchCV(model, grid, n_trials=6, random_state=0, **options),
}
for name, search in searches.items():
    search.fit(snapshots)
    n = len(search.cv_results_["params"])
    print(f"{name}: {n} of 8, {-search.best_score_:.2f} meV/atom")

# %%
# What they found, and when.

from skldos.plotting import SearchDisplay

SearchDisplay.from_search({"two stages": study} | searches, label="error (meV/atom)", negative=True)

cache.cleanup()
