"""The recommended models on snapshots that took part in no choice: 32 atoms of aluminium.

`models.atoms()`, the same with the penalty that was best on 21 older snapshots, and
`models.potential()` are fitted to the 30 snapshots of the package (`load_aluminium(n_atoms=32)`)
and tested on those that `benchmarks.data.make` has finished afterwards, from `bundles/` and
--folders. Errors of band energies are relative to the true DOS, those of free energies and forces
to pw.x; mean absolute errors with 95 % intervals by drawing the test snapshots again.

    python -m benchmarks.atoms.unseen [--folders FOLDER ...]
"""

import numpy as np

from benchmarks.atoms._learning_curve_tables import interval
from benchmarks.atoms.learning_curve import kind_of
from benchmarks.common import harness, tables
from benchmarks.data.read import snapshots_of

#: Titles and columns of `evaluate`.
QUANTITIES = {
    "band energy, meV/atom": "band_energy_error",
    "Fermi level, meV": "fermi_level_error",
    "free energy, meV/atom": "total_energy_error",
}
FORCES = "forces_error"


def recommended():
    """Return the models by name."""
    from skldos import models

    return {
        "models.atoms()": models.atoms(),
        "the same, alpha=1e-5": models.atoms(alpha=1e-5),
        "models.potential()": models.potential(),
    }


def rows_of(name, model, training, test):
    """Yield the errors of a model, by snapshot."""
    from skldos import evaluate

    table = evaluate(model.fit(training), test)
    for snapshot, (_, errors) in zip(test, table.iterrows(), strict=True):
        row = {"model": name, "snapshot": snapshot.name, "kind": kind_of(snapshot)}
        row |= {title: errors[column] for title, column in QUANTITIES.items() if column in table}
        yield row | ({FORCES: errors[FORCES]} if FORCES in table else {})


def render(record):
    """Return the table: mean absolute errors, root mean squares of those of forces."""
    lines = []
    for (kind, model), some in tables.group(record["rows"], "kind", "model").items():
        line = [f"{kind} ({len(some)})", model]
        for title in QUANTITIES:
            errors = np.array([row[title] for row in some if title in row])
            line.append(_with_interval(errors) if len(errors) else "")
        forces = np.array([row[FORCES] for row in some if FORCES in row])
        line.append(f"{np.sqrt(np.mean(forces**2)):.3f}" if len(forces) else "")
        lines.append(line)
    header = ["kind", "model", *QUANTITIES, "forces, eV/Å (RMSE)"]
    return tables.format_table(header, lines)


def _with_interval(errors):
    low, high = interval(errors)
    return f"{abs(errors).mean():.2f} ({low:.2f} to {high:.2f}), mean {errors.mean():+.2f}"


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--folders", nargs="*", type=harness.absolute, default=[])
    options = parser.parse_args()
    from skldos.datasets import load_aluminium

    training = load_aluminium(n_atoms=32)
    known = {s.name for s in training}
    everything = snapshots_of("al32", options.folders)
    test = everything[[i for i, s in enumerate(everything) if s.name not in known]]
    rows = [
        row for name, model in recommended().items() for row in rows_of(name, model, training, test)
    ]
    print(render({"rows": rows}), flush=True)
    if not options.no_write:
        harness.write_result(__file__, rows, n_training=len(training), n_test=len(test))


if __name__ == "__main__":
    main()
