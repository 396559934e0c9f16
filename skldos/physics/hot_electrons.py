r"""Hot electrons: free energy and heat capacity at another temperature, for a frozen DOS.

The free energy of a self-consistent calculation is stationary in the density. With the atoms fixed,
its change with the electronic temperature T therefore comes from the occupations alone, to second
order in the change of the density. A density of states D at one temperature is enough [1]_:

.. math:: A(T) - A(T_0) \approx F(T) - F(T_0), \qquad F(T) = E_\mathrm{band}(T) - T S(T).

References
----------
.. [1] C. Ben Mahmoud, F. Grasselli, M. Ceriotti, "Predicting hot-electron free energies from
   ground-state data", Phys. Rev. B 106, L121116 (2022).
"""

import torch

from skldos.exceptions import FermiLevelError
from skldos.physics.arrays import autograd, check_finite, same_kind_out
from skldos.physics.dos import band_energy, entropy, integrate
from skldos.physics.fermi import fermi_level
from skldos.units import BOLTZMANN

#: A DOS must reach this many kT beyond the Fermi level; the occupation there is e^-10, or 5e-5.
TAIL_IN_KT = 10.0


@same_kind_out("dos", "energies", "temperature", "n_electrons")
def electronic_free_energy(dos, energies, *, temperature, n_electrons):
    r"""Free energy of the electrons in a density of states, :math:`F = E_\mathrm{band} - TS`.

    Its difference between two temperatures is that of the total free energy (frozen DOS).

    Parameters
    ----------
    dos : tensor or ndarray of shape (..., n_energies)
        D(E) in 1/eV, spin factor included.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV; they must reach about 10 kT above the Fermi level.
    temperature : float, tensor or ndarray of shape (...)
        T in K; broadcasts with the leading axes of `dos`.
    n_electrons : float, tensor or ndarray of shape (...)
        :math:`N_e > 0`; broadcasts as well.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        In eV; float64. The derivative with respect to D is taken at a constant number of electrons:
        in :func:`integration_weights`, the weights of ``"grand_potential"`` plus μ times the
        weights of ``"electrons"``.

    Raises
    ------
    FermiLevelError
        If the energies cannot hold the electrons.
    ValueError
        As :func:`fermi_level`.

    Examples
    --------
    >>> import numpy as np
    >>> energies = np.arange(-5.0, 16.0)
    >>> dos = np.where(energies >= 0, 1.0, 0.0)
    >>> F = electronic_free_energy(dos, energies, temperature=[0, 3000.0], n_electrons=8)
    >>> kT = 8.617333262e-5 * 3000
    >>> round(float((F[1] - F[0]) / kT**2), 6)  # Sommerfeld: -pi^2/6 D(mu)
    -1.644934
    """
    mu = fermi_level(dos, energies, temperature=temperature, n_electrons=n_electrons)
    state = {"temperature": temperature, "fermi_level": mu}
    free_energy = band_energy(dos, energies, **state) + entropy(dos, energies, **state)
    check_finite("the free energy", free_energy)  # energies of 1e300 eV overflow
    return free_energy


@same_kind_out("dos", "energies", "temperature", "n_electrons")
def electronic_heat_capacity(dos, energies, *, temperature, n_electrons):
    r"""Heat capacity of the electrons in a density of states at constant volume and atoms.

    .. math::

        C = T \frac{dS}{dT}\Big|_{N_e} = T \left[ \frac{\partial S}{\partial T}\Big|_\mu -
        \left( \frac{\partial N}{\partial T}\Big|_\mu \right)^2 \Big/
        \frac{\partial N}{\partial \mu}\Big|_T \right],

    by Maxwell's relation :math:`\partial S/\partial\mu = \partial N/\partial T`.

    Parameters
    ----------
    dos, energies, temperature, n_electrons
        As for :func:`electronic_free_energy`.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        In eV/K; float64, 0 at T = 0. Tensors come without gradients.

    Raises
    ------
    FermiLevelError
        If the energies cannot hold the electrons.
    ValueError
        As :func:`fermi_level`.

    Examples
    --------
    >>> import numpy as np
    >>> energies = np.arange(-5.0, 16.0)
    >>> dos = np.where(energies >= 0, 1.0, 0.0)
    >>> C = electronic_heat_capacity(dos, energies, temperature=3000.0, n_electrons=8)
    >>> k = 8.617333262e-5
    >>> round(float(C / (k**2 * 3000)), 6)  # Sommerfeld: pi^2/3 D(mu)
    3.289868
    """
    dos, energies, temperature, n_electrons = (
        value.detach() for value in (dos, energies, temperature, n_electrons)
    )
    mu = fermi_level(dos, energies, temperature=temperature, n_electrons=n_electrons)
    cold = temperature == 0
    with autograd():
        T = torch.where(cold, 1.0, temperature).expand(mu.shape).clone().requires_grad_()
        mu = mu.clone().requires_grad_()
        N = integrate(dos, energies, T, mu, "electrons")
        S = -integrate(dos, energies, T, mu, "entropy") / T
        N_T, N_mu = torch.autograd.grad(N.sum(), (T, mu))
        (S_T,) = torch.autograd.grad(S.sum(), T)
    gap = N_mu.abs() < torch.finfo(torch.float64).tiny
    exchanged = torch.where(gap, 0.0, N_T**2 / torch.where(gap, 1.0, N_mu))
    return torch.where(cold, 0.0, T.detach() * (S_T - exchanged))


def check_reach(energies, *, temperature, fermi_level):
    """Raise a ``FermiLevelError`` if a DOS ends less than 10 kT above the Fermi level."""
    kT = BOLTZMANN * temperature
    above = float(energies[-1]) - float(fermi_level)
    if above < TAIL_IN_KT * kT:
        raise FermiLevelError(
            f"the energies of the DOS must reach {TAIL_IN_KT:g} kT above the Fermi level, to "
            f"{fermi_level + TAIL_IN_KT * kT:.1f} eV for {temperature:g} K, but they end at "
            f"{energies[-1]:g} eV, {above:.1f} eV above it, which is enough for "
            f"{max(above, 0.0) / TAIL_IN_KT / BOLTZMANN:.0f} K."
        )
