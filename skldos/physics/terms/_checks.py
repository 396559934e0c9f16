"""What the terms on a grid demand of their arguments."""

from skldos._validation import check_scalar
from skldos.geometry.cell import check_cell
from skldos.physics._arrays import check_finite


def check_density(density, cell, cutoff):
    """Raise a ``ValueError`` unless there is a density on a grid, a cell and a sensible cutoff.

    Parameters
    ----------
    density : tensor of shape (..., n_x, n_y, n_z)
        Any finite values.
    cell : tensor of shape (3, 3)
        Linearly independent rows.
    cutoff : float or None
        Positive.

    Raises
    ------
    ValueError
        If one of them is not.
    """
    if density.ndim < 3 or density.numel() == 0:
        raise ValueError(
            "density must have the three axes of a grid, shape (..., nx, ny, nz), got "
            f"{tuple(density.shape)}."
        )
    check_finite("density", density.detach())
    check_cell(cell.detach().cpu().numpy())
    if cutoff is not None:
        check_scalar("cutoff", cutoff, low=0, strict=True)
