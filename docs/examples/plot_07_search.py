"""
Hyperparameters
===============

Judge networks before training, prune networks that fall behind, and compare three searches, which
you can exchange in one line.
"""

# %%
# Synthetic snapshots, and a model of their LDOS. Descriptors are kept in a folder, so the searches
# below compute none of them twice.

import tempfile

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
from skldos.datasets import make_snapshots

snapshots = make_snapshots(4, random_state=0)
cache = tempfile.TemporaryDirectory()
model = Pipeline(
    [
        ("snap", GridSNAPTransformer(twojmax=4, memory=cache.name, n_jobs=1)),
        ("scale", RowWise(StandardScaler())),
        ("ldos", LDOSRegressor(max_epochs=6, batch_size=200, random_state=0)),
    ]
)

# %%
# NASWOT scores untrained networks in milliseconds: do their Jacobians at different points differ?
# Which sign is better is debated; the convention of Mellor et al. prefers networks that tell points
# apart.

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
    model, space, snapshots[:2], scorer=naswot, n_candidates=20, n_best=3, random_state=0
)
print(pd.DataFrame(candidates).assign(naswot=scores.round(0)))

# %%
# An Optuna study tries these candidates first and then samples its own. It prunes a candidate
# before training if its score is too low compared with those seen so far, and during training if it
# is behind the median of the others after some epoch. Scores are band energies of held-out
# snapshots. With ``storage="study.log"`` the study would survive a killed process, and others could
# join it.

from optuna.pruners import MedianPruner

from skldos import BandEnergyScorer
from skldos.search import NASWOTPruner, StudySearchCV

options = {"scoring": BandEnergyScorer(), "cv": 2}
study = StudySearchCV(
    model,
    space,
    n_trials=6,
    candidates=candidates,
    naswot=naswot,
    pruner=NASWOTPruner(MedianPruner(n_startup_trials=3, n_warmup_steps=3), quantile=0.3),
    random_state=0,
    **options,
).fit(snapshots)
table = pd.DataFrame(study.cv_results_)
print(table[["state", "naswot", "mean_test_score", "mean_fit_time"]].round(2))
print(study.best_params_, f"{-study.best_score_:.2f} meV/atom")

# %%
# Here NASWOT does not predict the error after training: what it ranks first does not win. That is
# why the threshold of the pruner never exceeds the scores of the best trained networks, so that a
# useless score does little harm.
#
# The same on a grid: part of it by an orthogonal array; one parameter after the other; and a study,
# for which a dict is a space as well.

from skldos.search import DirectSearchCV, OrthogonalArraySearchCV

grid = {
    "ldos__module__hidden_layer_sizes": [(30,), (100,)],
    "ldos__module__activation": ["tanh", "leaky_relu"],
    "ldos__lr": [1e-3, 1e-2],
}
searches = {
    "orthogonal array": OrthogonalArraySearchCV(model, grid, **options),
    "direct": DirectSearchCV(model, grid, **options),
    "study": StudySearchCV(model, grid, n_trials=4, random_state=0, **options),
}
for name, search in searches.items():
    search.fit(snapshots)
    n = len(search.cv_results_["params"])
    print(f"{name}: {n} of 8, {-search.best_score_:.2f} meV/atom")

# %%
# The best error of each search against the time spent.

from skldos.plotting import SearchDisplay

SearchDisplay.from_search({"two stages": study} | searches, label="error (meV/atom)", negative=True)

cache.cleanup()
