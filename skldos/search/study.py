"""Hyperparameters by a study of optuna."""

import time
from numbers import Real

import joblib
import numpy as np
from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.trial import TrialState
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, indexable

from skldos._validation import check_scalar
from skldos.search import _study
from skldos.search._best import BestEstimatorMixin
from skldos.search._results import candidates, cv_results
from skldos.search._space import check_space, label
from skldos.search._trials import TrialRunner
from skldos.search.pruners import NASWOTPruner


class StudySearchCV(BestEstimatorMixin, MetaEstimatorMixin, BaseEstimator):
    """Search by a study of optuna, which learns from each trial what to try next.

    What ``OptunaSearchCV`` of optuna-integration does for plain spaces, and beyond: spaces in which
    one choice opens others, pruning of networks inside a pipeline epoch by epoch, scores without
    training, several trainings per candidate, and studies that many processes work on and that
    survive the death of any of them. Scores are as everywhere in scikit-learn: greater is better.

    Parameters
    ----------
    estimator : estimator
        What is fitted, often a pipeline.
    space : dict or callable
        For each parameter a distribution of optuna, a list of values of any kind, or a range; or a
        function that is given a trial of optuna, calls its ``suggest_...`` and returns a dict of
        parameters. Its ``suggest_categorical``, too, takes values of any kind.
    n_trials : int, default=20
        Number of trials in the study, over all processes and all calls: those with a score, those
        that were pruned, and those that failed with an error.
    timeout : float, optional
        Time in s after which this process begins no other trial.
    cv : int, splitter or iterable, optional
        The cross-validation. It splits once. For a study that goes on, a splitter that shuffles
        needs a seed.
    scoring : str or callable, optional
        One scorer, called with the fitted estimator and the untransformed samples held out; None
        takes ``estimator.score``.
    n_repeats : int, default=1
        Trainings per fold, which differ in their seeds: integers ``random_state`` of the last step
        count up. Transformers are fitted once per fold.
    candidates : list of dict, optional
        What a new study tries first, such as what :func:`screen_candidates` returns.
    naswot : callable, optional
        A training-free scorer such as :class:`NASWOTScorer`; each trial begins with its score, on
        the training data of the first fold.
    sampler : optuna.samplers.BaseSampler, optional
        What suggests; None is TPE, seeded by `random_state` and the number of the trial.
    pruner : optuna.pruners.BasePruner, optional
        What ends a trial early, by its untrained network (:class:`NASWOTPruner`) or its reports
        (``MedianPruner``, ``HyperbandPruner`` and others of optuna). None is that of `study`, or
        nothing.
    monitor : str or callable, optional
        What is reported of a network after each epoch: a loss of its history, such as
        ``"valid_loss"``, or a scorer, called with the network and the *transformed* samples held
        out, which know their snapshots. None is ``valid_loss`` for a network with validation data
        of its own (`train_split`), and its ``score`` on what is held out for any other.
    study : optuna.Study, optional
        A study that exists. It must maximise.
    storage : str, path or storage of optuna, optional
        Where the study is kept: the path of a journal, which may be on a network drive, or the
        address of a database (``"sqlite:///…"``). Processes with the same storage and name share
        the study. None keeps it in memory.
    study_name : str, optional
        Name of the study in the storage. There should be one for each set of data.
    heartbeat : float, default=30
        Interval in s in which a trial in a storage gives a sign of life. If four are missing, its
        process is taken for dead: the trial fails, does not count, and is tried once more.
    refit : bool, default=True
        Whether to fit the best candidate to all data.
    n_jobs : int, optional
        Number of folds trained at a time, by joblib and any of its backends. More than one
        leaves nothing to prune but untrained networks; processes that share a study do not
        wait for each other and are the better way.
    error_score : "raise" or float, default=nan
        The score of a trial in which a fit fails.
    verbose : int, default=0
        Whether a line is printed for every trial.
    random_state : int, RandomState instance or None, default=None
        Seed of the default sampler. One process that works alone always finds the same.

    Attributes
    ----------
    cv_results_ : dict of str to array
        A row per trial, as for GridSearchCV, with ``trial`` (number in the study), ``state``
        (``"complete"``, ``"pruned"`` or ``"fail"``) and, where there are, scores before training
        (``naswot``). Times of a fold are sums over its trainings, zero if there were
        none. Scores of trials that were pruned or failed are NaN.
    best_index_, best_params_, best_score_, best_estimator_, scorer_, n_splits_, refit_time_
        As for GridSearchCV.
    study_ : optuna.Study
        The study, for plots of optuna and the like. A pickle holds a copy without its storage.

    Notes
    -----
    A trial reports every epoch of its first training, and after every other training the mean of
    what all of them ended with, since epochs on different data do not compare. Estimators without
    epochs report scores alone. The step of a report counts epochs, of `max_epochs` per training, or
    trainings.

    Whoever comes to the end of a shared study waits for the trials of others, in case these die, so
    that all return the same result.

    See Also
    --------
    OrthogonalArraySearchCV, DirectSearchCV : Searches of grids.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.svm import SVR
    >>> from skldos.search import StudySearchCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> space = {"C": FloatDistribution(1, 1000, log=True), "kernel": ["rbf", "linear"]}
    >>> search = StudySearchCV(SVR(), space, n_trials=15, random_state=0).fit(X, y)
    >>> bool(search.best_score_ > 0.45), len(search.cv_results_["params"])
    (True, 15)

    A conditional space:

    >>> def space(trial):
    ...     kernel = trial.suggest_categorical("kernel", ["rbf", "poly"])
    ...     params = {"kernel": kernel, "C": trial.suggest_float("C", 1, 1000, log=True)}
    ...     if kernel == "poly":
    ...         params["degree"] = trial.suggest_int("degree", 1, 3)
    ...     return params
    >>> search = StudySearchCV(SVR(), space, n_trials=5, random_state=0).fit(X, y)
    """

    def __init__(
        self,
        estimator,
        space,
        *,
        n_trials=20,
        timeout=None,
        cv=None,
        scoring=None,
        n_repeats=1,
        candidates=None,
        naswot=None,
        sampler=None,
        pruner=None,
        monitor=None,
        study=None,
        storage=None,
        study_name=None,
        heartbeat=30.0,
        refit=True,
        n_jobs=None,
        error_score=np.nan,
        verbose=0,
        random_state=None,
    ):
        self.estimator = estimator
        self.space = space
        self.n_trials = n_trials
        self.timeout = timeout
        self.cv = cv
        self.scoring = scoring
        self.n_repeats = n_repeats
        self.candidates = candidates
        self.naswot = naswot
        self.sampler = sampler
        self.pruner = pruner
        self.monitor = monitor
        self.study = study
        self.storage = storage
        self.study_name = study_name
        self.heartbeat = heartbeat
        self.refit = refit
        self.n_jobs = n_jobs
        self.error_score = error_score
        self.verbose = verbose
        self.random_state = random_state

    # ---------------------------------------------------------------- fitting

    def fit(self, X, y=None, groups=None):
        """Run trials until there are enough, and fit the best candidate to all data.

        Parameters
        ----------
        X : sequence of Snapshot or array-like of shape (n_samples, n_features)
            The samples.
        y : array-like of shape (n_samples, ...), optional
            Targets, where the snapshots do not carry them.
        groups : array-like of shape (n_samples,), optional
            Groups for the splitter.

        Returns
        -------
        self
            The fitted search.

        Raises
        ------
        ValueError
            If the study belongs to other folds, another score or another space, or no trial
            gave a score.
        """
        self._check_parameters()
        X, y, groups = indexable(X, y, groups)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, groups))
        self.n_splits_ = len(splits)
        self.scorer_ = check_scoring(self.estimator, scoring=self.scoring)
        with _study.quiet():
            self.study_ = self._open_study(splits)
            self._optimize(TrialRunner(self, X, y, splits, self.scorer_))
        self._conclude()
        if self.refit:
            best = clone(self.estimator)
            best.set_params(**clone(self.best_params_, safe=False))
            start = time.perf_counter()
            self.best_estimator_ = best.fit(X) if y is None else best.fit(X, y)
            self.refit_time_ = time.perf_counter() - start
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        return self

    def _check_parameters(self):
        check_space(self.space)
        check_scalar("n_trials", self.n_trials, low=1, integer=True)
        check_scalar("n_repeats", self.n_repeats, low=1, integer=True)
        check_scalar("heartbeat", self.heartbeat, low=0, strict=True)
        if self.timeout is not None:
            check_scalar("timeout", self.timeout, low=0, strict=True)
        if not (self.scoring is None or isinstance(self.scoring, str) or callable(self.scoring)):
            raise TypeError(
                "scoring must be one scorer, by name or as a callable: a study follows one number; "
                f"got {self.scoring!r}."
            )
        if not (isinstance(self.error_score, Real) or self.error_score == "raise"):
            raise TypeError(f"error_score must be 'raise' or a number, got {self.error_score!r}.")
        if not (self.pruner is None or isinstance(self.pruner, BasePruner)):
            raise TypeError(f"pruner must be a pruner of optuna, got {self.pruner!r}.")
        if isinstance(self.pruner, NASWOTPruner) and self.naswot is None:
            raise ValueError("NASWOTPruner needs scores: pass naswot=NASWOTScorer(...).")

    def _open_study(self, splits):
        study, is_new = _study.open_study(self.study, self.storage, self.study_name)
        _study.check_same(
            study,
            folds=joblib.hash([[np.asarray(part) for part in split] for split in splits]),
            scoring=_study.fingerprint(self.scoring),
            naswot=_study.fingerprint(self.naswot),
            n_repeats=self.n_repeats,
        )
        if self.sampler is not None:
            study.sampler = self.sampler
        elif self.study is None:
            seed = check_random_state(self.random_state).randint(2**31 - 1)
            study.sampler = _study.NumberedTPESampler(seed)
        if self.pruner is not None or self.study is None:
            study.pruner = NopPruner() if self.pruner is None else self.pruner
        candidates(self.space, _study.ended(study))  # complains now, not after hours
        if is_new:
            for candidate in self.candidates or []:
                study.enqueue_trial({name: label(value) for name, value in candidate.items()})
        return study

    def _optimize(self, run):
        """Run trials until enough have ended, here or in other processes."""
        shared = self.storage is not None or self.study is not None
        deadline = np.inf if self.timeout is None else time.monotonic() + self.timeout
        roll = _study.RollCall(self.heartbeat)
        while (trial := _study.next_trial(self.study_, self.n_trials, roll, deadline)) is not None:
            try:
                with _study.signs_of_life(trial, self.heartbeat if shared else None):
                    value = run(trial)
            except TrialPruned:
                value, state = None, TrialState.PRUNED
            except UpdateFinishedTrialError:
                continue  # given up by another process, which sees to it
            except BaseException as error:
                # An interrupt is no fault of the trial.
                again = False if isinstance(error, Exception) else "always"
                _study.abandon(self.study_, trial.number, again=again)
                raise
            else:
                failed = np.isnan(value)
                value = None if failed else value
                state = TrialState.FAIL if failed else TrialState.COMPLETE
            _study.finish(self.study_, trial, value, state)
            if self.verbose:
                score = "" if value is None else f", score {value:.6g}"
                print(f"trial {trial.number}: {state.name.lower()}{score}, {trial.params}")

    def _conclude(self):
        """Make the table of results and find the best."""
        trials = _study.ended(self.study_)
        self.cv_results_ = cv_results(self.space, trials, self.n_splits_)
        complete = np.isfinite(self.cv_results_["mean_test_score"])
        if not complete.any():
            errors = [t.user_attrs["error"] for t in trials if "error" in t.user_attrs]
            reason = (
                f"The last error was:\n{errors[-1]}" if errors else "None was trained to its end."
            )
            raise ValueError(f"no trial out of {len(trials)} gave a score. {reason}")
        self.best_index_ = int(np.argmin(self.cv_results_["rank_test_score"]))
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "study_" in state:
            with _study.quiet():
                state["study_"] = _study.in_memory(self.study_)
        return state
