"""Files of pw.x and of generators of pseudopotentials in unusual forms: same values, or refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from skldos.exceptions import FileFormatError
from skldos.io import read_espresso, read_espresso_trajectory, read_upf

DATA = Path(__file__).parent.parent / "io" / "data"
XML = (DATA / "al2" / "al2.save" / "data-file-schema.xml").read_text()
OUTPUT = (DATA / "al2" / "al2.scf.out").read_text()


@pytest.fixture
def xml(tmp_path):
    def write(*pairs, text=XML):
        for old, new in pairs:
            text, count = re.subn(old, new, text)
            assert count
        path = tmp_path / "data-file-schema.xml"
        path.write_text(text)
        return path

    return write


SAME = {
    "a prefix of every element": [(r"<(/?)(?=[a-z]\w*[ >])", r"<\1qes:")],
    "a default namespace": [
        ("qes:espresso ", 'espresso xmlns="a" '),
        ("qes:espresso>", "espresso>"),
    ],
    "capital logicals": [(">false<", ">FALSE<"), (">true<", ">.TRUE.<")],
    "Fortran's exponents": [(r"e-1\b", "D-01"), ("882e-18", "882-118")],
    "another name of the smearing": [(">fd<", ">F-D<")],
    "no status": [("<status>0</status>", "")],
    "an unused species": [
        ("</species>", "</species><species name='Al9'><pseudo_file>b</pseudo_file></species>")
    ],
}


@pytest.mark.parametrize("name", SAME)
def test_forms_of_the_xml_file_that_mean_the_same(xml, name):
    expected = read_espresso(xml())
    found = read_espresso(xml(*SAME[name]))
    assert found.temperature == pytest.approx(expected.temperature)
    for key, value in expected.reference.items():
        if isinstance(value, (str, dict)):
            assert found.reference[key] == value
        else:
            np.testing.assert_allclose(found.reference[key], value, rtol=1e-9)


REFUSED = {
    "spin-polarised": [("<lsda>false", "<lsda>TRUE")],
    "noncollinear": [("<noncolin>false", "<noncolin>True")],
    "<uspp> must be true or false, got 'maybe'": [("<uspp>false", "<uspp>maybe")],
    "did not converge": [("achieved>true", "achieved>False")],
    "stopped before its end, with the status 255": [("<status>0", "<status>255")],
    "expected Units='Hartree": [('Hartree atomic units"', 'Rydberg atomic units"')],
    "unknown occupations 'smeared'": [("kind>smearing", "kind>smeared")],
    "fixed occupations must be 0 or 1": [("kind>smearing", "kind>fixed")],
    "<nks> must be an integer": [("<nks>4", "<nks>4.5")],
    "expected one pseudopotential for Al, got Al.pz-vbc.UPF and b": [
        ('"Al" index="2"', '"Al2" index="2"'),
        ("</species>", "</species><species name='Al2'><pseudo_file>b</pseudo_file></species>"),
    ],
}


@pytest.mark.parametrize("message", REFUSED)
def test_contradictions_in_the_xml_file(xml, message):
    path = xml(*REFUSED[message])
    for read in (read_espresso, read_espresso_trajectory):
        if read is read_espresso or "Units" in message or "pseudopotential" in message:
            with pytest.raises(FileFormatError, match=rf"{re.escape(message)}.*xml"):
                read(path)


def test_spin_in_the_input_alone(xml):
    text = re.sub("<(lsda|noncolin|spinorbit)>false</.*?>", "", XML)
    assert "<lsda>" not in text
    path = xml(("<spin>", "<spin><lsda>true</lsda>"), text=text)
    with pytest.raises(FileFormatError, match="spin-polarised"):
        read_espresso(path)


def test_two_pseudopotentials_of_an_element_in_the_output(tmp_path):
    line = "     PseudoPot. # 2 for Al1 read from file:\n     b.UPF\n"
    path = tmp_path / "a.out"
    path.write_text(OUTPUT.replace("     atomic species", line + "     atomic species", 1))
    with pytest.raises(FileFormatError, match=r"expected one pseudopotential for Al, .*b\.UPF"):
        read_espresso(path)


# An exponential of the core charge on a linear mesh; ONCVPSP writes such meshes.
RADII = np.linspace(0, 6, 61)
SECTIONS = {"R": RADII, "RAB": np.full(61, 0.1), "NLCC": np.exp(-2 * RADII)}


def upf(tmp_path, valence="3", **sections):
    parts = [
        f"<PP_{name}>{' '.join(map(str, values))}</PP_{name}>"
        for name, values in (SECTIONS | sections).items()
    ]
    path = tmp_path / "Al.UPF"
    path.write_text(
        f'<UPF version="2.0.1"><PP_HEADER element="Al" core_correction="T" z_valence="{valence}"/>'
        f'<PP_MESH mesh="61">{parts[0]}{parts[1]}</PP_MESH>{parts[2]}</UPF>'
    )
    return path


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.8])
def test_weights_of_any_mesh_in_use(tmp_path, factor):
    pseudopotential = read_upf(upf(tmp_path, RAB=SECTIONS["RAB"] * factor))
    assert len(pseudopotential.radial_weights) == 61


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.4, 2.5, 18.9])
def test_weights_that_are_not_those_of_the_mesh(tmp_path, factor):
    with pytest.raises(FileFormatError, match=r"<PP_RAB> must hold the steps of the 61 radii.*UPF"):
        read_upf(upf(tmp_path, RAB=SECTIONS["RAB"] * factor))


def test_charges_that_no_atom_has(tmp_path):
    # ∫ 4π r² e^(-2r) dr = π
    assert read_upf(upf(tmp_path, NLCC=SECTIONS["NLCC"] * 120 / np.pi)).core_density is not None
    with pytest.raises(FileFormatError, match=r"core charge of Al .* 10 times 13 electrons.*UPF:1"):
        read_upf(upf(tmp_path, NLCC=SECTIONS["NLCC"] * 140 / np.pi))
    assert read_upf(upf(tmp_path, valence="13.5")).valence == 13.5
    with pytest.raises(FileFormatError, match="z_valence must not exceed the electrons of Al, 13"):
        read_upf(upf(tmp_path, valence="14.5"))
