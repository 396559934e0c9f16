r"""Derivatives of the total free energy with respect to the LDOS, the positions and the cell.

The free energy is a function of the DOS and the density, both linear in the LDOS up to the Fermi
level, so that its derivative has rank two,

.. math::

    \frac{\partial A}{\partial d(r, E_i)} = \Delta V\, a_i + g(r)\, w_i, \qquad
    g(r) = \frac{\partial A}{\partial n(r)}, \quad
    a_i = \frac{\partial}{\partial D_i}
          \Big[E_\mathrm{band} - TS + \sum_j w_j(\mu)\, s_j\Big], \quad
    s_j = \sum_r g(r)\, d(r, E_j) \text{ held fixed},

with the weights :math:`w_i(\mu)` of :func:`integration_weights`. Two vectors and one field are
sufficient; no array as large as the LDOS is created.
"""

from typing import NamedTuple

import numpy as np
import torch

from skldos.physics.arrays import autograd, slabs, to_float64
from skldos.physics.density import density
from skldos.physics.dos import dos_from_ldos
from skldos.physics.quadrature import weights
from skldos.physics.structure import Structure, check_electrons
from skldos.physics.total_energy import (
    TotalEnergy,
    band_terms,
    breakdown,
    check_ldos,
    density_terms,
)


class Response(NamedTuple):
    """A total energy with its first derivatives; see :func:`total_energy_response`.

    Attributes
    ----------
    energy : TotalEnergy
        In eV.
    dos : ndarray of shape (n_energies,)
        In 1/eV.
    density : ndarray of shape (n_x, n_y, n_z)
        In 1/Å³.
    by_dos, by_density, weights : ndarray of shape (n_energies,), (n_x, n_y, n_z), (n_energies,)
        The two terms of ∂A/∂d: ``by_dos[i] + by_density[r] * weights[i]``, which :meth:`by_ldos`
        adds up for a slice of the grid.
    by_positions : ndarray of shape (n_atoms, 3)
        In eV/Å, with d(r, E) fixed on a grid that moves with the cell.
    by_strain : ndarray of shape (3, 3)
        In eV, with the same fixed. Strain ε maps every row vector x to x (1 + ε).
    """

    energy: TotalEnergy
    dos: np.ndarray
    density: np.ndarray
    by_dos: np.ndarray
    by_density: np.ndarray
    weights: np.ndarray
    by_positions: np.ndarray
    by_strain: np.ndarray

    def by_ldos(self, start, stop):
        """Return the derivative with respect to the LDOS at a slice of the flattened grid.

        Parameters
        ----------
        start, stop : int
            Bounds of the slice.

        Returns
        -------
        ndarray of shape (stop - start, n_energies)
            ∂A/∂d(r, E) in eV · eV Å³.
        """
        g = self.by_density.reshape(-1)[start:stop]
        return self.by_dos + g[:, None] * self.weights


@autograd()
def total_energy_response(
    ldos,
    energies,
    *,
    atoms,
    temperature,
    n_electrons,
    pseudopotentials,
    functional=None,
    density_cutoff=None,
    assume_isolated=None,
):
    r"""Total free energy and its first derivatives.

    Parameters
    ----------
    ldos : ndarray of shape (n_x, n_y, n_z, n_energies)
        d(r, E) in 1/(eV Å³). A memory map is read in pieces, three times.
    energies, atoms, temperature, n_electrons, pseudopotentials, functional
        See :func:`total_energy`.
    density_cutoff, assume_isolated
        See :func:`total_energy`.

    Returns
    -------
    Response
        The energy, DOS and density, and derivatives by LDOS, positions and strain.

    Raises
    ------
    FermiLevelError, ValueError
        As :func:`total_energy`.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> from skldos.physics import Pseudopotential
    >>> snapshot = load_aluminium(temperature=298)[0]
    >>> response = total_energy_response(
    ...     snapshot.ldos,
    ...     snapshot.energies,
    ...     atoms=snapshot.atoms,
    ...     temperature=298.0,
    ...     n_electrons=12,
    ...     pseudopotentials={"Al": Pseudopotential("Al", 3, functional="lda-pz")},
    ... )
    >>> response.by_ldos(0, 10).shape, response.by_positions.shape
    ((10, 81), (4, 3))
    """
    check_ldos(ldos)
    structure = _checked(atoms, pseudopotentials, n_electrons)
    settings = {"temperature": temperature, "n_electrons": n_electrons}
    energies = to_float64("energies", energies)
    voxel = structure.volume / np.prod(ldos.shape[:3])
    dos = to_float64("dos", dos_from_ldos(ldos, float(voxel))).requires_grad_()
    bands = band_terms(dos, energies, **settings)
    mu = bands["fermi_level"]
    n = density(ldos, energies.numpy(), temperature=temperature, fermi_level=mu.item())
    w = weights(energies, to_float64("temperature", temperature), mu, "electrons")
    terms = pseudopotentials, functional, density_cutoff, assume_isolated
    return _response(bands, dos, n, w, lambda g: w @ _projection(ldos, g), structure, terms)


