"""The recipe that calculates snapshots with pw.x: with a stand-in, and with pw.x itself.

The stand-in always copies pw.x's results for silicon (`tests/io/data/wfc_silicon.save`), and logs
its calls.
"""

import os
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from skldos import EnergyGrid, Snapshot, SnapshotList
from skldos.datasets import load_aluminium
from skldos.datasets.aluminium import aluminium_recipe
from skldos.datasets.recipe import recipe as recipe_module
from skldos.datasets.recipe import results
from skldos.datasets.recipe.recipe import EspressoError, EspressoRecipe
from skldos.datasets.recipe.run import resolve_command
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.io.espresso.wavefunctions import wavefunction_ldos
from skldos.io.espresso.xml import read_xml
from tests.espresso import PSEUDOPOTENTIALS, needs_pw
from tests.processes import start_python

DATA = Path(__file__).parents[1] / "io" / "data"
SILICON = DATA / "wfc_silicon.save"
ENERGIES = EnergyGrid.regular(-8.0, 1.0, 20, broadening=0.4, kernel="gaussian")

STAND_IN = f"""#!{sys.executable}
import os, pathlib, shutil, sys, time
here = pathlib.Path(__file__).parent
assert sys.argv[-2:] == ["-in", "pw.in"], sys.argv
with open(here / "log", "a") as log:
    print(os.getcwd(), file=log)
calls = len((here / "log").read_text().splitlines())
shutil.copytree({str(SILICON)!r}, "skldos.save")
if (here / "hang").exists() and (here / "hang").read_text() == str(calls):
    (pathlib.Path("skldos.save") / "wfc2.dat").write_bytes(b"half")
    (here / "hanging").write_text(str(os.getpid()))
    time.sleep(1000)
if (here / "fail").exists():
    sys.exit((here / "fail").read_text())
print("JOB DONE.")
"""


@pytest.fixture
def stand_in(tmp_path):
    """An executable in place of pw.x."""
    path = tmp_path / "bin" / "pw.x"
    path.parent.mkdir()
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return path


@pytest.fixture
def recipe(stand_in):
    return EspressoRecipe(
        {"Si": "Si.pz-vbc.UPF"},
        energies=ENERGIES,
        ecutwfc=6.0,
        kpts=(2, 2, 2),
        temperature=3000.0,
        n_bands=10,
        command=str(stand_in),
    )


@pytest.fixture
def silicon():
    return bulk("Si", a=5.43)


def n_calls(stand_in):
    log = stand_in.with_name("log")
    return len(log.read_text().splitlines()) if log.exists() else 0


# What comes out -------------------------------------------------------------------------------


def test_snapshots_hold_what_was_calculated(recipe, silicon, tmp_path):
    hot = Snapshot(silicon, temperature=5000.0)
    snapshots = recipe.run([silicon, hot], tmp_path / "data", verbose=False)
    assert [s.temperature for s in snapshots] == [3000.0, 5000.0]
    run = read_xml(SILICON / "data-file-schema.xml")
    for snapshot in snapshots:
        assert snapshot.energy_grid == ENERGIES
        assert snapshot.n_electrons == 8
        np.testing.assert_array_equal(snapshot.atoms.positions, silicon.positions)
        np.testing.assert_array_equal(snapshot.ldos[:], wavefunction_ldos(SILICON, ENERGIES))
        electrons = snapshot.density[:].sum() * snapshot.voxel_volume
        assert electrons == pytest.approx(8, rel=1e-6)
        assert snapshot.reference["total_energy"] == run.energies["total_energy"] < -100


def test_without_energies_there_is_the_density_alone(recipe, silicon, tmp_path):
    recipe.energies = recipe.n_bands = None
    (snapshot,) = recipe.run([silicon], tmp_path / "data", verbose=False)
    assert snapshot.ldos is snapshot.energies is None
    electrons = snapshot.density[:].sum() * snapshot.voxel_volume
    assert electrons == pytest.approx(8, rel=1e-6)
    # pw.x knows how many bands it needs for these.
    assert "nbnd" not in (tmp_path / "data" / "00000" / "pw.in").read_text()
    assert "no LDOS" in repr(recipe)
    # It is not the calculation of an LDOS.
    recipe.energies = ENERGIES
    with pytest.raises(SnapshotError, match=r"other .*energies"):
        recipe.run([silicon], tmp_path / "data", verbose=False)


