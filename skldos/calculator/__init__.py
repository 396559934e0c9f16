"""Energies and forces of a fitted model: ASE calculators and their parts."""

from skldos.calculator.calculator import LDOSCalculator
from skldos.calculator.free_energy import FreeEnergyCalculator
from skldos.calculator.free_energy_surface import FreeEnergySurface
from skldos.calculator.monte_carlo import MonteCarlo
from skldos.calculator.surface import EnergySurface

__all__ = [
    "LDOSCalculator",
    "FreeEnergyCalculator",
    "MonteCarlo",
    "EnergySurface",
    "FreeEnergySurface",
]
