"""Runs of pw.x: a small stored one, damaged copies of it, and others run by the tests."""

import json
import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from skldos import EnergyGrid, SnapshotList
from skldos.exceptions import FileFormatError
from skldos.io import read_espresso, read_ldos_cubes
from skldos.io.espresso.output import read_output
from skldos.io.espresso.run import chemical_symbol
from skldos.io.espresso.xml import read_xml
from skldos.physics.smearing import occupation
from skldos.units import BOHR, BOLTZMANN, HARTREE, RYDBERG
from tests.espresso import SMEARING, needs_pw, run_pw

DATA = Path(__file__).parent / "data" / "al2"
XML = DATA / "al2.save" / "data-file-schema.xml"
OUTPUT = DATA / "al2.scf.out"
GRID = EnergyGrid.regular(-6.0, 7.5, 3, broadening=3.0, kernel="fermi-dirac")
PARTS = ("one_electron", "hartree", "xc", "ewald", "minus_ts")
ENERGIES = ("fermi_energy", "band_energy", "total_energy", *PARTS)


@pytest.fixture(scope="module")
def xml():
    return read_espresso(XML)


@pytest.fixture
def substituted(tmp_path):
    """Return a copy of the XML file or the output with a regular expression replaced by a text."""

    def substitute(source, pattern, new, count=0):
        text, n = re.subn(pattern, lambda found: new, source.read_text(), count=count)
        assert n
        path = tmp_path / source.name
        path.write_text(text)
        return path

    return substitute


@pytest.fixture
def edited(substituted):
    """Return a copy of the XML file or the output with one text replaced by another."""

    def edit(source, old, new, count=1):
        return substituted(source, re.escape(old), new, max(count, 0))

    return edit


# What is read


def test_atoms_and_grid_are_those_of_the_input(xml):
    cell = [[4.2, 0, 0.1], [0.3, 2.9, 0], [0, 0.2, 2.8]]
    np.testing.assert_allclose(xml.atoms.cell, cell, rtol=0, atol=1e-9)
    positions = [[-0.05, 0.1, 0], [2.1, 1.5, 1.3]]
    np.testing.assert_allclose(xml.atoms.positions, positions, rtol=0, atol=1e-9)
    assert str(xml.atoms.symbols) == "Al2"
    assert xml.grid_shape == (15, 9, 9)
    assert xml.n_electrons == 6
    assert xml.temperature == pytest.approx(0.02 * RYDBERG / BOLTZMANN, rel=1e-12)
    assert (xml.reference["ecutwfc"], xml.reference["ecutrho"]) == pytest.approx((6, 24))


def test_energies_obey_their_laws(xml):
    reference = xml.reference
    total = sum(reference[part] for part in PARTS)
    assert total == pytest.approx(reference["total_energy"], abs=1e-9)
    # pw.x's own sum over the states
    eband = float(re.search("<eband>(.*)</eband>", XML.read_text())[1]) * HARTREE
    assert reference["band_energy"] == pytest.approx(eband, rel=1e-10)
    run = read_xml(XML)
    assert run.weights @ run.occupations.sum(axis=1) == pytest.approx(6, rel=1e-10)
    expected = occupation(
        run.eigenvalues, temperature=run.temperature, fermi_level=run.fermi_energy
    )
    np.testing.assert_allclose(run.occupations, expected, rtol=1e-6, atol=1e-12)
    # Newton's third law; two atoms that are no images of each other by chance
    np.testing.assert_allclose(reference["forces"].sum(axis=0), 0, atol=1e-8)
    assert abs(reference["forces"]).max() > 0.1


def test_the_output_agrees_to_the_digits_printed(xml):
    text = read_espresso(OUTPUT)
    for name in ("total_energy", *PARTS):
        # Half of the eighth decimal in Ry; pw.x's own Rydberg is that of CODATA 2018.
        assert text.reference[name] == pytest.approx(xml.reference[name], abs=0.51e-8 * RYDBERG)
    fermi = xml.reference["fermi_energy"]
    assert text.reference["fermi_energy"] == pytest.approx(fermi, abs=0.51e-4)
    # Levels and the Fermi level have four decimals in eV; six electrons.
    band_energy = xml.reference["band_energy"]
    assert text.reference["band_energy"] == pytest.approx(band_energy, abs=6 * 0.5e-4)
    forces = xml.reference["forces"]
    np.testing.assert_allclose(
        text.reference["forces"], forces, rtol=0, atol=0.51e-8 * RYDBERG / BOHR
    )
    # alat and axes have six decimals.
    np.testing.assert_allclose(text.atoms.cell, xml.atoms.cell, rtol=0, atol=4e-6)
    np.testing.assert_allclose(text.atoms.positions, xml.atoms.positions, rtol=0, atol=1e-6)
    for name in ("grid_shape", "n_electrons"):
        assert getattr(text, name) == getattr(xml, name)
    assert text.temperature == pytest.approx(xml.temperature, rel=1e-12)
    known = {*ENERGIES, "forces", "ecutwfc", "ecutrho"}
    known |= {"functional", "charge", "occupations", "pseudopotentials"}
    assert text.reference.keys() == xml.reference.keys() == known


