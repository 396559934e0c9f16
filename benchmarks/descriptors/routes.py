"""Bispectrum of atoms by three routes: SymPy, LAMMPS (`compute sna/atom`) and skldos.

Silicon in the diamond structure (a = 5.431 Å, normal displacements of 0.05 Å) with 8 to 512 atoms,
cutoff radius 5 Å, about 28 neighbours. The SymPy route uses its Wigner matrices and Clebsch-Gordan
coefficients, as a prototype written from the formulas would (that of Hoang and Rulis did), and is
timed on one atom. The coefficients serve all atoms and are computed before. LAMMPS is timed over
`run 0`, skldos over `AtomSNAPTransformer.transform`, both as the best of several calls on one
thread. All routes must agree to 1e-9 of the largest value of a component, or the run stops.

    python -m benchmarks.descriptors.routes [--twojmax 4 6 8 10]

Rows are kept in benchmarks/output/descriptors/routes.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.peers._measure import Measurement, best_of

FOLDER = harness.output_of(__file__)
R_CUT = 5.0
TOLERANCE = 1e-9
#: Atoms of the cell, and how often it is repeated in each direction.
SIZES = {8: 1, 64: 2, 512: 4}
REPEATS = 20


def make_atoms(n_atoms):
    """Return the cell of silicon."""
    from ase.build import bulk

    atoms = bulk("Si", "diamond", a=5.431, cubic=True).repeat(SIZES[n_atoms])
    atoms.rattle(stdev=0.05, rng=np.random.default_rng(0))
    atoms.wrap()
    return atoms


def write_input(atoms, path):
    """Write the cell as the .npz that the peer reads."""
    cell = {"positions": atoms.positions, "cell": atoms.cell.array, "numbers": atoms.numbers}
    np.savez(path, **cell, weights=json.dumps({"Si": 1.0}))


def run_skldos(n_atoms, twojmax, output):
    """Time skldos (runs in its own process)."""
    from skldos import AtomSNAPTransformer

    atoms = make_atoms(n_atoms)
    transformer = AtomSNAPTransformer(R_CUT, twojmax, n_jobs=1).fit([atoms])
    with Measurement() as first_call:
        transformer.transform([atoms])
    blocks, cost = best_of(REPEATS, lambda: transformer.transform([atoms]))
    np.save(output, blocks[0])
    return cost | {"n_atoms": n_atoms, "once_s": first_call.cpu_s}


def run_sympy(n_atoms, twojmax, output):
    """Time SymPy on the first atom (runs in its own process)."""
    from ase.neighborlist import neighbor_list

    from benchmarks.descriptors._sympy import bispectrum, coupling
    from skldos.descriptors.bispectrum import bispectrum_components

    atoms = make_atoms(n_atoms)
    centers, displacements = neighbor_list("iD", atoms, R_CUT)
    components = bispectrum_components(twojmax)
    with Measurement() as once:
        for triple in components:
            coupling(*triple)
    own = displacements[centers == 0]
    values, cost = best_of(1, lambda: bispectrum(own, components, twojmax, R_CUT))
    np.save(output, values[None])
    return cost | {"n_atoms": 1, "once_s": once.cpu_s, "neighbors": len(own)}


def run_lammps(n_atoms, twojmax, output, peers):
    """Time LAMMPS."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "system.npz"
        write_input(make_atoms(n_atoms), path)
        arguments = ["--input", path, "--twojmax", twojmax, "--rcut", R_CUT, "--output", output]
        return harness.run_peer("lammps_atom.py", [*arguments, "--repeats", REPEATS], peers)


ROUTES = {"LAMMPS": run_lammps, "skldos": run_skldos, "SymPy": run_sympy}


def timed(route, n_atoms, twojmax, output, peers):
    """Run a route, its values to a file; return the row."""
    job = {"n_atoms": n_atoms, "twojmax": twojmax, "output": str(output)}
    if route == "LAMMPS":
        cost = run_lammps(**job, peers=peers)
    else:
        cost = harness.call_fresh(ROUTES[route], job)
    row = {"route": route, "atoms": n_atoms, "twojmax": twojmax}
    return row | {"cpu_s_per_atom": cost["cpu_s"] / cost["n_atoms"], "once_s": cost.get("once_s")}


def row_of(route, n_atoms, twojmax, peers):
    """Return the row of a route, from the folder if it is there, checked against LAMMPS."""
    path = FOLDER / f"{route}_{n_atoms}_{twojmax}.json"
    values = path.with_suffix(".npy")
    row = harness.cached(path, timed, route, n_atoms, twojmax, values, peers)
    reference = FOLDER / f"LAMMPS_{n_atoms}_{twojmax}.npy"
    if not reference.exists():
        raise SystemExit("nothing to compare with: run the route LAMMPS first")
    row["deviation"] = deviation(np.load(values), np.load(reference))
    harness.show(row)
    harness.require(f"the bispectrum by {route}", row["deviation"], TOLERANCE)
    return row


def deviation(values, reference):
    """Return the largest deviation from the first rows, relative to the largest value of each."""
    differences = np.abs(values - reference[: len(values)])
    return float(np.max(differences.max(axis=0) / np.abs(reference).max(axis=0)))


def render(record):
    """Return the table of a record."""
    lines = []
    for row in record["rows"]:
        same = [r for r in record["rows"] if (r["atoms"], r["twojmax"]) == key_of(row)]
        lammps = next(r for r in same if r["route"] == "LAMMPS")
        cells = [row["twojmax"], row["atoms"], row["route"], seconds(row["cpu_s_per_atom"])]
        cells.append(f"{lammps['cpu_s_per_atom'] / row['cpu_s_per_atom']:.2g}")
        is_peer = row is lammps
        cells.append("" if is_peer else f"{row['deviation']:.0e}")
        cells.append("" if is_peer else seconds(row["once_s"]))
        lines.append(cells)
    header = ["2Jmax", "atoms", "route", "CPU time per atom", "ratio to LAMMPS"]
    header += ["largest deviation", "once"]
    caption = (
        f"Silicon, cutoff {record['r_cut']} Å, one thread. *Once*: the time for SymPy's "
        "coefficients, and for the first call of skldos."
    )
    return caption + "\n\n" + tables.format_table(header, lines)


def key_of(row):
    return row["atoms"], row["twojmax"]


def seconds(value):
    """Return a time with a unit that suits it."""
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--twojmax", type=int, nargs="+", default=[4, 6, 8, 10])
    parser.add_argument("--routes", nargs="*", choices=ROUTES, default=list(ROUTES))
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [
        row_of(route, n_atoms, twojmax, options.peers)
        for twojmax in options.twojmax
        for n_atoms in SIZES
        for route in options.routes
        # An atom of the larger cell has as many neighbours, and takes SymPy as long.
        if route != "SymPy" or n_atoms == min(SIZES)
    ]
    print(render({"rows": rows, "r_cut": R_CUT}))
    if not options.no_write:
        harness.write_result(__file__, rows, options.peers, r_cut=R_CUT)


if __name__ == "__main__":
    main()
