"""Predicted electron densities, and a scorer of their errors."""

from itertools import repeat

from skldos.docstrings import documented, like
from skldos.exceptions import as_scoring_error
from skldos.scoring.evaluation import REFERENCES, evaluate
from skldos.scoring.observables import check_sharpen, iter_observables
from skldos.scoring.prediction import OF_PREDICTIONS
from skldos.scoring.scorer import Scorer
from skldos.validation import check_option

METRICS = {
    "mape": "density_percentage_error",
    "mae": "density_mean_error",
    "max": "density_max_error",
}


@documented(OF_PREDICTIONS)
def predict_density(estimator, X, *, sharpen=0, n_jobs=None):
    """Predict the electron density of every snapshot.

    Parameters
    ----------
    estimator : estimator
        Fitted; predicts the LDOS on grids.
    X : sequence of Snapshot, or Blocks
        Snapshots with energies, temperature and number of electrons; or blocks made of them,
        if the estimator takes blocks.
    sharpen : int or None, default=0
        Order to which the broadening of the LDOS is undone first; None means 2 for snapshots
        with a known broadening, and 0 for others.
    %(n_jobs)s

    Returns
    -------
    list of ndarray of shape (n_x, n_y, n_z)
        Densities in 1/Å³; each holds the electrons of its snapshot.

    Raises
    ------
    ScoringError
        If the predictions are not on the grid, or a snapshot lacks what is needed.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, predict_density
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(2, random_state=0)
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2), RowWise(StandardScaler()), LDOSRegressor(max_epochs=50)
    ... ).fit(snapshots)
    >>> n = predict_density(model, snapshots)[0]
    >>> n.shape, round(float(n.sum() * snapshots[0].voxel_volume), 6)
    ((6, 6, 6), 12.0)
    """
    check_sharpen(sharpen)
    options = {"terms": repeat(None), "density": True, "sharpen": sharpen}
    with as_scoring_error():
        pairs = iter_observables(estimator, X, n_jobs, **options)
        return [observables.density for _, observables in pairs]


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
    sharpen : int or None, default=0
        Order to which the broadening of the LDOS is undone first; None means 2 for snapshots
        with a known broadening, and 0 for others.
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
