"""How the cost of energies and forces grows with the cell: LDOSCalculator up to 2048 atoms.

A model trained on one cell of 32 atoms (that of `chain.py`: 91-400-400-81, trained on a 36³ grid)
is applied to repetitions of another, at the spacing of its grid: 1458 points per atom. Each size
runs in a fresh process. `--grid 18` leaves every other point out, in training too: an eighth of
the time. Energy per atom and forces must be those of the single cell.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --grid 12 --atoms 32 256    # a quick look
    python benchmarks/scaling.py --draw    # docs/images/scaling.png, from kept results
"""

import json
from pathlib import Path

import _harness
import numpy as np
from _snapshots import read_snapshot
from chain import PREDICTED, Stages, use_calculator
from peers._measure import Measurement

# Repetitions of the cell of 32 atoms along its vectors.
REPEATS = {
    32: (1, 1, 1),
    64: (2, 1, 1),
    128: (2, 2, 1),
    256: (2, 2, 2),
    864: (3, 3, 3),
    2048: (4, 4, 4),
}
EPOCHS = 5
FORCES_UP_TO = 864
# Large cells sum the Ewald energy on a mesh, with an accuracy of its own.
TOLERANCE = 1e-8  # eV/atom, and eV/Å
FIGURE = _harness.HERE.parent / "docs" / "images" / "scaling.png"


def run_size(data, folder, grid, n_atoms, forces, threads):
    """Time one size (runs in its own process)."""
    import joblib
    import torch

    torch.set_num_threads(threads)
    cell = read_snapshot(Path(data) / "al32" / f"{PREDICTED}.npz").replace(ldos=None, density=None)
    model = joblib.load(Path(folder) / "model.joblib")
    model["snap"].set_params(n_jobs=threads)
    properties = ["energy", "forces"] if forces else ["energy"]
    # Compile, on a grid of a few points.
    use_calculator(model, cell.replace(grid_shape=(6, 6, 6)), Stages(), properties)
    repeats = REPEATS[n_atoms]
    large = cell.replace(
        atoms=cell.atoms * repeats, grid_shape=tuple(grid * n for n in repeats), n_electrons=None
    )
    stages = Stages()
    with Measurement() as measurement:
        results = use_calculator(model, large, stages, properties)
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
            report = _harness.call_fresh("scaling", "run_size", keywords, arguments.threads)
            row = {"n_atoms": n_atoms, "forces": forces, **report}
            row["n_points"] = arguments.grid**3 * n_atoms // 32
            reference = first.setdefault(forces, report)
            energies = report["energy_ev_per_atom"], reference["energy_ev_per_atom"]
            row["energy_deviation_ev_per_atom"] = abs(energies[0] - energies[1])
            if forces:
                differences = np.subtract(row.pop("first_forces"), reference["first_forces"])
                row["forces_deviation"] = row.pop("forces_spread") + np.abs(differences).max()
            show(row)
            check(row)
            rows.append(row)
    return rows


def check(row):
    worst = max(row["energy_deviation_ev_per_atom"], row.get("forces_deviation", 0.0))
    if not worst <= TOLERANCE:
        raise SystemExit(f"{row['n_atoms']} atoms differ from the cell that they repeat: {worst}")


def show(row):
    stages = ", ".join(f"{name} {value:.2f}" for name, value in row["stages"].items())
    text = f"{row['n_atoms']:5d} atoms, {'forces' if row['forces'] else 'energy'}: "
    text += f"{row['wall_s']:7.2f} s, {1000 * row['wall_s'] / row['n_atoms']:6.1f} ms/atom, "
    text += f"{row['peak_mib']:6.0f} MiB, deviation {row['energy_deviation_ev_per_atom']:.0e} eV"
    if row["forces"]:
        text += f", {row['forces_deviation']:.0e} eV/Å"
    print(f"{text} ({stages})", flush=True)


def exponent(rows, key="cpu_s"):
    """Return the slope of log `key` against log atoms; CPU seconds mind other programs less."""
    if len(rows) < 2:
        return None
    slope, _ = np.polyfit(*(np.log([row[name] for row in rows]) for name in ("n_atoms", key)), 1)
    return float(slope)


# --- figure ---------------------------------------------------------------------------------------


def draw(rows, path):
    """Draw time per atom and peak memory against the number of atoms."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from skldos.plotting._axes import colors

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
    """Return the tables of benchmarks/README.md."""
    header = ["atoms", "grid points", "wanted", "wall s", "wall ms/atom", "CPU ms/atom"]
    header += ["peak memory, MiB", "energy off by, eV/atom", "forces off by, eV/Å"]
    rows = []
    for row in record["rows"]:
        forces = row.get("forces_deviation")
        rows.append(
            [
                row["n_atoms"],
                row["n_points"],
                "energy, forces, stress" if row["forces"] else "energy",
                f"{row['wall_s']:.1f}",
                f"{1000 * row['wall_s'] / row['n_atoms']:.1f}",
                f"{1000 * row['cpu_s'] / row['n_atoms']:.1f}",
                f"{row['peak_mib']:.0f}",
                f"{row['energy_deviation_ev_per_atom']:.0e}",
                "" if forces is None else f"{forces:.0e}",
            ]
        )
    exponents = record["exponents"]
    caption = (
        f"{record['threads']} threads. CPU seconds grow as atoms to the power of "
        f"{exponents['energy']:.2f} for energies and {exponents['forces']:.2f} with forces."
    )
    return caption + "\n\n" + _harness.format_table(header, rows)


def main():
    parser = _harness.parser(__doc__)
    parser.add_argument("--grid", type=int, default=36, help="of 32 atoms, per axis [%(default)s]")
    parser.add_argument("--atoms", type=int, nargs="+", choices=REPEATS, default=list(REPEATS))
    parser.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    parser.add_argument("--draw", action="store_true", help="only draw what was written last")
    arguments = parser.parse_args()
    if arguments.draw:
        kept = json.loads((_harness.RESULTS / "scaling.json").read_text())
        draw(kept["rows"], FIGURE)
        return
    folder = _harness.OUTPUT / "chain" / f"{arguments.grid}-{EPOCHS}"
    if not (folder / "model.joblib").exists():
        keywords = {"data": str(arguments.data), "folder": str(folder), "grid": arguments.grid}
        _harness.call_fresh("chain", "train", keywords | {"epochs": EPOCHS}, threads=2)
    rows = measure(folder, arguments)
    fitted = {
        name: exponent([row for row in rows if row["forces"] is forces])
        for name, forces in (("energy", False), ("forces", True))
    }
    print(f"CPU seconds grow as atoms to the power of {fitted}")
    if not arguments.no_write:
        extra = {"threads": arguments.threads, "grid": arguments.grid, "exponents": fitted}
        _harness.write_result("scaling", rows, **extra)
        draw(rows, FIGURE)


if __name__ == "__main__":
    main()
