"""A scorer of predicted electron densities."""

from skldos.docstrings import documented, like
from skldos.prediction.dos import OF_PREDICTIONS
from skldos.prediction.observables import check_sharpen
from skldos.scoring.evaluation import REFERENCES, evaluate
from skldos.scoring.scorer import Scorer
from skldos.validation import check_option

METRICS = {
    "mape": "density_percentage_error",
    "mae": "density_mean_error",
    "max": "density_max_error",
}


@documented(OF_PREDICTIONS)
class DensityScorer(Scorer):
    r"""Negative error of the electron density :math:`n(r) = \int f(E)\,d(r, E)\,dE`.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. Errors are those of Fig. 4 of Ref. [1]_,
    averaged over the snapshots.

    Parameters
    ----------
    metric : {"mape", "mae", "max"}, default="mape"
        Mean absolute error in per cent of the density at each grid point, mean absolute error, or
        largest absolute error, the last two in 1/Å³.
    reference : {"ldos", "dft"}, default="ldos"
        The true values: the density of the true LDOS, or the one that the snapshot carries.
    %(sharpen)s
    %(n_jobs)s

    Raises
    ------
    ScoringError
        When called, if predictions are not on the grid or snapshots lack what is needed.

    References
    ----------
    .. [1] J. A. Ellis et al., "Accelerating finite-temperature Kohn-Sham density functional
       theory with deep neural networks", Phys. Rev. B 104, 035120 (2021).

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import DensityScorer, GridSNAPTransformer, LDOSRegressor, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(3, random_state=0)
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(max_epochs=50, random_state=0),
    ... ).fit(snapshots[:2])
    >>> DensityScorer()(model, snapshots[2:]) > -20
    True
    """

    def __init__(self, metric="mape", *, reference="ldos", sharpen=0, n_jobs=None):
        self.metric = check_option("metric", metric, tuple(METRICS))
        self.reference = check_option("reference", reference, REFERENCES)
        self.sharpen = check_sharpen(sharpen)
        self.n_jobs = n_jobs

    @like(Scorer.errors)
    def errors(self, estimator, X, y=None):
        options = {name: getattr(self, name) for name in ("reference", "sharpen", "n_jobs")}
        table = evaluate(estimator, X, y, density=True, **options)
        return table[METRICS[self.metric]].to_numpy()
