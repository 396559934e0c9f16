"""Predicted forces and stresses, by models of the free energy."""

from skldos.data import Blocks
from skldos.docstrings import documented, entries_of
from skldos.exceptions import ScoringError
from skldos.prediction.pipelines import (
    check_calculations,
    lazy_inputs,
    regressor_of,
    snapshots_of,
)

OF_FREE_ENERGIES = entries_of("""
    estimator : estimator
        Fitted; a :class:`~skldos.FreeEnergyRegressor`, alone or at the end of a pipeline.
    X : sequence of Snapshot or ase.Atoms, or Blocks
        The snapshots; or blocks made of them, if the estimator takes blocks.
""")


@documented(OF_FREE_ENERGIES)
def predict_forces(estimator, X):
    """Predict the forces on the atoms of every snapshot, by a model of the free energy.

    Parameters
    ----------
    %(estimator)s
    %(X)s

    Returns
    -------
    list of ndarray of shape (n_atoms, 3)
        Forces in eV/Å.

    Raises
    ------
    ScoringError
        If the estimator is of another kind.

    See Also
    --------
    skldos.FreeEnergyRegressor.predict_forces : The same with standard deviations.

    Examples
    --------
    >>> from skldos import AtomSNAPTransformer, FreeEnergyRegressor, predict_forces
    >>> from skldos.datasets import load_aluminium
    >>> from sklearn.pipeline import make_pipeline
    >>> snapshots = load_aluminium()
    >>> model = make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor())
    >>> predict_forces(model.fit(snapshots[1:]), snapshots[:1])[0].shape
    (4, 3)
    """
    return _predicted(estimator, X, "predict_forces", "forces")


@documented(OF_FREE_ENERGIES)
def predict_stress(estimator, X):
    """Predict the stress of every snapshot, by a model of the free energy.

    Parameters
    ----------
    %(estimator)s
    %(X)s

    Returns
    -------
    list of ndarray of shape (3, 3)
        In eV/Å³; positive if the cell tends to shrink, as in ASE.

    Raises
    ------
    ScoringError
        If the estimator is of another kind.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from skldos import AtomSNAPTransformer, FreeEnergyRegressor
    >>> from skldos.prediction import predict_stress
    >>> from sklearn.pipeline import make_pipeline
    >>> cells = [bulk("Al", a=a, cubic=True) for a in (3.9, 4.0, 4.1)]
    >>> for atoms in cells:
    ...     atoms.calc = EMT()
    ...     _ = atoms.get_forces()
    >>> model = make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor()).fit(cells)
    >>> predict_stress(model, cells[:1])[0].shape
    (3, 3)
    """
    return _predicted(estimator, X, "predict_stress", "stress")


def predicts_forces(estimator):
    """Return whether an estimator is a model of the free energy with forces."""
    return hasattr(regressor_of(estimator), "predict_forces")


def _predicted(estimator, X, method, quantity):
    regressor = regressor_of(estimator)
    if not hasattr(regressor, method):
        raise ScoringError(
            f"{type(regressor).__name__} does not predict {quantity}; use a model of the free "
            "energy, FreeEnergyRegressor."
        )
    snapshots = snapshots_of(X)
    check_calculations(estimator, snapshots)
    X = X if isinstance(X, Blocks) else snapshots
    predictions = []
    # One snapshot at a time, so that only its descriptors are in memory.
    for i, snapshot in enumerate(snapshots):
        inputs, _ = lazy_inputs(estimator, X[i : i + 1], snapshot)
        predictions += getattr(regressor, method)(inputs)
    return predictions
