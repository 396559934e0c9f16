"""Studies that several processes share, also when one of them dies."""

import time
from multiprocessing import get_context

import numpy as np
import optuna
from optuna.trial import TrialState

from skldos.search import StudySearchCV
from skldos.search.study import _storage
from tests.search.study.heights import SPACE, Height, X, forks, quiet_fork

N_TRIALS = 12


class Slow(Height):
    """Takes its time, and at one of its fits for ever."""

    n_fits, stop, pipe = 0, None, None

    def fit(self, X, y=None):
        """Wait."""
        Slow.n_fits += 1
        if Slow.n_fits == Slow.stop:
            Slow.pipe.send(self.a)
            time.sleep(600)
        time.sleep(0.05)
        return self


def work(path, stop, pipe):
    """What a process does: get stuck in a fit and say with what, or say what it found."""
    Slow.stop, Slow.pipe = stop, pipe
    options = {"n_trials": N_TRIALS, "cv": 2, "storage": path, "heartbeat": 0.4}
    found = StudySearchCV(Slow(), SPACE, refit=False, **options).fit(X)
    pipe.send((len(found.cv_results_["params"]), found.best_params_["a"]))


@forks
@quiet_fork
def test_one_of_two_is_killed(tmp_path):
    path, context = tmp_path / "journal.log", get_context("fork")
    # The first gets through two trials of two folds and is killed in the middle of its third.
    pipes = [context.Pipe(), context.Pipe()]
    first, second = (
        context.Process(target=work, args=(path, stop, pipe), daemon=True)
        for stop, (_, pipe) in zip((6, None), pipes, strict=True)
    )
    first.start()
    try:
        assert pipes[0][0].poll(600)
        stuck = pipes[0][0].recv()
        second.start()
        first.kill()
        assert pipes[1][0].poll(600)
        n_results, best = pipes[1][0].recv()
        second.join(600)
    finally:
        first.kill()
        if second.pid:
            second.kill()
    assert second.exitcode == 0
    # The survivor has seen to the rest, and to what the other left behind.
    assert n_results == N_TRIALS
    found = StudySearchCV(Height(), SPACE, n_trials=N_TRIALS, cv=2, storage=path).fit(X)
    trials = found.study_.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    states = [trial.state for trial in trials]
    assert states.count(TrialState.COMPLETE) == N_TRIALS == len(found.cv_results_["params"])
    assert set(states) == {TrialState.COMPLETE, TrialState.FAIL}
    (killed,) = [t for t in trials if t.state == TrialState.FAIL and t.params["a"] == stuck]
    (again,) = [t for t in trials if t.user_attrs.get("again") == killed.number]
    assert again.params == killed.params
    assert again.state == TrialState.COMPLETE
    values = found.cv_results_["mean_test_score"]
    assert len(set(values)) == N_TRIALS
    assert best == found.best_score_ == values.max()


# -------------------------------------------------------------------- in one process


def test_the_silent_are_abandoned_and_tried_once_more():
    study = optuna.create_study(direction="maximize")
    roll = _storage.RollCall(0.02)
    for n_failed in (1, 2):
        trial = study.ask()
        a = trial.suggest_float("a", 0, 1)
        roll.call(study)
        assert study.trials[trial.number].state == TrialState.RUNNING
        time.sleep(0.1)
        roll.call(study)
        failed = study.get_trials(states=(TrialState.FAIL,))
        assert len(failed) == n_failed
        assert {trial.params["a"] for trial in failed} == {a}
    assert not study.get_trials(states=(TrialState.WAITING,))


def test_the_living_are_not(monkeypatch):
    clock, seen, n_signs = [0.0], set(), 5
    study = optuna.create_study(direction="maximize")
    roll, trial = _storage.RollCall(1.0), study.ask()
    monkeypatch.setattr(_storage.time, "monotonic", lambda: clock[0])
    deadline = time.perf_counter() + 600
    with _storage.signs_of_life(trial, 0.01):
        while len(seen) < n_signs:
            assert time.perf_counter() < deadline
            sign = study.trials[0].user_attrs["alive"]
            if sign not in seen:  # in good time, by the clock of whoever calls the roll
                seen.add(sign)
                clock[0] += 0.9 * _storage.MISSED_HEARTBEATS
            roll.call(study)
    assert study.trials[0].state == TrialState.RUNNING


def test_no_more_trials_than_wanted_when_two_ask_at_once(monkeypatch):
    study = optuna.create_study(direction="maximize")
    study.tell(study.ask(), 1.0)
    others, ask = [], study.ask

    def after_another():
        others.append(ask())
        return ask()

    monkeypatch.setattr(study, "ask", after_another)
    monkeypatch.setattr(time, "sleep", lambda seconds: study.tell(others[0], 2.0))
    assert _storage.next_trial(study, 2, _storage.RollCall(1), np.inf) is None
    assert [trial.number for trial in _storage.ended(study)] == [0, 1]
    assert study.trials[2].state == TrialState.FAIL


def test_a_trial_that_others_have_given_up(monkeypatch):
    study = optuna.create_study(direction="maximize")
    scores = []

    def given_up(self, X, y=None):
        if not scores:
            study.tell(0, state=TrialState.FAIL)
        scores.append(self.a)
        return self.a

    monkeypatch.setattr(Height, "score", given_up)
    found = StudySearchCV(Height(), SPACE, n_trials=3, cv=2, study=study, refit=False).fit(X)
    assert len(found.cv_results_["params"]) == 3
    np.testing.assert_array_equal(found.cv_results_["trial"], [1, 2, 3])


def test_several_draw_different_candidates():
    def drawn(seed, n_before):
        study = optuna.create_study(sampler=_storage.NumberedTPESampler(seed))
        for _ in range(n_before):
            study.ask()
        return study.ask().suggest_float("a", 0, 1)

    values = [drawn(0, n) for n in range(4)]
    assert len(set(values)) == 4
    assert values == [drawn(0, n) for n in range(4)]
    assert drawn(1, 0) not in values
