"""Numbers that learning on the fly notes, and its limits, on both sides."""

import time

import numpy as np
import pandas as pd
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet

from skldos import Snapshot
from skldos.active import OnTheFlyLearner, on_the_fly
from skldos.active._reference import Reference
from skldos.active._run_state import read_state
from skldos.exceptions import FileFormatError, SnapshotError
from tests.active.cells import POTENTIAL, rattled


@pytest.fixture
def learner(tmp_path):
    return OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path)


def test_defaults_and_name(learner):
    assert (learner.threshold, learner.interval, learner.first_check) == (0.1, 1, 10)
    assert "stress" not in learner.snapshots[0].reference
    assert repr(learner) == "OnTheFlyLearner(2 snapshots, 0.1 eV/Å)"
    assert learner.asked["step"].tolist() == [0, 1]
    assert (learner.asked["reference_seconds"] > 0).all()


def test_the_last_five_results_correct_the_error_bars(learner):
    ratios = [100.0, np.nan, 3.0, 1.0, 2.0, 4.0, 5.0]
    learner.asked = pd.DataFrame({"ratio": ratios})
    assert learner.correction == pytest.approx(np.sqrt(55 / 5))
    learner.asked = pd.DataFrame({"ratio": [0.5, 0.2]})
    assert learner.correction == 1
    learner.asked = pd.DataFrame({"ratio": [np.nan]})
    assert learner.correction == 1


def test_the_expected_error_is_that_of_the_worst_atom_per_component(learner):
    atoms = rattled(0.2, first_seed=5)[0]
    std = learner.calculator.get_uncertainty("forces", atoms)
    learner.asked = pd.DataFrame({"ratio": [2.0]})
    worst = max(np.sqrt((row**2).sum() / 3) for row in std)
    assert learner.expected_error(atoms) == pytest.approx(2 * worst)


def test_a_result_is_compared_with_the_model_before_it(learner):
    atoms = rattled(0.2, first_seed=5)[0]
    calculator = learner.calculator
    energy, forces = calculator.get_potential_energy(atoms), calculator.get_forces(atoms)
    std = calculator.get_uncertainty("forces", atoms)
    expected = learner.expected_error(atoms)
    learner.threshold = 1e-6
    start = time.perf_counter()
    assert learner.ask([atoms], max_snapshots=1) == [0]
    elapsed = time.perf_counter() - start
    row = learner.asked.iloc[-1]
    atoms.calc = EMT()
    error = np.sqrt(np.mean((forces - atoms.get_forces()) ** 2))
    assert row["why"] == "pool"
    assert row["expected"] == pytest.approx(expected)
    assert row["force_error"] == pytest.approx(error)
    assert row["ratio"] == pytest.approx(error / np.sqrt(np.mean(std**2)))
    assert row["energy_error"] == pytest.approx(250 * (energy - atoms.get_potential_energy()))
    assert row["reference_seconds"] > 0
    assert row["fit_seconds"] > 0
    assert row["reference_seconds"] + row["fit_seconds"] < elapsed
    # The new model has learned it.
    atoms.calc = None
    assert np.abs(learner.calculator.get_forces(atoms) - forces).max() > 1e-4


@pytest.mark.parametrize(("step", "warns"), [(9, False), (10, True)])
def test_ten_questions_in_a_row_are_too_many(learner, step, warns, recwarn):
    learner.error_bars = pd.DataFrame({"asked": [True] * 12 + [False] + [True] * step})
    learner._warn_of_limit()
    assert len(recwarn.list) == warns
    assert on_the_fly.ROW_OF_QUESTIONS == 10


def test_checks_come_again_after_a_failure(tmp_path, monkeypatch):
    options = {"threshold": 1e-3, "first_check": 2}
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(0.01), tmp_path, **options)
    # Error bars that promise too much: only checks ask, and none is passed.
    monkeypatch.setattr(OnTheFlyLearner, "expected_error", lambda self, atoms: 1e-3)
    learner.run(VelocityVerlet(rattled(0.2)[0], 0.01 * units.fs), 7)
    assert learner.asked["why"].tolist()[2:] == ["check"] * 3
    assert learner.asked["step"].tolist()[2:] == [2, 4, 6]


def test_a_pool_at_the_threshold_is_left_alone(learner, monkeypatch):
    monkeypatch.setattr(OnTheFlyLearner, "expected_error", lambda self, atoms: 0.1)
    assert learner.ask(rattled(0.2)) == []
    monkeypatch.setattr(OnTheFlyLearner, "expected_error", lambda self, atoms: 0.1001)
    assert learner.ask(rattled(0.2), max_snapshots=1) == [0]
    assert learner.ask([]) == []


