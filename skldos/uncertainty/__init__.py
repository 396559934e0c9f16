"""Predictive uncertainty: regressors with standard deviations, and measures of calibration."""

from skldos.uncertainty.calibration import calibration
from skldos.uncertainty.dropout import MCDropout
from skldos.uncertainty.energies import energy_covariance, energy_uncertainty
from skldos.uncertainty.ensemble import DeepEnsemble
from skldos.uncertainty.posterior import RidgePosterior
from skldos.uncertainty.proper_scores import crps, energy_score

__all__ = [
    "MCDropout",
    "DeepEnsemble",
    "RidgePosterior",
    "energy_uncertainty",
    "energy_covariance",
    "calibration",
    "crps",
    "energy_score",
]
