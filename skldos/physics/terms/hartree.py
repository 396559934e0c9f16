r"""The classical Coulomb energy of the electrons."""

import torch

from skldos.physics.arrays import same_kind_out
from skldos.physics.fourier import (
    GRID_AXES,
    below_cutoff,
    pair_weights,
    squared_waves,
    wave_vectors,
)
from skldos.physics.terms.checks import check_density
from skldos.physics.terms.slab import check_boundary, slab_factor
from skldos.units import COULOMB


@same_kind_out("density", "cell")
def hartree(density, cell, *, density_cutoff=None, assume_isolated=None):
    r"""Hartree energy and potential of a periodic density.

    .. math::

        E_H = \frac{\Omega}{2} \sum_{G \ne 0} \frac{e^2}{\varepsilon_0}
              \frac{|n_G|^2}{G^2}, \qquad
        v_H(r) = \sum_{G \ne 0} \frac{e^2}{\varepsilon_0}
              \frac{n_G}{G^2}\, e^{i G \cdot r}

    The wave G = 0, the mean density, is left out. Its energy would be infinite, but cancels that of
    the ions in a neutral cell. The energy of the ions (:func:`ewald`) and their potential leave it
    out as well. Each term is therefore that of charges in a uniform neutralising background, and
    the mean of the potential is zero by convention.

    Parameters
    ----------
    density : tensor or ndarray of shape (..., n_x, n_y, n_z)
        n(r) of the valence electrons in 1/Å³; leading axes are batches.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    density_cutoff : float, optional
        In eV; keep only the waves with :math:`\hbar^2 G^2 / 2m` up to it (ecutrho of pw.x).
    assume_isolated : {"2D"}, optional
        For an isolated slab, as in pw.x: the third cell vector is normal to the others and crosses
        the vacuum, and the interaction ends at half its length.

    Returns
    -------
    energy : tensor, ndarray or float of shape (...)
        In eV.
    potential : tensor or ndarray of shape (..., n_x, n_y, n_z)
        In eV; exactly the derivative of the energy with respect to the density, divided by the
        volume of a voxel.

    Raises
    ------
    ValueError
        If the density is not on a grid or not finite, the cell is flat or the cutoff not
        positive.

    Examples
    --------
    A wave n = a cos(G x) has the potential e² / (ε0 G²) n, here 73.3 eV Å³ times n.

    >>> import numpy as np
    >>> density = np.cos(2 * np.pi * np.arange(8) / 8)[:, None, None] * np.ones((8, 8, 8))
    >>> energy, potential = hartree(density, 4 * np.eye(3))
    >>> print(f"{energy:.3f} {potential[0, 0, 0]:.3f}")
    1173.389 73.337
    """
    check_density(density, cell, density_cutoff)
    check_boundary(assume_isolated, cell)
    shape = density.shape[-3:]
    kernel = _kernel(cell, shape, density_cutoff, assume_isolated)
    waves = torch.fft.rfftn(density, dim=GRID_AXES, norm="forward")
    volume, pairs = torch.linalg.det(cell).abs(), pair_weights(shape, device=density.device)
    # E = Ω/2 Σ_G kernel |n_G|²
    squares = waves.real.square() + waves.imag.square()
    energy = volume / 2 * (pairs * (kernel * squares).sum((-3, -2))).sum(-1)
    # The waves of the potential, without a complex copy of the kernel. Those of the density and all
    # else need no memory any more.
    waves = torch.view_as_complex(torch.view_as_real(waves) * kernel[..., None])
    del kernel, squares
    return energy, torch.fft.irfftn(waves, s=shape, dim=GRID_AXES, norm="forward")


def _kernel(cell, shape, density_cutoff, assume_isolated):
    """Return e²/ε0 / G² of all waves that count, of shape (n_x, n_y, n_z // 2 + 1), and 0 else."""
    G2 = squared_waves(cell, shape)
    mask = below_cutoff(G2, density_cutoff)
    mask[0, 0, 0] = False
    # The denominator is masked before the division to keep the gradients finite.
    kernel = torch.where(mask, 4 * torch.pi * COULOMB / torch.where(mask, G2, 1.0), 0.0)
    if assume_isolated is not None:
        kernel = kernel * slab_factor(wave_vectors(cell, shape), cell)
    return kernel
