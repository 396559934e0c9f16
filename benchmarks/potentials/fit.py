"""The potential of silicon as Gaussians on the atoms: accuracy and stability of the fit.

The fit is to the change of the local potential from free atoms to the self-consistent density of
pw.x, on the structures of `data.py`. Errors are the L2 norm of the residual over that of the
potential, both without their means, in per cent; c0 of the fit takes the mean.

  gaussians   error and condition number by number of Gaussians per atom and largest exponent,
              starting at 0.15 bohr^-2 in equal ratios, unregularised
  ridge       error, size of the coefficients and condition number by the penalty, with the
              default exponents of GaussianPotentialDecomposer; and how much coefficients change
              when atoms move by 0.01 Å

Sizes are root mean squares of coefficients times norms of their Gaussians. The change is relative:
the norm of the difference of coefficients over that of the coefficients.

Finished structures are kept in benchmarks/output/potentials/fit.

    python -m benchmarks.potentials.fit [--minutes 10]
"""

import time
import zlib

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.potentials._data import KINDS, load

FOLDER = harness.output_of(__file__)
NUMBERS = (2, 3, 4, 5, 6, 8, 10)
#: Largest exponents in bohr^-2; for cells of more than `LARGE` atoms the third alone.
HIGHEST = (1.0, 2.0, 5.0, 10.0)
LARGE = 17
RIDGES = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def change_of(snapshot):
    """Return the change of the potential without its mean, and the mean."""
    from skldos.datasets import load_silicon_pseudopotentials
    from skldos.physics import potential_change
    from skldos.units import RYDBERG

    density = np.asarray(snapshot.density[:], dtype=float)
    density_cutoff = snapshot.reference["ecutrho"] * RYDBERG
    silicon = load_silicon_pseudopotentials()
    V = potential_change(density, snapshot.atoms, silicon, density_cutoff=density_cutoff)
    return V - V.mean(), V.mean()


def equations_of(snapshot, V, exponents):
    """Return the normal equations of a fit."""
    from skldos.decomposition import Gaussians

    atoms = snapshot.atoms
    cell, grid = atoms.cell.array, snapshot.grid_shape
    gaussians = Gaussians(atoms.positions, cell, grid, exponents, mean=False)
    return gaussians.normal_equations(V)


def error_of(equations, A, V, voxel):
    """Return the relative error in per cent."""
    # ∫(V − fit)² = ∫V² − 2 A·b + A·S·A
    total = (V**2).sum() * voxel
    left = total - 2 * A @ equations.projections + A @ equations.overlap @ A
    return 100 * float(np.sqrt(max(left, 0.0) / total))


def by_gaussians(snapshot, V):
    """Return error and condition number by number and range of exponents."""
    from skldos.decomposition import geometric_exponents
    from skldos.units import BOHR

    rows = []
    highest = HIGHEST if len(snapshot.atoms) <= LARGE else HIGHEST[2:3]
    for high in highest:
        for n in NUMBERS:
            exponents = geometric_exponents(n, high=high / BOHR**2)
            equations = equations_of(snapshot, V, exponents)
            A = equations.solve()
            row = {"part": "gaussians", "n": n, "high": high, "condition": equations.condition()}
            row["largest"] = float(np.abs(A).max())
            rows.append(row | {"error": error_of(equations, A, V, snapshot.voxel_volume)})
    return rows


def by_ridge(snapshot, V):
    """Return error, condition number and coefficients by the penalty."""
    from skldos.decomposition import geometric_exponents
    from skldos.decomposition.potential import N_GAUSSIANS

    equations = equations_of(snapshot, V, geometric_exponents(N_GAUSSIANS))
    rows = []
    for ridge, A in zip(RIDGES, equations.solve(RIDGES), strict=True):
        a = A * equations.norms
        row = {"part": "ridge", "ridge": ridge, "condition": equations.condition(ridge)}
        row |= {"size": float(np.sqrt((a**2).mean())), "largest": float(np.abs(A).max())}
        row["error"] = error_of(equations, A, V, snapshot.voxel_volume)
        rows.append(row | {"coefficients": a.tolist()})
    return rows


def rows_of(snapshot):
    """Return all rows of a snapshot."""
    reference = snapshot.reference
    V, mean = change_of(snapshot)
    start = time.perf_counter()
    rows = by_ridge(snapshot, V)
    if reference["kind"] != "moved":
        rows += by_gaussians(snapshot, V)
    about = {"name": reference["name"], "kind": reference["kind"], "atoms": len(snapshot.atoms)}
    about |= {"rms": float(V.std()), "mean": float(mean)}
    print(f"{reference['name']:28s} {time.perf_counter() - start:6.1f} s", flush=True)
    return [about | row for row in rows]


