"""Slabs whose images do not act on them: laws, and pw.x with assume_isolated='2D'.

``data/slab.npz`` has what pw.x 6.7 made of two slabs of two layers, Al and Al-Mg (cells of 2.86 and
12 Å with one atom per layer, 10 Ry, 4×4×1 k points, Fermi-Dirac smearing of 0.01 Ry): densities
(from its ``charge-density.dat``), parts of the energy in eV, and the ionic part of the forces.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import fcc100
from scipy.special import erf

from skldos import EnergyGrid
from skldos.datasets.recipe.recipe import EspressoRecipe
from skldos.io import read_upf
from skldos.physics import ewald, exchange_correlation, hartree, total_energy, total_energy_response
from skldos.physics.pseudopotential import Pseudopotential
from skldos.physics.terms.slab import slab_factor
from skldos.units import COULOMB, RYDBERG

VALENCES = {"Al": 3.0, "Mg": 2.0}
CELL = np.diag([3.0, 3.5, 14.0])
POSITIONS = np.array([[0.1, 0.2, 1.0], [1.4, 1.9, 3.1], [2.0, 0.4, 4.6]])
NEUTRAL = np.array([1.0, -3.0, 2.0])
SLAB = {"assume_isolated": "2D"}


@pytest.fixture(scope="module", params=["Al", "AlMg"])
def of_pw(request):
    with np.load(Path(__file__).parent / "data" / "slab.npz") as data:
        start = f"{request.param}_"
        return {k.removeprefix(start): v for k, v in data.items() if k.startswith(start)}


# -------------------------------------------------------------------- pw.x


def test_the_parts_are_those_of_pw(of_pw):
    cell, n = of_pw["cell"], of_pw["density"].astype(float)
    energy, v = hartree(n, cell, density_cutoff=float(of_pw["ecutrho"]) * RYDBERG, **SLAB)
    # The density is stored in single precision.
    assert energy == pytest.approx(float(of_pw["hartree"]), rel=1e-7)
    charges = [VALENCES[symbol] for symbol in of_pw["symbols"]]
    for method in ("direct", "mesh"):
        energy = ewald(of_pw["positions"], cell, charges, method=method, **SLAB)
        # pw.x ends its sums at 1e-7 Ry.
        assert energy == pytest.approx(float(of_pw["ewald"]), abs=1e-6)
    if len(set(of_pw["symbols"])) > 1:
        return  # with a core charge, whose potential is not of the slab
    _, v_xc = exchange_correlation(n, cell, functional="lda-pz")
    deband = -(n * (v + v_xc)).mean() * abs(np.linalg.det(cell))
    # pw.x takes the density of the step before.
    found = float(of_pw["band_energy"]) + deband
    assert found == pytest.approx(float(of_pw["one_electron"]), abs=1e-3)
    # In three dimensions it is another energy altogether.
    assert abs(hartree(n, cell)[0] - float(of_pw["hartree"])) > 10
    assert abs(ewald(of_pw["positions"], cell, charges) - energy) > 10


def test_forces_on_the_ions_are_those_of_pw(of_pw):
    positions = torch.tensor(of_pw["positions"], requires_grad=True)
    charges = [VALENCES[symbol] for symbol in of_pw["symbols"]]
    ewald(positions, of_pw["cell"], charges, **SLAB).backward()
    expected = of_pw["ionic_forces"]
    np.testing.assert_allclose(-positions.grad.numpy(), expected, atol=2e-5)
    assert np.abs(expected).max() > 1


# -------------------------------------------------------------------- laws


def test_the_splitting_does_not_matter():
    energies = [
        ewald(POSITIONS, CELL, NEUTRAL + 1, splitting=alpha, **SLAB) for alpha in (2.0, 2.6)
    ]
    by_default = ewald(POSITIONS, CELL, NEUTRAL + 1, **SLAB)
    np.testing.assert_allclose(energies, by_default, rtol=1e-11)
    by_mesh = ewald(POSITIONS, CELL, NEUTRAL + 1, method="mesh", **SLAB)
    assert by_mesh == pytest.approx(by_default, rel=1e-9)


def test_more_vacuum_changes_nothing_of_what_is_neutral():
    taller = CELL * [1, 1, 1.6]
    one, other = (ewald(POSITIONS, cell, NEUTRAL, **SLAB) for cell in (CELL, taller))
    assert one == pytest.approx(other, rel=1e-12)
    # The field of the dipole does, where images act on each other.
    assert abs(ewald(POSITIONS, CELL, NEUTRAL) - ewald(POSITIONS, taller, NEUTRAL)) > 0.1


def test_a_slab_has_no_place_along_the_normal():
    here = ewald(POSITIONS, CELL, NEUTRAL + 1, **SLAB)
    shifted = POSITIONS + np.array([0, 0, 11.5])  # two atoms leave the cell
    wrapped = shifted % np.diag(CELL)
    for positions in (shifted, wrapped):
        assert ewald(positions, CELL, NEUTRAL + 1, **SLAB) == pytest.approx(here, rel=1e-12)
    double = np.concatenate([POSITIONS, POSITIONS + CELL[0]])
    charges = np.tile(NEUTRAL, 2)
    energy = ewald(double, CELL * [[2], [1], [1]], charges, **SLAB)
    assert energy == pytest.approx(2 * ewald(POSITIONS, CELL, NEUTRAL, **SLAB), rel=1e-10)
    # A skewed cell of the same lattice, turned in space
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    skewed = np.array([[1, 0, 0], [2, 1, 0], [0, 0, 1]]) @ CELL @ turn
    energy = ewald(POSITIONS @ turn, skewed, NEUTRAL + 1, **SLAB)
    assert energy == pytest.approx(here, rel=1e-11)


def gaussians(cell, shape, z, charges, width=0.7):
    """Return sheets of charge, Gaussian along the normal and uniform along the slab, in 1/Å³."""
    heights = np.arange(shape[2]) * cell[2, 2] / shape[2]
    area = cell[0, 0] * cell[1, 1]
    profile = sum(
        q * np.exp(-(((heights - at) / width) ** 2)) / (np.sqrt(np.pi) * width * area)
        for q, at in zip(charges, z, strict=True)
    )
    return np.broadcast_to(profile, shape).copy()


def test_a_layer_of_dipoles_makes_a_step_and_no_field():
    shape, z = (4, 4, 140), (6.5, 7.5)
    n = gaussians(CELL, shape, z, (1.0, -1.0))
    energy, potential = hartree(n, CELL, **SLAB)
    profile = potential[0, 0]
    # Flat outside, where the charges are nearer than half the cell; a step of 4π e² q d/A.
    np.testing.assert_allclose(profile[28:32], profile[30], atol=1e-3)
    np.testing.assert_allclose(profile[108:112], profile[110], atol=1e-3)
    step = 4 * np.pi * COULOMB * 1.0 / (3.0 * 3.5)
    assert profile[30] - profile[110] == pytest.approx(step, rel=1e-4)
    # A plate condenser, E = 2π e² q² (<|z - z'|> of two sheets - that of one)/A, where z - z' is
    # normally distributed with a standard deviation of 0.7 Å.
    spread = 0.7 * np.sqrt(2 / np.pi)
    apart = erf(1 / (0.7 * np.sqrt(2))) + spread * np.exp(-1 / (2 * 0.7**2))
    expected = 2 * np.pi * COULOMB * (apart - spread) / (3.0 * 3.5)
    assert energy == pytest.approx(expected, rel=1e-5)
    taller, more = CELL * [1, 1, 1.5], (4, 4, 210)
    other, _ = hartree(gaussians(taller, more, z, (1.0, -1.0)), taller, **SLAB)
    assert other == pytest.approx(energy, rel=1e-6)


def test_the_factor_is_that_of_the_paper(rng):
    cell = torch.from_numpy(CELL)
    G = torch.from_numpy(rng.normal(size=(20, 3)))
    parallel = torch.sqrt(G[:, 0] ** 2 + G[:, 1] ** 2)
    expected = 1 - torch.exp(-parallel * 7.0) * torch.cos(7.0 * G[:, 2])
    torch.testing.assert_close(slab_factor(G, cell), expected)
    upright = torch.tensor([[0, 0, k * 2 * torch.pi / 14] for k in range(4)], dtype=torch.float64)
    cell.requires_grad_()
    values = slab_factor(upright, cell)
    torch.testing.assert_close(values.detach(), torch.tensor([0.0, 2, 0, 2], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(values.sum(), cell)
    assert torch.isfinite(gradient).all()


def test_potential_and_energy_of_a_slab_agree(rng):
    n = gaussians(CELL, (4, 4, 28), (6.0, 8.0), (1.0, 2.0)) * (1 + 0.1 * rng.random((4, 4, 28)))
    _, potential = hartree(n, CELL, **SLAB)
    change = rng.normal(size=n.shape) * 1e-4
    voxel = abs(np.linalg.det(CELL)) / n.size
    difference = (hartree(n + change, CELL, **SLAB)[0] - hartree(n - change, CELL, **SLAB)[0]) / 2
    assert difference == pytest.approx((potential * change).sum() * voxel, rel=1e-6)


def test_forces_and_strains_are_derivatives_of_the_energy(rng):
    ldos = rng.random((4, 4, 16, 5))

    class Atoms:
        positions, cell, symbols = POSITIONS, CELL, ("Al",) * 3

    settings = {
        "temperature": 3000.0,
        "n_electrons": 9.0,
        "pseudopotentials": {"Al": Pseudopotential("Al", 3, functional="lda-pz")},
        **SLAB,
    }
    energies = np.linspace(-2, 2, 5)
    ldos *= 12 / (ldos.sum() * abs(np.linalg.det(CELL)) / ldos[..., 0].size)
    found = total_energy_response(ldos, energies, atoms=Atoms, **settings)
    moved = {}
    for sign in (1, -1):

        class Moved(Atoms):
            positions = POSITIONS + sign * np.array([[0, 0, 1e-4], [0, 0, 0], [0, 0, 0]])

        moved[sign] = total_energy(ldos, energies, atoms=Moved, **settings).total
    slope = (moved[1] - moved[-1]) / 2e-4
    assert found.by_positions[0, 2] == pytest.approx(slope, abs=1e-5)
    strained = {}
    for sign in (1, -1):

        class Strained(Atoms):
            positions = POSITIONS * [1 + sign * 1e-4, 1, 1]
            cell = CELL * [1 + sign * 1e-4, 1, 1]

        strained[sign] = total_energy(ldos, energies, atoms=Strained, **settings).total
    slope = (strained[1] - strained[-1]) / 2e-4
    assert found.by_strain[0, 0] == pytest.approx(slope, abs=1e-4)


PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")
FILES = {"Al": "Al.pz-vbc.UPF", "Mg": "Mg.pz-n-vbc.UPF"}


@pytest.mark.skipif(
    not (shutil.which("pw.x") and PSEUDOPOTENTIALS.exists()),
    reason="needs pw.x of Quantum ESPRESSO with its pseudopotentials",
)
def test_energies_from_the_ldos_of_a_slab_are_those_of_pw(tmp_path):
    slab = fcc100("Al", (1, 1, 2), a=4.2, vacuum=4.5)
    slab.pbc, slab.symbols[1] = True, "Mg"
    energies = EnergyGrid.regular(-14.0, 0.1, 225, broadening=0.3, kernel="gaussian")
    settings = {"ecutwfc": 10.0, "kpts": (4, 4, 1), "temperature": 3000.0, "n_bands": 16}
    settings |= {"conv_thr": 1e-9, "pseudo_dir": PSEUDOPOTENTIALS}
    recipe = EspressoRecipe(
        FILES, energies=energies, input_data={"system": {"assume_isolated": "2D"}}, **settings
    )
    (snapshot,) = recipe.run([slab], tmp_path, verbose=False)
    assert snapshot.reference["assume_isolated"] == "2D"
    ldos = snapshot.ldos[:] @ energies.sharpening_matrix(4).T
    found = total_energy(
        ldos,
        snapshot.energies,
        atoms=snapshot.atoms,
        temperature=snapshot.temperature,
        n_electrons=snapshot.n_electrons,
        pseudopotentials={e: read_upf(PSEUDOPOTENTIALS / file) for e, file in FILES.items()},
        **SLAB,
    )
    # What sharpening leaves; pw.x 6.7: 0.2 meV and 1 meV.
    assert found.total == pytest.approx(snapshot.reference["total_energy"], abs=3e-3)
    assert found.band == pytest.approx(snapshot.reference["band_energy"], abs=3e-3)
    assert found.fermi_level == pytest.approx(snapshot.reference["fermi_energy"], abs=2e-3)


# -------------------------------------------------------------------- refusals


def test_what_is_no_slab_is_refused():
    tilted = CELL + np.array([[0, 0, 0], [0, 0, 0], [0.1, 0, 0]])
    n = np.ones((2, 2, 2))
    with pytest.raises(ValueError, match="third vector is normal"):
        hartree(n, tilted, **SLAB)
    with pytest.raises(ValueError, match="third vector is normal"):
        ewald(POSITIONS, tilted, NEUTRAL, **SLAB)
    with pytest.raises(ValueError, match="assume_isolated must be one of None, '2D'; got 'esm'"):
        hartree(n, CELL, assume_isolated="esm")
    with pytest.raises(ValueError, match="add vacuum"):
        ewald(POSITIONS, CELL * [1, 1, 0.6], NEUTRAL, **SLAB)  # 3.6 of 8.4 Å
    assert np.isfinite(ewald(POSITIONS, CELL * [1, 1, 0.7], NEUTRAL, **SLAB))  # of 9.8 Å
