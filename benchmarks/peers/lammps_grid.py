"""Bispectrum on a grid by LAMMPS (`compute sna/grid`), one thread; runs with the peers' Python.

The input is an .npz with `positions` (n, 3), `cell` (3, 3; rows are vectors), `numbers` (n,) and
`weights` (JSON, chemical symbol to weight). Any right-handed cell is taken. The last line printed
is JSON: cpu_s, wall_s, peak_mib, memory_mib of `run 0` alone (neighbour lists and bispectrum),
n_points and n_features.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _lammps
import numpy as np
from _measure import best_of
from ase.data import atomic_numbers


def read_input(path):
    with np.load(path) as data:
        weights = json.loads(str(data["weights"]))
        return (
            data["positions"].astype(float),
            data["cell"].astype(float),
            data["numbers"],
            {atomic_numbers[symbol]: weight for symbol, weight in weights.items()},
        )


def compute(positions, cell, numbers, weights, grid, twojmax, r_cut, repeats=1):
    """Return the bispectrum (nx, ny, nz, n_features) and what the computation cost."""
    lmp = _lammps.start()
    species = _lammps.create_system(lmp, positions, cell, numbers)
    _lammps.define_grid(lmp, species, weights, grid, twojmax, r_cut)
    _, cost = best_of(repeats, lambda: lmp.command("run 0 post no"))
    values = _lammps.extract_grid(lmp, grid)
    lmp.close()
    return values, cost


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", required=True, help="the .npz described in this file")
    parser.add_argument("--grid", required=True, type=int, nargs=3)
    parser.add_argument("--twojmax", required=True, type=int)
    parser.add_argument("--rcut", required=True, type=float, help="cutoff in Å")
    parser.add_argument("--repeats", type=int, default=1, help="the best is reported")
    parser.add_argument("--output", help=".npy for the bispectrum, (nx, ny, nz, n_features)")
    arguments = parser.parse_args()

    system = read_input(arguments.input)
    settings = arguments.grid, arguments.twojmax, arguments.rcut, arguments.repeats
    values, cost = compute(*system, *settings)
    if arguments.output:
        np.save(arguments.output, values)
    n_points = int(np.prod(values.shape[:3]))
    print(json.dumps({**cost, "n_points": n_points, "n_features": values.shape[3]}))


if __name__ == "__main__":
    main()
