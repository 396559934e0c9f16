"""Learning on the fly: reference calculations until the forces of a liquid are right.

Eight atoms of aluminium; EMT stands in for density-functional theory. A run of 400 steps of 2 fs is
driven by the potential that learns. *On the fly* asks where the expected error of a force exceeds
the threshold; *every n-th step* labels that of the same trajectory. Both are judged by the force
error (RMSE) on 25 snapshots of EMT's own dynamics of the liquid at 933 K that took no part, after
every snapshot. Two starts:

- *melt*: two snapshots of a liquid, 20 fs apart, then 933 K; threshold 0.03 eV/Å;
- *crystal*: two cells displaced by 0.05 Å, then 2000 K, which melts them; threshold 0.06 eV/Å.

    python -m benchmarks.dynamics_runs.on_the_fly [--seeds 3] [--steps 400]
"""

import tempfile

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.dynamics_runs import _models

GOALS = (0.05, 0.02)  # eV/Å
#: Threshold in eV/Å, of the worst atom, and temperature in K.
STARTS = {"melt": (0.03, 933), "crystal": (0.06, 2000)}
EVERY = (5, 20, 50)
#: Snapshots up to which the curves are followed.
LONGEST = 20
NEVER = "—"


def langevin(atoms, kelvin, seed):
    """Return Langevin dynamics with a friction of 2/ps."""
    from ase import units
    from ase.md.langevin import Langevin

    options = {"temperature_K": kelvin, "friction": 0.002 / units.fs, "fixcm": False}
    return Langevin(atoms, 2 * units.fs, rng=np.random.default_rng(seed), **options)


def melt(seed, n_snapshots, interval):
    """Return snapshots of a liquid of eight atoms at 933 K, by EMT."""
    from ase.build import bulk
    from ase.calculators.emt import EMT

    atoms = bulk("Al", cubic=True).repeat((2, 1, 1))
    atoms.rattle(0.2, seed=seed)
    atoms.calc = EMT()
    langevin(atoms, 3000, seed).run(500)
    dynamics, found = langevin(atoms, 933, seed), []
    dynamics.run(400)
    for _ in range(n_snapshots):
        found.append(atoms.copy())
        dynamics.run(interval)
    return found


def labelled(atoms):
    """Return a snapshot with energy and forces of EMT."""
    from ase.calculators.emt import EMT

    from skldos import Snapshot

    atoms = atoms.copy()
    atoms.calc = EMT()
    found = {"total_energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    return Snapshot(atoms, reference=found)


def pipeline():
    """Return the potential."""
    from sklearn.pipeline import make_pipeline

    from skldos import AtomSOAPTransformer, FreeEnergyRegressor

    soap = AtomSOAPTransformer(r_cut=5.0, n_max=5, l_max=3, sigma=0.6, n_jobs=1)
    return make_pipeline(soap, FreeEnergyRegressor())


def crystals(seed):
    """Return two cells that are hardly displaced."""
    from ase.build import bulk

    cells = [bulk("Al", cubic=True).repeat((2, 1, 1)) for _ in range(2)]
    for i, atoms in enumerate(cells):
        atoms.rattle(0.05, seed=10 * seed + i)
    return cells


def run(seed, steps, start):
    """Return what an on-the-fly run learned from, its questions and the trajectory."""
    from ase.calculators.emt import EMT

    from skldos import OnTheFlyLearner

    threshold, kelvin = STARTS[start]
    initial = melt(seed, 2, 10) if start == "melt" else crystals(seed)
    with tempfile.TemporaryDirectory() as folder:
        learner = OnTheFlyLearner(pipeline(), EMT(), initial, folder, threshold=threshold)
        atoms, trajectory = initial[-1].copy(), []
        dynamics = langevin(atoms, kelvin, 100 + seed)
        dynamics.attach(lambda: trajectory.append(atoms.copy()))
        learner.run(dynamics, steps)
        return list(learner.snapshots), learner.asked, trajectory


def bare(atoms):
    """Return atoms without calculator, momenta and constraints."""
    from ase import Atoms

    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def curve(snapshots, test, potential=pipeline):
    """Return the force error (eV/Å) on the test snapshots after two, three, ... snapshots."""
    from skldos import FreeEnergyCalculator

    errors = []
    for n in range(2, min(len(snapshots), LONGEST) + 1):
        calculator = FreeEnergyCalculator(potential().fit(snapshots[:n]))
        misses = [calculator.get_forces(s.atoms) - s.reference["forces"] for s in test]
        errors.append(float(np.sqrt(np.mean(np.square(misses)))))
    return errors


def until_goal(errors, goal):
    """Return the number of snapshots after which the error stays below a goal, or None."""
    above = [n for n, error in enumerate(errors, start=2) if error >= goal]
    needed = max(above, default=1) + 1
    return needed if needed < len(errors) + 2 else None


def study(seed, steps, start):
    """Return the rows of one seed and start."""
    test = [labelled(atoms) for atoms in melt(1000 + seed, 25, 40)]
    learned, asked, trajectory = run(seed, steps, start)
    ways = {"on the fly": learned}
    for n in EVERY:
        later = [labelled(atoms) for atoms in trajectory[n::n][: LONGEST - 2]]
        ways[f"every {n}th step"] = [*learned[:2], *later]
    rows = []
    for way, snapshots in ways.items():
        errors = curve(snapshots, test)
        during = asked["ratio"].dropna() if way == "on the fly" else []
        rows.append(
            {
                "start": start,
                "seed": seed,
                "way": way,
                "until_goal": [until_goal(errors, goal) for goal in GOALS],
                "n_snapshots": len(snapshots),
                "errors": errors,
                "force": float(np.sqrt(np.mean([s.reference["forces"] ** 2 for s in test]))),
                "ratio": float(np.sqrt(np.mean(np.square(during)))) if len(during) else None,
            }
        )
        harness.show({key: value for key, value in rows[-1].items() if key != "errors"})
    return rows


def render(record):
    """Return the table of a record."""
    rows, lines = record["rows"], []
    for start, way in dict.fromkeys((row["start"], row["way"]) for row in rows):
        own = [row for row in rows if (row["start"], row["way"]) == (start, way)]
        line = {"start": start, "way": way}
        for i, _ in enumerate(GOALS):
            needed = [row["until_goal"][i] for row in own]
            line[f"goal_{i}"] = ", ".join(NEVER if n is None else str(n) for n in needed)
        for n in (5, 10):
            after = [row["errors"][n - 2] for row in own if len(row["errors"]) > n - 2]
            line[f"after_{n}"] = f"{np.mean(after):.3f}" if len(after) == len(own) else NEVER
        lines.append(line | {"n": ", ".join(str(row["n_snapshots"]) for row in own)})
    columns = {"start": "{start}", "snapshots": "{way}"}
    for i, goal in enumerate(GOALS):
        columns[f"number until the error stays below {goal} eV/Å, per seed"] = f"{{goal_{i}}}"
    columns |= {"error with five, eV/Å": "{after_5}", "with ten": "{after_10}"}
    columns["all are, per seed"] = "{n}"
    force = np.mean([row["force"] for row in rows])
    caption = f"Forces are {force:.2f} eV/Å (rms). {NEVER}: not reached in the run."
    return caption + "\n\n" + tables.column_table(columns, lines)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of runs [%(default)s]")
    parser.add_argument("--steps", type=int, default=400, help="steps of a run [%(default)s]")
    options = parser.parse_args()
    _models.FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [
        row
        for start in STARTS
        for seed in range(options.seeds)
        for row in study(seed, options.steps, start)
    ]
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
