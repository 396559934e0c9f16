"""Tables and picture of `learning_curve.py`."""

import numpy as np

from benchmarks.common import harness, tables

KINDS = ("liquid", "solid", "colder")
#: Table 1 of Fox et al., from 3,072 atoms, in meV/atom.
PAPER = {"ADOS-CSNN": {"liquid": 15.6, "solid": 3.3}, "LDOS-SNAP": {"liquid": 17.1, "solid": 33.6}}
N_RESAMPLED = 4000


def errors_of(runs, kind):
    """Return errors of a kind in meV/atom, by seed and snapshot.

    A DOS with too few states for the electrons counts as 1 eV/atom.
    """
    errors = [[r["error"] for r in run["snapshots"] if r["kind"] == kind] for run in runs]
    return np.nan_to_num(np.array(errors), posinf=1e3, neginf=-1e3)


def interval(errors):
    """Return the 95 % interval of the mean absolute error, by drawing snapshots again."""
    return resampled(abs(errors))


def resampled(values):
    """Return the 95 % interval of a mean over the last axis, by drawing its elements again."""
    rng = np.random.default_rng(0)
    n = values.shape[-1]
    drawn = values[..., rng.integers(n, size=(N_RESAMPLED, n))]
    # Seeds share their test snapshots: they are drawn together.
    return np.percentile(drawn.mean(axis=-1).reshape(-1, N_RESAMPLED).mean(axis=0), [2.5, 97.5])


def atoms_of(size):
    return 32 * size


def render(rows):
    """Return errors by model, kind and size, their scatter, differences to ridge, and atoms."""
    sizes = sorted({row["size"] for row in rows})
    groups = tables.group(rows, "model", "size")
    models = list(dict.fromkeys(row["model"] for row in rows))
    counts = {
        k: len({r["snapshot"] for row in rows for r in row["snapshots"] if r["kind"] == k})
        for k in KINDS
    }
    kinds = [kind for kind in KINDS if counts[kind]]
    lines = [
        [kind, model, *(cell(groups.get((model, size)), kind) for size in sizes)]
        for kind in kinds
        for model in models
    ]
    for name, values in PAPER.items():
        for kind, value in values.items():
            lines.append([kind, f"{name}, paper", *(value if n == 96 else "" for n in sizes)])
    n_seeds = len({row["seed"] for row in rows})
    tested = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
    return "\n\n".join(
        [
            "Mean absolute errors of band energies in meV/atom with 95 % intervals over the test "
            f"snapshots ({tested}), and the lowest and highest of {n_seeds} seeds:",
            table(["kind", "model"], sizes, lines),
            "Mean absolute errors minus those of ridge on the same snapshots, with 95 % intervals:",
            differences(groups, models, sizes, kinds),
            "Root mean square errors of the densities of states of atoms (1/eV, × 1000), and "
            "processor seconds of a run, choices included:",
            other(groups, models, sizes),
        ]
    )


def table(header, sizes, lines):
    return tables.format_table([*header, *(f"{atoms_of(n)} atoms" for n in sizes)], lines)


def cell(runs, kind):
    if not runs:
        return ""
    errors = abs(errors_of(runs, kind))
    low, high = interval(errors)
    seeds = errors.mean(axis=1)
    return f"{errors.mean():.1f} ({low:.1f} to {high:.1f}); {seeds.min():.1f} to {seeds.max():.1f}"


def differences(groups, models, sizes, kinds):
    lines = [
        [kind, model, *(difference(groups, model, size, kind) for size in sizes)]
        for kind in kinds
        for model in models
        if model != "ridge"
    ]
    return table(["kind", "model"], sizes, lines)


def difference(groups, model, size, kind):
    """Return the mean difference in the seeds that both have, and its interval."""
    own, its = ({run["seed"]: run for run in groups.get((m, size), [])} for m in (model, "ridge"))
    seeds = sorted(own.keys() & its.keys())
    if not seeds:
        return ""
    mine, others = (abs(errors_of([runs[s] for s in seeds], kind)) for runs in (own, its))
    low, high = resampled(mine - others)
    return f"{(mine - others).mean():+.1f} ({low:+.1f} to {high:+.1f})"


def other(groups, models, sizes):
    lines = []
    for model in models:
        cells = []
        for size in sizes:
            runs = groups.get((model, size), [])
            rmse = [r["rmse"] for run in runs for r in run["snapshots"] if r["rmse"] is not None]
            text = [f"{1e3 * np.mean(rmse):.1f}"] if rmse else []
            text += [f"{np.mean([run['seconds'] for run in runs]):.0f} s"] if runs else []
            cells.append(", ".join(text))
        lines.append([model, *cells])
    return table(["model"], sizes, lines)


def draw(rows, path):
    """Draw mean absolute errors by the number of training atoms, the paper's beside them."""
    plt = harness.pyplot()
    groups = tables.group(rows, "model", "size")
    models = [m for m in dict.fromkeys(row["model"] for row in rows) if m != "mean"]
    sizes = sorted({row["size"] for row in rows})
    figure, axes = plt.subplots(
        1, 2, figsize=(9, 4.5), sharex=True, sharey=True, layout="constrained"
    )
    colours = plt.get_cmap("tab20").colors
    for ax, kind in zip(axes, KINDS, strict=False):
        for number, model in enumerate(models):
            runs = {size: groups[model, size] for size in sizes if (model, size) in groups}
            # Beside each other, or intervals would hide each other.
            x = [atoms_of(size) * 1.02 ** (number - len(models) / 2) for size in runs]
            errors = [abs(errors_of(some, kind)) for some in runs.values()]
            y = [e.mean() for e in errors]
            bars = np.maximum(abs(np.array([interval(e) for e in errors]).T - y), 0)
            style = {"marker": "o", "markersize": 4, "linewidth": 1.2, "elinewidth": 0.7}
            ax.errorbar(x, y, bars, label=model, color=colours[number], **style)
        for name, marker in zip(PAPER, "*P", strict=True):
            ax.plot(atoms_of(96), PAPER[name][kind], f"k{marker}", label=f"{name} of the paper")
        ax.set(xscale="log", yscale="log", xlabel="training atoms", title=f"{kind}, 933 K")
        ax.set_xticks([200, 500, 1000, 3000], ["200", "500", "1000", "3000"])
        ax.xaxis.minorticks_off()
    axes[0].set_ylabel("mean absolute error of E_band (meV/atom)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
