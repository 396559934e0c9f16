"""Scorers for the energies, densities and forces predicted by fitted models."""

from skldos.scoring.density import DensityScorer, predict_density
from skldos.scoring.dos import DOSScorer
from skldos.scoring.energies import BandEnergyScorer, TotalEnergyScorer
from skldos.scoring.evaluation import evaluate
from skldos.scoring.fields import predict_ldos
from skldos.scoring.forces import ForceScorer, StressScorer, predict_forces, predict_stress
from skldos.scoring.prediction import dos_of_block, predict_dos

__all__ = [
    "BandEnergyScorer",
    "TotalEnergyScorer",
    "DensityScorer",
    "DOSScorer",
    "ForceScorer",
    "StressScorer",
    "evaluate",
    "predict_dos",
    "predict_density",
    "predict_forces",
    "predict_stress",
    "predict_ldos",
    "dos_of_block",
]
