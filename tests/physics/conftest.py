"""Fifty-digit references, written independently of skldos."""

import mpmath
import numpy as np
import pytest

from skldos.units import BOLTZMANN


def _second_antiderivative(quantity, energy, mu, kT):
    """Phi with Phi'' = g, straight from the textbook polylogarithms (0 K: polynomials)."""
    e = energy - mu
    if kT == 0:
        below = min(e, mpmath.mpf(0))
        return {
            "electrons": below**2 / 2,
            "energy": below**3 / 6,
            "entropy": mpmath.mpf(0),
            "grand_potential": below**3 / 6,
        }[quantity]
    x = e / kT
    z = -mpmath.exp(x)
    if quantity == "electrons":
        return kT**2 * (x**2 / 2 + mpmath.polylog(2, z).real)
    li3 = mpmath.polylog(3, z).real
    if quantity == "grand_potential":
        return kT**3 * (x**3 / 6 + li3)
    li2 = mpmath.polylog(2, z).real
    if quantity == "energy":
        return kT**3 * (x**3 / 6 + x * li2 - 2 * li3)
    return kT**3 * (3 * li3 - x * li2)


@pytest.fixture(scope="session")
def exact_weights():
    """Integration weights from 60-digit arithmetic, rounded once, at the end."""

    def evaluate(energies, temperature, mu, quantity):
        with mpmath.workdps(60):
            E = [mpmath.mpf(float(energy)) for energy in energies]
            E = [2 * E[0] - E[1], *E, 2 * E[-1] - E[-2]]
            kT = mpmath.mpf(BOLTZMANN) * mpmath.mpf(float(temperature))
            Phi = [_second_antiderivative(quantity, e, mpmath.mpf(float(mu)), kT) for e in E]
            slope = [(Phi[i + 1] - Phi[i]) / (E[i + 1] - E[i]) for i in range(len(E) - 1)]
            return np.array([float(slope[i + 1] - slope[i]) for i in range(len(slope) - 1)])

    return evaluate