# Printed by pw.x 7.5 for two atoms of aluminium, in Ry/bohr³ and in kbar.
STRESS = """
          total   stress  (Ry/bohr**3)                   (kbar)     P=      -60.36
  -0.00040597   0.00002690   0.00001623          -59.72        3.96        2.39
   0.00002690  -0.00042631   0.00004092            3.96      -62.71        6.02
   0.00001623   0.00004092  -0.00039863            2.39        6.02      -58.64
"""


def test_the_stress_is_read_where_it_was_calculated(xml, edited):
    kbar = np.array([line.split()[3:] for line in STRESS.splitlines()[2:]], float)
    end = "     Writing output data file"
    printed = read_espresso(edited(OUTPUT, end, STRESS + end)).reference["stress"]
    # A kbar is 0.1 GPa, and pw.x's pressure is positive where the cell tends to grow.
    np.testing.assert_allclose(printed * 1602.1766208, -kbar, rtol=0, atol=0.02)
    slab = read_espresso(edited(OUTPUT, end, f"2D cutoff{STRESS}{end}"), assume_isolated="2D")
    assert "stress" not in slab.reference
    halves = " ".join(f"{float(x) / 2:.9f}" for x in re.findall(r"-?0\.0\d+", STRESS))
    element = f'<stress rank="2" dims="3 3" order="F">{halves}</stress>'
    last = "  </output>"
    path = edited(XML, last, element + last)
    np.testing.assert_allclose(read_espresso(path).reference["stress"], printed, atol=1e-9)
    assert "stress" not in xml.reference
    with pytest.raises(FileFormatError, match="the stress is not symmetric"):
        read_espresso(edited(XML, last, element.replace("0.00001", "0.01", 1) + last))
    lines = (STRESS + end).splitlines(keepends=True)
    with pytest.raises(FileFormatError, match="expected 6 numbers"):
        read_espresso(edited(OUTPUT, end, "".join([*lines[:4], *lines[5:]])))


def test_both_files_agree_in_everything_else():
    xml, text = read_xml(XML), read_output(OUTPUT)
    np.testing.assert_allclose(text.eigenvalues, xml.eigenvalues, rtol=0, atol=0.51e-4)
    # ∂f/∂x is at most 1/4, x has half a unit of the fourth decimal twice, kT is 0.27 eV.
    np.testing.assert_allclose(text.occupations, xml.occupations, rtol=0, atol=1e-4)
    np.testing.assert_allclose(text.weights, xml.weights, rtol=1e-6)
    for name in ("smearing", "width", "kind", "gamma_only", "pseudopotentials"):
        assert getattr(text, name) == getattr(xml, name)
    assert xml.pseudopotentials == {"Al": "Al.pz-vbc.UPF"}


def test_symmetries_map_the_crystal_on_itself():
    run = read_xml(XML)
    np.testing.assert_array_equal(run.rotations[0], np.eye(3))
    assert run.translations.shape == (len(run.rotations), 3)


@pytest.mark.parametrize(
    ("label", "symbol"),
    [
        ("Al", "Al"),
        ("Fe1", "Fe"),
        ("O_s", "O"),
        ("H2", "H"),
        ("D", "H"),
        ("D2", "H"),
        ("T", "H"),
        ("t_1", "H"),
        ("Dy", "Dy"),
        ("Ti1", "Ti"),
        ("Tb", "Tb"),
    ],
)
def test_labels_of_species(label, symbol):
    assert chemical_symbol(label) == symbol
    with pytest.raises(ValueError, match=f"no chemical symbol in the label 'X{label}'"):
        chemical_symbol(f"X{label}")


# Where it is


