"""Tables of `csnn_factorial.py`."""

import numpy as np

from benchmarks.atoms._against_grid_tables import interval
from benchmarks.common import tables

#: Kinds of test data: name, and what makes one of them.
PARTS = {
    "liquid": lambda row: "liquid" in row["kind"],
    "933 K solid": lambda row: row["kind"] == "933 K solid",
    "colder": lambda row: not row["kind"].startswith("933"),
}

#: Stands for the error in meV/atom of a DOS with too few states for a Fermi level.
WORST = 1e4


def short(row):
    """Return a run without its labels, with the training snapshots as one row."""
    snapshots = []
    for refit in dict.fromkeys(r["refit"] for r in row["snapshots"]):
        some = [r for r in row["snapshots"] if r["refit"] == refit]
        fit = {"kind": "all", "part": "fit", "refit": refit}
        fit["rmse"] = root_mean_square([r for r in some if r["part"] == "fit"])
        snapshots += [fit, *(r for r in some if r["part"] != "fit")]
    rounded = [
        r | {k: float(f"{r[k]:.5g}") for k in ("error", "rmse") if k in r} for r in snapshots
    ]
    return {k: v for k, v in row.items() if k != "job"} | {"snapshots": rounded}


def flat(rows, study):
    """Return one line for every run and refit: its labels, its times and its errors."""
    lines = []
    for row in rows:
        if row["study"] != study:
            continue
        labels = {k: v for k, v in row.items() if k not in ("snapshots", "job")}
        for refit in dict.fromkeys(r["refit"] for r in row["snapshots"]):
            some = [r for r in row["snapshots"] if r["refit"] == refit]
            lines.append({**labels, "refit": refit, **errors_of(some)})
    return lines


def errors_of(snapshots):
    """Return the errors of a run by kind of test data; RMSE at 933 K, of fit and test."""
    held_out = [r for r in snapshots if r["part"] != "fit"]
    hot = [r for r in held_out if r["kind"].startswith("933")]
    errors = {
        "train RMSE": root_mean_square([r for r in snapshots if r["part"] == "fit"]),
        "test RMSE": root_mean_square(hot),
        "933 K": [r["error"] for r in hot],
    }
    return errors | {
        part: [r["error"] for r in held_out if belongs(r)] for part, belongs in PARTS.items()
    }


def root_mean_square(rows):
    return float(np.sqrt(np.mean([r["rmse"] ** 2 for r in rows]))) if rows else np.nan


def absolute(line, part):
    # NaN where a predicted DOS had no Fermi level: as bad as can be.
    return float(np.mean(np.nan_to_num(np.abs(line[part]), nan=WORST)))


def rmse_cells(lines):
    """Return the RMSE of fit and test in 10⁻³/eV, means over runs, as text."""
    return [f"{1e3 * np.mean([r[c] for r in lines]):.1f}" for c in ("train RMSE", "test RMSE")]


def pairs_of(lines, factor, levels):
    """Return pairs of lines, one per level, that agree in all other factors and the seed."""
    ignored = {factor, "fit_seconds", "epoch_seconds", "n_weights", *errors_of([])}

    def key(line):
        return tuple((k, v) for k, v in line.items() if k not in ignored)

    first, second = ({key(r): r for r in lines if r[factor] == level} for level in levels)
    return [(first[k], second[k]) for k in first if k in second]


# --- the studies -------------------------------------------------------------------------------


