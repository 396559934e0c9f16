"""A scorer of the error of the density of states."""

import numpy as np

from skldos.docstrings import documented
from skldos.exceptions import ScoringError, as_scoring_error
from skldos.prediction.completeness import warn_of_missing_electrons
from skldos.prediction.dos import OF_PREDICTIONS, dos_of_block, predict_dos
from skldos.prediction.pipelines import check_calculations, snapshots_of, targets_of
from skldos.scoring.scorer import Scorer
from skldos.validation import check_option

METRICS = ("l1", "l2", "overlap")


@documented(OF_PREDICTIONS)
class DOSScorer(Scorer):
    r"""Negative error of the density of states, in per cent.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. With the true density of states D and the
    predicted one :math:`\hat D`, the error of a snapshot is

    - ``"l1"``: :math:`\int |\hat D - D|\,dE \big/ \int |D|\,dE`, the fraction of states that are
      misplaced or miscounted;
    - ``"l2"``: :math:`\big[\int (\hat D - D)^2\,dE \big/ \int D^2\,dE\big]^{1/2}`, which gives more
      weight to peaks;
    - ``"overlap"``: :math:`1 - \int \min(\hat D, D)\,dE \big/ \int \max(\hat D, D)\,dE`, between 0
      for equal densities of states and 100 per cent for disjoint ones.

    None depends on the number of atoms or the unit of energy. The first two are relative to the
    true DOS only, and suit cases in which few states are missing; the third is symmetric.

    Parameters
    ----------
    metric : {"l1", "l2", "overlap"}, default="l1"
        Kind of error.
    %(n_jobs)s

    Raises
    ------
    ScoringError
        When called, if snapshots lack what is needed or shapes do not match.

    See Also
    --------
    skldos.BandEnergyScorer : Error of the band energy.

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

    def __init__(self, metric="l1", *, n_jobs=None):
        self.metric = check_option("metric", metric, METRICS)
        self.n_jobs = n_jobs

    def errors(self, estimator, X, y=None):
        """Return the error of every snapshot.

        Parameters
        ----------
        estimator : estimator
            Fitted; predicts the LDOS on grids, or the DOS of atoms.
        X : sequence of Snapshot, or Blocks
            The snapshots; or blocks made of them, if the estimator takes blocks.
        y : sequence of array-like, optional
            True LDOS, or DOS of atoms; None uses the LDOS of the snapshots.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Errors in per cent.
        """
        snapshots = snapshots_of(X)
        check_calculations(estimator, snapshots)
        targets = targets_of(snapshots, y)
        with as_scoring_error():
            true = [_true_dos(s, t) for s, t in zip(snapshots, targets, strict=True)]
        warn_of_missing_electrons(true, snapshots)
        predicted = predict_dos(estimator, X, n_jobs=self.n_jobs)
        return np.array(
            [
                100 * self._error(p, t, snapshot)
                for p, t, snapshot in zip(predicted, true, snapshots, strict=True)
            ]
        )

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
