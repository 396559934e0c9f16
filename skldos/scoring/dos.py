"""Scorer that judges a model by the density of states itself."""

import numpy as np

from skldos._validation import check_option
from skldos.exceptions import ScoringError
from skldos.scoring._dos import dos_of_block, predict_dos, snapshots_of
from skldos.scoring._errors import as_scoring_error

METRICS = ("l1", "l2", "overlap")


class DOSScorer:
    r"""Negative error of the density of states, in per cent.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` of every search and
    cross-validation of scikit-learn; greater is better. With the true density of states D and the
    predicted one :math:`\hat D`, the error of a snapshot is

    - ``"l1"``: :math:`\int |\hat D - D|\,dE \big/ \int |D|\,dE`, the part of all states that is
      at a wrong energy or of a wrong number;
    - ``"l2"``: :math:`\big[\int (\hat D - D)^2\,dE \big/ \int D^2\,dE\big]^{1/2}`, in which peaks
      count more;
    - ``"overlap"``: :math:`1 - \int \min(\hat D, D)\,dE \big/ \int \max(\hat D, D)\,dE`, between 0
      for equal ones and 100 per cent for such that share no state.

    None depends on the number of atoms or the unit of energy. The first two weigh an error against
    the true states alone, and are right where few states are missing; the third treats both alike.

    Parameters
    ----------
    metric : {"l1", "l2", "overlap"}, default="l1"
        Which error.

    Raises
    ------
    ScoringError
        When called, if snapshots lack what is needed or shapes do not match.

    See Also
    --------
    skldos.BandEnergyScorer : Error of the energy that follows from it.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.scoring.dos import DOSScorer
    >>> snapshots = make_snapshots(3, random_state=0)
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(max_epochs=50, random_state=0),
    ... ).fit(snapshots[:2])
    >>> DOSScorer()(model, snapshots[2:]) > -10
    True
    """

    def __init__(self, metric="l1"):
        self.metric = check_option("metric", metric, METRICS)

    def errors(self, estimator, X, y=None):
        """Return the error of every snapshot.

        Parameters
        ----------
        estimator : estimator
            Fitted; predicts the LDOS on grids, or the DOS of atoms.
        X : sequence of Snapshot, or Blocks
            The snapshots; or blocks made of them, where the estimator takes blocks.
        y : sequence of array-like, optional
            True LDOS, or DOS of atoms; None takes the LDOS of the snapshots.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Errors in per cent.
        """
        snapshots = snapshots_of(X)
        targets = [None] * len(snapshots) if y is None else list(y)
        if len(targets) != len(snapshots):
            raise ScoringError(
                f"X has {len(snapshots)} snapshots, but y has {len(targets)} targets."
            )
        with as_scoring_error():
            true = [_true_dos(s, t) for s, t in zip(snapshots, targets, strict=True)]
        predicted = predict_dos(estimator, X)
        return np.array(
            [
                100 * self._error(p, t, snapshot)
                for p, t, snapshot in zip(predicted, true, snapshots, strict=True)
            ]
        )

    def __call__(self, estimator, X, y=None):
        """Return the negative mean error in per cent."""
        return -float(np.mean(self.errors(estimator, X, y)))

    def __repr__(self):
        return f"DOSScorer(metric={self.metric!r})"

    def _error(self, predicted, true, snapshot):
        energies = snapshot.energies
        if len(predicted) != len(true) or len(true) != len(energies):
            raise ScoringError(
                f"the predicted DOS has {len(predicted)} values and the true one {len(true)}, but "
                f"there are {len(energies)} energies in {snapshot!r}."
            )

        def integral(values):
            return np.trapezoid(values, energies)

        if self.metric == "l1":
            return integral(np.abs(predicted - true)) / integral(np.abs(true))
        if self.metric == "l2":
            return np.sqrt(integral((predicted - true) ** 2) / integral(true**2))
        shared = integral(np.minimum(predicted, true))
        return 1 - shared / integral(np.maximum(predicted, true))


def _true_dos(snapshot, target):
    snapshot.require("energies")
    if target is None:
        return snapshot.dos()
    return dos_of_block(target, snapshot)