def test_the_folder_is_a_saved_list(recipe, silicon, tmp_path):
    directory = tmp_path / "of a study" / "data"
    snapshots = recipe.run([silicon] * 3, directory, verbose=False)
    loaded = SnapshotList.load(directory)
    assert len(loaded) == len(snapshots) == 3
    np.testing.assert_array_equal(loaded[2].ldos[:], snapshots[2].ldos[:])
    # Of pw.x, input and output stay.
    names = {path.name for path in (directory / "00001").iterdir()}
    assert names == {"pw.in", "pw.out", "finished.json"}


def test_files_of_pw_are_kept_on_demand(recipe, silicon, tmp_path):
    recipe.keep_files = True
    recipe.run([silicon], tmp_path / "data", verbose=False)
    assert (tmp_path / "data" / "00000" / "skldos.save" / "wfc1.dat").exists()


def test_a_bar_shows_how_far_it_is(recipe, silicon, tmp_path, capsys):
    recipe.run([silicon], tmp_path / "data")
    assert "pw.x" in capsys.readouterr().err


# Going on -------------------------------------------------------------------------------------


def test_what_is_finished_is_not_calculated_again(recipe, stand_in, silicon, tmp_path):
    recipe.run([silicon], tmp_path / "data", verbose=False)
    recipe.run([silicon] * 3, tmp_path / "data", verbose=False)
    assert n_calls(stand_in) == 3
    # Fewer are asked for than are there.
    assert len(recipe.run([silicon] * 2, tmp_path / "data", verbose=False)) == 2
    assert len(SnapshotList.load(tmp_path / "data")) == 3
    assert n_calls(stand_in) == 3


def test_a_program_that_is_killed_goes_on_where_it_was(recipe, stand_in, silicon, tmp_path):
    directory = tmp_path / "data"
    stand_in.with_name("hang").write_text("2")
    code = f"""
from ase.build import bulk
from skldos import EnergyGrid
from skldos.datasets.recipe.recipe import EspressoRecipe
EspressoRecipe(
    {{"Si": "Si.pz-vbc.UPF"}},
    energies=EnergyGrid.regular(-8.0, 1.0, 20, broadening=0.4, kernel="gaussian"),
    ecutwfc=6.0, kpts=(2, 2, 2), temperature=3000.0, n_bands=10, command={str(stand_in)!r},
).run([bulk("Si", a=5.43)] * 3, {str(directory)!r})
"""
    program = start_python(code, output=tmp_path / "printed")
    hanging = stand_in.with_name("hanging")
    deadline = time.monotonic() + 600
    while not (hanging.exists() and hanging.read_text()):
        assert time.monotonic() < deadline
        assert program.is_alive()
        time.sleep(0.05)
    program.kill()
    program.join()
    orphan = int(hanging.read_text())
    try:
        # Half of the second is there, and is not taken for a snapshot.
        assert len(list((directory / "00001").glob("running-*/skldos.save/wfc2.dat"))) == 1
        assert len(SnapshotList.load(directory)) == 1
        snapshots = recipe.run([silicon] * 3, directory, verbose=False)
    finally:
        os.kill(orphan, signal.SIGKILL)
    assert len(snapshots) == 3
    # The first, the one that was cut short, and two more.
    assert n_calls(stand_in) == 4
    assert not list(directory.glob("*/running-*"))


