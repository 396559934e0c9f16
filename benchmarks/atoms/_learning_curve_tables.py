"""Tables and picture of `learning_curve.py`."""

import numpy as np

from benchmarks.common import harness, tables

KINDS = ("liquid", "solid", "colder")
#: Table 1 of Fox et al., from 3,072 atoms, in meV/atom.
PAPER = {"ADOS-CSNN": {"liquid": 15.6, "solid": 3.3}, "LDOS-SNAP": {"liquid": 17.1, "solid": 33.6}}
N_RESAMPLED = 4000
#: Of four: with fewer, other snapshots are tested than with other models.
MIN_FOLDS = 3


def complete(rows):
    """Return the rows of models and sizes of which enough folds have been run."""
    groups = tables.group(rows, "model", "size")
    return [row for row in rows if len(groups[row["model"], row["size"]]) >= MIN_FOLDS]


def errors_of(runs, kind):
    """Return errors of a kind in meV/atom, 1 eV/atom where there are too few states."""
    errors = [r["error"] for run in runs for r in run["snapshots"] if r["kind"] == kind]
    return np.nan_to_num(np.array(errors), posinf=1e3, neginf=-1e3)


def interval(errors):
    """Return the 95 % interval of the mean absolute error, by drawing snapshots again."""
    rng = np.random.default_rng(0)
    drawn = abs(errors)[rng.integers(len(errors), size=(N_RESAMPLED, len(errors)))]
    return np.percentile(drawn.mean(axis=1), [2.5, 97.5])


def sizes_of(rows):
    """Return sizes of training sets in ascending order, all last."""
    return sorted({row["size"] for row in rows}, key=lambda size: np.inf if size == "all" else size)


def atoms_of(runs):
    return round(32 * np.mean([run["n_train"] for run in runs]))


def render(rows):
    """Return errors by model, kind and size, differences to ridge, powers, and choices."""
    rows = complete(rows)
    sizes = sizes_of(rows)
    groups = tables.group(rows, "model", "size")
    models = list(dict.fromkeys(row["model"] for row in rows))
    atoms = [atoms_of([row for row in rows if row["size"] == size]) for size in sizes]
    counts = {
        k: len({r["snapshot"] for row in rows for r in row["snapshots"] if r["kind"] == k})
        for k in KINDS
    }
    lines = []
    for kind in KINDS:
        for model in models:
            cells = [cell(groups.get((model, size), []), kind) for size in sizes]
            lines.append([kind, model, *cells])
    for name, values in PAPER.items():
        for kind, value in values.items():
            lines.append([kind, f"{name}, paper: 3,072", *[""] * (len(sizes) - 1), value])
    header = ["kind", "model", *(f"{n} atoms" for n in atoms)]
    found = ", ".join(f"{counts[k]} {k}" for k in KINDS)
    return "\n\n".join(
        [
            "Mean absolute errors of band energies in meV/atom with 95 % intervals; snapshots: "
            f"{found}.",
            tables.format_table(header, lines),
            "Mean absolute errors minus those of ridge on the same snapshots, with 95 % intervals:",
            differences(groups, models, sizes, atoms),
            "Root mean square errors of the densities of states of atoms (1/eV, × 1000), and "
            "processor seconds of a run, choices included:",
            other(groups, models, sizes, atoms),
        ]
    )


def cell(runs, kind):
    if not runs:
        return ""
    errors = errors_of(runs, kind)
    low, high = interval(errors)
    return f"{abs(errors).mean():.1f} ({low:.1f} to {high:.1f})"


def differences(groups, models, sizes, atoms):
    lines = []
    for kind in KINDS:
        for model in models:
            if model == "ridge":
                continue
            cells = []
            for size in sizes:
                own, its = groups.get((model, size)), groups.get(("ridge", size))
                cells.append(difference(own, its, kind) if own and its else "")
            lines.append([kind, model, *cells])
    return tables.format_table(["kind", "model", *(f"{n} atoms" for n in atoms)], lines)


def difference(own, its, kind):
    """Return the mean difference on the snapshots that both have, and its interval."""
    mine, others = by_snapshot(own, kind), by_snapshot(its, kind)
    values = np.array([mine[name] - others[name] for name in mine if name in others])
    if not len(values):
        return ""
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(N_RESAMPLED, len(values)))].mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{values.mean():+.1f} ({low:+.1f} to {high:+.1f})"


def by_snapshot(runs, kind):
    """Return the absolute error of every snapshot of a kind."""
    names = [r["snapshot"] for run in runs for r in run["snapshots"] if r["kind"] == kind]
    return dict(zip(names, abs(errors_of(runs, kind)), strict=True))


def later(rows):
    """Return errors on snapshots that the settings of ridge did not see."""
    lines = []
    for (model, kind, n_train), some in tables.group(rows, "model", "kind", "n_train").items():
        errors = np.array([row["error"] for row in some])
        low, high = interval(errors)
        mean = f"{abs(errors).mean():.1f} ({low:.1f} to {high:.1f})"
        largest = f"{abs(errors).max():.1f}"
        lines.append([model, kind, n_train, len(errors), mean, largest])
    header = ["model", "kind", "training snapshots", "tested", "mean absolute error", "largest"]
    return (
        "Snapshots that were calculated after the settings of ridge were chosen, from the 21 older "
        "snapshots and from all others, in meV/atom:\n\n" + tables.format_table(header, lines)
    )


def other(groups, models, sizes, atoms):
    lines = []
    for model in models:
        cells = []
        for size in sizes:
            runs = groups.get((model, size), [])
            rmse = [r["rmse"] for run in runs for r in run["snapshots"]]
            seconds = np.mean([run["seconds"] for run in runs]) if runs else 0
            cells.append(f"{1e3 * np.mean(rmse):.1f}, {seconds:.0f} s" if runs else "")
        lines.append([model, *cells])
    return tables.format_table(["model", *(f"{n} atoms" for n in atoms)], lines)


def draw(rows, path):
    """Draw mean absolute errors by the number of training atoms, the paper's beside them."""
    rows, plt = complete(rows), harness.pyplot()
    groups = tables.group(rows, "model", "size")
    models = [m for m in dict.fromkeys(row["model"] for row in rows) if m != "mean"]
    sizes = sizes_of(rows)
    figure, axes = plt.subplots(
        1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained"
    )
    for ax, kind in zip(axes, KINDS, strict=False):
        for number, model in enumerate(models):
            points = [
                (atoms_of(groups[model, size]), errors_of(groups[model, size], kind))
                for size in sizes
                if (model, size) in groups
            ]
            # Beside each other, or intervals would hide each other.
            x = [n * 1.02 ** (number - len(models) / 2) for n, _ in points]
            y = [abs(errors).mean() for _, errors in points]
            ends = np.array([interval(errors) for _, errors in points]).T
            bars = np.maximum(abs(ends - y), 0)
            style = {"marker": "o", "markersize": 4, "linewidth": 1.2, "elinewidth": 0.7}
            ax.errorbar(x, y, bars, label=model, color=f"C{number}", **style)
        for name, marker in zip(PAPER, "*P", strict=True):
            ax.plot(3072, PAPER[name][kind], f"k{marker}", label=f"{name} of the paper")
        ax.set(xscale="log", yscale="log", xlabel="training atoms", title=f"{kind}, 933 K")
        ax.set_xticks([200, 500, 1000, 3000], ["200", "500", "1000", "3000"])
        ax.xaxis.minorticks_off()
    axes[0].set_ylabel("mean absolute error of E_band (meV/atom)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
