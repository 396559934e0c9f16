"""Networks against ridge regression, by the number of atoms to learn from: 32-atom aluminium.

All snapshots without a grid: those of the package, of `benchmarks/data/bundles` and of --folders,
where `benchmarks.data.make` left them. Those at 933 K whose name says *test* are the test, those
without it are for training: the 21 older ones, on which models had been chosen, come first, then
those that were made later, each time liquids at 933 K, solids at 933 K and colder solids in turn; a
seed shuffles each kind, and the weights of networks. Errors are those of the band energy against
that of the true density of states.

  mean              every atom has the mean density of states of the training atoms
  ridge             `skldos.models.atoms()`: penalty chosen in every training set, its descriptor
                    and the weight of sums on the 21 older snapshots
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
  LDOS-SNAP         bispectrum of grid points and network 91-400-400-81 of `against_grid.py`, on
                    every eighth point, as trained; only the 21 older snapshots have an LDOS
  LDOS-SNAP, refit  the same with the output layer refitted to sums, as `LDOSRegressor` does

Settings of networks of atoms are chosen inside each training set, by the band energies of a quarter
of its snapshots: weight decay, the penalty with which the output layer is refitted to sums, or no
refit, and by how much a correction of the ridge is multiplied (0, ½ or 1). Then they are trained
again on all.

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
from benchmarks.atoms._learning_curve_models import MODELS, ON_GRID, Data
from benchmarks.common import harness
from benchmarks.data.read import snapshots_of

FOLDER = harness.output_of(__file__)
#: Numbers of training snapshots; the older ones, of which there is an LDOS, are 21.
SIZES, N_OLDER = (6, 12, 21, 48, 96), 21
N_SEEDS = 3


def kind_of(snapshot):
    """Return liquid, solid (both at 933 K) or colder."""
    if snapshot.temperature < 900:
        return "colder"
    return "liquid" if "liquid" in snapshot.name else "solid"


def tested(names):
    """Return the indices of the snapshots for testing."""
    return [i for i, name in enumerate(names) if "_933K_test_" in name]


def trained(kinds, names, seed, size):
    """Return the indices of a training set: the first `size` of a list that a seed shuffles.

    A smaller training set is part of a larger one of the same seed.
    """
    is_older = [name.startswith("Al32_") for name in names]
    chosen = []
    for older in (True, False):
        members = [
            i for i, name in enumerate(names) if is_older[i] == older and "_test_" not in name
        ]
        queues = [
            sorted((i for i in members if kinds[i] == kind), key=lambda i: shuffled(names[i], seed))
            for kind in ("liquid", "solid", "colder")
        ]
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*queues))
        chosen += [i for i in in_turn if i is not None]
    return sorted(chosen[:size])


def shuffled(name, seed):
    return hashlib.sha256(f"{name} {seed}".encode()).hexdigest()


def run_of(data, model, seed, size):
    """Return errors of the test snapshots and what was chosen."""
    train, test = trained(data.kinds, data.names, seed, size), tested(data.names)
    start = time.process_time()
    predicted, chosen = MODELS[model](data, train, test, seed)
    seconds = time.process_time() - start
    errors = data.band_energies(predicted, test) - data.true[test]
    rows = [
        {
            "snapshot": data.names[i],
            "kind": data.kinds[i],
            "error": float(error),
            # A model of grid points predicts no atoms, only their sum.
            "rmse": float(np.sqrt(np.mean((block - data.y[i]) ** 2)))
            if len(block) == len(data.y[i])
            else None,
        }
        for i, error, block in zip(test, errors, predicted, strict=True)
    ]
    return {"n_train": len(train), "seconds": seconds, "chosen": chosen, "snapshots": rows}


def kept(data, model, seed, size, *, is_late):
    """Return a run, from the folder if it has one of the same snapshots, or None if it is late."""
    job = {"model": model, "seed": seed, "size": size}
    names = [data.names[i] for i in trained(data.kinds, data.names, seed, size)]
    names += ["tested", *(data.names[i] for i in tested(data.names))]
    key = shuffled(json.dumps([job, names]), 0)[:12]
    label = f"{model} {size} {seed}".replace(",", "").replace(" ", "_").replace("'", "")
    path = FOLDER / f"{label}_{key}.json"
    if not path.exists():
        if is_late:
            return None
        print(label, flush=True)
    return job | harness.cached(path, run_of, data, model, seed, size)


def render(record):
    """Return the tables of a record."""
    return _learning_curve_tables.render(record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--folders", nargs="*", type=harness.absolute, default=[])
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--minutes", type=float, default=np.inf, help="start no run after")
    options = parser.parse_args()
    data = Data(snapshots_of("al32", options.folders), kind_of, options.data)
    start, rows = time.monotonic(), []
    n_training = len(trained(data.kinds, data.names, 0, None))
    jobs = [
        (size, seed, model)
        for size, seed, model in itertools.product(options.sizes, range(N_SEEDS), MODELS)
        if model in options.models
        and size <= n_training
        and (size <= N_OLDER or model not in ON_GRID)
    ]
    for size, seed, model in jobs:
        is_late = time.monotonic() - start > 60 * options.minutes
        rows.append(kept(data, model, seed, size, is_late=is_late))
    rows = [row for row in rows if row is not None]
    print(render({"rows": rows}), flush=True)
    if not options.no_write:
        harness.write_result(__file__, rows, n_training=n_training)
        _learning_curve_tables.draw(rows, harness.IMAGES / "learning_curve.png")


if __name__ == "__main__":
    main()
