"""Linear models of the DOS of atoms: 32-atom aluminium.

Every model is a pipeline from snapshots to the DOS of every atom. All but the networks are fitted
by solving linear equations, in seconds and without a seed. Band energies are compared with those of
the true LDOS, on four kinds of splits:

  leave one out   every one of the 21 snapshots is predicted by a model of the 20 others
  5 + 5           five liquids and five solids at 933 K to learn from, drawn five times
                  (`common/splits.py`); everything colder, a liquid and a solid for the test
  4 + 4           fit on liquid 0-3 and solid 0-3 at 933 K: the test of training/aluminium.py, whose
                  record provides the network of the LDOS for comparison
  4 to 16 drawn   a learning curve: that many of all snapshots to learn from, drawn ten times

In the row "anew", the width of the Gaussians, cutoff radius, penalty and weight are chosen within
each training set, by leave-one-out over its own snapshots (`SiteRidgeCV`): no test data are used
for the choice. "Best five" averages the densities of states of the five best descriptors. The
settings of all other rows were chosen by hand, in some thousand trials of leave-one-out and of the
split 5 + 5 on the same data, so the best rows are too optimistic.

Times of fits include neither descriptors nor decomposition. Finished rows are kept in
benchmarks/output/atoms/closed_form; delete the files of a model that has changed.

    python -m benchmarks.atoms.closed_form [--models soap snap]
"""

import json
import re
import time

import numpy as np

from benchmarks.atoms._closed_form_tables import report, table
from benchmarks.atoms._models import (
    make,
    network,
    of_atoms,
    ridge,
    snap,
    soap,
    two_soaps,
    wide_soap,
)
from benchmarks.common import harness
from benchmarks.common.splits import FIT, VALIDATE, kind_of, leave_one_out, random_split, read_al32

FOLDER = harness.output_of(__file__)
SEEDS = 3
RECOMMENDED = "wide soap, linear, dos_weight"
BEFORE = "soap, linear, dos_weight, band_weight"
NETWORK = "LDOS network"
CURVE = (4, 8, 12, 16)
SPLITS = ("leave one out", "5 + 5", "4 + 4")


# --- models --------------------------------------------------------------------------------------


NEAR_AND_FAR = (5.0, 7.0)
#: Steps of every model, given a seed.
MODELS = {
    "snap, linear": lambda _: [*snap(*NEAR_AND_FAR, twojmax=8), *ridge(2.0)],
    "snap, linear, dos_weight": lambda _: [*snap(*NEAR_AND_FAR, twojmax=8), *ridge(20.0, 100.0)],
    "snap, network": lambda seed: [*snap(*NEAR_AND_FAR, twojmax=8), *network(seed)],
    "soap, linear": lambda _: [*soap(), *ridge(1e-6)],
    "soap, linear, dos_weight": lambda _: [*soap(), *ridge(1e-5, 100.0)],
    BEFORE: lambda _: [*soap(), *ridge(1e-5, 100.0, 1e4)],
    "two soaps, linear, dos_weight": lambda _: [*two_soaps(), *ridge(1e-5, 100.0)],
    "wide soap, linear": lambda _: [*wide_soap(), *ridge(1e-6)],
    RECOMMENDED: lambda _: [*wide_soap(), *ridge(1e-5, 1e5)],
    "wide soap, linear, dos_weight, sigma 0.7": lambda _: [
        *(*wide_soap(), *ridge(1e-5, 1e5, sigma=0.7))
    ],
    "wide soap, linear, dos_weight, sigma 2.0": lambda _: [
        *(*wide_soap(), *ridge(1e-5, 1e5, sigma=2.0))
    ],
    "wide soap, linear, dos_weight, nearest": lambda _: [
        *(*wide_soap(), *ridge(1e-5, 1e5, partition="nearest"))
    ],
    "wide soap, 5 Å, dos_weight": lambda _: [*soap(5.0, 8, 1.1), *ridge(1e-5, 1e5)],
    "wide soap, 0.9 Å, dos_weight": lambda _: [*soap(4.0, 8, 0.9), *ridge(1e-5, 1e5)],
    "wide soap, network": lambda seed: [*wide_soap(), *network(seed)],
}
ANEW = "soap, anew"
CUTOFFS, WIDTHS = (3.5, 4.0, 5.0, 6.0, 8.0), (0.4, 0.6, 0.8, 1.0, 1.2)


class Predicted:
    """Returns the mean of stored predictions to a scorer."""

    def __init__(self, predictions):
        from skldos.data import Blocks

        means = [np.mean(blocks, axis=0) for blocks in zip(*predictions, strict=True)]
        self.blocks = Blocks(means, predictions[0].snapshots)

    def predict(self, _):
        """Return the predictions."""
        return self.blocks


