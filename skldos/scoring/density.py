"""Predicted electron densities, and how far they are from the true ones."""

import numpy as np

from skldos._validation import check_option, check_scalar
from skldos.scoring._energies import REFERENCES, evaluate
from skldos.scoring._errors import as_scoring_error
from skldos.scoring._ldos import iter_ldos
from skldos.scoring._observables import of_ldos

METRICS = {
    "mape": "density_percentage_error",
    "mae": "density_mean_error",
    "max": "density_max_error",
}


def predict_density(estimator, X, *, sharpen=0):
    """Predict the electron density of every snapshot.

    Parameters
    ----------
    estimator : estimator
        Fitted; predicts the LDOS on grids.
    X : sequence of Snapshot, or Blocks
        Snapshots with energies, temperature and number of electrons; or blocks made of them,
        where the estimator takes blocks.
    sharpen : int, default=0
        Order to which the broadening of the LDOS is undone first.

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
    check_scalar("sharpen", sharpen, low=0, integer=True)
    densities = []
    with as_scoring_error():
        for snapshot, ldos in iter_ldos(estimator, X):
            seen = of_ldos(ldos, snapshot, density=True, sharpen=sharpen, predicted=True)
            densities.append(seen.density)
    return densities


class DensityScorer:
    r"""Negative error of the electron density :math:`n(r) = \int f(E)\,d(r, E)\,dE`.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` of every search and
    cross-validation of scikit-learn; greater is better. Errors are those of Fig. 4 of Ref. [1]_,
    averaged over the snapshots.

    Parameters
    ----------
    metric : {"mape", "mae", "max"}, default="mape"
        Mean absolute error in per cent of the density at each grid point, mean absolute error, or
        largest absolute error, the last two in 1/Å³.
    reference : {"ldos", "dft"}, default="ldos"
        What counts as true: the density of the true LDOS, or the one that the snapshot carries.
    sharpen : int, default=0
        Order to which the broadening of the LDOS is undone first.

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

    def __init__(self, metric="mape", reference="ldos", sharpen=0):
        self.metric = check_option("metric", metric, tuple(METRICS))
        self.reference = check_option("reference", reference, REFERENCES)
        self.sharpen = check_scalar("sharpen", sharpen, low=0, integer=True)

    def errors(self, estimator, X, y=None):
        """Return the error of every snapshot.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        X : sequence of Snapshot
            The snapshots.
        y : sequence of array-like, optional
            True LDOS; None takes those of the snapshots.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Errors, in per cent or 1/Å³.
        """
        options = {"reference": self.reference, "sharpen": self.sharpen}
        table = evaluate(estimator, X, y, density=True, **options)
        return table[METRICS[self.metric]].to_numpy()

    def __call__(self, estimator, X, y=None):
        """Return the negative mean error."""
        return -float(np.mean(self.errors(estimator, X, y)))

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"DensityScorer({options})"
