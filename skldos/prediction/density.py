"""Predicted electron densities."""

from itertools import repeat

from skldos.docstrings import documented
from skldos.exceptions import as_scoring_error
from skldos.prediction.dos import OF_PREDICTIONS
from skldos.prediction.observables import check_sharpen, iter_observables


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
    %(sharpen)s
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
