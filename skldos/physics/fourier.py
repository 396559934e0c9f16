r"""Plane waves of a periodic cell: wave vectors of an FFT grid, and the sphere of a cutoff.

A real field on a grid is :math:`f(r) = \sum_G f_G e^{i G \cdot r}`, with :math:`f_G` from
``torch.fft.rfftn(f, dim=GRID_AXES, norm="forward")``: of each pair *G*, *-G* only one is kept, so
that sums over *G* weigh with :func:`pair_weights`. Everything is differentiable with respect to
the cell.
"""

import torch

from skldos.units import BOHR, RYDBERG

#: Axes of the grid; leading axes are batches.
GRID_AXES = (-3, -2, -1)


def wave_vectors(cell, grid_shape):
    r"""Wave vectors :math:`G = m_1 b_1 + m_2 b_2 + m_3 b_3` of a grid, as ``rfftn`` orders them.

    Parameters
    ----------
    cell : tensor of shape (3, 3)
        Lattice vectors as rows, in Å.
    grid_shape : tuple of 3 int
        Points along each of them.

    Returns
    -------
    tensor of shape (n_x, n_y, n_z // 2 + 1, 3)
        In 1/Å. Of the two signs that the frequency n/2 of an even grid could have, the axes x and
        y carry the negative one, z the positive.

    Examples
    --------
    >>> G = wave_vectors(2 * torch.pi * torch.eye(3, dtype=torch.float64), (4, 4, 4))
    >>> tuple(G.shape), G[1, 2, 2].round().tolist()
    ((4, 4, 3, 3), [1.0, -2.0, 2.0])
    """
    nx, ny, nz = grid_shape
    like = {"dtype": cell.dtype, "device": cell.device}
    m = torch.meshgrid(
        torch.fft.fftfreq(nx, 1 / nx, **like),
        torch.fft.fftfreq(ny, 1 / ny, **like),
        torch.fft.rfftfreq(nz, 1 / nz, **like),
        indexing="ij",
    )
    reciprocal = 2 * torch.pi * torch.linalg.inv(cell).T  # rows b_i, with a_i · b_j = 2π δ_ij
    return torch.stack(m, dim=-1) @ reciprocal


def pair_weights(grid_shape, *, device=None):
    """How many wave vectors each entry of the half spectrum stands for, 1 or 2.

    Parameters
    ----------
    grid_shape : tuple of 3 int
        Points along each cell vector.
    device : torch.device, optional
        Where the tensor goes.

    Returns
    -------
    tensor of shape (n_z // 2 + 1,)
        To be broadcast over the first two axes.

    Examples
    --------
    >>> pair_weights((2, 2, 4)).tolist(), pair_weights((2, 2, 5)).tolist()
    ([1.0, 2.0, 1.0], [1.0, 2.0, 2.0])
    """
    nz = grid_shape[2]
    weights = torch.full((nz // 2 + 1,), 2.0, dtype=torch.float64, device=device)
    weights[0] = 1.0
    if nz % 2 == 0:
        weights[-1] = 1.0  # G = -G there
    return weights


def in_sphere(G, cutoff):
    r"""Tell which wave vectors have a kinetic energy :math:`\hbar^2 G^2/2m` up to `cutoff`.

    Parameters
    ----------
    G : tensor of shape (..., 3)
        Wave vectors in 1/Å.
    cutoff : float or None
        In eV, what pw.x calls ecutrho; None keeps all.

    Returns
    -------
    bool tensor of shape (...)

    Examples
    --------
    >>> in_sphere(torch.tensor([[1.0, 0, 0], [3.0, 0, 0]]), 20.0).tolist()
    [True, False]
    """
    G2 = (G.detach() ** 2).sum(-1)
    if cutoff is None:
        return torch.ones_like(G2, dtype=torch.bool)
    # ħ²/2m is 1 Ry bohr²; a hair of slack, so that a shell on the sphere is not torn by rounding.
    energy = RYDBERG * BOHR**2 * G2
    return energy <= cutoff * (1 + 1e-9)
