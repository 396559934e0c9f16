"""Laws that every term of the total energy obeys; a new term joins by one line in a list."""

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
from skldos.testing import term_checks
from skldos.testing.terms import CELL, CUTOFF, GRIDS, make_system

# The terms ----------------------------------------------------------------------------------


def _hartree(system, density_cutoff=None):
    return hartree(system.density, system.cell, density_cutoff=density_cutoff)


def _xc(system, functional, with_core, density_cutoff=None):
    core = system.core_density if with_core else None
    return exchange_correlation(
        system.density,
        system.cell,
        functional=functional,
        core_density=core,
        density_cutoff=density_cutoff,
    )


def _core_charge(system):
    r = np.linspace(0, 4, 401)
    mesh = {"radii": r, "radial_weights": np.full(401, 0.01)}
    atom = Pseudopotential("X", 1, core_density=0.3 * np.exp(-((r / 0.6) ** 2)), **mesh)
    symbols, grid = ["X"] * len(system.positions), system.density.shape
    at = (system.positions, system.cell, grid, symbols, {"X": atom})
    return core_charge(*at, density_cutoff=CUTOFF)


#: Terms of the density: functions of a system that return an energy and a potential.
OF_DENSITY = {
    "hartree": _hartree,
    "hartree, cutoff": functools.partial(_hartree, density_cutoff=CUTOFF),
    **{
        f"{functional}{', core' if core else ''}": functools.partial(
            _xc, functional=functional, with_core=core
        )
        for functional in FUNCTIONALS
        for core in (False, True)
    },
    "pbe, core, cutoff": functools.partial(
        _xc, functional="pbe", with_core=True, density_cutoff=CUTOFF
    ),
}

#: All terms: functions of a system that return an energy. Terms without a potential join here.
TERMS = {
    **{name: lambda s, term=term: term(s)[0] for name, term in OF_DENSITY.items()},
    "ewald": lambda s: ewald(s.positions, s.cell, s.charges),
    "pbe, core charge": lambda s: _xc(s.replace(core_density=_core_charge(s)), "pbe", True)[0],
}

of_density = pytest.mark.parametrize("term", OF_DENSITY.values(), ids=OF_DENSITY)


def rough(grid=(5, 4, 6)):
    """Return a system with noise, and so with all waves that fit on the grid."""
    return make_system(grid, noise=0.05)


def slope(function, at, direction, steps=(1e-2, 3e-3, 1e-3, 3e-4)):
    """Directional derivatives by five points, one for each step."""

    def central(h):
        return (function(at + h * direction) - function(at - h * direction)) / (2 * h)

    return np.array([(4 * central(h / 2) - central(h)) / 3 for h in steps])


# Laws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{term}: {name}")
        for term, function in TERMS.items()
        for name, check in term_checks(function)
    ],
)
def test_laws_of_all_terms(check):
    check()


@of_density
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_potential_is_the_derivative_of_the_energy(term, grid, rng):
    system = rough(grid)
    direction = system.core_density + 0.02 * rng.standard_normal(grid)
    voxel = np.linalg.det(CELL) / np.prod(grid)
    expected = voxel * (term(system)[1] * direction).sum()
    found = slope(lambda n: term(system.replace(density=n))[0], system.density, direction)
    assert abs(expected) > 1e-3
    error = np.abs(found - expected) / abs(expected)
    assert error.min() < 1e-8
    assert error.max() < 1e-3  # from the largest step on, so that it is no lucky zero


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name in OF_DENSITY
        for argument in ("density", "core_density", "cell")
        if "core" in name or argument != "core_density"
    ],
)
def test_gradients_with_the_double_counting_term(name, argument, rng):
    # E - ∫ n v: the total energy holds it, and its gradient is a second derivative.
    term, system = OF_DENSITY[name], rough()
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
def test_second_derivatives_are_symmetric(term, rng):
    # ∫ a (δv/δn) b = ∫ b (δv/δn) a
    system = rough()
    n = torch.tensor(system.density, requires_grad=True)
    _, potential = term(system.to_torch(density=n))
    a, b = torch.from_numpy(rng.standard_normal((2, 5, 4, 6)))
    along = [torch.autograd.grad(potential, n, x, retain_graph=True)[0] for x in (a, b)]
    there, back = (along[0] * b).sum().item(), (along[1] * a).sum().item()
    assert abs(there) > 1e-3
    assert there == pytest.approx(back, rel=1e-9)


# Arrays -------------------------------------------------------------------------------------


@of_density
def test_kinds_and_precisions(term):
    system = rough()
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
def test_batches_equal_loops(term, rng):
    system = rough()
    densities = 0.2 + 0.1 * rng.random((2, 3, 5, 4, 6))
    energies, potentials = term(system.replace(density=densities))
    assert energies.shape == (2, 3)
    assert potentials.shape == densities.shape
    for i, j in np.ndindex(2, 3):
        energy, potential = term(system.replace(density=densities[i, j]))
        assert energies[i, j] == pytest.approx(energy, rel=1e-13)
        np.testing.assert_allclose(potentials[i, j], potential, rtol=1e-12, atol=1e-12)


@of_density
def test_grad_mode_of_the_caller(term):
    system = rough()
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
def test_arguments_are_left_alone(term, moving_cell):
    system = rough().to_torch()
    system.cell.requires_grad_(moving_cell)
    before = system.density.clone()
    term(system)
    assert torch.equal(system.density, before)
    assert not system.density.requires_grad
    assert not system.core_density.requires_grad


@of_density
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_everything_stays_on_the_gpu(term):
    system = rough()
    n = torch.tensor(system.density, device="cuda", requires_grad=True)
    energy, potential = term(system.replace(density=n))
    assert energy.device.type == potential.device.type == "cuda"
    assert energy.item() == pytest.approx(term(system)[0], rel=1e-12)
    potential.sum().backward()
    assert n.grad.isfinite().all()


@of_density
def test_errors(term):
    system = rough()
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
def test_a_cutoff_acts_on_the_density(name):
    # Energies are those of the filtered density; potentials, derivatives by the unfiltered one,
    # are filtered too.
    system = rough((8, 9, 10))
    before = system.replace(density=low_pass(system.density, CELL, density_cutoff=CUTOFF))
    term = OF_DENSITY[name]
    energy, potential = OF_DENSITY[f"{name}, cutoff"](system)
    assert abs(energy - term(system)[0]) > 1e-3
    assert energy == pytest.approx(term(before)[0], rel=1e-13)
    expected = low_pass(term(before)[1], CELL, density_cutoff=CUTOFF)
    np.testing.assert_allclose(potential, expected, rtol=1e-11, atol=1e-11)
