"""Learning on the fly with pw.x: calculations until the forces of a liquid are right.

Eight atoms of aluminium, LDA, 12 Ry, 3×6×6 k points, electrons and ions at 933 K. A run of 400
steps of 2 fs begins with two snapshots of an EMT melt, 20 fs apart, and is driven by the potential
that learns (`skldos.models.potential`, settings as they are). The error bars are looked at every
ten femtoseconds, and pw.x is asked where the worst atom's exceeds 0.08 eV/Å, which is a root mean
square of 0.05 over eight atoms. *Every n-th step* is calculated for the same trajectory. All are
judged by the force error (RMSE) on the second half of the trajectories of the other seeds, one
snapshot in 50 fs, which took no part.

    python -m benchmarks.dynamics_runs.on_the_fly_espresso [--seeds 2] [--steps 400]

Everything calculated is kept in `benchmarks/output` (or in --folder): a run that was killed goes
on. The log of the questions is among the results.
"""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.dynamics_runs import on_the_fly

FOLDER = harness.output_of(__file__)
IMAGE = harness.IMAGES / "on_the_fly_espresso.png"
GOAL, THRESHOLD = 0.05, 0.08  # eV/Å
KELVIN, INTERVAL = 933, 5
EVERY, LONGEST = (10, 50), 12
TEST_EVERY = 25
NEVER = "—"


def recipe():
    """Return the settings of pw.x."""
    from skldos.datasets import EspressoRecipe

    return EspressoRecipe(
        {"Al": "Al.pz-vbc.UPF"},
        energies=None,
        ecutwfc=12.0,
        kpts=(3, 6, 6),
        temperature=KELVIN,
        pseudo_dir="/usr/share/espresso/pseudo",
        input_data={"system": {"nosym": True}, "electrons": {"mixing_mode": "local-TF"}},
    )


def learned(seed, steps, folder):
    """Return the learner of a seed after its run, and the trajectory: atoms by step."""
    from ase.io import read, write

    from skldos import OnTheFlyLearner, models

    initial = on_the_fly.melt(seed, 2, 10)
    learner = OnTheFlyLearner(
        models.potential(),
        recipe(),
        initial,
        folder / "learner",
        threshold=THRESHOLD,
        interval=INTERVAL,
    )
    atoms = initial[-1].copy()
    dynamics = on_the_fly.langevin(atoms, KELVIN, 100 + seed)
    path = folder / "trajectory"
    path.mkdir(exist_ok=True)

    def keep():
        write(path / f"{dynamics.nsteps:05d}.json", on_the_fly.bare(atoms))

    dynamics.attach(keep, interval=INTERVAL)
    learner.run(dynamics, steps)
    return learner, {int(file.stem): read(file) for file in sorted(path.glob("*.json"))}


def labelled(trajectory, folder):
    """Return snapshots of some steps with energies and forces of pw.x, by step."""
    found = {}
    for step in wanted_steps(max(trajectory)):
        (snapshot,) = recipe().run([trajectory[step]], folder / f"labels/{step:05d}", verbose=False)
        found[step] = snapshot.replace(density=None)
        print(folder.name, "step", step, "of the trajectory calculated", flush=True)
    return found


def wanted_steps(last):
    """Return the steps that are calculated of a trajectory: of every way, and for tests."""
    steps = {n * i for n in EVERY for i in range(1, LONGEST - 1)}
    return sorted({step for step in steps if step <= last} | set(test_steps(last)))


