"""Forces through the bispectrum: the compiled adjoint beside torch's automatic differentiation.

The cell of `descriptors.py`: 32 aluminium atoms, cutoff 4.67637 Å. Timed are the components
themselves and the way back from random derivatives by them to the derivatives by atoms and strain,
which computes the components again; the ratio of the two is the price of a force. Each variant
runs in a fresh process, after a call on a tiny grid that takes the just-in-time compilation out of
the timing; forward and backward alternate, and the best of the calls counts. Every variant is
compared with torch in float64, and the run stops when float64 deviates by more than 1e-11
(float32: 1e-4) of the largest element of a gradient.

    python benchmarks/descriptor_gradient.py             # 12³ points, some minutes
    python benchmarks/descriptor_gradient.py --grid 8    # a quick look
"""

import os
import tempfile
from pathlib import Path

import _harness
import numpy as np
from descriptors import RCUT, make_cell
from peers._measure import Measurement, best_of

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
    arguments = {"twojmax": twojmax, "rcut": RCUT, "dtype": dtype, "device": device}
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
    return best | {
        "memory_mib": costs[0][1]["memory_mib"],
        "first_call_s": first_call.wall_s,
    }


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
        cost = _harness.call_fresh("descriptor_gradient", "run_variant", job, threads)
        row = {"variant": name, "twojmax": twojmax}
        for part in ("forward", "adjoint"):
            row[f"{part}_cpu_us_per_point"] = cost[part]["cpu_s"] * per_point
            row[f"{part}_wall_us_per_point"] = cost[part]["wall_s"] * per_point
        row["ratio"] = cost["adjoint"]["cpu_s"] / cost["forward"]["cpu_s"]
        row |= {key: cost[key] for key in ("memory_mib", "first_call_s")}
        row["deviation"] = deviation(output, folder / f"{next(iter(VARIANTS))}.npz")
        show(row)
        if not row["deviation"] <= TOLERANCE[dtype]:
            raise SystemExit(f"not the same gradient: {name} deviates by {row['deviation']:.1e}")
        rows.append(row)
    return rows


def show(row):
    print(
        f"2Jmax {row['twojmax']:2d}  {row['variant']:20s} "
        f"{row['forward_cpu_us_per_point']:7.1f} forward "
        f"{row['adjoint_cpu_us_per_point']:7.1f} adjoint CPU µs/point, ratio {row['ratio']:.2f}, "
        f"{row['adjoint_wall_us_per_point']:7.1f} wall, {row['memory_mib']:6.0f} MiB, "
        f"deviation {row['deviation']:.1e}",
        flush=True,
    )


def render(record):
    """Return the tables of benchmarks/README.md."""
    header = [
        "2Jmax",
        "variant",
        "descriptors, CPU µs/point",
        "gradient, CPU µs/point",
        "ratio",
        "gradient, wall µs/point",
        "deviation from autograd",
        "working memory, MiB",
    ]
    rows = [
        [
            row["twojmax"],
            row["variant"],
            f"{row['forward_cpu_us_per_point']:.1f}",
            f"{row['adjoint_cpu_us_per_point']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['adjoint_wall_us_per_point']:.1f}",
            f"{row['deviation']:.0e}" if row["deviation"] else "",
            f"{row['memory_mib']:.0f}",
        ]
        for row in record["rows"]
    ]
    caption = f"{record['grid']}³ points, cutoff {record['rcut']} Å."
    return caption + "\n\n" + _harness.format_table(header, rows)


def main():
    parser = _harness.parser(__doc__)
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
        _harness.write_result("descriptor_gradient", rows, grid=arguments.grid, rcut=RCUT)


if __name__ == "__main__":
    main()