@pytest.mark.parametrize("moment", ["os.replace", "write_index", "_write"])
def test_a_program_that_stops_while_storing_leaves_nothing_half_done(
    recipe, stand_in, silicon, tmp_path, monkeypatch, moment
):
    directory = tmp_path / "data"
    recipe.run([silicon], directory, verbose=False)

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target = results.os if moment == "os.replace" else results
        patch.setattr(target, moment.removeprefix("os."), stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.run([silicon] * 2, directory, verbose=False)
    assert len(SnapshotList.load(directory)) == 1
    snapshots = recipe.run([silicon] * 2, directory, verbose=False)
    assert len(snapshots) == len(SnapshotList.load(directory)) == 2
    np.testing.assert_array_equal(snapshots[1].ldos[:], snapshots[0].ldos[:])
    # Only the index was missing, or all of it.
    assert n_calls(stand_in) == (2 if moment == "write_index" else 3)


def other_array(path):
    np.save(path, np.zeros((4, 4, 4, 20)))


def exchanged(path):
    shutil.copy(path.with_name("ldos_00000.npy"), path)


def longer(path):
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: os.truncate(path, 999), other_array, exchanged, longer],
    ids=["gone", "truncated", "other", "exchanged", "longer"],
)
def test_snapshots_whose_fields_are_damaged_are_calculated_again(
    recipe, stand_in, silicon, tmp_path, damage
):
    configurations = [silicon, Snapshot(silicon, temperature=5000.0), silicon]
    directory = tmp_path / "data"
    recipe.run(configurations, directory, verbose=False)
    # The stand-in knows one result alone; here two have to differ.
    loaded = SnapshotList.load(directory)
    changed = loaded[1].replace(ldos=2 * loaded[1].ldos[:])
    settings = results.settings_of(directory, 1)
    results.add_result(directory, 1, settings, changed)
    recipe.run(configurations, directory, verbose=False)
    assert n_calls(stand_in) == 3
    damage(directory / "ldos_00001.npy")
    assert len(recipe.run(configurations, directory, verbose=False)) == 3
    assert n_calls(stand_in) == 4
    for snapshot in SnapshotList.load(directory):
        np.testing.assert_array_equal(snapshot.ldos[:], loaded[0].ldos[:])


def test_only_one_program_works_in_a_folder(recipe, stand_in, silicon, tmp_path):
    pytest.importorskip("fcntl")
    directory = tmp_path / "data"
    recipe.run([silicon], directory, verbose=False)
    with (
        results.reserved(directory),
        pytest.raises(BlockingIOError, match=r"another program is calculating.*data"),
    ):
        recipe.run([silicon] * 2, directory, verbose=False)
    assert n_calls(stand_in) == 1
    assert len(recipe.run([silicon] * 2, directory, verbose=False)) == 2


def test_a_full_disk_loses_the_snapshot_at_hand_alone(
    recipe, stand_in, silicon, tmp_path, monkeypatch
):
    directory = tmp_path / "data"
    recipe.run([silicon], directory, verbose=False)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    for module, name in ((recipe_module, "read_espresso"), (results, "_write")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, full)
            with pytest.raises(OSError, match="No space left"):
                recipe.run([silicon] * 2, directory, verbose=False)
        # Nothing large stays, and what was finished can be read.
        assert not list(directory.glob("*/running-*"))
        assert len(SnapshotList.load(directory)) == 1
    assert len(recipe.run([silicon] * 2, directory, verbose=False)) == 2
    assert n_calls(stand_in) == 4


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ecutwfc": 7.0}, "ecutwfc"),
        ({"kpts": None}, "kpts"),
        ({"temperature": 2999.0}, "temperature"),
        ({"pseudopotentials": {"Si": "Si.pz.UPF"}}, "pseudopotentials"),
        ({"input_data": {"System": {"NOSYM": True}}}, "input_data"),
        ({"energies": EnergyGrid(ENERGIES, broadening=0.5, kernel="gaussian")}, "broadening"),
    ],
)
def test_other_settings_are_an_error(recipe, stand_in, silicon, tmp_path, changes, named):
    recipe.run([silicon], tmp_path / "data", verbose=False)
    old = {name: getattr(recipe, name) for name in ("energies", "ecutwfc", "kpts", "temperature")}
    old |= {"pseudopotentials": recipe.pseudopotentials, "n_bands": 10, "command": str(stand_in)}
    other = EspressoRecipe(**(old | changes))
    with pytest.raises(SnapshotError, match=rf"00000 was calculated with other .*{named}"):
        other.run([silicon], tmp_path / "data", verbose=False)
    assert n_calls(stand_in) == 1


