r"""A density without the plane waves beyond a cutoff."""

import torch

from skldos.physics.arrays import same_kind_out
from skldos.physics.fourier import GRID_AXES, below_cutoff, squared_waves
from skldos.physics.terms.checks import check_density


@same_kind_out("density", "cell")
def low_pass(density, cell, *, density_cutoff=None):
    r"""Keep the plane waves of a density up to a kinetic energy.

    .. math::

        n(r) = \sum_{\hbar^2 G^2 / 2m \,\le\, E_\mathrm{cut}} n_G\, e^{i G \cdot r}

    The density of wave functions with a cutoff E has no plane waves beyond 4 E, the default ecutrho
    of pw.x. The density of a predicted LDOS has waves up to the corners of the FFT grid, which pw.x
    leaves out.

    Parameters
    ----------
    density : tensor or ndarray of shape (..., n_x, n_y, n_z)
        n(r) in 1/Å³; leading axes are batches.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    density_cutoff : float, optional
        In eV; None keeps all.

    Returns
    -------
    tensor or ndarray of shape (..., n_x, n_y, n_z)
        In 1/Å³; float64. It may be negative where the density is close to zero. The filter is a
        symmetric projection, so it removes the same waves from gradients.

    Raises
    ------
    ValueError
        If the density is not on a grid or not finite, the cell is flat or the cutoff not
        positive.

    Examples
    --------
    The wave with one period in 4 Å has 9.4 eV, the one with two 37.6 eV.

    >>> import numpy as np
    >>> x = 2 * np.pi * np.arange(8) / 8
    >>> density = np.broadcast_to((2 + np.cos(x) + np.cos(2 * x))[:, None, None], (8, 8, 8))
    >>> low_pass(density, 4 * np.eye(3), density_cutoff=20.0)[:, 0, 0].round(3)
    array([3.   , 2.707, 2.   , 1.293, 1.   , 1.293, 2.   , 2.707])
    """
    check_density(density, cell, density_cutoff)
    return filtered(density, cell, density_cutoff)


def filtered(density, cell, density_cutoff):
    """Apply :func:`low_pass` to tensors that have been checked."""
    if density_cutoff is None:
        return density
    shape = density.shape[-3:]
    keep = below_cutoff(squared_waves(cell.detach(), shape), density_cutoff)
    waves = torch.fft.rfftn(density, dim=GRID_AXES, norm="forward")
    return torch.fft.irfftn(waves * keep, s=shape, dim=GRID_AXES, norm="forward")
