"""Active learning and calibration: 32-atom aluminium.

Active learning is simulated with the 21 snapshots whose LDOS is known. A model starts with 3 random
snapshots; 6 others are held out for tests. A strategy picks snapshots from the other 12 one by one,
and the model is fitted again after each pick. All strategies start from the same snapshots. The
model is the closed-form posterior of ridge regression on SOAP vectors. Errors of band energies are
absolute, in meV/atom, against those of the true LDOS. Differences to random choice are paired by
the start, with intervals of 95 % (normal, over the starts). Errors of the snapshots left in the
pool are given as well. But a strategy removes difficult snapshots from the pool, so only the
held-out snapshots are a fair test.

Uncertainties are compared with errors in 7 folds of 3 snapshots each: for the same closed-form
model, for Monte Carlo dropout and for an ensemble of dense networks on the same SOAP vectors.
Models fitted only to solids show whether liquids, which are all left out, are more uncertain than
solids (which are left out 3 at a time).

    python -m benchmarks.atoms.active_learning [--starts 40]
"""

import time

import numpy as np

from benchmarks.atoms._models import BLOCKS, posterior, soap
from benchmarks.common import harness, tables
from benchmarks.common.energies import band_energies
from benchmarks.common.splits import kind_of, read_al32

STRATEGIES = ("random", "uncertainty", "diversity", "both", "reduction")
N_START, N_TEST = 3, 6
N_FOLDS = 7


def network(dropout):
    """Return a dense network for standardised SOAP vectors."""
    from skldos.regressors import LDOSRegressor

    return LDOSRegressor(
        module__hidden_layer_sizes=(256, 256),
        module__dropout=dropout,
        lr=1e-3,
        max_epochs=150,
        batch_size=32,
        lr_schedule="cosine",
        target_scaling="standard",
        random_state=0,
    )


def dropout():
    from skldos.uncertainty import MCDropout

    return MCDropout(network(0.1), n_passes=512, random_state=0)


def separate_dropout():
    from skldos.uncertainty import MCDropout

    return MCDropout(network(0.1), n_passes=512, masks="independent", random_state=0)


def ensemble():
    from skldos.uncertainty import DeepEnsemble

    return DeepEnsemble(network(0.0), n_estimators=5, random_state=0)


MODELS = {
    "posterior": posterior,
    "dropout, shared masks": dropout,
    "dropout, independent masks": separate_dropout,
    "ensemble of 5": ensemble,
}


