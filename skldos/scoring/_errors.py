"""Errors on the way to a score, as one kind of error."""

from contextlib import contextmanager

from skldos.exceptions import FermiLevelError, ScoringError, SnapshotError


@contextmanager
def as_scoring_error(*kinds):
    """Turn what snapshots lack, or an LDOS without a Fermi level, into a :class:`ScoringError`.

    And so any error of further `kinds`.
    """
    try:
        yield
    except (SnapshotError, FermiLevelError, *kinds) as error:
        raise ScoringError(f"cannot score: {error}") from error
