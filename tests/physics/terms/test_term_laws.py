"""Laws that every term of the total energy obeys; a new term joins by one line in a list."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from skldos.physics.pseudopotential import Pseudopotential
from skldos.physics.terms.core_charge import core_charge
from skldos.physics.terms.ewald import ewald
from skldos.physics.terms.hartree import hartree
from skldos.physics.terms.low_pass import low_pass
from skldos.physics.terms.xc import FUNCTIONALS, exchange_correlation


@dataclasses.dataclass(frozen=True)
class System:
    """All that an energy may depend on; NumPy arrays or tensors, in Å and 1/Å³."""

    cell: object
    density: object
    core_density: object
    positions: object
    charges: object

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    def to_torch(self, **changes):
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | changes
        return System(**{k: torch.as_tensor(v, dtype=torch.float64) for k, v in fields.items()})


# The terms ----------------------------------------------------------------------------------

CUTOFF = 90.0  # eV; within the grids below


def _hartree(system, cutoff=None):
    return hartree(system.density, system.cell, cutoff=cutoff)


def _xc(system, functional, with_core, cutoff=None):
    core = system.core_density if with_core else None
    return exchange_correlation(
        system.density, system.cell, functional=functional, core_density=core, cutoff=cutoff
    )


def _core_charge(system):
    r = np.linspace(0, 4, 401)
    mesh = {"radii": r, "radial_weights": np.full(401, 0.01)}
    atom = Pseudopotential("X", 1, core_density=0.3 * np.exp(-((r / 0.6) ** 2)), **mesh)
    symbols, grid = ["X"] * len(system.positions), system.density.shape
    at = (system.positions, system.cell, grid, symbols, {"X": atom})
    return core_charge(*at, cutoff=CUTOFF)


#: Terms of the density: functions of a system that return an energy and a potential.
OF_DENSITY = {
    "hartree": _hartree,
    "hartree, cutoff": functools.partial(_hartree, cutoff=CUTOFF),
    **{
        f"{functional}{', core' if core else ''}": functools.partial(
            _xc, functional=functional, with_core=core
        )
        for functional in FUNCTIONALS
        for core in (False, True)
    },
    "pbe, core, cutoff": functools.partial(_xc, functional="pbe", with_core=True, cutoff=CUTOFF),
}

#: All terms: functions of a system that return an energy. Terms without a potential join here.
TERMS = {
    **{name: lambda s, term=term: term(s)[0] for name, term in OF_DENSITY.items()},
    "ewald": lambda s: ewald(s.positions, s.cell, s.charges),
    "pbe, core charge": lambda s: _xc(s.replace(core_density=_core_charge(s)), "pbe", True)[0],
}

of_density = pytest.mark.parametrize("term", OF_DENSITY.values(), ids=OF_DENSITY)
terms = pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
grids = pytest.mark.parametrize("grid", [(8, 9, 10), (9, 8, 11)], ids=str)


# Systems ------------------------------------------------------------------------------------

CELL = np.array([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.5, 0.9, 3.6]])


def long_waves(rng, grid):
    """A random field between 0 and 1 of waves that every grid below resolves."""
    field = low_pass(rng.standard_normal(grid), CELL, CUTOFF)
    return (field - field.min()) / np.ptp(field)


@pytest.fixture
def smooth(rng):
    """Function that makes a system of long waves.

    A wave that changes sign from point to point has two wave vectors, n/2 and -n/2, of which the
    FFT knows one only: it would break the symmetries.
    """

    def make(grid):
        density, core = (0.1 + 0.4 * long_waves(rng, grid) for _ in range(2))
        return System(CELL, density, core / 4, rng.random((4, 3)) @ CELL, rng.random(4) + 0.5)

    return make


@pytest.fixture
def rough(smooth, rng):
    """Function that makes a system with noise, and so with all waves that fit on the grid."""

    def make(grid):
        return on_grid(smooth(grid), lambda n: n + 0.05 * rng.random(grid))

    return make


def on_grid(system, move):
    """Apply a function of (grid axes...) arrays to both densities."""
    return system.replace(
        density=move(system.density).copy(), core_density=move(system.core_density).copy()
    )


def slope(function, at, direction, steps=(1e-2, 3e-3, 1e-3, 3e-4)):
    """Directional derivatives by five points, one for each step."""

    def central(h):
        return (function(at + h * direction) - function(at - h * direction)) / (2 * h)

    return np.array([(4 * central(h / 2) - central(h)) / 3 for h in steps])


# Laws ---------------------------------------------------------------------------------------


@of_density
@grids
def test_potential_is_the_derivative_of_the_energy(term, grid, rough, rng):
    system = rough(grid)
    direction = 0.1 * long_waves(rng, grid) + 0.02 * rng.standard_normal(grid)
    voxel = np.linalg.det(CELL) / np.prod(grid)
    expected = voxel * (term(system)[1] * direction).sum()
    found = slope(lambda n: term(system.replace(density=n))[0], system.density, direction)
    assert abs(expected) > 1e-3
    error = np.abs(found - expected) / abs(expected)
    assert error.min() < 1e-8
    assert error.max() < 1e-3  # from the largest step on, so that it is no lucky zero


@terms
def test_gradient_by_the_cell(term, rough, rng):
    system = rough((8, 9, 10))
    direction = rng.standard_normal((3, 3))
    cell = torch.tensor(CELL, requires_grad=True)
    (gradient,) = torch.autograd.grad(term(system.to_torch(cell=cell)), cell)
    expected = (gradient.numpy() * direction).sum()
    found = slope(lambda cell: term(system.replace(cell=cell)), CELL, direction)
    assert abs(expected) > 1e-2
    assert (np.abs(found - expected) / abs(expected)).min() < 1e-8


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name in OF_DENSITY
        for argument in ("density", "core_density", "cell")
        if "core" in name or argument != "core_density"
    ],
)
def test_gradients_with_the_double_counting_term(name, argument, rough, rng):
    # E - ∫ n v: the total energy holds it, and its gradient is a second derivative.
    term, system = OF_DENSITY[name], rough((5, 4, 6))
    start = getattr(system, argument)
    direction = 0.1 * start * rng.random(start.shape)

    def energy(value):
        s = system.to_torch(**{argument: value})
        e, potential = term(s)
        volume = torch.linalg.det(s.cell) / s.density.numel()
        return e - volume * (s.density * potential).sum()

    at = torch.tensor(start, requires_grad=True)
    (gradient,) = torch.autograd.grad(energy(at), at)
    expected = (gradient.numpy() * direction).sum()
    found = slope(lambda x: energy(x).item(), start, direction)
    assert abs(expected) > 1e-3
    assert (np.abs(found - expected) / abs(expected)).min() < 1e-7


@of_density
def test_second_derivatives_are_symmetric(term, rough, rng):
    # ∫ a (δv/δn) b = ∫ b (δv/δn) a
    system = rough((5, 4, 6))
    n = torch.tensor(system.density, requires_grad=True)
    _, potential = term(system.to_torch(density=n))
    a, b = torch.from_numpy(rng.standard_normal((2, 5, 4, 6)))
    along = [torch.autograd.grad(potential, n, x, retain_graph=True)[0] for x in (a, b)]
    there, back = (along[0] * b).sum().item(), (along[1] * a).sum().item()
    assert abs(there) > 1e-3
    assert there == pytest.approx(back, rel=1e-9)


@terms
@grids
def test_translations(term, grid, rough):
    system = rough(grid)
    shift = (3, -2, 4)
    moved = on_grid(system, lambda n: np.roll(n, shift, (-3, -2, -1))).replace(
        positions=system.positions + (np.array(shift) / grid) @ CELL
    )
    assert abs(term(system)) > 1e-2
    assert term(moved) == pytest.approx(term(system), rel=1e-12)


@terms
@grids
def test_inversion(term, grid, smooth):
    system = smooth(grid)
    moved = on_grid(system, lambda n: np.roll(np.flip(n), 1, (-3, -2, -1))).replace(
        positions=-system.positions
    )
    assert not np.allclose(moved.density, system.density)
    assert abs(term(system)) > 1e-2
    assert term(moved) == pytest.approx(term(system), rel=1e-12)


@terms
@grids
@pytest.mark.parametrize("axes", [(1, 2, 0), (1, 0, 2)], ids=["cyclic", "swapped"])
def test_naming_of_the_axes(term, grid, axes, smooth):
    # Swapping two makes a left-handed cell.
    system = smooth(grid)
    moved = on_grid(system, lambda n: n.transpose(axes)).replace(cell=CELL[list(axes)])
    assert abs(term(system)) > 1e-2
    assert term(moved) == pytest.approx(term(system), rel=1e-12)


@terms
def test_rotations(term, smooth):
    system = smooth((8, 9, 10))
    rotation = np.linalg.qr([[1.0, 2, 3], [-2, 1, 4], [0, 3, -1]])[0]
    moved = system.replace(cell=CELL @ rotation, positions=system.positions @ rotation)
    assert abs(term(system)) > 1e-2
    assert term(moved) == pytest.approx(term(system), rel=1e-12)


@terms
@pytest.mark.parametrize("axis", [0, 1, 2])
@grids
def test_doubled_cell_has_twice_the_energy(term, axis, grid, smooth):
    system = smooth(grid)
    cell = CELL.copy()
    cell[axis] *= 2
    double = on_grid(system, lambda n: np.concatenate([n, n], axis)).replace(
        cell=cell,
        positions=np.concatenate([system.positions, system.positions + CELL[axis]]),
        charges=np.tile(system.charges, 2),
    )
    assert abs(term(system)) > 1e-2
    assert term(double) == pytest.approx(2 * term(system), rel=1e-12)


# Arrays -------------------------------------------------------------------------------------


@of_density
def test_kinds_and_precisions(term, rough):
    system = rough((5, 4, 6))
    energy, potential = term(system)
    assert isinstance(energy, np.float64)
    assert isinstance(potential, np.ndarray)
    assert potential.shape == (5, 4, 6)
    tensors = term(system.to_torch())
    assert all(torch.is_tensor(x) and x.dtype == torch.float64 for x in tensors)
    assert not any(x.requires_grad for x in tensors)
    assert tensors[0].item() == pytest.approx(energy, rel=1e-14)
    np.testing.assert_allclose(tensors[1].numpy(), potential, rtol=1e-13, atol=1e-13)
    # float32 goes in as the float64 numbers that it stands for.
    single = system.density.astype(np.float32)
    upcast = term(system.replace(density=single.astype(np.float64)))
    for got, expected in zip(term(system.replace(density=single)), upcast, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, expected)


@of_density
def test_batches_equal_loops(term, rough, rng):
    system = rough((5, 4, 6))
    densities = 0.2 + 0.1 * rng.random((2, 3, 5, 4, 6))
    energies, potentials = term(system.replace(density=densities))
    assert energies.shape == (2, 3)
    assert potentials.shape == densities.shape
    for i, j in np.ndindex(2, 3):
        energy, potential = term(system.replace(density=densities[i, j]))
        assert energies[i, j] == pytest.approx(energy, rel=1e-13)
        np.testing.assert_allclose(potentials[i, j], potential, rtol=1e-12, atol=1e-12)


@of_density
def test_grad_mode_of_the_caller(term, rough):
    system = rough((5, 4, 6))
    expected = term(system)
    n = torch.tensor(system.density, requires_grad=True)
    with torch.no_grad():
        quiet = term(system.to_torch(density=n))
    loud = term(system.to_torch(density=n))
    for silent, speaking, value in zip(quiet, loud, expected, strict=True):
        assert not silent.requires_grad
        assert speaking.requires_grad
        np.testing.assert_allclose(silent.numpy(), value, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(speaking.detach().numpy(), value, rtol=1e-13, atol=1e-13)
    assert n.grad is None
    # The derivative that autograd takes of the energy is the potential.
    (gradient,) = torch.autograd.grad(loud[0], n)
    voxel = np.linalg.det(CELL) / n.numel()
    np.testing.assert_allclose(gradient.numpy() / voxel, expected[1], rtol=1e-11, atol=1e-11)


@of_density
@pytest.mark.parametrize("moving_cell", [False, True])
def test_arguments_are_left_alone(term, moving_cell, rough):
    system = rough((5, 4, 6)).to_torch()
    system.cell.requires_grad_(moving_cell)
    before = system.density.clone()
    term(system)
    assert torch.equal(system.density, before)
    assert not system.density.requires_grad
    assert not system.core_density.requires_grad


@of_density
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_everything_stays_on_the_gpu(term, rough):
    system = rough((5, 4, 6))
    n = torch.tensor(system.density, device="cuda", requires_grad=True)
    energy, potential = term(system.replace(density=n))
    assert energy.device.type == potential.device.type == "cuda"
    assert energy.item() == pytest.approx(term(system)[0], rel=1e-12)
    potential.sum().backward()
    assert n.grad.isfinite().all()


@of_density
def test_errors(term, rough):
    system = rough((5, 4, 6))
    with pytest.raises(ValueError, match=r"density must have the three axes of a grid, .*\(4, 6\)"):
        term(system.replace(density=system.density[0], core_density=system.core_density[0]))
    broken = system.density.copy()
    broken[0, 1, 2] = np.nan
    with pytest.raises(ValueError, match="density must be finite, got 1 NaN"):
        term(system.replace(density=broken))
    with pytest.raises(ValueError, match="cell must have three linearly independent vectors"):
        term(system.replace(cell=np.diag([1.0, 2.0, 0.0])))
    with pytest.raises(TypeError, match="density must be real"):
        term(system.replace(density=torch.ones((5, 4, 6), dtype=torch.complex128)))


# A cutoff ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hartree", "pbe, core"])
def test_a_cutoff_acts_on_the_density(name, rough):
    # Energies are those of the filtered density; potentials, derivatives by the unfiltered one,
    # are filtered too.
    system = rough((8, 9, 10))
    before = system.replace(density=low_pass(system.density, CELL, CUTOFF))
    term = OF_DENSITY[name]
    energy, potential = OF_DENSITY[f"{name}, cutoff"](system)
    assert abs(energy - term(system)[0]) > 1e-3
    assert energy == pytest.approx(term(before)[0], rel=1e-13)
    expected = low_pass(term(before)[1], CELL, CUTOFF)
    np.testing.assert_allclose(potential, expected, rtol=1e-11, atol=1e-11)
