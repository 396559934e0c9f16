"""Journals of studies: torn at the end, damaged in the middle, written by several processes."""

import errno
import json
import os
import signal
import time
import warnings
from multiprocessing import get_context

import optuna
import pytest
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from skldos.exceptions import FileFormatError
from skldos.search import StudySearchCV
from skldos.search.study import _journal
from tests.search.study.heights import SPACE, Height, X, forks, quiet_fork

#: How long to wait in s for what takes moments, however busy the machine is.
PATIENCE = 600


def search(path, n_trials, **options):
    options = {"cv": 2, "refit": False, "random_state": 0, "heartbeat": 0.3, **options}
    return StudySearchCV(Height(), SPACE, n_trials=n_trials, storage=path, **options)


def load(path):
    return optuna.load_study(study_name="skldos", storage=_journal.open_journal(path))


def is_free(path):
    """Whether no process holds the lock of a journal."""
    try:
        with FileLock(f"{path}.lock", timeout=0):
            return True
    except Timeout:
        return False


def scores_of(path):
    trials = load(path).trials
    return {t.number: t.value for t in trials if t.state == TrialState.COMPLETE}


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """The bytes of a journal of three trials, made by a real search."""
    path = tmp_path_factory.mktemp("journal") / "study.log"
    search(path, 3).fit(X)
    return path.read_bytes()


# -------------------------------------------------------------------- torn at the end


def test_optuna_reads_what_we_write(journal, tmp_path):
    path = tmp_path / "study.log"
    path.write_bytes(journal)
    study = optuna.load_study(
        study_name="skldos", storage=JournalStorage(JournalFileBackend(str(path)))
    )
    assert len(study.trials) == 3
    study.tell(study.ask(), 0.5)
    assert scores_of(path)[3] == 0.5


def test_torn_at_every_byte_of_the_last_line(journal, tmp_path):
    path = tmp_path / "study.log"
    start = journal.rindex(b"\n", 0, -1) + 1
    before = journal[:start]
    assert len(journal) - start > 50
    for cut in range(start + 1, len(journal)):
        path.write_bytes(journal[:cut])
        with pytest.warns(UserWarning, match=r"study\.log was incomplete.*: ") as caught:
            storage = _journal.open_journal(path)
        text = str(caught[0].message)
        whole = cut == len(journal) - 1
        assert ("its newline was added" if whole else f"{cut - start} bytes") in text
        assert path.read_bytes() == (journal if whole else before)
        (study,) = storage.get_all_studies()
        trials = storage.get_all_trials(study._study_id)
        # The last line is what makes the third trial complete.
        assert [t.state == TrialState.COMPLETE for t in trials] == [True, True, whole]
    path.write_bytes(before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _journal.open_journal(path)


@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.97])
def test_a_search_goes_on_behind_any_torn_line(journal, tmp_path, part):
    path = tmp_path / "study.log"
    cut = int(part * len(journal))
    cut -= journal[cut - 1 : cut] == b"\n"
    path.write_bytes(journal[:cut])
    with pytest.warns(UserWarning, match="was incomplete, as after a crash"):
        found = search(path, 4).fit(X)
    assert len(found.cv_results_["params"]) == 4
    # No warning is left for those who come next, and what ended before counts.
    again = search(path, 4).fit(X)
    assert again.best_score_ == found.best_score_
    n_complete = journal[:cut].count(b'"op_code":6')
    original = tmp_path / "original.log"
    original.write_bytes(journal)
    for number, score in list(scores_of(original).items())[: max(n_complete - 1, 0)]:
        assert scores_of(path)[number] == score


@pytest.mark.parametrize(
    "junk",
    [
        b"\0" * 7000,
        b"\0" * 100 + b"\n",
        b'{"op_code":8,"worker' + b"\0" * 5000,
        bytes(range(256)) * 40,
        b"\xff\xfe\n\x80\n{}\n",
        b"\n\n\n",
        b'[1, 2]\n"text"\n5\n',
        b'{"op_code":8}\n',
        b"[" * 100_000,
    ],
    ids=["zeros", "zeros and newline", "half zeros", "all bytes", "lines", "newlines", "json",
         "record without worker", "deep"],
)  # fmt: skip
def test_junk_at_the_end_is_removed(journal, tmp_path, junk):
    path = tmp_path / "study.log"
    path.write_bytes(journal + junk)
    with pytest.warns(UserWarning, match=f"{len(junk)} bytes without a complete record"):
        storage = _journal.open_journal(path)
    assert path.read_bytes() == journal
    (study,) = storage.get_all_studies()
    assert len(storage.get_all_trials(study._study_id)) == 3


