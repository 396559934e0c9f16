"""Learning aluminium: band-energy errors of skldos and MALA on the same data and network.

Fit: liquid 0-3 and solid 0-3 at 933 K; validation: liquid 4 and solid 4; test: all the others.
Network 91-400-400-81, leaky ReLU, Adam with learning rate 1e-3, batches of 1000, early stopping
after 8 epochs without improvement; several seeds. The error of a snapshot is the band energy from
the predicted LDOS minus that from the DFT LDOS, in meV/atom. `skldos.physics` evaluates both, each
at its own Fermi level, so only the learning differs.

  MALA                 as MALA works: leaky ReLU on the output too, weights of the last epoch
  MALA, best epoch     the same run with the weights of the best epoch, which MALA does not keep
  MALA, linear output  no activation on the output, weights of the best epoch
  skldos               the same problem and output as the row before, best epoch
  skldos, DOS refit    the same, with the output layer refitted in closed form (`dos_weight=100`)

The 21 snapshots are first converted to .npy files in benchmarks/output/training/aluminium (0.7 GB),
with the bispectrum from LAMMPS (or skldos). Finished parts are stored there.

    python -m benchmarks.training.aluminium [--seeds 5] [--descriptors skldos]
    python -m benchmarks.training.aluminium --only-prepare
"""

import json
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.energies import band_energies, dos_of
from benchmarks.common.snapshots import read_snapshot
from benchmarks.common.splits import FIT, KINDS, VALIDATE, kind_of, paths_of
from benchmarks.common.tables import group, mean_and_range
from benchmarks.training._jobs import row_of, run_job, training_cells

R_CUT, TWOJMAX = 4.67637, 10
# run: (side, what it changes in the job)
RUNS = {
    "MALA": ("mala", {}),
    "MALA-linear-output": ("mala", {"activate_output": False}),
    "skldos": ("skldos", {"activate_output": False}),
    "skldos-DOS-refit": ("skldos", {"activate_output": False, "dos_weight": 100.0}),
}
# variant of the table: (run, ending of the predictions)
VARIANTS = {
    "MALA": ("MALA", ".npy"),
    "MALA, best epoch": ("MALA", ".best.npy"),
    "MALA, linear output": ("MALA-linear-output", ".best.npy"),
    "skldos": ("skldos", ".npy"),
    "skldos, DOS refit": ("skldos-DOS-refit", ".npy"),
}


# --- data --------------------------------------------------------------------------------------


def bispectrum_by_lammps(snapshot, peers):
    atoms, grid = snapshot.atoms, snapshot.grid_shape
    with tempfile.TemporaryDirectory() as folder:
        system, output = Path(folder) / "system.npz", Path(folder) / "bispectrum.npy"
        cell = {"positions": atoms.positions, "cell": atoms.cell.array, "numbers": atoms.numbers}
        np.savez(system, weights=json.dumps({"Al": 1.0}), **cell)
        arguments = ["--input", system, "--grid", *grid, "--twojmax", TWOJMAX, "--rcut", R_CUT]
        harness.run_peer("lammps_grid.py", [*arguments, "--output", output], peers)
        return np.load(output)


def bispectrum_by_skldos(snapshot, peers=None):
    from skldos.descriptors.bispectrum import grid_bispectrum

    atoms, grid = snapshot.atoms, snapshot.grid_shape
    weights, options = np.ones(len(atoms)), {"twojmax": TWOJMAX, "r_cut": R_CUT}
    values = grid_bispectrum(atoms.positions, weights, atoms.cell.array, grid, **options)
    return np.asarray(values).reshape(*grid, -1)


def prepare(path, folder, bispectrum, peers):
    """Write NAME.out.npy and NAME.in.npy once; the latter last, renamed when complete."""
    from skldos.geometry import grid_points

    inputs, outputs = folder / f"{path.stem}.in.npy", folder / f"{path.stem}.out.npy"
    if inputs.exists():
        return
    print(f"preparing {path.stem}", flush=True)
    snapshot = read_snapshot(path)
    np.save(outputs, snapshot.ldos)
    grid = snapshot.grid_shape
    # The first columns of a descriptor file of MALA are the coordinates of its points.
    points = grid_points(snapshot.atoms.cell.array, grid).reshape(*grid, 3)
    whole = np.concatenate([points, bispectrum(snapshot, peers)], axis=-1)
    partial = folder / f"{path.stem}.partial.npy"
    np.save(partial, whole.astype(np.float32))
    partial.rename(inputs)


def evaluate(snapshots, predictions, folder, ending):
    """Return the error of the band energy of every test snapshot, in meV/atom."""
    errors = {}
    for name, target in predictions:
        snapshot = snapshots[name]
        files = Path(target).with_suffix(ending), folder / f"{name}.out.npy"
        dos = [dos_of(np.load(file), snapshot) for file in files]
        predicted, reference = band_energies(dos, [snapshot] * 2)
        errors[name] = float(predicted - reference)
    return errors