def test_other_atoms_are_an_error(recipe, silicon, tmp_path):
    recipe.run([silicon], tmp_path / "data", verbose=False)
    for change in (1e-6, 3e-10, -3e-10):
        moved = silicon.copy()
        moved.positions[1, 0] += change
        with pytest.raises(SnapshotError, match="other positions than asked for"):
            recipe.run([moved], tmp_path / "data", verbose=False)
        moved = silicon.copy()
        moved.cell[0, 1] += change
        with pytest.raises(SnapshotError, match="other cell than asked for"):
            recipe.run([moved], tmp_path / "data", verbose=False)
    moved = silicon.copy()
    moved.positions[1, 0] += 0.3e-10  # not in the input file
    assert len(recipe.run([moved], tmp_path / "data", verbose=False)) == 1
    # but another number of processes is none
    recipe.command = ["env", recipe.command]
    assert len(recipe.run([silicon], tmp_path / "data", verbose=False)) == 1


def test_folders_of_others_are_left_alone(recipe, silicon, tmp_path):
    SnapshotList([silicon]).save(tmp_path / "data")
    with pytest.raises(FileExistsError, match="not calculated there"):
        recipe.run([silicon], tmp_path / "data", verbose=False)
    assert len(SnapshotList.load(tmp_path / "data")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "",
        10**5 * "[",
        "[]",
        '{"settings": {}, "snapshot": []}',
        '{"settings": 3, "snapshot": {}}',
        '{"settings": {}, "snapshot": {"ldos": "../ldos_00000.npy"}}',
        '{"settings": {}, "snapshot": {"ldos": 3}}',
        '{"settings": {}, "snapshot": {"digests": 3}}',
    ],
)
def test_a_damaged_record_is_named(recipe, silicon, tmp_path, text):
    recipe.run([silicon], tmp_path / "data", verbose=False)
    (tmp_path / "data" / "00000" / "finished.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"finished\.json"):
        recipe.run([silicon], tmp_path / "data", verbose=False)


# When pw.x fails ------------------------------------------------------------------------------


def test_a_failure_is_quoted_and_its_files_stay(recipe, stand_in, silicon, tmp_path):
    stand_in.with_name("fail").write_text("out of luck")
    with pytest.raises(EspressoError, match=r"configuration 0: .*'out of luck'.*00000/failed"):
        recipe.run([silicon] * 2, tmp_path / "data", verbose=False)
    assert (tmp_path / "data" / "00000" / "failed" / "pw.in").exists()
    assert n_calls(stand_in) == 1
    stand_in.with_name("fail").unlink()
    assert len(recipe.run([silicon] * 2, tmp_path / "data", verbose=False)) == 2
    assert not (tmp_path / "data" / "00000" / "failed").exists()


def test_the_others_may_go_on(recipe, stand_in, silicon, tmp_path):
    recipe.run([silicon], tmp_path / "data", verbose=False)
    stand_in.with_name("fail").write_text("out of luck")
    with pytest.warns(UserWarning, match="out of luck") as caught:
        snapshots = recipe.run([silicon] * 3, tmp_path / "data", on_error="warn", verbose=False)
    assert len(caught) == 2
    assert len(snapshots) == 1
    with pytest.warns(UserWarning, match="out of luck"):
        assert len(recipe.run([silicon], tmp_path / "new", on_error="warn", verbose=False)) == 0


def test_lost_wavefunctions_are_a_failure_too(recipe, stand_in, silicon, tmp_path):
    stand_in.write_text(STAND_IN + 'os.remove("skldos.save/wfc2.dat")\n')
    with pytest.raises(
        EspressoError, match=r"configuration 0: .* neither wfc2\.dat nor wfc2\.hdf5"
    ):
        recipe.run([silicon], tmp_path / "data", verbose=False)


def test_the_number_of_bands_grows_by_a_quarter(recipe, stand_in, silicon, tmp_path, monkeypatch):
    recipe.n_bands = None
    recipe.energies = EnergyGrid.regular(-8.0, 1.0, 24, broadening=0.4, kernel="gaussian")
    asked = []

    def count(cell, kpts, width):
        asked.append((kpts, width))
        return 38

    monkeypatch.setattr(recipe_module, "free_electron_bands", count)
    # 1.1 * 38 + 2 -> 44, 55, 69, 87
    # The stand-in always has ten, the highest at 14.97 eV.
    message = r"highest of 87 bands starts at 14\.97 eV, below 16\.60 eV; give n_bands"
    with pytest.raises(EspressoError, match=message):
        recipe.run([silicon], tmp_path / "data", verbose=False)
    assert n_calls(stand_in) == recipe_module.MORE_BANDS == 4
    # From the bottom of the band to the highest level of which the energies know.
    bottom = -8.0 + recipe_module.KERNEL_REACH["gaussian"] * 0.4
    assert asked == [([2, 2, 2], pytest.approx(16.60 - bottom, abs=0.005))]


def test_a_missing_program_is_named(recipe, silicon, tmp_path):
    recipe.command = "no-such-pw.x -nk 2"
    with pytest.raises(FileNotFoundError, match=r"command: 'no-such-pw\.x' is not an executable"):
        recipe.run([silicon], tmp_path / "data", verbose=False)


def test_relative_commands_work(recipe, stand_in, silicon, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_command("./bin/pw.x -nk 2") == [str(stand_in), "-nk", "2"]
    recipe.command = "bin/pw.x"
    assert len(recipe.run([silicon], "data", verbose=False)) == 1


# Input ----------------------------------------------------------------------------------------


def test_the_input_holds_atoms_and_settings_to_all_digits(recipe, silicon, tmp_path):
    silicon.rattle(0.1, seed=1)
    path = recipe.write_input(silicon, tmp_path / "new", temperature=298.0)
    atoms = read(path, format="espresso-in")
    np.testing.assert_allclose(atoms.positions, silicon.positions, rtol=0, atol=1e-10)
    np.testing.assert_allclose(atoms.cell, silicon.cell, rtol=0, atol=1e-10)
    values = dict(
        line.replace(" ", "").split("=") for line in path.read_text().splitlines() if "=" in line
    )
    # k_B T at 298 K in Ry: 8.617333262e-5 x 298 / 13.605693123 by hand
    assert float(values["degauss"]) == pytest.approx(1.887419e-3, rel=1e-6)
    assert (values["ecutwfc"], values["ecutrho"], values["nbnd"]) == ("6.0", "24.0", "10")
    assert values["verbosity"] == "'high'"
    assert "2 2 2" in path.read_text()


def test_the_grid_of_k_points_may_be_shifted(stand_in, silicon, tmp_path):
    recipe = EspressoRecipe(
        {"Si": "Si.pz-vbc.UPF"},
        energies=ENERGIES,
        ecutwfc=6.0,
        kpts=(2, 2, 1),
        k_shift=(1, 1, 0),
        temperature=3000.0,
        command=str(stand_in),
    )
    lines = recipe.write_input(silicon, tmp_path).read_text().splitlines()
    assert lines[lines.index("K_POINTS automatic") + 1].split() == list("221110")
    recipe.run([silicon], tmp_path / "data", verbose=False)
    recipe.k_shift = [0, 0, 0]
    with pytest.raises(SnapshotError, match="other k_shift than asked for now"):
        recipe.run([silicon], tmp_path / "data", verbose=False)


def test_more_entries_may_be_given(silicon, tmp_path):
    recipe = EspressoRecipe(
        {"Si": "Si.UPF"},
        energies=ENERGIES,
        ecutwfc=6.0,
        temperature=300,
        pseudo_dir=tmp_path,
        input_data={"SYSTEM": {"Nosym": True}, "electrons": {"mixing_beta": 0.3}},
    )
    text = recipe.write_input(silicon, tmp_path).read_text()
    assert "nosym            = .true." in text
    assert "mixing_beta      = 0.3" in text
    assert f"pseudo_dir       = '{tmp_path}'" in text
    assert "K_POINTS gamma" in text


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("energies", EnergyGrid([0.0, 1.0]), ValueError, "a broadening and a kernel"),
        ("energies", [0.0, 1.0], TypeError, "energies must be an EnergyGrid"),
        ("ecutwfc", -1, ValueError, "ecutwfc must be > 0"),
        ("ecutrho", 3.0, ValueError, "ecutrho must be >= 6"),
        ("kpts", (2, 2), ValueError, "kpts must be three"),
        ("kpts", (2, 2, 0), ValueError, r"kpts\[2\] must be >= 1"),
        ("k_shift", 0.5, ValueError, "k_shift must be three"),
        ("k_shift", (0, 2, 0), ValueError, r"k_shift\[1\] must be >= 0 and <= 1"),
        ("k_shift", (1, 1, 1), ValueError, "k_shift needs kpts"),
        ("temperature", 0, ValueError, "temperature must be > 0"),
        ("n_bands", 2.5, TypeError, "n_bands must be an integer"),
        ("conv_thr", 0, ValueError, "conv_thr must be > 0"),
        ("input_data", {"nosym": True}, TypeError, "input_data must map namelists"),
        ("input_data", {"control": {"Prefix": "x"}}, ValueError, "'prefix' to the recipe"),
        # The snapshot would not be at the temperature that it names.
        ("input_data", {"system": {"degauss": 0.5}}, ValueError, "'degauss' to the recipe"),
        ("input_data", {"SYSTEM": {"Smearing": "mv"}}, ValueError, "'smearing' to the recipe"),
        ("input_data", {"electrons": {"conv_thr": 1}}, ValueError, "'conv_thr' to the recipe"),
        ("input_data", {"sistem": {"nosym": True}}, ValueError, "namelists of .*'sistem'"),
        ("input_data", "nosym", TypeError, "input_data must map namelists"),
        ("pseudopotentials", "Si.UPF", TypeError, "must map chemical symbols"),
        ("pseudopotentials", ["Si.UPF"], TypeError, "must map chemical symbols"),
        ("pseudopotentials", {}, ValueError, "at least one file"),
        ("pseudopotentials", {"Si": Path("Si.UPF")}, TypeError, r"pseudopotentials\['Si'\] must"),
        ("pseudopotentials", {"Si": "/x/Si.UPF"}, ValueError, "whose folder is pseudo_dir"),
    ],
)
def test_impossible_settings_are_named(argument, value, error, message):
    arguments = {"pseudopotentials": {"Si": "Si.UPF"}, "energies": ENERGIES, "ecutwfc": 6.0}
    with pytest.raises(error, match=message):
        EspressoRecipe(**arguments | {argument: value})


