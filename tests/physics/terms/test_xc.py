import functools
import math

import numpy as np
import pytest
import torch

from skldos.physics.terms.xc import (
    FUNCTIONALS,
    _pieces,
    exchange_correlation,
    pbe,
    perdew_wang,
    perdew_zunger,
    slater,
)
from skldos.units import BOHR, HARTREE, RYDBERG

CELL = np.array([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.5, 0.9, 3.6]])
GGA = ("pbe", "pbesol")
functionals = pytest.mark.parametrize("functional", FUNCTIONALS)
ggas = pytest.mark.parametrize("functional", GGA)


def density_of(rs):
    return 3 / (4 * math.pi * torch.as_tensor(rs, dtype=torch.float64) ** 3)


# Limits of the theory -----------------------------------------------------------------------


def test_dense_limit_of_perdew_zunger():
    energy = perdew_zunger.correlation(density_of(1e-8)).item()
    assert energy == pytest.approx(0.0311 * math.log(1e-8) - 0.048, abs=1e-8)


# libxc --------------------------------------------------------------------------------------

# The A of Perdew and Wang that libxc takes within its PBE.
MODIFIED = functools.partial(perdew_wang.correlation, A=0.0310907)


def _libxc_pbe(n, gradient2, *, mu, beta):
    """What libxc calls PBE: the same, with more digits of A."""
    correlation = MODIFIED(n) + pbe.correlation(n, gradient2, beta=beta, uniform=MODIFIED)
    return slater.exchange(n) + pbe.exchange(n, gradient2, mu=mu) + correlation


LIBXC = {
    "LDA_X": lambda n, _: slater.exchange(n),
    "LDA_C_PZ": lambda n, _: perdew_zunger.correlation(n),
    "LDA_C_PW": lambda n, _: perdew_wang.correlation(n),
    "LDA_C_PW_MOD": lambda n, _: MODIFIED(n),
    "GGA_X_PBE,GGA_C_PBE": functools.partial(_libxc_pbe, mu=pbe.MU, beta=pbe.BETA),
    "GGA_X_PBE_SOL,GGA_C_PBE_SOL": functools.partial(_libxc_pbe, mu=pbe.MU_SOL, beta=pbe.BETA_SOL),
}


@pytest.mark.parametrize("name", LIBXC)
def test_libxc(name):
    libxc = pytest.importorskip("pyscf.dft.libxc")
    n, s = np.meshgrid(np.logspace(-6, 2, 41), [1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0])
    n, s = n.ravel(), s.ravel()
    slope = s * 2 * (3 * math.pi**2) ** (1 / 3) * n ** (4 / 3)
    is_gga = name.startswith("GGA")
    rho = np.stack([n, slope, 0 * n, 0 * n]) if is_gga else n
    expected, slopes_of_libxc, *_ = libxc.eval_xc(name, rho, spin=0, deriv=1)

    n, gradient2 = (torch.tensor(x, requires_grad=True) for x in (n, slope**2))
    energy = LIBXC[name](n, gradient2)
    np.testing.assert_allclose(energy.detach().numpy(), expected, rtol=1e-13)
    inputs = (n, gradient2) if is_gga else (n,)
    slopes = torch.autograd.grad((n * energy).sum(), inputs)
    np.testing.assert_allclose(slopes[0].numpy(), slopes_of_libxc[0], rtol=1e-13)
    if is_gga:
        # At small gradients those of exchange and correlation cancel; relative to exchange's.
        (scale,) = torch.autograd.grad((n * pbe.exchange(n, gradient2)).sum(), gradient2)
        error = (slopes[1].numpy() - slopes_of_libxc[1]) / scale.numpy()
        assert np.abs(error).max() < 1e-12


# On a grid ----------------------------------------------------------------------------------


@functionals
def test_uniform_density(functional):
    # Without a gradient all are the uniform gas; its potential is d(n ε)/dn.
    n = torch.tensor(0.03, dtype=torch.float64, requires_grad=True)
    fit = perdew_zunger if functional == "lda-pz" else perdew_wang
    per_electron = slater.exchange(n) + fit.correlation(n)
    (slope,) = torch.autograd.grad(n * per_electron, n)
    density = np.full((3, 4, 5), 0.03 / BOHR**3)
    energy, potential = exchange_correlation(density, CELL, functional=functional)
    n_electrons = 0.03 / BOHR**3 * np.linalg.det(CELL)
    assert energy == pytest.approx(HARTREE * n_electrons * per_electron.item(), rel=1e-13)
    np.testing.assert_allclose(potential, HARTREE * slope.item(), rtol=1e-12)


