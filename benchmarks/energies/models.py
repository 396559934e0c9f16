"""Energies, densities and forces of models of 32-atom aluminium, compared with pw.x.

Fit: liquid 0-3 and solid 0-3 at 933 K; validation: liquid 4 and solid 4, not used otherwise; test:
all the others, as in training/aluminium.py. Network 91-400-400-81, batches of 1000, output layer
refitted (`dos_weight="auto"`); several seeds.

  plain   leaky ReLU, targets divided by their maximum, Adam, early stopping after 8 epochs without
          improvement: the row "skldos, DOS refit" of training/aluminium.py
  smooth  SiLU, every energy normalised, AdamW, the learning rate annealed over 12 epochs: a model
          with continuous forces

Errors are means over the snapshots of a kind. Band energy and total free energy are compared with
those of the true LDOS, and with pw.x after the broadening is undone to second order; the density
with the true one; the forces with those of pw.x, whose root mean square and correlation are given,
too. Models are kept in benchmarks/output/energies/models.

    python -m benchmarks.energies.models [--seeds 3]
"""

import statistics

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import read_snapshot
from benchmarks.common.splits import FIT, KINDS, VALIDATE, kind_of, paths_of
from benchmarks.common.tables import group, mean_and_range

FOLDER = harness.output_of(__file__)
SHARPEN = 2
VARIANTS = ("plain", "smooth")


def build(variant, seed):
    """Return the pipeline from snapshots to the LDOS, not yet fitted."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from torch.optim import AdamW

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    options = {"lr": 1e-3, "batch_size": 1000, "train_split": [8, 9], "random_state": seed}
    if variant == "plain":
        options |= {"max_epochs": 100, "early_stopping": 8}
    else:
        options |= {
            "module__activation": "silu",
            "max_epochs": 12,
            "optimizer": AdamW,
            "lr_schedule": "cosine",
            "target_scaling": "standard",
        }
    return make_pipeline(
        GridSNAPTransformer(memory=str(FOLDER / "cache")),
        RowWise(StandardScaler()),
        LDOSRegressor(module__hidden_layer_sizes=(400, 400), **options),
    )


def train(variant, seed, data):
    """Return the fitted pipeline, from its file if there is one."""
    import joblib

    path = FOLDER / f"{variant}_{seed}.joblib"
    if not path.exists():
        print(f"training {path.stem}", flush=True)
        model = build(variant, seed)
        model.fit([read_snapshot(data / f"{name}.npz") for name in FIT + VALIDATE])
        joblib.dump(model, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
    return joblib.load(path)


def errors_of(model, snapshot):
    """Return the errors of one snapshot, by name."""
    from skldos import LDOSCalculator, evaluate
    from skldos.datasets import load_aluminium_pseudopotentials

    pseudopotentials = load_aluminium_pseudopotentials()
    options = {"pseudopotentials": pseudopotentials}
    true = evaluate(model, [snapshot], density=True, **options).iloc[0]
    dft = evaluate(model, [snapshot], reference="dft", sharpen=SHARPEN, **options).iloc[0]
    atoms, expected = snapshot.atoms.copy(), snapshot.reference["forces"]
    atoms.calc = LDOSCalculator(
        model, pseudopotentials, temperature=snapshot.temperature, sharpen=SHARPEN
    )
    # pw.x takes the net force out as well.
    forces = atoms.get_forces()
    forces = forces - forces.mean(axis=0)
    return {
        "band_ldos": abs(true["band_energy_error"]),
        "total_ldos": abs(true["total_energy_error"]),
        "band_dft": abs(dft["band_energy_error"]),
        "total_dft": abs(dft["total_energy_error"]),
        "density": true["density_percentage_error"],
        "force_rmse": np.sqrt(np.mean((forces - expected) ** 2)),
        "force_rms": np.sqrt(np.mean(expected**2)),
        "force_correlation": np.corrcoef(forces.ravel(), expected.ravel())[0, 1],
    }


def render(record):
    """Return the tables of a record."""
    columns = {
        "band_ldos": ("band energy, of LDOS", ".1f"),
        "total_ldos": ("total energy, of LDOS", ".1f"),
        "band_dft": ("band energy, of pw.x", ".1f"),
        "total_dft": ("total energy, of pw.x", ".1f"),
        "density": ("density, %", ".2f"),
        "force_rmse": ("forces, eV/Å", ".2f"),
        "force_rms": ("pw.x's forces, eV/Å", ".2f"),
        "force_correlation": ("correlation", ".2f"),
    }
    rows = []
    for (model,), of_model in group(record["rows"], "model").items():
        for kind in [*KINDS, "all"]:
            some = [row for row in of_model if kind in (kind_of(row["snapshot"]), "all")]
            cells = []
            for key, (_, form) in columns.items():
                of_seeds = [
                    statistics.fmean(row[key] for row in of_seed)
                    for of_seed in group(some, "seed").values()
                ]
                cells.append(mean_and_range(of_seeds, form))
            rows.append([model, kind, *cells])
    seeds = len({row["seed"] for row in record["rows"]})
    caption = (
        "Mean absolute errors of energies in meV/atom, and of forces the root mean square one; "
        f"mean (lowest to highest) of {seeds} seeds."
    )
    header = ["model", "snapshots", *(title for title, _ in columns.values())]
    return caption + "\n\n" + tables.format_table(header, rows)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds [%(default)s]")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = options.data / "al32"
    test = [p.stem for p in paths_of(options.data, "al32") if p.stem not in FIT + VALIDATE]
    rows = []
    for variant in VARIANTS:
        for seed in range(options.seeds):
            model = train(variant, seed, data)
            for name in test:
                errors = errors_of(model, read_snapshot(data / f"{name}.npz"))
                row = {"model": variant, "seed": seed, "snapshot": name}
                rows.append(row | {key: float(value) for key, value in errors.items()})
                print(rows[-1], flush=True)
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