def test_what_a_configuration_lacks_is_named(recipe, silicon, tmp_path):
    with pytest.raises(ValueError, match="got none for Al"):
        recipe.write_input(bulk("Al"), tmp_path)
    with pytest.raises(ValueError, match="got none for Al"):
        recipe.run([silicon, bulk("Al")], tmp_path / "data")
    assert not (tmp_path / "data").exists()
    recipe.temperature = None
    with pytest.raises(ValueError, match="temperature is needed"):
        recipe.run([silicon], tmp_path / "data")
    with pytest.raises(ValueError, match="on_error must be one of 'raise', 'warn'"):
        recipe.run([silicon], tmp_path / "data", on_error="skip")


def test_inputs_may_be_written_anywhere_and_again(recipe, silicon, tmp_path):
    for n_bands in (None, 17):
        path = recipe.write_input(silicon, tmp_path / "a" / "b", n_bands=n_bands)
    assert path == tmp_path / "a" / "b" / "pw.in"
    assert "nbnd             = 17" in path.read_text()


def test_output_may_hold_any_bytes(recipe, stand_in, silicon, tmp_path):
    text = STAND_IN + 'sys.stdout.buffer.write(b"\\xff\\xfe of a crashed node\\n")\nsys.exit(3)\n'
    stand_in.write_text(text.replace('print("JOB DONE.")', ""))
    with pytest.raises(EspressoError, match=r"of a crashed node' \(exit status 3\)"):
        recipe.run([silicon], tmp_path / "data", verbose=False)


