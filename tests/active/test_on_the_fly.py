"""Learning on the fly: requests the right calculations, and resumes after kill -9."""

import os
import shutil
import signal
import traceback
import warnings

import numpy as np
import pandas as pd
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet

from skldos import Snapshot
from skldos.active import OnTheFlyLearner, on_the_fly
from skldos.calculator import MonteCarlo
from skldos.datasets import EspressoRecipe
from skldos.exceptions import SnapshotError
from tests.active.cells import POTENTIAL, answer, rattled


class Counted(EMT):
    """Counts its calls in a file, and kills its process at one of them."""

    def __init__(self, path, kill_at):
        super().__init__()
        self.path, self.kill_at = path, kill_at

    def calculate(self, *arguments, **options):
        super().calculate(*arguments, **options)
        with open(self.path, "a") as file:
            file.write("x")
        if self.path.stat().st_size == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def script(folder, kill_at=None, kill_before_tables=None, kill_before_state=None):
    """Run six steps of Langevin dynamics, unless killed."""
    reference = Counted(calls_of(folder), kill_at)
    options = {"threshold": 0.02, "first_check": 3}
    learner = OnTheFlyLearner(POTENTIAL, reference, rattled(), folder, **options)

    def or_die(function, n_snapshots):
        def wrapped(*arguments):
            if len(learner.snapshots) == n_snapshots:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        return wrapped

    learner._keep = or_die(learner._keep, kill_before_tables)
    on_the_fly.write_state = or_die(on_the_fly.write_state, kill_before_state)
    atoms = rattled(0.2)[0]
    options = {"temperature_K": 900, "friction": 0.02, "fixcm": False}
    dynamics = Langevin(atoms, 4 * units.fs, rng=np.random.default_rng(0), **options)
    learner.run(dynamics, 6)
    np.save(folder / "end.npy", [atoms.positions, atoms.get_momenta()])


