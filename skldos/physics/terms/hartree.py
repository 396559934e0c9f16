r"""The classical Coulomb energy of the electrons."""

import torch

from skldos.physics._arrays import same_kind_out
from skldos.physics.fourier import GRID_AXES, in_sphere, pair_weights, wave_vectors
from skldos.physics.terms._checks import check_density
from skldos.units import COULOMB


@same_kind_out("density", "cell")
def hartree(density, cell, *, cutoff=None):
    r"""Hartree energy and potential of a periodic density.

    .. math::

        E_H = \frac{\Omega}{2} \sum_{G \ne 0} \frac{e^2}{\varepsilon_0}
              \frac{|n_G|^2}{G^2}, \qquad
        v_H(r) = \sum_{G \ne 0} \frac{e^2}{\varepsilon_0}
              \frac{n_G}{G^2}\, e^{i G \cdot r}

    The wave G = 0, the mean density, is left out: alone it would cost an infinite energy, which
    in a neutral cell the ions cancel. They too leave it out of their mutual energy
    (:func:`ewald`) and of their potential, so that all three are those of charges in a uniform
    background that neutralises them, and the mean of the potential is zero by convention.

    Parameters
    ----------
    density : tensor or ndarray of shape (..., n_x, n_y, n_z)
        n(r) of the valence electrons in 1/Å³; leading axes are batches.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    cutoff : float, optional
        In eV; keep only the waves with :math:`\hbar^2 G^2 / 2m` up to it (ecutrho of pw.x).

    Returns
    -------
    energy : tensor, ndarray or float of shape (...)
        In eV.
    potential : tensor or ndarray of shape (..., n_x, n_y, n_z)
        In eV; exactly the derivative of the energy by the density, over the volume of a voxel.

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
    check_density(density, cell, cutoff)
    shape = density.shape[-3:]
    G = wave_vectors(cell, shape)
    kept = in_sphere(G, cutoff)
    kept[0, 0, 0] = False
    # e²/ε0 / G²; the denominator is masked before the division, for the sake of the gradients.
    G2 = torch.where(kept, (G**2).sum(-1), 1.0)
    kernel = torch.where(kept, 4 * torch.pi * COULOMB / G2, 0.0)

    waves = torch.fft.rfftn(density, dim=GRID_AXES, norm="forward")
    volume = torch.linalg.det(cell).abs()
    # E = Ω/2 Σ_G kernel |n_G|²
    weights = kernel * pair_weights(shape, device=density.device)
    energy = volume / 2 * (weights * (waves.real**2 + waves.imag**2)).sum(GRID_AXES)
    potential = torch.fft.irfftn(kernel * waves, s=shape, dim=GRID_AXES, norm="forward")
    return energy, potential
