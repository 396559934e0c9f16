"""Bispectrum on a grid: skldos and LAMMPS (`compute sna/grid`).

32 aluminium atoms (fcc 2x2x2, a = 4.05 Å, normal displacements of 0.1 Å), cutoff radius 4.67637 Å.
Each variant runs in a fresh process, after a call on a tiny grid that keeps the just-in-time
compilation out of the timing; the best of three calls counts. Every variant is compared with
LAMMPS. The run stops if float64 deviates by more than 1e-9 (float32: 1e-4) of the largest value of
a component.

    python -m benchmarks.descriptors.bispectrum              # 36³ points, some minutes
    python -m benchmarks.descriptors.bispectrum --grid 12    # a quick look
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.peers._measure import Measurement, best_of

R_CUT = 4.67637
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
# name: (keywords of grid_bispectrum, dtype, all cores?). Only the device "cpu" means the compiled
# kernel; torch does the others, so "cpu:0" is torch on the CPU.
VARIANTS = {
    "float64": ({}, "float64", False),
    "float32": ({}, "float32", False),
    "float64, all cores": ({}, "float64", True),
    "float32, all cores": ({}, "float32", True),
    "torch float64": ({"device": "cpu:0"}, "float64", False),
    "torch float32": ({"device": "cpu:0"}, "float32", False),
}


def make_cell(path):
    """Write the system as the .npz that both sides read."""
    from ase.build import bulk

    atoms = bulk("Al", "fcc", a=4.05, cubic=True) * (2, 2, 2)
    atoms.rattle(stdev=0.1, rng=np.random.default_rng(0))
    atoms.wrap()
    np.savez(
        path,
        positions=atoms.positions,
        cell=atoms.cell.array,
        numbers=atoms.numbers,
        weights=json.dumps({"Al": 1.0}),
    )


def run_skldos(system, grid, twojmax, dtype, n_threads, keywords, repeats, output):
    """Time skldos (runs in its own process)."""
    from skldos.descriptors.bispectrum import grid_bispectrum

    with np.load(system) as data:
        positions, cell = data["positions"], data["cell"]
    arguments = {"twojmax": twojmax, "r_cut": R_CUT, "dtype": dtype, "n_threads": n_threads}
    arguments |= keywords
    weights = np.ones(len(positions))
    with Measurement() as first_call:
        grid_bispectrum(positions, weights, cell, (2, 2, 2), **arguments)

    def compute():
        return grid_bispectrum(positions, weights, cell, tuple(grid), **arguments)

    values, cost = best_of(repeats, compute)
    np.save(output, np.asarray(values).reshape(*grid, -1))
    return cost | {"first_call_s": first_call.wall_s}


def deviation(values, reference):
    """Return the largest deviation relative to the largest value of each component."""
    n_features = reference.shape[-1]
    values, reference = values.reshape(-1, n_features), reference.reshape(-1, n_features)
    return float(np.max(np.abs(values - reference).max(0) / np.abs(reference).max(0)))


def make_row(variant, twojmax, cost, n_points, lammps=None):
    per_point = 1e6 / n_points
    row = {
        "variant": variant,
        "twojmax": twojmax,
        "cpu_us_per_point": cost["cpu_s"] * per_point,
        "wall_us_per_point": cost["wall_s"] * per_point,
        "memory_mib": cost["memory_mib"],
        "peak_mib": cost["peak_mib"],
    }
    if lammps:
        clock = "wall_s" if "all cores" in variant else "cpu_s"
        row["speedup"] = lammps[clock] / cost[clock]
        row["first_call_s"] = cost["first_call_s"]
    return row


def measure(twojmax, grid, variants, repeats, peers, folder):
    """Return the rows of one twojmax: LAMMPS and every variant."""
    system = folder / "system.npz"
    n_points = int(np.prod(grid))
    arguments = ["--input", system, "--grid", *grid, "--twojmax", twojmax, "--rcut", R_CUT]
    arguments += ["--repeats", repeats]
    lammps = harness.run_peer(
        "lammps_grid.py", [*arguments, "--output", folder / "lammps.npy"], peers
    )
    rows = [make_row("LAMMPS", twojmax, lammps, n_points)]
    harness.show(rows[-1])
    reference = np.load(folder / "lammps.npy")
    for name in variants:
        keywords, dtype, all_cores = VARIANTS[name]
        threads = os.cpu_count() if all_cores else 1
        job = {"system": str(system), "grid": grid, "twojmax": twojmax, "dtype": dtype}
        job["repeats"] = repeats
        job |= {"n_threads": threads, "keywords": keywords, "output": str(folder / "skldos.npy")}
        cost = harness.call_fresh(run_skldos, job, threads)
        row = make_row(name, twojmax, cost, n_points, lammps)
        row["deviation"] = deviation(np.load(folder / "skldos.npy"), reference)
        harness.show(row)
        harness.require(f"the bispectrum of {name}", row["deviation"], TOLERANCE[dtype])
        rows.append(row)
    return rows


def render(record):
    """Return the tables of a record."""
    columns = {
        "2Jmax": "{twojmax}",
        "variant": "{variant}",
        "CPU µs/point": "{cpu_us_per_point:.1f}",
        "wall µs/point": "{wall_us_per_point:.1f}",
        "ratio to LAMMPS": lambda row: f"{row['speedup']:.2f}" if "speedup" in row else "1",
        "largest deviation": "{deviation:.0e}",
        "working memory, MiB": "{memory_mib:.0f}",
        "first call, s": "{first_call_s:.1f}",
    }
    caption = f"{record['grid']}³ points, cutoff {record['r_cut']} Å."
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--grid", type=int, default=36, help="points along each axis [%(default)s]")
    parser.add_argument("--twojmax", type=int, nargs="+", default=[4, 6, 8, 10])
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--repeats", type=int, default=3, help="the best counts [%(default)s]")
    arguments = parser.parse_args()
    rows, job = [], ([arguments.grid] * 3, arguments.variants, arguments.repeats, arguments.peers)
    with tempfile.TemporaryDirectory() as folder:
        make_cell(Path(folder) / "system.npz")
        for twojmax in arguments.twojmax:
            rows += measure(twojmax, *job, Path(folder))
    if not arguments.no_write:
        harness.write_result(__file__, rows, arguments.peers, grid=arguments.grid, r_cut=R_CUT)


if __name__ == "__main__":
    main()
