"""Free energies, forces and stresses of a model of atoms beside those of the calculation."""

import numpy as np

from skldos.data.free_energies import free_energies_at
from skldos.exceptions import as_scoring_error
from skldos.prediction.pipelines import regressor_of, snapshots_of
from skldos.scoring.forces import ForceScorer, StressScorer


def free_energy_table(estimator, X, y=None):
    """Compare free energies, forces and stresses of a model of atoms with the calculation's.

    The table is that of :func:`~skldos.evaluate`; `y` are true free energies in eV, by default
    those of the snapshots.
    """
    import pandas as pd

    regressor, snapshots = regressor_of(estimator), snapshots_of(X)
    temperature = getattr(regressor, "temperature_", None)
    n_atoms = np.array([len(s.atoms) for s in snapshots])
    with as_scoring_error():
        true = free_energies_at(snapshots, temperature, None if y is None else np.asarray(y, float))
    predicted = np.asarray(estimator.predict(X), dtype=float)
    table = pd.DataFrame(
        {
            "n_atoms": n_atoms,
            "temperature": [
                s.temperature if temperature is None else temperature for s in snapshots
            ],
            "total_energy": predicted,
            "total_energy_true": true,
            "total_energy_error": 1e3 * (predicted - true) / n_atoms,
        }
    )
    if all("forces" in s.reference for s in snapshots):
        table["forces_error"] = ForceScorer().errors(estimator, X)
    knows_stress = getattr(regressor, "knows_stress", lambda: True)
    if all("stress" in s.reference for s in snapshots) and knows_stress():
        table["stress_error"] = StressScorer().errors(estimator, X)
    return table