def test_known_number():
    # One electron per 4π/3 bohr³, r_s = 1 but for Perdew and Zunger's step there:
    # ε = -0.458165 Ha (above) - 0.0596 Ha (B + D of their Table XII).
    volume = 4 * math.pi / 3 * BOHR**3 * (1 - 1e-9)
    density = np.full((2, 2, 2), 1 / volume)
    cell = volume ** (1 / 3) * np.eye(3)
    energy, _ = exchange_correlation(density, cell, functional="lda-pz")
    assert energy == pytest.approx(HARTREE * (-0.4581652933 - 0.0596), rel=1e-8)


@ggas
def test_gradient_of_a_plane_wave(functional):
    # n = a + b cos(G·r): |∇n|² = b² G² sin²(G·r), written out, in a triclinic cell.
    grid, m = (12, 10, 9), (2, -1, 3)
    G = m @ (2 * np.pi * np.linalg.inv(CELL).T)
    fractional = np.stack(np.meshgrid(*(np.arange(k) / k for k in grid), indexing="ij"), -1)
    phase = 2 * np.pi * fractional @ m
    density = 0.3 + 0.25 * np.cos(phase)
    gradient2 = torch.from_numpy(0.25**2 * (G @ G) * np.sin(phase) ** 2 * BOHR**8)
    n = torch.from_numpy(density * BOHR**3)
    mu, beta = (pbe.MU, pbe.BETA) if functional == "pbe" else (pbe.MU_SOL, pbe.BETA_SOL)
    correction = pbe.exchange(n, gradient2, mu=mu) + pbe.correlation(n, gradient2, beta=beta)
    volume = np.linalg.det(CELL) / BOHR**3
    expected = HARTREE * volume * (n * correction).mean().item()
    energy, _ = exchange_correlation(density, CELL, functional=functional)
    uniform, _ = exchange_correlation(density, CELL, functional="lda-pw")
    assert abs(expected) > 0.1
    assert energy - uniform == pytest.approx(expected, rel=1e-11)


@functionals
def test_core_charge_adds_to_the_density(functional, rng):
    density, core = 0.2 + 0.1 * rng.random((2, 4, 5, 6))
    together = exchange_correlation(density + core, CELL, functional=functional)
    apart = exchange_correlation(density, CELL, functional=functional, core_density=core)
    assert apart[0] == pytest.approx(together[0], rel=1e-14)
    np.testing.assert_allclose(apart[1], together[1], rtol=1e-13)
    alone = exchange_correlation(density, CELL, functional=functional)
    assert abs(alone[0] - apart[0]) > 1
    # A batch of densities shares one core charge.
    batch = exchange_correlation([density] * 2, CELL, functional=functional, core_density=core)
    np.testing.assert_allclose(batch[0], apart[0], rtol=1e-14)


@functionals
def test_negative_densities(functional, rng):
    # As in pw.x, ε_xc(|n|) n: the energy is odd and the potential even.
    density = 0.2 + 0.1 * rng.random((4, 5, 6))
    energy, potential = exchange_correlation(density, CELL, functional=functional)
    mirrored = exchange_correlation(-density, CELL, functional=functional)
    assert energy < -1
    assert mirrored[0] == pytest.approx(-energy, rel=1e-14)
    np.testing.assert_allclose(mirrored[1], potential, rtol=1e-13)


@functionals
@pytest.mark.parametrize("scale", [0.0, 1e-320, 1e-12, 1e-7, 1e-5])
def test_vacuum(functional, scale, rng):
    # Nothing, densities around the thresholds, and both signs: all derivatives stay finite.
    density = np.zeros((4, 5, 6))
    density[1:3] = scale * rng.standard_normal((2, 5, 6))
    density[0, 0, 0] = 0.3 * (scale > 0)
    n = torch.tensor(density, requires_grad=True)
    cell = torch.tensor(CELL, requires_grad=True)
    energy, potential = exchange_correlation(n, cell, functional=functional)
    assert energy.isfinite()
    assert potential.isfinite().all()
    total = energy - (n * potential).sum()
    for gradient in torch.autograd.grad(total, (n, cell), create_graph=True):
        assert gradient.isfinite().all()
    if scale == 0:
        assert energy == 0
        assert not potential.any()


