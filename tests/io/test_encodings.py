"""Bytes that are no UTF-8, as in names of people and folders, do no harm where numbers are read."""

from pathlib import Path

import numpy as np
import pytest

from skldos.io import read_cube, read_espresso, read_olcao_potential, write_olcao_potential
from skldos.io.espresso.locate import is_output

OUTPUT = Path(__file__).parent / "data" / "al2" / "al2.scf.out"
CUBE = b"M\xfcller\n\xff\xfe\n 1 0 0 0\n 1 4 0 0\n 1 0 4 0\n 2 0 0 4\n 3 3. 1 2 4\n 0.5 2.5E-1\n"


def test_titles_of_cubes(tmp_path):
    path = tmp_path / "a.cube"
    path.write_bytes(CUBE)
    values, atoms = read_cube(path)
    assert values.ravel().tolist() == [0.5, 0.25]
    assert str(atoms.symbols) == "Li"


def test_comments_of_outputs(tmp_path):
    path = tmp_path / "a.out"
    text = OUTPUT.read_bytes()
    path.write_bytes(text.replace(b"Program PWSCF", b"M\xfcller's Program PWSCF", 1))
    assert is_output(path)
    one, other = read_espresso(path), read_espresso(OUTPUT)
    assert one.reference["total_energy"] == other.reference["total_energy"]
    np.testing.assert_array_equal(one.atoms.positions, other.atoms.positions)


@pytest.mark.parametrize(("before", "found"), [(1987, True), (1988, False)])
def test_outputs_say_so_at_their_beginning(before, found, tmp_path):
    path = tmp_path / "a.out"
    path.write_text("." * before + "Program PWSCF")
    assert is_output(path) == found


def test_lines_of_potentials_that_are_passed_on(tmp_path):
    path = tmp_path / "a.dat"
    write_olcao_potential(path, [[-3.0, 1.0]], [0.5, 2.0], plus_u=("0", "SPIN_UP", "Mueller"))
    path.write_bytes(path.read_bytes().replace(b"Mueller", b"M\xfcller"))
    found = read_olcao_potential(path)
    np.testing.assert_allclose(found.coefficients[0][0], [-3.0, 1.0], rtol=1e-9)
    assert found.plus_u[-1] == "M\ufffdller"
