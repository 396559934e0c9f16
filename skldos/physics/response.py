r"""How the total free energy changes with the LDOS, the positions and the cell.

The free energy is a function of the DOS and the density, both linear in the LDOS up to the Fermi
level, so that its derivative has rank two,

.. math::

    \frac{\partial A}{\partial d(r, E_i)} = \Delta V\, a_i + g(r)\, w_i, \qquad
    g(r) = \frac{\partial A}{\partial n(r)}, \quad
    a_i = \frac{\partial}{\partial D_i}
          \Big[E_\mathrm{band} - TS + \sum_j w_j(\mu)\, s_j\Big], \quad
    s_j = \sum_r g(r)\, d(r, E_j) \text{ held fixed},

with the weights :math:`w_i(\mu)` of :func:`integration_weights`. Two vectors and one field say
all; an array as large as the LDOS is never made.
"""

from typing import NamedTuple

import numpy as np
import torch

from skldos.physics._arrays import slabs, to_float64
from skldos.physics.density import density
from skldos.physics.dos import dos_from_ldos
from skldos.physics.quadrature import weights
from skldos.physics.total_energy import (
    Structure,
    TotalEnergy,
    band_terms,
    breakdown,
    check_electrons,
    check_ldos,
    density_terms,
)


class Response(NamedTuple):
    """A total energy with its first derivatives; see :func:`total_energy_response`."""

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


def total_energy_response(
    ldos,
    energies,
    *,
    atoms,
    temperature,
    n_electrons,
    pseudopotentials,
    functional=None,
    cutoff=None,
):
    r"""Total free energy and its first derivatives.

    Parameters
    ----------
    ldos : ndarray of shape (n_x, n_y, n_z, n_energies)
        d(r, E) in 1/(eV Å³). A memory map is read in pieces, three times.
    energies, atoms, temperature, n_electrons, pseudopotentials, functional, cutoff
        See :func:`total_energy`.

    Returns
    -------
    Response
        A named tuple of

        - `energy`, a :class:`TotalEnergy`;
        - `dos` (n_energies,) in 1/eV and `density` (n_x, n_y, n_z) in 1/Å³;
        - `by_dos` (n_energies,), `by_density` (n_x, n_y, n_z) and `weights` (n_energies,), the
          two terms of ∂A/∂d: ``by_dos[i] + by_density[r] * weights[i]``; its method `by_ldos`
          adds them up for a slice of the grid;
        - `by_positions` (n_atoms, 3) in eV/Å and `by_strain` (3, 3) in eV, the derivatives at
          fixed d(r, E) on a grid that moves with the cell. Strain ε takes every vector x, a row,
          to x (1 + ε).

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
    structure = Structure.of(atoms).to_tensors()
    check_electrons(structure.symbols, pseudopotentials, n_electrons)
    check_ldos(ldos)
    settings = {"temperature": temperature, "n_electrons": n_electrons}
    energies = to_float64("energies", energies)
    voxel = structure.volume / np.prod(ldos.shape[:3])

    with torch.enable_grad():
        dos = to_float64("dos", dos_from_ldos(ldos, float(voxel))).requires_grad_()
        bands = band_terms(dos, energies, **settings)
    mu = bands["fermi_level"]
    n = density(ldos, energies.numpy(), temperature=temperature, fermi_level=mu.item())

    n = to_float64("density", n).requires_grad_()
    positions = structure.positions.detach().requires_grad_()
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        deformation = torch.eye(3, dtype=torch.float64) + strain
        deformed = Structure(
            positions @ deformation, structure.cell @ deformation, structure.symbols
        )
        terms = density_terms(n, deformed, pseudopotentials, functional, cutoff)
        energy = sum(terms.values())
    by_density, by_positions, by_strain = torch.autograd.grad(energy, (n, positions, strain))

    s = _projection(ldos, by_density)
    with torch.enable_grad():
        w = weights(energies, to_float64("temperature", temperature), mu, "electrons")
        through_dos = bands["band"] + bands["minus_ts"] + w @ s
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
