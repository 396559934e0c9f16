"""All stages with a large snapshot, from atoms to total energies, with default settings.

    python -m benchmarks.scale.large_snapshot [--grid 200] [--energies 250] [--folder FOLDER]

A model LDOS of grid³ points and many energies, of 256 aluminium atoms, is written to disk slab by
slab. Descriptors into a cache, one epoch of training, density of states, density and total energy
each run in a fresh process of one thread. Apart from the descriptors in float32, and the size of
batches and network, all settings are the defaults. Bytes are those that the process reads and
writes through system calls, from the page cache or the disk. A stage that has ended is not
repeated: start the script again to go on. There is no figure for MALA, which holds whole snapshots
in memory, in float64 when it predicts.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.peers._measure import Measurement

TWOJMAX = 10
HIDDEN = (100,)
REPEATS = 4  # cells of four atoms along every axis
STAGES = {
    "describe": "atoms → descriptors, into the cache",
    "train": "one epoch, with scaling and refit",
    "dos": "DOS",
    "density": "density",
    "total": "total energy",
}


def make_snapshot(folder, grid, n_energies):
    """Write the model LDOS; return its size in bytes."""
    import joblib
    from ase.build import bulk

    from skldos import ArrayFile, EnergyGrid, Snapshot
    from skldos.data.array_file import write_array_file
    from skldos.geometry import grid_points

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    atoms = bulk("Al", cubic=True).repeat(REPEATS)
    atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=atoms.positions.shape)
    shape, energies = (grid,) * 3, np.linspace(-4.0, 12.0, n_energies)
    n_electrons = 3.0 * len(atoms)
    # A free-electron LDOS in a potential that follows the lattice, with all electrons below 7 eV.
    scale = n_electrons / (atoms.cell.volume * (7.0 + 4.0) ** 1.5 / 1.5)

    def slabs():
        for i in range(grid):
            points = grid_points(atoms.cell.array, shape, i * grid**2, (i + 1) * grid**2)
            well = np.cos(2 * np.pi * REPEATS * points / atoms.cell.lengths()).sum(axis=1)
            slab = scale * np.sqrt(np.maximum(energies + 4.0 + 0.2 * well[:, None], 0.0))
            yield slab.reshape(1, grid, grid, n_energies)

    write_array_file(folder / "ldos.npy", (*shape, n_energies), np.float32, slabs())
    snapshot = Snapshot(
        atoms,
        energies=EnergyGrid(energies),
        temperature=298.0,
        n_electrons=n_electrons,
        ldos=ArrayFile(folder / "ldos.npy"),
    )
    joblib.dump(snapshot, folder / "snapshot.joblib")
    return snapshot.ldos.nbytes


def _pipeline(folder):
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    descriptors = GridSNAPTransformer(twojmax=TWOJMAX, dtype="float32", memory=f"{folder}/cache")
    network = LDOSRegressor(
        module__hidden_layer_sizes=HIDDEN, max_epochs=1, batch_size=5000, random_state=0
    )
    return Pipeline(
        [("snap", descriptors), ("scale", RowWise(StandardScaler())), ("ldos", network)]
    )


def run_stage(folder, stage):
    """Measure one stage (runs in its own process)."""
    import joblib

    from skldos import SnapshotList, predict, predict_density, predict_dos
    from skldos.physics import Pseudopotential

    snapshots = SnapshotList([joblib.load(f"{folder}/snapshot.joblib")])
    kept = Path(folder) / "model.joblib"
    model = joblib.load(kept) if kept.exists() else _pipeline(folder)
    ions = [Pseudopotential("Al", 3, functional="lda-pz")]
    work = {
        "describe": lambda: model[0].fit_transform(snapshots),
        "train": lambda: joblib.dump(model.fit(snapshots), kept),
        "dos": lambda: predict_dos(model, snapshots),
        "density": lambda: predict_density(model, snapshots),
        "total": lambda: predict(model, snapshots, pseudopotentials=ions),
    }
    before = _bytes_moved()
    with Measurement() as measurement:
        work[stage]()
    return measurement.as_dict() | {"mib_moved": (_bytes_moved() - before) / 2**20}


def _bytes_moved():
    """Return the bytes that this process has read and written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    counts = dict(line.split(": ") for line in lines)
    return int(counts["rchar"]) + int(counts["wchar"])


def render(record):
    """Return the tables of a record."""
    columns = {
        "stage": lambda row: STAGES[row["stage"]],
        "wall s": "{wall_s:.0f}",
        "CPU s": "{cpu_s:.0f}",
        "read and written, MiB": "{mib_moved:.0f}",
        "MB/s of CPU time": lambda row: f"{row['mib_moved'] * 1.048576 / row['cpu_s']:.0f}",
        "peak memory, MiB": "{peak_mib:.0f}",
        "working memory, MiB": "{memory_mib:.0f}",
    }
    caption = (
        f"{record['grid']}³ points, {record['energies']} energies: LDOS "
        f"{record['ldos_mib']:.0f} MiB, descriptors {record['descriptors_mib']:.0f} MiB (float32). "
        "One thread."
    )
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--grid", type=int, default=200, help="points per side [%(default)s]")
    parser.add_argument("--energies", type=int, default=250, help="energies [%(default)s]")
    parser.add_argument(
        "--folder", type=harness.absolute, default=harness.output_of(__file__), help="[%(default)s]"
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--keep", action="store_true", help="keep the folder for another run")
    arguments = parser.parse_args()
    folder = arguments.folder / f"{arguments.grid}-{arguments.energies}"
    if not (folder / "snapshot.joblib").exists():
        job = {"folder": str(folder), "grid": arguments.grid, "n_energies": arguments.energies}
        harness.call_fresh(make_snapshot, job)
    rows = []
    for stage in arguments.stages:
        report = folder / f"{stage}.json"
        if not report.exists():
            cost = harness.call_fresh(run_stage, {"folder": str(folder), "stage": stage}, threads=1)
            report.write_text(json.dumps({"stage": stage} | cost))
        rows.append(json.loads(report.read_text()))
        harness.show(rows[-1])
    if not arguments.no_write:
        n_points, options = arguments.grid**3, {"grid": arguments.grid}
        sizes = {
            "ldos_mib": n_points * arguments.energies * 4 / 2**20,
            "descriptors_mib": n_points * 91 * 4 / 2**20,
        }
        harness.write_result(__file__, rows, energies=arguments.energies, **options, **sizes)
    if not arguments.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
