"""Settings of pw.x that change the Hamiltonian or the energy, in both of its files.

``data/settings.tar.xz`` has the output of small runs of pw.x 6.7, so pw.x is not needed.
"""

import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from skldos import EnergyGrid
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.io import read_espresso
from skldos.io.espresso.output import read_output
from skldos.io.espresso.xml import read_xml
from skldos.physics import band_energy, broadening, fermi_level

DATA = Path(__file__).parent / "data"
REFUSED = {
    "esm": "assume_isolated='esm'",
    "mt": "assume_isolated='mt'",
    "lelfield": "lelfield",
    "dipfield": "dipfield",
    "gate": "gate",
    "qcutz": "qcutz",
    "forces": "ATOMIC_FORCES",
    "d3": "vdw_corr",
    "pbe0": "exact exchange",
}
READ = ("2d", "mp", "charged", "paw", "tetrahedra", "fraction")
BOUNDARY = "<boundary_conditions><assume_isolated>{}</assume_isolated></boundary_conditions>"
FIELD = """<electric_field><electric_potential>{}</electric_potential>
<dipole_correction>false</dipole_correction>
<gate_settings><use_gate>{}</use_gate></gate_settings></electric_field></input>"""
PARTS = ("one_electron", "hartree", "xc", "ewald")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder with ``name.xml`` and ``name.out`` of every run."""
    folder = tmp_path_factory.mktemp("runs")
    with tarfile.open(DATA / "settings.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "settings"


@pytest.fixture
def changed(runs, tmp_path):
    """Return the XML file of a run with one text replaced by another."""

    def change(old, new):
        text = (runs / "charged.xml").read_text()
        assert old in text
        (tmp_path / "new.xml").write_text(text.replace(old, new, 1))
        return tmp_path / "new.xml"

    return change


@pytest.mark.parametrize(("name", "setting"), REFUSED.items())
def test_what_changes_the_hamiltonian_is_named(runs, name, setting):
    for suffix in ("xml", "out"):
        with pytest.raises(FileFormatError, match="which skldos does not support") as caught:
            read_espresso(runs / f"{name}.{suffix}")
        assert setting in str(caught.value)
        assert caught.value.line > 10


@pytest.mark.parametrize("name", READ)
def test_both_files_of_other_runs_agree(runs, name):
    options = {"tetrahedra": {"temperature": 300.0}, "2d": {"assume_isolated": "2D"}}
    xml, text = (
        read_espresso(runs / f"{name}.{suffix}", **options.get(name, {}))
        for suffix in ("xml", "out")
    )
    assert xml.reference.keys() == text.reference.keys()
    for key, value in xml.reference.items():
        if key == "forces":
            np.testing.assert_allclose(text.reference[key], value, atol=1e-6)
        elif isinstance(value, float):
            # Four decimals of the levels in eV, eight of the energies in Ry.
            assert text.reference[key] == pytest.approx(value, abs=1e-3)
        else:
            assert text.reference[key] == value
    # What states hold to four decimals, two of which are printed otherwise
    assert text.n_electrons == pytest.approx(xml.n_electrons, abs=2e-4)
    assert abs(xml.reference["band_energy"]) > 0.1


def test_slabs_are_asked_for(runs):
    # Whoever hands the arrays of a slab to a function of physics has to tell it of the boundary.
    for suffix in ("xml", "out"):
        with pytest.raises(FileFormatError, match="read it with assume_isolated='2D'"):
            read_espresso(runs / f"2d.{suffix}")
        slab = read_espresso(runs / f"2d.{suffix}", assume_isolated="2D")
        assert slab.reference["assume_isolated"] == "2D"
        with pytest.raises(ValueError, match="the run is periodic in three dimensions"):
            read_espresso(runs / f"charged.{suffix}", assume_isolated="2D")
    with pytest.raises(ValueError, match="assume_isolated must be one of None, '2D'; got 'esm'"):
        read_espresso(runs / "2d.xml", assume_isolated="esm")


def test_facts_of_the_calculation(runs):
    def reference(name, **arguments):
        return read_espresso(runs / f"{name}.xml", **arguments).reference

    charged = reference("charged")
    assert (charged["charge"], charged["functional"]) == (0.25, "pbe")
    assert charged["occupations"] == "fermi-dirac"
    assert charged["pseudopotentials"] == {"Al": "Al.pz-vbc.UPF"}
    assert read_espresso(runs / "charged.out").n_electrons == 5.75
    assert reference("tetrahedra", temperature=100.0)["occupations"] == "tetrahedra"
    assert reference("fraction")["charge"] == 0
    assert read_espresso(runs / "fraction.xml").n_electrons == pytest.approx(2 * 3.98148)


def test_the_correction_of_makov_and_payne_is_left_out(runs):
    # "!    Total+Makov-Payne energy" stands below the total energy of the periodic run.
    text = (runs / "mp.out").read_text()
    assert "Total+Makov-Payne energy" in text
    for suffix in ("xml", "out"):
        reference = read_espresso(runs / f"mp.{suffix}").reference
        total = sum(reference[part] for part in (*PARTS, "minus_ts"))
        assert reference["total_energy"] == pytest.approx(total, abs=1e-6)


def test_paw_is_read_without_what_is_unknown(runs):
    for suffix in ("xml", "out"):
        snapshot = read_espresso(runs / f"paw.{suffix}")
        assert not set(PARTS) & snapshot.reference.keys()
        assert {"band_energy", "fermi_energy", "total_energy"} <= snapshot.reference.keys()
    run = read_xml(runs / "paw.xml")
    assert run.kind == read_output(runs / "paw.out").kind == "paw"
    save = runs / "paw.save"
    save.mkdir()
    (save / "data-file-schema.xml").write_text((runs / "paw.xml").read_text())
    with pytest.raises(SnapshotError, match="with PAW: the file lacks"):
        read_espresso(save, density="charge-density")


def test_paw_takes_an_ldos_from_elsewhere(runs):
    run = read_xml(runs / "paw.xml")
    energies = EnergyGrid(np.arange(-30, 20, 0.5), broadening=1.0, kernel="gaussian")
    levels, weights = run.eigenvalues.ravel(), np.repeat(run.weights, run.eigenvalues.shape[1])
    peaks = broadening(energies.values[:, None] - levels, width=1.0, kernel="gaussian")
    density = (peaks @ weights) / run.atoms.cell.volume
    ldos = np.broadcast_to(density, (*run.grid_shape, len(energies))).astype(np.float32)
    with pytest.warns(UserWarning, match="the highest of the 6 bands"):
        snapshot = read_espresso(runs / "paw.xml", ldos=ldos, energies=energies)
    state = {"temperature": snapshot.temperature, "n_electrons": 2.0}
    mu = fermi_level(snapshot.dos(), energies.values, **state)
    band = band_energy(
        snapshot.dos(), energies.values, temperature=snapshot.temperature, fermi_level=mu
    )
    # A Gaussian of 1 eV moves it by D(μ) σ² / 4, a fraction of an electronvolt.
    assert band == pytest.approx(snapshot.reference["band_energy"], abs=0.5)


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [
        ("</input>", "<rism_settings>x</rism_settings></input>", "<rism_settings>"),
        ("</input>", "<fcp_settings/></input>", "<fcp_settings>"),
        ("<verbosity>", "<rism>true</rism><verbosity>", "rism was used"),
        ("<verbosity>", "<fcp>true</fcp><verbosity>", "fcp was used"),
        ("</input>", f"{BOUNDARY.format('other')}</input>", "assume_isolated='other'"),
        ("</dft>", "<rsic>true</rsic></dft>", "<rsic>"),
        ("  </output>", "<two_chem/></output>", "<two_chem>"),
        ("</input>", "<twoch_><twochem>true</twochem></twoch_></input>", "<twoch_>"),
        ("</input>", FIELD.format("sawtooth_potential", "false"), "tefield"),
        ("</input>", FIELD.format("some_field", "false"), "<electric_potential> 'some_field'"),
        ("</input>", FIELD.format("none", "true"), "gate"),
    ],
)
def test_what_a_later_version_may_write_is_refused(changed, old, new, setting):
    with pytest.raises(FileFormatError, match=r"new\.xml:\d+") as caught:
        read_espresso(changed(old, new))
    assert setting in str(caught.value)


OFF = BOUNDARY.format("none") + "<twoch_><twochem>false</twochem></twoch_>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<verbosity>", "<rism>false</rism><verbosity>"),
        ("<verbosity>", "<fcp>false</fcp><something>high</something><verbosity>"),
        ("</input>", OFF + FIELD.format("none", "false")),
        ("</input>", OFF + FIELD.format("Berry_Phase", "false")),
    ],
)
def test_what_is_switched_off_is_no_matter(changed, old, new):
    assert read_espresso(changed(old, new)).n_electrons == 5.75


@pytest.mark.parametrize("shift", [-0.05, 0.02])
def test_parts_that_do_not_add_up_are_refused(runs, tmp_path, shift):
    """The one-electron energy is the total minus the others, so it may contain an unknown part."""
    text = (runs / "mp.xml").read_text()
    path = tmp_path / "new.xml"

    def write(name, change):
        (digits,) = re.findall(f"<{name}>(.*?)</{name}>", text)
        path.write_text(text.replace(digits, repr(float(digits) + change)))

    for name in ("etot", "eband", "vtxc"):
        write(name, shift)
        with pytest.raises(FileFormatError, match=r"do not add up: .* eV of it.*xml:\d+"):
            read_espresso(path)
        write(name, 1e-7)  # as far as it converged
        assert "one_electron" in read_espresso(path).reference


def test_names_of_functionals_agree(tmp_path):
    """The output of pw.x names a functional as its input does, the XML uses a short name."""
    text = (DATA / "al2" / "al2.scf.out").read_text()
    start = text.index("Exchange-correlation=")
    stop = text.index(")", start) + 1
    for said, name in {
        "SLA+PW+PBX+PBC\n    (   1   4   3   4   0   0   0)": "pbe",
        "sla-pz\n    (   1   1   0   0   0   0   0)": "lda-pz",
        "LDA ( 1  1  0  0 0 0)": "lda-pz",
        " SLA  LYP  B88  BLYP\n   (   1   3   1   3   0   0   0)": "BLYP",
        "PBEQ2D\n   (   1   4  19  12   0   0   0)": "Q2D",
        "VDW-DF\n   (   1   4   4   0   1   0   0)": "VDW DF",
        "REVPBE": "REVPBE",
    }.items():
        path = tmp_path / "x.out"
        path.write_text(f"{text[:start]}Exchange-correlation= {said}{text[stop:]}")
        assert read_espresso(path).reference["functional"] == name
    xml = (DATA / "al2" / "al2.save" / "data-file-schema.xml").read_text()
    path = tmp_path / "x.xml"
    before, after = xml.split("<output>")
    path.write_text(
        before.replace("<functional>PZ", "<functional>VWN")
        + "<output>"
        + after.replace("<functional>PZ", "<functional>no shortname")
    )
    assert read_espresso(path).reference["functional"] == "VWN"
