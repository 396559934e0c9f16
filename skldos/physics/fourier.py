r"""Plane waves of a periodic cell: wave vectors of an FFT grid, and the cutoff sphere.

A real field on a grid is :math:`f(r) = \sum_G f_G e^{i G \cdot r}`, with :math:`f_G` from
``torch.fft.rfftn(f, dim=GRID_AXES, norm="forward")``. Only one wave of each pair *G*, *-G* is kept,
so sums over *G* need the weights of :func:`pair_weights`. All functions are differentiable with
respect to the cell.
"""

import torch

from skldos.units import BOHR, RYDBERG

#: Axes of the grid; leading axes are batches.
GRID_AXES = (-3, -2, -1)


def wave_vectors(cell, grid_shape):
    """Wave vectors :math:`G = m_1 b_1 + m_2 b_2 + m_3 b_3` of a grid, as ``rfftn`` orders them.

    For a cell with vectors as rows in Å, of shape (n_x, n_y, n_z // 2 + 1, 3) in 1/Å. The frequency
    n/2 of an even grid has a negative sign along x and y, a positive sign along z.
    """
    m = torch.meshgrid(*_frequencies(cell, grid_shape), indexing="ij")
    return torch.stack(m, dim=-1) @ _reciprocal(cell)


def squared_waves(cell, grid_shape):
    """Squared lengths :math:`G^2` in 1/Å², ten times faster than by way of :func:`wave_vectors`."""
    m1, m2, m3 = _frequencies(cell, grid_shape)
    m1, m2 = m1[:, None], m2[None, :]
    b = _reciprocal(cell)
    g = b @ b.T
    # |m1 b1 + m2 b2 + m3 b3|², as a function of the fastest index
    plane = m1**2 * g[0, 0] + 2 * m1 * m2 * g[0, 1] + m2**2 * g[1, 1]
    slope = 2 * (m1 * g[0, 2] + m2 * g[1, 2])
    return plane[..., None] + m3 * (slope[..., None] + m3 * g[2, 2])


def _frequencies(cell, grid_shape):
    """Return the integers m of every axis, in the order of ``rfftn``."""
    nx, ny, nz = grid_shape
    like = {"dtype": cell.dtype, "device": cell.device}
    m1, m2 = (torch.fft.fftfreq(n, 1 / n, **like) for n in (nx, ny))
    return m1, m2, torch.fft.rfftfreq(nz, 1 / nz, **like)


def _reciprocal(cell):
    """Return the rows b_i, with a_i · b_j = 2π δ_ij."""
    return 2 * torch.pi * torch.linalg.inv(cell).T


def pair_weights(grid_shape, *, device=None):
    """Return the number of waves that each entry along z of the half spectrum stands for.

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


def in_sphere(G, density_cutoff):
    r"""Whether waves have a kinetic energy :math:`\hbar^2 G^2/2m` up to a cutoff.

    For wave vectors in 1/Å of shape (..., 3). The cutoff in eV is what pw.x calls ecutrho; None
    keeps all.
    """
    return below_cutoff((G.detach() ** 2).sum(-1), density_cutoff)


def below_cutoff(G2, density_cutoff):
    """Compute :func:`in_sphere` from squared lengths in 1/Å², as from :func:`squared_waves`."""
    G2 = G2.detach()
    if density_cutoff is None:
        return torch.ones_like(G2, dtype=torch.bool)
    # ħ²/2m is 1 Ry bohr²; the slack keeps rounding from splitting a shell on the sphere.
    energy = RYDBERG * BOHR**2 * G2
    return energy <= density_cutoff * (1 + 1e-9)
