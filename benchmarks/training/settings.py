"""Settings of `skldos.models.grid`, chosen on other snapshots than those of the demo.

Two kinds of aluminium count equally.

- Sixteen cells of four atoms, half of them displaced as at 298 K and half as at 933 K, calculated
  like those of `skldos.datasets.load_aluminium` (with pw.x, five minutes), but from other seeds. A
  model is trained on three of each temperature and tested on the other ten; four draws.
- The 21 cells of 32 atoms with an LDOS: liquids, hot solids and cooler ones. A model is trained on
  two of each, with every second point along each cell vector, and tested on two others of each with
  all points; four draws.

A direct search changes one setting at a time until no change lowers the geometric mean, over all
draws, of the mean absolute error of band and total energy. Then the number of passes over the data
is varied.

    python -m benchmarks.training.settings [--data DATA] [--jobs 2]

The small cells are kept in benchmarks/output/training/settings, with all descriptors.
"""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import read_snapshot, thinned

FOLDER = harness.output_of(__file__)
SEED, N_DRAWS = 90_000, 4
TEMPERATURES, N_CELLS, N_TRAINING = (298, 933), 16, 6
#: Snapshots of 32 atoms of each kind; so many are trained on, and as many others are predicted.
KINDS, PER_KIND = ("933K_liquid", "933K_solid", "[125]*_solid"), 2
#: Values of every setting; the search starts from the first ones, those of before.
VALUES = {
    "ldosregressor__batch_size": (200, 100, 400, 800, 1600),
    "ldosregressor__lr": (3e-3, 5e-4, 1e-3, 2e-3, 6e-3, 1.2e-2),
    "ldosregressor__optimizer__weight_decay": (0.3, 0.03, 0.1, 1.0),
    "ldosregressor__module__hidden_layer_sizes": ((100,), (50,), (200,), (100, 100)),
    "gridsnaptransformer__r_cut": (4.0, 3.0, 3.25, 3.5, 3.75, 4.5, 5.0),
    "gridsnaptransformer__twojmax": (6, 4, 8),
}
EPOCHS = (20, 30, 40, 60, 80)


def small_cells():
    """Return the snapshots of four atoms, calculated if they are not there yet, and their draws."""
    from benchmarks.data.make import PSEUDOPOTENTIALS
    from benchmarks.data.structures import aluminium
    from skldos import Snapshot
    from skldos.datasets import aluminium_recipe

    atoms = [
        Snapshot(aluminium("solid", kelvin, SEED + i, repeat=1), temperature=kelvin)
        for i, kelvin in enumerate(np.resize(TEMPERATURES, N_CELLS).tolist())
    ]
    recipe = aluminium_recipe(pseudo_dir=PSEUDOPOTENTIALS)
    rng, draws = np.random.default_rng(0), []
    pairs = np.arange(N_CELLS).reshape(-1, len(TEMPERATURES))
    for _ in range(N_DRAWS):
        training = rng.permuted(pairs, axis=0)[: N_TRAINING // len(TEMPERATURES)].ravel()
        draws.append((np.sort(training), np.setdiff1d(pairs, training)))
    return list(recipe.run(atoms, FOLDER / "snapshots")), draws


def large_cells(data, first):
    """Return thinned and full snapshots of 32 atoms, and draws with indices from `first`."""
    files = [sorted((data / "al32").glob(f"Al32_{kind}_*.npz")) for kind in KINDS]
    full = [read_snapshot(path) for kind in files for path in kind]
    kinds = np.split(np.arange(len(full)), np.cumsum([len(kind) for kind in files])[:-1])
    rng, draws = np.random.default_rng(0), []
    for _ in range(N_DRAWS):
        order = [rng.permutation(kind)[: 2 * PER_KIND] for kind in kinds]
        training, test = (np.concatenate([o[half::2] for o in order]) for half in (0, 1))
        draws.append((first + np.sort(training), first + len(full) + np.sort(test)))
    return [thinned(snapshot, 2) for snapshot in full] + full, draws


def score(model, snapshots, y=None):
    """Return mean absolute errors of both energies in meV/atom, and minus the log of their mean."""
    from skldos import evaluate
    from skldos.datasets import load_aluminium_pseudopotentials

    table = evaluate(model, snapshots, pseudopotentials=load_aluminium_pseudopotentials())
    errors = {name: table[f"{name}_energy_error"].abs().mean() for name in ("band", "total")}
    return errors | {"both": -np.log(sum(errors.values()) / 2)}


def model():
    """Return the model, its descriptors kept in a folder."""
    from skldos import models

    return models.grid(random_state=0, memory=str(FOLDER / "descriptors"))


def rows_of(search, part):
    """Return a row for every candidate of a search: settings, errors, seconds of a fit."""
    results = search.cv_results_
    errors = {
        name: np.stack([results[f"split{i}_test_{name}"] for i in range(2 * N_DRAWS)], axis=1)
        for name in ("band", "total")
    }
    columns = {
        f"{name}_{size}": values[:, draws].mean(axis=1)
        for name, values in errors.items()
        for size, draws in (("4", slice(N_DRAWS)), ("32", slice(N_DRAWS, None)))
    }
    columns |= {"mean": np.exp(-results["mean_test_both"]), "fit_s": results["mean_fit_time"]}
    return [
        {"part": part}
        | {name.split("__")[-1]: value for name, value in params.items()}
        | {name: float(values[i]) for name, values in columns.items()}
        for i, params in enumerate(results["params"])
    ]


def render(record):
    """Return the tables of a record."""
    errors = {
        "4: band": "{band_4:.2f}",
        "4: total": "{total_4:.2f}",
        "32: band": "{band_32:.1f}",
        "32: total": "{total_32:.1f}",
        "mean": "{mean:.2f}",
        "fit, s": "{fit_s:.2f}",
    }
    parts = tables.group(record["rows"], "part")
    settings = {name: f"{{{name}}}" for name in (path.split("__")[-1] for path in VALUES)}
    found = sorted(parts["search",], key=lambda row: row["mean"])
    return (
        "Candidates of the search, the best first; errors of band and total energy in meV/atom for "
        "cells of 4 and 32 atoms, and their geometric mean.\n\n"
        + tables.column_table(settings | errors, found)
        + "\n\nThe best of them with other numbers of passes over the data.\n\n"
        + tables.column_table({"passes": "{max_epochs}"} | errors, parts["passes",])
    )


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="parallel fits [%(default)s]")
    options = parser.parse_args()
    from sklearn.model_selection import GridSearchCV

    from skldos import SnapshotList
    from skldos.search import DirectSearchCV

    small, draws = small_cells()
    large, more = large_cells(options.data, first=len(small))
    snapshots = SnapshotList(small + large)
    common = {"scoring": score, "cv": draws + more, "n_jobs": options.jobs}
    search = DirectSearchCV(model(), VALUES, refit="both", verbose=1, **common).fit(snapshots)
    best = model().set_params(**search.best_params_)
    passes = GridSearchCV(best, {"ldosregressor__max_epochs": EPOCHS}, refit=False, **common)
    rows = rows_of(search, "search") + rows_of(passes.fit(snapshots), "passes")
    print(render({"rows": rows}))
    if not options.no_write:
        harness.write_result(__file__, rows, chosen=search.best_params_)


if __name__ == "__main__":
    main()
