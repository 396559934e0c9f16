r"""Local potential of the electrons, and its change from free atoms to self-consistency.

A calculation starts from superposed free atoms. At self-consistency, the potential has changed by

.. math::

    \Delta V(r) = v_H[n](r) + v_{xc}[n + n_c](r)
                - v_H[n_0](r) - v_{xc}[n_0 + n_c](r), \qquad
    n_0(r) = \sum_B n_B(|r - t_B|),

with the densities :math:`n_B` of free atoms. The potential of the ions cancels, so :math:`\Delta V`
is as smooth as the density of the valence electrons.
"""

import torch

from skldos.physics.arrays import same_kind_out
from skldos.physics.pseudopotential import Pseudopotential
from skldos.physics.structure import common_functional
from skldos.physics.terms import core_charge, exchange_correlation, hartree, has_core_charge
from skldos.physics.terms.low_pass import low_pass


def atomic_density(positions, cell, grid_shape, symbols, pseudopotentials, *, density_cutoff=None):
    r"""Superposed density :math:`n_0(r)` of free atoms, from which pw.x starts.

    Parameters
    ----------
    positions : tensor or ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    grid_shape : tuple of 3 int
        Points along each of them.
    symbols : sequence of str
        Chemical symbol of each atom.
    pseudopotentials : mapping of str to Pseudopotential
        By chemical symbol, with the densities of the atoms.
    density_cutoff : float, optional
        Kinetic energy in eV up to which waves are kept (pw.x's ecutrho); None keeps all.

    Returns
    -------
    tensor or ndarray of shape grid_shape
        In 1/Å³; differentiable with respect to positions and cell.

    Raises
    ------
    ValueError
        If shapes disagree, or an atom has no pseudopotential or one without an atomic density.

    Examples
    --------
    >>> import numpy as np
    >>> r = np.linspace(0, 5, 501)
    >>> mesh = {"radii": r, "radial_weights": np.full(501, 0.01)}
    >>> density = np.exp(-(r**2)) / np.pi**1.5
    >>> h = {"H": Pseudopotential("H", 1, **mesh, atomic_density=density)}
    >>> n = atomic_density(np.zeros((1, 3)), 6 * np.eye(3), (18, 18, 18), ["H"], h)
    >>> float((n.sum() * (6 / 18) ** 3).round(6))
    1.0
    """
    atoms = {symbol: _atom_as_core(pseudopotentials, symbol) for symbol in set(symbols)}
    return core_charge(positions, cell, grid_shape, symbols, atoms, density_cutoff=density_cutoff)


def _atom_as_core(pseudopotentials, symbol):
    """Return a pseudopotential whose core charge is the density of the free atom."""
    # Core charges and atomic densities are superposed in the same way: form factors, cut at 10 bohr
    # as in pw.x.
    if symbol not in pseudopotentials:
        raise ValueError(
            f"pseudopotentials must have one for each of the symbols, got none for {symbol}."
        )
    atom = pseudopotentials[symbol]
    if atom.atomic_density is None:
        raise ValueError(
            f"pseudopotentials[{symbol!r}] must have the density of the free atom, atomic_density, "
            f"got none in {atom!r}."
        )
    mesh = {"radii": atom.radii, "radial_weights": atom.radial_weights}
    return Pseudopotential(symbol, atom.valence, **mesh, core_density=atom.atomic_density)


@same_kind_out("density", "cell")
def effective_potential(density, cell, *, functional, core_density=None, density_cutoff=None):
    r"""Potential of the electrons themselves, :math:`v_H[n] + v_{xc}[n + n_c]`.

    With the potential of the ions added, it is the local potential of the Kohn-Sham equations.

    Parameters
    ----------
    density : tensor or ndarray of shape (n_x, n_y, n_z)
        Density n of the valence electrons in 1/Å³.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}
        Exchange-correlation functional.
    core_density : tensor or ndarray of shape (n_x, n_y, n_z), optional
        Pseudo-core charge n_c in 1/Å³.
    density_cutoff : float, optional
        Kinetic energy in eV up to which waves of the density are kept (pw.x's ecutrho).

    Returns
    -------
    tensor or ndarray of shape (n_x, n_y, n_z)
        In eV. The Hartree potential has zero mean; the exchange-correlation potential is not
        shifted.

    Examples
    --------
    >>> import numpy as np
    >>> V = effective_potential(np.full((4, 4, 4), 0.2), 4 * np.eye(3), functional="lda-pz")
    >>> print(f"{V[0, 0, 0]:.4f}")
    -9.7011
    """
    n = low_pass(density, cell, density_cutoff=density_cutoff)
    v_xc = exchange_correlation(n, cell, functional=functional, core_density=core_density)[1]
    return hartree(n, cell)[1] + v_xc


def potential_change(density, atoms, pseudopotentials, *, functional=None, density_cutoff=None):
    r"""Change :math:`\Delta V(r)` of the potential from free atoms to a density.

    See the module for the formula.

    Parameters
    ----------
    density : tensor or ndarray of shape (n_x, n_y, n_z)
        Density of the valence electrons in 1/Å³, on the FFT grid of the cell.
    atoms : ase.Atoms
        Or anything with its `positions` (Å), `cell` (Å, vectors as rows) and `symbols`.
    pseudopotentials : mapping of str to Pseudopotential
        By chemical symbol, with the densities of the atoms, as :func:`skldos.io.read_upf` returns
        them.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; None uses the functional of the pseudopotentials.
    density_cutoff : float, optional
        Kinetic energy in eV up to which waves of the densities are kept (pw.x's ecutrho); None
        keeps all that the grid holds.

    Returns
    -------
    tensor or ndarray of shape (n_x, n_y, n_z)
        In eV.

    Raises
    ------
    ValueError
        If shapes disagree, or an atom has no pseudopotential or one without an atomic density.

    Examples
    --------
    For superposed free atoms, the change is zero.

    >>> import numpy as np
    >>> from ase import Atoms
    >>> r = np.linspace(0, 5, 501)
    >>> mesh = {"radii": r, "radial_weights": np.full(501, 0.01), "functional": "lda-pz"}
    >>> h = {"H": Pseudopotential("H", 1, **mesh, atomic_density=np.exp(-(r**2)) / np.pi**1.5)}
    >>> atoms = Atoms("H", cell=4 * np.eye(3), pbc=True)
    >>> n0 = atomic_density(atoms.positions, atoms.cell.array, (9, 9, 9), ["H"], h)
    >>> float(abs(potential_change(n0, atoms, h)).max())
    0.0
    """
    symbols = tuple(atoms.symbols)
    positions, cell = atoms.positions, atoms.cell
    cell = cell if isinstance(cell, torch.Tensor) else cell.array
    functional = common_functional(symbols, pseudopotentials, functional)
    grid_shape, used = tuple(density.shape), {s: pseudopotentials[s] for s in set(symbols)}
    n0 = atomic_density(positions, cell, grid_shape, symbols, used, density_cutoff=density_cutoff)
    core = None
    if has_core_charge(used):
        core = core_charge(
            positions, cell, grid_shape, symbols, used, density_cutoff=density_cutoff
        )
    settings = {"functional": functional, "core_density": core, "density_cutoff": density_cutoff}
    V, V0 = (effective_potential(n, cell, **settings) for n in (density, n0))
    return V - V0
