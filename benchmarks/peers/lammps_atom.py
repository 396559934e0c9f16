"""Bispectrum of atoms by LAMMPS (`compute sna/atom`), one thread; runs with the peers' Python.

Input and output are those of lammps_grid.py, without a grid: the .npy has a row per atom.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _lammps
import numpy as np
from _measure import best_of
from lammps_grid import read_input


def compute(positions, cell, numbers, weights, twojmax, r_cut, repeats=1):
    """Return the bispectrum (n_atoms, n_features) and what the computation cost."""
    lmp = _lammps.start()
    species = _lammps.create_system(lmp, positions, cell, numbers)
    # Ghost atoms out to the cutoff are made for a pair style alone.
    lmp.commands_list([f"pair_style zero {r_cut + 0.1}", "pair_coeff * *"])
    radii = " ".join("0.5" for _ in species)
    factors = " ".join(repr(float(weights[z])) for z in species)
    lmp.command(
        f"compute bispectrum all sna/atom {r_cut!r} 0.99363 {twojmax} {radii} {factors} "
        "rmin0 0.0 bzeroflag 0 quadraticflag 0 switchflag 1 bnormflag 0"
    )
    # Thermodynamic output that needs the compute makes `run 0` evaluate it.
    lmp.command("compute total all reduce sum c_bispectrum[1]")
    lmp.command("thermo_style custom step c_total")
    _, cost = best_of(repeats, lambda: lmp.command("run 0 post no"))
    values = lmp.numpy.extract_compute("bispectrum", 1, 2)  # of atoms, an array
    order = np.argsort(lmp.numpy.extract_atom("id")[: len(positions)])
    values = np.array(values[: len(positions)])[order]
    lmp.close()
    return values, cost


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", required=True, help="the .npz described in lammps_grid.py")
    parser.add_argument("--twojmax", required=True, type=int)
    parser.add_argument("--rcut", required=True, type=float, help="cutoff in Å")
    parser.add_argument("--repeats", type=int, default=1, help="the best is reported")
    parser.add_argument("--output", help=".npy for the bispectrum, (n_atoms, n_features)")
    arguments = parser.parse_args()

    settings = arguments.twojmax, arguments.rcut, arguments.repeats
    values, cost = compute(*read_input(arguments.input), *settings)
    if arguments.output:
        np.save(arguments.output, values)
    print(json.dumps({**cost, "n_atoms": len(values), "n_features": values.shape[1]}))


if __name__ == "__main__":
    main()
