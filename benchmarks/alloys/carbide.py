"""A compound with a gap: displaced and strained cells of silicon carbide, each left out in turn.

All cells of `benchmarks.data.make` (`sic`): eight atoms, 1000 K. Every cell is predicted by models
of all the others: band energies, Fermi levels and densities of states with spectra aligned to the
mean energy of the electrons, free energies and forces. Descriptors are those of `compositions.py`;
penalties and weights are chosen by leaving out cells inside of each training set.

  mean          the mean of the other cells
  and volume    least squares on the volume

    python -m benchmarks.alloys.carbide [--folders FOLDER ...]
"""

import numpy as np

from benchmarks.alloys.compositions import (
    QUANTITIES,
    band_energies,
    blocks_of,
    free_energies,
    potential,
    spectra,
)
from benchmarks.common import harness, tables
from benchmarks.data.read import snapshots_of

MODELS = ("SNAP, twice", "SOAP", "SOAP, centre")


def baseline(name, snapshots, train, test):
    """Return errors of the mean, or of least squares on the volume."""
    volume = np.array([s.atoms.cell.volume / len(s.atoms) for s in snapshots])
    columns = [np.ones(len(volume))] + ([volume] if name == "and volume" else [])
    inputs, errors = np.column_stack(columns), {}
    for key, true in (("band", band_energies(snapshots)), ("free", free_energies(snapshots))):
        weights = np.linalg.lstsq(inputs[train], true[train], rcond=1e-10)[0]
        errors[key] = 1e3 * (inputs[test] @ weights - true[test])
    if name == "mean":
        errors["forces"] = [np.sqrt(np.mean(snapshots[i].reference["forces"] ** 2)) for i in test]
    return errors


def rows_of(snapshots):
    """Return the errors of every model of every cell."""
    rows = []
    for name in ("mean", "and volume", *MODELS):
        blocks = blocks_of(name, snapshots, ("Si", "C")) if name in MODELS else None
        for i in range(len(snapshots)):
            train, test = np.delete(np.arange(len(snapshots)), i), np.array([i])
            if blocks is None:
                errors = baseline(name, snapshots, train, test)
            else:
                errors = spectra(blocks, "band", train, test) | potential(blocks, train, test)
            rows += [
                {
                    "model": name,
                    "quantity": key,
                    "snapshot": snapshots[i].name,
                    "error": float(value),
                }
                for key, (value,) in errors.items()
            ]
        print(f"{name} done", flush=True)
    return rows


def render(record):
    """Return the table of mean absolute errors, the largest in brackets."""
    rows = record["rows"]
    n_cells = len({row["snapshot"] for row in rows})
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        cells = []
        for key, (_, form) in QUANTITIES.items():
            errors = [abs(r["error"]) for r in rows if (r["model"], r["quantity"]) == (model, key)]
            known = (
                f"{format(np.mean(errors), form)} ({format(max(errors), form)})" if errors else ""
            )
            cells.append(known)
        lines.append([model, *cells])
    header = ["model", *(title for title, _ in QUANTITIES.values())]
    return (
        f"{n_cells} cells, each predicted by models of the others: mean absolute errors, the "
        "largest in brackets; for *mean*, the forces themselves.\n\n"
        + tables.format_table(header, lines)
    )


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--folders", nargs="*", type=harness.absolute, default=[])
    arguments = parser.parse_args()
    snapshots = snapshots_of("sic", arguments.folders)
    rows = rows_of(snapshots)
    print(render({"rows": rows}))
    if not arguments.no_write:
        harness.write_result(__file__, rows, n_snapshots=len(snapshots))


if __name__ == "__main__":
    main()
