import numpy as np
import pytest
import torch

from skldos.physics.terms.hartree import hartree

COULOMB = 14.3996454784936  # e²/(4π ε0) in eV Å, from e, ε0 of CODATA 2018


def grid_points(cell, shape):
    fractional = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    return np.stack(fractional, -1) @ cell


# Exact solutions ----------------------------------------------------------------------------


def test_plane_waves(triclinic):
    # -∇²v = 4π e² n solved by hand: each wave of n, divided by G².
    r = grid_points(triclinic, (10, 9, 12))
    reciprocal = 2 * np.pi * np.linalg.inv(triclinic).T
    waves = [((1, 0, 0), 0.7, 0.1), ((0, -2, 1), 0.4, 1.0), ((3, 1, -4), 0.2, -0.6)]
    density, expected, energy = np.full(r.shape[:-1], 5.0), 0.0, 0.0
    for m, amplitude, phase in waves:
        G = m @ reciprocal
        wave = amplitude * np.cos(r @ G + phase)
        density = density + wave
        expected = expected + 4 * np.pi * COULOMB / (G @ G) * wave
        energy += np.linalg.det(triclinic) * np.pi * COULOMB * amplitude**2 / (G @ G)
    found, potential = hartree(density, triclinic)
    assert energy > 10
    # 14.3996... has 15 digits.
    assert found == pytest.approx(energy, rel=1e-9)
    np.testing.assert_allclose(potential, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_gradients(triclinic, rng):
    arguments = [torch.tensor(x, requires_grad=True) for x in (rng.random((3, 2, 4)), triclinic)]
    assert torch.autograd.gradcheck(hartree, arguments)
    assert torch.autograd.gradgradcheck(hartree, arguments)


@pytest.mark.parametrize("density_cutoff", [0, -3.0])
def test_bad_cutoff(triclinic, density_cutoff):
    with pytest.raises(ValueError, match=r"density_cutoff must be .*> 0"):
        hartree(np.ones((2, 2, 2)), triclinic, density_cutoff=density_cutoff)


# pw.x ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "functional"),
    [("si", "lda-pw"), ("si", "pbe"), ("si", "pbesol"), ("h2", "pbe")],
)
def test_espresso(espresso, system, functional):
    density, cell, density_cutoff, reference = espresso(system, functional)
    assert reference["hartree"] > 10
    for limit in (density_cutoff, None):
        energy, _ = hartree(density, cell, density_cutoff=limit)
        assert energy == pytest.approx(reference["hartree"], rel=0, abs=1e-11)
