"""The candidates of any search, in one table."""

import re

import numpy as np
import pandas as pd


def candidates(search, metric=None):
    """Return a table of the candidates of a fitted search.

    `search` is one in scikit-learn's style, an Optuna search, or a study with a single objective.
    The score is that of `metric`; None uses the one of `refit`. Rows are in the order of
    evaluation: ``params``, ``score`` (greater is better; NaN if it failed or was pruned),
    ``seconds`` of computing time for fits and scores of all splits, and ``round`` of a halving
    search, 0 otherwise. A `search` without results is a TypeError, one without such a metric a
    ValueError.
    """
    results = getattr(search, "cv_results_", None)
    # OptunaSearchCV has results without parameters, but its study has all.
    if results is None or "params" not in results:
        return _of_study(getattr(search, "study_", search), metric)
    # The resource of a halving search is not a choice: it depends on the round.
    resource = getattr(search, "resource", None)
    return pd.DataFrame(
        {
            "params": [{k: v for k, v in p.items() if k != resource} for p in results["params"]],
            "score": np.asarray(results[_column(search, results, metric)], dtype=float),
            "seconds": _seconds(search, results),
            "round": np.asarray(results.get("iter", np.zeros(len(results["params"]))), dtype=int),
        }
    )


def _seconds(search, results):
    """Return the total time of fits and scores of every candidate."""
    splits = {m[1] for name in results if (m := re.match(r"split(\d+)_test_", name))}
    n_fits = np.full(len(results["params"]), getattr(search, "n_splits_", None) or len(splits))
    times = [np.asarray(results[f"mean_{step}_time"], dtype=float) for step in ("fit", "score")]
    # Fits that did not finish may have no time.
    return n_fits * np.nan_to_num(times).sum(axis=0)


def _column(search, results, metric):
    prefix = "mean_test_"
    names = [name.removeprefix(prefix) for name in results if name.startswith(prefix)]
    refit = getattr(search, "refit", None)
    if metric is None:
        metric = refit if isinstance(refit, str) and refit in names else "score"
    # A training-free score that a study records next to its own is not a mean.
    if metric == "naswot" and "naswot" in results and metric not in names:
        return metric
    if metric not in names:
        raise ValueError(f"metric must be one of {sorted(names)}; got {metric!r}.")
    return prefix + metric


def _of_study(study, metric):
    if not hasattr(study, "trials"):
        raise TypeError(
            "search must be a fitted search with cv_results_, or an Optuna study; got "
            f"{type(study).__name__}."
        )
    if metric is not None or len(study.directions) != 1:
        raise ValueError(
            f"a study must have a single objective, and metric be None; got "
            f"{len(study.directions)} and {metric!r}."
        )
    sign = 1 if study.direction.name == "MAXIMIZE" else -1
    trials = [trial for trial in study.trials if trial.state.is_finished()]
    # The value of a pruned trial is from an unfinished training.
    scores = [sign * t.value if t.state.name == "COMPLETE" else np.nan for t in trials]
    return pd.DataFrame(
        {
            "params": [trial.params for trial in trials],
            "score": np.array(scores, dtype=float),
            "seconds": [
                trial.duration.total_seconds() if trial.duration else 0 for trial in trials
            ],
            "round": np.zeros(len(trials), dtype=int),
        }
    )


def pareto_front(*values):
    """Return the Pareto front: items that no other item surpasses; greater values are better.

    One item surpasses another if it is at least as good in all `values`, arrays of one number per
    item, and better in one. Items with NaN are never on the front.

    >>> pareto_front([3, 2, 1, 1], [1, 2, 3, 2]).tolist()
    [True, True, True, False]
    """
    items = np.column_stack([np.asarray(v, dtype=float) for v in values])
    front = ~np.isnan(items).any(axis=1)
    for i in np.flatnonzero(front):
        # Comparisons with NaN are false.
        front[i] = not ((items >= items[i]).all(axis=1) & (items > items[i]).any(axis=1)).any()
    return front
