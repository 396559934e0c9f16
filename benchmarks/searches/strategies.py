"""Searches for a network, with and without training, on the same space and data.

The space is a grid of 81: width and number of hidden layers, activation, learning rate. The first
half of the snapshots is for the search, which evaluates candidates by their band-energy errors in
two folds. The winner is then trained on the whole half with five seeds and tested on the other
half. Scores that do not depend on learning rates use 3e-3.

  default            the default network of LDOSRegressor, no search
  grid               all 81, GridSearchCV
  random             12 of them, RandomizedSearchCV
  halving            HalvingGridSearchCV, more epochs for fewer candidates
  optuna             12 trials of OptunaSearchCV
  study, median      12 trials of StudySearchCV, pruned epoch by epoch
  study, NASWOT      the same, pruned by the score of the untrained network
  orthogonal array   nine runs and the predicted optimum, OrthogonalArraySearchCV
  direct             one parameter after the other, DirectSearchCV
  NASWOT, ...        the best of 27 untrained networks, by either sign
  readout            the same by ReadoutScorer
  NASWOT, then study   the four best of 27 by NASWOT (fiedler) begin a study of six trials
  readout, then study  the same by ReadoutScorer

With --repeats, all are repeated with other seeds of searches and trainings. Descriptors
(bispectrum, twojmax 10) are computed once and not counted. Every second (al32: third) grid point in
each direction; CPU seconds of one thread.

    python -m benchmarks.searches.strategies [--system al32] [--repeats 3] [--only grid random]
"""

import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.searches._data import read_system, standardised
from benchmarks.searches._strategies import DEFAULTS, SPACE, STRATEGIES, SYSTEMS, model, untrained

FOLDER = harness.output_of(__file__)
N_SEEDS = 5


def test_errors(system, params, fit, test):
    """Return the mean of |band-energy error| of trainings with several seeds."""
    from skldos import BandEnergyScorer

    found = []
    for seed in range(100, 100 + N_SEEDS):
        trained = model(system, seed).set_params(**params).fit(fit)
        found.append(float(np.abs(BandEnergyScorer().errors(trained, test)).mean()))
    return found


def run(system, name, seed, fit):
    """Return the result of a strategy, and its CPU seconds."""
    start = time.process_time()
    params = STRATEGIES[name](system, fit, seed)
    return {"params": params, "seconds": time.process_time() - start}


def run_all(system, names, repeats, data):
    """Return a row for every strategy and repeat."""
    snapshots, halves = read_system(data, system)
    blocks = standardised(snapshots)
    fit, test = (blocks[half] for half in halves)
    untrained(lambda estimator, X, y=None: 0.0, system, fit, 0)  # imports, at nobody's cost
    rows = []
    for seed in range(repeats):
        for name in names:
            found = harness.cached(
                FOLDER / system / f"{name}-{seed}.json", run, system, name, seed, fit
            )
            key = "-".join(str(found["params"][k]) for k in sorted(found["params"]))
            # The same winner of two searches is trained once.
            path = FOLDER / system / f"test-{key}.json"
            errors = harness.cached(path, test_errors, system, found["params"], fit, test)
            rows.append({"strategy": name, "repeat": seed, "errors": errors} | found)
            print(name, seed, found, np.mean(errors), flush=True)
    return rows


def summary(rows):
    """Return mean seconds, mean error, and both spreads, by strategy.

    Spreads are standard deviations, of trainings within a winner, and of the means of winners.
    """
    found = {}
    for name in dict.fromkeys(row["strategy"] for row in rows):
        some = [row for row in rows if row["strategy"] == name]
        means = [np.mean(row["errors"]) for row in some]
        found[name] = {
            "seconds": np.mean([row["seconds"] for row in some]),
            "mean": np.mean(means),
            "trainings": np.sqrt(np.mean([np.var(row["errors"], ddof=1) for row in some])),
            "winners": np.std(means, ddof=1) if len(means) > 1 else np.nan,
        }
    return found


def render(record):
    """Return the table of a record."""
    found, lines = summary(record["rows"]), []
    grid = found.get("grid")
    repeats = 1 + max(row["repeat"] for row in record["rows"])
    for name, numbers in found.items():
        params = [DEFAULTS | row["params"] for row in record["rows"] if row["strategy"] == name]
        winners = {", ".join(str(p[key]) for key in SPACE): None for p in params}
        free = name == "default"
        cells = [
            "" if free else f"{numbers['seconds']:.2f}",
            "" if free or not grid else f"{grid['seconds'] / numbers['seconds']:.0f}",
            f"{numbers['mean']:.1f} ± {numbers['trainings']:.1f}",
        ]
        cells += [f"{numbers['winners']:.1f}"] if repeats > 1 else []
        lines.append([name, *cells, "; ".join(winners)])
    header = ["strategy", "CPU s", "times faster than the grid", "error (meV/atom)"]
    header += ["± searches"] if repeats > 1 else []
    header += ["width, depth, activation, rate"]
    caption = (
        f"Mean |band-energy error| on the test half of {record['system']}: mean and standard "
        f"deviation of {N_SEEDS} trainings of the winner; {repeats} run(s) of each search."
    )
    return caption + "\n\n" + tables.format_table(header, lines)


def draw(record, path):
    """Draw errors of winners against the time of the search."""
    plt = harness.pyplot()
    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, numbers in summary(record["rows"]).items():
        if name == "default":
            ax.axhline(numbers["mean"], color="0.7", ls="--", zorder=0, label="default, no search")
            continue
        free = name in ("NASWOT, fiedler", "NASWOT, mellor", "readout")
        marker = "*" if free else "s" if "then" in name else "o"
        ax.errorbar(
            numbers["seconds"], numbers["mean"], numbers["trainings"], fmt=marker, label=name
        )
    ax.set(xscale="log", xlabel="CPU time of the search (s)", ylabel="error (meV/atom)")
    figure.legend(loc="outside right center", frameon=False, fontsize="small")
    figure.savefig(path, dpi=120)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--system", choices=SYSTEMS, default="al4", help="[%(default)s]")
    parser.add_argument("--repeats", type=int, default=3, help="of each search [%(default)s]")
    parser.add_argument("--only", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    options = parser.parse_args()
    rows = run_all(options.system, options.only, options.repeats, options.data)
    record = {"system": options.system, "rows": rows}
    print(render(record))
    if not options.no_write:
        suffix = "" if options.system == "al4" else f"_{options.system}"
        harness.write_result(__file__, suffix=suffix, **record)
        if options.system == "al4":
            draw(record, harness.IMAGES / "search_strategies.png")


if __name__ == "__main__":
    main()