def effect_table(lines, factors):
    """Return the main effects; pairs agree in all other factors and the seed."""
    table = []
    for factor, levels in factors.items():
        pairs = pairs_of(lines, factor, levels)
        for k, level in enumerate(levels):
            some = [pair[k] for pair in pairs]
            cells = rmse_cells(some)
            for part in ("933 K", "colder"):
                cells.append(f"{np.median([absolute(r, part) for r in some]):.0f}")
            cells += [f"{np.median([np.mean(r[part]) for r in some]):+.0f}" for part in PARTS]
            seconds = f"{np.mean([r['epoch_seconds'] for r in some]):.2f}"
            changes = [change(pairs, part) for part in ("933 K", "colder")] if k else ["", ""]
            table.append([factor if not k else "", level, *cells, *changes, seconds])
    header = ["factor", "level", "RMSE fit", "RMSE 933 K", "error 933 K", "error colder"]
    header += [*(f"bias {part}" for part in PARTS), "ratio 933 K", "ratio colder", "s/epoch"]
    return tables.format_table(header, table)


def change(pairs, part):
    """Return the ratio of errors of the second level to the first, geometric mean, ± 95 %."""
    ratios = [np.log(absolute(two, part) / absolute(one, part)) for one, two in pairs]
    mean, half = interval(ratios)
    return f"{np.exp(mean):.2f} ({np.exp(mean - half):.2f}–{np.exp(mean + half):.2f})"


def error_table(lines, names):
    """Return errors of runs with the same labels `names` and refit, over the seeds."""
    groups = {}
    for line in lines:
        groups.setdefault((*(line[name] for name in names), line["refit"]), []).append(line)
    table = []
    for (*labels, refit), some in groups.items():
        cells = rmse_cells(some)
        for part in PARTS:
            values = np.concatenate([r[part] for r in some])
            text = f"{np.mean(np.abs(values)):.0f} ({np.mean(values):+.0f})" if len(values) else "–"
            cells.append(text)
        seconds = f"{np.mean([r['fit_seconds'] for r in some]):.0f}"
        table.append([*labels, refit, len(some), *cells, seconds])
    header = [*names, "refit", "runs", "RMSE fit", "RMSE 933 K", *PARTS, "fit (s)"]
    return tables.format_table(header, table)


def best_of_factorial(rows, factors, n=4):
    """Return the errors of the combinations with the smallest validation errors."""
    groups = {}
    for row in rows:
        for r in row["snapshots"]:
            if row["study"] == "factorial" and r["part"] == "validation":
                key = (*(row[factor] for factor in factors), r["refit"])
                groups.setdefault(key, []).append(abs(r["error"]))
    ranked = sorted(groups, key=lambda k: np.mean(groups[k]))[:n]
    lines = flat(rows, "factorial")
    chosen = [r for k in ranked for r in lines if (*(r[f] for f in factors), r["refit"]) == k]
    return error_table(chosen, list(factors))


def render(rows, factors):
    """Return all tables with their captions."""
    lines = flat(rows, "factorial")
    trained = [r for r in lines if r["refit"] == "no"]
    refitted = [r for r in lines if r["refit"] == "0.01"]
    # The refit exists for linear outputs alone.
    linear = [r for r in lines if r["output"].startswith("linear")]
    others = {factor: levels for factor, levels in factors.items() if factor != "output"}
    return "\n\n".join(
        [
            "Main effects: RMSE of the DOS of atoms in 10⁻³/eV; band energies in meV/atom: median "
            "over the runs of the mean absolute error, of the mean signed error (bias) by kind, "
            "and the ratio of the errors with the second level to those with the first, all else "
            "equal (geometric mean, 95 %). As trained:",
            effect_table(trained, factors),
            "Linear outputs alone, with the output layer refitted (ridge 0.01):",
            effect_table(refitted, others),
            "The refit itself:",
            effect_table(linear, {"refit": ("no", "0.01")}),
            "The combinations with the smallest error of validation data. Here and below: mean "
            "absolute error (mean error) of held-out data:",
            best_of_factorial(rows, factors),
            "The same inputs without a network, ridge regression on power spectra:",
            error_table(flat(rows, "inputs"), ["assignment", "subdivisions"]),
            "The best network, changed in one way:",
            error_table(flat(rows, "variations"), ["variation"]),
            "With the training data:",
            error_table(flat(rows, "curve"), ["size", "model"]),
        ]
    )
