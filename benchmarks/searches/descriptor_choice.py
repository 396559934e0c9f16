"""Choosing descriptors without training, against choosing by training.

Candidates are bispectra on a grid of cutoff radii and orders (r_cut, twojmax). Half of the
snapshots of a system are for choosing, the other half for the test.

  trained      a network is trained on one part of the first half and judged by its band-energy
               error on the other part, and vice versa: the usual search
  other rows   training-free scores of descriptors and LDOS of every second snapshot of the first
               half, on 216 grid points each: the average cosine-similarity difference (ACSD),
               two-sided as in the paper or one-sided as in MALA, of raw components or of components
               divided by their standard deviation; mutual information; and the error of
               untrained networks with only their output layer fitted

Then networks for every candidate are trained on the first half with several seeds and tested on the
second: these errors judge each pick. A pick is within the spread of the best if the difference of
their means is below the sum of their standard deviations over seeds. Greater scores are better, so
Kendall's tau of a good one and the test error is negative. Seconds are CPU seconds of the whole
choice in one process and one thread, descriptors included.

    python -m benchmarks.searches.descriptor_choice [--system al32] [--seeds 3]
"""

import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import thinned
from benchmarks.searches._data import read_system

FOLDER = harness.output_of(__file__)
CUTOFFS = (3.5, 4.0, 4.5, 5.0, 5.5, 6.0)
ORDERS = (4, 6, 8, 10)
#: Rows of a batch and epochs, of the search and of the test.
TRAININGS = {"al4": ((250, 5), (100, 20)), "al32": ((150, 6), (150, 6))}
#: Steps through the grid for search, test and scores.
STEPS = {"al4": (1, 2, 3), "al32": (3, 3, 6)}
NETWORK = {"hidden_layer_sizes": (100, 100), "activation": "silu"}


def transformer(r_cut, twojmax):
    from skldos import GridSNAPTransformer

    return GridSNAPTransformer(r_cut, twojmax)


def pipeline(r_cut, twojmax, last):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import RowWise

    return make_pipeline(transformer(r_cut, twojmax), RowWise(StandardScaler()), last)


def network(seed, batch_size, max_epochs):
    from skldos import LDOSRegressor

    options = {"batch_size": batch_size, "max_epochs": max_epochs}
    options |= {f"module__{name}": value for name, value in NETWORK.items()}
    return LDOSRegressor(lr=3e-3, lr_schedule="cosine", random_state=seed, **options)


def timed(function, *arguments):
    """Return the result of a function, and its CPU seconds."""
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start


# --- by training -------------------------------------------------------------------------------


def band_error(model, fit, test):
    """Return the mean of |band-energy error| of a model fitted to one and tested on the other."""
    from skldos import BandEnergyScorer

    return float(np.abs(BandEnergyScorer().errors(model.fit(fit), test)).mean())


def validated(r_cut, twojmax, system, first):
    """Return the cross-validated error of one candidate."""
    model = pipeline(r_cut, twojmax, network(0, *TRAININGS[system][0]))
    first = [thinned(s, STEPS[system][0]) for s in first]
    parts = first[::2], first[1::2]
    return float(np.mean([band_error(model, *pair) for pair in (parts, parts[::-1])]))


def test_errors(r_cut, twojmax, system, first, second, seeds):
    """Return the test error of every seed."""
    step = STEPS[system][1]
    first, second = ([thinned(s, step) for s in half] for half in (first, second))
    head = pipeline(r_cut, twojmax, "passthrough").fit(first)
    fit, test = head.transform(first), head.transform(second)
    return [band_error(network(i, *TRAININGS[system][1]), fit, test) for i in range(seeds)]


def trained(r_cut, twojmax, system, first, second, seeds):
    """Return the result of the search, its seconds, and the test errors."""
    error, seconds = timed(validated, r_cut, twojmax, system, first)
    errors = test_errors(r_cut, twojmax, system, first, second, seeds)
    return {"validated": error, "seconds": seconds, "test": errors}


# --- without training --------------------------------------------------------------------------


def acsd_score(sided, scaled):
    """Return a score of blocks of descriptors and targets."""
    from skldos.search import acsd

    def score(blocks, targets):
        scale = np.concatenate(blocks).std(axis=0) if scaled else 1.0
        pairs = zip(blocks, targets, strict=True)
        return -np.mean([acsd(b / scale, t, n_pairs=None, sided=sided) for b, t in pairs])

    return score


def information(blocks, targets):
    from skldos.search import mutual_information

    pairs = zip(blocks, targets, strict=True)
    return np.mean([mutual_information(b, t, n_points=None) for b, t in pairs])


def readout(metric):
    """Return a score of blocks of descriptors and targets."""
    import torch

    from skldos.networks import FeedForward
    from skldos.search.scores.readout import readout_score

    def score(blocks, targets):
        rows = np.concatenate(blocks)
        scaled = [(block - rows.mean(axis=0)) / rows.std(axis=0) for block in blocks]
        found = []
        for seed in range(3):
            torch.manual_seed(seed)
            untrained = FeedForward(rows.shape[1], targets[0].shape[1], **NETWORK)
            found.append(readout_score(untrained, scaled, targets, metric=metric))
        return np.mean(found)

    return score


