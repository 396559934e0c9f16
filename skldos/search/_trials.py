"""What happens in one trial: folds and repeated trainings, until it is pruned."""

import time
import traceback
import warnings

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import NopPruner
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning

from skldos.search._folds import Fold
from skldos.search._pruning import Reporter
from skldos.search._space import suggest

#: Ends of a trial that are no failures.
ENDS = (TrialPruned, UpdateFinishedTrialError)


class TrialRunner:
    """The objective of a study: the score of what a trial suggests.

    Parameters
    ----------
    search : StudySearchCV
        Where the settings are.
    X, y : array-like
        All data.
    splits : list of tuple of ndarray
        The folds.
    scorer : callable
        What judges.
    """

    def __init__(self, search, X, y, splits, scorer):
        self._search, self._X, self._y = search, X, y
        self._splits, self._scorer = splits, scorer

    def __call__(self, trial):
        """Return the mean score of a trial, all trainings noted; NaN if one of them failed.

        Raises
        ------
        optuna.TrialPruned
            If the pruner says so.
        """
        search = self._search
        params = clone(suggest(search.space, trial), safe=False)
        candidate = clone(search.estimator).set_params(**params)
        self._noted = {"score": [], "fit_time": [], "score_time": []}
        try:
            score = self._evaluate(trial, candidate)
            if np.isnan(score):
                trial.set_user_attr("error", "the score is NaN")
            return score
        except ENDS:
            raise
        except Exception:  # whatever a fit raises, as in scikit-learn's searches
            if search.error_score == "raise":
                raise
            trial.set_user_attr("error", traceback.format_exc(limit=-3))
            warnings.warn(
                f"trial {trial.number} failed: its score is {search.error_score}. Its parameters: "
                f"{params}. What happened:\n{traceback.format_exc()}",
                FitFailedWarning,
                stacklevel=2,
            )
            return float(search.error_score)
        finally:
            note(trial, "trainings", self._noted)

    def _evaluate(self, trial, candidate):
        if effective_n_jobs(self._search.n_jobs) > 1:
            folds = self._in_parallel(trial, candidate)
        else:
            folds = self._one_by_one(trial, candidate)
        for fold in folds:
            for values, new in zip(self._noted.values(), fold, strict=True):
                values.append(new)
        return float(np.mean(self._noted["score"]))

    def _one_by_one(self, trial, candidate):
        """Yield scores and times of every fold; what is known is reported on the way."""
        search = self._search
        n_trainings = len(self._splits) * search.n_repeats
        nothing = isinstance(trial.study.pruner, NopPruner)
        reporter = None if nothing else Reporter(trial, n_trainings)
        for i, split in enumerate(self._splits):
            start = time.perf_counter()
            try:
                fold = Fold(candidate, self._X, self._y, split)
                if i == 0:
                    self._judge_untrained(trial, fold)
                scores_and_times = train(
                    fold, self._scorer, search.n_repeats, reporter, search.monitor
                )
            except TrialPruned:
                self._noted["fit_time"].append([time.perf_counter() - start])
                raise
            yield scores_and_times

    def _in_parallel(self, trial, candidate):
        search = self._search
        if search.naswot is not None:
            self._judge_untrained(trial, Fold(candidate, self._X, self._y, self._splits[0]))
        return Parallel(n_jobs=search.n_jobs)(
            delayed(_train_fold)(candidate, self._X, self._y, split, self._scorer, search.n_repeats)
            for split in self._splits
        )

    def _judge_untrained(self, trial, fold):
        if self._search.naswot is None:
            return
        trial.set_user_attr("naswot", fold.training_free(self._search.naswot))
        if trial.should_prune():
            raise TrialPruned("pruned before training")


def train(fold, scorer, n_repeats, reporter=None, monitor=None):
    """Train on a fold, `n_repeats` times; return scores, fit times and score times as lists."""
    trainings = [fold.train(scorer, repeat, reporter, monitor) for repeat in range(n_repeats)]
    scores, fit_times, score_times = map(list, zip(*trainings, strict=True))
    fit_times[0] += fold.transform_time
    return scores, fit_times, score_times


def _train_fold(candidate, X, y, split, scorer, n_repeats):
    return train(Fold(candidate, X, y, split), scorer, n_repeats)


def note(trial, name, values):
    """Set an attribute of a trial that may have been given up by another process."""
    try:
        trial.set_user_attr(name, values)
    except UpdateFinishedTrialError:
        return
