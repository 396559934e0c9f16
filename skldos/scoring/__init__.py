"""Scorers for the energies, densities and forces predicted by fitted models."""

from skldos.scoring.density import DensityScorer
from skldos.scoring.dos import DOSScorer
from skldos.scoring.energies import BandEnergyScorer, TotalEnergyScorer
from skldos.scoring.evaluation import evaluate
from skldos.scoring.forces import ForceScorer, StressScorer

__all__ = [
    "BandEnergyScorer",
    "TotalEnergyScorer",
    "DensityScorer",
    "DOSScorer",
    "ForceScorer",
    "StressScorer",
    "evaluate",
]
