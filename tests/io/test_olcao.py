"""Potentials of OLCAO: a file as Fortran writes it, round trips, and damaged files.

The form of the files is that of the program's `write` statements, (i5) and
(2(1x,e17.10),3(1x,e13.6)); the numbers are made up.
"""

import numpy as np
import pytest

from skldos.exceptions import FileFormatError
from skldos.io import OLCAOPotential, read_olcao_potential, write_olcao_potential
from skldos.io.olcao import fortran

TEXT = """NUM_TYPES     2
TOTAL__OR__SPIN_UP
    2
 -0.5000000000E+00  0.1500000000E+00  0.100000E-01  0.200000E+00  0.000000E+00
  0.3500000000E+02  0.1000000000E+07 -0.250000-101  0.300000D+01  0.000000E+00
    1
  0.2500000000E+01  0.4000000000E+01  0.000000E+00  0.000000E+00  0.000000E+00
SPIN_DN
    2
 -0.4000000000E+00  0.1500000000E+00  0.100000E-01  0.200000E+00  0.500000E-01
  0.3500000000E+02  0.1000000000E+07 -0.250000-101  0.300000D+01  0.000000E+00
    1
  0.2500000000E+01  0.4000000000E+01  0.000000E+00  0.000000E+00  0.000000E+00
NUM__PLUSUJ__TERMS
    0
TOTAL__OR__SPIN_UP
SPIN_DN
"""
#: CODATA 2018, by hand
HARTREE, BOHR = 27.211386245988, 0.529177210903


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "gs_scfV-fb.dat"
        path.write_text(text)
        return path

    return write


def test_numbers_are_read_and_converted(write):
    potential = read_olcao_potential(write(TEXT))
    assert repr(potential) == "OLCAOPotential(2 types of 2, 1 Gaussians)"
    first, second = potential.coefficients
    np.testing.assert_allclose(first, np.array([[-0.5, 35.0], [-0.4, 35.0]]) * HARTREE)
    np.testing.assert_allclose(second, [[2.5 * HARTREE]] * 2)
    np.testing.assert_allclose(potential.exponents[0], np.array([0.15, 1e6]) / BOHR**2)
    np.testing.assert_allclose(potential.exponents[1], [4 / BOHR**2])
    np.testing.assert_array_equal(
        potential.charges[0][1], [[0.01, 0.2, 0.05], [-0.25e-101, 3.0, 0.0]]
    )


@pytest.mark.parametrize(
    "change",
    [
        ("NUM_TYPES     2", "NUM_TYPES\n   2"),
        ("\n    1\n", "\n\n 1 \n\n"),
        # Numbers that fill their columns
        ("  0.3500000000E+02  0.1000000000E+07 -0", " +0.3500000000E+02+0.1000000000E+07-0"),
        ("0.2500000000E+01", "2.5"),
        ("0.2500000000E+01", "0.25d1"),
        ("0.2500000000E+01", "250.-002"),
        (TEXT[TEXT.index("NUM__PLUSUJ") :], ""),
    ],
)
def test_other_ways_to_write_the_same(write, change):
    assert change[0] in TEXT
    expected = read_olcao_potential(write(TEXT))
    found = read_olcao_potential(write(TEXT.replace(*change)))
    assert_same(found, expected)


def assert_same(found, expected, **tolerances):
    assert found.plus_u == expected.plus_u
    for name in ("coefficients", "exponents", "charges"):
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(a, b, **tolerances or {"rtol": 1e-14})


def test_there_and_back(write, tmp_path):
    expected = read_olcao_potential(write(TEXT))
    path = tmp_path / "again.dat"
    write_olcao_potential(
        path,
        expected.coefficients,
        expected.exponents,
        charges=expected.charges,
        plus_u=expected.plus_u,
    )
    assert_same(read_olcao_potential(path), expected, rtol=1e-9)
    # To the letter, but for the D that our numbers never have.
    assert path.read_text().split() == TEXT.replace("D+01", "E+01").split()


def test_random_potentials_come_back_to_ten_digits(tmp_path, rng):
    path = tmp_path / "random.dat"
    coefficients = [rng.normal(size=(2, n)) * 10.0 ** rng.integers(-8, 8, n) for n in (3, 1, 16)]
    exponents = [10.0 ** rng.uniform(-1, 6, n) for n in (3, 1, 16)]
    charges = [rng.normal(size=(2, n, 3)) * 1e-150 for n in (3, 1, 16)]
    write_olcao_potential(path, coefficients, exponents, charges=charges)
    found = read_olcao_potential(path)
    for i in range(3):
        np.testing.assert_allclose(found.coefficients[i], coefficients[i], rtol=6e-10)
        np.testing.assert_allclose(found.exponents[i], exponents[i], rtol=6e-10)
        np.testing.assert_allclose(found.charges[i], charges[i], rtol=6e-6)


