"""Potentials of electrons and of free atoms: laws, and comparison with Quantum ESPRESSO's pp.x.

`data/silicon_potential.npz` was made by `calculate` below, with pw.x and pp.x 6.7; if they are
installed, it is calculated again.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from skldos.datasets import EspressoRecipe, load_silicon_pseudopotentials
from skldos.io import read_cube, read_upf
from skldos.physics import Pseudopotential, exchange_correlation, hartree
from skldos.physics.potential import atomic_density, effective_potential, potential_change
from skldos.units import BOHR, RYDBERG

KEPT = Path(__file__).parent / "data" / "silicon_potential.npz"
PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")  # of Debian and its relatives
SILICON = PSEUDOPOTENTIALS / "Si.pz-vbc.UPF"
#: What pp.x puts into a file: V_bare + V_H + V_xc, V_bare, n - n0 and V_bare + V_H.
PLOTS = {"total": 1, "bare": 2, "change": 9, "coulomb": 11}
ECUTWFC = 8.0
#: Of values up to 14 Ry, five digits are printed; this is the error of a difference of two.
DIGITS = 1.1e-3


@pytest.fixture(scope="module")
def atoms():
    """Two atoms of silicon in a skewed cell, not where they would be in the crystal."""
    cell = np.array([[0.1, 2.6, 2.7], [2.8, 0.0, 2.7], [2.7, 2.8, 0.2]])
    return Atoms("Si2", positions=[[0.2, 0.1, 0.0], [1.5, 1.3, 1.2]], cell=cell, pbc=True)


@pytest.fixture(scope="module")
def silicon():
    return load_silicon_pseudopotentials()


def calculate(atoms, folder):
    """Density in 1/Å³, and the cubes of pp.x in Ry and 1/bohr³."""
    recipe = EspressoRecipe(
        {"Si": SILICON.name},
        energies=None,
        ecutwfc=ECUTWFC,
        kpts=(2, 2, 2),
        k_shift=(1, 1, 1),
        temperature=3000.0,
        pseudo_dir=PSEUDOPOTENTIALS,
        keep_files=True,
        input_data={"system": {"nosym": True}},
    )
    (snapshot,) = recipe.run([atoms], folder, verbose=False)
    found = {"density": snapshot.density[:]}
    for name, number in PLOTS.items():
        (folder / "pp.in").write_text(
            f"&inputpp prefix='skldos', outdir='.', filplot='plot', plot_num={number} /\n"
            f"&plot iflag=3, output_format=6, fileout='{folder}/{name}.cube' /\n"
        )
        with open(folder / "pp.in") as given:
            subprocess.run(
                ["pp.x"], stdin=given, cwd=folder / "00000", check=True, capture_output=True
            )
        found[name] = read_cube(folder / f"{name}.cube")[0]
    return found


@pytest.fixture(scope="module", params=["kept", "new"])
def plots(request, atoms, tmp_path_factory):
    """Density and cubes of pp.x, kept in a file or calculated now."""
    if request.param == "kept":
        with np.load(KEPT, allow_pickle=False) as data:
            return dict(data)
    if not (shutil.which("pw.x") and shutil.which("pp.x") and SILICON.exists()):
        pytest.skip("needs pw.x and pp.x of Quantum ESPRESSO with their pseudopotentials")
    return calculate(atoms, tmp_path_factory.mktemp("silicon"))


# ------------------------------------------------------------------ beside pp.x


def test_pp_x_has_the_potential_of_the_ions_in_its_total(plots, atoms):
    # plot_num=1 of version 6.7: with V_bare, as its documentation says.
    V = effective_potential(plots["density"], atoms.cell.array, functional="lda-pz") / RYDBERG
    found = plots["total"] - plots["bare"]
    assert np.ptp(V) > 0.5
    assert np.abs(V - plots["total"]).max() > 1
    np.testing.assert_allclose(V, found, atol=DIGITS)


def test_hartree_alone(plots, atoms):
    v_H = hartree(plots["density"], atoms.cell.array)[1] / RYDBERG
    assert np.ptp(v_H) > 0.3
    np.testing.assert_allclose(v_H, plots["coulomb"] - plots["bare"], atol=DIGITS)


def test_free_atoms_are_where_pw_x_begins(plots, atoms, silicon):
    # The kept free atom follows that of the file with a relative error of 3e-4.
    cases = [(silicon, 1e-4)]
    if SILICON.exists():
        cases.append(({"Si": read_upf(SILICON)}, 1e-6))  # the digits of pp.x
    n = plots["density"] * BOHR**3
    assert np.abs(plots["change"]).max() > 0.01
    for pseudopotentials, error in cases:
        n0 = atomic_density(
            atoms.positions,
            atoms.cell.array,
            n.shape,
            ["Si", "Si"],
            pseudopotentials,
            density_cutoff=4 * ECUTWFC * RYDBERG,
        )
        np.testing.assert_allclose(n - n0 * BOHR**3, plots["change"], atol=error)


def test_the_change_is_made_of_both(plots, atoms, silicon):
    density_cutoff = 4 * ECUTWFC * RYDBERG
    V = potential_change(plots["density"], atoms, silicon, density_cutoff=density_cutoff)
    n0 = plots["density"] - plots["change"] / BOHR**3
    start = effective_potential(n0, atoms.cell.array, functional="lda-pz")
    end = (plots["total"] - plots["bare"]) * RYDBERG
    assert V.std() > 0.1
    # The digits of pp.x are 0.015 eV; the free atom adds some meV.
    np.testing.assert_allclose(V, end - start, atol=0.02)


# ------------------------------------------------------------------ laws


@pytest.fixture
def density(rng):
    return 0.2 + 0.05 * rng.random((8, 9, 10))


def test_the_potential_is_the_derivative_of_the_energies(density, atoms, rng):
    cell, direction = atoms.cell.array, rng.normal(size=density.shape)
    voxel = atoms.cell.volume / density.size

    def energy(n):
        return hartree(n, cell)[0] + exchange_correlation(n, cell, functional="pbe")[0]

    step = 1e-5
    slope = (energy(density + step * direction) - energy(density - step * direction)) / (2 * step)
    V = effective_potential(density, cell, functional="pbe")
    assert abs(slope) > 0.1
    assert (V * direction).sum() * voxel == pytest.approx(slope, rel=1e-6)


def test_a_cutoff_leaves_short_waves_out(density, atoms):
    cell = atoms.cell.array
    V = effective_potential(density, cell, functional="lda-pz")
    cut = effective_potential(density, cell, functional="lda-pz", density_cutoff=100.0)
    assert np.abs(V - cut).max() > 0.1
    again = effective_potential(
        torch.from_numpy(density), cell, functional="lda-pz", density_cutoff=100.0
    )
    assert isinstance(again, torch.Tensor)
    np.testing.assert_allclose(again.numpy(), cut, atol=1e-12)


def test_free_atoms_add_up_to_their_electrons_wherever_they_are(atoms, silicon, rng):
    shape = (12, 12, 12)
    n = atomic_density(atoms.positions, atoms.cell.array, shape, ["Si"] * 2, silicon)
    moved = atoms.positions + rng.integers(-2, 3, size=(2, 3)) @ atoms.cell.array
    again = atomic_density(moved, atoms.cell.array, shape, ["Si"] * 2, silicon)
    np.testing.assert_allclose(again, n, atol=1e-12)
    alone = [
        atomic_density(atoms.positions[[i]], atoms.cell.array, shape, ["Si"], silicon)
        for i in range(2)
    ]
    np.testing.assert_allclose(sum(alone), n, atol=1e-12)
    # They end at 10 bohr.
    assert n.sum() * atoms.cell.volume / n.size == pytest.approx(8, abs=2e-3)


def test_core_charges_are_in_both_potentials(atoms, silicon):
    shape = (12, 12, 12)
    free = silicon["Si"]
    mesh = {"radii": free.radii, "radial_weights": free.radial_weights}
    core = 2 * np.exp(-4 * free.radii**2)
    cored = Pseudopotential(
        "Si", 4, functional="lda-pz", **mesh, core_density=core, atomic_density=free.atomic_density
    )
    n0 = atomic_density(atoms.positions, atoms.cell.array, shape, ["Si"] * 2, silicon)
    np.testing.assert_allclose(potential_change(n0, atoms, {"Si": cored}), 0, atol=1e-10)
    n = n0 * (1 + 0.1 * np.sin(np.arange(12)))
    without, with_core = (potential_change(n, atoms, {"Si": p}) for p in (free, cored))
    # The exchange potential is less steep where there is a core charge.
    assert np.abs(with_core - without).max() > 0.01


@pytest.mark.parametrize(
    ("pseudopotentials", "message"),
    [
        ({"Al": Pseudopotential("Al", 3)}, "got none for Si"),
        ({"Si": Pseudopotential("Si", 4)}, "must have the density of the free atom"),
    ],
)
def test_what_is_missing_is_named(atoms, pseudopotentials, message):
    with pytest.raises(ValueError, match=message):
        atomic_density(atoms.positions, atoms.cell.array, (4, 4, 4), ["Si"] * 2, pseudopotentials)
