import importlib

import numpy as np
import pytest
import torch

from skldos.geometry import wrap
from skldos.io import read_upf
from skldos.physics.pseudopotential import Pseudopotential
from skldos.physics.terms.core_charge import core_charge, form_factor, has_core_charge
from skldos.units import BOHR, RYDBERG

CELL = np.array([[4.0, 0.2, 0.1], [-1.0, 3.5, 0.3], [0.4, -0.7, 5.0]])
GRID = (30, 28, 36)
#: Charge, and exponent in 1/Å², of Gaussian cores. On GRID their waves end at 1e-12.
GAUSSIANS = {"A": (1.7, 3.0), "B": (0.6, 2.0)}


def gaussian(symbol, charge, exponent):
    """A pseudopotential with core Q (β/π)^(3/2) exp(-β r²) on a logarithmic mesh."""
    radii = 1e-6 * np.exp(0.0125 * np.arange(1289))
    density = charge * (exponent / np.pi) ** 1.5 * np.exp(-exponent * radii**2)
    mesh = {"radii": radii, "radial_weights": 0.0125 * radii}
    return Pseudopotential(symbol, 2.0, core_density=density, **mesh)


@pytest.fixture(scope="module")
def pseudopotentials():
    """Two species with cores and one without."""
    known = {symbol: gaussian(symbol, *core) for symbol, core in GAUSSIANS.items()}
    return known | {"C": Pseudopotential("C", 4.0)}


@pytest.fixture
def atoms(rng):
    """Positions, inside the cell and not, and symbols."""
    return rng.uniform(-1, 2, (4, 3)) @ CELL, ["A", "B", "A", "C"]


def grid_points(cell, shape):
    i = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return i / shape @ cell


# Numbers ------------------------------------------------------------------------------------


def test_gaussian_cores_everywhere(atoms, pseudopotentials):
    positions, symbols = atoms
    points, expected = grid_points(CELL, GRID), np.zeros(GRID)
    # From atoms in the cell, images beyond these are 6 Å and exp(-80) away.
    home = wrap(positions, CELL)
    images = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3) @ CELL
    for position, symbol in zip(home[:3], symbols, strict=False):
        charge, exponent = GAUSSIANS[symbol]
        for image in images:
            r2 = ((points - position - image) ** 2).sum(-1)
            expected += charge * (exponent / np.pi) ** 1.5 * np.exp(-exponent * r2)
    assert expected.max() > 1
    for method in ("direct", "mesh"):
        n = core_charge(positions, CELL, GRID, symbols, pseudopotentials, method=method)
        assert np.allclose(n, expected, rtol=0, atol=1e-12)


def test_form_factor_of_a_gaussian(pseudopotentials):
    G2 = torch.linspace(0, 500, 999, dtype=torch.float64, requires_grad=True)
    f = form_factor(G2, pseudopotentials["A"])
    charge, exponent = GAUSSIANS["A"]
    expected = charge * torch.exp(-G2.detach() / (4 * exponent))
    assert torch.allclose(f, expected, rtol=0, atol=1e-12)
    (slope,) = torch.autograd.grad(f.sum(), G2, create_graph=True)
    assert torch.allclose(slope, -expected / (4 * exponent), rtol=0, atol=1e-12)
    (curvature,) = torch.autograd.grad(slope.sum(), G2)
    # Two derivatives of a series of a hundred terms magnify the rounding of its end.
    assert torch.allclose(curvature, expected / (4 * exponent) ** 2, rtol=0, atol=1e-11)


def test_chebyshev_series_is_the_sum_over_the_mesh(shared_data):
    f, sum_over_mesh = form_factor_of_beryllium(shared_data)
    # f falls from 0.45 to 3e-6 up to 800/Å².
    assert sum_over_mesh[-1] < 1e-5 < 0.1 < sum_over_mesh[0]
    assert np.allclose(f, sum_over_mesh, rtol=0, atol=1e-13)


def form_factor_of_beryllium(shared_data):
    """Our form factor, and Simpson's rule as pw.x 6.7 (drhoc, simpson) applies it."""
    core = beryllium(shared_data)
    r, w = core.radii, core.radial_weights
    n = np.argmax(r > 10 * BOHR) + 1
    n = 2 * ((n + 1) // 2) - 1
    G2 = np.linspace(0, 800, 200)
    x = np.sqrt(G2)[:, None] * r[:n]
    integrand = 4 * np.pi * r[:n] ** 2 * core.core_density[:n] * np.sinc(x / np.pi) * w[:n]
    total = integrand[:, :-2:2] + 4 * integrand[:, 1:-1:2] + integrand[:, 2::2]
    return form_factor(torch.tensor(G2), core).numpy(), total.sum(1) / 3


def beryllium(shared_data):
    return read_upf(shared_data / "be2" / "Be.pbe-n-rrkjus_psl.1.0.0.UPF")


# Laws ---------------------------------------------------------------------------------------


def test_only_waves_of_the_sphere_and_with_a_sign_are_there(atoms, pseudopotentials):
    grid, density_cutoff = (8, 9, 10), 40.0
    m = np.stack(np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in grid], indexing="ij"), axis=-1)
    G2 = ((m @ (2 * np.pi * np.linalg.inv(CELL).T)) ** 2).sum(-1)
    known = (m[..., 0] != -4) & (m[..., 2] != -5)
    kinetic = RYDBERG * BOHR**2 * G2
    inside = known & (kinetic <= density_cutoff)
    for limit, expected in ((None, known), (density_cutoff, inside)):
        n = core_charge(atoms[0], CELL, grid, atoms[1], pseudopotentials, density_cutoff=limit)
        waves = np.abs(np.fft.fftn(n, norm="forward"))
        assert 1 < expected.sum() < expected.size
        assert waves[~expected].max() < 1e-15
        assert waves[expected].min() > 1e-10


