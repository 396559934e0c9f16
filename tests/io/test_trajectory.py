"""All steps of relaxations and molecular dynamics of pw.x, against ASE's reader and itself."""

import re
import tarfile
from pathlib import Path

import ase.io
import numpy as np
import pytest

from skldos import AtomSNAPTransformer, FreeEnergyRegressor, SnapshotList
from skldos.exceptions import FileFormatError
from skldos.io import read_espresso, read_espresso_trajectory

ARCHIVE = Path(__file__).parent / "data" / "trajectories.tar.xz"
N_STEPS = {"md": 3, "relax": 4, "vc-relax": 24}
every_run = pytest.mark.parametrize("run", N_STEPS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trajectories")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "run.out").write_text(text)
        return tmp_path / "run.out"

    return write


@every_run
def test_text_and_xml_agree(runs, run):
    printed, exact = (read_espresso_trajectory(runs / f"{run}.{kind}") for kind in ("out", "xml"))
    assert len(printed) == len(exact) == N_STEPS[run]
    for a, b in zip(printed, exact, strict=True):
        one, two = a.reference, b.reference
        for name in ("total_energy", "minus_ts"):
            assert one[name] == pytest.approx(two[name], abs=1e-7)  # eight digits in Ry
        np.testing.assert_allclose(one["forces"], two["forces"], atol=2e-7)
        np.testing.assert_allclose(a.atoms.positions, b.atoms.positions, atol=3e-6)
        np.testing.assert_allclose(a.atoms.cell.array, b.atoms.cell.array, atol=3e-6)
        assert a.temperature == pytest.approx(b.temperature)
        for name in ("functional", "occupations", "pseudopotentials", "ecutwfc", "charge"):
            assert one[name] == two[name]
        assert a.n_electrons == b.n_electrons == 6.0
    last = (read[-1].reference["stress"] for read in (printed, exact))
    np.testing.assert_allclose(*last, atol=1e-6)
    assert "stress" not in exact[0].reference


@every_run
def test_numbers_are_those_that_ase_reads(runs, run):
    images = ase.io.read(runs / f"{run}.out", ":", format="espresso-out")
    steps = read_espresso_trajectory(runs / f"{run}.out")
    # ASE's reader drops a step of which it does not find everything.
    assert len(images) >= len(steps) - 1
    forces = [image.get_forces() for image in images]
    for snapshot in steps[: len(images)]:
        nearest = [np.abs(f - snapshot.reference["forces"]).max() for f in forces]
        i = int(np.argmin(nearest))
        assert nearest[i] < 1e-4
        energy = images[i].get_potential_energy()
        assert snapshot.reference["total_energy"] == pytest.approx(energy, abs=1e-4)
        stress = images[i].get_stress(voigt=False)
        np.testing.assert_allclose(snapshot.reference["stress"], stress, atol=1e-5)
        np.testing.assert_allclose(snapshot.atoms.positions, images[i].positions, atol=1e-5)
    assert max(np.abs(f).max() for f in forces) > 0.1
    assert np.abs(steps[0].reference["stress"]).max() > 0.1


def test_energies_of_a_trajectory_follow_its_forces(runs):
    # E(2) - E(1) = - ∫ F · dR, by Simpson's rule over three steps of one trajectory
    steps = read_espresso_trajectory(runs / "md.xml")
    positions = [s.atoms.positions for s in steps]
    forces = [s.reference["forces"] for s in steps]
    work = sum(
        np.sum((forces[i] + forces[i + 1]) / 2 * (positions[i + 1] - positions[i])) for i in (0, 1)
    )
    change = steps[2].reference["total_energy"] - steps[0].reference["total_energy"]
    assert change == pytest.approx(-work, rel=2e-2)
    assert abs(change) > 5e-4


def test_the_end_of_a_relaxation_of_the_cell_is_calculated_once_more(runs):
    before, after = read_espresso_trajectory(runs / "vc-relax.xml")[-2:]
    np.testing.assert_allclose(before.atoms.positions, after.atoms.positions, atol=1e-9)
    # with the plane waves of its own cell
    assert abs(before.reference["total_energy"] - after.reference["total_energy"]) > 1e-3
    single = read_espresso(runs / "vc-relax.xml")
    assert after.reference["total_energy"] == single.reference["total_energy"]
    np.testing.assert_array_equal(after.reference["forces"], single.reference["forces"])


def test_a_single_calculation_is_a_trajectory_of_one_step():
    folder = Path(__file__).parent / "data" / "al2"
    for path in (folder / "al2.scf.out", folder / "al2.save"):
        (step,) = read_espresso_trajectory(path)
        single = read_espresso(path)
        for name in ("total_energy", "minus_ts", "ecutrho", "functional", "occupations"):
            assert step.reference[name] == pytest.approx(single.reference[name])
        np.testing.assert_array_equal(step.reference["forces"], single.reference["forces"])
        assert step.temperature == single.temperature
        assert step.n_electrons == single.n_electrons


def test_a_model_learns_from_it(runs):
    steps = read_espresso_trajectory(runs / "relax.out")
    blocks = AtomSNAPTransformer(twojmax=2, r_cut=3.0, n_jobs=1).fit_transform(steps)
    model = FreeEnergyRegressor(alphas=[1e-4], energy_weights=[10.0]).fit(blocks)
    assert model.temperature_ == pytest.approx(3157.75)
    assert model.knows_stress()
    assert np.isfinite(model.predict(blocks)).all()


def test_steps_have_names_and_can_be_stored(runs, tmp_path):
    steps = read_espresso_trajectory(runs / "vc-relax.out")
    assert (steps[0].name, steps[-1].name) == ("vc-relax 01", "vc-relax 24")
    again = SnapshotList.load(steps.save(tmp_path / "set"))
    np.testing.assert_array_equal(again[3].reference["stress"], steps[3].reference["stress"])


# -------------------------------------------------------------------- torn and damaged


CUTS = {
    "within the energy": "!    total ener",
    "before it converged": "internal energy E=F+TS    =      -8.6",
    "before the forces": "convergence has been achieved",
    "within the forces": "     atom    2 type  1   force",
    "within the stress": "          total   stress",
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_torn_last_step_is_left_out(runs, written, cut):
    text = (runs / "md.out").read_text()
    third = text.rindex("!    total energy")
    end = text.index(CUTS[cut], third) + len(CUTS[cut])
    path = written(text[:end])
    if cut == "within the energy":
        assert len(read_espresso_trajectory(path)) == 2
        return
    with pytest.warns(UserWarning, match=r"the last step, number 3, is incomplete: .*run\.out"):
        steps = read_espresso_trajectory(path)
    assert len(steps) == 2
    whole = read_espresso_trajectory(runs / "md.out")
    np.testing.assert_array_equal(steps[1].reference["forces"], whole[1].reference["forces"])


def test_a_torn_table_of_numbers_is_noticed_wherever_it_ends(runs, written):
    text = (runs / "md.out").read_text()
    whole = read_espresso_trajectory(runs / "md.out")
    start = text.rindex("!    total energy")
    start = text.index("Forces acting", start)
    stop = text.index("kinetic stress", start)
    for end in range(start, stop, 41):
        with pytest.warns(UserWarning, match="number 3, is incomplete"):
            assert len(read_espresso_trajectory(written(text[:end]))) == 2
    path = written(text[: stop + 400])
    np.testing.assert_array_equal(
        read_espresso_trajectory(path)[2].reference["stress"], whole[2].reference["stress"]
    )


def test_a_step_that_did_not_converge_is_left_out_if_it_is_the_last(runs, written):
    text = (runs / "md.out").read_text()
    start = text.rindex("     convergence has been achieved")
    end = text.index("\n", start)
    failed = "     convergence NOT achieved after 100 iterations: stopping"
    with pytest.warns(UserWarning, match="number 3, did not converge"):
        assert len(read_espresso_trajectory(written(text[:start] + failed + text[end:]))) == 2
    start = text.index("     convergence has been achieved")
    end = text.index("\n", start)
    with pytest.raises(FileFormatError, match=r"step 1 .*did not converge \(.*run.out:\d+\)"):
        read_espresso_trajectory(written(text[:start] + failed + text[end:]))


def test_an_xml_file_says_whether_steps_converged(runs, tmp_path):
    text = (runs / "md.xml").read_text()
    good = "<convergence_achieved>true"
    path = tmp_path / "run.xml"
    last = text.rindex(good, 0, text.index("<output>"))
    bad = text[:last] + text[last:].replace(good, "<convergence_achieved>false")
    path.write_text(bad)
    with pytest.warns(UserWarning, match="number 3, did not converge"):
        assert len(read_espresso_trajectory(path)) == 2
    path.write_text(text.replace(good, "<convergence_achieved>false", 1))
    with pytest.raises(FileFormatError, match=r"step 1 did not converge \(.*run.xml:\d+\)"):
        read_espresso_trajectory(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("     Forces acting", "     LDA+U was used\n     Forces acting", "DFT\\+U"),
        ("atom    1 type  1   force =", "atom    1 type  1   farce =", "expected three components"),
        ("Al            2.1", "Al            x.1", "expected three coordinates"),
        ("Al           -0.0", "Xx           -0.0", "no chemical symbol"),
        ("number of electrons       =         6.00", "number of electrons = *", "electrons"),
    ],
)
def test_damage_is_named(runs, written, old, new, message):
    text = (runs / "md.out").read_text()
    assert old in text
    with pytest.raises(FileFormatError, match=rf"{message}.*run\.out:\d+"):
        read_espresso_trajectory(written(text.replace(old, new, 1)))


def test_what_is_no_trajectory_is_refused(runs, written, tmp_path):
    text = (runs / "md.out").read_text()
    with pytest.raises(FileFormatError, match="holds no total energy"):
        read_espresso_trajectory(written(text[: text.index("!    total")]))
    with pytest.raises(FileFormatError, match="'Program PWSCF' is missing"):
        read_espresso_trajectory(written("nothing"))
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read_espresso_trajectory(tmp_path / "absent")
    with pytest.raises(ValueError, match="temperature must be that of the run"):
        read_espresso_trajectory(runs / "md.out", temperature=300.0)
    xml = (runs / "md.xml").read_text()
    path = tmp_path / "bands.xml"
    path.write_text(xml.replace("<calculation>md", "<calculation>nscf"))
    with pytest.raises(FileFormatError, match="calculation='nscf' has no total energy"):
        read_espresso_trajectory(path)


def test_the_charge_of_a_run_is_a_possible_number(runs, tmp_path):
    xml, path = (runs / "md.xml").read_text(), tmp_path / "run.xml"
    impossible = r"the charge must lie within .*, got 1e\+16"
    for charge, message in ((1e16, impossible), (0.5, None)):
        path.write_text(re.sub(r"(<tot_charge>)[^<]*", rf"\g<1>{charge}", xml))
        if message is None:
            assert read_espresso_trajectory(path)[0].reference["charge"] == charge
        else:
            with pytest.raises(FileFormatError, match=rf"{message} \(.*run\.xml"):
                read_espresso_trajectory(path)
