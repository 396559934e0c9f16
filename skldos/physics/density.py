"""The electron density of a local density of states, and states at an energy or in a window."""

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from skldos.physics.arrays import (
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
        n(r) in 1/Å³; float64. It can be negative where the LDOS is, for example because of
        ultrasoft augmentation.

    Raises
    ------
    ValueError
        If shapes disagree, the LDOS or a level is not finite, the energies do not increase or the
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
    n = _contract(ldos, weights(energies, temperature, fermi_level, "electrons"))
    # Any NaN shows up here, because NaN times any number is NaN.
    check_finite("the integral of ldos over the energies", n.detach())
    return n


@same_kind_out("energies", "low", "high", large=("ldos",))
def integrated_ldos(ldos, energies, low, high):
    r"""States in an energy window, :math:`\int_{E_1}^{E_2} d(r, E)\,dE`, exact as in `density`.

    pp.x calls this the integrated local density of states. It shows orbitals near the Fermi level,
    a band, or what an STM measures at a voltage.

    Parameters
    ----------
    ldos : tensor or ndarray of shape (..., n_energies)
        d(r, E) in 1/(eV Å³).
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    low, high : float
        Ends of the window in eV, low < high.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        In 1/Å³; float64.

    Raises
    ------
    ValueError
        If shapes disagree, the LDOS is not finite, the energies do not increase or the window is
        empty.

    Examples
    --------
    >>> import numpy as np
    >>> integrated_ldos(np.ones((2, 11)), np.arange(11.0), 2.5, 4.0)
    array([1.5, 1.5])
    """
    check_energies(energies)
    check_last_axis("ldos", ldos, energies)
    check_finite("low", low)
    check_finite("high", high)
    if not low < high:
        raise ValueError(f"low must be less than high, got {low.item():g} and {high.item():g} eV.")
    zero = torch.zeros((), dtype=torch.float64, device=energies.device)
    # The states up to an energy are those that are occupied at 0 K.
    up_to = [weights(energies, zero, end, "electrons") for end in (low, high)]
    n = _contract(ldos, up_to[1] - up_to[0])
    check_finite("the integral of ldos over the energies", n.detach())
    return n


@same_kind_out("energies", "energy", large=("ldos",))
def ldos_at(ldos, energies, energy):
    r"""LDOS :math:`d(r, E)` at an energy between those of the grid, by linear interpolation.

    Parameters
    ----------
    ldos : tensor or ndarray of shape (..., n_energies)
        d(r, E) in 1/(eV Å³).
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    energy : float
        In eV, within the energies.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        In 1/(eV Å³); float64.

    Raises
    ------
    ValueError
        If shapes disagree, the LDOS is not finite or the energy is beyond the energies.

    Examples
    --------
    >>> import numpy as np
    >>> ldos_at(np.arange(22.0).reshape(2, 11), np.arange(11.0), 2.25)
    array([ 2.25, 13.25])
    """
    check_energies(energies)
    check_last_axis("ldos", ldos, energies)
    first, last = energies[0].item(), energies[-1].item()
    if not first <= energy.item() <= last:
        raise ValueError(
            f"energy must be within the energies, {first:g} to {last:g} eV, got {energy.item():g}."
        )
    at = min(int((energies <= energy).sum()) - 1, len(energies) - 2)
    share = (energy - energies[at]) / (energies[at + 1] - energies[at])
    w = torch.zeros_like(energies)
    w[at], w[at + 1] = 1 - share, share
    values = _contract(ldos, w)
    check_finite("ldos", values.detach())
    return values


def _contract(ldos, w):
    """Sum ldos times w over the energies, by batches and pieces."""
    if w.ndim > 1:
        return torch.stack([_contract(batch, v) for batch, v in zip(ldos, w, strict=True)])
    if ldos.ndim == 1:
        return _contract(ldos[None], w)[0]
    # The gradient of w would keep every float64 piece; they are converted again instead.
    recomputed = partial(checkpoint, torch.matmul, use_reentrant=False)
    contract = recomputed if w.requires_grad else torch.matmul
    return torch.cat([contract(piece, w) for piece in slabs("ldos", ldos, device=w.device)])
