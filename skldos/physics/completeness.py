"""Check whether a density of states holds all electrons."""

import torch

from skldos.physics.arrays import check_positive, same_kind_out, to_float64
from skldos.physics.dos import check_arguments, check_broadcast, integrate


@same_kind_out("dos", "energies", "fermi_level", "temperature", "n_electrons")
def electron_deficit(dos, energies, *, fermi_level, temperature, n_electrons, width=0.0):
    r"""Count the electrons missing in a DOS below a Fermi level known from elsewhere.

    .. math:: N_e - \int f(E)\,D(E)\,dE

    A Fermi level computed from the DOS itself always gives the right number of electrons. The Fermi
    level of the original calculation does not, if the energies begin above the lowest levels, or if
    the DOS has other units or belongs to another cell.

    Parameters
    ----------
    dos : tensor or ndarray of shape (..., n_energies)
        D(E) in 1/eV, spin factor included.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    fermi_level, temperature : float, tensor or ndarray of shape (...)
        μ of the calculation in eV, and T in K; they broadcast with the leading axes of `dos`.
    n_electrons : float, tensor or ndarray of shape (...)
        :math:`N_e > 0`; broadcasts as well.
    width : float, tensor or ndarray of shape (...), default=0
        Tolerance of the Fermi level in eV, >= 0. Electrons that a Fermi level within this distance
        accounts for are not counted as missing. Broadening a DOS by σ shifts its Fermi level by
        about σ at most, including steps at band edges.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        Number of missing electrons, negative if there are too many; float64.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite or out of range, or the energies do not increase.

    See Also
    --------
    fermi_level : Fermi level of a density of states, from its number of electrons.

    Examples
    --------
    >>> import numpy as np
    >>> energies, dos = np.arange(0.0, 11.0), np.ones(11)
    >>> lacking = electron_deficit(dos, energies, fermi_level=5.0, temperature=0, n_electrons=8)
    >>> round(float(lacking), 9)  # the grid and the tail below it hold 5.5
    2.5
    >>> lacking = electron_deficit(
    ...     dos, energies, fermi_level=5.0, temperature=0, n_electrons=8, width=0.5
    ... )
    >>> round(float(lacking), 9)
    2.0
    """
    check_arguments(dos, energies, temperature, fermi_level)
    check_positive("n_electrons", n_electrons)
    width = to_float64("width", width, dos.device)
    if not (width >= 0).all() or not torch.isfinite(width).all():
        raise ValueError(f"width must be finite and >= 0 eV, got {width.min().item():.6g}.")
    shapes = {"dos": dos.shape[:-1], "temperature": temperature.shape, "width": width.shape}
    check_broadcast(shapes | {"fermi_level": fermi_level.shape, "n_electrons": n_electrons.shape})
    fewest, most = (
        integrate(dos, energies, temperature, mu, "electrons")
        for mu in (fermi_level - width, fermi_level + width)
    )
    # A DOS that is negative somewhere may hold fewer electrons at the higher level.
    fewest, most = torch.minimum(fewest, most), torch.maximum(fewest, most)
    return (n_electrons - most).clamp(min=0) - (fewest - n_electrons).clamp(min=0)
