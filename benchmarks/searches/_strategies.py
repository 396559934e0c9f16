"""Searches for a network: functions of system, blocks and seed that return the best parameters."""

import numpy as np

from skldos.networks import FeedForward

#: System: rows of a batch, epochs.
SYSTEMS = {"al4": (100, 12), "al32": (150, 6)}
ARCHITECTURES = {
    "module__width": [20, 60, 180],
    "module__depth": [1, 2, 3],
    "module__activation": ["leaky_relu", "silu", "tanh"],
}
SPACE = ARCHITECTURES | {"lr": [1e-3, 3e-3, 1e-2]}
#: What is taken where a search has no opinion: the default network, and the rate in the middle.
DEFAULTS = {
    "module__width": 100,
    "module__depth": 1,
    "module__activation": "leaky_relu",
    "lr": 3e-3,
}
N_TRIALS = 12


class EqualLayers(FeedForward):
    """Hidden layers of equal width."""

    def __init__(self, n_in, n_out, width=100, depth=1, activation="leaky_relu"):
        super().__init__(n_in, n_out, [width] * depth, activation)


def model(system, seed):
    from skldos import LDOSRegressor

    batch_size, max_epochs = SYSTEMS[system]
    return LDOSRegressor(
        EqualLayers,
        lr=3e-3,
        lr_schedule="cosine",
        batch_size=batch_size,
        max_epochs=max_epochs,
        random_state=seed,
    )


def of_search(search, system, X, seed, space=SPACE, **options):
    """Return the best parameters of a search of trained candidates."""
    from skldos import BandEnergyScorer

    folds = np.arange(len(X))[::2], np.arange(len(X))[1::2]
    options |= {"scoring": BandEnergyScorer(), "cv": [folds, folds[::-1]], "refit": False}
    found = search(model(system, seed), space, **options).fit(X).best_params_
    return {name: found[name] for name in SPACE}


def default(system, X, seed):
    return {"lr": 1e-3}


def grid(system, X, seed):
    from sklearn.model_selection import GridSearchCV

    return of_search(GridSearchCV, system, X, seed)


def random(system, X, seed):
    from sklearn.model_selection import RandomizedSearchCV

    return of_search(RandomizedSearchCV, system, X, seed, n_iter=N_TRIALS, random_state=seed)


def halving(system, X, seed):
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV

    epochs = SYSTEMS[system][1]
    resources = {"resource": "max_epochs", "min_resources": max(1, epochs // 9)}
    return of_search(
        HalvingGridSearchCV, system, X, seed, max_resources=epochs, random_state=seed, **resources
    )


def optuna_search(system, X, seed):
    from optuna.distributions import CategoricalDistribution
    from optuna_integration import OptunaSearchCV

    space = {name: CategoricalDistribution(values) for name, values in SPACE.items()}
    return of_search(OptunaSearchCV, system, X, seed, space, n_trials=N_TRIALS, random_state=seed)


def study(system, X, seed, **options):
    from skldos.search import StudySearchCV

    options = {"n_trials": N_TRIALS} | options
    return of_search(StudySearchCV, system, X, seed, random_state=seed, **options)


def study_median(system, X, seed):
    from optuna.pruners import MedianPruner

    return study(system, X, seed, pruner=MedianPruner(n_startup_trials=4, n_warmup_steps=1))


def study_naswot(system, X, seed):
    from skldos.search import NASWOTPruner, NASWOTScorer

    pruner = NASWOTPruner(n_startup_trials=4)
    return study(system, X, seed, pruner=pruner, naswot=NASWOTScorer(random_state=seed))


def orthogonal(system, X, seed):
    from skldos.search import OrthogonalArraySearchCV

    return of_search(OrthogonalArraySearchCV, system, X, seed)


def direct(system, X, seed):
    from skldos.search import DirectSearchCV

    return of_search(DirectSearchCV, system, X, seed)


def untrained(scorer, system, X, seed):
    """Return the best architecture by a score of untrained networks."""
    from sklearn.model_selection import GridSearchCV

    estimator = model(system, seed).set_params(max_epochs=0)
    everything = np.arange(len(X))
    options = {"scoring": scorer, "cv": [(everything, everything)], "refit": False}
    return GridSearchCV(estimator, ARCHITECTURES, **options).fit(X).best_params_


def two_stages(scorer, system, X, seed):
    """Return the best of a study that starts with the candidates of the best scores."""
    from skldos.search import screen_candidates

    estimator = model(system, seed)
    candidates, _ = screen_candidates(
        estimator, ARCHITECTURES, X, scorer=scorer, n_candidates=27, n_best=4, random_state=seed
    )
    candidates = [{**candidate, "lr": 3e-3} for candidate in candidates]
    return study(system, X, seed, n_trials=6, candidates=candidates)


def naswot(convention, how):
    def search(system, X, seed):
        from skldos.search import NASWOTScorer

        return how(NASWOTScorer(convention=convention, random_state=seed), system, X, seed)

    return search


def readout(how):
    def search(system, X, seed):
        from skldos.search.scores.readout import ReadoutScorer

        return how(ReadoutScorer(random_state=seed), system, X, seed)

    return search


STRATEGIES = {
    "default": default,
    "grid": grid,
    "random": random,
    "halving": halving,
    "optuna": optuna_search,
    "study, median": study_median,
    "study, NASWOT": study_naswot,
    "orthogonal array": orthogonal,
    "direct": direct,
    "NASWOT, fiedler": naswot("fiedler", untrained),
    "NASWOT, mellor": naswot("mellor", untrained),
    "readout": readout(untrained),
    "NASWOT, then study": naswot("fiedler", two_stages),
    "readout, then study": readout(two_stages),
}
