"""Laws of terms of the total energy, functions of a density and of the ions."""

import dataclasses

import numpy as np
import torch

from skldos.physics.terms import low_pass
from skldos.testing._checks import named, require, run
from skldos.testing.changes import ROTATION

#: Wave vectors of the smooth densities go up to this kinetic energy in eV, within the grids.
CUTOFF = 90.0
CELL = np.array([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.5, 0.9, 3.6]])
GRIDS = ((8, 9, 10), (9, 8, 11))


@dataclasses.dataclass(frozen=True)
class System:
    """All that an energy may depend on; NumPy arrays or tensors, in Å and 1/Å³.

    Attributes
    ----------
    cell : array of shape (3, 3)
        Lattice vectors as rows.
    density, core_density : array of shape (n_x, n_y, n_z)
        Densities of the valence electrons and of the pseudo-cores.
    positions : array of shape (n_atoms, 3)
        Of the ions.
    charges : array of shape (n_atoms,)
        Their valence charges.

    Examples
    --------
    >>> from skldos.physics import hartree
    >>> from skldos.testing import System, check_term
    >>> check_term(lambda system: hartree(system.density, system.cell)[0])
    """

    cell: object
    density: object
    core_density: object
    positions: object
    charges: object

    def replace(self, **changes):
        """Return a copy with some of the fields changed."""
        return dataclasses.replace(self, **changes)

    def on_grid(self, move):
        """Apply a function of (grid axes...) arrays to both densities."""
        moved = (move(self.density).copy(), move(self.core_density).copy())
        return self.replace(density=moved[0], core_density=moved[1])

    def to_torch(self, **changes):
        """Return a copy with tensors in double precision."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | changes
        return System(**{k: torch.as_tensor(v, dtype=torch.float64) for k, v in fields.items()})


def check_term(term):
    """Check that a term of the total energy obeys the laws of all of them.

    Its energy is that of the crystal, however this is described: translations, names of the axes,
    handedness, lattice shifts of ions, rotations, inversion, supercells. Its derivative by the cell
    is right.

    Parameters
    ----------
    term : callable
        Takes a :class:`~skldos.testing.System` of arrays or of tensors, returns an energy in eV.

    Raises
    ------
    AssertionError
        If a law does not hold; the message names it.

    Examples
    --------
    >>> from skldos.physics import ewald
    >>> from skldos.testing import check_term
    >>> check_term(lambda system: ewald(system.positions, system.cell, system.charges))
    """
    run(term_checks(term), getattr(term, "__name__", repr(term)))


def term_checks(term):
    """Return the checks of :func:`check_term` one by one.

    Parameters
    ----------
    term : callable
        As in :func:`check_term`.

    Returns
    -------
    list of (str, callable)
        Names and checks to be called without arguments.

    Examples
    --------
    >>> from skldos.physics import ewald
    >>> from skldos.testing import term_checks
    >>> checks = term_checks(lambda s: ewald(s.positions, s.cell, s.charges))
    >>> dict(checks)["rotations"]()
    """
    return named(CHECKS, term)


def check_translations(term):
    """Check: density and ions can be moved together."""
    shift = (3, -2, 4)
    for system in _systems(noise=True):
        moved = system.on_grid(lambda n: np.roll(n, shift, (-3, -2, -1)))
        by = (np.array(shift) / system.density.shape) @ system.cell
        _same_energy(term, system, moved.replace(positions=system.positions + by))


def check_lattice_shifts(term):
    """Check: each ion can be moved by a different lattice vector."""
    for system in _systems():
        shifts = np.random.default_rng(1).integers(-2, 3, system.positions.shape) @ system.cell
        _same_energy(term, system, system.replace(positions=system.positions + shifts))


def check_inversion(term):
    """Check: a mirror image has the same energy."""
    for system in _systems():
        moved = system.on_grid(lambda n: np.roll(np.flip(n), 1, (-3, -2, -1)))
        require(not np.allclose(moved.density, system.density), "the system is its own image")
        _same_energy(term, system, moved.replace(positions=-system.positions))


def check_names_of_axes(term):
    """Check: lattice vectors can be in another order; swapping two gives a left-handed cell."""
    for system in _systems():
        for axes in ((1, 2, 0), (1, 0, 2)):
            moved = system.on_grid(lambda n, axes=axes: n.transpose(axes))
            _same_energy(term, system, moved.replace(cell=system.cell[list(axes)]))


def check_another_cell(term):
    """Check: oblique vectors of the same lattice give the same energy, on the same grid points."""
    matrix = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    system = make_system((12, 12, 12))
    ijk = np.stack(np.meshgrid(*[np.arange(12)] * 3, indexing="ij"), axis=-1) @ matrix % 12
    moved = system.on_grid(lambda n: n[tuple(np.moveaxis(ijk, -1, 0))])
    # The waves of both grids differ, but not those of the density.
    _same_energy(term, system, moved.replace(cell=matrix @ system.cell), rtol=1e-3)


def check_rotations(term):
    """Check: rotations in space do not change the energy."""
    for system in _systems():
        cell, positions = system.cell @ ROTATION, system.positions @ ROTATION
        _same_energy(term, system, system.replace(cell=cell, positions=positions))


def check_supercells(term):
    """Check: twice the cell has twice the energy, along each axis."""
    for system in _systems():
        for axis in range(3):
            cell = system.cell.copy()
            cell[axis] *= 2
            double = system.on_grid(lambda n, axis=axis: np.concatenate([n, n], axis)).replace(
                cell=cell,
                positions=np.concatenate([system.positions, system.positions + system.cell[axis]]),
                charges=np.tile(system.charges, 2),
            )
            _same_energy(term, system, double, times=2)


def check_gradient_by_the_cell(term):
    """Check: the derivative by the cell is that of the energy."""
    system, rng = make_system(GRIDS[0], noise=0.05), np.random.default_rng(2)
    direction = rng.standard_normal((3, 3))
    cell = torch.tensor(system.cell, requires_grad=True)
    (gradient,) = torch.autograd.grad(term(system.to_torch(cell=cell)), cell)
    expected = (gradient.numpy() * direction).sum()
    errors = []
    for h in (1e-2, 3e-3, 1e-3, 3e-4):
        ahead, behind, near, back = (
            term(system.replace(cell=CELL + s * direction)) for s in (h, -h, h / 2, -h / 2)
        )
        found = (8 * (near - back) - (ahead - behind)) / (6 * h)
        errors.append(abs(found - expected) / abs(expected))
    require(min(errors) < 1e-8, f"the derivative is off by {min(errors):.2g}")


def check_arguments_are_left_alone(term):
    """Check: a term does not change its arguments."""
    system = make_system(GRIDS[0])
    before = {f.name: getattr(system, f.name).copy() for f in dataclasses.fields(system)}
    term(system)
    for name, value in before.items():
        require(np.array_equal(getattr(system, name), value), f"{name} was changed")


CHECKS = (
    check_translations,
    check_lattice_shifts,
    check_inversion,
    check_names_of_axes,
    check_another_cell,
    check_rotations,
    check_supercells,
    check_gradient_by_the_cell,
    check_arguments_are_left_alone,
)


def make_system(grid, noise=0.0):
    """Return a system with long waves, which all grids resolve, and optional noise.

    A wave that changes sign from point to point has two wave vectors, n/2 and -n/2, of which the
    FFT knows one only: it would break symmetries.
    """
    rng = np.random.default_rng(0)

    def field():
        waves = low_pass(rng.standard_normal(grid), CELL, density_cutoff=CUTOFF)
        return (waves - waves.min()) / np.ptp(waves) + noise * rng.random(grid)

    density, core = 0.1 + 0.4 * field(), (0.1 + 0.4 * field()) / 4
    return System(CELL, density, core, rng.random((4, 3)) @ CELL, rng.random(4) + 0.5)


def _systems(noise=False):
    return [make_system(grid, noise=0.05 if noise else 0.0) for grid in GRIDS]


def _same_energy(term, system, moved, times=1, rtol=1e-12):
    expected, found = times * term(system), term(moved)
    require(abs(expected) > 1e-2, f"an energy of {expected} eV tells nothing")
    require(
        abs(found - expected) <= rtol * abs(expected), f"energy {found} eV, expected {expected} eV"
    )
