"""Scorers: how good the energies are that a fitted model gives."""

from skldos.scoring._dos import dos_of_block, predict_dos
from skldos.scoring._energies import evaluate
from skldos.scoring.band_energy import BandEnergyScorer

__all__ = ["BandEnergyScorer", "evaluate", "predict_dos", "dos_of_block"]