def test_all_places_lead_to_the_same_run(xml, tmp_path):
    for path in (DATA, str(DATA), DATA / "al2.save", XML):
        assert read_espresso(path).reference["total_energy"] == xml.reference["total_energy"]
    assert read_espresso(DATA, prefix="al2").reference["fermi_energy"] > 5
    shutil.copy(OUTPUT, tmp_path)
    (tmp_path / "pp.out").write_text("Program POST-PROC v.6.7MaX starts")
    assert read_espresso(tmp_path).grid_shape == (15, 9, 9)
    # Beside prefix.save pw.x leaves a copy of the XML file.
    shutil.copytree(DATA / "al2.save", tmp_path / "al2.save")
    shutil.copy(XML, tmp_path / "al2.xml")
    assert read_xml(tmp_path / "al2.xml").save_directory == tmp_path / "al2.save"
    assert read_espresso(tmp_path / "al2.xml", density="charge-density").density is not None


def test_places_without_a_run_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*absent"):
        read_espresso(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"neither data-file-schema.xml, prefix.save nor"):
        read_espresso(tmp_path)
    for name in ("b", "a"):
        shutil.copytree(DATA / "al2.save", tmp_path / f"{name}.save")
    with pytest.raises(ValueError, match=r"several runs, a\.save, b\.save"):
        read_espresso(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no c\.save/.*it has a\.save, b\.save"):
        read_espresso(tmp_path, prefix="c")
    with pytest.raises(FileNotFoundError, match=r"a\.save is not .* prefix 'b'"):
        read_espresso(tmp_path / "a.save", prefix="b")
    assert read_espresso(tmp_path, prefix="b").n_electrons == 6
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    for name in ("1.out", "2.out"):
        shutil.copy(OUTPUT, outputs / name)
    with pytest.raises(ValueError, match=r"must be one run, .* holds 1\.out, 2\.out"):
        read_espresso(outputs)


# LDOS and density


def test_ldos_from_wavefunctions_and_from_cubes(tmp_path):
    grid = EnergyGrid(GRID, broadening=3.0, kernel="fermi-dirac")
    # With eight bands the highest energies miss some levels, in both.
    with pytest.warns(UserWarning, match="the highest of the 8 bands"):
        waves = read_espresso(DATA, ldos="wavefunctions", energies=grid)
    cubes = read_espresso(DATA, ldos=str(DATA / "ldos.pp*.cube"), energies=grid)
    assert waves.energy_grid == cubes.energy_grid == grid
    # Five digits in a cube file, 0.10000E+00: half of the last is 5e-5 of the number.
    np.testing.assert_allclose(cubes.ldos, waves.ldos, rtol=5.1e-5, atol=1e-7)
    assert waves.ldos.max() > 0.01
    paths = [DATA / f"ldos.pp00{k}.cube" for k in (1, 2, 3)]
    listed = read_espresso(DATA, ldos=paths, energies=grid)
    np.testing.assert_array_equal(listed.ldos, cubes.ldos)
    np.save(tmp_path / "ldos.npy", cubes.ldos)
    for source in (tmp_path / "ldos.npy", cubes.ldos):
        snapshot = read_espresso(OUTPUT, ldos=source, energies=grid)
        np.testing.assert_array_equal(snapshot.ldos[:], cubes.ldos)
    handle = read_ldos_cubes(DATA / "ldos.pp*.cube", grid, out=tmp_path / "big.npy")
    assert "on disk" in repr(read_espresso(DATA, ldos=handle, energies=grid))


def test_wavefunctions_take_a_gaussian_unless_told_otherwise():
    grid = EnergyGrid(GRID, broadening=0.5)
    snapshot = read_espresso(DATA, ldos="wavefunctions", energies=grid)
    assert snapshot.energy_grid == EnergyGrid(GRID, broadening=0.5, kernel="gaussian")


def test_densities_from_all_places_agree(xml, tmp_path):
    densities = {
        place: read_espresso(DATA, density=place)
        for place in ("charge-density", "wavefunctions", DATA / "density.cube")
    }
    first = densities["charge-density"]
    assert first.density.sum() * xml.voxel_volume == pytest.approx(6, rel=1e-9)
    # The threshold of the self-consistency is 1e-10 Ry.
    np.testing.assert_allclose(densities["wavefunctions"].density, first.density, atol=1e-5)
    # Five digits in a cube file, 0.10000E+00: half of the last is 5e-5 of the number.
    np.testing.assert_allclose(densities[DATA / "density.cube"].density, first.density, rtol=5.1e-5)
    np.save(tmp_path / "x.dens.npy", first.density[..., None])
    for place in (tmp_path / "x.dens.npy", first.density):
        snapshot = read_espresso(OUTPUT, density=place)
        np.testing.assert_array_equal(snapshot.density, first.density)


def test_snapshots_can_be_saved(tmp_path):
    snapshot = read_espresso(DATA, density="charge-density")
    SnapshotList([snapshot]).save(tmp_path / "saved")
    (again,) = SnapshotList.load(tmp_path / "saved")
    assert again.reference["band_energy"] == snapshot.reference["band_energy"]


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        (None, "energies must be an EnergyGrid with broadening and kernel .*got None"),
        ([0.0, 1.0, 2.0], "energies must be an EnergyGrid"),
        (EnergyGrid([0.0, 1.0, 2.0], kernel="gaussian"), "must have the broadening"),
        (EnergyGrid([0.0, 1.0, 2.0], broadening=1.0), "must have the kernel"),
    ],
)
def test_an_ldos_needs_energies_that_know_their_broadening(energies, message):
    with pytest.raises(ValueError, match=message):
        read_espresso(DATA, ldos=DATA / "ldos.pp*.cube", energies=energies)


