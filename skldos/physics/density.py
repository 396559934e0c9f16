"""The electron density of a local density of states."""

import torch
from torch.utils.checkpoint import checkpoint

from skldos.physics._arrays import (
    check_energies,
    check_finite,
    check_last_axis,
    check_temperature,
    same_kind_out,
    slabs,
)
from skldos.physics.dos import check_broadcast
from skldos.physics.quadrature import weights


@same_kind_out("energies", "temperature", "fermi_level", large=("ldos",))
def density(ldos, energies, *, temperature, fermi_level):
    r"""Electron density :math:`n(r) = \int f(E)\,d(r, E)\,dE = \sum_i w_i\,d(r, E_i)`.

    Computed in float64 over pieces, without a float64 copy of the whole LDOS; a memory map is
    streamed.

    Parameters
    ----------
    ldos : tensor or ndarray of shape (..., n_energies)
        d(r, E) in 1/(eV Å³), on a grid (nx, ny, nz), at points, or at one point.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    temperature, fermi_level : float, tensor or ndarray of shape (n_batch, ...)
        T in K, μ in eV. Their axes, if any, are the first axes of `ldos`.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        n(r) in 1/Å³; float64. Where the LDOS is locally negative, as ultrasoft augmentation
        can make it, so may n be.

    Raises
    ------
    ValueError
        If shapes disagree, a level is not finite, the energies do not increase or the
        temperature is negative.

    Examples
    --------
    >>> import numpy as np
    >>> ldos = np.ones((2, 2, 2, 11), dtype=np.float32)
    >>> density(ldos, np.arange(11.0), temperature=0, fermi_level=4.0)[0, 0]
    array([4.5, 4.5])
    """
    check_energies(energies)
    check_last_axis("ldos", ldos, energies)
    check_temperature(temperature)
    check_finite("fermi_level", fermi_level)
    shapes = {"temperature": temperature.shape, "fermi_level": fermi_level.shape}
    batch = check_broadcast(shapes)
    if tuple(ldos.shape[: len(batch)]) != tuple(batch) or ldos.ndim <= len(batch):
        raise ValueError(
            f"ldos must begin with the axes {tuple(batch)} of temperature and fermi_level, "
            f"got shape {tuple(ldos.shape)}."
        )
    return _contract(ldos, weights(energies, temperature, fermi_level, "electrons"))


def _contract(ldos, w):
    """Sum ldos times w over the energies, by batches and pieces."""
    if w.ndim > 1:
        return torch.stack([_contract(part, v) for part, v in zip(ldos, w, strict=True)])
    if ldos.ndim == 1:
        return _contract(ldos[None], w)[0]
    # The gradient of w would keep every float64 piece; it makes them anew instead.
    contract = _recomputed_matmul if w.requires_grad else torch.matmul
    return torch.cat([contract(piece, w) for piece in slabs("ldos", ldos, device=w.device)])


def _recomputed_matmul(piece, w):
    return checkpoint(torch.matmul, piece, w, use_reentrant=False)
