"""What the tables of benchmarks/README.md are made of."""

import statistics
from collections import defaultdict

from _splits import kind_of


def group(rows, *keys):
    """Return a dict of the rows that agree in the values of `keys`."""
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def mean_and_range(values, form):
    """Return `mean (lowest to highest)`, or the value alone."""
    text = format(statistics.fmean(values), form)
    if len(values) == 1:
        return text
    return f"{text} ({format(min(values), form)} to {format(max(values), form)})"


def training_cells(rows):
    """Return CPU and wall seconds of trainings with their ranges, and the largest peak memory."""
    cells = [mean_and_range([row[key] for row in rows], ".1f") for key in ("cpu_s", "wall_s")]
    return [*cells, f"{max(row['peak_mib'] for row in rows):.0f}"]


def mean_absolute(errors, kind=None):
    """Return the mean absolute error over the snapshots of a kind, or all, by name."""
    chosen = [abs(error) for name, error in errors.items() if kind in (None, kind_of(name))]
    return statistics.fmean(chosen)
