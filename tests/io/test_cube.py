"""Cube files: tiny ones written here, those of pp.x, and the LDOS of MALA's beryllium."""

import re
from pathlib import Path

import ase.io.cube
import numpy as np
import pytest
from ase import units
from ase.build import bulk

from skldos import ArrayFile, EnergyGrid
from skldos.exceptions import FileFormatError
from skldos.io import cube, read_cube, read_ldos_cubes
from skldos.io.espresso.xml import read_xml
from skldos.physics.smearing import broadening
from skldos.units import BOHR, RYDBERG

DATA = Path(__file__).parent / "data" / "al2"
GRID = EnergyGrid.regular(-6.0, 7.5, 3, broadening=3.0, kernel="fermi-dirac")

HEADER = """title
  Energy =  -6.0000 eV, broadening =   3.0000 eV
    2    0.000000    0.000000    0.000000
    2    2.000000    0.000000    0.200000
    3    0.500000    1.000000    0.000000
    4    0.000000    0.000000    1.500000
   13   13.000000    0.100000    0.200000    0.300000
    8    8.000000    2.000000    1.500000    1.000000
"""


def rows(values):
    """The way pp.x prints: six to a line, a new line for every (i, j)."""
    return "".join("".join(f"{x:13.5E}" for x in row) + "\n" for row in values.reshape(-1, 4))


@pytest.fixture
def values(rng):
    return rng.random((2, 3, 4)).round(5)


@pytest.fixture
def write(tmp_path):
    def write(text, name="x.cube"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_values_and_atoms(write, values):
    path = write(HEADER + rows(values))
    read, atoms = read_cube(path)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == float
    cell = np.array([[4, 0, 0.4], [1.5, 3, 0], [0, 0, 6]]) * BOHR
    np.testing.assert_allclose(atoms.cell, cell, rtol=1e-15)
    np.testing.assert_allclose(atoms.positions / BOHR, [[0.1, 0.2, 0.3], [2, 1.5, 1]], rtol=1e-15)
    assert str(atoms.symbols) == "AlO"
    assert atoms.pbc.all()


def test_positions_count_from_the_origin(write, values):
    text = HEADER.replace("    2    0.000000    0.000000", "    2    1.000000    0.500000")
    _, atoms = read_cube(write(text + rows(values)))
    np.testing.assert_allclose(atoms.positions[1] / BOHR, [1, 1, 1], rtol=1e-15)


def test_a_line_of_orbitals_is_passed_over(write, values):
    text = HEADER.replace("    2    0.0", "   -2    0.0", 1) + "    1   17\n" + rows(values)
    np.testing.assert_array_equal(read_cube(write(text))[0], values)
    two = text.replace("    1   17\n", "    2   17   18\n")
    with pytest.raises(FileFormatError, match="one value per point, got 2"):
        read_cube(write(two))


def test_exponents_without_e(write, values):
    # What Fortran prints for 0.2E-101 and -0.3E+100 in the format E13.5.
    values[0, 0, :2] = 0.2e-101, -0.3e100
    text = rows(values).replace("2.00000E-102", " 0.20000-101")
    text = text.replace("-3.00000E+99", "-0.30000+100")
    assert "-101" in text
    assert "+100" in text
    np.testing.assert_array_equal(read_cube(write(HEADER + text))[0], values)


def test_as_ase_reads_it():
    path = DATA / "density.cube"
    values, atoms = read_cube(path)
    with open(path) as file:
        theirs = ase.io.cube.read_cube(file)
    np.testing.assert_array_equal(values, theirs["data"])
    # Bohr radius of CODATA 2014 there
    np.testing.assert_allclose(atoms.positions, theirs["atoms"].positions, rtol=1e-8)
    np.testing.assert_allclose(atoms.cell, theirs["atoms"].cell, rtol=1e-8)
    # Six electrons; the numbers have five digits.
    volume = abs(atoms.cell.volume) / BOHR**3 / values.size
    assert values.sum() * volume == pytest.approx(6, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message", "line"),
    [
        (lambda t: t[:-28], r"24 complete, finite values on a grid \(2, 3, 4\), got 22", 14),
        # Without its exponent the last number would be another one.
        (lambda t: t[:-5], "expected 24 complete.*got 24", 14),
        (lambda t: t + " 1.0\n", "expected 24 complete, finite values.*got 25", 15),
        (lambda t: t[:140], "expected 4 numbers, got ''", 5),
        (lambda t: "", "expected 4 numbers, got ''", 3),
        (lambda t: t.replace("    3    0.500000", "    3    nothing!"), "expected 4 numbers", 5),
        (lambda t: t.replace("    3    0.5", "   -3    0.5"), "three positive numbers", 4),
        (lambda t: t.replace("   13   13.0", "13.0", 1), "expected 5 numbers", 7),
        (lambda t: t[:-14] + "*************\n", r"expected numbers, got .*\*\*", 14),
        (lambda t: t[:-14] + "          NaN\n", r"expected numbers, got .*NaN", 14),
        (lambda t: t.replace("    3    0.5", "  inf    0.5"), "expected 4 numbers", 5),
    ],
)
def test_damage_names_file_and_line(write, values, change, message, line):
    path = write(change(HEADER + rows(values)))
    with pytest.raises(FileFormatError, match=message) as caught:
        read_cube(path)
    assert caught.value.line == line
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" 1 0 0 0", " 1e308 0 0 0", "expected 5 numbers"),
        (" 1 0 0 0", " 1.5 0 0 0", "expected a number of atoms, got 1.5"),
        (" 1 0 0 0", " 0 0 0 0", "expected at least one atom"),
        (" 1 0 0 0", " 1 1e308 0 0", "the positions of Li must lie within"),
        (" 1 4 0 0", " 1e9 4 0 0", "the cell of Li must lie within"),
        (" 1 4 0 0", " 1 1e200 0 0", "the cell of Li must lie within"),
        (" 1 4 0 0", " 1 0 0 0", "a cell with a volume"),
        (" 3 3. 1", " 300 3. 1", "expected atomic numbers"),
        (" 3 3. 1", " 3.5 3. 1", "expected atomic numbers"),
        (" 3 3. 1", " -3 3. 1", "atomic numbers must be between 1 and 118"),
        (" 3 3. 1", " 3 3. 1e30", "the positions of Li must lie within"),
        ("2.5E-1", "1e308", "the values must lie within"),
        ("2.5E-1", "1e999", "expected numbers, got '0.5 1e999'"),
        ("2.5E-1", "2_5.0", "expected numbers, got '0.5 2_5.0'"),
    ],
)
def test_absurd_numbers(write, old, new, message):
    text = "t\n\n 1 0 0 0\n 1 4 0 0\n 1 0 4 0\n 2 0 0 4\n 3 3. 1 2 4\n 0.5 2.5E-1\n"
    assert read_cube(write(text))[0].shape == (1, 1, 2)
    with pytest.raises(FileFormatError, match=message):
        read_cube(write(text.replace(old, new)))


