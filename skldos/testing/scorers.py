"""Laws of scorers, callables ``(estimator, X, y=None)``."""

import pickle

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import cross_val_score

from skldos.data import Blocks, SnapshotList, as_rows
from skldos.testing import changes
from skldos.testing._checks import close, named, raises, require, run
from skldos.testing.transformers import default_snapshots


class TrueLDOS(BaseEstimator):
    """Predict the LDOS of the snapshots, with an error that is linear in the energy.

    Parameters
    ----------
    error : float, default=0.0
        Relative error at the highest energy, and minus that at the lowest.
    """

    def __init__(self, error=0.0):
        self.error = error

    def fit(self, X, y=None):
        """Learn nothing."""
        self.fitted_ = True
        return self

    def predict(self, X):
        """Return blocks of shape (n_grid_points, n_energies)."""
        blocks = [as_rows(np.asarray(snapshot.ldos, dtype=float)) for snapshot in X]
        factors = [1 + self.error * np.linspace(-1, 1, block.shape[1]) for block in blocks]
        made = [block * factor for block, factor in zip(blocks, factors, strict=True)]
        return Blocks(made, SnapshotList(X))


def check_scorer(scorer, snapshots=None):
    """Check that a scorer of models of the LDOS obeys the laws of all of them.

    Greater is better, the truth is best, and the score is a property of the crystal: it does not
    depend on how its atoms and its cell are described, nor on the order of the snapshots.

    Parameters
    ----------
    scorer : callable
        ``scorer(estimator, X, y=None)``.
    snapshots : SnapshotList, optional
        At least three, with what the scorer needs, on grids with as many points along each
        vector; by default snapshots of :func:`~skldos.datasets.make_snapshots`.

    Raises
    ------
    AssertionError
        If a law does not hold; the message names it.

    Examples
    --------
    >>> from skldos import BandEnergyScorer
    >>> from skldos.testing import check_scorer
    >>> check_scorer(BandEnergyScorer())
    """
    run(scorer_checks(scorer, snapshots), type(scorer).__name__)


def scorer_checks(scorer, snapshots=None):
    """Return the checks of :func:`check_scorer` one by one.

    Parameters
    ----------
    scorer : callable
        The scorer.
    snapshots : SnapshotList, optional
        As in :func:`check_scorer`.

    Returns
    -------
    list of (str, callable)
        Names and checks to be called without arguments.

    Examples
    --------
    >>> from skldos import BandEnergyScorer
    >>> from skldos.testing import scorer_checks
    >>> dict(scorer_checks(BandEnergyScorer()))["greater_is_better"]()
    """
    return named(CHECKS, scorer, default_snapshots() if snapshots is None else snapshots)


def check_returns_a_float(scorer, snapshots):
    """Check: a score is a finite Python float, also for one snapshot; no snapshots are an error."""
    for X in (snapshots, snapshots[:1]):
        score = scorer(_model(), X)
        require(type(score) is float, f"the score is a {type(score).__name__}, no float")
        require(np.isfinite(score), f"the score is {score}")
    raises(Exception, scorer, _model(), [])


def check_greater_is_better(scorer, snapshots):
    """Check: true values have the best score, and larger errors have worse scores."""
    best, good, bad = (scorer(_model(error), snapshots) for error in (0.0, 0.02, 0.1))
    require(best >= good > bad, f"errors that grow have scores {best}, {good}, {bad}")


def check_inputs_are_left_alone(scorer, snapshots):
    """Check: neither the snapshots nor the scorer change; the same call gives the same score."""
    before = joblib.hash((list(snapshots), vars(scorer)))
    scores = {scorer(_model(), snapshots) for _ in range(2)}
    require(len(scores) == 1, f"two calls give {scores}")
    require(joblib.hash((list(snapshots), vars(scorer))) == before, "the call changes its inputs")


def check_targets_given_apart(scorer, snapshots):
    """Check: passing targets as `y` is the same as taking them from the snapshots."""
    expected = scorer(_model(), snapshots)
    found = scorer(_model(), snapshots, snapshots.targets)
    close(found, expected, "a score with y")


def check_descriptions_of_the_crystal(scorer, snapshots):
    """Check: equivalent descriptions of a crystal have the same score."""
    expected = scorer(_model(), snapshots)
    for change in (
        changes.lattice_shifts,
        changes.another_cell,
        changes.left_handed,
        changes.supercell,
        changes.reordered,
        changes.rotated,
    ):
        changed = SnapshotList([change(snapshot).snapshot for snapshot in snapshots])
        found = scorer(_model(), changed)
        # Oblique cells have other plane waves on the same points, which affects energies of a
        # density.
        rtol = 1e-3 if change is changes.another_cell else 1e-5
        close(found, expected, f"{change.__doc__.splitlines()[0]} The score", rtol)


def check_order_of_snapshots(scorer, snapshots):
    """Check: a score is a mean over snapshots, in any order."""
    expected = scorer(_model(), snapshots)
    found = scorer(_model(), snapshots[::-1])
    close(found, expected, "a score in another order")


def check_in_cross_validation(scorer, snapshots):
    """Check: scikit-learn accepts it as ``scoring=``, and it can be pickled for other processes."""
    scores = cross_val_score(
        _model(), snapshots, cv=len(snapshots), scoring=scorer, error_score="raise"
    )
    copied = pickle.loads(pickle.dumps(scorer))
    found = [copied(_model(), snapshots[i : i + 1]) for i in range(len(snapshots))]
    close(scores, found, "scores in cross-validation")
    require(type(scorer).__name__ in repr(scorer), "repr() lacks the name of the class")


CHECKS = (
    check_returns_a_float,
    check_greater_is_better,
    check_inputs_are_left_alone,
    check_targets_given_apart,
    check_descriptions_of_the_crystal,
    check_order_of_snapshots,
    check_in_cross_validation,
)


def _model(error=0.05):
    return TrueLDOS(error).fit(None)
