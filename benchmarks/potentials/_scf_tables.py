"""Tables of `scf_start.py`."""

import numpy as np

from benchmarks.common import tables

BASE = "free atoms"
HEADER = (
    "start",
    "density, %",
    "of the change, %",
    "band energy",
    "total energy",
    "first estimate, mRy",
    "iterations",
    "steps",
    "CPU (s)",
    "prediction (s)",
)


def different(rows, key):
    """Return the values of a key, in order of appearance."""
    return list(dict.fromkeys(row[key] for row in rows))


def of_start(rows, start):
    return [row for row in rows if row["start"] == start]


def line(start, rows):
    """Return the means of a start over all structures, as text."""

    def mean(key, digits, scale=1.0):
        return f"{scale * np.mean([abs(row[key]) for row in rows]):.{digits}f}"

    accuracy = np.exp(np.mean([np.log(row["accuracy"] / row["atoms"]) for row in rows]))
    return [
        start,
        mean("density_error", 2, 100),
        mean("change_error", 1, 100),
        mean("band_error", 1),
        mean("energy_error", 2),
        f"{1e3 * accuracy:.2g}",
        mean("iterations", 1),
        mean("steps", 1),
        mean("cpu_seconds", 1),
        mean("prediction_seconds", 1) if rows[0]["prediction_seconds"] else "",
    ]


def savings(rows):
    """Return the savings of every start relative to free atoms, as a table."""
    base, lines = of_start(rows, BASE), []
    for start in different(rows, "start"):
        if start == BASE:
            continue
        some = of_start(rows, start)
        fewer = [a["iterations"] - b["iterations"] for a, b in zip(base, some, strict=True)]
        parts = [
            100 - 100 * sum(row[key] for row in some) / sum(row[key] for row in base)
            for key in ("iterations", "steps", "cpu_seconds")
        ]
        lines.append([start, f"{min(fewer)} to {max(fewer)}", *(f"{part:.0f}" for part in parts)])
    header = ["start", "iterations saved", "of all, %", "of the steps, %", "of the CPU time, %"]
    return tables.format_table(header, lines)


def by_kind(rows, key, digits, scale=1.0):
    """Return a quantity of every start and structure, by kind, as a table."""
    kinds, lines = different(rows, "kind"), []
    for start in different(rows, "start"):
        some = of_start(rows, start)
        cells = [
            " / ".join(f"{scale * abs(row[key]):.{digits}f}" for row in some if row["kind"] == kind)
            for kind in kinds
        ]
        lines.append([start, *cells])
    return tables.format_table(["start", *kinds], lines)


def render(record):
    """Return the tables of a record."""
    rows = record["rows"]
    names = different(rows, "snapshot")
    parts = [
        f"{len(names)} held-out structures of {len(different(rows, 'kind'))} kinds, models of "
        f"about {record['known']} others. Means over the structures: relative L2 error of the "
        "density, and as a part of n - n_0; absolute errors of the energies without iterating, in "
        "meV/atom; pw.x's estimate of the error in the first iteration, per atom (geometric mean).",
        tables.format_table(
            HEADER, [line(start, of_start(rows, start)) for start in different(rows, "start")]
        ),
        "Saved against free atoms: from the worst structure to the best, and of the sum over all:",
        savings(rows),
        "Iterations by kind:",
        by_kind(rows, "iterations", 0),
        "Error of the density by kind, %:",
        by_kind(rows, "density_error", 2, 100),
    ]
    return "\n\n".join(parts)
