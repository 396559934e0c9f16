"""DOS of atoms against the LDOS of grid points: 32-atom aluminium.

  LDOS-SNAP   bispectrum of every grid point, network 91-400-400-81, as in Ellis et al.: leaky
              ReLU, Adam with learning rate 1e-3, batches of 1000, the best of 40 epochs, early
              stopping after 8 without improvement. `refit`: the output layer is refitted in
              closed form (`dos_weight="auto"`, the default of `LDOSRegressor`)
  ADOS-CSNN   environments of atoms on concentric spheres, and the spherical network: not that of
              the paper, an epoch of which takes minutes, but the best of some trials on these data
  ADOS-SOAP   ridge regression of the DOS of atoms on SOAP vectors, in closed form: of wide
              Gaussians within 4 Å with a large `dos_weight`, the best of `closed_form.py`, chosen
              by leaving out snapshots of this very data; of those within 8 Å; and of two at once

Errors of band energies are absolute, in meV/atom, against those of the true LDOS, in two studies:

  split           five liquids and five solids at 933 K for training, one each for validation, drawn
                  by a seed (`common/splits.py`); the test is on all others. Intervals of 95 % by
                  Student's t over the seeds, whose test sets share snapshots
  leave one out   every snapshot is predicted by a model of the 20 others. Intervals of 95 % by
                  Student's t over the snapshots

Differences to LDOS-SNAP are paired by seed or by snapshot. For 21 trainings one after the other,
LDOS-SNAP is trained at reduced cost: `thinned` has every eighth grid point and 12 epochs without
validation, with the learning rate annealed to zero. The first study includes it as well, to show
what that costs.

Every fold is stored in benchmarks/output/atoms/against_grid. `--times` only measures times, with
one thread and every model in its own process (`_times.py`), and does not change the errors.

    python -m benchmarks.atoms.against_grid [--models LDOS ADOS-SOAP] [--seeds 5] [--kept]
    python -m benchmarks.atoms.against_grid --times [--peers ENVIRONMENT]
"""

import json
import time

from benchmarks.atoms import _times
from benchmarks.atoms._against_grid_models import MODELS, ONLY_SPLIT, THINNED, fitted
from benchmarks.atoms._against_grid_tables import STUDIES, difference_table, draw, error_table
from benchmarks.common import harness
from benchmarks.common.snapshots import thinned
from benchmarks.common.splits import leave_one_out, random_split, read_al32

FOLDER = harness.output_of(__file__)
IMAGE = harness.IMAGES / "ados_ldos.png"


# --- errors ------------------------------------------------------------------------------------


def folds_of(study, names, n_seeds):
    """Yield seed and indices of training, validation and test data."""
    if study == "split":
        for seed in range(n_seeds):
            yield seed, *random_split(names, seed)
    else:
        for fit, test in leave_one_out(names):
            yield 0, fit, [], test


def rows_of(name, study, fold, snapshots, names, only_kept=False):
    """Return errors of all test snapshots, from the cache if it has this model."""
    seed, *parts = fold
    parts = [[names[i] for i in part] for part in parts]
    # The parameters that are not at their defaults, all of them.
    key = [MODELS[name](seed, parts[1]).__repr__(N_CHAR_MAX=10**6), *parts]
    path = FOLDER / f"{name}-{study}-{seed}-{parts[-1][0]}.json".replace(" ", "_")
    if path.exists() and (kept := json.loads(path.read_text()))["key"] == key:
        return kept["rows"]
    if only_kept:
        return []
    by_name = dict(zip(names, snapshots, strict=True))
    data = [[by_name[n] for n in part] for part in parts]
    rows = [
        {"study": study, "model": variant, "seed": seed, "snapshot": n, **row}
        for variant, found in errors_of(name, seed, *data)
        for n, row in zip(parts[-1], found, strict=True)
    ]
    path.write_text(json.dumps({"key": key, "rows": rows}))
    return rows


def errors_of(name, seed, fit, validate, test):
    """Yield variants of a model with errors in meV/atom of the test snapshots."""
    from skldos import evaluate

    start = time.process_time()
    for variant, model in fitted(name, seed, fit, validate):
        seconds = time.process_time() - start
        errors = evaluate(model, test)["band_energy_error"]
        n_samples = sum(samples(name, s) for s in fit)
        common = {"samples": n_samples, "fit_cpu_s": seconds}
        yield variant, [{"error": error} | common for error in errors]


def samples(name, snapshot):
    """Return the number of rows that a snapshot adds to the training data."""
    if name.startswith("ADOS"):
        return len(snapshot.atoms)
    return thinned(snapshot, THINNED.get(name, 1)).n_grid_points


def all_rows(snapshots, names, arguments):
    rows = []
    for study in STUDIES:
        for name in MODELS:
            if not name.startswith(tuple(arguments.models)):
                continue
            if study == "leave one out" and name in ONLY_SPLIT:
                continue
            for fold in folds_of(study, names, arguments.seeds):
                rows += rows_of(name, study, fold, snapshots, names, arguments.kept)
                print(f"{name:24s} {study} {fold[0]} {names[fold[-1][0]]}", flush=True)
    return rows


def render(record):
    """Return the tables of a record."""
    caption = (
        "Absolute errors of band energies in meV/atom: mean ± 95 % (largest). *samples* are rows "
        "of the training data."
    )
    parts = [caption]
    for study in STUDIES:
        parts += [f"{study.capitalize()}:", error_table(record["rows"], study)]
        parts += [difference_table(record["rows"], study)]
    if record.get("times"):
        parts += [
            "CPU seconds of one thread: an epoch of ten snapshots (of a closed form, the fit), "
            "and the prediction of one. *ratio*: the time of LDOS-SNAP over that of the model. It "
            "is proportional to the grid points per atom, 1,458 here and 31,250 in the paper."
        ]
        parts += [_times.times_table(record["times"])]
        parts += ["Monte Carlo dropout:", _times.dropout_table(record["dropout"])]
    return "\n\n".join(parts)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--models", nargs="*", default=[""], help="beginnings of names [all]")
    parser.add_argument("--seeds", type=int, default=5, help="of the split [%(default)s]")
    parser.add_argument("--kept", action="store_true", help="train nothing: what is there by now")
    parser.add_argument("--times", action="store_true", help="measure times, and nothing else")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = harness.result_path(__file__)
    record = json.loads(path.read_text()) if path.exists() else {"rows": []}
    if arguments.times:
        record["times"], record["dropout"] = _times.measure(arguments.data, arguments.peers)
    else:
        record["rows"] = all_rows(*read_al32(arguments.data), arguments)
    print(render(record))
    if not arguments.no_write:
        times = {key: record.get(key) for key in ("times", "dropout")}
        harness.write_result(__file__, record["rows"], **times)
        draw(record["rows"], IMAGE)


if __name__ == "__main__":
    main()
