"""Cost of energies and forces by the size of the cell: LDOSCalculator.

A model trained on one cell of 32 atoms (that of `chain.py`: 91-400-400-81, trained on a 36³ grid)
is applied to repetitions of another, at the spacing of its grid: 1458 points per atom. Each size
runs in a fresh process. `--grid 18` leaves out every other point along each axis, in training too,
which takes an eighth of the time. Energy per atom and forces must be those of the single cell.

    python -m benchmarks.scale.scaling
    python -m benchmarks.scale.scaling --grid 12 --atoms 32 256    # a quick look
    python -m benchmarks.scale.scaling --draw    # the picture, from kept results
"""

from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import read_snapshot
from benchmarks.peers._measure import Measurement
from benchmarks.scale._model import PREDICTED, Stages, trained, use_calculator

# Repetitions of the cell of 32 atoms along its vectors.
REPEATS = {
    32: (1, 1, 1),
    64: (2, 1, 1),
    128: (2, 2, 1),
    256: (2, 2, 2),
    864: (3, 3, 3),
    2048: (4, 4, 4),
    10976: (7, 7, 7),
}
EPOCHS = 5
FORCES_UP_TO = 864
# Large cells sum the Ewald energy on a mesh, with an accuracy of its own.
TOLERANCE = 1e-8  # eV/atom, and eV/Å
FIGURE = harness.IMAGES / "scaling.png"


def run_size(data, folder, grid, n_atoms, forces, threads):
    """Time one size (runs in its own process)."""
    import joblib
    import torch

    torch.set_num_threads(threads)
    cell = read_snapshot(Path(data) / "al32" / f"{PREDICTED}.npz").replace(ldos=None, density=None)
    model = joblib.load(Path(folder) / "model.joblib")
    model["snap"].set_params(n_jobs=threads)
    properties = ["energy", "forces"] if forces else ["energy"]
    # Compile, on a grid of fewer points.
    use_calculator(model, cell.replace(grid_shape=(2 * grid // 3,) * 3), Stages(), properties)
    repeats = REPEATS[n_atoms]
    large = cell.replace(
        atoms=cell.atoms * repeats,
        grid_shape=tuple(grid * n for n in repeats),
        n_electrons=None,
        reference=None,  # forces of the calculation are those of one cell
    )
    stages = Stages()
    with Measurement() as measurement:
        results = use_calculator(model, large, stages, properties).results
    report = measurement.as_dict() | {"energy_ev_per_atom": results["energy"] / n_atoms}
    report["stages"] = stages.of(report["wall_s"])
    if forces:
        # ASE repeats the atoms of the cell one after the other.
        images = results["forces"].reshape(-1, *cell.atoms.positions.shape)
        report["first_forces"] = images[0].tolist()
        report["forces_spread"] = float(np.abs(images - images[0]).max())
    return report


def measure(folder, arguments):
    """Return one row per size and kind of calculation; stop if a repetition is not the cell."""
    rows, first = [], {}
    job = {"data": str(arguments.data), "folder": str(folder), "grid": arguments.grid}
    job["threads"] = arguments.threads
    for forces in (False, True):
        for n_atoms in arguments.atoms:
            if forces and n_atoms > FORCES_UP_TO:
                continue
            keywords = job | {"n_atoms": n_atoms, "forces": forces}
            report = harness.call_fresh(run_size, keywords, arguments.threads)
            row = {"n_atoms": n_atoms, "forces": forces, **report}
            row["n_points"] = arguments.grid**3 * n_atoms // 32
            reference = first.setdefault(forces, report)
            energies = report["energy_ev_per_atom"], reference["energy_ev_per_atom"]
            row["energy_deviation_ev_per_atom"] = abs(energies[0] - energies[1])
            if forces:
                differences = np.subtract(row.pop("first_forces"), reference["first_forces"])
                row["forces_deviation"] = row.pop("forces_spread") + np.abs(differences).max()
            harness.show(row)
            worst = max(row["energy_deviation_ev_per_atom"], row.get("forces_deviation", 0.0))
            harness.require(f"{n_atoms} atoms, as the cell they repeat,", worst, TOLERANCE)
            rows.append(row)
    return rows


def exponent(rows, key="cpu_s"):
    """Return the slope of log `key` against log atoms; CPU seconds mind other programs less."""
    if len(rows) < 2:
        return None
    slope, _ = np.polyfit(*(np.log([row[name] for row in rows]) for name in ("n_atoms", key)), 1)
    return float(slope)


# --- figure ---------------------------------------------------------------------------------------


def draw(rows, path):
    """Draw time per atom and peak memory against the number of atoms."""
    from skldos.plotting.axes import colors

    plt = harness.pyplot()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.2, 3.6), dpi=120, layout="constrained", sharex=True
    )
    for forces, color in zip((False, True), colors(2), strict=True):
        chosen = [row for row in rows if row["forces"] is forces]
        atoms = [row["n_atoms"] for row in chosen]
        style = {"color": color, "marker": "o", "markersize": 4}
        label = "energy, forces, stress" if forces else "energy"
        left.plot(atoms, [row["wall_s"] / row["n_atoms"] for row in chosen], label=label, **style)
        right.plot(atoms, [row["peak_mib"] / 1024 for row in chosen], **style)
    left.set(ylabel="wall time per atom (s)", ylim=(0, None))
    right.set(ylabel="peak memory (GiB)", ylim=(0, None))
    left.legend(frameon=False)
    sizes = sorted({row["n_atoms"] for row in rows})
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{n}" for n in sizes])
        ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        ax.set_xlabel("atoms")
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    print(f"wrote {path}")


def render(record):
    """Return the tables of a record."""
    columns = {
        "atoms": "{n_atoms}",
        "grid points": "{n_points}",
        "calculated": lambda row: "energy, forces, stress" if row["forces"] else "energy",
        "wall s": "{wall_s:.1f}",
        "wall ms/atom": lambda row: f"{1000 * row['wall_s'] / row['n_atoms']:.1f}",
        "CPU ms/atom": lambda row: f"{1000 * row['cpu_s'] / row['n_atoms']:.1f}",
        "peak memory, MiB": "{peak_mib:.0f}",
        "energy off by, eV/atom": "{energy_deviation_ev_per_atom:.0e}",
        "forces off by, eV/Å": "{forces_deviation:.0e}",
    }
    exponents = record["exponents"]
    per_atom = record["grid"] ** 3 / 32
    caption = (
        f"{per_atom:.0f} points per atom; {record['threads']} thread(s). CPU seconds grow as atoms "
        f"to the power of {exponents['energy']:.2f} for energies and {exponents['forces']:.2f} "
        "with forces."
    )
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--grid", type=int, default=36, help="of 32 atoms, per axis [%(default)s]")
    parser.add_argument("--atoms", type=int, nargs="+", choices=REPEATS, default=list(REPEATS))
    parser.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    parser.add_argument("--draw", action="store_true", help="only draw what was written last")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(harness.read_result(__file__)["rows"], FIGURE)
        return
    folder = trained(arguments.data, arguments.grid, EPOCHS)
    rows = measure(folder, arguments)
    fitted = {
        name: exponent([row for row in rows if row["forces"] is forces])
        for name, forces in (("energy", False), ("forces", True))
    }
    print(f"CPU seconds grow as atoms to the power of {fitted}")
    if not arguments.no_write:
        extra = {"threads": arguments.threads, "grid": arguments.grid, "exponents": fitted}
        harness.write_result(__file__, rows, **extra)
        draw(rows, FIGURE)


if __name__ == "__main__":
    main()