@ggas
def test_where_the_gradient_vanishes(functional):
    # Homogeneous at some points, and exactly so: no division by |∇n|.
    n = torch.full((4, 4, 4), 0.3, dtype=torch.float64, requires_grad=True)
    energy, potential = exchange_correlation(n, CELL, functional=functional)
    (gradient,) = torch.autograd.grad(energy - (n * potential).sum(), n)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0.1


# Function in pieces -------------------------------------------------------------------------


def test_derivatives_in_pieces_are_those_of_autograd(monkeypatch):
    monkeypatch.setattr(_pieces, "PIECE", 5)
    n = torch.linspace(0.1, 2.0, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
    m = torch.linspace(1.0, 0.2, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()

    def function(n, m):
        return (n * m).sin() / m + n**3

    def derivatives(values):
        found = []
        for _ in range(3):
            first, second = torch.autograd.grad((values * n).sum(), (n, m), create_graph=True)
            found += [first, second]
            values = first * second
        return found

    pieces = derivatives(_pieces.in_pieces(function, n, m))
    for found, expected in zip(pieces, derivatives(function(n, m)), strict=True):
        assert expected.abs().max() > 0.1
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("functional", ["lda-pz", "pbe"])
def test_gradients(functional, rng):
    density, core = (torch.tensor(0.3 + 0.2 * rng.random((2, 2, 3))) for _ in range(2))
    arguments = [x.requires_grad_() for x in (density, torch.tensor(CELL), core)]

    def function(density, cell, core):
        return exchange_correlation(density, cell, functional=functional, core_density=core)

    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments, fast_mode=True)


def test_errors():
    density = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match=r"functional must be one of 'lda-pz', .*; got 'blyp'"):
        exchange_correlation(density, CELL, functional="blyp")
    with pytest.raises(ValueError, match=r"core_density must have the grid .* \(2, 3, 4\), got"):
        exchange_correlation(density, CELL, functional="pbe", core_density=np.ones((3, 2, 4)))


# pw.x ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "functional"),
    [("si", "lda-pw"), ("si", "pbe"), ("si", "pbesol"), ("h2", "pbe")],
)
def test_espresso(espresso, system, functional):
    density, cell, density_cutoff, reference = espresso(system, functional)
    assert reference["xc"] < -10
    for limit in (density_cutoff, None):
        energy, potential = exchange_correlation(
            density, cell, functional=functional, density_cutoff=limit
        )
        assert energy == pytest.approx(reference["xc"], rel=0, abs=1e-11)
        voxel = np.linalg.det(cell) / density.size
        integral = voxel * (density * potential).sum()
        assert integral == pytest.approx(reference["vxc"], rel=0, abs=1e-11)


def test_espresso_tells_the_details_apart(espresso, monkeypatch):
    # With libxc's A, or without pw.x's thresholds, the energies above would be off.
    density, cell, _, reference = espresso("si", "pbe")
    modified = functools.partial(_libxc_pbe, mu=pbe.MU, beta=pbe.BETA)
    monkeypatch.setitem(FUNCTIONALS, "pbe", (lambda n: 0 * n, modified))
    energy, _ = exchange_correlation(density, cell, functional="pbe")
    assert 1e-5 < energy - reference["xc"] < 3e-5
    monkeypatch.undo()
    density, cell, _, reference = espresso("h2", "pbe")
    path = "skldos.physics.terms.xc.energy.SMALLEST_CORRECTED_GRADIENT2"
    monkeypatch.setattr(path, 0.0)
    energy, _ = exchange_correlation(density, cell, functional="pbe")
    assert 1e-6 < reference["xc"] - energy < 1e-4


@pytest.mark.parametrize("folder", ["al4", "al32"])
def test_aluminium_against_pw(shared_data, folder):
    for path in sorted((shared_data / folder).glob("*.npz")):
        with np.load(path) as data:
            at = {"functional": "lda-pz", "density_cutoff": 4 * float(data["ecutwfc"]) * RYDBERG}
            energy, _ = exchange_correlation(data["density"], data["cell"], **at)
            assert data["xc"] < -80
            assert energy == pytest.approx(float(data["xc"]), rel=0, abs=4e-7), path.name