def test_a_text_output_has_no_wavefunctions():
    with pytest.raises(ValueError, match=r"ldos can only be read from a save directory.*scf\.out"):
        read_espresso(OUTPUT, ldos="wavefunctions", energies=GRID)
    with pytest.raises(ValueError, match=r"density can only be read from a save directory"):
        read_espresso(OUTPUT, density="charge-density")


def test_fields_on_another_grid_are_refused(tmp_path, edited):
    with pytest.raises(ValueError, match=r"FFT grid \(15, 9, 9\) of .*got shape \(9, 9, 15, 3\)"):
        read_espresso(DATA, ldos=np.ones((9, 9, 15, 3)), energies=GRID)
    np.save(tmp_path / "x.npy", np.ones((9, 9, 15, 3)))
    with pytest.raises(FileFormatError, match=r"FFT grid \(15, 9, 9\) of .*xml.*x\.npy"):
        read_espresso(DATA, ldos=tmp_path / "x.npy", energies=GRID)
    with pytest.raises(FileFormatError, match=r"density must be on the FFT grid.*x\.npy"):
        read_espresso(DATA, density=tmp_path / "x.npy")
    mala = DATA.parent / "mala" / "ldos.h5"
    pytest.importorskip("h5py")
    with pytest.raises(FileFormatError, match=r"got shape \(2, 3, 4, 3\) \(.*ldos\.h5"):
        read_espresso(DATA, ldos=mala, energies=GRID)
    other = edited(XML, 'nr1="15"', 'nr1="16"')
    with pytest.raises(FileFormatError, match=r"\(16, 9, 9\) of .*density\.cube"):
        read_espresso(other, density=DATA / "density.cube")


def test_fields_of_other_atoms_are_refused(edited):
    other = edited(DATA / "density.cube", "7.842363", "7.742363")
    with pytest.raises(FileFormatError, match=r"atoms of the density differ.*density\.cube"):
        read_espresso(DATA, density=other)
    other = edited(DATA / "ldos.pp001.cube", "7.842363", "7.742363")
    with pytest.raises(FileFormatError, match=r"differ from those of .*pp001\.cube \(.*pp002"):
        read_espresso(
            DATA, ldos=[other, *(DATA / f"ldos.pp00{k}.cube" for k in (2, 3))], energies=GRID
        )
    run = edited(OUTPUT, "(   0.4998583 ", "(   0.5098583 ")
    with pytest.raises(FileFormatError, match=r"atoms of the ldos differ .*\(.*ldos\.pp001\.cube"):
        read_espresso(run, ldos=[DATA / f"ldos.pp00{k}.cube" for k in (1, 2, 3)], energies=GRID)


# Temperature


def test_only_fermi_dirac_is_a_temperature(edited):
    for source, old, new in (
        (XML, ">fd</smearing>", ">mv</smearing>"),
        (OUTPUT, "Fermi-Dirac smearing", "Marzari-Vanderbilt smearing"),
    ):
        path = edited(source, old, new, count=-1)
        with pytest.raises(ValueError, match=r"temperature must be given: .*marzari-vanderbilt"):
            read_espresso(path)
        assert read_espresso(path, temperature=300).temperature == 300
    with pytest.raises(ValueError, match=r"temperature must be that of the run, 3157\.8 K within"):
        read_espresso(XML, temperature=300.0)
    assert read_espresso(XML, temperature=3158).temperature == 3158
    # The output has four decimals of the width in Ry: 7.9 K.
    assert read_espresso(OUTPUT, temperature=3165).temperature == 3165
    with pytest.raises(ValueError, match=r"temperature must be that of the run.*got 3170"):
        read_espresso(OUTPUT, temperature=3170)
    with pytest.raises(FileFormatError, match=r"unknown smearing 'warm'.*xml:\d+"):
        read_espresso(edited(XML, ">fd</smearing>", ">warm</smearing>", count=-1))


