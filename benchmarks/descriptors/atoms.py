"""Descriptors of atoms and their gradients: cost per atom, by number of atoms and elements.

Displaced fcc aluminium, or aluminium with magnesium and silicon on random sites. `values` are the
descriptors of all atoms, `gradient` takes derivatives with respect to them back to positions and
strain, as one step of dynamics does, and computes the coefficients again. One thread, CPU time, the
best of some calls after one that compiles. If the peers are installed, one step of LAMMPS's
`pair_style snap` is timed for comparison: energies, forces and its neighbour list.

    python -m benchmarks.descriptors.atoms             # some minutes
    python -m benchmarks.descriptors.atoms --repeat 2 3
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.peers._measure import best_of

SOAP = {
    "SOAP, r_cut 5 Å, n 8, l 6": {"r_cut": 5.0},
    "SOAP, r_cut 6 Å, n 8, l 6": {"r_cut": 6.0},
    "SOAP, r_cut 10 Å, n 8, l 8": {"r_cut": 10.0, "l_max": 8, "sigma": 1.1, "fade": 6.0}
    | {"basis_radius": 4.0},
}
TWOJMAX = (4, 6, 8)
R_CUT = 5.0


def crystal(repeat, n_elements):
    """Return displaced atoms on fcc sites, with this number of elements."""
    from ase.build import bulk

    atoms, rng = bulk("Al", cubic=True).repeat(repeat), np.random.default_rng(0)
    atoms.rattle(0.1, rng=rng)
    atoms.symbols = rng.permutation(np.resize(["Al", "Mg", "Si"][:n_elements], len(atoms)))
    return atoms


def cost_of(transformer, atoms, repeats):
    """Return milliseconds per atom of the descriptors and of their gradient."""
    from skldos import Snapshot

    snapshot = Snapshot(atoms)
    transformer.fit([atoms])
    rows = np.asarray(transformer.transform([atoms])[0])
    sensitivity = np.random.default_rng(1).normal(size=rows.shape)
    transformer.pullback(snapshot, sensitivity)
    calls = {
        "values": lambda: transformer.compute(snapshot, 0, len(atoms)),
        "gradient": lambda: transformer.pullback(snapshot, sensitivity),
    }
    return {
        f"{name}_ms_per_atom": best_of(repeats, call)[1]["cpu_s"] / len(atoms) * 1e3
        for name, call in calls.items()
    } | {"n_atoms": len(atoms), "n_features": rows.shape[1]}


def measure(arguments):
    """Yield the rows of all descriptors."""
    from skldos import AtomSNAPTransformer, AtomSOAPTransformer

    for repeat in arguments.repeat:
        atoms = crystal(repeat, 1)
        for name, options in SOAP.items():
            soap = AtomSOAPTransformer(n_jobs=1, **options)
            yield {"descriptor": name, "n_elements": 1} | cost_of(soap, atoms, arguments.repeats)
    for n_elements in (1, 2, 3):
        atoms = crystal(arguments.repeat[0], n_elements)
        soap = AtomSOAPTransformer(n_jobs=1)
        if n_elements > 1:
            row = {"descriptor": next(iter(SOAP)), "n_elements": n_elements}
            yield row | cost_of(soap, atoms, arguments.repeats)
        for twojmax in TWOJMAX:
            for chem in (False, True)[:n_elements]:
                weights = dict(zip(("Al", "Mg", "Si"), (1.0, 0.7, 0.4), strict=True))
                snap = AtomSNAPTransformer(R_CUT, twojmax, weights=weights, chem=chem, n_jobs=1)
                name = f"SNAP, 2J = {twojmax}{', chem' if chem else ''}"
                row = {"descriptor": name, "n_elements": n_elements}
                yield row | cost_of(snap, atoms, arguments.repeats)


def of_lammps(arguments, folder):
    """Yield the rows of `pair_style snap`, as it runs the potentials that skldos writes."""
    from skldos.descriptors.bispectrum import bispectrum_components
    from skldos.io.lammps import write_snap_files

    for n_elements in (1, 2, 3):
        atoms = crystal(arguments.repeat[0], n_elements)
        system = folder / "system.npz"
        symbols = np.array(atoms.get_chemical_symbols())
        np.savez(system, positions=atoms.positions, cell=atoms.cell.array, symbols=symbols)
        elements = ["Al", "Mg", "Si"][:n_elements]
        for twojmax in TWOJMAX:
            for chem in (False, True)[:n_elements]:
                n = len(bispectrum_components(twojmax)) * (n_elements**3 if chem else 1)
                same = dict.fromkeys(elements, 1.0)
                write_snap_files(
                    folder / "it", dict.fromkeys(elements, np.full(n + 1, 1e-4)), r_cut=R_CUT,
                    twojmax=twojmax, weights=same, radii=same, rfac0=0.99363, chemflag=int(chem),
                    bzeroflag=0, bnormflag=0, wselfallflag=0,
                )  # fmt: skip
                options = ["--input", str(system), "--potential", str(folder / "it")]
                found = harness.run_peer("lammps_pair.py", options, arguments.peers)
                name = f"LAMMPS pair_style snap, 2J = {twojmax}{', chem' if chem else ''}"
                yield {
                    "descriptor": name,
                    "n_elements": n_elements,
                    "n_atoms": len(atoms),
                    "n_features": n,
                    "gradient_ms_per_atom": found["cpu_s"] / len(atoms) * 1e3,
                }


def render(record):
    """Return the table of a record."""
    columns = {
        "descriptor": "{descriptor}",
        "elements": "{n_elements}",
        "atoms": "{n_atoms}",
        "features": "{n_features}",
        "values, ms/atom": lambda row: (
            f"{row['values_ms_per_atom']:.3f}" if "values_ms_per_atom" in row else ""
        ),
        "gradient, ms/atom": "{gradient_ms_per_atom:.3f}",
    }
    return f"SNAP: cutoff {R_CUT} Å.\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--repeat", type=int, nargs="+", default=[3, 6], help="cells per axis")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts [%(default)s]")
    arguments = parser.parse_args()
    rows = []
    for row in measure(arguments):
        harness.show(row)
        rows.append(row)
    if Path(arguments.peers).exists():
        with tempfile.TemporaryDirectory() as folder:
            for row in of_lammps(arguments, Path(folder)):
                harness.show(row)
                rows.append(row)
    if not arguments.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
