"""A journal of Optuna that survives a process that ends in the middle of a line."""

import json
import os
import warnings

from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from skldos.exceptions import FileFormatError

#: Time in s to wait for other processes; they hold the lock for milliseconds, unless stopped.
LOCK_TIMEOUT = 300
#: Time in s between attempts to take the lock.
POLL_INTERVAL = 0.005
#: Number of bytes at the end to search for the last line first.
TAIL_BYTES = 4096
#: Start of every record.
RECORD_START = b'{"op_code":'


def open_journal(path):
    """Open or create a journal; return the storage of optuna that uses it.

    Raise a ``FileFormatError`` if the file is not a journal, or damaged before its last line.
    """
    journal = JournalFile(path)
    try:
        return JournalStorage(journal)
    except FileFormatError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        # Optuna cannot interpret a record, although it is valid JSON.
        raise FileFormatError(
            "the journal of the study is damaged: this record contradicts the others",
            journal.path,
            journal.n_read,
        ) from None


class JournalFile(BaseJournalBackend):
    """File with one Optuna record per line, as ``JournalFileBackend`` writes it.

    A process that dies while writing, or a power failure, leaves a partial last line or zeros. The
    next writer removes it, under the lock, with a warning. ``JournalFileBackend`` would append to
    it, which makes the whole journal unreadable. Its lock is a file, which processes that have
    waited long enough remove: two of them may do so at once, and then both hold the lock. Here the
    operating system releases the lock when its holder ends; the file to lock, ``path.lock``, stays.
    """

    def __init__(self, path):
        # Absolute, so that the file is found from any working directory.
        self.path = os.path.abspath(path)
        self._ends = [0]  # of the records read so far
        open(self.path, "ab").close()  # creates it
        self._write()

    @property
    def n_read(self):
        """Number of records read so far, which is the number of the last line read."""
        return len(self._ends) - 1

    def read_logs(self, log_number_from):
        """Yield the records from number `log_number_from` on; called by Optuna.

        Raise a ``FileFormatError`` if a line before the last one is not a record.
        """
        # Records that were read but not consumed are read again.
        del self._ends[log_number_from + 1 :]
        with open(self.path, "rb") as file:
            file.seek(self._ends[-1])
            # An incomplete last line is being written, or partial; the next writer repairs it.
            while (line := file.readline()).endswith(b"\n"):
                if (record := _parsed(line)) is None:
                    self._check_next_line()
                    yield from self.read_logs(self.n_read)
                    return
                self._ends.append(self._ends[-1] + len(line))
                yield record

    def append_logs(self, logs):
        """Append records; called by Optuna."""
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        self._write("".join(lines).encode())

    def _locked(self):
        lock = FileLock(f"{self.path}.lock", timeout=LOCK_TIMEOUT)
        return lock.acquire(poll_interval=POLL_INTERVAL)

    def _check_next_line(self):
        """Raise an error if the next line is not a record, while the lock is held."""
        self._write()
        with self._locked(), open(self.path, "rb") as file:
            file.seek(self._ends[-1])
            line = file.readline()
        if line and _parsed(line) is None:
            raise FileFormatError(
                "the journal of the study is damaged: this line holds no record, though others "
                "follow; restore the file from a copy, or choose another storage",
                self.path,
                self.n_read + 1,
            )

    def _write(self, text=b""):
        """Append `text` after the last complete record, and warn if anything else was there."""
        with self._locked():
            with open(self.path, "rb") as file:
                end, torn = _whole_and_torn(file)
            if torn and _parsed(torn) is not None:
                end += len(torn)
                _append(self.path, b"\n", end)
                end, repair = end + 1, "its newline was added"
            elif torn:
                # Never remove anything from a file that is not a journal.
                line = torn.strip(b"\0")
                if end == 0 and not (
                    line.startswith(RECORD_START) or RECORD_START.startswith(line)
                ):
                    raise FileFormatError("the file is not a journal of Optuna", self.path, 1)
                os.truncate(self.path, end)
                repair = f"{len(torn)} bytes without a complete record were removed"
            if text:
                _append(self.path, text, end)
        if torn:
            warnings.warn(
                f"the last line of the journal {self.path} was incomplete, as after a crash: "
                f"{repair}. All records before it are kept.",
                UserWarning,
                stacklevel=2,
            )


def _parsed(line):
    """Return the record in a line, or None."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # includes bytes that are not text
        return None
    return record if isinstance(record, dict) and {"op_code", "worker_id"} <= set(record) else None


def _whole_and_torn(file):
    """Return the end of the last complete record of a journal, and the bytes after it."""
    size = start = file.seek(0, os.SEEK_END)
    while start > 0:
        end = start
        start, line = _last_line(file, end)
        if line.endswith(b"\n") and _parsed(line) is not None:
            start = end
            break
    file.seek(start)
    return start, file.read(size - start)


def _last_line(file, end):
    """Return the line that ends at `end`, and its start."""
    length = TAIL_BYTES
    while True:
        start = max(0, end - length)
        file.seek(start)
        text = file.read(end - start)
        cut = text.rfind(b"\n", 0, len(text) - 1) + 1
        if cut > 0 or start == 0:
            return start + cut, text[cut:]
        length *= 2


def _append(path, text, end):
    """Append `text` completely or not at all to a file that ends at `end`."""
    try:
        with open(path, "ab") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # a full disk, or an interrupt
        os.truncate(path, end)
        raise