@pytest.mark.parametrize(("shift", "same"), [(0.997e-9, True), (1.003e-9, False)])
@pytest.mark.parametrize("what", ["positions", "cell"])
def test_stored_results_belong_to_the_same_atoms(shift, same, what, tmp_path):
    first, second = bulk("Al", cubic=True), bulk("Al", cubic=True)
    found = {"total_energy": -1.0, "forces": np.zeros((4, 3))}
    reference = Reference(lambda atoms: Snapshot(atoms, reference=found), tmp_path, False)
    reference.answer(0, Snapshot(first))
    if what == "cell":
        second.cell[1, 1] += shift
    else:
        second.positions[1, 1] += shift
    if same:
        assert reference.answer(0, Snapshot(second))[1] == 0
    else:
        with pytest.raises(SnapshotError, match="for other atoms"):
            reference.answer(0, Snapshot(second))
    with pytest.raises(SnapshotError, match="for other atoms"):
        reference.answer(0, Snapshot(first[:3]))
    first.symbols[0] = "Mg"
    with pytest.raises(SnapshotError, match="for other atoms"):
        reference.answer(0, Snapshot(first))


def test_results_are_kept_in_folders_of_five_digits(tmp_path):
    OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path / "deep" / "run")
    names = sorted(p.name for p in (tmp_path / "deep" / "run" / "snapshots").iterdir())
    assert names == ["00000", "00001"]


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000])
def test_a_state_that_is_none_is_named(text, tmp_path):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"not the state of a run.*state\.json"):
        read_state(tmp_path)
    assert read_state(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("threshold", [1e-9, 7.0], [0, -1.0]),
        ("interval", [1, 7], [0, 1.5]),
        ("first_check", [1, 7, None], [0, 1.5]),
        ("stress", [True, False], ["no"]),
    ],
)
def test_limits_of_parameters(name, good, bad, tmp_path):
    one = rattled(n=1)  # too few, which is said after what is wrong with the parameters
    for value in good:
        with pytest.raises(ValueError, match="initial must hold at least two snapshots, got 1"):
            OnTheFlyLearner(POTENTIAL, EMT(), one, tmp_path, **{name: value})
    for value in bad:
        with pytest.raises((ValueError, TypeError), match=f"{name} must be"):
            OnTheFlyLearner(POTENTIAL, EMT(), one, tmp_path, **{name: value})


def test_no_steps_and_no_snapshots_may_be_asked_for(learner):
    assert learner.ask(rattled(0.2), max_snapshots=0) == []
    learner.run(VelocityVerlet(rattled()[0], units.fs), 0)
    assert learner.error_bars["step"].tolist() == [0]


class Split(Calculator):
    """Has an energy and, if told so, a free energy."""

    def __init__(self, free):
        super().__init__()
        names = ["energy", "forces", "stress", *(["free_energy"] if free else [])]
        self.implemented_properties = names

    def calculate(self, atoms, properties, system_changes):
        super().calculate(atoms, properties, system_changes)
        everything = {"energy": -1.0, "free_energy": -2.0, "forces": np.ones((4, 3))}
        everything["stress"] = np.arange(6.0)
        self.results = {name: everything[name] for name in self.implemented_properties}


@pytest.mark.parametrize(("free", "energy"), [(True, -2.0), (False, -1.0)])
def test_the_free_energy_is_learned_where_there_is_one(free, energy, tmp_path):
    atoms = rattled()[0]
    found, _ = Reference(Split(free), tmp_path, stress=True).answer(0, Snapshot(atoms))
    assert found.reference["total_energy"] == energy
    np.testing.assert_array_equal(found.reference["stress"], [[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    assert atoms.calc is None


def test_tables_hold_what_the_learner_knows(tmp_path):
    options = {"threshold": 0.05, "first_check": 2}
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path, **options)
    learner.run(VelocityVerlet(rattled(0.2)[0], units.fs), 3)
    assert learner.asked["fit_seconds"].isna().tolist()[:2] == [True, True]
    assert learner.asked["fit_seconds"][2:].notna().all()
    assert learner.asked["why"].tolist()[2:]
    for name in ("asked", "error_bars"):
        table = getattr(learner, name)
        assert table.index.tolist() == list(range(len(table)))
        lines = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert (lines[0], len(lines)) == (",".join(table.columns), len(table) + 1)
    again = OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path, **options)
    for name in ("asked", "error_bars"):
        pd.testing.assert_frame_equal(
            getattr(again, name), getattr(learner, name), check_exact=True
        )


def test_rows_that_belong_to_no_state_are_left_out(tmp_path):
    # The process ended between the tables and the state, or in the middle of a line.
    OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path)
    path = tmp_path / "error_bars.csv"
    path.write_text(path.read_text() + "0,0.5,True\n1,0.5,True\n")
    learner = OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path)
    assert learner.error_bars.empty
    learner.run(VelocityVerlet(rattled()[0], units.fs), 1)
    known = learner.error_bars["expected"].tolist()
    path.write_text(path.read_text() + "2,0.5,False\n1,0.")
    again = OnTheFlyLearner(POTENTIAL, EMT(), rattled(), tmp_path)
    assert again.error_bars["expected"].tolist() == known
    assert len(path.read_text().splitlines()) == 3
