r"""Physics of the local density of states: arrays in, arrays out.

Every function takes torch tensors or NumPy arrays and returns the same kind, in eV, Å and K
and in float64 (float32 is upcast). Tensors keep their gradients and their device, so that you can
differentiate an energy down to the network that predicted the LDOS. Leading axes are batches.

The LDOS d(r, E), in 1/(eV Å³) with the spin factor included, gives

- the density of states :math:`D(E) = \Delta V \sum_r d(r, E)`: :func:`dos_from_ldos`;
- the Fermi level μ, from :math:`\int f D\,dE = N_e`: :func:`fermi_level`;
- the band energy :math:`\int E f D\,dE`: :func:`band_energy`;
- the entropy term -TS, a negative energy that is added: :func:`entropy`;
- the electron density :math:`n(r) = \int f\,d(r, E)\,dE`: :func:`density`; states at an energy or
  in a window: :func:`ldos_at`, :func:`integrated_ldos`;

and with them, in the bookkeeping of Quantum ESPRESSO's pw.x, the total free energy

.. math::

    A = E_\mathrm{band} - \int n\,(v_H + v_{xc})\,dr + E_H + E_{xc} + E_\mathrm{Ewald} - TS

term by term: :func:`total_energy`. Single terms of the density and the ions: :func:`hartree`,
:func:`exchange_correlation`, :func:`ewald`, and the pseudo-core charge, :func:`core_charge`, of a
:class:`Pseudopotential`. :func:`total_energy_response` returns the derivatives of A, from which
forces are computed.

The local potential of a density, and its change relative to superposed free atoms:
:func:`effective_potential`, :func:`potential_change`.

Electrons hotter than those of the calculation: :func:`electronic_free_energy`,
:func:`electronic_heat_capacity`.

The broadening of an LDOS biases all of these; :func:`sharpening_matrix` undoes it.

A band energy is only as accurate as its Fermi level: take μ from the same DOS, at the exact number
of electrons. All integrals over E are exact for a DOS that is linear between its energies;
:func:`integration_weights` returns them as weights.
"""

from skldos.physics.completeness import electron_deficit
from skldos.physics.density import density, integrated_ldos, ldos_at
from skldos.physics.dos import band_energy, dos_from_ldos, entropy, n_electrons
from skldos.physics.fermi import fermi_level
from skldos.physics.hot_electrons import electronic_free_energy, electronic_heat_capacity
from skldos.physics.polylog import polylog
from skldos.physics.potential import atomic_density, effective_potential, potential_change
from skldos.physics.pseudopotential import Pseudopotential
from skldos.physics.quadrature import integration_weights
from skldos.physics.response import Response, total_energy_response
from skldos.physics.sharpening import sharpening_matrix
from skldos.physics.smearing import broadening, entropy_density, occupation
from skldos.physics.terms import core_charge, ewald, exchange_correlation, hartree, low_pass
from skldos.physics.total_energy import TotalEnergy, total_energy

__all__ = [
    "occupation",
    "entropy_density",
    "broadening",
    "polylog",
    "integration_weights",
    "dos_from_ldos",
    "sharpening_matrix",
    "fermi_level",
    "electron_deficit",
    "n_electrons",
    "band_energy",
    "entropy",
    "electronic_free_energy",
    "electronic_heat_capacity",
    "density",
    "integrated_ldos",
    "ldos_at",
    "low_pass",
    "hartree",
    "exchange_correlation",
    "core_charge",
    "ewald",
    "Pseudopotential",
    "TotalEnergy",
    "total_energy",
    "atomic_density",
    "effective_potential",
    "potential_change",
    "Response",
    "total_energy_response",
]
