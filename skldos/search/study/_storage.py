"""An Optuna study that several processes share, some of which may die."""

import os
import threading
import time
from contextlib import contextmanager, nullcontext

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from skldos.search.study._journal import open_journal
from skldos.search.study._space import label

#: Number of missing heartbeats after which a trial counts as dead.
MISSED_HEARTBEATS = 4

#: Number of attempts to open a database before its error is raised.
STORAGE_ATTEMPTS = 3

#: Default name of a study in a storage; all processes must use the same name.
STUDY_NAME = "skldos"


class NumberedTPESampler(TPESampler):
    """TPE whose draws depend only on the seed and the number of the trial.

    A single process is therefore reproducible, and several processes never repeat draws.
    """

    def __init__(self, seed):
        super().__init__(seed=seed)
        self._first_seed = seed

    def before_trial(self, study, trial):
        """Start a trial, with the random numbers of its own seed."""
        seed = np.random.SeedSequence([self._first_seed, trial.number]).generate_state(1)[0]
        super().__init__(seed=int(seed))
        super().before_trial(study, trial)


def open_study(study=None, storage=None, study_name=None):
    """Return a maximising study, and whether this process, of several, created it.

    The study exists, or has a name in a storage of optuna, of which the address of a database or
    the path of a journal is enough. Raise a ``ValueError`` if both are given, or the study
    minimises.
    """
    if study is None:
        storage = _storage(storage)
        name = STUDY_NAME if study_name is None and storage is not None else study_name
        options = {"storage": storage, "study_name": name}
        try:
            return optuna.create_study(**options, direction="maximize"), True
        except optuna.exceptions.DuplicatedStudyError:
            study, is_new = optuna.load_study(**options), False
    elif storage is not None or study_name is not None:
        raise ValueError("pass either study or storage and study_name, not both.")
    else:
        is_new = not trials_of(study)
    if study.direction != StudyDirection.MAXIMIZE:
        raise ValueError(
            "the study must have direction='maximize', because greater scores are better."
        )
    return study, is_new


def _storage(storage):
    if storage is None or isinstance(storage, BaseStorage):
        return storage
    if not isinstance(storage, (str, os.PathLike)):
        raise TypeError(
            "storage must be the path of a journal, the address of a database or a storage of "
            f"optuna, got {storage!r}."
        )
    if "://" in str(storage):
        return _database(str(storage))
    return open_journal(storage)


def _database(address):
    """Open a database; if several processes start at once, one of them creates the tables."""
    from sqlalchemy.exc import SQLAlchemyError  # optuna also imports it only for databases

    for _ in range(STORAGE_ATTEMPTS - 1):
        try:
            return RDBStorage(address)
        except SQLAlchemyError:
            time.sleep(1.0)
    return RDBStorage(address)


def check_same(study, **settings):
    """Raise a ``ValueError`` if earlier trials had other folds or scores; record them if new."""
    for name, value in settings.items():
        recorded = study.user_attrs.get(name)
        if recorded is None:
            study.set_user_attr(name, value)
        elif recorded != value:
            raise ValueError(
                f"the study has other {name}, so its scores are not comparable: expected "
                f"{recorded}, got {value}. Choose another study_name, and seed a splitter that "
                "shuffles."
            )


def in_memory(study):
    """Return a copy of the study that needs no storage."""
    copy = optuna.create_study(
        direction="maximize",
        study_name=study.study_name,
        sampler=study.sampler,
        pruner=study.pruner,
    )
    for name, value in study.user_attrs.items():
        copy.set_user_attr(name, value)
    copy.add_trials(trials_of(study))
    return copy


@contextmanager
def quiet():
    """Suppress messages of optuna that are redundant or not wanted."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


# -------------------------------------------------------------------- trials


def trials_of(study, *states):
    """Return the trials of a study, in `states` if any are given; not copies, which take time."""
    return study.get_trials(deepcopy=False, states=states or None)


def counts(trial):
    """Return whether a trial has finished: with a score, pruned, or with an error."""
    if trial.state == TrialState.FAIL:
        return "error" in trial.user_attrs
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def ended(study):
    """Return the trials that count."""
    return [trial for trial in trials_of(study) if counts(trial)]


def next_trial(study, n_trials, roll, deadline):
    """Return a new trial of this process only, or None if all are finished or the time is up.

    `n_trials` is the number to finish, over all processes. If others run the last trials, this
    function waits for them, because these processes may die, which the `roll` call detects. After
    the `deadline`, a time of ``time.monotonic``, no trial starts.
    """
    while time.monotonic() < deadline:
        roll.call(study)
        busy = [t for t in trials_of(study) if _takes_part(t)]
        if sum(map(counts, busy)) >= n_trials:
            return None
        if len(busy) >= n_trials:
            time.sleep(roll.pause)
            continue
        trial = study.ask()
        # Another process may have asked at the same time; the lowest trial numbers continue.
        earlier = [t for t in trials_of(study) if t.number < trial.number]
        if sum(map(_takes_part, earlier)) < n_trials:
            return trial
        abandon(study, trial.number)
    return None


def _takes_part(trial):
    return counts(trial) or trial.state == TrialState.RUNNING


def abandon(study, number, again=False):
    """Mark a trial as failed, so that it does not count.

    `again` puts it in the queue again: ``True`` only once, ``"always"`` every time.
    """
    try:
        trial = study.tell(number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):
        return  # it has finished after all, or another process was faster
    if trial.params and (again == "always" or (again and "again" not in trial.user_attrs)):
        study.enqueue_trial(trial.params, user_attrs={"again": number})


def finish(study, trial, value, state):
    """Record the result of a trial, unless another process has abandoned it in the meantime."""
    try:
        study.tell(trial, value, state=state, skip_if_finished=True)
    except UpdateFinishedTrialError:
        return


class RollCall:
    """Finds trials whose process has died, by missing heartbeats, one every `interval` s.

    Clocks of different machines differ, so this process measures by its own clock how long a
    heartbeat has not changed.
    """

    def __init__(self, interval):
        self.pause = min(interval, 1.0)
        self._patience = MISSED_HEARTBEATS * interval
        self._heartbeats = {}

    def call(self, study):
        """Abandon trials without recent heartbeats; each is tried once more."""
        now = time.monotonic()
        for trial in trials_of(study, TrialState.RUNNING):
            sign = trial.user_attrs.get("alive")
            last, since = self._heartbeats.get(trial.number, (None, None))
            if since is None or sign != last:
                self._heartbeats[trial.number] = sign, now
            elif now - since > self._patience:
                abandon(study, trial.number, again=True)


def signs_of_life(trial, interval):
    """Return a context in which `trial` sends a heartbeat every `interval` s."""
    return nullcontext() if interval is None else _Pulse(trial, interval)


class _Pulse:
    def __init__(self, trial, interval):
        self._trial, self._interval = trial, interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self):
        self._trial.set_user_attr("alive", time.time())
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()

    def _beat(self):
        while not self._over.wait(self._interval):
            try:
                self._trial.set_user_attr("alive", time.time())
            except UpdateFinishedTrialError:
                return  # abandoned by another process; training notices at its next report
            except (OSError, StorageInternalError):
                continue  # the storage may be back for the next heartbeat


def fingerprint(value):
    """Return a string for `value` that is the same in every process."""
    return str(label(value))
