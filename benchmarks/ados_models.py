"""Models of the densities of states of atoms, on 32-atom aluminium.

Every model is a pipeline from snapshots to the DOS of every atom. All but the networks are fitted
by solving linear equations, in seconds and without a seed. Band energies are compared with those of
the true LDOS, in four ways:

  leave one out   every one of the 21 snapshots is predicted by a model of the 20 others
  5 + 5           five liquids and five solids at 933 K to learn from, drawn five times
                  (`_splits.random_split`), everything colder and a liquid and a solid for the test
  4 + 4           fit on liquid 0-3 and solid 0-3 at 933 K: the test of training_al32.py, from whose
                  record comes the network of the LDOS beside it
  4 to 16 drawn   a learning curve: as many of all snapshots to learn from, drawn ten times

In the row "anew", width of Gaussians, cutoff, penalty and weight are chosen inside of each
training set, by the errors of leaving out its own snapshots in turn (`SiteRidgeCV`): no test took
part in the choice. "Best five" averages the densities of states of the five best descriptors. The
settings of all other rows were chosen by hand, by some thousands of trials of leaving out and of
the split 5 + 5 on these very data, so that the best of them are too good.

Times of fits count neither descriptors nor decomposition. Their blocks, and the rows of models that
are done, are kept in benchmarks/output/ados_models; delete the latter (*.json) where a model has
been changed.

    python benchmarks/ados_models.py [--models soap snap]
"""

import json
import re
import time

import _harness
import numpy as np
from _model_tables import report, table
from _splits import kind_of, leave_one_out, random_split, read_al32

FOLDER = _harness.OUTPUT / "ados_models"
SEEDS = 3
RECOMMENDED = "wide soap, linear, dos_weight"
BEFORE = "soap, linear, dos_weight, band_weight"
NETWORK = "LDOS network"
CURVE = (4, 8, 12, 16)
SPLITS = ("leave one out", "5 + 5", "4 + 4")


# --- models --------------------------------------------------------------------------------------


def snap(*cutoffs, twojmax):
    """Return bispectra of several cutoffs, side by side and normalised."""
    from sklearn.preprocessing import StandardScaler

    from skldos import AtomSNAPTransformer, RowWise
    from skldos.descriptors.union import BlockUnion

    parts = [
        (f"{rcut}", AtomSNAPTransformer(rcut, twojmax, memory=str(FOLDER))) for rcut in cutoffs
    ]
    return [BlockUnion(parts), RowWise(StandardScaler())]


def soap(r_cut=8.0, n_max=12, sigma=0.6):
    """Return SOAP vectors of unit length."""
    from sklearn.preprocessing import Normalizer

    from skldos import RowWise, SOAPTransformer

    options = {"r_cut": r_cut, "n_max": n_max, "l_max": 8, "sigma": sigma}
    return [
        SOAPTransformer(centers="atoms", memory=str(FOLDER), **options),
        RowWise(Normalizer()),
    ]


def wide_soap():
    """Return SOAP vectors of wide Gaussians nearby: the best ones."""
    return soap(4.0, 8, 1.1)


def two_soaps():
    """Return SOAP vectors of two cutoffs, each of unit length."""
    from sklearn.pipeline import make_pipeline

    from skldos.descriptors.union import BlockUnion

    near, far = make_pipeline(*soap(6.0, 10, 0.4)), make_pipeline(*soap())
    return [BlockUnion([("near", near), ("far", far)])]


def ridge(alpha, dos_weight=None, band_weight=None, sigma=1.3, partition="gaussian"):
    """Return ridge regression of the DOS of atoms."""
    from sklearn.linear_model import Ridge

    from skldos.regressors.site import SiteRegressor

    regressor = SiteRegressor(Ridge(alpha), dos_weight=dos_weight, band_weight=band_weight)
    return of_atoms(regressor, sigma, partition)


def of_atoms(regressor, sigma=1.3, partition="gaussian"):
    from skldos.decomposition import ADOSDecomposer
    from skldos.regressors.ados import ADOSRegressor

    return [ADOSRegressor(regressor, ADOSDecomposer(sigma, partition, memory=str(FOLDER)))]


def network(seed):
    """Return a small network on normalised descriptors, its output layer refitted to sums."""
    import torch
    from sklearn.preprocessing import StandardScaler

    from skldos import LDOSRegressor, RowWise

    torch.set_num_threads(1)
    regressor = LDOSRegressor(
        module__hidden_layer_sizes=(100,),
        module__activation="silu",
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=1.0,
        lr=3e-3,
        lr_schedule="cosine",
        max_epochs=100,
        batch_size=64,
        target_scaling="standard",
        random_state=seed,
    )
    return [RowWise(StandardScaler()), *of_atoms(regressor)]


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
    """Gives the mean of predictions made before to a scorer."""

    def __init__(self, predictions):
        from skldos.data import Blocks

        means = [np.mean(blocks, axis=0) for blocks in zip(*predictions, strict=True)]
        self.blocks = Blocks(means, predictions[0].snapshots)

    def predict(self, _):
        """Return the predictions."""
        return self.blocks


class Prepared:
    """Descriptors and targets of all snapshots, made once: their transformers learn nothing."""

    def __init__(self, steps, snapshots, targets=None):
        self.X = steps[0].fit_transform(snapshots)
        self.y = steps[-1].decomposer.fit_transform(snapshots) if targets is None else targets

    def fit(self, steps, chosen):
        """Return the rest of a pipeline, fitted to the chosen snapshots."""
        from sklearn.base import clone
        from sklearn.pipeline import make_pipeline

        model = clone(make_pipeline(*steps[1:-1], steps[-1].regressor))
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
    """Return what chooses among all SOAP vectors and penalties in every training set."""
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
    first = [f"Al32_933K_{phase}_{i}" for phase in ("liquid", "solid") for i in range(4)]
    kept = [*first, "Al32_933K_liquid_4", "Al32_933K_solid_4"]
    fit = [i for i, name in enumerate(names) if name in first]
    yield "4 + 4", 0, fit, [i for i, name in enumerate(names) if name not in kept]
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
    """Return the errors of the network of the LDOS, from the record of training_al32.py."""
    path = _harness.RESULTS / "training_al32.json"
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
    """Return the tables of README.md."""
    rows = record["rows"]
    pairs = [
        *((split, RECOMMENDED, BEFORE) for split in SPLITS),
        *((split, f"{ANEW}, best five", BEFORE) for split in SPLITS),
        ("4 + 4", RECOMMENDED, NETWORK),
    ]
    return report(rows, pairs, CURVE, (RECOMMENDED, BEFORE))


def main():
    parser = _harness.parser(__doc__)
    parser.add_argument("--models", nargs="*", default=[""], help="beginnings of names [all]")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    snapshots, names = read_al32(options.data)
    rows = []
    for model in (*MODELS, ANEW):
        if model.startswith(tuple(options.models)):
            path = FOLDER / f"{re.sub('[^a-z0-9]+', '_', model)}.json"
            if not path.exists():
                path.write_text(json.dumps(errors_of(model, snapshots, names)))
            rows += json.loads(path.read_text())
            print(table([row for row in rows if row["model"].startswith(model)]), flush=True)
    rows += network_rows()
    if not options.no_write:
        _harness.write_result("ados_models", rows)


if __name__ == "__main__":
    main()