def in_process(function, *arguments, **options):
    """Call a function in a separate process, and return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which this process does not use
        process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    try:
        function(*arguments, **options)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def calls_of(folder):
    return folder.with_suffix(".calls")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are copies")
def test_a_killed_run_goes_on_as_if_it_was_not(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert in_process(script, whole) == 0
    n_calls = calls_of(whole).stat().st_size
    assert n_calls > 5
    # While the reference calculates; after its answer; after the tables, before the state.
    kills = ({"kill_at": 4}, {"kill_before_tables": 5}, {"kill_before_state": 6})
    for kill in kills:
        assert in_process(script, broken, **kill) == -signal.SIGKILL
    assert (broken / "snapshots" / "00005" / "snapshots.json").exists()
    assert in_process(script, broken) == 0
    # The one whose calculation was killed is the only one that was calculated twice.
    assert calls_of(broken).stat().st_size == n_calls + 1
    # Fits of the same numbers elsewhere in memory differ by rounding.
    ends = (np.load(folder / "end.npy") for folder in (whole, broken))
    np.testing.assert_allclose(*ends, atol=1e-9)
    for name in ("asked.csv", "error_bars.csv"):
        tables = (pd.read_csv(folder / name) for folder in (whole, broken))
        times = {"reference_seconds": 0.0, "fit_seconds": 0.0}
        pd.testing.assert_frame_equal(*(table.assign(**times) for table in tables), atol=1e-7)
    # A finished run has nothing to do, and asks nothing.
    assert in_process(script, whole) == 0
    assert calls_of(whole).stat().st_size == n_calls


def test_asks_above_the_threshold_alone(tmp_path):
    atoms = rattled(0.2)[0]
    options = {"threshold": 0.1, "first_check": None}
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(0.1), tmp_path, **options)
    learner.run(VelocityVerlet(atoms, 3 * units.fs), 15)
    bars, asked = learner.error_bars, learner.asked
    assert list(bars["step"]) == list(range(16))
    np.testing.assert_array_equal(bars["asked"], bars["expected"] > 0.1)
    assert 0 < bars["asked"].sum() < 16
    assert list(asked["why"]) == ["initial"] * 2 + ["threshold"] * bars["asked"].sum()
    assert list(asked["step"])[2:] == list(bars["step"][bars["asked"]])
    assert (asked["expected"][2:] > 0.1).all()
    assert len(learner.snapshots) == len(asked)
    # What it learned is the truth, and it stays below what it would be without.
    last = learner.snapshots[-1]
    check = last.atoms.copy()
    check.calc = EMT()
    np.testing.assert_allclose(last.reference["forces"], check.get_forces(), atol=1e-12)
    errors = []
    for model in (learner.potential_, POTENTIAL.fit(learner.snapshots[:2])):
        blocks = model[:-1].transform([Snapshot(atoms)])
        check.positions = atoms.positions
        errors.append(np.abs(model[-1].predict_forces(blocks)[0] - check.get_forces()).max())
    assert errors[0] < 0.5 * errors[1]


def test_a_high_threshold_asks_nothing_and_an_interval_looks_less_often(tmp_path):
    options = {"threshold": 100.0, "interval": 4, "first_check": None}
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path, **options)
    learner.run(VelocityVerlet(rattled()[0], 2 * units.fs), 10)
    assert len(learner.snapshots) == 2
    assert list(learner.error_bars["step"]) == [0, 4, 8, 10]


def test_checks_correct_error_bars_and_come_less_often(tmp_path):
    # Two cells hardly displaced know nothing of hot ones.
    options = {"threshold": 100.0, "first_check": 2}
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(0.01), tmp_path, **options)
    assert learner.correction == 1
    learner.run(VelocityVerlet(rattled(0.2)[0], 3 * units.fs), 15)
    checks = learner.asked[learner.asked["why"] == "check"]
    assert list(checks["step"]) == [2, 6, 14]
    assert checks["ratio"].iloc[0] > 3
    assert learner.correction == pytest.approx(np.sqrt(np.mean(checks["ratio"] ** 2)))


def test_warns_where_questions_do_not_help(tmp_path, monkeypatch):
    monkeypatch.setattr(on_the_fly, "ROW_OF_QUESTIONS", 3)
    options = {"threshold": 1e-6, "first_check": None}
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(0.1), tmp_path, **options)
    dynamics = VelocityVerlet(rattled(0.2)[0], 3 * units.fs)
    learner.run(dynamics, 1)
    with pytest.warns(UserWarning, match="may be too simple"):
        learner.run(dynamics, 3)


def test_pool(tmp_path):
    pool = rattled(0.2, n=6, first_seed=10)
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path, threshold=0.15)
    before = [learner.expected_error(atoms) for atoms in pool]
    first = learner.ask(pool, max_snapshots=1)
    assert first == [int(np.argmax(before))]
    rest = learner.ask(pool)
    assert len(rest) < 5
    left = [i for i in range(6) if i not in first + rest]
    assert max(learner.expected_error(pool[i]) for i in left) <= 0.15
    assert list(learner.asked["why"])[2:] == ["pool"] * (1 + len(rest))
    assert np.isfinite(learner.asked["force_error"][2:]).all()


def test_monte_carlo_and_a_function_as_reference(tmp_path):
    learner = OnTheFlyLearner(POTENTIAL, answer, rattled(), tmp_path, threshold=0.1)
    learner.run(MonteCarlo(rattled()[0], 900, random_state=0), 3)
    assert list(learner.error_bars["step"]) == [0, 1, 2, 3]


def test_initial_snapshots_with_forces_are_not_calculated(tmp_path):
    snapshots = []
    for atoms in rattled():
        found = {"total_energy": -1.0, "forces": np.zeros((4, 3))}
        snapshots.append(Snapshot(atoms, reference=found))

    def refuses(atoms):
        raise AssertionError

    learner = OnTheFlyLearner(POTENTIAL, refuses, snapshots, tmp_path)
    assert learner.snapshots[0].reference["total_energy"] == -1


def test_stress_is_learned_if_asked_for(tmp_path):
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path, stress=True)
    assert learner.snapshots[0].reference["stress"].shape == (3, 3)
    assert learner.calculator.get_stress(rattled()[0]).shape == (6,)


def test_refused(tmp_path):
    with pytest.raises(TypeError, match="reference must be"):
        OnTheFlyLearner(POTENTIAL, "pw.x", rattled(), tmp_path / "a")
    OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path / "b")
    with pytest.raises(SnapshotError, match="another start"):
        OnTheFlyLearner(POTENTIAL, EMT(), rattled(first_seed=7), tmp_path / "b")
    with pytest.raises(SnapshotError, match="must provide 'forces'"):
        OnTheFlyLearner(
            POTENTIAL,
            lambda a: Snapshot(a, reference={"total_energy": 0.0}),
            rattled(),
            tmp_path / "c",
        )


@pytest.mark.skipif(shutil.which("pw.x") is None, reason="needs Quantum ESPRESSO's pw.x")
def test_espresso_recipe_as_reference(tmp_path, capfd):
    recipe = EspressoRecipe(
        {"Al": "Al.pz-vbc.UPF"},
        energies=None,
        ecutwfc=5.0,
        temperature=2000.0,
        pseudo_dir="/usr/share/espresso/pseudo",
        conv_thr=1e-5,
    )
    cells = [bulk("Al", orthorhombic=True) for _ in range(2)]  # of two atoms
    for seed, atoms in enumerate(cells):
        atoms.rattle(0.1, seed=seed)
    learner = OnTheFlyLearner(POTENTIAL, recipe, cells, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert learner.snapshots[0].temperature == 2000
    assert np.abs(learner.snapshots[0].reference["forces"]).max() > 0.01
    assert learner.snapshots[0].density is None
    # Both are kept: what pw.x made, and what is learned.
    again = OnTheFlyLearner(POTENTIAL, recipe, cells, tmp_path)
    np.testing.assert_array_equal(
        again.snapshots[1].reference["forces"], learner.snapshots[1].reference["forces"]
    )
    assert (learner.asked["reference_seconds"] > 0).all()
    assert (tmp_path / "calculations" / "00001").exists()
