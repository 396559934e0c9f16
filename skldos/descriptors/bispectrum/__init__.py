"""Bispectrum components (SNAP descriptors) of grid points and atoms, and their derivatives."""

from skldos.descriptors.bispectrum.adjoint import grid_bispectrum_adjoint, point_bispectrum_adjoint
from skldos.descriptors.bispectrum.api import grid_bispectrum, point_bispectrum
from skldos.descriptors.bispectrum.components import bispectrum_components, component_names

__all__ = [
    "bispectrum_components",
    "component_names",
    "grid_bispectrum",
    "point_bispectrum",
    "grid_bispectrum_adjoint",
    "point_bispectrum_adjoint",
]
