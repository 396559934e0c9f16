"""Hyperparameter search by an Optuna study."""

import time
from numbers import Real

import joblib
import numpy as np
from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, indexable

from skldos.links import PageLinkMixin
from skldos.search.study import _storage
from skldos.search.study._best import BestEstimatorMixin
from skldos.search.study._metrics import Metrics
from skldos.search.study._results import cv_results, parameters_of
from skldos.search.study._space import check_space, label
from skldos.search.study._trials import TrialRunner
from skldos.search.study.pruners import NASWOTPruner
from skldos.validation import check_scalar


class StudySearchCV(PageLinkMixin, BestEstimatorMixin, MetaEstimatorMixin, BaseEstimator):
    """Search with an Optuna study, which uses previous trials to choose the next.

    Beyond ``OptunaSearchCV`` of optuna-integration, it supports conditional spaces, pruning of
    networks inside a pipeline after each epoch, training-free scores, several trainings per
    candidate, and studies that many processes share and that survive a killed process. As
    everywhere in scikit-learn, greater scores are better.

    Parameters
    ----------
    estimator : estimator
        Estimator to fit, often a pipeline.
    space : dict or callable
        For each parameter an Optuna distribution, a list of values of any kind, or a range; or a
        function that takes an Optuna trial, calls its ``suggest_...`` methods and returns a dict of
        parameters. Its ``suggest_categorical`` also accepts values of any kind.
    n_trials : int, default=20
        Number of trials in the study, over all processes and all calls, including pruned trials and
        those that failed with an error.
    timeout : float, optional
        Time in s after which this process starts no further trial.
    cv : int, splitter or iterable, optional
        The cross-validation. It splits once. To continue a study, a splitter that shuffles needs a
        seed.
    scoring : str, callable, list, tuple or dict, optional
        A scorer, called with the fitted estimator and the untransformed held-out samples; None uses
        ``estimator.score``. Or several, as for GridSearchCV: the study follows the one that `refit`
        names, and `cv_results_` has all.
    n_repeats : int, default=1
        Trainings per fold with different seeds: an integer ``random_state`` of the last step is
        incremented. Transformers are fitted once per fold.
    candidates : list of dict, optional
        Candidates that a new study tries first, such as those of :func:`screen_candidates`.
    naswot : callable, optional
        A training-free scorer such as :class:`NASWOTScorer`; each trial starts with its score on
        the training data of the first fold.
    sampler : optuna.samplers.BaseSampler, optional
        Sampler of candidates; None means TPE, seeded by `random_state` and the number of the trial.
    pruner : optuna.pruners.BasePruner, optional
        Ends a trial early, based on its untrained network (:class:`NASWOTPruner`) or its reports
        (``MedianPruner``, ``HyperbandPruner`` and other Optuna pruners). None uses the pruner of
        `study`, or none.
    monitor : str or callable, optional
        Value to report after each epoch of a network: a loss of its history, such as
        ``"valid_loss"``, or a scorer, called with the network and the *transformed* held-out
        samples, which are linked to snapshots. None means ``valid_loss`` for a network with its own
        validation data (`train_split`), and its ``score`` on the held-out samples otherwise.
    study : optuna.Study, optional
        An existing study. It must maximise.
    storage : str, path or storage of optuna, optional
        Storage of the study: the path of a journal, which may be on a network drive, or the address
        of a database (``"sqlite:///…"``). Processes with the same storage and name share the study.
        None keeps it in memory.
    study_name : str, optional
        Name of the study in the storage. Use one name per data set.
    heartbeat : float, default=30
        Interval in s of the heartbeat of a trial in a storage. If four are missing, its process is
        considered dead: the trial fails, does not count, and is tried once more.
    refit : bool or str, default=True
        Whether to fit the best candidate to all data; with several scorers, the name of the one to
        follow.
    n_jobs : int, optional
        Number of folds trained at a time, with any joblib backend. With more than one, only
        untrained networks can be pruned. Processes that share a study do not wait for each other
        and are the better choice.
    error_score : "raise" or float, default=nan
        The score of a trial in which a fit fails.
    verbose : int, default=0
        Whether to print a line for every trial.
    random_state : int, RandomState instance or None, default=None
        Seed of the default sampler. A single process then always gives the same result.

    Attributes
    ----------
    cv_results_ : dict of str to array
        A row per trial, as for GridSearchCV, with ``trial`` (number in the study), ``state``
        (``"complete"``, ``"pruned"`` or ``"fail"``) and, if available, scores before training
        (``naswot``). Times of a fold are sums over its trainings, zero if there were none. Scores
        of trials that were pruned or failed are NaN.
    best_index_, best_params_, best_score_, best_estimator_, scorer_, n_splits_, refit_time_
        As for GridSearchCV.
    study_ : optuna.Study
        The study, for example for Optuna's plots. A pickle holds a copy without its storage.

    Notes
    -----
    A trial reports every epoch of its first training. After each further training it reports the
    mean of the final values of all, because epochs on different data are not comparable. Estimators
    without epochs report only scores. The step of a report counts epochs, of `max_epochs` per
    training, or trainings.

    A process that reaches the end of a shared study waits for the trials of others, in case these
    die, so that all return the same result.

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
            Targets, if the snapshots do not have them.
        groups : array-like of shape (n_samples,), optional
            Groups for the splitter.

        Returns
        -------
        self
            The fitted search.

        Raises
        ------
        ValueError
            If the study belongs to other folds, another score or another space, or if no trial
            returned a score.
        """
        self._check_parameters()
        for name in ("best_estimator_", "refit_time_", "feature_names_in_"):
            vars(self).pop(name, None)  # from an earlier fit
        X, y, groups = indexable(X, y, groups)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, groups))
        self.n_splits_ = len(splits)
        metrics = Metrics(self.estimator, self.scoring, self.refit)
        self.scorer_, self._followed = metrics.scorers, metrics.followed
        with _storage.quiet():
            self.study_ = self._open_study(splits)
            self._optimize(TrialRunner(self, X, y, splits, metrics))
        self._conclude(metrics)
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
        if not (isinstance(self.error_score, Real) or self.error_score == "raise"):
            raise TypeError(f"error_score must be 'raise' or a number, got {self.error_score!r}.")
        if not (self.pruner is None or isinstance(self.pruner, BasePruner)):
            raise TypeError(f"pruner must be a pruner of optuna, got {self.pruner!r}.")
        if not (self.sampler is None or isinstance(self.sampler, BaseSampler)):
            raise TypeError(f"sampler must be a sampler of optuna, got {self.sampler!r}.")
        if isinstance(self.pruner, NASWOTPruner) and self.naswot is None:
            raise ValueError("NASWOTPruner needs scores: pass naswot=NASWOTScorer(...).")

    def _open_study(self, splits):
        study, is_new = _storage.open_study(self.study, self.storage, self.study_name)
        _storage.check_same(
            study,
            folds=joblib.hash([[np.asarray(indices) for indices in split] for split in splits]),
            scoring=_storage.fingerprint(self._followed_scoring()),
            naswot=_storage.fingerprint(self.naswot),
            n_repeats=self.n_repeats,
        )
        if self.sampler is not None:
            study.sampler = self.sampler
        elif self.study is None:
            seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
            study.sampler = _storage.NumberedTPESampler(seed)
        if self.pruner is not None or self.study is None:
            study.pruner = NopPruner() if self.pruner is None else self.pruner
        parameters_of(self.space, _storage.ended(study))  # raises errors now, not after hours
        if is_new:
            for candidate in self.candidates or []:
                study.enqueue_trial({name: label(value) for name, value in candidate.items()})
        return study

    def _followed_scoring(self):
        several = isinstance(self.scoring, (list, tuple, set, dict))
        return (self.scoring, self.refit) if several else self.scoring

    def _optimize(self, run):
        """Run trials until enough have ended, here or in other processes."""
        shared = self.storage is not None or self.study is not None
        deadline = np.inf if self.timeout is None else time.monotonic() + self.timeout
        roll = _storage.RollCall(self.heartbeat)
        while (
            trial := _storage.next_trial(self.study_, self.n_trials, roll, deadline)
        ) is not None:
            try:
                with _storage.signs_of_life(trial, self.heartbeat if shared else None):
                    value = run(trial)
            except TrialPruned:
                value, state = None, TrialState.PRUNED
            except UpdateFinishedTrialError:
                continue  # abandoned by another process, which handles it
            except BaseException as error:
                # An interrupt is not a failure of the trial.
                again = False if isinstance(error, Exception) else "always"
                _storage.abandon(self.study_, trial.number, again=again)
                raise
            else:
                failed = np.isnan(value)
                value = None if failed else value
                state = TrialState.FAIL if failed else TrialState.COMPLETE
            _storage.finish(self.study_, trial, value, state)
            if self.verbose:
                score = "" if value is None else f", score {value:.6g}"
                print(f"trial {trial.number}: {state.name.lower()}{score}, {trial.params}")

    def _conclude(self, metrics):
        """Create the table of results and find the best trial."""
        trials = _storage.ended(self.study_)
        self.cv_results_ = cv_results(self.space, trials, self.n_splits_, metrics)
        means = self.cv_results_[f"mean_test_{metrics.followed}"]
        complete = np.isfinite(means)
        if not complete.any():
            errors = [t.user_attrs["error"] for t in trials if "error" in t.user_attrs]
            reason = (
                f"The last error was:\n{errors[-1]}" if errors else "None was trained to its end."
            )
            raise ValueError(f"no trial out of {len(trials)} gave a score. {reason}")
        self.best_index_ = int(np.argmin(self.cv_results_[f"rank_test_{metrics.followed}"]))
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = float(means[self.best_index_])

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "study_" in state:
            with _storage.quiet():
                state["study_"] = _storage.in_memory(self.study_)
        return state