def test_a_block_of_atoms_is_a_type_for_each(tmp_path, rng):
    path, block = tmp_path / "block.dat", rng.normal(size=(4, 3))
    write_olcao_potential(path, block, [0.5, 1.5, 4.5])
    found = read_olcao_potential(path)
    assert len(found.exponents) == 4
    np.testing.assert_allclose([A[0] for A in found.coefficients], block, rtol=1e-9)
    np.testing.assert_array_equal(found.coefficients[2][0], found.coefficients[2][1])
    assert not any(extra.any() for extra in found.charges)


def test_hubbard_terms_are_kept_as_they_are(write, tmp_path):
    terms = ("1", "TOTAL__OR__SPIN_UP", "3", "0.1E+00  0.2E+00", "SPIN_DN", "3", "0.3E+00")
    text = TEXT[: TEXT.index("    0\n")] + "\n".join(terms) + "\n"
    potential = read_olcao_potential(write(text))
    assert potential.plus_u == terms
    path = tmp_path / "again.dat"
    write_olcao_potential(
        path, potential.coefficients, potential.exponents, plus_u=potential.plus_u
    )
    assert read_olcao_potential(path).plus_u == terms


# What gfortran 12 prints with 1x,e17.10 and e13.6 is known by the rules of the language: a zero
# before the point, the first digit after it not zero, four places for the exponent.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, " 0.000000E+00"),
        (1.0, " 0.100000E+01"),
        (-9.9999999, "-0.100000E+02"),
        (0.0999999949, " 0.100000E+00"),
        (1.5e-101, " 0.150000-100"),
        (-2e120, "-0.200000+121"),
        (1e99, " 0.100000+100"),
        (1e98, " 0.100000E+99"),
    ],
)
def test_numbers_as_fortran_prints_them(value, text):
    assert fortran(value, 6) == text
    assert len(text) == 13


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("NUM_TYPES", "NUM_SITES", "expected NUM_TYPES, got 'NUM_SITES'", 1),
        ("NUM_TYPES     2", "NUM_TYPES     0", "expected an integer >= 1, got '0'", 1),
        ("NUM_TYPES     2", "NUM_TYPES     3", "expected an integer >= 0, got 'SPIN_DN'", 8),
        ("NUM_TYPES     2", "NUM_TYPES     1", "expected SPIN_DN, got '1'", 6),
        ("SPIN_UP\n    2", "SPIN_UP\n    x", "expected an integer >= 0, got 'x'", 3),
        ("  0.3500000000E+02 ", " *****************", "expected five numbers", 5),
        ("  0.300000D+01  0.000000E+00", "  0.300000D+01", "expected five numbers", 5),
        ("0.1500000000E+00", "0.0", "expected exponents > 0, got 0", 5),
        ("-0.4000000000E+00  0.15", "-0.4000000000E+00  0.16", "exponents of spin up", 13),
        (TEXT[TEXT.index("  0.3500") :], "", "the file ends where a row", 4),
        (TEXT[TEXT.index("SPIN_DN") :], "", "the file ends where SPIN_DN was expected", 7),
        ("NUM__PLUSUJ__TERMS\n    0", "NUM__PLUSUJ__TERMS", "expected an integer >= 0", 15),
        (TEXT, "", "the file ends where NUM_TYPES was expected", 1),
        ("0.3500000000E+02", "0.3500000000E+400", "a row must lie within", 5),
        ("0.3500000000E+02", "0.3500000000E+99", "a row must lie within", 5),
        ("SPIN_UP\n    2\n", "SPIN_UP\n²\n", "expected an integer >= 0, got '²'", 3),
    ],
)
def test_damage_names_file_and_line(write, old, new, message, line):
    assert old in TEXT
    path = write(TEXT.replace(old, new, 1))
    with pytest.raises(FileFormatError, match=r"gs_scfV-fb\.dat") as caught:
        read_olcao_potential(path)
    assert message in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, 2.0]], [0.5]), r"coefficients\[0\] must have shape"),
        (([[1.0]], [[0.5], [0.5]]), "exponents must have one entry per type, 1, got 2"),
        (([[1.0]], [-0.5]), r"exponents\[0\] must be > 0, got -0.5"),
        (([[np.nan]], [0.5]), r"coefficients\[0\] must be finite"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_olcao_potential(tmp_path / "never.dat", *arguments)
    assert not (tmp_path / "never.dat").exists()


def test_charges_of_another_shape(tmp_path):
    with pytest.raises(ValueError, match=r"charges\[0\] must have shape \(2, 1, 3\)"):
        write_olcao_potential(tmp_path / "x.dat", [[1.0]], [0.5], charges=[np.zeros((1, 3))])


def test_it_is_a_value():
    potential = OLCAOPotential((), (), ())
    with pytest.raises(AttributeError):
        potential.exponents = ()