@autograd()
def response_of_fields(
    dos,
    density,
    density_slope,
    energies,
    *,
    atoms,
    temperature,
    n_electrons,
    pseudopotentials,
    functional=None,
    density_cutoff=None,
    assume_isolated=None,
):
    r"""Compute :func:`total_energy_response` from the DOS and density, without the LDOS.

    The DOS has shape (n_energies,), in 1/eV; the density in 1/Å³, at the Fermi level of this DOS,
    and its derivative by the level in 1/(eV Å³) have shape (n_x, n_y, n_z). The sums :math:`s_j`
    enter only as :math:`\sum_j s_j\, dw_j/d\mu = \sum_r g(r)\, \partial n(r)/\partial \mu`.
    """
    structure = _checked(atoms, pseudopotentials, n_electrons)
    energies = to_float64("energies", energies)
    dos = to_float64("dos", dos).clone().requires_grad_()
    bands = band_terms(dos, energies, temperature=temperature, n_electrons=n_electrons)
    mu = bands["fermi_level"]
    w = weights(energies, to_float64("temperature", temperature), mu, "electrons")
    slope = to_float64("density_slope", density_slope)
    terms = pseudopotentials, functional, density_cutoff, assume_isolated
    return _response(bands, dos, density, w, lambda g: mu * (g * slope).sum(), structure, terms)


def _checked(atoms, pseudopotentials, n_electrons):
    structure = Structure.of(atoms).to_tensors()
    check_electrons(structure.symbols, pseudopotentials, n_electrons)
    return structure


def _response(bands, dos, n, w, through_levels, structure, terms):
    """Return the response; `through_levels` of g has the derivative of w(μ)·s by the DOS."""
    n = to_float64("density", n).requires_grad_()
    voxel = structure.volume / n.numel()
    positions = structure.positions.detach().requires_grad_()
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    deformation = torch.eye(3, dtype=torch.float64) + strain
    deformed = Structure(positions @ deformation, structure.cell @ deformation, structure.symbols)
    terms = density_terms(n, deformed, *terms)
    energy = sum(terms.values())
    by_density, by_positions, by_strain = torch.autograd.grad(energy, (n, positions, strain))

    through_dos = bands["band"] + bands["minus_ts"] + through_levels(by_density)
    (by_dos,) = torch.autograd.grad(through_dos, dos)
    # D = ΔV Σ d grows with the voxel.
    by_strain = by_strain + (by_dos @ dos.detach()) * torch.eye(3, dtype=torch.float64)
    results = (dos, n, by_dos * voxel, by_density, w, by_positions, by_strain)
    return Response(
        breakdown(bands | terms, keep=False), *(tensor.detach().numpy() for tensor in results)
    )


def _projection(ldos, g):
    """Sum g(r) d(r, E) over the grid, by pieces."""
    total, start = 0.0, 0
    for piece in slabs("ldos", ldos):
        stop = start + len(piece)
        total = total + torch.einsum("xyz,xyze->e", g[start:stop], piece)
        start = stop
    return total
