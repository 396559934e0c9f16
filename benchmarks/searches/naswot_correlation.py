"""Scores of untrained networks against their errors after training.

Networks are drawn by a seed: one to four hidden layers, the width of each between 10 and 400
(log-uniform), one of four activations. Each is trained on one half of the snapshots of a system and
tested on the other, and vice versa:

  al4    14 snapshots of 4 atoms, every second grid point, 20 epochs in batches of 100
  al32   21 snapshots of 32 atoms, every third grid point, 6 epochs in batches of 150

Fit and test see the same grid, thinned in each direction. Descriptors are standardised bispectrum
components (twojmax 10, r_cut 4.67637 Å); Adam, a learning rate annealed from 3e-3 to zero. Scores
are compared with these errors, as means over all snapshots, each predicted by the network that was
not trained on it:

  trained     |band-energy error| in meV/atom, with the weights at the end of training
  refitted    the same with the output layer refitted in closed form (`dos_weight=100`)
  median      the same with the median over the snapshots, a few of which are extrapolated
  ldos        mean square error at the grid points, relative to the variance

Greater scores are better, so Kendall's tau of a good score and the error is negative. Scores use
only training data of the first half, and networks with other random weights. Intervals hold 95 % of
2000 bootstrap samples of the networks. No score can be expected to do better than the errors of
another seed, with which the first twelve networks are trained again.

    python -m benchmarks.searches.naswot_correlation [--systems al4 al32] [--networks 36]
"""

import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.energies import band_energies, dos_of
from benchmarks.searches._data import read_system, standardised

FOLDER = harness.output_of(__file__)
#: System: rows of a batch, epochs.
SYSTEMS = {"al4": (100, 20), "al32": (150, 6)}
ACTIVATIONS = ("leaky_relu", "relu", "silu", "tanh")
ERRORS = ("trained", "refitted", "median", "ldos")
#: Networks that are trained with two seeds.
N_REPEATED = 12
DOS_WEIGHT = 100.0


# --- networks ----------------------------------------------------------------------------------


