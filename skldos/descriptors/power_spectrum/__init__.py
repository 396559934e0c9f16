"""SOAP power spectra of atoms, and their derivatives."""

from skldos.descriptors.power_spectrum.api import (
    check_lengths,
    n_spectrum_features,
    power_spectrum,
    power_spectrum_adjoint,
    power_spectrum_derivatives,
)
from skldos.descriptors.power_spectrum.radial import BASES

__all__ = [
    "BASES",
    "check_lengths",
    "n_spectrum_features",
    "power_spectrum",
    "power_spectrum_adjoint",
    "power_spectrum_derivatives",
]
