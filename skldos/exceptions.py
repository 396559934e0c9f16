"""Exceptions of skldos; all derive from :class:`SkldosError`."""

from contextlib import contextmanager


class SkldosError(Exception):
    """Base class of skldos's own exceptions."""


class SnapshotError(SkldosError, ValueError):
    """A snapshot, or a sequence of snapshots, lacks required data."""


class FileFormatError(SkldosError, ValueError):
    """The contents of a file do not agree with its format; the message names file and line."""

    def __init__(self, message, path, line=None):
        where = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{message} ({where})")
        self.path = path
        self.line = line

    def __reduce__(self):
        # The default would call __init__ with only the complete message.
        return (_rebuild_file_format_error, (self.args[0], self.path, self.line))


def _rebuild_file_format_error(message, path, line):
    error = FileFormatError.__new__(FileFormatError)
    Exception.__init__(error, message)
    error.path, error.line = path, line
    return error


class FermiLevelError(SkldosError, RuntimeError):
    """No Fermi level inside the energy grid gives the number of electrons."""


class EspressoError(SkldosError, RuntimeError):
    """A Quantum ESPRESSO program did not finish a calculation."""


class ScoringError(SkldosError, RuntimeError):
    """A scorer could not evaluate an estimator.

    Cross-validation and searches of scikit-learn turn it, as every error of a scorer, into
    NaN with a warning that carries the traceback; ``error_score="raise"`` stops at it. It is
    a :class:`RuntimeError` because the ``OptunaSearchCV`` of optuna-integration catches every
    :class:`ValueError` of a trial itself, even then, and its cause is lost.
    """


@contextmanager
def as_scoring_error(*kinds):
    """Convert errors of missing data, or of a missing Fermi level, to a :class:`ScoringError`.

    And so any error of further `kinds`.
    """
    try:
        yield
    except (SnapshotError, FermiLevelError, *kinds) as error:
        raise ScoringError(f"cannot score: {error}") from error