def draw_networks(number, seed=0):
    """Return arguments of networks: hidden_layer_sizes and activation."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(number):
        widths = np.exp(rng.uniform(np.log(10), np.log(400), size=rng.integers(1, 5)))
        activation = str(rng.choice(ACTIVATIONS))
        drawn.append({"hidden_layer_sizes": [round(w) for w in widths], "activation": activation})
    return drawn


# --- trained -----------------------------------------------------------------------------------


def refit(regressor, blocks):
    """Refit the output layer of a trained regressor, as `dos_weight` would have done."""
    import torch

    from skldos.regressors.neural.output_layer import fit_output_layer

    def rows(inputs, snapshot):
        targets = snapshot.ldos.reshape(len(inputs), -1)
        targets = (targets - regressor.target_center_) / regressor.target_scale_
        return [tuple(torch.as_tensor(a, dtype=torch.float32) for a in (inputs, targets))]

    pairs = zip(blocks, blocks.snapshots, strict=True)
    fit_output_layer(regressor.module_, (rows(*pair) for pair in pairs), DOS_WEIGHT)


def regressor_of(network, system, seed):
    from skldos import LDOSRegressor

    batch_size, max_epochs = SYSTEMS[system]
    options = {f"module__{name}": value for name, value in network.items()}
    return LDOSRegressor(
        batch_size=batch_size,
        max_epochs=max_epochs,
        lr=3e-3,
        lr_schedule="cosine",
        dos_weight=None,
        random_state=seed,
        **options,
    )


def trained_errors(network, system, seed, blocks, halves):
    """Return errors of every snapshot by the network that was not trained on it."""
    band = {name: np.empty(len(blocks)) for name in ("trained", "refitted")}
    ldos, seconds = [], 0.0
    for fit, test in (halves, halves[::-1]):
        start = time.process_time()
        regressor = regressor_of(network, system, seed).fit(blocks[fit])
        seconds += time.process_time() - start
        predicted = regressor.predict(blocks[test])
        ldos.append(relative_error(predicted))
        band["trained"][test] = band_errors(predicted)
        refit(regressor, blocks[fit])
        band["refitted"][test] = band_errors(regressor.predict(blocks[test]))
    errors = {name: values.tolist() for name, values in band.items()}
    return errors | {"ldos": float(np.mean(ldos)), "seconds": seconds}


def relative_error(predicted):
    """Return the mean square error of LDOS relative to their variance."""
    true = np.concatenate([s.ldos.reshape(-1, len(s.energies)) for s in predicted.snapshots])
    wrong = np.sum((np.concatenate(predicted) - true) ** 2, dtype=float)
    return wrong / np.sum((true - true.mean(axis=0)) ** 2, dtype=float)


def band_errors(predicted):
    """Return errors of the band energy in meV/atom, from predicted LDOS."""
    snapshots = predicted.snapshots
    dos = [dos_of(ldos, s) for ldos, s in zip(predicted, snapshots, strict=True)]
    true = [dos_of(s.ldos, s) for s in snapshots]
    return band_energies(dos, snapshots) - band_energies(true, snapshots)


# --- untrained ---------------------------------------------------------------------------------


def alignment(what, n_points=600, n_initializations=3):
    """Return a score: the alignment of the LDOS with outputs of untrained networks.

    The rows are "features", outputs of the last hidden layer, or "Jacobians", gradients of the
    summed outputs. The score is the centred alignment of the kernels of these rows and of the LDOS.
    """
    import torch

    def rows_of(regressor, inputs, seed):
        torch.manual_seed(seed)
        sizes = inputs.shape[1], regressor.n_outputs_
        network = regressor.module(*sizes, **regressor.get_params_for("module")).double()
        inputs = torch.tensor(inputs, dtype=torch.float64, requires_grad=True)
        if what == "features":
            return network[:-1](inputs).detach().numpy()
        return torch.autograd.grad(network(inputs).sum(), inputs)[0].numpy()

    def kernel(rows):
        rows = rows - rows.mean(axis=0)
        return rows @ rows.T / np.linalg.norm(rows @ rows.T)

    def score(regressor, blocks):
        inputs = np.concatenate(blocks)
        chosen = np.random.default_rng(0).choice(len(inputs), n_points, replace=False)
        ldos = np.concatenate([s.ldos.reshape(-1, regressor.n_outputs_) for s in blocks.snapshots])
        target, inputs = kernel(ldos[chosen].astype(float)), inputs[chosen]
        kernels = (kernel(rows_of(regressor, inputs, i)) for i in range(n_initializations))
        return float(np.mean([np.sum(target * k) for k in kernels]))

    return score


def scorers():
    """Return scorers by name; greater is better."""
    from skldos.search import NASWOTScorer
    from skldos.search.scores.readout import ReadoutScorer

    return {
        "NASWOT, fiedler": NASWOTScorer(random_state=0),
        "NASWOT, mellor": NASWOTScorer(convention="mellor", random_state=0),
        "number of weights": lambda r, X: sum(p.numel() for p in r.module_.parameters()),
        "alignment of Jacobians": alignment("Jacobians"),
        "alignment of features": alignment("features"),
        "readout, ldos": ReadoutScorer(metric="ldos", random_state=0),
        "readout, dos": ReadoutScorer(random_state=0),
    }


def scores_of(network, system, blocks, half):
    """Return value and CPU seconds of every score."""
    regressor = regressor_of(network, system, 0).set_params(max_epochs=0).fit(blocks[half])
    found = {}
    for name, scorer in scorers().items():
        start = time.process_time()
        value = scorer(regressor, blocks[half])
        found[name] = {"value": value, "seconds": time.process_time() - start}
    return found


# --- together ----------------------------------------------------------------------------------


def run(system, networks, data):
    """Return a row for every network: its errors after training, and its scores."""
    snapshots, halves = read_system(data, system)
    blocks, rows = standardised(snapshots), []
    for i, network in enumerate(networks):
        path = FOLDER / system / f"{i}-scores.json"
        row = {"system": system} | network
        row["scores"] = harness.cached(path, scores_of, network, system, blocks, halves[0])
        for seed in range(2 if i < N_REPEATED else 1):
            path = FOLDER / system / f"{i}-{seed}.json"
            found = harness.cached(path, trained_errors, network, system, seed, blocks, halves)
            found["median"] = float(np.median(np.abs(found["refitted"])))
            for name in ("trained", "refitted"):
                found[name] = float(np.mean(np.abs(found[name])))
            for name in (*ERRORS, "seconds"):
                row.setdefault(name, []).append(found[name])
        rows.append(row)
        print(system, network, [np.round(row[name], 3) for name in ERRORS], flush=True)
    return rows


def correlations(rows):
    """Return tau and its interval for every system, error and score."""
    from skldos.search import kendall_interval

    found = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        some = [row for row in rows if row["system"] == system]
        for error in ERRORS:
            errors = [row[error][0] for row in some]
            values = {
                name: [row["scores"][name]["value"] for row in some] for name in some[0]["scores"]
            }
            values["ldos error of the same training"] = [-row["ldos"][0] for row in some]
            taus = {n: kendall_interval(v, errors, random_state=0) for n, v in values.items()}
            twice = np.array([row[error] for row in some if len(row[error]) == 2])
            taus["error of another seed"] = kendall_interval(
                -twice[:, 1], twice[:, 0], random_state=0
            )
            of_system = found.setdefault(system, {})
            of_system[error] = {name: list(tau) for name, tau in taus.items()}
    return found


def render(record):
    """Return the table of a record."""
    taus, rows, lines = record["correlations"], record["rows"], []
    columns = [(system, error) for system, errors in taus.items() for error in errors]
    for name in taus[columns[0][0]]["trained"]:
        cells = ["{:+.2f} ({:+.2f} to {:+.2f})".format(*taus[s][e][name][:3]) for s, e in columns]
        seconds = [row["scores"][name]["seconds"] for row in rows if name in row["scores"]]
        lines.append([name, *cells, f"{1e3 * np.mean(seconds):.0f}" if seconds else ""])
    header = ["score", *(f"{system}, {error}" for system, error in columns), "ms"]
    counts = [f"{sum(row['system'] == s for row in rows)} networks on {s}" for s in taus]
    caption = (
        "Kendall's tau of score and error after training, with its 95 % interval, of "
        f"{' and '.join(counts)}; negative is good. CPU time of one score; one training takes "
        f"{np.mean([row['seconds'][0] for row in rows]):.1f} s."
    )
    return caption + "\n\n" + tables.format_table(header, lines)


def draw(rows, path):
    """Draw scores against errors after training."""
    from skldos.plotting import SearchDisplay

    plt = harness.pyplot()
    systems = list(dict.fromkeys(row["system"] for row in rows))
    size = {"figsize": (9, 3.8 * len(systems)), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(len(systems), 2, **size)
    for system, line in zip(systems, axes, strict=True):
        some = [row for row in rows if row["system"] == system]
        errors = [row["median"][0] for row in some]
        for name, ax in zip(("NASWOT, fiedler", "readout, dos"), line, strict=True):
            scores = [row["scores"][name]["value"] for row in some]
            labels = {"score_label": name, "error_label": f"{system}: median error (meV/atom)"}
            SearchDisplay.from_scores(scores, errors, ax=ax, **labels)
            ax.locator_params(axis="x", nbins=5)
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("{x:g}")
    figure.savefig(path, dpi=120)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--networks", type=int, default=36, help="how many [%(default)s]")
    options = parser.parse_args()
    networks = draw_networks(options.networks)
    rows = [row for system in options.systems for row in run(system, networks, options.data)]
    record = {"correlations": correlations(rows), "rows": rows}
    print(render(record))
    if not options.no_write:
        harness.write_result(__file__, **record)
        draw(rows, harness.IMAGES / "naswot_correlation.png")


if __name__ == "__main__":
    main()