# What is refused


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<convergence_achieved>true", "<convergence_achieved>false", "did not converge"),
        ("</functional>\n    </dft>\n    <magn", "</functional><dftU/></dft><magn", "dftU"),
        ("</demet>", "</demet><vdW_term>0.1</vdW_term>", "<vdW_term>, which skldos"),
        ("<ewald>", "<evald>0</evald><ewald>", "<evald>, which skldos does not support"),
        ("<calculation>scf", "<calculation>bands", "no weights"),
        ("<nks>4", "<nks>5", "eigenvalues of 5 k points, got 4"),
        ('nat="2" alat', 'nat="3" alat', "expected 3 atoms, got 2"),
        ('nr1="15"', 'nr1="x"', "'nr1' of <fft_grid> must be a number, got 'x'"),
        (' nr2="9"', "", "<fft_grid> lacks the attribute 'nr2'"),
        ("<ehart>", "<ehart>zero ", "<ehart> must only hold numbers"),
        ("<ehart>", "<ehart>NaN ", "<ehart> must hold 1 finite numbers, got 2"),
        ('<atom name="Al"', "<atom", "<atom> lacks the attribute 'name'"),
        ('<atom name="Al"', '<atom name="?"', "no chemical symbol in the label '\\?'"),
    ],
)
def test_xml_that_cannot_be_used_names_file_and_line(edited, old, new, message):
    text = XML.read_text()
    count = -1 if old.startswith(("<nks", "nat", "<atom")) or old in ('nat="2" alat',) else 1
    path = edited(XML, old, new, count)
    with pytest.raises(FileFormatError, match=rf"{message}.*schema\.xml:\d+\)$") as caught:
        read_espresso(path)
    first = text[: text.rindex(old) if count < 0 else text.index(old)].count("\n") + 1
    # The element itself, or the one around it.
    assert first - 90 < caught.value.line <= first + 2


@pytest.mark.parametrize(("flag", "kind"), [("lsda", "spin-pol"), ("noncolin", "noncollinear")])
def test_spin_is_refused(edited, flag, kind):
    path = edited(XML, f"<{flag}>false", f"<{flag}>true", count=-1)
    with pytest.raises(FileFormatError, match=rf"is {kind}.*xml:\d+"):
        read_espresso(path)


@pytest.mark.parametrize(
    "tag", ["output", "basis_set", "total_energy", "nks", "eigenvalues", "fermi_energy", "nelec"]
)
def test_a_missing_element_is_named(tmp_path, tag):
    text = XML.read_text()
    start = text.index("<output>")
    text = text[:start] + text[start:].replace(f"<{tag}", "<x").replace(f"</{tag}>", "</x>")
    path = tmp_path / XML.name
    path.write_text(text)
    with pytest.raises(FileFormatError, match=rf"lacks the element <{tag}> \(.*xml:\d+"):
        read_espresso(path)


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.99])
def test_truncated_xml_names_its_last_line(tmp_path, part):
    text = XML.read_text()
    text = text[: int(part * len(text))]
    path = tmp_path / XML.name
    path.write_text(text)
    with pytest.raises(FileFormatError, match="damaged or truncated") as caught:
        read_espresso(path)
    assert caught.value.line == text.count("\n") + 1


def test_atoms_that_moved_on_are_refused(tmp_path):
    text = XML.read_text()
    text = text.replace("<calculation>scf", "<calculation>md")
    structure = re.search("<output>.*?(<atomic_structure.*?</atomic_structure>)", text, re.DOTALL)
    for shift, moved in (("", False), ("1", True)):
        step = structure[1].replace('index="2">', f'index="2">{shift}')
        path = tmp_path / XML.name
        path.write_text(text.replace("  <output>", f"  <step>{step}</step>\n  <output>"))
        refused = pytest.raises(FileFormatError, match=r"the atoms moved by .* Å after the last")
        with refused if moved else nullcontext():
            assert read_espresso(path).n_electrons == 6


