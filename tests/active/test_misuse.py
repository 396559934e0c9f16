"""Learning on the fly: references that answer another question, and damaged folders."""

import json

import numpy as np
import pytest
from ase import units
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE

from skldos import FreeEnergyRegressor, Snapshot
from skldos.active import OnTheFlyLearner, SnapshotSelector
from skldos.active._run_state import read_state
from skldos.exceptions import FileFormatError, SnapshotError
from tests.active.cells import POTENTIAL, answer, rattled


def learner(folder, reference=None, **options):
    reference = EMT() if reference is None else reference
    options = {"threshold": 0.3, "first_check": None} | options
    return OnTheFlyLearner(POTENTIAL, reference, rattled(0.1), folder, **options)


def dynamics():
    return VelocityVerlet(rattled(0.1)[0], 2 * units.fs)


def in_another_order(atoms):
    return answer(atoms[[2, 0, 1, 3]])


def strained(atoms):
    atoms.set_cell(1.001 * atoms.cell, scale_atoms=True)
    return answer(atoms)


def relaxed(atoms):
    atoms.positions[3, 1] += 0.002  # in place, as an optimizer does
    return answer(atoms)


def repeated(atoms):
    return answer(atoms.repeat((1, 2, 1)))


@pytest.mark.parametrize("reference", [in_another_order, strained, relaxed, repeated])
def test_a_reference_must_answer_for_the_atoms_it_was_given(tmp_path, reference):
    with pytest.raises(SnapshotError, match=r"must return the atoms it was given, in their order"):
        learner(tmp_path, reference)
    assert not [*tmp_path.glob("snapshots/*/*")]


def test_a_reference_may_wrap_and_round(tmp_path):
    def reference(atoms):
        moved = atoms.copy()
        moved.positions = np.round(atoms.positions - atoms.cell[2], 5)
        return answer(moved)

    assert len(learner(tmp_path, reference).snapshots) == 2


def test_what_is_no_dynamics_is_refused(tmp_path):
    one = learner(tmp_path)
    for wrong in (None, rattled(0.1)[0], FIRE(rattled(0.1)[0], logfile=None)):
        with pytest.raises(TypeError, match=f"atoms, nsteps and .* got {type(wrong).__name__}"):
            one.run(wrong, 3)
    for steps, error in ((-1, ValueError), (1.5, TypeError), ("3", TypeError)):
        with pytest.raises(error, match="steps must be"):
            one.run(dynamics(), steps)
    assert one.error_bars.empty


def test_pools_and_potentials_that_are_refused(tmp_path):
    one = learner(tmp_path / "pool")
    assert one.ask([]) == []
    with pytest.raises(TypeError, match="single Atoms; put it into a list"):
        one.ask(rattled(0.1)[0])
    for most, error in ((-1, ValueError), (0.5, TypeError)):
        with pytest.raises(error, match="max_snapshots must be"):
            one.ask(rattled(0.1), most)
    for wrong in (None, FreeEnergyRegressor):
        with pytest.raises(TypeError, match="potential must be a pipeline"):
            OnTheFlyLearner(wrong, EMT(), rattled(0.1), tmp_path / "no")
    with pytest.raises(TypeError, match=r"reference must be a calculator .* got <class"):
        OnTheFlyLearner(POTENTIAL, EMT, rattled(0.1), tmp_path / "no")


def test_checks_may_begin_after_an_interruption(tmp_path):
    learner(tmp_path).run(dynamics(), 2)
    again = learner(tmp_path, first_check=2)
    again.run(dynamics(), 5)
    assert list(again.asked["why"]) == ["initial", "initial", "check"]
    assert again.asked["step"].iloc[-1] == 4


def changed(*path, value=None, remove=False):
    def change(state):
        for key in path[:-1]:
            state = state[key]
        if remove:
            del state[path[-1]]
        else:
            state[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(changed(name, remove=True) for name in ("n_snapshots", "dynamics", "check")),
        *(changed("n_snapshots", value=value) for value in (-1, 1.5, "2", None, True)),
        *(changed("check", value=value) for value in ("x", {}, {"step": -1, "gap": 3})),
        *(changed("dynamics", "step", value=value) for value in (-5, 1.5, None)),
        *(changed("dynamics", name, remove=True) for name in ("momenta", "cell", "random")),
        changed("dynamics", value=[1]),
        changed("dynamics", "positions", value=[[0.0, 0.0]]),
        changed("dynamics", "positions", 1, 2, value=float("nan")),
        changed("dynamics", "positions", value=[["a"] * 3] * 2),
        changed("dynamics", "momenta", value="x"),
        changed("dynamics", "numbers", value=[13]),
    ],
)
def test_damaged_states_are_named(tmp_path, change):
    point = {"numbers": [13, 13], "positions": [[0.0] * 3, [2.0] * 3], "momenta": [[0.0] * 3] * 2}
    point |= {"step": 4, "cell": np.diag([4.0] * 3).tolist(), "random": None}
    state = {"n_snapshots": 2, "dynamics": point, "check": {"step": 10, "gap": None}}
    path = tmp_path / "state.json"
    path.write_text(json.dumps(state))
    assert read_state(tmp_path) == state
    beginning = state | {"n_snapshots": 0, "check": {"step": 0, "gap": 0}}
    beginning["dynamics"] = point | {"step": 0}
    path.write_text(json.dumps(beginning))
    assert read_state(tmp_path) == beginning
    change(state)
    path.write_text(json.dumps(state))
    with pytest.raises(FileFormatError, match=r"or damaged: an entry .*state\.json"):
        read_state(tmp_path)


def test_damaged_tables_are_named(tmp_path):
    learner(tmp_path).run(dynamics(), 1)
    for name in ("asked.csv", "error_bars.csv"):
        path = tmp_path / name
        whole = path.read_bytes()
        for damaged in (b"", b"\0" * 9, b"\xff\n", whole.replace(b"step", b"stop")):
            path.write_bytes(damaged)
            with pytest.raises(FileFormatError, match=rf"not a table of .*{name}"):
                learner(tmp_path)
        path.write_bytes(whole)
    rows = (tmp_path / "asked.csv").read_text().splitlines(keepends=True)
    (tmp_path / "asked.csv").write_text("".join(rows[:-1]))
    with pytest.raises(FileFormatError, match="a row for each of 2 calculations, got 1"):
        learner(tmp_path)


@pytest.mark.parametrize(
    "pool", [None, rattled(0.1)[0], Snapshot(rattled(0.1)[0]), iter(rattled(0.1))]
)
@pytest.mark.parametrize("strategy", ["random", "uncertainty"])
def test_pools_to_select_from_are_sequences(pool, strategy):
    with pytest.raises(TypeError, match=f"pool must be a sequence .* got {type(pool).__name__}"):
        SnapshotSelector(strategy).select(None, pool)