def steadiness(rows):
    """Return the relative change of coefficients when atoms move, by penalty."""
    changes = []
    ridge_rows = {(r["name"], r["ridge"]): r for r in rows if r["part"] == "ridge"}
    for (name, ridge), row in ridge_rows.items():
        if row["kind"] == "moved":
            first = ridge_rows[name.removeprefix("moved_"), ridge]
            a, b = np.array(first["coefficients"]), np.array(row["coefficients"])
            change = float(np.linalg.norm(b - a) / np.linalg.norm(a))
            changes.append(
                {"part": "steadiness", "name": first["name"], "ridge": ridge, "change": change}
            )
    return changes


def for_record(rows):
    """Return rows without coefficients, rounded."""
    return [
        {k: _rounded(v) for k, v in row.items() if k != "coefficients"}
        for row in rows
        if row.get("ridge", 0.0) in RIDGES
    ]


def _rounded(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


# --- the tables ---------------------------------------------------------------------------------


def _mean(rows, key, **wanted):
    values = [row[key] for row in rows if all(row.get(k) == v for k, v in wanted.items())]
    return np.mean(values) if values else np.nan


def _largest(rows, key, **wanted):
    values = [row[key] for row in rows if all(row.get(k) == v for k, v in wanted.items())]
    return max(values, default=np.nan)


def table_of_kinds(rows):
    """Return errors by kind and number of Gaussians, up to 5 bohr^-2."""
    lines = []
    for kind in KINDS:
        some = [r for r in rows if r.get("kind") == kind and r.get("high") == HIGHEST[2]]
        if not some:
            continue
        names = {r["name"] for r in some}
        errors = [f"{_mean(some, 'error', n=n):.1f}" for n in NUMBERS]
        means = [r["mean"] for r in some if r["n"] == NUMBERS[0]]
        rms = 1e3 * _mean(some, "rms")
        spread = f"{1e3 * np.mean(means):.0f} ± {1e3 * np.std(means):.0f}"
        lines.append([kind, len(names), f"{rms:.0f}", spread, *errors])
    header = ["kind", "structures", "rms (meV)", "mean (meV)", *(f"{n}" for n in NUMBERS)]
    return tables.format_table(header, lines)


def table_of_exponents(rows):
    """Return error and condition number by number and range, of the small cells."""
    lines, some = [], [r for r in rows if r["part"] == "gaussians" and r["atoms"] <= LARGE]
    for high in HIGHEST:
        cells = [
            f"{_mean(some, 'error', n=n, high=high):.1f} "
            f"({_largest(some, 'condition', n=n, high=high):.0e})"
            for n in NUMBERS
        ]
        lines.append([f"{high:g}", *cells])
    return tables.format_table(["largest (bohr⁻²)", *map(str, NUMBERS)], lines)


def table_of_ridges(rows):
    """Return the regularisation path."""
    lines = []
    for ridge in RIDGES:
        some = [r for r in rows if r["part"] == "ridge" and r["kind"] != "moved"]
        wanted = {"ridge": ridge}
        cells = [f"{_mean(some, 'error', kind=kind, **wanted):.1f}" for kind in KINDS]
        cells += [
            f"{_mean(some, 'size', **wanted):.3f}",
            f"{_largest(some, 'largest', **wanted):.1f}",
        ]
        cells.append(f"{_largest(some, 'condition', **wanted):.0e}")
        steady = [r for r in rows if r["part"] == "steadiness" and r["ridge"] == ridge]
        cells += [f"{100 * r['change']:.1f}" for r in steady]
        lines.append([f"{ridge:g}", *cells])
    names = [r["name"] for r in rows if r["part"] == "steadiness" and r["ridge"] == RIDGES[0]]
    header = ["λ", *KINDS, "size (eV Å^1.5)", "largest A (eV)", "condition"]
    return tables.format_table([*header, *(f"change, {name} (%)" for name in names)], lines)


def render(record):
    """Return the tables of a record."""
    rows = record["rows"]
    n_structures = len({r["name"] for r in rows if r["part"] == "gaussians"})
    return "\n\n".join(
        [
            f"Relative error (%) of the change of the potential of {n_structures} structures of "
            "silicon, by the number of Gaussians per atom, unregularised, exponents "
            "from 0.15 to 5 bohr⁻²; root mean square and mean of the potential, the latter with "
            "its spread among structures.",
            table_of_kinds(rows),
            f"Cells of up to {LARGE} atoms, by the largest exponent: mean error (%), and the "
            "largest condition number.",
            table_of_exponents(rows),
            "By the penalty λ, six Gaussians: error (%) by kind; root mean square and largest "
            "coefficients; largest condition number; relative change of the coefficients when "
            "atoms move by 0.01 Å.",
            table_of_ridges(rows),
        ]
    )


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=np.inf, help="start no more after this")
    options = parser.parse_args()
    rows, begin = [], time.perf_counter()
    for snapshot in load(options.data):
        if time.perf_counter() - begin > 60 * options.minutes:
            print("stopped; run again")
            return
        density = np.ascontiguousarray(snapshot.density[:])
        path = FOLDER / f"{snapshot.reference['name']}_{zlib.crc32(density):08x}.json"
        rows += harness.cached(path, rows_of, snapshot)
    rows = for_record(rows) + for_record(steadiness(rows))
    print(render({"rows": rows}))
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