CARD = "\nATOMIC_POSITIONS ({})\nAl 0 0 0\nAl {}\n\nconvergence has"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("JOB DONE", "", "truncated: 'JOB DONE' is missing"),
        ("Program PWSCF", "Program PHONON", "'Program PWSCF' is missing"),
        ("convergence has been achieved", "convergence NOT achieved", "did not converge"),
        ("!    total", "     total", "no total energy of a self-consistent calculation"),
        ("wk =", "wq =", "weights of 4 k points, got 3: .*verbosity='high'"),
        ("(Ry)=  0.0200", "(Ry)=  0.0000", "width of the smearing is too small"),
        ("bands (ev):", "", "at 4 k points, got them at 3: .*verbosity='high'"),
        ("the Fermi energy is", "", "'the Fermi energy is' with its value is missing"),
        ("Self-consistent Calculation", "\n------ SPIN UP ----", "is spin-polarised"),
        ("     crystal axes:", "     Noncollinear calculation", "is noncollinear"),
        ("ewald contribution        =", "vdW contribution =", "a part 'vdW contribution', which"),
        ("     ewald contribution", "", "lacks its part 'ewald'"),
        ("FFT dimensions: (  15", "FFT dimensions: ( ***", "is missing before this line"),
        ("a(2) = (", "a(2) = )", "expected 3 crystal axes and 2 positions"),
        ("Al  tau(   2)", "??  tau(   2)", "no chemical symbol in the label '\\?\\?'"),
        ("     atom    1 type  1   force =", "     atom  force =", "forces on 2 atoms"),
        ("convergence has", CARD.format("bohr", "1 1 1"), "atoms moved by"),
        ("convergence has", CARD.format("mile", "1 1 1"), "expected a unit"),
        ("convergence has", CARD.format("bohr", "1"), "three coord"),
    ],
)
def test_output_that_cannot_be_used_names_file(edited, old, new, message):
    path = edited(OUTPUT, old, new)
    with pytest.raises(FileFormatError, match=rf"{message}.*al2\.scf\.out"):
        read_espresso(path)


def test_stars_in_place_of_numbers_are_refused(tmp_path):
    lines = OUTPUT.read_text().splitlines()
    (line, *_) = [i + 2 for i, text in enumerate(lines) if "bands (ev)" in text]
    lines[line] = lines[line][:10] + "*********" + lines[line][19:]
    path = tmp_path / "stars.out"
    path.write_text("\n".join(lines))
    with pytest.raises(FileFormatError, match=r"expected numbers, got") as caught:
        read_espresso(path)
    assert caught.value.line == line + 1


def test_eigenvalues_may_touch_each_other(tmp_path):
    lines = OUTPUT.read_text().splitlines()
    (line, *_) = [i + 2 for i, text in enumerate(lines) if "bands (ev)" in text]
    lines[line] = "  -100.1234-100.0000" + lines[line][20:]
    path = tmp_path / "deep.out"
    path.write_text("\n".join(lines))
    np.testing.assert_array_equal(read_output(path).eigenvalues[0, :2], [-100.1234, -100.0])


def test_the_last_of_several_runs_counts(tmp_path):
    text = OUTPUT.read_text()
    path = tmp_path / "twice.out"
    path.write_text(text.replace("7.8323 ev", "6.0000 ev") + text)
    assert "7.8323 ev" in text
    assert read_espresso(path).reference["fermi_energy"] == 7.8323
    path.write_text(text + text[: len(text) // 2])
    with pytest.raises(FileFormatError, match="truncated") as caught:
        read_espresso(path)
    assert caught.value.line == path.read_text().count("\n") + 1


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
        ('degauss="[^"]*"', "", "<smearing> lacks the attribute 'degauss'"),
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
        ("<fractional_translation>0.0+e0", "<fractional_translation>1e30", "translations of symm"),
        (r'order="F">\s+1.0+e0', 'order="F">1e30', "rotations of symmetries must lie"),
        ("<ehart>1.2", "<ehart>1_2", "<ehart> must only hold numbers"),
        ("UTF-8", "UTF-9", "the XML is damaged"),
    ],
)
def test_absurd_numbers_in_the_xml(substituted, old, new, message):
    with pytest.raises(FileFormatError, match=rf"{message}.*xml"):
        read_espresso(substituted(XML, old, new))


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
def test_absurd_numbers_in_the_output(substituted, old, new, message):
    with pytest.raises(FileFormatError, match=message):
        read_espresso(substituted(OUTPUT, old, new))


