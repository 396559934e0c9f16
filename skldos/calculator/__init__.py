"""Energies and forces of a fitted model: the calculator for ASE, and what it is made of."""

from skldos.calculator.calculator import LDOSCalculator
from skldos.calculator.surface import EnergySurface

__all__ = ["LDOSCalculator", "EnergySurface"]