def scores():
    """Return scores by name: functions of blocks of descriptors and of the LDOS."""
    found = {
        f"ACSD, {sided}-sided, {'scaled' if scaled else 'raw'}": acsd_score(sided, scaled)
        for sided in ("two", "one")
        for scaled in (False, True)
    }
    found["mutual information"] = information
    return found | {f"readout, {metric}": readout(metric) for metric in ("ldos", "dos")}


def scored(r_cut, twojmax, system, first):
    """Return value and seconds of every score, those for the descriptors in each of them."""
    first = [thinned(s, STEPS[system][2]) for s in first[::2]]
    blocks, common = timed(transformer(r_cut, twojmax).fit_transform, first)
    blocks = [np.asarray(block, dtype=float) for block in blocks]
    targets = [s.ldos.reshape(-1, s.ldos.shape[-1]).astype(float) for s in first]
    found = {}
    for name, score in scores().items():
        value, seconds = timed(score, blocks, targets)
        found[name] = {"value": float(value), "seconds": seconds + common}
    return found


# --- together ----------------------------------------------------------------------------------


def candidate(r_cut, twojmax, system, first, second, seeds):
    """Return the test errors of one candidate, and its score by every method."""
    path = FOLDER / system / f"{r_cut}-{twojmax}-{seeds}.json"
    found = harness.cached(path, trained, r_cut, twojmax, system, first, second, seeds)
    path = FOLDER / system / f"{r_cut}-{twojmax}-scores.json"
    choices = {"trained": {"value": -found["validated"], "seconds": found["seconds"]}}
    choices |= harness.cached(path, scored, r_cut, twojmax, system, first)
    return {"r_cut": r_cut, "twojmax": twojmax, "test": found["test"], "choices": choices}


def picks(rows):
    """Return the pick of every method, its quality, and the seconds."""
    from skldos.search import kendall_interval

    means = np.array([np.mean(row["test"]) for row in rows])
    spreads = np.array([np.std(row["test"], ddof=1) for row in rows])
    best, found = np.argmin(means), {}
    for name in rows[0]["choices"]:
        values = [row["choices"][name]["value"] for row in rows]
        pick = int(np.argmax(values))
        found[name] = {
            "r_cut": rows[pick]["r_cut"],
            "twojmax": rows[pick]["twojmax"],
            "mean": means[pick],
            "spread": spreads[pick],
            "rank": int(np.sum(means < means[pick])) + 1,
            "within": bool(means[pick] - means[best] <= spreads[pick] + spreads[best]),
            "seconds": sum(row["choices"][name]["seconds"] for row in rows),
            "tau": list(kendall_interval(values, means, random_state=0)),
        }
    return found


def render(record):
    """Return the table of a record."""
    rows, found = record["rows"], record["picks"]
    means = [np.mean(row["test"]) for row in rows]
    best = rows[int(np.argmin(means))]
    lines = []
    for name, pick in found.items():
        ratio = found["trained"]["seconds"] / pick["seconds"]
        lines.append(
            [
                name,
                f"{pick['r_cut']}, {pick['twojmax']}",
                f"{pick['mean']:.1f} ± {pick['spread']:.1f}",
                f"{pick['rank']} of {len(rows)}",
                "yes" if pick["within"] else "no",
                "{:+.2f} ({:+.2f} to {:+.2f})".format(*pick["tau"]),
                f"{pick['seconds']:.2f}",
                f"{ratio:.0f}",
            ]
        )
    header = ["choice by", "r_cut (Å), twojmax", "error (meV/atom)", "rank", "within the spread"]
    header += ["Kendall's tau", "CPU s", "times faster"]
    caption = (
        f"{record['system']}; best of {len(rows)} candidates: r_cut {best['r_cut']} Å, twojmax "
        f"{best['twojmax']}, {np.mean(best['test']):.1f} ± {np.std(best['test'], ddof=1):.1f} "
        f"meV/atom; median {np.median(means):.1f}, worst {max(means):.1f}. Mean and standard "
        f"deviation of {len(best['test'])} seeds."
    )
    return caption + "\n\n" + tables.format_table(header, lines)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--system", choices=STEPS, default="al4", help="[%(default)s]")
    parser.add_argument("--seeds", type=int, default=3, help="test trainings [%(default)s]")
    options = parser.parse_args()
    snapshots, halves = read_system(options.data, options.system, thin=False)
    first, second = ([snapshots[i] for i in half] for half in halves)
    scored(4.0, 4, options.system, first[:4])  # compiles and imports, at nobody's cost
    rows = []
    for r_cut in CUTOFFS:
        for twojmax in ORDERS:
            rows.append(candidate(r_cut, twojmax, options.system, first, second, options.seeds))
            print(r_cut, twojmax, rows[-1]["test"], rows[-1]["choices"]["trained"], flush=True)
    record = {"system": options.system, "picks": picks(rows), "rows": rows}
    print(render(record))
    if not options.no_write:
        suffix = "" if options.system == "al4" else f"_{options.system}"
        harness.write_result(__file__, suffix=suffix, **record)


if __name__ == "__main__":
    main()
