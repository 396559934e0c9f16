"""Learning aluminium: band-energy errors of skldos and MALA on the same data and network.

Fit: liquid 0-3 and solid 0-3 at 933 K; validation: liquid 4 and solid 4; test: all the others.
Network 91-400-400-81, leaky ReLU, Adam with learning rate 1e-3, batches of 1000, early stopping
after 8 epochs without improvement; several seeds. The error of a snapshot is the band energy from
the predicted LDOS minus that from the DFT LDOS, in meV/atom; both are evaluated by
`skldos.physics`, each at its own Fermi level, so that only the learning differs.

  MALA                 as MALA works: leaky ReLU on the output too, weights of the last epoch
  MALA, best epoch     the same run with the weights of the best epoch, which MALA does not keep
  MALA, linear output  no activation on the output, weights of the best epoch
  skldos               the same problem and output as the row before, best epoch
  skldos, DOS refit    the same, and the output layer refitted in closed form (`dos_weight=100`)

The 21 snapshots are first converted to .npy files in benchmarks/output/al32 (0.7 GB), their
bispectrum computed by LAMMPS (or by skldos). Everything finished is kept there and not repeated.

    python benchmarks/training_al32.py [--seeds 5] [--descriptors skldos]
    python benchmarks/training_al32.py --only-prepare
"""

import json
import tempfile
from pathlib import Path

import _harness
import numpy as np
from _learning import run_job
from _splits import KINDS
from _tables import group, mean_absolute, mean_and_range, training_cells

RCUT, TWOJMAX = 4.67637, 10
FIT = [f"Al32_933K_{phase}_{i}" for phase in ("liquid", "solid") for i in range(4)]
VALIDATE = ["Al32_933K_liquid_4", "Al32_933K_solid_4"]
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


def read_snapshot(path):
    with np.load(path) as data:
        return {key: data[key] for key in data.files if key not in ("forces", "density")}


def ldos_of(snapshot):
    """Return the LDOS in 1/(eV Å^3); the files hold it as float16 times `ldos_scale`."""
    return snapshot["ldos"].astype(np.float32) / np.float32(snapshot["ldos_scale"])


def grid_points(grid, cell):
    """Return the Cartesian grid points (nx, ny, nz, 3): the first columns of a descriptor file."""
    fractions = [np.arange(n) / n for n in grid]
    return np.stack(np.meshgrid(*fractions, indexing="ij"), axis=-1) @ cell


def bispectrum_by_lammps(snapshot, grid, peers):
    with tempfile.TemporaryDirectory() as folder:
        system, output = Path(folder) / "system.npz", Path(folder) / "bispectrum.npy"
        keys = ("positions", "cell", "numbers")
        np.savez(system, weights=json.dumps({"Al": 1.0}), **{key: snapshot[key] for key in keys})
        arguments = ["--input", system, "--grid", *grid, "--twojmax", TWOJMAX, "--rcut", RCUT]
        _harness.run_peer("lammps_grid.py", [*arguments, "--output", output], peers)
        return np.load(output)


def bispectrum_by_skldos(snapshot, grid, peers=None):
    from skldos.descriptors.bispectrum import grid_bispectrum

    values = grid_bispectrum(
        snapshot["positions"],
        np.ones(len(snapshot["numbers"])),
        snapshot["cell"],
        tuple(grid),
        twojmax=TWOJMAX,
        rcut=RCUT,
    )
    return np.asarray(values).reshape(*grid, -1)


def prepare(path, folder, bispectrum, peers):
    """Write NAME.out.npy and NAME.in.npy once; the latter last, under another name until whole."""
    inputs, outputs = folder / f"{path.stem}.in.npy", folder / f"{path.stem}.out.npy"
    if inputs.exists():
        return
    print(f"preparing {path.stem}", flush=True)
    snapshot = read_snapshot(path)
    ldos = ldos_of(snapshot)
    grid = ldos.shape[:3]
    np.save(outputs, ldos)
    values = bispectrum(snapshot, grid, peers)
    whole = np.concatenate([grid_points(grid, snapshot["cell"]), values], axis=-1)
    partial = folder / f"{path.stem}.partial.npy"
    np.save(partial, whole.astype(np.float32))
    partial.rename(inputs)


# --- energies ----------------------------------------------------------------------------------


def band_energy(ldos, snapshot):
    """Return the band energy (eV) from an LDOS, at the Fermi level of that LDOS."""
    from skldos import physics

    volume = abs(np.linalg.det(snapshot["cell"])) / np.prod(ldos.shape[:3])
    dos = ldos.reshape(-1, ldos.shape[-1]).sum(0, dtype=float) * volume
    energies, temperature = snapshot["energies"], float(snapshot["temperature"])
    level = physics.fermi_level(
        dos, energies, temperature=temperature, n_electrons=float(snapshot["n_electrons"])
    )
    return float(physics.band_energy(dos, energies, temperature=temperature, fermi_level=level))


def evaluate(snapshots, predictions, folder, ending):
    """Return the error in meV/atom of every test snapshot."""
    errors = {}
    for name, target in predictions:
        snapshot = snapshots[name]
        predicted = band_energy(np.load(Path(target).with_suffix(ending)), snapshot)
        reference = band_energy(np.load(folder / f"{name}.out.npy"), snapshot)
        errors[name] = (predicted - reference) / len(snapshot["numbers"]) * 1000
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
            rows.append(make_row(variant, seed, report, errors))
    path.write_text(json.dumps({"job": job, "rows": rows}, indent=1))
    for _, target in predictions:
        for ending in (".npy", ".best.npy"):
            Path(target).with_suffix(ending).unlink(missing_ok=True)
    return rows


def make_row(variant, seed, report, errors):
    return {
        "variant": variant,
        "seed": seed,
        "epochs": report["n_epochs"],
        "cpu_s": report["training"]["cpu_s"],
        "wall_s": report["training"]["wall_s"],
        "memory_mib": report["training"]["memory_mib"],
        "peak_mib": report["training"]["peak_mib"],
        "mse_scaled_best": min(report["mse_scaled"]),
        "errors_mev_per_atom": errors,
    }


def show(row):
    errors = np.abs(list(row["errors_mev_per_atom"].values()))
    print(
        f"{row['variant']:24s} seed {row['seed']}  {row['epochs']:3d} epochs  "
        f"{row['cpu_s']:6.0f} CPU s  {row['peak_mib']:5.0f} MiB  "
        f"mean |error| {errors.mean():6.1f} meV/atom",
        flush=True,
    )


def render(record):
    """Return the tables of benchmarks/README.md."""
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
    return caption + "\n\n" + _harness.format_table(header, rows)


def main():
    parser = _harness.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="repetitions [%(default)s]")
    parser.add_argument("--max-epochs", type=int, default=100, help="[%(default)s]")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--threads", type=int, default=1, help="of a training [%(default)s]")
    parser.add_argument("--descriptors", choices=("lammps", "skldos"), default="lammps")
    parser.add_argument("--only-prepare", action="store_true", help="write the .npy files and stop")
    arguments = parser.parse_args()
    folder = _harness.OUTPUT / "al32"
    (folder / "runs").mkdir(parents=True, exist_ok=True)

    paths = sorted((arguments.data / "al32").glob("*.npz"))
    if not paths:
        raise SystemExit(f"no al32 snapshots under {arguments.data}: give the folder by --data")
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
                show(row)
    if not arguments.no_write:
        _harness.write_result("training_al32", rows, arguments.peers, threads=arguments.threads)


if __name__ == "__main__":
    main()