def test_an_ldos_of_pp_x():
    ldos = read_ldos_cubes(str(DATA / "ldos.pp*.cube"), GRID)
    assert (ldos.shape, ldos.dtype) == ((15, 9, 9, 3), np.float32)
    for k in range(3):
        values, atoms = read_cube(DATA / f"ldos.pp00{k + 1}.cube")
        expected = (values / RYDBERG / BOHR**3).astype(np.float32)
        np.testing.assert_allclose(ldos[..., k], expected, rtol=2e-7)
    # Over the cell it sums up to the density of states: Σ_kn w_k δ_σ(E − ε_kn).
    dos = ldos.sum((0, 1, 2), dtype=float) * atoms.cell.volume / ldos[..., 0].size
    run = read_xml(DATA / "al2.save" / "data-file-schema.xml")
    peaks = broadening(GRID.values[:, None, None] - run.eigenvalues, width=3.0, kernel=GRID.kernel)
    # Values have five digits, the width in the file has them, too.
    np.testing.assert_allclose(dos, peaks.sum(-1) @ run.weights, rtol=2e-5)
    assert dos.min() > 0.01


def test_a_list_keeps_its_order():
    paths = [DATA / f"ldos.pp00{k}.cube" for k in (3, 1, 2)]
    with pytest.raises(FileFormatError, match=r"at -6\.0000 eV, got 9\.0000 eV \(.*pp003.cube:2"):
        read_ldos_cubes(paths, GRID)
    ordered = read_ldos_cubes(paths[1:] + paths[:1], GRID)
    np.testing.assert_array_equal(ordered, read_ldos_cubes(DATA / "ldos.pp*.cube", GRID))


def test_the_broadening_in_the_file_must_agree():
    grid = EnergyGrid(GRID, broadening=0.3)
    with pytest.raises(FileFormatError, match=r"broadening of 0\.3000 eV, got 3\.0000.*pp001"):
        read_ldos_cubes(DATA / "ldos.pp*.cube", grid)


