"""Exceptions of skldos; all derive from :class:`SkldosError`."""


class SkldosError(Exception):
    """Base class of every exception that skldos raises on purpose."""


class SnapshotError(SkldosError, ValueError):
    """A snapshot, or a sequence of them, does not hold what was asked of it."""


class FileFormatError(SkldosError, ValueError):
    """A file does not hold what its format promises; the message names file and line."""

    def __init__(self, message, path, line=None):
        where = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{message} ({where})")
        self.path = path
        self.line = line

    def __reduce__(self):
        # The default would call __init__ with the composed message alone.
        return (_rebuild_file_format_error, (self.args[0], self.path, self.line))


def _rebuild_file_format_error(message, path, line):
    error = FileFormatError.__new__(FileFormatError)
    Exception.__init__(error, message)
    error.path, error.line = path, line
    return error


class FermiLevelError(SkldosError, RuntimeError):
    """No Fermi level inside the energy grid gives the number of electrons."""


class EspressoError(SkldosError, RuntimeError):
    """A program of Quantum ESPRESSO did not finish a calculation."""


class ScoringError(SkldosError, RuntimeError):
    """A scorer could not judge an estimator.

    Cross-validation and searches of scikit-learn turn it, as every error of a scorer, into
    NaN with a warning that carries the traceback; ``error_score="raise"`` stops at it. It is
    a :class:`RuntimeError` because the ``OptunaSearchCV`` of optuna-integration catches every
    :class:`ValueError` of a trial itself, even then, and its cause is lost.
    """
