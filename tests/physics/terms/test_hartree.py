import json

import numpy as np
import pytest
import torch

from skldos.datasets import load_aluminium
from skldos.physics.terms.hartree import hartree
from skldos.units import RYDBERG

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


def test_bundled_aluminium_against_pw():
    # pw.x prints 1e-8 Ry; the densities are stored in single precision.
    for snapshot in load_aluminium():
        energy, _ = hartree(
            snapshot.density, snapshot.atoms.cell.array, density_cutoff=48 * RYDBERG
        )
        assert snapshot.reference["hartree"] > 0.7
        assert energy == pytest.approx(snapshot.reference["hartree"], rel=0, abs=2e-7)


@pytest.mark.parametrize("folder", ["al4", "al32"])
def test_aluminium_against_pw(shared_data, folder):
    for path in sorted((shared_data / folder).glob("*.npz")):
        with np.load(path) as data:
            density_cutoff = 4 * float(data["ecutwfc"]) * RYDBERG
            energy, _ = hartree(data["density"], data["cell"], density_cutoff=density_cutoff)
            assert data["hartree"] > 0.7
            assert energy == pytest.approx(float(data["hartree"]), rel=0, abs=2e-7), path.name


def test_beryllium_by_the_code_of_pw(shared_data):
    folder = shared_data / "be2"
    info = json.loads((folder / "Be_snapshot0.info.json").read_text())
    density = np.load(folder / "Be_snapshot0.dens.npy")[..., 0]
    cell = np.array(info["voxel"]["array"]) * np.array(density.shape)[:, None]
    # MALA 1.4.0's interface to pw.x, on the same density; printed with seven digits.
    energy, _ = hartree(density, cell, density_cutoff=info["ecutrho"] * RYDBERG)
    assert energy == pytest.approx(0.0617528, rel=0, abs=5.1e-8)
