"""Bispectrum components (SNAP descriptors) of grid points and atoms."""

from skldos.descriptors.bispectrum.api import grid_bispectrum, point_bispectrum
from skldos.descriptors.bispectrum.components import bispectrum_components, component_names

__all__ = ["bispectrum_components", "component_names", "grid_bispectrum", "point_bispectrum"]