@pytest.mark.parametrize("density_cutoff", [None, 60.0])
@pytest.mark.parametrize("method", ["direct", "mesh"])
def test_gradients_are_those_of_finite_differences(method, density_cutoff, atoms, pseudopotentials):
    positions, symbols = atoms
    weights = torch.tensor(np.random.default_rng(3).normal(size=(8, 9, 10)))

    def functional(positions, cell):
        n = core_charge(
            positions,
            cell,
            (8, 9, 10),
            symbols,
            pseudopotentials,
            density_cutoff=density_cutoff,
            method=method,
        )
        return (weights * n).sum()

    arguments = [torch.tensor(a, requires_grad=True) for a in (positions, CELL)]
    gradients = torch.autograd.grad(functional(*arguments), arguments)
    assert min(g.abs().max() for g in gradients) > 0.1
    assert torch.autograd.gradcheck(functional, arguments, atol=1e-6)


def test_many_atoms_go_on_a_mesh(atoms, pseudopotentials, monkeypatch):
    given = (atoms[0], CELL, (12, 14, 16), atoms[1], pseudopotentials)
    direct, mesh = (core_charge(*given, method=method) for method in ("direct", "mesh"))
    assert np.array_equal(core_charge(*given), direct)
    assert not np.array_equal(direct, mesh)
    # In the corners of this coarse grid f is still 1e-3 of its maximum.
    assert np.allclose(direct, mesh, rtol=0, atol=1e-8)
    module = importlib.import_module("skldos.physics.terms.core_charge")
    monkeypatch.setattr(module, "MANY_ATOMS", 1)
    assert np.array_equal(core_charge(*given), mesh)
    monkeypatch.setattr(module, "PIECE", 100)
    assert np.allclose(core_charge(*given, method="direct"), direct, rtol=0, atol=1e-15)


# Interface ----------------------------------------------------------------------------------


def test_species_without_core_contribute_nothing(atoms, pseudopotentials):
    n = core_charge(atoms[0], CELL, (4, 4, 4), ["C"] * 4, pseudopotentials)
    assert np.array_equal(n, np.zeros((4, 4, 4)))
    assert has_core_charge(pseudopotentials)
    assert not has_core_charge({"C": pseudopotentials["C"]})


def test_kind_of_the_result(atoms, pseudopotentials):
    n = core_charge(*map(torch.tensor, (atoms[0], CELL)), (4, 4, 4), atoms[1], pseudopotentials)
    assert isinstance(n, torch.Tensor)
    assert n.dtype == torch.float64
    one_point = core_charge(atoms[0], CELL, (1, 1, 1), atoms[1], pseudopotentials)
    assert one_point.item() == pytest.approx(4 / abs(np.linalg.det(CELL)), rel=1e-13)


def test_bad_input_is_refused(atoms, pseudopotentials):
    positions, symbols = atoms
    with pytest.raises(ValueError, match="one symbol per position, 4, got 3"):
        core_charge(positions, CELL, GRID, symbols[:3], pseudopotentials)
    with pytest.raises(ValueError, match=r"got none for \['X'\]"):
        core_charge(positions, CELL, GRID, ["A", "A", "A", "X"], pseudopotentials)
    with pytest.raises(ValueError, match="one with a core charge, got none"):
        core_charge(positions, CELL, GRID, ["C"] * 4, {"C": pseudopotentials["C"]})
    with pytest.raises(TypeError, match="must be a mapping"):
        core_charge(positions, CELL, GRID, symbols, list(pseudopotentials.values()))
    with pytest.raises(ValueError, match="density_cutoff must be > 0"):
        core_charge(positions, CELL, GRID, symbols, pseudopotentials, density_cutoff=0.0)
    with pytest.raises(ValueError, match="method must be one of"):
        core_charge(positions, CELL, GRID, symbols, pseudopotentials, method="pme")
    with pytest.raises(ValueError, match="grid_shape must be three"):
        core_charge(positions, CELL, (4, 4), symbols, pseudopotentials)
    with pytest.raises(ValueError, match="three linearly independent"):
        core_charge(positions, 0 * CELL, GRID, symbols, pseudopotentials)