@pytest.mark.parametrize("where", ["Fermi-Dirac smearing", "crystal axes", "number of electrons"])
def test_endless_lines_of_an_output(edited, where):
    with pytest.raises(FileFormatError, match=r"a line has \d+ characters \(.*out:\d+"):
        read_espresso(edited(OUTPUT, where, "<a>" * 30_000 + where))


# Other runs, where there is a pw.x to make them

BANDS = f"{SMEARING}, nbnd=8"
SILICON = {"species": "Si 28 Si.pz-vbc.UPF", "atom": "Si"}


@pytest.fixture
def run(tmp_path):
    """Run pw.x on a small cell and return what both files hold, or the errors of both."""

    def run(*, system=BANDS, electrons="", atom="Al", k_points="automatic\n2 2 1 0 0 0", **options):
        run_pw(
            tmp_path,
            [[4.2, 0, 0.1], [0.3, 2.9, 0], [0, 0.2, 2.8]],
            f"angstrom\n{atom} 0.05 0 0\n{atom} 2.1 1.5 1.3",
            k_points,
            system=system,
            electrons=f"conv_thr=1e-9, {electrons}",
            control=f"tprnfor=.true., {options.pop('control', '')}",
            **options,
        )
        results = []
        for read, name in ((read_xml, "test.save/data-file-schema.xml"), (read_output, "pw.out")):
            try:
                results.append(read(tmp_path / name))
            except FileFormatError as error:
                results.append(error)
        return results

    return run


CHANGES = {
    "scf": {},
    "gamma": {"k_points": "gamma"},
    "mp": {"system": BANDS.replace("fermi-dirac", "mp")},
    "gauss": {"system": BANDS.replace("fermi-dirac", "gauss")},
    "tetrahedra": {"system": "occupations='tetrahedra', nbnd=8"},
    "fixed": {"system": "nbnd=6", **SILICON},
    "given": {
        "system": "occupations='from_input', nbnd=6",
        "cards": "OCCUPATIONS\n2 2 2 1.5 0.5 0",
        "electrons": "mixing_beta=0.3",
        **SILICON,
    },
    "ultrasoft": {
        "system": f"{BANDS}, ecutrho=48",
        "species": "O1 16 O.pz-van_ak.UPF",
        "atom": "O1",
    },
    "relax": {"calculation": "relax", "cards": "&ions\n/", "control": "forc_conv_thr=1e-2"},
    "vc-relax": {
        "calculation": "vc-relax",
        "cards": "&ions\n/\n&cell\n press_conv_thr=50\n/",
        "control": "forc_conv_thr=1e-1, etot_conv_thr=1e-1, nstep=50",
    },
}


@needs_pw
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_both_files_of_any_run_agree(run, change):
    xml, text = run(**change)
    for name in xml.energies.keys() | text.energies.keys():
        # 1e-8 Ry, and as much for the one that is the rest of the others
        assert text.energies[name] == pytest.approx(xml.energies[name], abs=3e-7)
    assert text.grid_shape == xml.grid_shape
    assert (text.smearing, text.kind, text.gamma_only) == (xml.smearing, xml.kind, xml.gamma_only)
    assert text.temperature == xml.temperature
    assert (text.fermi_energy is None) == (xml.fermi_energy is None)
    assert text.band_energy() == pytest.approx(xml.band_energy(), abs=1e-3)
    np.testing.assert_allclose(text.eigenvalues, xml.eigenvalues, rtol=0, atol=0.51e-4)
    np.testing.assert_allclose(text.atoms.positions, xml.atoms.positions, rtol=0, atol=1e-6)
    np.testing.assert_allclose(text.atoms.cell, xml.atoms.cell, rtol=0, atol=4e-6)
    np.testing.assert_allclose(text.forces, xml.forces, rtol=0, atol=3e-7)
    assert abs(xml.energies["hartree"]) > 0.1


@needs_pw
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": f"{BANDS}, nspin=2, starting_magnetization(1)=0.3"}, "spin-polarised"),
        ({"system": f"{BANDS}, noncolin=.true."}, "noncollinear"),
        ({"system": f"{BANDS}, noncolin=.true., lspinorb=.true."}, "noncollinear"),
        ({"electrons": "electron_maxstep=2"}, "did not converge"),
        ({"system": f"{BANDS}, vdw_corr='grimme-d2'"}, "does not support"),
        ({"calculation": "md", "cards": "&ions\n/", "control": "nstep=2"}, "the atoms moved"),
        ({"calculation": "relax", "cards": "&ions\n/", "control": "nstep=2"}, "the atoms moved"),
    ],
    ids=["lsda", "noncolin", "spinorbit", "unconverged", "vdw", "md", "relax"],
)
def test_both_files_of_a_run_that_cannot_be_used_say_so(run, change, message):
    for error in run(**change):
        assert isinstance(error, FileFormatError)
        assert message in str(error)
        assert error.line is not None


