"""Four atoms of two kinds in a cell without right angles, and arguments that are right."""

import numpy as np

RCUT = 3.5
TRICLINIC = np.array([[4.0, 0.2, 0.1], [-1.0, 3.6, 0.3], [0.4, -0.7, 4.2]])
GOOD = {"positions": np.zeros((2, 3)), "weights": np.ones(2), "cell": 4 * np.eye(3)}


def triclinic():
    """Return positions, weights and cell."""
    rng = np.random.default_rng(11)
    positions = np.array([[0.1, 0.1, 0.1], [0.6, 0.5, 0.1], [0.5, 0.1, 0.6], [0.1, 0.6, 0.5]])
    positions = (positions + rng.normal(scale=0.03, size=(4, 3))) @ TRICLINIC
    return positions, np.array([1.0, 0.5, 1.0, 0.5]), TRICLINIC
