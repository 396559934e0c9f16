"""Density of states and the quantities derived from it: electrons, band energy, entropy."""

import numpy as np

from skldos.physics.arrays import (
    check_energies,
    check_finite,
    check_last_axis,
    check_positive,
    check_temperature,
    same_kind_out,
    slabs,
)
from skldos.physics.quadrature import weights


@same_kind_out("voxel_volume", large=("ldos",))
def dos_from_ldos(ldos, voxel_volume):
    r"""Density of states :math:`D(E) = \Delta V \sum_r d(r, E)`.

    The sum is taken in float64 over pieces, without a float64 copy of the whole array; a
    memory map is streamed.

    Parameters
    ----------
    ldos : tensor or ndarray of shape (nx, ny, nz, n_energies) or (n_points, n_energies)
        LDOS in 1/(eV Å³). All axes but the last are summed; loop over batches.
    voxel_volume : float
        ΔV in Å³, the volume of the cell divided by the number of grid points.

    Returns
    -------
    tensor or ndarray of shape (n_energies,)
        DOS in 1/eV; float64.

    Raises
    ------
    ValueError
        If `ldos` has fewer than two axes or is not finite, or the volume is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> dos_from_ldos(np.ones((2, 2, 2, 3), dtype=np.float32), voxel_volume=0.5)
    array([4., 4., 4.])
    """
    if ldos.ndim < 2:
        raise ValueError(
            f"ldos must have grid axes before the energy axis, got shape {tuple(ldos.shape)}."
        )
    check_positive("voxel_volume", voxel_volume)
    grid_axes = tuple(range(ldos.ndim - 1))
    pieces = slabs("ldos", ldos, device=voxel_volume.device)
    dos = sum(piece.sum(dim=grid_axes) for piece in pieces) * voxel_volume
    check_finite("the sum of ldos over the grid", dos)
    return dos


@same_kind_out("dos", "energies", "temperature", "fermi_level")
def n_electrons(dos, energies, *, temperature, fermi_level):
    r"""Count the electrons, :math:`N = \int f(E)\,D(E)\,dE`.

    Parameters
    ----------
    dos : tensor or ndarray of shape (..., n_energies)
        D(E) in 1/eV, spin factor included; linearly interpolated, see :func:`integration_weights`.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    temperature, fermi_level : float, tensor or ndarray of shape (...)
        T in K, μ in eV; they broadcast with the leading axes of `dos`.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        float64.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite, the energies do not increase or the
        temperature is negative.

    Examples
    --------
    >>> import numpy as np
    >>> energies = np.arange(0.0, 11.0)
    >>> n = n_electrons(np.ones(11), energies, temperature=300, fermi_level=5.0)
    >>> round(float(n), 9)  # half an electron in the tail below the grid
    5.5
    """
    check_arguments(dos, energies, temperature, fermi_level)
    return integrate(dos, energies, temperature, fermi_level, "electrons")


@same_kind_out("dos", "energies", "temperature", "fermi_level")
def band_energy(dos, energies, *, temperature, fermi_level):
    r"""Band energy :math:`E_\mathrm{band} = \int E f(E)\,D(E)\,dE`.

    Evaluated as :math:`\int (E - \mu) f D\,dE + \mu N`.

    Parameters
    ----------
    dos : tensor or ndarray of shape (..., n_energies)
        D(E) in 1/eV, spin factor included.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    temperature, fermi_level : float, tensor or ndarray of shape (...)
        T in K, μ in eV; they broadcast with the leading axes of `dos`.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        In eV; float64.

    Raises
    ------
    ValueError
        As :func:`n_electrons`.

    Notes
    -----
    With μ from :func:`fermi_level` of the same DOS, autograd gives the derivative at constant
    number of electrons, through μ as well.

    Examples
    --------
    >>> import numpy as np
    >>> energies = np.arange(0.0, 11.0)
    >>> e = band_energy(np.ones(11), energies, temperature=0, fermi_level=6.0)
    >>> round(float(e), 9)  # 18 from the grid, -1/6 from the tail below it
    17.833333333
    """
    check_arguments(dos, energies, temperature, fermi_level)
    above_fermi_level = integrate(dos, energies, temperature, fermi_level, "energy")
    electrons = integrate(dos, energies, temperature, fermi_level, "electrons")
    return above_fermi_level + fermi_level * electrons


@same_kind_out("dos", "energies", "temperature", "fermi_level")
def entropy(dos, energies, *, temperature, fermi_level):
    r"""Entropy term :math:`-TS = kT \int [f \ln f + (1-f) \ln(1-f)]\,D(E)\,dE` of a free energy.

    Parameters
    ----------
    dos : tensor or ndarray of shape (..., n_energies)
        D(E) in 1/eV, spin factor included.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    temperature, fermi_level : float, tensor or ndarray of shape (...)
        T in K, μ in eV; they broadcast with the leading axes of `dos`.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        -TS in eV, the negative number that is *added* to a total energy (pw.x prints it as
        "smearing contrib."); float64.

    Raises
    ------
    ValueError
        As :func:`n_electrons`.

    Examples
    --------
    >>> import numpy as np
    >>> energies = np.arange(0.0, 11.0)
    >>> minus_ts = entropy(np.ones(11), energies, temperature=300, fermi_level=5.0)
    >>> kT = 8.617333262e-5 * 300
    >>> round(float(minus_ts / kT**2), 6)  # Sommerfeld: -pi^2/3 D(mu)
    -3.289868
    """
    check_arguments(dos, energies, temperature, fermi_level)
    return integrate(dos, energies, temperature, fermi_level, "entropy")


def check_arguments(dos, energies, temperature, fermi_level=None):
    """Check the common arguments of integrals over a density of states."""
    check_energies(energies)
    check_last_axis("dos", dos, energies)
    check_finite("dos", dos)
    check_temperature(temperature)
    shapes = {"dos": dos.shape[:-1], "temperature": temperature.shape}
    if fermi_level is not None:
        check_finite("fermi_level", fermi_level)
        shapes["fermi_level"] = fermi_level.shape
    check_broadcast(shapes)


def check_broadcast(shapes):
    """Return the common shape of named shapes, or raise a ``ValueError``."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ValueError(f"leading axes must broadcast, got {listed}.") from None


def integrate(dos, energies, temperature, fermi_level, quantity):
    """Integrate D(E) g(E) over E, for checked float64 tensors."""
    return (weights(energies, temperature, fermi_level, quantity) * dos).sum(dim=-1)