def blocks_of(snapshots):
    """Return SOAP vectors, standardised SOAP vectors, and the DOS of atoms."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import RowWise
    from skldos.data import Blocks
    from skldos.decomposition import ADOSDecomposer

    X = make_pipeline(*soap()).fit_transform(snapshots)
    Z = RowWise(StandardScaler()).fit_transform(X)
    y = ADOSDecomposer(memory=str(BLOCKS)).fit_transform(snapshots)
    return X, Z, Blocks([np.asarray(block) for block in y], y.snapshots)


# --- the choice of the next snapshot -----------------------------------------------------------


def play(strategy, start, X, y, true):
    """Yield, for 3, 4, … training snapshots, errors of held-out snapshots and of the pool."""
    from skldos.active import SnapshotSelector

    rng = np.random.RandomState(start)
    order = rng.permutation(len(X))
    known, test = list(order[:N_START]), order[N_START : N_START + N_TEST]
    pool = list(order[N_START + N_TEST :])
    selector = SnapshotSelector(strategy, random_state=rng)
    while True:
        model = posterior().fit(X[known], y[known])
        errors = {}
        for name, some in {"test": test, "pool": pool}.items():
            energies = band_energies(model.predict_sum(X[some]), X[some].snapshots)
            errors[name] = np.abs(energies - true[some])
        yield len(known), errors
        if len(pool) == 1:
            return
        (picked,) = selector.select(model, X[pool], X[known])
        known.append(pool.pop(picked))


def learning_curves(X, y, true, n_starts):
    rows = []
    for strategy in STRATEGIES:
        for start in range(n_starts):
            for n_known, errors in play(strategy, start, X, y, true):
                row = {"strategy": strategy, "start": start, "n_known": n_known}
                for name, values in errors.items():
                    row |= {f"{name}_mean": values.mean(), f"{name}_max": values.max()}
                rows.append(row)
    return rows


def summary(rows):
    """Return means over the starts and paired differences to random choice."""
    import pandas as pd

    data = pd.DataFrame(rows)
    lines = []
    for column in ("test_mean", "test_max", "pool_mean"):
        table = data.pivot_table(index="start", columns=["strategy", "n_known"], values=column)
        for strategy in STRATEGIES:
            values = table[strategy]
            # "area": the mean over the whole curve.
            for name, some in [*values.items(), ("area", values.mean(axis=1))]:
                chance = table["random"].mean(axis=1) if name == "area" else table["random"][name]
                apart = some - chance
                lines.append(
                    {
                        "error": column,
                        "strategy": strategy,
                        "n_known": name,
                        "mean": some.mean(),
                        "interval": interval(some),
                        "difference": apart.mean(),
                        "difference_interval": interval(apart),
                    }
                )
    return lines


def interval(values):
    """Return half the width of the 95 % interval of a mean."""
    return float(1.96 * np.std(values, ddof=1) / np.sqrt(len(values)))


def curve_table(lines):
    cells = {(r["error"], r["strategy"], r["n_known"]): r for r in lines}
    shown = [3, 5, 7, 9, 11, 14, "area"]
    rows = []
    for error in ("test_mean", "test_max", "pool_mean"):
        for strategy in STRATEGIES:
            some = [cells[error, strategy, n] for n in shown]
            means = [f"{r['mean']:.2f} ± {r['interval']:.2f}" for r in some]
            apart = some[-1]
            last = f"{apart['difference']:+.2f} ± {apart['difference_interval']:.2f}"
            rows.append([error, strategy, *means, last])
    return tables.format_table(["error", "strategy", *map(str, shown), "area - random"], rows)


# --- how large the uncertainties are -----------------------------------------------------------


def folds(indices):
    """Return folds of different kinds of snapshots: every seventh of them."""
    return [indices[i::N_FOLDS] for i in range(N_FOLDS) if len(indices[i::N_FOLDS])]


def uncertainties(name, X, y, true, names):
    """Return errors and standard deviations: of all snapshots in folds, and of models of solids."""
    everything = np.arange(len(X))
    liquid = np.array(["liquid" in n for n in names])
    solids = everything[~liquid]
    tasks = [("all", np.setdiff1d(everything, test), test) for test in folds(everything)]
    tasks += [("solids", np.setdiff1d(solids, test), test) for test in folds(solids)]
    tasks.append(("solids", solids, everything[liquid]))
    rows = []
    for fitted_to, fit, test in tasks:
        started = time.perf_counter()
        model = MODELS[name]().fit(X[fit], y[fit])
        fitted = time.perf_counter()
        rows += errors_and_deviations(model, X[test], true[test], [names[i] for i in test])
        seconds = {"fit_seconds": fitted - started}
        seconds["predict_seconds"] = (time.perf_counter() - fitted) / len(test)
        for row in rows[-len(test) :]:
            row |= {"model": name, "fitted_to": fitted_to, **seconds}
    return rows


def errors_and_deviations(model, X, true, names):
    from skldos.uncertainty import energy_uncertainty

    table = energy_uncertainty(model, X)
    predicted = 1e3 * table["band_energy"] / table["n_atoms"]
    return [
        {"snapshot": n, "kind": kind_of(n), "error": e, "std": s}
        for n, e, s in zip(names, predicted - true, table["band_energy_std"], strict=True)
    ]


def calibration_table(rows):
    from skldos.uncertainty import calibration

    lines = []
    for name in MODELS:
        some = [r for r in rows if (r["model"], r["fitted_to"]) == (name, "all")]
        error, std = (np.array([r[k] for r in some]) for k in ("error", "std"))
        numbers = [f"{v:.2f}" for v in calibration(error, std).values()]
        lines.append([name, f"{np.abs(error).mean():.2f}", f"{std.mean():.2f}", *numbers])
    header = ["model", "MAE", "mean std", "68 %", "95 %", "NLL", "rms z", "Spearman"]
    return tables.format_table(header, lines)


def separation_table(rows):
    lines = []
    for name in MODELS:
        some = [r for r in rows if (r["model"], r["fitted_to"]) == (name, "solids")]
        parts = [[r for r in some if (phase in r["kind"])] for phase in ("liquid", "solid")]
        liquid, solid = (np.array([r["std"] for r in part]) for part in parts)
        errors = [f"{np.mean([abs(r['error']) for r in part]):.2f}" for part in parts]
        # The probability that a liquid is more uncertain than a solid.
        above = np.mean(liquid[:, None] > solid)
        numbers = [f"{liquid.mean():.2f}", f"{solid.mean():.2f}", f"{above:.2f}", *errors]
        lines.append([name, *numbers])
    header = ["model of solids", "std liquid", "std solid", "P(liquid > solid)"]
    return tables.format_table([*header, "MAE liquid", "MAE solid"], lines)


def render(record):
    """Return the tables of a record."""
    found = record["uncertainties"]
    return "\n\n".join(
        [
            "Folds of three snapshots; std as the model gives it, in meV/atom:",
            calibration_table(found),
            "Models fitted to solids alone, tested on solids and liquids:",
            separation_table(found),
            "Mean error in meV/atom by the number of known snapshots, ± 95 % over random starts; "
            "*area* is the mean over the curve:",
            curve_table(record["rows"]),
        ]
    )


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--starts", type=int, default=40, help="random starts [%(default)s]")
    options = parser.parse_args()
    snapshots, names = read_al32(options.data)
    X, Z, y = blocks_of(snapshots)
    true = band_energies([block.sum(axis=0) for block in y], snapshots)
    trusted = []
    for name in MODELS:
        trusted += uncertainties(name, X if name == "posterior" else Z, y, true, names)
    print(calibration_table(trusted), separation_table(trusted), sep="\n\n", flush=True)
    played = summary(learning_curves(X, y, true, options.starts))
    print(curve_table(played))
    if not options.no_write:
        extra = {"starts": options.starts, "uncertainties": trusted}
        harness.write_result(__file__, played, **extra)


if __name__ == "__main__":
    main()