def test_steps(last):
    """Return the steps of a trajectory that test other models."""
    return range(TEST_EVERY * -(-last // (2 * TEST_EVERY)), last + 1, TEST_EVERY)


def order_of(trajectory):
    """Return the mean order in the second half of a trajectory: 1 for a crystal, below ½ liquid."""
    from benchmarks.data.structures import order

    steps = test_steps(max(trajectory))
    return float(np.mean([order(trajectory[step]) for step in steps]))


def rows_of(seed, learner, labels, tests, order):
    """Yield a row for each way of choosing snapshots."""
    from skldos import models

    own = list(learner.snapshots)
    ways = {"on the fly": own}
    for n in EVERY:
        later = [labels[step] for step in sorted(labels) if step % n == 0]
        ways[f"every {n}th step"] = own[:2] + later[: LONGEST - 2]
    for way, snapshots in ways.items():
        errors = on_the_fly.curve(snapshots[:LONGEST], tests, models.potential)
        asked = learner.asked if way == "on the fly" else None
        row = {
            "seed": seed,
            "way": way,
            "until_goal": on_the_fly.until_goal(errors, GOAL),
            "n_snapshots": len(snapshots),
            "order": order,
            "tests": len(tests),
            "force": float(np.sqrt(np.mean([s.reference["forces"] ** 2 for s in tests]))),
            "errors": errors,
        }
        if asked is not None:
            row["ratio"] = float(np.sqrt(np.mean(asked["ratio"].dropna() ** 2)))
            row["asked"] = asked.round(5).astype(object).where(asked.notna(), None).to_dict("list")
        harness.show(row)
        yield row


def render(record):
    """Return the tables of a record."""
    rows, lines = record["rows"], []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        line = {"way": way, "n": ", ".join(str(row["n_snapshots"]) for row in own)}
        line["goal"] = ", ".join(str(row["until_goal"] or NEVER) for row in own)
        for n in (2, 4, 8):
            after = [row["errors"][n - 2] if len(row["errors"]) > n - 2 else None for row in own]
            line[f"after_{n}"] = ", ".join(f"{e:.3f}" if e else NEVER for e in after)
        lines.append(line)
    columns = {"snapshots": "{way}", f"number until below {GOAL} eV/Å, per seed": "{goal}"}
    columns |= {f"error with {n} (eV/Å)": f"{{after_{n}}}" for n in (2, 4, 8)}
    columns["all are, per seed"] = "{n}"
    force = np.mean([row["force"] for row in rows])
    text = [
        f"Forces are {force:.2f} eV/Å (rms). {NEVER}: not reached, or fewer snapshots.",
        tables.column_table(columns, lines),
        "Log of the runs; expected is the worst atom's error in eV/Å, the others are root mean "
        "squares before the snapshot was learned:",
    ]
    log = []
    for row in rows:
        asked = row.get("asked")
        for i, why in enumerate(asked["why"] if asked else []):
            entry = {name: asked[name][i] for name in ("step", "expected", "force_error")}
            shown = {k: NEVER if v is None else f"{v:.3f}" for k, v in entry.items()}
            log.append(shown | {"seed": row["seed"], "why": why, "step": entry["step"]})
    columns = {"seed": "{seed}", "step": "{step}", "why": "{why}"}
    columns |= {"expected": "{expected}", "force error": "{force_error}"}
    return "\n\n".join([*text, tables.column_table(columns, log)])


def draw(learner, rows):
    """Draw error bars over time, and errors against the number of snapshots."""
    from skldos.plotting import OnTheFlyDisplay

    plt = harness.pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    OnTheFlyDisplay.from_learner(learner, ax=axes[0])
    styles = dict(zip(dict.fromkeys(row["way"] for row in rows), ("o-", "s--", "^:"), strict=True))
    for row in rows:
        label = row["way"] if row["seed"] == 0 else None
        colour = f"C{row['seed']}"
        x = np.arange(2, len(row["errors"]) + 2)
        axes[1].plot(x, row["errors"], styles[row["way"]], color=colour, label=label, markersize=4)
    axes[1].axhline(GOAL, color="grey", lw=0.8)
    axes[1].set(yscale="log", xlabel="calculations", ylabel="force error, unseen (eV/Å)")
    ticks = (0.03, 0.05, 0.1, 0.2)
    axes[1].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[1].minorticks_off()
    axes[1].legend()
    figure.savefig(IMAGE, dpi=150)
    plt.close(figure)
    print(f"wrote {IMAGE}")


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="number of runs, at least 2")
    parser.add_argument("--steps", type=int, default=400, help="steps of a run [%(default)s]")
    parser.add_argument("--folder", type=harness.absolute, default=FOLDER, help="what is kept")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("seeds must be 2 at least: each is tested on the trajectories of the others")
    learners, labels, orders = {}, {}, {}
    for seed in range(options.seeds):
        folder = options.folder / f"seed_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        learners[seed], trajectory = learned(seed, options.steps, folder)
        print(learners[seed].asked.to_string(), flush=True)
        labels[seed], orders[seed] = labelled(trajectory, folder), order_of(trajectory)
    rows, tested = [], test_steps(options.steps)
    for seed, learner in learners.items():
        tests = [labels[other][step] for other in labels if other != seed for step in tested]
        rows += rows_of(seed, learner, labels[seed], tests, orders[seed])
    if not options.no_write:
        harness.write_result(__file__, rows)
        draw(learners[0], rows)


if __name__ == "__main__":
    main()
