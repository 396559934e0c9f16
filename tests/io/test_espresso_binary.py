"""Densities written for pw.x: its own files are reproduced, and it starts from the density.

Of the two save directories, one is of a calculation with all plane waves and with symmetry, the
other of one at the Γ point, with one wave of each pair G, -G; see `test_wavefunctions`.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from skldos.geometry import check_cell, reciprocal_cell, volume
from skldos.io import charge_density, write_charge_density
from skldos.io.espresso.binary import read_charge_density
from skldos.io.espresso.xml import read_xml
from skldos.units import BOHR, RYDBERG
from tests.espresso import SMEARING, needs_pw, run_pw

DATA = Path(__file__).parent / "data"
SILICON, GAMMA = DATA / "wfc_silicon.save", DATA / "wfc_gamma.save"
NAME = "charge-density.dat"
XML = "data-file-schema.xml"
# Of a record of three integers, and one of nine floats, with the lengths around them
HEADER = 20 + 80
SKEWED = np.array([[4.0, 0.0, 0.0], [1.0, 3.5, 0.0], [-0.5, 0.7, 5.0]])


def cutoff_of(save):
    """Return ecutrho in eV; the file has it in Hartree."""
    return 2 * RYDBERG * float(re.search("<ecutrho>(.*)</ecutrho>", (save / XML).read_text())[1])


def rewrite(save, path):
    """Read the density of a save directory and write it to a file."""
    run = read_xml(save / XML)
    cell = run.atoms.cell.array
    options = {"density_cutoff": cutoff_of(save), "gamma_only": run.gamma_only}
    write_charge_density(path, charge_density(save), cell, **options)


# Laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [SILICON, GAMMA], ids=["all", "half"])
def test_a_file_of_pw_comes_back(save, tmp_path):
    rewrite(save, tmp_path / NAME)
    ours, theirs = (tmp_path / NAME).read_bytes(), (save / NAME).read_bytes()
    n_waves = len(read_charge_density(save / NAME)[0])
    assert n_waves > 200
    # Sizes, the halving, and the integers with their order are the same bytes; vectors and
    # coefficients are rounded on the way.
    assert len(ours) == len(theirs)
    assert ours[:20] == theirs[:20]
    waves = slice(HEADER, HEADER + 12 * n_waves + 8)
    assert ours[waves] == theirs[waves]
    reciprocal = [np.frombuffer(content[24:96]) for content in (ours, theirs)]
    np.testing.assert_allclose(*reciprocal, rtol=0, atol=1e-14)
    coefficients = [read_charge_density(folder / NAME)[1] for folder in (tmp_path, save)]
    assert abs(coefficients[1][1:]).max() > 1e-4
    np.testing.assert_allclose(*coefficients, rtol=0, atol=1e-16)


@pytest.mark.parametrize("save", [SILICON, GAMMA], ids=["all", "half"])
def test_a_density_comes_back_on_its_grid(save, tmp_path):
    copied = Path(shutil.copytree(save, tmp_path / "copied.save"))
    # Another density with the same waves: the old one, moved by a few points
    density = np.roll(charge_density(save), (2, 1, 3), axis=(0, 1, 2))
    assert np.ptp(density) > 0.01
    run = read_xml(save / XML)
    options = {"density_cutoff": cutoff_of(save), "gamma_only": run.gamma_only}
    write_charge_density(copied / NAME, density, run.atoms.cell.array, **options)
    np.testing.assert_allclose(charge_density(copied), density, rtol=0, atol=1e-14)


def test_a_wave_has_the_coefficient_that_it_had(tmp_path):
    # n = 0.3 + 0.2 cos(G·r + φ) with G = 2 b_1 - b_2 + b_3
    x = np.stack(np.meshgrid(*[np.arange(n) / n for n in (9, 10, 12)], indexing="ij"), axis=-1)
    density = 0.3 + 0.2 * np.cos(2 * np.pi * x @ [2, -1, 1] + 0.4)
    write_charge_density(tmp_path / NAME, density, SKEWED, density_cutoff=100.0)
    miller, coefficients, gamma_only = read_charge_density(tmp_path / NAME)
    assert not gamma_only
    found = {
        tuple(m): c / BOHR**3
        for m, c in zip(miller.tolist(), coefficients, strict=True)
        if abs(c) > 1e-12
    }
    assert found.keys() == {(0, 0, 0), (2, -1, 1), (-2, 1, -1)}
    assert found[0, 0, 0] == pytest.approx(0.3)
    assert found[2, -1, 1] == pytest.approx(0.1 * np.exp(0.4j))
    assert found[-2, 1, -1] == pytest.approx(0.1 * np.exp(-0.4j))


def test_waves_are_sorted_and_complete(tmp_path, rng):
    density = rng.random((11, 11, 15))
    density_cutoff = 150.0
    write_charge_density(tmp_path / NAME, density, SKEWED, density_cutoff=density_cutoff)
    miller, coefficients, _ = read_charge_density(tmp_path / NAME)
    energies = RYDBERG * BOHR**2 * ((miller @ reciprocal_cell(SKEWED)) ** 2).sum(axis=1)
    assert (np.diff(energies) > -1e-9).all()
    assert 0.9 * density_cutoff < energies[-1] <= density_cutoff
    # All lattice points of a sphere: about as many as its volume holds
    radius = np.sqrt(density_cutoff / RYDBERG) / BOHR
    expected = 4 / 3 * np.pi * radius**3 * volume(check_cell(SKEWED)) / (2 * np.pi) ** 3
    assert len(miller) == pytest.approx(expected, rel=0.05)
    waves = {tuple(m): c for m, c in zip(miller.tolist(), coefficients, strict=True)}
    assert len(waves) == len(miller)
    # n is real
    assert all(waves[-i, -j, -k] == pytest.approx(c.conj()) for (i, j, k), c in waves.items())


def test_half_of_the_waves_is_one_of_each_pair(tmp_path, rng):
    density = rng.random((11, 11, 15))
    write_charge_density(tmp_path / "all.dat", density, SKEWED, density_cutoff=150.0)
    write_charge_density(
        tmp_path / "half.dat", density, SKEWED, density_cutoff=150.0, gamma_only=True
    )
    whole, _, _ = read_charge_density(tmp_path / "all.dat")
    half, _, gamma_only = read_charge_density(tmp_path / "half.dat")
    assert gamma_only
    assert 2 * len(half) == len(whole) + 1
    pairs = {tuple(m) for m in (*half.tolist(), *(-half).tolist())}
    assert pairs == {tuple(m) for m in whole.tolist()}
    # in the order in which all of them stand
    kept = [m for m in whole.tolist() if tuple(m) >= (0, 0, 0)]
    assert half.tolist() == kept


def test_lengths_that_are_nearly_equal_stand_as_in_a_file_of_pw(tmp_path):
    # From charge-density.dat of pw.x 6.7 for this cell at ecutwfc = 9 Ry, K_POINTS gamma: G² of
    # all these waves is 5 (2π/a)², within four times the tolerance; no sorting by it yields that.
    cell = np.diag([5.0, 5.0 + 1e-8, 5.0 + 2e-8])
    density = np.zeros((25, 25, 25))
    write_charge_density(
        tmp_path / NAME, density, cell, density_cutoff=36 * RYDBERG, gamma_only=True
    )
    miller, _, _ = read_charge_density(tmp_path / NAME)
    assert len(miller) == 1536
    expected = [[0, 1, -2], [0, 1, 2], [0, 2, -1], [0, 2, 1], [1, 0, -2], [1, 0, 2]]
    expected += [[1, -2, 0], [1, 2, 0], [2, -1, 0], [2, 0, -1], [2, 0, 1], [2, 1, 0]]
    assert miller[17:29].tolist() == expected


# pw.x -----------------------------------------------------------------------------------------

FCC = 2.715 * (np.ones((3, 3)) - np.eye(3))
# Some lengths that were equal are still so within the tolerance of pw.x, some are not.
NEARLY_FCC = FCC @ np.diag([1.0, 1 + 1e-9, 1 + 3e-9])
HEXAGONAL = np.array([[3.84, 0, 0], [-1.92, 1.92 * 3**0.5, 0], [0, 0, 3.2]])
GRID = "automatic\n2 2 2 1 1 1"


def run(folder, cell, k_points, startingpot):
    """Run pw.x on two atoms of silicon; return its output."""
    well, printed = run_pw(
        folder,
        cell,
        "crystal\nSi 0.02 0 0\nSi 0.25 0.25 0.25",
        k_points,
        species="Si 28.085 Si.pz-vbc.UPF",
        system=f"nosym=.true., {SMEARING}",
        electrons=f"conv_thr=1e-9, startingpot='{startingpot}'",
    )
    assert well, printed[-2000:]
    return printed


def restart(folder, save, cell, k_points, write):
    """Start pw.x from the density that `write` puts into an empty save directory."""
    (folder / save.name).mkdir(parents=True)
    write(folder / save.name / NAME)
    output = run(folder, cell, k_points, "file")
    assert "The initial density is read from file" in output
    return output


def results(output):
    """Return the number of iterations, the energy and the first estimate of its error in Ry."""
    return (
        int(re.search(r"convergence has been achieved in +(\d+) iterations", output)[1]),
        float(re.search(r"! +total energy += +(\S+) Ry", output)[1]),
        float(re.search(r"estimated scf accuracy +< +(\S+) Ry", output)[1]),
    )


@needs_pw
@pytest.mark.parametrize(
    ("cell", "k_points"),
    [(FCC, GRID), (HEXAGONAL, GRID), (SKEWED, "gamma"), (NEARLY_FCC, GRID)],
    ids=["fcc", "hexagonal", "skewed, half", "nearly fcc"],
)
def test_pw_begins_where_it_ended(tmp_path, cell, k_points):
    free_atoms = run(tmp_path, cell, k_points, "atomic")
    save = tmp_path / "test.save"
    miller = read_charge_density(save / NAME)[0]
    found = {}

    def ours(path):
        rewrite(save, path)
        found["miller"] = read_charge_density(path)[0]

    def theirs(path):
        shutil.copy(save / NAME, path)

    iterations, energy, first_estimate = results(free_atoms)
    assert iterations > 4
    assert first_estimate > 1e-3
    for name, write in (("theirs", theirs), ("ours", ours)):
        found_iterations, found_energy, estimate = results(
            restart(tmp_path / name, save, cell, k_points, write)
        )
        # Now and then the estimate is just above conv_thr, 1e-9 Ry.
        assert found_iterations <= 3
        assert estimate < 1e-8
        assert found_energy == pytest.approx(energy, abs=1e-8)
    np.testing.assert_array_equal(found["miller"], miller)


@needs_pw
def test_pw_begins_with_what_it_is_given(tmp_path):
    energy = results(run(tmp_path, FCC, GRID, "atomic"))[1]
    save = tmp_path / "test.save"
    density = charge_density(save)

    def moved_and_scaled(path):
        # Away from the atoms, and of too few electrons
        write_charge_density(
            path, 0.9 * np.roll(density, 4, axis=0), FCC, density_cutoff=cutoff_of(save)
        )

    output = restart(tmp_path / "moved", save, FCC, GRID, moved_and_scaled)
    charge = re.search(r"starting charge +(\S+), renormalised to +(\S+)", output)
    assert [float(c) for c in charge.groups()] == pytest.approx([7.2, 8.0], abs=1e-4)
    # Far from where it ends, but it ends there.
    assert results(output)[0] > 4
    assert results(output)[1] == pytest.approx(energy, abs=1e-7)


# What cannot be written -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"density": np.ones((4, 4))}, r"grid_shape must be three numbers of points, got \(4, 4\)"),
        ({"density": np.full((4, 4, 4), np.nan)}, "density"),
        ({"cell": np.ones((3, 3))}, "cell must have three linearly independent vectors"),
        ({"density_cutoff": 0.0}, "density_cutoff must be > 0, got 0"),
        ({"path": "charge-density.hdf5"}, r"path must be .* \.dat file, got charge-density\.hdf5"),
        (
            {"density_cutoff": 100.0},
            r"up to the cutoff of 100 eV, at least \(7, 7, 7\) .* got \(4, 4, 4\)",
        ),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, changed, message):
    path = tmp_path / changed.pop("path", NAME)
    arguments = {
        "density": np.ones((4, 4, 4)),
        "cell": 4 * np.eye(3),
        "density_cutoff": 9.0,
    } | changed
    with pytest.raises(ValueError, match=message):
        write_charge_density(path, **arguments)
    assert not path.exists()
