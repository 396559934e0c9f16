"""Impossible numbers, and data of unexpected types."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from skldos.exceptions import FileFormatError, SnapshotError
from skldos.io import (
    charge_density,
    read_cube,
    read_espresso,
    read_mala,
    read_olcao_potential,
    read_openpmd,
    wavefunction_density,
    write_olcao_potential,
)
from skldos.io.espresso.binary import WavefunctionFile, read_charge_density
from skldos.io.limits import check_numbers, refusing_damage

DATA = Path(__file__).parent / "data"
SAVE = DATA / "al2" / "al2.save"
XML = SAVE / "data-file-schema.xml"
OUTPUT = DATA / "al2" / "al2.scf.out"


@pytest.fixture
def edited(tmp_path):
    def edit(source, old, new, count=-1):
        text = source.read_text()
        assert re.search(old, text)
        path = tmp_path / source.name
        path.write_text(re.sub(old, lambda found: new, text, count=max(count, 0)))
        return path

    return edit


def test_bounds_are_inclusive_and_nan_is_within_none():
    check_numbers("x", [0.0, 1.0], "f", low=0, high=1)
    check_numbers("x", [], "f", low=0, high=1)
    for wrong in (-1e-9, 1 + 1e-9, np.nan, np.inf, -np.inf):
        with pytest.raises(FileFormatError, match="x must lie within 0 and 1, got"):
            check_numbers("x", [0.5, wrong], "f", low=0, high=1)
    with pytest.raises(FileFormatError, match="x must be real numbers"):
        check_numbers("x", ["a"], "f")


@pytest.mark.parametrize(
    "error", [OverflowError("big"), RecursionError(), KeyError("x"), TypeError("t")]
)
def test_damage_has_one_name(error):
    match = r"the file is damaged: .*\(a\.json\)"
    with pytest.raises(FileFormatError, match=match) as caught, refusing_damage("a.json"):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [FileNotFoundError("x"), SnapshotError("y"), MemoryError("z")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, refusing_damage("a.json"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<nelec>6.0+e0", "<nelec>1e5", "n_electrons must be <="),
        ("<nelec>6.0+e0", "<nelec>9", "the states hold 6 electrons, but .* is 9"),
        ("<nelec>6.0+e0", "<nelec>-6", "n_electrons must be > 0"),
        ('nr1="15" nr2="9"', 'nr1="-15" nr2="9"', "FFT grid must lie within 1"),
        ('nr1="15" nr2="9"', 'nr1="15000" nr2="9"', "far finer than ecutrho"),
        ('nr1="15" nr2="9"', 'nr1="1_5" nr2="9"', "'nr1' of <fft_grid> must be a number"),
        ("<ecutrho>1.2", "<ecutrho>-1.2", "ecutrho must lie within"),
        (
            r"<ecutwfc>3.0+e0</ecutwfc>\s+<ecutrho>1.2\d+e1<",
            "<ecutwfc>3e99</ecutwfc><ecutrho>12<",
            "ecutwfc must lie within",
        ),
        ('degauss="1.000000000000e-2"', 'degauss="0"', "the width of the smearing must lie"),
        ('weight="5.000000000000e-1"', 'weight="-0.5"', "weights of the k points must have"),
        ("<fermi_energy>[^<]*", "<fermi_energy>-1e200", "the Fermi energy must lie"),
        (r"-1\.133129959815362e-1", "1e300", "eigenvalues must lie"),
        (r"9\.999971994879962e-1", "-5e9", "occupations must lie"),
        ("-1.083930148272572e-2 5.37", "1e90 5.37", "forces must lie"),
        ("<tot_charge>[^<]*", "<tot_charge>1e308", "the charge must lie"),
        ("<a1>7.936849723428235e0", "<a1>7e200", "the cell of Al2 must lie within"),
        ("<a1>[^<]*", "<a1>0 0 1e-9", "with a volume"),
        ("-9.448630623128851e-2", "1e18", "the positions of Al2 must lie within"),
        ("<ehart>1.2", "<ehart>1_2", "<ehart> must only hold numbers"),
        ("UTF-8", "UTF-9", "the XML is damaged"),
    ],
)
def test_absurd_numbers_in_the_xml(edited, old, new, message):
    with pytest.raises(FileFormatError, match=rf"{message}.*xml"):
        read_espresso(edited(XML, old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "number of electrons       =         6.00",
            "number of electrons = 500.",
            "electrons is 500",
        ),
        ("number of electrons       =         6.00", "number of electrons = 7.0", "electrons is 7"),
        (r"dimensions: \(  15,", "dimensions: ( 15999,", "far finer than ecutrho"),
        (r"dimensions: \(  15,", "dimensions: ( 0,", "FFT grid must lie"),
        (r"celldm\(1\)=   7.939099", "celldm(1)= 1e200", "must lie within|volume"),
        (r"-0.0119014", "-9e90", "positions of Al2"),
        ("charge density cutoff     =      24.0", "charge density cutoff = 1e77", "ecutrho must"),
    ],
)
def test_absurd_numbers_in_the_output(edited, old, new, message):
    with pytest.raises(FileFormatError, match=message):
        read_espresso(edited(OUTPUT, old, new))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("temperature", -1.0),
        ("temperature", None),
        ("temperature", 1e308),
        ("number_of_electrons_exact", 1e9),
        ("number_of_electrons_exact", [6]),
        ("grid_dimensions", [0, 3, 4]),
        ("grid_dimensions", [2, 3]),
        ("grid_dimensions", [2, 3, 10**30]),
        ("number_of_electrons_exact", None),
        ("band_energy_dft_calculation", 1e300),
        ("band_energy_dft_calculation", {"array": 1}),
        ("atomic_forces_dft", {"array": [[1.0, 2.0, 3.0]]}),
        ("atomic_forces_dft", [[1.0, 2.0], [3.0]]),
        ("atoms", []),
        ("atoms", None),
        ("atoms.numbers", [13, 500]),
        ("atoms.numbers", [13, -1]),
        ("atoms.numbers", [13, 10**400]),
        ("atoms.numbers", [13]),
        ("atoms.positions", [[0, 0, 0], [1, 1, float("nan")]]),
        ("atoms.positions", "here"),
        ("atoms.cell", [[1e308, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("atoms.cell", {"array": [[4, 0, 0], [0, 4, 0], [0, 0, 1e-7]]}),
    ],
)
def test_absurd_entries_of_mala(tmp_path, entry, value):
    info = {
        "atoms": {
            "numbers": {"array": [13, 13]},
            "positions": {"array": [[0, 0, 0], [1, 2, 2]]},
            "cell": {"array": (4 * np.eye(3)).tolist()},
            "pbc": True,
        },
        "grid_dimensions": [2, 3, 4],
        "temperature": 300.0,
        "number_of_electrons_exact": 6,
        "band_energy_dft_calculation": 1.0,
    }
    path = tmp_path / "a.info.json"
    path.write_text(json.dumps(info))
    assert read_mala(None, path, energies=None).n_electrons == 6
    place = info
    *outer, last = entry.split(".")
    for name in outer:
        place = place[name]
    place[last] = value
    path.write_text(json.dumps(info))
    with pytest.raises((FileFormatError, SnapshotError)):
        read_mala(None, path, energies=None)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' * 50_000, "1" * 5_000, '{"atoms": ' + "9" * 5_000 + "}", ""]
)
def test_endless_json_of_mala(tmp_path, text):
    path = tmp_path / "a.info.json"
    path.write_text(text)
    with pytest.raises(FileFormatError):
        read_mala(None, path, energies=None)


CUBE = "t\n\n 1 0 0 0\n 1 4 0 0\n 1 0 4 0\n 2 0 0 4\n 3 3. 1 2 4\n 0.5 2.5E-1\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 1 0 0 0", " 1e308 0 0 0"),
        (" 1 0 0 0", " 1.5 0 0 0"),
        (" 1 0 0 0", " 0 0 0 0"),
        (" 1 0 0 0", " 1 1e308 0 0"),
        (" 1 4 0 0", " 1e9 4 0 0"),
        (" 1 4 0 0", " -1 4 0 0"),
        (" 1 4 0 0", " 1 1e200 0 0"),
        (" 1 4 0 0", " 1 0 0 0"),
        (" 3 3. 1", " 300 3. 1"),
        (" 3 3. 1", " 3.5 3. 1"),
        (" 3 3. 1", " -3 3. 1"),
        (" 3 3. 1", " 3 3. 1e30"),
        ("2.5E-1", "1e308"),
        ("2.5E-1", "1e999"),
        ("2.5E-1", "2_5.0"),
    ],
)
def test_absurd_numbers_in_a_cube(tmp_path, old, new):
    path = tmp_path / "a.cube"
    path.write_text(CUBE)
    assert read_cube(path)[0].shape == (1, 1, 2)
    path.write_text(CUBE.replace(old, new))
    with pytest.raises(FileFormatError):
        read_cube(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("E-01", "E+400"), ("E-01", "E+99"), ("E+00", "E+300"), ("    2\n", "²\n")],
)
def test_absurd_numbers_of_olcao(tmp_path, old, new):
    path = tmp_path / "a.dat"
    write_olcao_potential(path, [[-3.0, 1.0]], [0.5, 2.0])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(FileFormatError):
        read_olcao_potential(path)


@pytest.mark.parametrize("where", ["Fermi-Dirac smearing", "crystal axes", "number of electrons"])
def test_endless_lines_of_an_output(edited, where):
    with pytest.raises(FileFormatError, match=r"a line has \d+ characters \(.*out:\d+"):
        read_espresso(edited(OUTPUT, where, "<a>" * 30_000 + where))


def copy_save(folder):
    for file in SAVE.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("miller", [-(2**31), 2**31 - 1, 1000])
def test_wave_vectors_that_fit_no_grid(tmp_path, miller):
    save = copy_save(tmp_path)
    for name, start, read in (
        ("charge-density.dat", 20 + 80 + 4, charge_density),
        ("wfc1.dat", 52 + 24 + 80 + 4, wavefunction_density),
    ):
        data = bytearray((SAVE / name).read_bytes())
        assert np.frombuffer(data, "<i4", 3, start).tolist() == [0, 0, 0]
        data[start : start + 4] = np.int32(miller).tobytes()
        (save / name).write_bytes(data)
        with pytest.raises(FileFormatError, match="wave vectors that fit the grid"):
            read(save)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_coefficients_that_are_no_numbers(tmp_path, value):
    save = copy_save(tmp_path)
    data = bytearray((SAVE / "charge-density.dat").read_bytes())
    data[-12:-4] = np.float64(value).tobytes()
    (save / "charge-density.dat").write_bytes(data)
    with pytest.raises(FileFormatError, match="the density must lie within"):
        read_charge_density(save / "charge-density.dat")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, 1e200, -1e160, 2.0])
@pytest.mark.parametrize("start", [-12, -20, 52 + 24 + 80])
def test_bands_that_are_no_numbers(tmp_path, value, start):
    save = copy_save(tmp_path)
    data = bytearray((SAVE / "wfc1.dat").read_bytes())
    start = start if start < 0 else start + 8 + 12 * 53 + 4  # the first wave of the first band
    data[start : start + 8] = np.float64(value).tobytes()
    (save / "wfc1.dat").write_bytes(data)
    with pytest.raises(FileFormatError, match="bands of norm 1"):
        wavefunction_density(save)


def test_a_density_of_other_electrons(tmp_path):
    save = copy_save(tmp_path)
    data = bytearray((SAVE / "charge-density.dat").read_bytes())
    _, coefficients, _ = read_charge_density(SAVE / "charge-density.dat")
    start = len(data) - 4 - 16 * len(coefficients)
    data[start : start + 8] = np.float64(2 * coefficients[0].real).tobytes()
    (save / "charge-density.dat").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"density of 6 electrons as in .*, got 12"):
        charge_density(save)


@pytest.mark.parametrize(("factor", "fits"), [(1.2, True), (4.0, False), (1e9, False)])
def test_no_wave_of_a_density_is_beyond_its_mean(tmp_path, factor, fits):
    save = copy_save(tmp_path)
    data = bytearray((SAVE / "charge-density.dat").read_bytes())
    _, coefficients, _ = read_charge_density(SAVE / "charge-density.dat")
    wave = np.complex128(factor * coefficients[0].real)
    data[-4 - 16 : -4] = wave.tobytes()
    (save / "charge-density.dat").write_bytes(data)
    if fits:
        assert charge_density(save).min() < 0
    else:
        with pytest.raises(FileFormatError, match="no wave of the density beyond its mean"):
            charge_density(save)


@pytest.mark.parametrize("count", [0, -1, 10**6, 2**31 - 1])
def test_counts_that_do_not_fit_the_file(tmp_path, count):
    data = bytearray((SAVE / "wfc1.dat").read_bytes())
    for offset in (52 + 4 + 4, 52 + 4 + 12):  # plane waves and bands
        damaged = bytearray(data)
        damaged[offset : offset + 4] = np.int32(count).tobytes()
        (tmp_path / "wfc1.dat").write_bytes(damaged)
        with pytest.raises(FileFormatError):
            WavefunctionFile(tmp_path / "wfc1.dat")


def write_field(path, *, shape=(2, 3, 4), values=None, unit=None, dtype=float, **options):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.attrs["openPMD"] = "1.1.0"
        mesh = file.create_group("data/0/meshes/LDOS")
        mesh.attrs["axisLabels"] = ["x", "y", "z"]
        mesh.attrs["dataOrder"] = "C"
        for k in range(2):
            part = mesh.create_dataset(str(k), shape, dtype, **options)
            if values is not None:
                part[...] = values
            part.attrs["unitSI"] = 1e30 / 1.602176634e-19 if unit is None else unit


def test_fields_that_are_possible(tmp_path):
    for name, options in (("a", {}), ("b", {"compression": "gzip"}), ("c", {"chunks": (1, 3, 4)})):
        write_field(tmp_path / f"{name}.h5", values=0.25, **options)
        assert (
            np.asarray(read_openpmd(tmp_path / f"{name}.h5")).tolist()
            == [[[[0.25] * 2] * 4] * 3] * 2
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"shape": (4000, 4000, 4000), "chunks": (100, 100, 100)},
            "needs .* bytes, but the file has 0",
        ),
        (
            {"shape": (10**6, 10**6, 1), "chunks": True, "compression": "gzip"},
            "needs .* bytes, but",
        ),
        ({"values": 1.0, "unit": "abc"}, "in units of"),
        ({"values": 1.0, "unit": [1.0, 2.0]}, "in units of"),
        ({"values": 1.0, "unit": float("nan")}, "in units of"),
        ({"values": b"a", "dtype": "S1"}, "must hold real numbers"),
        ({"shape": (0, 3, 4)}, "must hold real numbers"),
    ],
)
def test_fields_that_are_not(tmp_path, options, message):
    write_field(tmp_path / "a.h5", **options)
    with pytest.raises(FileFormatError, match=message):
        read_openpmd(tmp_path / "a.h5")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300])
def test_values_of_a_field_that_are_no_numbers(tmp_path, value):
    write_field(tmp_path / "a.h5", values=value)
    field = read_openpmd(tmp_path / "a.h5")
    with pytest.raises(FileFormatError, match="LDOS must lie within"):
        field[0:1]
