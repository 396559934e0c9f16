"""Training on MALA's own test data, its example 01: skldos and MALA.

Two snapshots of beryllium (0 to fit, 1 to validate, 8748 points each), network 91-100-11, ReLU,
Adam with learning rate 1e-5, batches of 40, 100 epochs. Both sides take the same job, one thread:

  MALA                      as its example 01 trains (ReLU on the output too, MALA's default)
  MALA, fast data set       the same with `use_fast_tensor_data_set`, MALA's faster loader
  MALA, linear output       the first without the ReLU on the output
  skldos, as MALA           the problem of the first: ReLU on the output, min-max targets
  skldos, linear output     the problem of the third
  skldos, max targets       the defaults of skldos: linear output, targets divided by their maximum
  skldos, standard targets  linear output, every energy scaled to zero mean and unit variance

Finished runs are kept in benchmarks/output/training/beryllium; --fresh repeats them.

    python -m benchmarks.training.beryllium [--epochs 5 --seeds 1]
"""

import shutil
import statistics

from benchmarks.common import harness, tables
from benchmarks.common.tables import group, mean_and_range
from benchmarks.training._jobs import row_of, run_job, training_cells

# variant: (side, what it changes in the job)
VARIANTS = {
    "MALA": ("mala", {}),
    "MALA, fast data set": ("mala", {"fast_data_set": True}),
    "MALA, linear output": ("mala", {"activate_output": False}),
    "skldos, as MALA": ("skldos", {}),
    "skldos, linear output": ("skldos", {"activate_output": False}),
    "skldos, max targets": ("skldos", {"activate_output": False, "output_scaling": "max"}),
    "skldos, standard targets": (
        "skldos",
        {"activate_output": False, "output_scaling": "standard"},
    ),
}


def make_job(data, epochs, seed):
    """Return MALA's example 01 as a job."""
    files = [
        [str((data / f"Be_snapshot{i}.{kind}.npy").resolve()) for kind in ("in", "out")]
        for i in range(2)
    ]
    return {
        "fit": files[:1],
        "validate": files[1:],
        "hidden_layer_sizes": [100],
        "activation": "ReLU",
        "activate_output": True,
        "batch_size": 40,
        "learning_rate": 1e-5,
        "max_epochs": epochs,
        "output_scaling": "minmax",
        "seed": seed,
        "energy_offset": -5.0,
        "energy_spacing": 2.5,
    }


def make_row(variant, seed, report):
    last = {
        "mse_scaled": report["mse_scaled"][-1],
        "loss_mala": report.get("loss_mala", [None])[-1],
    }
    return row_of(variant, seed, report) | last


def render(record):
    """Return the tables of a record."""
    header = [
        "variant",
        "training, CPU s",
        "wall s",
        "peak memory, MiB",
        "ratio to MALA (CPU)",
        "MSE after the last epoch",
        "MALA's own loss",
    ]
    groups = group(record["rows"], "variant")
    baseline = groups.get(("MALA",))
    rows = []
    for (variant,), of_variant in groups.items():
        ratio = ""
        if baseline:
            cpu = statistics.fmean(row["cpu_s"] for row in of_variant)
            ratio = f"{statistics.fmean(row['cpu_s'] for row in baseline) / cpu:.2f}"
        own = [row["loss_mala"] for row in of_variant if row["loss_mala"] is not None]
        rows.append(
            [
                variant,
                *training_cells(of_variant),
                ratio,
                mean_and_range([row["mse_scaled"] for row in of_variant], ".2e"),
                mean_and_range(own, ".2e") if own else "",
            ]
        )
    seeds = len({row["seed"] for row in record["rows"]})
    caption = f"{record['epochs']} epochs; mean (lowest to highest) of {seeds} seeds."
    return caption + "\n\n" + tables.format_table(header, rows)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=100, help="[%(default)s]")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions [%(default)s]")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--fresh", action="store_true", help="repeat what is there already")
    arguments = parser.parse_args()
    folder = harness.output_of(__file__)
    if arguments.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for seed in range(arguments.seeds):
        for variant in arguments.variants:
            side, change = VARIANTS[variant]
            job = make_job(arguments.data / "be2", arguments.epochs, seed) | change
            name = f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}"
            rows.append(make_row(variant, seed, run_job(side, job, folder, name, arguments.peers)))
            harness.show(rows[-1])
    if not arguments.no_write:
        harness.write_result(__file__, rows, arguments.peers, epochs=arguments.epochs)


if __name__ == "__main__":
    main()
