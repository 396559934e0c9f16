"""Settings of recipes and of made-up snapshots, and what the bundles hold."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from skldos.data import EnergyGrid
from skldos.datasets import (
    load_aluminium,
    load_aluminium_magnesium,
    load_aluminium_pseudopotentials,
    load_silicon,
    make_snapshots,
)
from skldos.datasets.aluminium import aluminium_recipe
from skldos.datasets.recipe.input import RECIPE_ENTRIES, namelists
from skldos.datasets.recipe.recipe import EspressoRecipe
from skldos.datasets.recipe.run import _reason, free_electron_bands
from skldos.datasets.synthetic import _gaussians
from skldos.physics import fermi_level
from skldos.units import BOHR, RYDBERG


def test_the_recipe_of_aluminium_makes_the_bundled_snapshots():
    recipe = aluminium_recipe()
    (first, *_) = load_aluminium()
    assert recipe.energies == first.energy_grid
    assert (recipe.ecutwfc, recipe.kpts, recipe.n_bands) == (12.0, [8, 8, 8], 20)
    assert recipe.conv_thr == 1e-8
    assert recipe.input_data == {"system": {"nosym": True}, "electrons": {"mixing_beta": 0.7}}
    assert recipe.pseudopotentials == {"Al": "Al.pz-vbc.UPF"}
    other = aluminium_recipe(ecutwfc=20.0, kpts=(2, 2, 2))
    assert (other.ecutwfc, other.kpts, other.n_bands) == (20.0, [2, 2, 2], 20)
    (atom,) = load_aluminium_pseudopotentials().values()
    assert (atom.symbol, atom.valence, atom.functional) == ("Al", 3, "lda-pz")


def test_what_the_bundles_hold():
    for T in (298, 933):
        snapshots = load_aluminium(temperature=T)
        assert [s.temperature for s in snapshots] == [T] * 4
        assert {s.name for s in snapshots} == {s.source for s in snapshots} == {None}
        assert set(snapshots[0].reference) == {
            *("fermi_energy", "band_energy", "total_energy", "minus_ts", "one_electron"),
            *("hartree", "xc", "ewald", "forces"),
        }
    larger = load_aluminium(n_atoms=32)
    counts = [len(load_aluminium(n_atoms=32, temperature=T)) for T in (100, 298, 500, 933)]
    assert min(counts) > 0
    assert sum(counts) == len(larger)
    for snapshot in (larger[0], load_aluminium_magnesium()[0]):
        known = snapshot.reference
        assert known["functional"] == "lda-pz"
        assert known["ados_sigma"] == 1.3
        names = {"Al": "Al.pz-vbc.UPF", "Mg": "Mg.pz-n-vbc.UPF"}
        assert known["pseudopotentials"] == {s: names[s] for s in set(snapshot.atoms.symbols)}
        assert known["forces"].dtype == float
    assert {str(s.atoms.symbols)[:2] for s in load_silicon()} == {"Si"}
    assert all(s.atoms.pbc.all() for s in load_silicon())


def test_the_input_of_pw():
    more = {"system": {"nosym": True}}
    options = {"ecutwfc": 12.0, "ecutrho": 48.0, "conv_thr": 1e-8, "more": more}
    temperature = 0.02 * RYDBERG / 8.617333262145179e-5
    plain = namelists(temperature=temperature, n_bands=None, pseudo_dir=None, **options)
    assert plain == {
        "control": {"calculation": "scf", "prefix": "skldos", "outdir": ".", "tprnfor": True}
        | {"tstress": True, "verbosity": "high"},
        "system": {"ecutwfc": 12.0, "ecutrho": 48.0, "occupations": "smearing", "nosym": True}
        | {"smearing": "fermi-dirac", "degauss": pytest.approx(0.02)},
        "electrons": {"conv_thr": 1e-8},
    }
    full = namelists(temperature=1.0, n_bands=8, pseudo_dir="here", **options)
    assert full["system"]["nbnd"] == 8
    assert full["control"]["pseudo_dir"] == "here"
    assert set(RECIPE_ENTRIES) == set(plain)


@pytest.mark.parametrize("kpts", [(1, 1, 1), (2, 3, 1)])
def test_bands_of_free_electrons_are_counted(kpts):
    cell = np.array([[4.0, 0.5, 0.0], [0.0, 3.0, 0.7], [-0.3, 0.0, 5.0]])
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    integers = np.array(list(itertools.product(range(-9, 10), repeat=3)))
    for width in (5.0, 40.0, 90.0):
        counts = []
        for k in itertools.product(*(np.arange(n) / n for n in kpts)):
            energies = ((integers + k) @ reciprocal * BOHR) ** 2
            counts.append(int((energies.sum(axis=1) * RYDBERG < width).sum()))
        assert free_electron_bands(cell, kpts, width) == max(counts)


def test_bands_have_a_tenth_and_two_to_spare():
    grid = EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian")
    recipe = EspressoRecipe({"Al": "a"}, energies=grid, ecutwfc=12.0, kpts=(2, 2, 2))
    cell = bulk("Al", cubic=True).cell.array
    # From four widths above the first energy to four widths above the last.
    free = free_electron_bands(cell, (2, 2, 2), 10.0 + 1.6 - (-6.0 + 1.6))
    assert recipe._n_bands(cell) == int(np.ceil(1.1 * free)) + 2
    narrow = EnergyGrid([0.0, 0.1], broadening=0.4, kernel="gaussian")
    recipe = EspressoRecipe({"Al": "a"}, energies=narrow, ecutwfc=12.0)
    assert (
        recipe._n_bands(cell) == int(np.ceil(1.1 * free_electron_bands(cell, (1, 1, 1), 1.0))) + 2
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"a\n{'%' * 20}\n  Error in\n  routine (1):\n x\n{'%' * 20}", "Error in routine (1): x"),
        ("a\n" + "%" * 19 + "\n b\n" + "%" * 19, f"pw.x stopped; its last line was {'%' * 19!r}"),
        ("convergence NOT achieved after   3 iterations\nend", "convergence NOT achieved after 3"),
        ("a\n\n  last \n \n", "pw.x stopped; its last line was 'last'"),
        ("\n \n", "pw.x wrote nothing"),
    ],
)  # fmt: skip
def test_reasons_of_failures(text, reason):
    assert _reason(text).startswith(reason)


# -------------------------------------------------------------------- made-up snapshots


def test_made_up_electrons_are_free_ones_in_a_potential():
    (snapshot,) = make_snapshots(1, temperature=0.0, n_energies=33, random_state=0)
    np.testing.assert_allclose(snapshot.energies, np.linspace(-4, 12, 33))
    mu = fermi_level(snapshot.dos(), snapshot.energies, temperature=0.0, n_electrons=12.0)
    assert mu == pytest.approx(7.0, abs=1e-5)
    ldos = np.asarray(snapshot.ldos, dtype=float).reshape(-1, 33)
    # d² is linear in E: (E + 3 + w) n², with the relative density w.
    low, high = ldos[:, -9] ** 2, ldos[:, -1] ** 2
    w = (snapshot.energies[-9] * high - snapshot.energies[-1] * low) / (low - high) - 3
    assert w.mean() == pytest.approx(1, abs=1e-4)
    n = np.sqrt((high - low) / 4)
    np.testing.assert_allclose(n / n.mean(), w, rtol=1e-3)
    np.testing.assert_allclose(_gaussians_of(snapshot), w, rtol=1e-3)
    assert (ldos[:, 0] == 0).any() == ((snapshot.energies[0] + 3 + w) < 0).any()


def _gaussians_of(snapshot):
    index = np.stack(np.meshgrid(*map(np.arange, snapshot.grid_shape), indexing="ij"), axis=-1)
    points = (index / snapshot.grid_shape).reshape(-1, 3) @ snapshot.atoms.cell.array
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ snapshot.atoms.cell.array
    centres = (snapshot.atoms.positions[:, None] + images).reshape(-1, 3)
    squares = ((points[:, None] - centres) ** 2).sum(axis=2)
    weight = np.exp(-squares / (2 * 0.8**2)).sum(axis=1)
    return weight / weight.mean()


def test_atoms_are_gaussians_of_four_fifths_of_an_angstrom():
    atom = Atoms("Al", [[0, 0, 0]], cell=50 * np.eye(3), pbc=True)
    points = np.array([[0, 0, 0], [0.8, 0, 0], [0, 0, -1.6], [49.2, 0, 0]])
    expected = np.exp([0, -0.5, -2, -0.5])
    np.testing.assert_allclose(_gaussians(points, atom), expected, rtol=1e-12)
