"""Scorers: how good the energies and densities are that a fitted model gives."""

from skldos.scoring._dos import dos_of_block, predict_dos
from skldos.scoring._energies import evaluate
from skldos.scoring.density import DensityScorer, predict_density
from skldos.scoring.dos import DOSScorer
from skldos.scoring.energies import BandEnergyScorer, TotalEnergyScorer

__all__ = [
    "BandEnergyScorer",
    "TotalEnergyScorer",
    "DensityScorer",
    "DOSScorer",
    "evaluate",
    "predict_dos",
    "predict_density",
    "dos_of_block",
]
