"""Train on a snapshot larger than memory should be, and score it, with bounded memory.

    large_snapshot.py [--grid 100] [--energies 250] [--buffer 64]

A model LDOS of grid³ points and many energies is written to disk slice by slice, with its
descriptors computed into a cache beside it. One epoch of training, then the band-energy score,
run in fresh processes whose peak memory is compared with the size of the arrays. MALA has no
figure here: it holds whole snapshots in memory, in float64 when it predicts.
"""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
from _harness import OUTPUT, call_fresh, format_table, parser, write_result

sys.path.insert(0, str(Path(__file__).parent / "peers"))

TWOJMAX = 10
HIDDEN = (100,)


def make_snapshot(folder, grid, n_energies):
    """Write the model LDOS of four aluminium atoms; return its size in bytes."""
    from ase.build import bulk

    from skldos import EnergyGrid, Snapshot, SnapshotList
    from skldos.geometry import grid_points

    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    atoms = bulk("Al", cubic=True)
    atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=atoms.positions.shape)
    shape, energies = (grid,) * 3, np.linspace(-4.0, 12.0, n_energies)
    ldos = np.lib.format.open_memmap(
        folder / "ldos.npy", mode="w+", dtype=np.float32, shape=(*shape, n_energies)
    )
    # A free-electron LDOS in a potential that follows the atoms; scaled to hold 12 electrons.
    scale = 12.0 / (atoms.cell.volume * (7.0 + 4.0) ** 1.5 / 1.5)
    for i in range(grid):
        points = grid_points(atoms.cell.array, shape, i * grid**2, (i + 1) * grid**2)
        well = np.cos(2 * math.pi * points / atoms.cell.lengths()).sum(axis=1)
        slab = scale * np.sqrt(np.maximum(energies + 4.0 + 0.2 * well[:, None], 0.0))
        ldos[i] = slab.reshape(grid, grid, n_energies)
    ldos.flush()
    del ldos
    snapshot = Snapshot(
        atoms,
        energies=EnergyGrid(energies),
        temperature=298.0,
        n_electrons=12.0,
        ldos=_handle(folder / "ldos.npy"),
    )
    SnapshotList([snapshot]).save(folder / "set")
    return snapshot.ldos.nbytes


def _handle(path):
    from skldos import ArrayFile

    return ArrayFile(path)


def _pipeline(folder, buffer):
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    descriptors = GridSNAPTransformer(twojmax=TWOJMAX, dtype="float32", memory=f"{folder}/cache")
    network = LDOSRegressor(
        module__hidden_layer_sizes=HIDDEN,
        max_epochs=1,
        batch_size=5000,
        buffer_size=buffer,
        random_state=0,
    )
    return Pipeline(
        [("snap", descriptors), ("scale", RowWise(StandardScaler())), ("ldos", network)]
    )


def describe(folder):
    """Compute the descriptors into the cache."""
    from skldos import SnapshotList

    snapshots = SnapshotList.load(f"{folder}/set")
    descriptors = _pipeline(folder, 1)[0]
    return _measured(lambda: descriptors.fit_transform(snapshots))


def train(folder, buffer):
    """Train one epoch and keep the pipeline."""
    import joblib

    from skldos import SnapshotList

    snapshots = SnapshotList.load(f"{folder}/set")
    model = _pipeline(folder, buffer)
    cost = _measured(lambda: model.fit(snapshots))
    joblib.dump(model, f"{folder}/model.joblib")
    return cost


def score(folder):
    """Score the kept pipeline by its band energy."""
    import joblib

    from skldos import BandEnergyScorer, SnapshotList

    snapshots = SnapshotList.load(f"{folder}/set")
    model = joblib.load(f"{folder}/model.joblib")
    return _measured(lambda: BandEnergyScorer()(model, snapshots))


def _measured(call):
    from _measure import Measurement

    with Measurement() as measurement:
        call()
    return measurement.as_dict()


def render(record):
    """Return the tables of benchmarks/README.md."""
    arrays = record["ldos_mib"] + record["descriptors_mib"]
    header = ["step", "wall s", "peak memory, MiB", "working memory, MiB", "working / arrays"]
    names = {
        "describe": "descriptors, into the cache",
        "train": "one epoch of training, scaling included",
        "score": "band-energy score",
    }
    rows = [
        [
            names[row["step"]],
            f"{row['wall_s']:.0f}",
            f"{row['peak_mib']:.0f}",
            f"{row['memory_mib']:.0f}",
            f"{row['memory_mib'] / arrays:.2f}",
        ]
        for row in record["rows"]
    ]
    caption = (
        f"{record['grid']}³ points, {record['energies']} energies: LDOS "
        f"{record['ldos_mib']:.0f} MiB, descriptors {record['descriptors_mib']:.0f} MiB (float32); "
        f"training buffer {record['buffer_mib']:.0f} MiB."
    )
    return caption + "\n\n" + format_table(header, rows)


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--grid", type=int, default=100, help="points per side [%(default)s]")
    arguments.add_argument("--energies", type=int, default=250, help="energies [%(default)s]")
    arguments.add_argument(
        "--buffer", type=float, default=64, help="training buffer in MiB [%(default)s]"
    )
    arguments = arguments.parse_args()
    folder = str(OUTPUT / "large")
    ldos = call_fresh(
        "large_snapshot",
        "make_snapshot",
        {"folder": folder, "grid": arguments.grid, "n_energies": arguments.energies},
    )
    sizes = {"ldos_mib": ldos / 2**20, "descriptors_mib": arguments.grid**3 * 91 * 4 / 2**20}
    rows = []
    for step, keywords in (
        ("describe", {}),
        ("train", {"buffer": arguments.buffer}),
        ("score", {}),
    ):
        cost = call_fresh("large_snapshot", step, {"folder": folder} | keywords, threads=2)
        rows.append({"step": step} | cost)
        print(
            format_table(
                ["step", "wall s", "peak MiB", "working MiB"],
                [[step, *(f"{cost[k]:.0f}" for k in ("wall_s", "peak_mib", "memory_mib"))]],
            )
        )
    if not arguments.no_write:
        write_result(
            "large_snapshot", rows, grid=arguments.grid, energies=arguments.energies,
            buffer_mib=arguments.buffer, **sizes,
        )  # fmt: skip
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
