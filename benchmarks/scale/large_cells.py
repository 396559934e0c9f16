"""The density of states of large cells by a model of atoms: time and memory from 32 atoms on.

    python -m benchmarks.scale.large_cells                    # up to 131,072 atoms
    python -m benchmarks.scale.large_cells --atoms 1000188    # a million: some minutes

Bispectrum components of every atom, a linear model of the atom-decomposed DOS, their sum. The model
is trained on the bundled cells of four atoms, which takes a second. Each size runs in a fresh
process with one thread.
"""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.peers._measure import Measurement
from benchmarks.scale.scaling import exponent

ATOMS = (32, 256, 2048, 16384, 131072)
#: Atoms from which on exponents are fitted: below, what is done once takes most of the time.
LINEAR_FROM = 2000


def run_size(n_atoms):
    """Measure one size (runs in its own process)."""
    from ase.build import bulk
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import ADOSRegressor, AtomSNAPTransformer, RowWise, SiteRegressor, predict_dos
    from skldos.datasets import load_aluminium

    training = load_aluminium(temperature=298)
    steps = AtomSNAPTransformer(n_jobs=1), RowWise(StandardScaler())
    model = make_pipeline(*steps, ADOSRegressor(SiteRegressor(Ridge(1e-2), dos_weight=100)))
    model.fit(training)
    edge = round((n_atoms / 4) ** (1 / 3))
    atoms = bulk("Al", cubic=True) * (edge, edge, n_atoms // (4 * edge**2))
    atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=(len(atoms), 3))
    with Measurement() as measurement:
        (dos,) = predict_dos(model, [atoms])
    per_atom = float(dos.sum() / len(atoms))
    return {"n_atoms": len(atoms), "dos_per_atom": per_atom} | measurement.as_dict()


def render(record):
    """Return the tables of a record."""
    columns = {
        "atoms": "{n_atoms}",
        "wall s": "{wall_s:.2f}",
        "CPU s": "{cpu_s:.2f}",
        "CPU µs/atom": lambda row: f"{1e6 * row['cpu_s'] / row['n_atoms']:.0f}",
        "peak memory, MiB": "{peak_mib:.0f}",
        "working memory, MiB": "{memory_mib:.0f}",
    }
    caption = "One thread."
    if record["exponent"] is not None:
        caption += f" From {LINEAR_FROM} atoms on, CPU seconds grow as atoms to the power of "
        caption += f"{record['exponent']:.2f}."
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--atoms", type=int, nargs="+", default=list(ATOMS))
    arguments = parser.parse_args()
    rows = []
    for n_atoms in arguments.atoms:
        rows.append(harness.call_fresh(run_size, {"n_atoms": n_atoms}, threads=1))
        harness.show(rows[-1])
    if not arguments.no_write:
        large = [row for row in rows if row["n_atoms"] > LINEAR_FROM]
        harness.write_result(__file__, rows, exponent=exponent(large))


if __name__ == "__main__":
    main()
