"""Scorers of the forces and stresses predicted by models of the free energy."""

import numpy as np

from skldos.data.free_energies import full_stress
from skldos.docstrings import documented
from skldos.exceptions import ScoringError
from skldos.prediction.forces import OF_FREE_ENERGIES, predict_forces, predict_stress
from skldos.prediction.pipelines import regressor_of, snapshots_of
from skldos.scoring.scorer import Scorer, weighted_mean
from skldos.validation import check_option, check_shape

FORCE_UNITS = {"eV/Å": 1.0, "meV/Å": 1e3}
STRESS_UNITS = {"eV/Å³": 1.0, "GPa": 160.2176634}


@documented(OF_FREE_ENERGIES)
class _ComponentScorer(Scorer):
    """Negative root mean square error over all components of a quantity of every snapshot."""

    def __call__(self, estimator, X, y=None, sample_weight=None):
        """Return the negative root mean square error over all components."""
        squares, numbers = self.errors(estimator, X) ** 2, self._numbers(snapshots_of(X))
        return -float(np.sqrt(weighted_mean(squares, sample_weight, numbers)))

    def errors(self, estimator, X, y=None):
        """Return the root mean square error of every snapshot.

        Parameters
        ----------
        %(estimator)s
        X : sequence of Snapshot, or Blocks
            Snapshots with their true values in `reference`; or blocks made of them.
        y : None
            Ignored: true values are those of the snapshots.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            In `unit`.
        """
        pairs = self._pairs(estimator, X)
        return self._units[self.unit] * np.array([np.sqrt(np.mean((p - t) ** 2)) for t, p in pairs])


class ForceScorer(_ComponentScorer):
    r"""Negative root mean square error of the forces.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. The mean is taken over all components of
    the forces on all atoms,

    .. math:: \Big[ \frac{1}{3N} \sum_{i=1}^{N} |\hat F_i - F_i|^2 \Big]^{1/2} .

    Parameters
    ----------
    unit : {"eV/Å", "meV/Å"}, default="eV/Å"
        Unit of the score.

    Raises
    ------
    ScoringError
        When called, if the model predicts no forces or a snapshot has none.

    See Also
    --------
    StressScorer : The same for stresses.
    TotalEnergyScorer : Errors of the free energies of the same model.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from skldos import AtomSNAPTransformer, ForceScorer, FreeEnergyRegressor
    >>> from skldos.datasets import load_aluminium
    >>> model = make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor())
    >>> scores = cross_val_score(model, load_aluminium(), cv=2, scoring=ForceScorer())
    >>> bool((scores < 0).all())
    True
    """

    _units = FORCE_UNITS

    def __init__(self, unit="eV/Å"):
        self.unit = check_option("unit", unit, tuple(FORCE_UNITS))

    def _pairs(self, estimator, X):
        return true_and_predicted_forces(estimator, X)

    def _numbers(self, snapshots):
        return np.array([len(snapshot.atoms) for snapshot in snapshots])


class StressScorer(_ComponentScorer):
    r"""Negative root mean square error of the stress.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. The mean is taken over the nine components
    of the stresses of all snapshots. A constant in the true stresses that the model attributes to
    their plane waves (`pulay_virial` of :class:`~skldos.FreeEnergyRegressor`) is no error.

    Parameters
    ----------
    unit : {"eV/Å³", "GPa"}, default="eV/Å³"
        Unit of the score.

    Raises
    ------
    ScoringError
        When called, if the model predicts no stress or a snapshot has none.

    See Also
    --------
    ForceScorer : The same for forces.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from skldos import AtomSNAPTransformer, FreeEnergyRegressor, StressScorer
    >>> from sklearn.pipeline import make_pipeline
    >>> cells = [bulk("Al", a=a, cubic=True) for a in (3.9, 4.0, 4.1, 4.2)]
    >>> for atoms in cells:
    ...     atoms.calc = EMT()
    ...     _ = atoms.get_forces(), atoms.get_stress()
    >>> model = make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor())
    >>> StressScorer("GPa")(model.fit(cells), cells) > -5
    True
    """

    _units = STRESS_UNITS

    def __init__(self, unit="eV/Å³"):
        self.unit = check_option("unit", unit, tuple(STRESS_UNITS))

    def _pairs(self, estimator, X):
        predicted = predict_stress(estimator, X)
        pulay = getattr(regressor_of(estimator), "pulay_virial_", 0.0)
        true = [true_stress(snapshot, pulay) for snapshot in snapshots_of(X)]
        return zip(true, predicted, strict=True)

    def _numbers(self, snapshots):
        return 1.0


def true_and_predicted_forces(estimator, X):
    """Return pairs of true and predicted forces in eV/Å, of shape (n_atoms, 3), per snapshot."""
    predicted = predict_forces(estimator, X)
    return [(_true_forces(s), p) for s, p in zip(snapshots_of(X), predicted, strict=True)]


def true_stress(snapshot, pulay_virial=0.0):
    """Return the stress of a snapshot in eV/Å³, shape (3, 3), without a Pulay virial per atom."""
    if "stress" not in snapshot.reference:
        raise ScoringError(f"{snapshot!r} has no reference 'stress'.")
    density = len(snapshot.atoms) / snapshot.atoms.cell.volume
    return full_stress(snapshot.reference["stress"]) - pulay_virial * density * np.eye(3)


def _true_forces(snapshot):
    if "forces" not in snapshot.reference:
        raise ScoringError(f"{snapshot!r} has no reference 'forces'.")
    forces = np.asarray(snapshot.reference["forces"], dtype=float)
    check_shape("reference['forces']", forces, (len(snapshot.atoms), 3))
    return forces