def test_records_are_text_and_come_after_the_fields(recipe, silicon, tmp_path, monkeypatch):
    order = []
    for name in ("sync_folder", "_write"):
        original = getattr(results, name)
        monkeypatch.setattr(
            results,
            name,
            lambda path, *rest, original=original, name=name: (
                order.append((name, path.name)) or original(path, *rest)
            ),
        )
    recipe.run([silicon], tmp_path / "data", verbose=False)
    # The fields have their names on the disk before the record says that they are complete.
    assert order[:3] == [
        ("sync_folder", "data"),
        ("_write", "finished.json"),
        ("_write", "snapshots.json"),
    ]
    text = (tmp_path / "data" / "00000" / "finished.json").read_text()
    assert len(text.splitlines()) > 10  # for people, too


# With pw.x ------------------------------------------------------------------------------------


@pytest.fixture
def real():
    """Settings of a calculation that takes a second."""
    return {
        "pseudopotentials": {"Al": "Al.pz-vbc.UPF"},
        "energies": EnergyGrid.regular(-6.0, 1.0, 14, broadening=0.8, kernel="gaussian"),
        "ecutwfc": 6.0,
        "kpts": (2, 2, 2),
        "temperature": 3000.0,
        "pseudo_dir": PSEUDOPOTENTIALS,
    }


