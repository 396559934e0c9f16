"""Tables of `closed_form.py`: errors, differences with their intervals, learning curves."""

import numpy as np

from benchmarks.common import tables
from benchmarks.common.splits import KINDS, kind_of

GROUPS = (*KINDS, "all")
N_RESAMPLED = 10_000


def by_snapshot(rows):
    """Return the mean absolute error of every snapshot, over draws and seeds."""
    found = {}
    for row in rows:
        found.setdefault(row["snapshot"], []).append(abs(row["band"]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def means_of(values):
    """Return means over the snapshots of every kind, and over all."""
    parts = [[v for name, v in values.items() if kind in (kind_of(name), "all")] for kind in GROUPS]
    return [np.mean(part) if part else np.nan for part in parts]


def intervals_of(values):
    """Return 95 % bootstrap intervals of the means, resampling snapshots within their kinds."""
    rng = np.random.default_rng(0)
    drawn, members = [], []
    for kind in KINDS:
        part = np.array([v for name, v in values.items() if kind_of(name) == kind])
        if len(part):
            drawn.append(part[rng.integers(len(part), size=(N_RESAMPLED, len(part)))])
            members.append(kind)
    # Snapshots, not kinds, weigh alike in the mean of all.
    means = [d.mean(axis=1) for d in drawn] + [np.concatenate(drawn, axis=1).mean(axis=1)]
    found = {
        k: np.percentile(m, [2.5, 97.5]) for k, m in zip([*members, "all"], means, strict=True)
    }
    return [found.get(kind, (np.nan, np.nan)) for kind in GROUPS]


def select(rows, model, split):
    return [row for row in rows if (row["model"], row["split"]) == (model, split)]


def models_of(rows, split):
    return list(dict.fromkeys(row["model"] for row in rows if row["split"] == split))


def table(rows, splits=("leave one out", "5 + 5", "4 + 4")):
    """Return mean absolute errors by model, split and kind as a Markdown table."""
    lines = []
    for split in splits:
        for model in models_of(rows, split):
            some = select(rows, model, split)
            values = by_snapshot(some)
            low, high = intervals_of(values)[-1]
            *kinds, total = means_of(values)
            largest = max(abs(row["band"]) for row in some)
            dos = [row["dos"] for row in some if row["dos"] is not None]
            cells = [*(f"{mean:.1f}" for mean in kinds), f"{total:.1f} ({low:.1f} to {high:.1f})"]
            seconds = np.mean([row["fit_seconds"] for row in some])
            dos = f"{np.mean(dos):.2f}" if dos else ""
            lines.append([model, split, *cells, f"{largest:.0f}", dos, f"{seconds:.1f}"])
    header = ["model", "split", *KINDS, "all (95 %)", "largest", "DOS (%)", "fit (s)"]
    return tables.format_table(header, lines)


def differences(rows, pairs):
    """Return a table of differences of two models on the same snapshots, with their intervals."""
    lines = []
    for split, model, other in pairs:
        own, its = (by_snapshot(select(rows, name, split)) for name in (model, other))
        values = {name: own[name] - its[name] for name in own if name in its}
        if values:
            ends = zip(means_of(values), intervals_of(values), strict=True)
            cells = [
                "" if np.isnan(mean) else f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
                for mean, (low, high) in ends
            ]
            lines.append([f"{model} − {other}", split, *cells])
    return tables.format_table(["difference", "split", *GROUPS], lines)


def learning_curve(rows, models, sizes, n_snapshots):
    """Return errors of the liquid and the solids by the number of training snapshots."""
    lines = []
    for model in models:
        for kind in ("liquid", "solid"):
            splits = [f"{size} drawn" for size in sizes] + ["leave one out"]
            cells = []
            for split in splits:
                some = [abs(r["band"]) for r in select(rows, model, split) if kind in r["kind"]]
                cells.append(f"{np.mean(some):.1f}" if some else "")
            lines.append([model, kind, *cells])
    header = ["model", "kind", *(str(size) for size in sizes), str(n_snapshots - 1)]
    return tables.format_table(header, lines)


def report(rows, pairs, sizes, models):
    """Return all tables with their captions."""
    n_snapshots = len({row["snapshot"] for row in select(rows, models[0], "leave one out")})
    caption = (
        f"{n_snapshots} snapshots. Mean absolute error of the band energy in meV/atom, by kind of "
        "snapshot and over all (95 % interval by bootstrap within the kinds); the largest error; "
        "the mean error of the DOS."
    )
    return "\n\n".join(
        [
            caption,
            table(rows),
            "Differences of mean absolute errors on the same snapshots, with 95 % intervals.",
            differences(rows, pairs),
            "Learning curve: mean absolute errors by the number of snapshots in the fit.",
            learning_curve(rows, models, sizes, n_snapshots),
        ]
    )