def test_what_others_leave_torn_while_a_journal_is_open(journal, tmp_path):
    path = tmp_path / "study.log"
    path.write_bytes(journal)
    study = load(path)
    with open(path, "ab") as file:
        file.write(b'{"op_code":4,"wor')
    assert len(study.trials) == 3  # it may be in the middle of being written: not touched
    assert path.stat().st_size == len(journal) + 17
    with pytest.warns(UserWarning, match="17 bytes"):
        study.tell(study.ask(), 1.0)
    with open(path, "ab") as file:
        file.write(b"\x80\n\0\n")
    with pytest.warns(UserWarning, match="4 bytes"):
        assert len(study.trials) == 4
    study.tell(study.ask(), 2.0)
    assert scores_of(path)[4] == 2.0


def test_a_journal_of_which_only_the_beginning_was_written(tmp_path):
    for text in (b"{", b'{"op_code":0,"worker_id":"8', b"\0" * 50):
        path = tmp_path / "study.log"
        path.write_bytes(text)
        with pytest.warns(UserWarning, match=f"{len(text)} bytes"):
            assert len(search(path, 2).fit(X).cv_results_["params"]) == 2


# -------------------------------------------------------------------- damaged elsewhere


@pytest.mark.parametrize("line", [1, 2, 9])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text[: len(text) // 3] + text,
        lambda text: b"\0" * len(text),
        lambda text: b"\xff" + text,
        lambda text: text.replace(b"op_code", b"op_cide"),
        lambda text: text.replace(b'"op_code":', b'"op_code":9'),
        lambda text: text.replace(b"_id", b"_ie", 2),
    ],
    ids=["half", "torn and written on", "zeros", "byte", "key", "code", "keys"],
)
def test_damage_in_the_middle_is_an_error_that_names_the_line(journal, tmp_path, line, change):
    path = tmp_path / "study.log"
    lines = journal.split(b"\n")
    lines[line - 1] = change(lines[line - 1])
    damaged = b"\n".join(lines)
    path.write_bytes(damaged)
    with pytest.raises(FileFormatError, match="journal of the study is damaged") as caught:
        search(path, 4).fit(X)
    assert (caught.value.path, caught.value.line) == (str(path), line)
    assert f"{path}:{line}" in str(caught.value)
    assert path.read_bytes() == damaged
    assert is_free(path)


@pytest.mark.parametrize("text", [b"a,b\n1,2\n", b'{\n  "a": 1\n}\n', b"\0\x93NUMPY\0\0", b"\n"])
def test_a_file_of_something_else_stays_as_it_is(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text)
    with pytest.raises(FileFormatError, match=r"not a journal of Optuna \(.*data\.csv:1\)"):
        search(path, 4).fit(X)
    assert path.read_bytes() == text