# --- the runs ----------------------------------------------------------------------------------


def make_job(folder, name, test, seed, max_epochs):
    def files(snapshot):
        return [str(folder / f"{snapshot}.{kind}.npy") for kind in ("in", "out")]

    runs = folder / "runs"
    return {
        "fit": [files(snapshot) for snapshot in FIT],
        "validate": [files(snapshot) for snapshot in VALIDATE],
        "predict": [[files(s)[0], str(runs / f"{name}-{seed}.{s}.npy")] for s in test],
        "hidden_layer_sizes": [400, 400],
        "activation": "LeakyReLU",
        "activate_output": True,
        "batch_size": 1000,
        "learning_rate": 1e-3,
        "max_epochs": max_epochs,
        "patience": 8,
        "fast_data_set": True,
        "output_scaling": "minmax",
        "seed": seed,
        "energy_offset": -6.0,
        "energy_spacing": 0.2,
    }


def run_and_evaluate(run, seed, snapshots, folder, arguments):
    """Train one seed of one side; return its rows. The errors are kept, the predictions are not."""
    runs = folder / "runs"
    path = runs / f"{run}-{seed}.errors.json"
    side, change = RUNS[run]
    job = make_job(folder, run, list(snapshots), seed, arguments.max_epochs) | change
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["job"] == job:
            return kept["rows"]
    report = run_job(side, job, runs, f"{run}-{seed}", arguments.peers, arguments.threads)
    predictions = list(zip(snapshots, (target for _, target in job["predict"]), strict=True))
    rows = []
    for variant, (its_run, ending) in VARIANTS.items():
        if its_run == run:
            errors = evaluate(snapshots, predictions, folder, ending)
            row = row_of(variant, seed, report)
            rows.append(row | {"errors_mev_per_atom": errors})
    path.write_text(json.dumps({"job": job, "rows": rows}, indent=1))
    for _, target in predictions:
        for ending in (".npy", ".best.npy"):
            Path(target).with_suffix(ending).unlink(missing_ok=True)
    return rows


def mean_absolute(errors, kind=None):
    """Return the mean absolute error over the snapshots of a kind, or all, by name."""
    chosen = [abs(error) for name, error in errors.items() if kind in (None, kind_of(name))]
    return statistics.fmean(chosen)


def render(record):
    """Return the tables of a record."""
    groups = group(record["rows"], "variant")
    header = ["variant", "epochs", "training, CPU s", "wall s", "peak memory, MiB", *KINDS, "all"]
    rows = []
    for (variant,), of_variant in groups.items():
        by_kind = []
        for kind in [*KINDS, None]:
            means = [mean_absolute(row["errors_mev_per_atom"], kind) for row in of_variant]
            by_kind.append(mean_and_range(means, ".1f"))
        epochs = mean_and_range([row["epochs"] for row in of_variant], ".0f")
        rows.append([variant, epochs, *training_cells(of_variant), *by_kind])
    seeds = len({row["seed"] for row in record["rows"]})
    caption = (
        f"Mean absolute error of the band energy in meV/atom over the test snapshots of a kind; "
        f"mean (lowest to highest) of {seeds} seeds; {record['threads']} thread(s)."
    )
    return caption + "\n\n" + tables.format_table(header, rows)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="repetitions [%(default)s]")
    parser.add_argument("--max-epochs", type=int, default=100, help="[%(default)s]")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--threads", type=int, default=1, help="of a training [%(default)s]")
    parser.add_argument("--descriptors", choices=("lammps", "skldos"), default="lammps")
    parser.add_argument("--only-prepare", action="store_true", help="write the .npy files and stop")
    arguments = parser.parse_args()
    folder = harness.output_of(__file__)
    (folder / "runs").mkdir(parents=True, exist_ok=True)

    paths = paths_of(arguments.data, "al32")
    by = bispectrum_by_lammps if arguments.descriptors == "lammps" else bispectrum_by_skldos
    for path in paths:
        prepare(path, folder, by, arguments.peers)
    if arguments.only_prepare:
        return
    test = [path for path in paths if path.stem not in FIT + VALIDATE]
    snapshots = {path.stem: read_snapshot(path) for path in test}
    rows = []
    for seed in range(arguments.seeds):
        for run in arguments.runs:
            new = run_and_evaluate(run, seed, snapshots, folder, arguments)
            rows += new
            for row in new:
                errors = row["errors_mev_per_atom"]
                harness.show(row | {"mean_error": mean_absolute(errors)})
    if not arguments.no_write:
        harness.write_result(__file__, rows, arguments.peers, threads=arguments.threads)


if __name__ == "__main__":
    main()
