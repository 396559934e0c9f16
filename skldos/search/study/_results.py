"""Trials of a study as a table, as in scikit-learn's searches."""

import numpy as np
from optuna import TrialPruned
from optuna.trial import TrialState
from scipy.stats import rankdata

from skldos.search.study._metrics import SINGLE_METRIC
from skldos.search.study._space import parameters


def parameters_of(space, trials):
    """Return the parameters of every trial; a ``ValueError`` if one has others than the space."""
    params = []
    for trial in trials:
        try:
            params.append(parameters(space, trial.params, trial.number))
        except TrialPruned as error:
            if trial.state != TrialState.PRUNED:
                raise ValueError(
                    f"trial {trial.number} of the study is one that space prunes: choose another "
                    "study_name."
                ) from error
            params.append(dict(trial.params))  # only the suggestions are known
        except ValueError as error:
            raise ValueError(
                f"trial {trial.number} of the study does not fit space ({error}): choose another "
                "study_name."
            ) from error
    return params


def noted_as(metric):
    """Return the name under which a trial records its scores for a metric."""
    return metric if metric == SINGLE_METRIC else f"test_{metric}"


def cv_results(space, trials, n_splits, metrics):
    """Return the results of finished trials, in the order of their numbers.

    The columns are those of GridSearchCV, NaN if there is no score. `space` is as for
    ``StudySearchCV``, and `n_splits` the number of folds.
    """
    params = parameters_of(space, trials)
    results = {"trial": np.array([trial.number for trial in trials])}
    results["state"] = np.array([trial.state.name.lower() for trial in trials])
    results["params"] = params
    for name in dict.fromkeys(name for p in params for name in p):
        column = np.ma.MaskedArray(np.empty(len(trials), dtype=object), mask=True)
        for i, p in enumerate(params):
            if name in p:
                column[i : i + 1] = _one(p[name])
        results[f"param_{name}"] = column
    for name in ("fit_time", "score_time"):
        # A fold that a trial did not reach took no time, so the mean gives the cost of the trial.
        times = np.nan_to_num(_folds(trials, name, n_splits)).sum(axis=2)
        results[f"mean_{name}"], results[f"std_{name}"] = times.mean(axis=1), times.std(axis=1)
    complete = np.array([trial.state == TrialState.COMPLETE for trial in trials], dtype=bool)
    values = [trial.value if trial.state == TrialState.COMPLETE else np.nan for trial in trials]
    values = np.array(values, dtype=float)
    # A failed fit that counts has the same score for all metrics.
    failed = np.array(["error" in trial.user_attrs for trial in trials], dtype=bool)
    for metric in metrics.names:
        scores = _folds(trials, noted_as(metric), n_splits).mean(axis=2)
        for i, column in enumerate(scores.T):
            results[f"split{i}_test_{metric}"] = column
        followed = failed | (metric == metrics.followed)
        means = np.where(followed, values, np.where(complete, scores.mean(axis=1), np.nan))
        results[f"mean_test_{metric}"] = means
        results[f"std_test_{metric}"] = scores.std(axis=1)  # NaN unless all folds have scores
        worst = np.where(np.isnan(means), -np.inf, means)
        results[f"rank_test_{metric}"] = rankdata(-worst, method="min").astype(np.int32)
    if any("naswot" in trial.user_attrs for trial in trials):
        naswot = [trial.user_attrs.get("naswot", np.nan) for trial in trials]
        results["naswot"] = np.array(naswot, dtype=float)
    return results


def _folds(trials, name, n_splits):
    """Return the recorded values of every training, of shape (n_trials, n_splits, n_repeats)."""
    noted = [trial.user_attrs.get("trainings", {}).get(name, []) for trial in trials]
    n_repeats = max((len(fold) for folds in noted for fold in folds), default=1)
    table = np.full((len(trials), n_splits, n_repeats), np.nan)
    for row, folds in zip(table, noted, strict=True):
        for i, fold in enumerate(folds[:n_splits]):
            row[i, : len(fold)] = fold
    return table


def _one(value):
    """Return an array of one object, which may itself be a sequence."""
    array = np.empty(1, dtype=object)
    array[0] = value
    return array
