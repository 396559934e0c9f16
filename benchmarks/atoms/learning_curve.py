"""Networks against ridge regression, by the number of atoms to learn from: 32-atom aluminium.

All snapshots without a grid: those of the package, of `benchmarks/data/bundles` and of --folders,
where `benchmarks.data.make` has left them; the results are of the 30 of the package. Each is tested
once, in one of four folds, with models of 6, 12, 18 and all snapshots of the other folds, drawn in
turn from liquids at 933 K, solids at 933 K and colder solids. Errors are those of the band energy
against that of the true density of states.

  mean              every atom has the mean density of states of the training atoms
  ridge             `skldos.models.atoms()`: penalty chosen in every training set, its descriptor
                    and the weight of sums on 21 of these snapshots
  ridge, fixed      the same with the penalty that was best on those 21
  ridge, anew       Gaussians and cutoff, penalty and weight chosen in every training set
                    (`SiteRidgeCV` on six SOAP descriptors)
  network           one hidden layer of 100 units on the same SOAP vectors as ridge
  CSNN, paper's     the network of Fox et al. on spheres, with nearest assignment, targets divided
                    by their maximum and an output that is not negative; on 8 spheres of 42 vertices
                    and of a quarter of its width
  CSNN              one graph convolution, smooth assignment, 8 spheres of 42 vertices
  CSNN, 162         the same with 162 vertices
  ridge + network, ridge + CSNN
                    networks that learn what ridge regressions of other training snapshots leave

Settings of networks are chosen inside each training set, by the band energies of a quarter of its
snapshots: weight decay, the penalty with which the output layer is refitted to sums, or no refit,
and by how much a correction of the ridge is multiplied (0, ½ or 1). Then they are trained again on
all.

Runs are kept in benchmarks/output/atoms/learning_curve. After --minutes, no new run starts, and the
tables are of those that there are.

    python -m benchmarks.atoms.learning_curve [--folders FOLDER ...] [--models CSNN] [--minutes 9]
"""

import hashlib
import itertools
import json
import time

import numpy as np

from benchmarks.atoms import _learning_curve_tables
from benchmarks.atoms._learning_curve_models import MODELS, Data
from benchmarks.common import harness
from benchmarks.data.read import snapshots_of

FOLDER = harness.output_of(__file__)
N_FOLDS = 4
#: Numbers of training snapshots; 0 stands for all that there are.
SIZES = (6, 12, 18, 0)


def kind_of(snapshot):
    """Return liquid, solid (both at 933 K) or colder."""
    if snapshot.temperature < 900:
        return "colder"
    return "liquid" if "liquid" in snapshot.name else "solid"


def split(kinds, names, fold, size):
    """Return indices of training and test snapshots.

    Snapshots of a kind go to the folds in turn, and training snapshots are taken from the kinds in
    turn, in an order that a fold shuffles by their names: both stay when snapshots are added.
    """
    test, queues = [], []
    for kind in ("liquid", "solid", "colder"):
        members = [i for i, k in enumerate(kinds) if k == kind]
        test += members[fold::N_FOLDS]
        rest = [i for i in members if i not in test]
        queues.append(sorted(rest, key=lambda i: shuffled(names[i], fold)))
    longest = max(map(len, queues))
    in_turn = [queue[i] for i in range(longest) for queue in queues if i < len(queue)]
    return sorted(in_turn[: size or None]), sorted(test)


def shuffled(name, seed):
    return hashlib.sha256(f"{name} {seed}".encode()).hexdigest()


def run_of(data, model, fold, size):
    """Return errors of the test snapshots and what was chosen."""
    train, test = split(data.kinds, data.names, fold, size)
    start = time.process_time()
    predicted, chosen = MODELS[model](data, train, test, fold)
    seconds = time.process_time() - start
    errors = data.band_energies(predicted, test) - data.true[test]
    rows = [
        {
            "snapshot": data.names[i],
            "kind": data.kinds[i],
            "error": float(error),
            "rmse": float(np.sqrt(np.mean((block - data.y[i]) ** 2))),
        }
        for i, error, block in zip(test, errors, predicted, strict=True)
    ]
    return {"n_train": len(train), "seconds": seconds, "chosen": chosen, "snapshots": rows}


def kept(data, model, fold, size, *, is_late):
    """Return a run, from the folder if it has one of the same snapshots, or None if it is late."""
    train, test = split(data.kinds, data.names, fold, size)
    job = {"model": model, "fold": fold, "size": size or "all"}
    names = {"train": [data.names[i] for i in train], "test": [data.names[i] for i in test]}
    key = shuffled(json.dumps(job | names), 0)[:12]
    label = f"{model} {job['size']} {fold}".replace(",", "").replace(" ", "_")
    path = FOLDER / f"{label}_{key}.json"
    if not path.exists():
        if is_late:
            return None
        print(label, flush=True)
    return job | harness.cached(path, run_of, data, model, fold, size)


def later(data):
    """Return errors on snapshots that were made after the settings of ridge had been chosen."""
    older = [i for i, name in enumerate(data.names) if name.startswith("Al32_")]
    rows = []
    for i, name in enumerate(data.names):
        if i in older:
            continue
        rest = [j for j in range(len(data.names)) if j != i]
        for train, model in itertools.product((older, rest), ("ridge", "ridge, fixed")):
            predicted, _ = MODELS[model](data, train, [i], 0)
            (error,) = data.band_energies(predicted, [i]) - data.true[[i]]
            row = {"snapshot": name, "kind": data.kinds[i], "n_train": len(train)}
            rows.append(row | {"model": model, "error": float(error)})
    return rows


def render(record):
    """Return the tables of a record."""
    found = _learning_curve_tables.render(record["rows"])
    return f"{found}\n\n{_learning_curve_tables.later(record['later'])}"


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--folders", nargs="*", type=harness.absolute, default=[])
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--minutes", type=float, default=np.inf, help="start no run after")
    options = parser.parse_args()
    data, start, rows = Data(snapshots_of("al32", options.folders), kind_of), time.monotonic(), []
    models = [model for model in MODELS if model in options.models]
    # All snapshots first: what the largest training sets say is asked first.
    for size, fold, model in itertools.product(sorted(SIZES), range(N_FOLDS), models):
        is_late = time.monotonic() - start > 60 * options.minutes
        rows.append(kept(data, model, fold, size, is_late=is_late))
    rows = [row for row in rows if row is not None]
    unseen = harness.cached(FOLDER / f"later_{len(data.names)}.json", later, data)
    print(render({"rows": rows, "later": unseen}), flush=True)
    if not options.no_write:
        harness.write_result(__file__, rows, n_snapshots=len(data.names), later=unseen)
        _learning_curve_tables.draw(rows, harness.IMAGES / "learning_curve.png")


if __name__ == "__main__":
    main()