def test_a_full_disk_leaves_no_half_of_a_record(journal, tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    path.write_bytes(journal)
    study = load(path)

    def full(descriptor):
        os.truncate(path, len(journal) + 9)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            study.ask()
    assert path.read_bytes() == journal
    assert is_free(path)
    assert study.ask().number == 3


# -------------------------------------------------------------------- several processes


def write_forever(path, n_torn):
    """Work on a study and, at the n-th record, die in the middle of writing it."""
    count, append = [0], _journal._append

    def torn(path, text, end):
        count[0] += 1
        if count[0] == n_torn:
            with open(path, "ab") as file:
                file.write(text[: len(text) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        append(path, text, end)

    _journal._append = torn
    search(path, 10_000).fit(X)


def share(path, n_trials, pipe):
    """Work on the study until it has its trials; tell how many, the best, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = search(path, n_trials).fit(X)
    torn = [str(w.message) for w in caught if "was incomplete" in str(w.message)]
    pipe.send((len(found.cv_results_["params"]), found.best_score_, len(torn)))


@forks
@quiet_fork
def test_a_process_dies_in_the_middle_of_a_line_while_others_write(tmp_path):
    path, context, n_trials = tmp_path / "study.log", get_context("fork"), 40
    dying = context.Process(target=write_forever, args=(path, 25), daemon=True)
    pipes = [context.Pipe() for _ in range(2)]
    others = [
        context.Process(target=share, args=(path, n_trials, pipe), daemon=True) for _, pipe in pipes
    ]
    processes = [dying, *others]
    for process in processes:
        process.start()
    try:
        dying.join(PATIENCE)
        found = [pipe.recv() for pipe, _ in pipes if pipe.poll(PATIENCE)]
        for process in others:
            process.join(PATIENCE)
    finally:
        for process in processes:
            process.kill()
    assert dying.exitcode == -signal.SIGKILL
    assert [process.exitcode for process in others] == [0, 0]
    assert [n for n, _, _ in found] == [n_trials, n_trials]
    assert found[0][1] == found[1][1]
    assert sum(n_torn for _, _, n_torn in found) == 1
    for line in path.read_bytes().splitlines():
        json.loads(line)
    trials = search(path, n_trials).fit(X).study_.trials
    assert sum(t.state == TrialState.COMPLETE for t in trials) == n_trials


@forks
@quiet_fork
def test_kill_at_any_time_loses_no_trial_that_has_ended(tmp_path):
    path, context = tmp_path / "study.log", get_context("fork")
    known = {}
    for delay in (0.1, 0.23, 0.37):
        process = context.Process(target=write_forever, args=(path, None), daemon=True)
        process.start()
        size = path.stat().st_size if path.exists() else 0
        # Until some trials have ended, however slow the machine is.
        while not path.exists() or path.stat().st_size <= size + 4000:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        process.join()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the last line of the journal", UserWarning)
            now = scores_of(path)
        assert known.items() <= now.items()
        known = now
    assert len(known) > 3


def append_many(path, worker, n_records, pipe):
    """Append records one by one."""
    journal = _journal.JournalFile(path)
    for number in range(n_records):
        journal.append_logs([{"op_code": 9, "worker_id": worker, "number": number}])
    pipe.send("done")


def hold(path, pipe):
    """Hold the lock until killed."""
    with _journal.JournalFile(path)._locked():
        pipe.send("held")
        time.sleep(600)


@forks
@quiet_fork
def test_a_holder_of_the_lock_dies_while_many_wait(tmp_path):
    path, context, n_workers, n_records = tmp_path / "study.log", get_context("fork"), 6, 20
    ours, theirs = context.Pipe()
    holder = context.Process(target=hold, args=(path, theirs), daemon=True)
    holder.start()
    assert ours.poll(PATIENCE)
    assert ours.recv() == "held"
    pipes = [context.Pipe() for _ in range(n_workers)]
    writers = [
        context.Process(target=append_many, args=(path, f"w{i}", n_records, pipe), daemon=True)
        for i, (_, pipe) in enumerate(pipes)
    ]
    for process in writers:
        process.start()
    try:
        assert not pipes[0][0].poll(0.2)
        assert path.read_bytes() == b""  # nobody writes while another holds the lock
        holder.kill()
        assert all(pipe.poll(PATIENCE) and pipe.recv() == "done" for pipe, _ in pipes)
    finally:
        for process in [holder, *writers]:
            process.kill()
    records = list(_journal.JournalFile(path).read_logs(0))
    assert len(records) == n_workers * n_records
    for i in range(n_workers):
        numbers = [r["number"] for r in records if r["worker_id"] == f"w{i}"]
        assert numbers == list(range(n_records))


def test_a_lock_that_is_never_released_is_an_error(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(_journal, "LOCK_TIMEOUT", 0.05)
    path = tmp_path / "study.log"
    path.write_bytes(journal)
    with FileLock(f"{path}.lock"), pytest.raises(OSError, match=r"study\.log\.lock"):
        _journal.open_journal(path)
    assert path.read_bytes() == journal
    assert load(path).ask().number == 3