@needs_pw
def test_snapshots_of_pw(real, tmp_path):
    atoms = bulk("Al")
    shifted = atoms.copy()
    shifted.positions += 0.3
    snapshots = EspressoRecipe(**real).run([atoms, shifted], tmp_path / "data", verbose=False)
    for snapshot in snapshots:
        assert snapshot.density[:].sum() * snapshot.voxel_volume == pytest.approx(3, rel=1e-6)
        assert snapshot.temperature == 3000.0
    energies = [snapshot.reference["total_energy"] for snapshot in snapshots]
    # The crystal is the same one; its exchange-correlation energy on the grid is not quite.
    assert energies[0] == pytest.approx(energies[1], abs=1e-2)
    np.testing.assert_allclose(snapshots[0].dos(), snapshots[1].dos(), atol=1e-2)


@needs_pw
def test_bands_are_added_until_they_reach_the_energies(real, tmp_path, monkeypatch):
    atoms = bulk("Al")
    expected = EspressoRecipe(**real).run([atoms], tmp_path / "enough", verbose=False)[0]
    monkeypatch.setattr(recipe_module, "free_electron_bands", lambda *arguments: 0)  # 2 bands
    snapshot = EspressoRecipe(**real).run([atoms], tmp_path / "added", verbose=False)[0]
    assert "nbnd             = 3" in (tmp_path / "added" / "00000" / "pw.in").read_text()
    np.testing.assert_allclose(snapshot.ldos[:], expected.ldos[:], atol=1e-5)
    # With a number of one's own it is a matter of a warning.
    with pytest.warns(UserWarning, match="some are missing"):
        EspressoRecipe(**real, n_bands=2).run([atoms], tmp_path / "few", verbose=False)


@needs_pw
def test_errors_of_pw_are_quoted(real, tmp_path):
    absent = EspressoRecipe(**(real | {"pseudopotentials": {"Al": "absent.UPF"}}))
    with pytest.raises(EspressoError, match=r"readpp .*absent\.UPF not found .*00000/failed"):
        absent.run([bulk("Al")], tmp_path / "absent", verbose=False)
    hasty = EspressoRecipe(**real, input_data={"electrons": {"electron_maxstep": 1}})
    with pytest.raises(EspressoError, match="convergence NOT achieved after 1 iterations"):
        hasty.run([bulk("Al")], tmp_path / "hasty", verbose=False)


@needs_pw
def test_pseudopotentials_of_another_element_are_noticed(real, tmp_path):
    # pw.x would calculate an aluminium with the four electrons of silicon.
    swapped = EspressoRecipe(**(real | {"pseudopotentials": {"Al": "Si.pz-vbc.UPF"}}))
    with pytest.raises(EspressoError, match=r"\['Al'\] is Si.pz-vbc.UPF, .* of Si"):
        swapped.run([bulk("Al")], tmp_path, verbose=False)


@needs_pw
def test_a_bundled_snapshot_comes_out_again(tmp_path):
    bundled = load_aluminium(temperature=298)[:1]
    recipe = aluminium_recipe(pseudo_dir=PSEUDOPOTENTIALS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the bands reach far enough
        again = recipe.run(bundled, tmp_path / "data", verbose=False)[0]
    bundled = bundled[0]
    np.testing.assert_allclose(again.energies, bundled.energies, atol=1e-12)
    for name, value in bundled.reference.items():
        # Converged to 1e-8 Ry in the total energy, of first order in the others.
        tolerance = {"total_energy": 1e-6, "forces": 2e-4}.get(name, 1e-5)
        np.testing.assert_allclose(again.reference[name], value, rtol=0, atol=tolerance)
    # Stored with eleven significant bits, hence half a unit of the last; and the convergence.
    np.testing.assert_allclose(again.ldos[:], bundled.ldos, rtol=2**-11 + 5e-5, atol=1e-12)
    np.testing.assert_allclose(again.density[:], bundled.density, rtol=0, atol=1e-5)