@needs_pw
def test_more_k_points_after_the_self_consistent_run(run):
    scf, _ = run()
    xml, text = run(calculation="nscf", k_points="automatic\n3 3 2 0 0 0")
    assert len(xml.weights) > len(scf.weights)
    assert xml.energies == {}
    assert xml.weights @ xml.occupations.sum(axis=1) == pytest.approx(6, rel=1e-9)
    assert xml.fermi_energy != scf.fermi_energy
    assert text.energies == {}
    np.testing.assert_allclose(text.eigenvalues, xml.eigenvalues, rtol=0, atol=0.51e-4)
    assert text.fermi_energy == pytest.approx(xml.fermi_energy, abs=0.51e-4)
    assert text.band_energy() == pytest.approx(xml.band_energy(), abs=1e-3)


@needs_pw
def test_the_temperature_of_fixed_occupations_is_zero(run, tmp_path):
    run(system="nbnd=6", **SILICON)
    snapshot = read_espresso(tmp_path)
    assert snapshot.temperature == 0
    assert "fermi_energy" not in snapshot.reference
    assert read_espresso(tmp_path, temperature=300.0).temperature == 300


# MALA's beryllium


@pytest.mark.parametrize("number", [0, 1])
def test_beryllium_of_mala(shared_data, number):
    folder = shared_data / "be2"
    info = json.loads((folder / f"Be_snapshot{number}.info.json").read_text())
    snapshot = read_espresso(folder / f"Be_snapshot{number}.out")
    reference = snapshot.reference
    # MALA multiplies with the Rydberg of CODATA 2014, 8e-9 smaller.
    for ours, theirs in {
        "total_energy": "total_energy_dft_calculation",
        "minus_ts": "entropy_contribution_dft_calculation",
        "one_electron": "one_electron_contribution",
        "hartree": "hartree_contribution",
        "xc": "xc_contribution",
        "ewald": "ewald_contribution",
    }.items():
        assert reference[ours] == pytest.approx(info[theirs], rel=1e-8)
    assert reference["fermi_energy"] == info["fermi_energy_dft"]
    # MALA takes the 512 weights as they are printed; they add up to 512 · 0.0039062 < 2.
    band_energy = reference["band_energy"] * 512 * 0.0039062 / 2
    assert band_energy == pytest.approx(info["band_energy_dft_calculation"], abs=1e-9)
    assert snapshot.temperature == pytest.approx(info["temperature"], rel=4e-7)
    assert snapshot.n_electrons == info["number_of_electrons_exact"]
    assert snapshot.grid_shape == tuple(info["grid_dimensions"])
    assert (reference["ecutwfc"], reference["ecutrho"]) == (info["ecutwfc"], info["ecutrho"])
    np.testing.assert_allclose(snapshot.atoms.cell, info["atoms"]["cell"], atol=1e-7)
    np.testing.assert_allclose(snapshot.atoms.positions, info["atoms"]["positions"], atol=1e-7)
    np.testing.assert_allclose(reference["forces"], info["atomic_forces_dft"], atol=3e-7)


def test_the_cubes_of_beryllium_belong_to_its_output(shared_data):
    folder = shared_data / "be2"
    energies = EnergyGrid.regular(-5.0, 2.5, 11, broadening=5.0, kernel="fermi-dirac")
    cubes = folder / "cubes" / "tmp.pp*Be_ldos.cube"
    # MALA's own test data are not complete at either end.
    with pytest.warns(UserWarning, match=r"the 4 bands starts at 8\.98 eV.* 0\.592 of the 4 elec"):
        snapshot = read_espresso(
            folder / "Be_snapshot0.out",
            ldos=cubes,
            energies=energies,
            density=folder / "Be_snapshot0.dens.npy",
        )
    np.testing.assert_array_max_ulp(snapshot.ldos, np.load(folder / "Be_snapshot0.out.npy"))
    assert snapshot.density.sum() * snapshot.voxel_volume == pytest.approx(4, abs=1e-6)
    with pytest.raises(FileFormatError, match=r"atoms of the ldos differ.*Be_snapshot1\.out"):
        read_espresso(folder / "Be_snapshot1.out", ldos=cubes, energies=energies)
