"""Checks of the arguments of terms on a grid."""

from skldos.geometry.cell import check_cell
from skldos.physics.arrays import check_finite
from skldos.validation import check_scalar

#: Largest density in 1/Å^3: ten times the all-electron density at the heaviest nucleus.
DENSEST = 1e8


def check_range(name, density):
    """Raise a ``ValueError`` unless a density in 1/Å³ is finite and at most :data:`DENSEST`."""
    check_finite(name, density)
    if density.numel() and density.abs().max() > DENSEST:
        raise ValueError(
            f"{name} must be at most {DENSEST:g} 1/Å^3, got {density.abs().max().item():.6g}."
        )


def check_density(density, cell, density_cutoff):
    """Raise a ``ValueError`` unless there is a density on a grid, a cell and a sensible cutoff.

    Parameters
    ----------
    density : tensor of shape (..., n_x, n_y, n_z)
        Finite values up to :data:`DENSEST`.
    cell : tensor of shape (3, 3)
        Linearly independent rows.
    density_cutoff : float or None
        Positive.

    Raises
    ------
    ValueError
        If an argument is not as described.
    """
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
