"""The recommended models on snapshots that took part in no choice: 32 atoms of aluminium.

`models.atoms()`, the same with the penalty that was best on 21 older snapshots, and
`models.potential()` are fitted to the snapshots for training and tested on those for testing, of
all that the package, `bundles/` and --folders hold (`learning_curve.py` tells them apart). Errors
of band energies are relative to the true DOS, those of free energies and forces to pw.x; mean
absolute errors with 95 % intervals by drawing the test snapshots again. z is an error divided by
the standard deviation that the model predicts.

    python -m benchmarks.atoms.unseen [--folders FOLDER ...] [--sizes 21 48 96]
"""

import numpy as np

from benchmarks.atoms._learning_curve_tables import interval
from benchmarks.atoms.learning_curve import kind_of, tested, trained
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
        "models.atoms()": models.atoms(uncertainty=True, random_state=0),
        "the same, alpha=1e-5": models.atoms(alpha=1e-5, uncertainty=True, random_state=0),
        "models.potential()": models.potential(),
    }


def rows_of(name, model, training, test):
    """Yield the errors of a model in terms of evaluate's columns, and its z-scores, by snapshot."""
    from skldos import evaluate

    model.fit(training)
    table = evaluate(model, test)
    if name == "models.potential()":
        scores = z_scores_of_energies_and_forces(model, test, table)
    else:
        scores = z_scores_of_band_energies(model, test, table)
    for snapshot, (_, errors), z in zip(test, table.iterrows(), scores, strict=True):
        row = {"model": name, "snapshot": snapshot.name, "kind": kind_of(snapshot)}
        row["n_training"] = len(training)
        row |= {title: errors[column] for title, column in QUANTITIES.items() if column in table}
        yield row | ({FORCES: errors[FORCES]} if FORCES in table else {}) | z


def z_scores_of_band_energies(model, test, table):
    from skldos.uncertainty import energy_uncertainty

    std = energy_uncertainty(model, test)["band_energy_std"].to_numpy()
    return [{"z": float(z)} for z in table["band_energy_error"].to_numpy() / std]


def z_scores_of_energies_and_forces(model, test, table):
    """Return z of the free energy, its mean square over components of forces, and their share."""
    blocks = model[:-1].transform(test)
    _, std = model[-1].predict(blocks, return_std=True)
    forces, forces_std = model[-1].predict_forces(blocks, return_std=True)
    found = []
    for s, error, one, f, f_std in zip(
        test, table["total_energy_error"], std, forces, forces_std, strict=True
    ):
        z = (f - s.reference["forces"]) / f_std
        scores = {"z": float(error / (1e3 * one / len(s.atoms)))}
        found.append(
            scores
            | {"forces_z2": float(np.mean(z**2)), "forces_within_1": float((abs(z) < 1).mean())}
            | {"forces_within_2": float((abs(z) < 2).mean())}
        )
    return found


def render(record):
    """Return errors (mean absolute, of forces root mean square) and calibration."""
    groups = tables.group(record["rows"], "kind", "model", "n_training")
    lines = []
    for (kind, model, size), some in groups.items():
        line = [f"{kind} ({len(some)})", model, size]
        for title in QUANTITIES:
            errors = np.array([row[title] for row in some if title in row])
            line.append(_with_interval(errors) if len(errors) else "")
        forces = np.array([row[FORCES] for row in some if FORCES in row])
        line.append(f"{np.sqrt(np.mean(forces**2)):.3f}" if len(forces) else "")
        lines.append(line)
    header = ["kind", "model", "training snapshots", *QUANTITIES, "forces, eV/Å (RMSE)"]
    return (
        f"{tables.format_table(header, lines)}\n\nCalibration (of band energies, or of free "
        f"energies):\n\n{_calibration(record['rows'])}"
    )


def _calibration(rows):
    lines = []
    for (model, size), some in tables.group(rows, "model", "n_training").items():
        z = np.array([row["z"] for row in some])
        line = [model, size, f"{np.sqrt(np.mean(z**2)):.2f}"]
        line += [f"{(abs(z) < limit).mean():.0%}" for limit in (1, 2)]
        if "forces_z2" in some[0]:
            line.append(f"{np.sqrt(np.mean([row['forces_z2'] for row in some])):.2f}")
            line += [f"{np.mean([row[f'forces_within_{n}'] for row in some]):.0%}" for n in (1, 2)]
        lines.append(line + [""] * (8 - len(line)))
    energies = ["energies: rms z", "within 1", "within 2"]
    forces = ["forces: rms z", "within 1", "within 2"]
    return tables.format_table(["model", "training snapshots", *energies, *forces], lines)


def _with_interval(errors):
    low, high = interval(errors)
    return f"{abs(errors).mean():.2f} ({low:.2f} to {high:.2f}), mean {errors.mean():+.2f}"


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--folders", nargs="*", type=harness.absolute, default=[])
    parser.add_argument("--sizes", nargs="*", type=int, default=(21, 48, 96))
    options = parser.parse_args()
    everything = snapshots_of("al32", options.folders)
    names, kinds = [s.name for s in everything], [kind_of(s) for s in everything]
    test = everything[tested(names)]
    rows = []
    for size in options.sizes:
        training = everything[trained(kinds, names, 0, size)]
        for name, model in recommended().items():
            rows += rows_of(name, model, training, test)
    print(render({"rows": rows}), flush=True)
    if not options.no_write:
        harness.write_result(__file__, rows, n_test=len(test))


if __name__ == "__main__":
    main()
