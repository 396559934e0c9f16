"""One trial: folds and repeated trainings, until it finishes or is pruned."""

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

from skldos.search.study._folds import Fold
from skldos.search.study._reports import Reporter
from skldos.search.study._results import noted_as
from skldos.search.study._space import suggest

#: Exceptions that end a trial but are not failures.
TRIAL_ENDS = (TrialPruned, UpdateFinishedTrialError)


class TrialRunner:
    """The objective of a study: the score of a trial's parameters.

    The settings are those of the `search`; `X` and `y` are all data, `splits` the folds.
    """

    def __init__(self, search, X, y, splits, metrics):
        self._search, self._X, self._y = search, X, y
        self._splits, self._metrics = splits, metrics

    def __call__(self, trial):
        """Return the mean of the followed score; record all trainings. NaN if one failed.

        Raise ``optuna.TrialPruned`` if the pruner says so.
        """
        search = self._search
        params = clone(suggest(search.space, trial), safe=False)
        candidate = clone(search.estimator).set_params(**params)
        scores = map(noted_as, self._metrics.names)
        self._noted = {name: [] for name in (*scores, "fit_time", "score_time")}
        try:
            score = self._evaluate(trial, candidate)
            if np.isnan(score):
                trial.set_user_attr("error", "the score is NaN")
            return score
        except TRIAL_ENDS:
            raise
        except Exception:  # any error of a fit, as in scikit-learn's searches
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
            for name, values in fold.items():
                self._noted[name].append(values)
        return float(np.mean(self._noted[noted_as(self._metrics.followed)]))

    def _one_by_one(self, trial, candidate):
        """Yield the records of every fold, and report intermediate values."""
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
                noted = train(fold, self._metrics, search.n_repeats, reporter, search.monitor)
            except TrialPruned:
                self._noted["fit_time"].append([time.perf_counter() - start])
                raise
            yield noted

    def _in_parallel(self, trial, candidate):
        search = self._search
        if search.naswot is not None:
            self._judge_untrained(trial, Fold(candidate, self._X, self._y, self._splits[0]))
        return Parallel(n_jobs=search.n_jobs)(
            delayed(_train_fold)(
                candidate, self._X, self._y, split, self._metrics, search.n_repeats
            )
            for split in self._splits
        )

    def _judge_untrained(self, trial, fold):
        if self._search.naswot is None:
            return
        trial.set_user_attr("naswot", fold.training_free(self._search.naswot))
        if trial.should_prune():
            raise TrialPruned("pruned before training")


def train(fold, metrics, n_repeats, reporter=None, monitor=None):
    """Train `n_repeats` times on a fold; return lists of scores by metric, and of times."""
    trainings = [fold.train(metrics, repeat, reporter, monitor) for repeat in range(n_repeats)]
    scores, fit_times, score_times = map(list, zip(*trainings, strict=True))
    fit_times[0] += fold.transform_time
    noted = {noted_as(name): [score[name] for score in scores] for name in metrics.names}
    return noted | {"fit_time": fit_times, "score_time": score_times}


def _train_fold(candidate, X, y, split, metrics, n_repeats):
    return train(Fold(candidate, X, y, split), metrics, n_repeats)


def note(trial, name, values):
    """Set an attribute of a trial that another process may have abandoned."""
    try:
        trial.set_user_attr(name, values)
    except UpdateFinishedTrialError:
        return
