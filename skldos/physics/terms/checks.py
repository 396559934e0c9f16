"""Checks of the arguments of terms on a grid."""

import warnings

import numpy as np
import torch

from skldos.geometry.cell import check_cell
from skldos.physics.arrays import check_finite
from skldos.units import BOHR, RYDBERG
from skldos.validation import check_scalar

#: Largest density in 1/Å^3: ten times the all-electron density at the heaviest nucleus.
MAX_DENSITY = 1e8
#: Factor between the kinetic energies that a grid holds and a cutoff, beyond which to warn. Grids
#: of pw.x hold up to twice the cutoff of the density, which is four times that of the wave
#: functions and 13.6 times its number in Ry.
FINER_THAN_CUTOFF = 3.0


def check_range(name, density):
    """Raise a ``ValueError`` unless a density in 1/Å³ is finite and at most :data:`MAX_DENSITY`."""
    if density.numel() == 0:
        return
    # A tenth of the time of looking at every value; NaN and infinity show in the extremes.
    largest = torch.stack(torch.aminmax(density)).abs().max().item()
    if not largest <= MAX_DENSITY:
        check_finite(name, density)
        raise ValueError(f"{name} must be at most {MAX_DENSITY:g} 1/Å^3, got {largest:.6g}.")


def check_density(density, cell, density_cutoff):
    """Raise a ``ValueError`` unless there is a density on a grid, a cell and a sensible cutoff."""
    if density.ndim < 3 or density.numel() == 0:
        raise ValueError(
            "density must have the three axes of a grid, shape (..., nx, ny, nz), got "
            f"{tuple(density.shape)}."
        )
    check_range("density", density.detach())
    check_cell(cell.detach().cpu().numpy())
    check_density_cutoff(density_cutoff)


def check_density_cutoff(density_cutoff):
    """Return a kinetic energy in eV, or None; raise a ``ValueError`` unless it is positive."""
    if density_cutoff is None:
        return None
    return check_scalar("density_cutoff", density_cutoff, low=0, strict=True)


def warn_of_low_cutoff(density_cutoff, cell, grid_shape):
    """Warn if a cutoff leaves out most of the plane waves that the grid of a density holds.

    That is, if the grid holds waves of more than :data:`FINER_THAN_CUTOFF` times this energy in eV.
    """
    if density_cutoff is None:
        return
    lengths = np.linalg.norm(cell.detach().cpu().numpy(), axis=1)
    # The largest sphere |G| <= π n_i / |a_i|, with G² bohr² in Ry.
    grid_cutoff = float((np.pi * np.divide(grid_shape, lengths)).min() * BOHR) ** 2 * RYDBERG
    if grid_cutoff > FINER_THAN_CUTOFF * density_cutoff:
        warnings.warn(
            f"density_cutoff={density_cutoff:g} eV leaves out most plane waves of the density, "
            f"whose grid holds those up to {grid_cutoff:.4g} eV: is it in eV, and the cutoff of "
            "the density (ecutrho) rather than of wave functions?",
            UserWarning,
            stacklevel=3,
        )
