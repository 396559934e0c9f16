"""One step of LAMMPS's `pair_style snap`: energies and forces; runs with the peers' Python.

The input is a .npz with `positions`, `cell` and `symbols`; the potential two files without suffix.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _lammps
import numpy as np
from _measure import best_of


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", required=True)
    parser.add_argument("--potential", required=True)
    parser.add_argument("--repeats", type=int, default=3, help="the best is reported")
    arguments = parser.parse_args()
    with np.load(arguments.input) as data:
        positions, cell, symbols = data["positions"], data["cell"], data["symbols"].tolist()
    species = sorted(set(symbols))
    lmp = _lammps.start()
    _lammps.create_system(lmp, positions, cell, [species.index(symbol) for symbol in symbols])
    files = f"{arguments.potential}.snapcoeff {arguments.potential}.snapparam"
    lmp.commands_list(["pair_style snap", f"pair_coeff * * {files} {' '.join(species)}"])
    lmp.command("run 0 post no")
    _, cost = best_of(arguments.repeats, lambda: lmp.command("run 0 post no"))
    print(json.dumps({**cost, "n_atoms": len(symbols)}))


if __name__ == "__main__":
    main()