def test_files_need_not_state_their_energy(write, values):
    header = re.sub("  Energy.*", "", HEADER)
    paths = [write(header + rows((k + 1) * values), f"{k}.cube") for k in range(2)]
    ldos = read_ldos_cubes(paths, [0.0, 1.0])
    assert ldos.max() > 0
    np.testing.assert_allclose(ldos[..., 1], 2 * ldos[..., 0], rtol=1e-4)
    # One file twice is odd, but no reason to take another one in its place.
    again = read_ldos_cubes([*paths, paths[0]], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(again[..., 2], again[..., 0])


def test_written_to_a_file_in_blocks_it_is_the_same(tmp_path, monkeypatch, capsys):
    whole = read_ldos_cubes(DATA / "ldos.pp*.cube", GRID)
    # Two energies at a time.
    monkeypatch.setattr(cube, "BLOCK_BYTES", 2 * whole[..., 0].nbytes)
    out = tmp_path / "ldos.npy"
    handle = read_ldos_cubes(DATA / "ldos.pp*.cube", GRID, out=out, verbose=True)
    assert isinstance(handle, ArrayFile)
    np.testing.assert_array_equal(handle[:], whole)
    assert [path.name for path in tmp_path.iterdir()] == ["ldos.npy"]
    assert "cube files: 100%" in capsys.readouterr().err


def test_numbers_in_names_are_counted(write, values):
    header = re.sub("  Energy.*", "", HEADER)
    # In the order of the alphabet, 10 comes before 9.
    for k in (10, 8, 9):
        path = write(header + rows(np.full_like(values, k)), f"run2.pp{k}Be.cube")
    ldos = read_ldos_cubes(path.with_name("run2.pp*Be.cube"), [0.0, 1.0, 2.0])
    np.testing.assert_allclose(ldos[0, 0, 0] * RYDBERG * BOHR**3, [8, 9, 10], rtol=1e-6)


@pytest.mark.parametrize(
    "names",
    [
        ("a1.cube", "a3.cube"),
        ("a1.cube", "b2.cube"),
        ("e-1.0.cube", "e0.5.cube"),
        ("1_1.cube", "2_2.cube"),
    ],
)
def test_names_that_do_not_tell_the_order_are_refused(write, values, names):
    for name in names:
        path = write(HEADER + rows(values), name)
    with pytest.raises(ValueError, match="differ in one number that counts up by one") as caught:
        read_ldos_cubes(path.with_name("*.cube"), [-6.0, 0.0])
    assert names[0] in str(caught.value)


def test_number_of_files_and_energies(tmp_path):
    with pytest.raises(ValueError, match=r"one cube file per energy, 2, got 3: .*001.*003"):
        read_ldos_cubes(DATA / "ldos.pp*.cube", [-6.0, 1.5])
    with pytest.raises(FileNotFoundError, match=r"no file matches '.*absent\*"):
        read_ldos_cubes(tmp_path / "absent*.cube", GRID)
    with pytest.raises(ValueError, match="at least one cube file, got none"):
        read_ldos_cubes([], GRID)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    4    0.000000    0.000000    1.5", "    2    0.000000    0.000000    3.0", "grid"),
        ("    4    0.000000    0.000000    1.5", "    4    0.000000    0.100000    1.5", "cell"),
        ("    8    8.000000    2.0", "    8    8.000000    2.1", "atoms"),
        ("    8    8.0", "    7    7.0", "atoms"),
    ],
)
def test_files_that_do_not_fit_are_both_named(write, values, old, new, message):
    first = write(HEADER + rows(values), "1.cube")
    n_values = 12 if message == "grid" else 24
    text = HEADER.replace(old, new).replace("-6.0000 eV", " 1.5000 eV")
    second = write(text + rows(values.reshape(-1)[:n_values]), "2.cube")
    with pytest.raises(FileFormatError, match=message) as caught:
        read_ldos_cubes([first, second], [-6.0, 1.5])
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


@pytest.mark.parametrize(("shift", "same"), [(0.997e-3, True), (1.003e-3, False)])
def test_atoms_agree_to_a_thousandth_and_may_be_wrapped(shift, same):
    atoms = bulk("Al", cubic=True)
    for what in ("positions", "cell"):
        other = atoms.copy()
        if what == "cell":
            other.cell[1, 2] += shift
        else:
            other.positions[2, 1] -= shift
            other.positions[1] += 3 * atoms.cell.array[0]
        assert cube.same_atoms(atoms, other) == same
    assert not cube.same_atoms(atoms, atoms[:3])
    other = atoms.copy()
    other.symbols[0] = "Mg"
    assert not cube.same_atoms(atoms, other)


def test_beryllium_of_mala(shared_data):
    folder = shared_data / "be2"
    energies = EnergyGrid.regular(-5.0, 2.5, 11, broadening=5.0, kernel="fermi-dirac")
    ldos = read_ldos_cubes(folder / "cubes" / "tmp.pp*Be_ldos.cube", energies)
    theirs = np.load(folder / "Be_snapshot0.out.npy")
    # MALA converts with constants of CODATA 2014, 8e-9 off: not even the last of the seven
    # digits changes by more than one.
    np.testing.assert_array_max_ulp(ldos, theirs, maxulp=1)
    assert theirs.min() > 0.004
    # With their constants, every bit agrees.
    paths = cube.cube_paths(folder / "cubes" / "tmp.pp*Be_ldos.cube")
    raw = np.stack([read_cube(path)[0] for path in paths], axis=-1)
    raw = raw * (1 / units.Rydberg) * (1 / units.Bohr) * (1 / units.Bohr) * (1 / units.Bohr)
    np.testing.assert_array_equal(raw.astype(np.float32), theirs)
