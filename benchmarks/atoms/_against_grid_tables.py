"""Tables and the figure of `against_grid.py`."""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.splits import KINDS, kind_of

STUDIES = ("split", "leave one out")
#: What the models of atoms are compared with, in the two studies.
BASELINES = {
    "split": ("LDOS-SNAP", "LDOS-SNAP, refit"),
    "leave one out": ("LDOS-SNAP, thinned", "LDOS-SNAP, thinned, refit"),
}
#: Errors in meV/atom below which a picture tells nothing.
SMALLEST = 0.1


def interval(values):
    """Return mean and half the width of its 95 % interval by Student's t."""
    from scipy.stats import t

    n = len(values)
    return np.mean(values), t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)


def units_of(rows, kind):
    """Return independent absolute errors: means of a seed, or single snapshots."""
    units = {}
    for row in rows:
        if kind in (kind_of(row["snapshot"]), "all"):
            unit = row["seed"] if row["study"] == "split" else row["snapshot"]
            units.setdefault(unit, []).append(abs(row["error"]))
    return {unit: np.mean(values) for unit, values in units.items()}


def models_of(rows, study):
    """Return the rows of a study by model."""
    some = [row for row in rows if row["study"] == study]
    names = dict.fromkeys(row["model"] for row in some)
    return {name: [row for row in some if row["model"] == name] for name in names}


def error_table(rows, study):
    lines = []
    for model, some in models_of(rows, study).items():
        cells = []
        for kind in (*KINDS, "all"):
            means = [*units_of(some, kind).values()]
            errors = [abs(r["error"]) for r in some if kind in (kind_of(r["snapshot"]), "all")]
            cells.append(f"{_shown(means, '.1f')} ({max(errors):.1f})" if errors else "")
        lines.append([model, f"{some[0]['samples']:,}", len(units_of(some, "all")), *cells])
    unit = "seeds" if study == "split" else "snapshots"
    return tables.format_table(["model", "samples", unit, *KINDS, "all"], lines)


def difference_table(rows, study):
    models = models_of(rows, study)
    lines = []
    for baseline in BASELINES[study]:
        for model in models:
            if not model.startswith("ADOS"):
                continue
            cells = []
            for kind in (*KINDS, "all"):
                own = units_of(models[model], kind)
                other = units_of(models.get(baseline, []), kind)
                cells.append(_shown([own[u] - other[u] for u in own if u in other], "+.1f"))
            lines.append([f"{model} − {baseline}", *cells])
    return tables.format_table(["difference", *KINDS, "all"], lines)


def _shown(values, form):
    """Return the mean of independent values with its interval, if there are enough values."""
    if len(values) < 2:
        return format(values[0], form) if values else ""
    mean, half = interval(values)
    return f"{mean:{form}} ± {half:.1f}"


def draw(rows, path):
    """Draw the errors of all snapshots, by study and kind, a strip and the mean for every model."""
    plt = harness.pyplot()
    figure, axes = plt.subplots(2, 1, figsize=(8.0, 6.4), dpi=110, gridspec_kw={"hspace": 0.35})
    models = list(dict.fromkeys(row["model"] for row in rows))
    for ax, study in zip(axes, STUDIES, strict=True):
        for i, model in enumerate(models):
            some = [r for r in rows if (r["model"], r["study"]) == (model, study)]
            for k, kind in enumerate(KINDS):
                errors = [abs(r["error"]) for r in some if kind_of(r["snapshot"]) == kind]
                x = [k + 0.8 * ((i + 0.5) / len(models) - 0.5)]
                # What is less than a tenth lies on the axis.
                shown = np.maximum(errors, SMALLEST)
                ax.plot(x * len(errors), shown, ".", color=f"C{i}", alpha=0.45, ms=5, clip_on=False)
                if errors:
                    ax.plot(x, [np.mean(errors)], "_", color=f"C{i}", ms=11, mew=2.5)
        ax.set_xticks(range(len(KINDS)), KINDS)
        ax.set(yscale="log", ylim=(SMALLEST, None), title=study, ylabel="|error| (meV/atom)")
        ax.spines[["top", "right"]].set_visible(False)
    lines = [plt.Line2D([], [], color=f"C{i}", lw=3) for i in range(len(models))]
    axes[0].legend(lines, models, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path, bbox_inches="tight")