class Prepared:
    """Descriptors and targets of all snapshots, computed once: their transformers learn nothing."""

    def __init__(self, steps, snapshots, targets=None):
        self.X = steps[0].fit_transform(snapshots)
        self.y = steps[-1].decomposer.fit_transform(snapshots) if targets is None else targets

    def fit(self, steps, chosen):
        """Return the rest of a pipeline, fitted to the chosen snapshots."""
        from sklearn.base import clone

        model = clone(make(*steps[1:-1], steps[-1].regressor))
        return model.fit(self.X[chosen], self.y[chosen])


def prepare(model, snapshots):
    """Return a function of seed and chosen snapshots that yields names and fits with their data."""
    if model == ANEW:
        return anew(snapshots)
    prepared = Prepared(MODELS[model](0), snapshots)

    def fitted(seed, chosen):
        fit = prepared.fit(MODELS[model](seed), chosen)
        yield model, [(fit, prepared.X)]

    return fitted


def anew(snapshots):
    """Return the function that chooses SOAP vectors and penalties in every training set."""
    from skldos.regressors.site_cv import SiteRidgeCV

    regressor = SiteRidgeCV(dos_weights=(1e3, 1e5))
    candidates = [
        [*soap(r_cut, 12 if width < 0.6 else 8, width), *of_atoms(regressor)]
        for r_cut in CUTOFFS
        for width in WIDTHS
    ]
    targets = candidates[0][-1].decomposer.fit_transform(snapshots)
    data = [Prepared(steps, snapshots, targets) for steps in candidates]

    def fitted(_, chosen):
        found = [(d.fit(steps, chosen), d.X) for steps, d in zip(candidates, data, strict=True)]
        found.sort(key=lambda pair: -pair[0][-1].best_score_)
        yield ANEW, found[:1]
        yield f"{ANEW}, best five", found[:5]

    return fitted


# --- errors --------------------------------------------------------------------------------------


def splits_of(model, names):
    """Yield the name of a split with its number and indices of fits and tests."""
    for fit, test in leave_one_out(names):
        yield "leave one out", test[0], fit, test
    for draw in range(5):
        fit, _, test = random_split(names, draw)
        yield "5 + 5", draw, fit, test
    fit = [i for i, name in enumerate(names) if name in FIT]
    yield "4 + 4", 0, fit, [i for i, name in enumerate(names) if name not in FIT + VALIDATE]
    if model in (RECOMMENDED, BEFORE):
        for size in CURVE:
            for draw in range(10):
                drawn = np.random.default_rng(draw).permutation(len(names))
                yield f"{size} drawn", draw, sorted(drawn[:size]), sorted(drawn[size:])


def errors_of(model, snapshots, names):
    """Return one row per tested snapshot with the errors of its band energy and DOS."""
    from skldos import BandEnergyScorer
    from skldos.scoring.dos import DOSScorer

    rows, fitted = [], prepare(model, snapshots)
    for split, draw, fit, test in splits_of(model, names):
        tested = [snapshots[i] for i in test]
        for seed in range(SEEDS if "network" in model else 1):
            start = time.perf_counter()
            for label, fits in fitted(seed, fit):
                seconds = time.perf_counter() - start
                predicted = Predicted([one.predict(X[test]) for one, X in fits])
                band, dos = (s.errors(predicted, tested) for s in (BandEnergyScorer(), DOSScorer()))
                common = {"model": label, "split": split, "draw": draw, "seed": seed}
                rows += [
                    common
                    | {"snapshot": names[i], "kind": kind_of(names[i]), "band": float(energy)}
                    | {"dos": float(part), "fit_seconds": seconds}
                    for i, energy, part in zip(test, band, dos, strict=True)
                ]
    return rows


def network_rows():
    """Return the errors of the network of the LDOS, from the record of training/aluminium.py."""
    path = harness.BENCHMARKS / "training" / "results" / "aluminium.json"
    trained = json.loads(path.read_text())["rows"]
    return [
        {"model": NETWORK, "split": "4 + 4", "draw": 0, "seed": row["seed"], "snapshot": name}
        | {"kind": kind_of(name), "band": error, "dos": None, "fit_seconds": row["wall_s"]}
        for row in trained
        if row["variant"] == "skldos, DOS refit"
        for name, error in row["errors_mev_per_atom"].items()
    ]


# --- tables --------------------------------------------------------------------------------------


def render(record):
    """Return the tables of a record."""
    rows = record["rows"]
    pairs = [
        *((split, RECOMMENDED, BEFORE) for split in SPLITS),
        *((split, f"{ANEW}, best five", BEFORE) for split in SPLITS),
        ("4 + 4", RECOMMENDED, NETWORK),
    ]
    return report(rows, pairs, CURVE, (RECOMMENDED, BEFORE))


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--models", nargs="*", default=[""], help="beginnings of names [all]")
    options = parser.parse_args()
    snapshots, names = read_al32(options.data)
    rows = []
    for model in (*MODELS, ANEW):
        if model.startswith(tuple(options.models)):
            path = FOLDER / f"{re.sub('[^a-z0-9]+', '_', model)}.json"
            rows += harness.cached(path, errors_of, model, snapshots, names)
            print(table([row for row in rows if row["model"].startswith(model)]), flush=True)
    rows += network_rows()
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
