"""Gradient of the bispectrum: the compiled adjoint and torch's automatic differentiation.

The cell of `bispectrum.py`: 32 aluminium atoms, cutoff radius 4.67637 Å. The benchmark times the
components themselves and the adjoint, which takes random derivatives with respect to the components
back to derivatives with respect to atoms and strain, and computes the components again. The ratio
of the two is the price of a force. Each variant runs in a fresh process, after a call on a tiny
grid that keeps the just-in-time compilation out of the timing. Forward and backward calls
alternate, and the best of them count. Every variant is compared with torch in float64. The run
stops if float64 deviates by more than 1e-11 (float32: 1e-4) of the largest element of a gradient.

    python -m benchmarks.descriptors.gradient             # 12³ points, some minutes
    python -m benchmarks.descriptors.gradient --grid 8    # a quick look
"""

import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.descriptors.bispectrum import R_CUT, make_cell
from benchmarks.peers._measure import Measurement, best_of

TOLERANCE = {"float64": 1e-11, "float32": 1e-4}
# name: (device, dtype, all cores?). Only the device "cpu" means the compiled kernels. The first
# one is the reference.
VARIANTS = {
    "torch float64": ("cpu:0", "float64", False),
    "torch float32": ("cpu:0", "float32", False),
    "float64": ("cpu", "float64", False),
    "float32": ("cpu", "float32", False),
    "float64, all cores": ("cpu", "float64", True),
}


def run_variant(system, grid, twojmax, device, dtype, n_threads, repeats, output):
    """Time both directions (runs in its own process)."""
    from skldos.descriptors.bispectrum import (
        bispectrum_components,
        grid_bispectrum,
        grid_bispectrum_adjoint,
    )

    with np.load(system) as data:
        positions, cell = data["positions"], data["cell"]
    arguments = {"twojmax": twojmax, "r_cut": R_CUT, "dtype": dtype, "device": device}
    arguments["n_threads"] = n_threads
    n_features = len(bispectrum_components(twojmax))
    sensitivity = np.random.default_rng(1).normal(size=(int(np.prod(grid)), n_features))
    atoms = positions, np.ones(len(positions)), cell

    def forward():
        grid_bispectrum(*atoms, tuple(grid), **arguments)

    def backward():
        return grid_bispectrum_adjoint(*atoms, tuple(grid), sensitivity, **arguments)

    grid_bispectrum(*atoms, (2, 2, 2), **arguments)
    with Measurement() as first_call:
        grid_bispectrum_adjoint(*atoms, (2, 2, 2), sensitivity[:8], **arguments)
    costs = []
    for _ in range(repeats):
        _, there = best_of(1, forward)
        gradients, back = best_of(1, backward)
        costs.append((there, back))
    np.savez(output, positions=gradients[0], strain=gradients[1])
    best = {
        name: {clock: min(pair[i][clock] for pair in costs) for clock in ("cpu_s", "wall_s")}
        for i, name in enumerate(("forward", "adjoint"))
    }
    return best | {"memory_mib": costs[0][1]["memory_mib"], "first_call_s": first_call.wall_s}


def deviation(path, reference):
    """Return the largest deviation relative to the largest element of each gradient."""
    with np.load(path) as found, np.load(reference) as expected:
        return max(
            float(np.abs(found[key] - expected[key]).max() / np.abs(expected[key]).max())
            for key in ("positions", "strain")
        )


def measure(twojmax, grid, repeats, folder):
    """Return the rows of one twojmax."""
    rows = []
    per_point = 1e6 / np.prod(grid)
    for name, (device, dtype, all_cores) in VARIANTS.items():
        threads = os.cpu_count() if all_cores else 1
        output = folder / f"{name}.npz"
        job = {"system": str(folder / "system.npz"), "grid": grid, "twojmax": twojmax}
        job |= {"device": device, "dtype": dtype, "n_threads": threads, "repeats": repeats}
        job["output"] = str(output)
        cost = harness.call_fresh(run_variant, job, threads)
        row = {"variant": name, "twojmax": twojmax}
        for part in ("forward", "adjoint"):
            row[f"{part}_cpu_us_per_point"] = cost[part]["cpu_s"] * per_point
            row[f"{part}_wall_us_per_point"] = cost[part]["wall_s"] * per_point
        row["ratio"] = cost["adjoint"]["cpu_s"] / cost["forward"]["cpu_s"]
        row |= {key: cost[key] for key in ("memory_mib", "first_call_s")}
        row["deviation"] = deviation(output, folder / f"{next(iter(VARIANTS))}.npz")
        harness.show(row)
        harness.require(f"the gradient of {name}", row["deviation"], TOLERANCE[dtype])
        rows.append(row)
    return rows


def render(record):
    """Return the tables of a record."""
    columns = {
        "2Jmax": "{twojmax}",
        "variant": "{variant}",
        "descriptors, CPU µs/point": "{forward_cpu_us_per_point:.1f}",
        "gradient, CPU µs/point": "{adjoint_cpu_us_per_point:.1f}",
        "ratio": "{ratio:.2f}",
        "gradient, wall µs/point": "{adjoint_wall_us_per_point:.1f}",
        "deviation from autograd": lambda row: (
            f"{row['deviation']:.0e}" if row["deviation"] else ""
        ),
        "working memory, MiB": "{memory_mib:.0f}",
    }
    caption = f"{record['grid']}³ points, cutoff {record['r_cut']} Å."
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--grid", type=int, default=12, help="points along each axis [%(default)s]")
    parser.add_argument("--twojmax", type=int, nargs="+", default=[6, 10])
    parser.add_argument("--repeats", type=int, default=3, help="the best counts [%(default)s]")
    arguments = parser.parse_args()
    grid = [arguments.grid] * 3
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_cell(Path(folder) / "system.npz")
        for twojmax in arguments.twojmax:
            rows += measure(twojmax, grid, arguments.repeats, Path(folder))
    if not arguments.no_write:
        harness.write_result(__file__, rows, grid=arguments.grid, r_cut=R_CUT)


if __name__ == "__main__":
    main()
