"""Coefficients of the potential from the neighbours of an atom: networks and simple models.

The change of the self-consistent potential of silicon, as Gaussians on the atoms
(`GaussianPotentialDecomposer`), learned from bispectra with three cutoff radii, on the snapshots of
`data.py`. Four folds: every fourth snapshot of each kind is predicted by models of the rest.
Features are brought to unit variance and reduced to their principal components, the same for all
models.

  mean         the mean of the training coefficients
  nearest      the coefficients of the training atom with the most similar features
  ridge        linear regression
  gaussian     a network that predicts one Gaussian with a width of its own (K = 1)
  MDN          mixture density networks of three Gaussians: full, diagonal and low-rank covariance

Errors of the potential are ∫(V_predicted − V)² over ∫V², V without its mean, square-rooted, in per
cent: against the sum of Gaussians that was to be learned ("of the fit") and against the potential
itself, which includes the limits of the Gaussians. Networks predict the mean of the mixture, or its
mode. CRPS and negative log-likelihood are those of the coefficients of an atom brought to
uncorrelated components of unit variance. For models without a width, the CRPS is the absolute
error, or, for ridge and mean, that of a normal distribution with the covariance of their training
residuals. The regularisation of the networks (dropout, floor of the widths, epochs, principal
components) was chosen among some ten settings on the second fold; without it, they are
overconfident.

    python -m benchmarks.potentials.models [--seeds 3]

With --draw, only the figure in docs/images is drawn, for the first fold.
"""

import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.potentials._data import KINDS, of_kinds
from benchmarks.potentials._models import MODELS, N_FOLDS, NETWORKS, estimator, features, folds_of
from benchmarks.potentials._pictures import draw

FOLDER = harness.output_of(__file__)
PICTURE = harness.IMAGES / "potential.png"


class Whitened:
    """Coefficients of training atoms as uncorrelated numbers of unit variance."""

    def __init__(self, rows):
        self.center = rows.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov(rows.T))
        self.matrix = axes / np.sqrt(variances)

    def __call__(self, rows):
        """Return rows of coefficients as such numbers."""
        return (np.asarray(rows, dtype=float) - self.center) @ self.matrix

    def roots(self, roots):
        """Return roots of covariances of coefficients as those of the whitened ones."""
        return self.matrix.T @ roots


def distributions(model, fitted, X, fit, whiten):
    """Return mixtures of whitened coefficients for the rows of X, or None.

    `fit` holds the training data, whose residuals are the width of models without one.
    """
    from skldos.regressors.neural.mixtures import GaussianMixtures

    if model == "nearest":
        return None
    if model in NETWORKS:
        found = fitted.predict_mixtures(X)
        return GaussianMixtures(found.weights, whiten(found.means), whiten.roots(found.roots))
    inputs, targets = fit
    residual = whiten(np.concatenate(list(fitted.predict(inputs)))) - whiten(targets)
    means = whiten(np.concatenate(list(fitted.predict(X))))[:, None]
    root = np.linalg.cholesky(np.cov(residual.T))
    roots = np.broadcast_to(root, (len(means), 1, *root.shape))
    return GaussianMixtures(np.ones((len(means), 1)), means, roots)


def probabilistic_scores(mixtures, predicted, true):
    """Return CRPS and negative log-likelihood of every atom, both per coefficient."""
    from skldos.uncertainty import crps

    if mixtures is None:
        return np.abs(predicted - true).mean(axis=1), np.full(len(true), np.nan)
    means, stds = (np.moveaxis(a, 1, 0) for a in (mixtures.means, mixtures.component_std()))
    weights = mixtures.weights.T[..., None]
    scores = crps(true, means, stds, np.broadcast_to(weights, means.shape))
    return scores.mean(axis=1), -mixtures.log_density(true) / true.shape[1]


def potential_errors(decomposer, coefficients, snapshots, true_blocks):
    """Return relative errors of the sums of Gaussians, and of the potentials, in per cent."""
    difference = [a - b for a, b in zip(coefficients, true_blocks, strict=True)]
    norms = decomposer.squared_norms(true_blocks, snapshots)
    of_fit = 100 * np.sqrt(decomposer.squared_norms(difference, snapshots) / norms)
    errors = []
    for V, found in zip(
        decomposer.potentials(snapshots),
        decomposer.inverse_transform(coefficients, snapshots),
        strict=True,
    ):
        V, found = V - V.mean(), found - found.mean()
        errors.append(100 * np.sqrt(((found - V) ** 2).sum() / (V**2).sum()))
    return of_fit, np.array(errors)


def run_fold(fold, folds, snapshots, seeds, pseudopotentials):
    """Return a row for every model, seed and snapshot of a fold."""
    from skldos.decomposition import GaussianPotentialDecomposer

    known, asked = (
        [s for s, f in zip(snapshots, folds, strict=True) if (f == fold) == of_test]
        for of_test in (False, True)
    )
    describe = features().fit(known)
    X, X_asked = describe.transform(known), describe.transform(asked)
    decomposer = GaussianPotentialDecomposer(pseudopotentials, memory=str(FOLDER)).fit(known)
    Y, Y_asked = decomposer.transform(known), [np.asarray(b) for b in decomposer.transform(asked)]
    rows = []
    targets = np.concatenate([np.asarray(block) for block in Y])
    whiten = Whitened(targets)
    for model in MODELS:
        for seed in range(seeds if model in NETWORKS else 1):
            start = time.perf_counter()
            fitted = estimator(model, seed).fit(X, Y)
            seconds = time.perf_counter() - start
            mixtures = distributions(model, fitted, X_asked, (X, targets), whiten)
            predictions = {"mean": fitted.predict(X_asked)}
            if model in NETWORKS:
                predictions["mode"] = fitted.predict_mode(X_asked)
            some = score(decomposer, predictions, mixtures, asked, Y_asked, whiten)
            rows += [{"model": model, "seed": seed, "seconds": seconds, **row} for row in some]
    return rows


def score(decomposer, predictions, mixtures, snapshots, true, whiten):
    """Return a row for every snapshot."""
    first = np.concatenate([np.asarray(block) for block in predictions["mean"]])
    per_atom = probabilistic_scores(mixtures, whiten(first), whiten(np.concatenate(true)))
    ends = np.cumsum([len(block) for block in true])[:-1]
    rows = [
        {
            "snapshot": s.reference["name"],
            "kind": s.reference["kind"],
            "atoms": len(s.atoms),
            "crps": float(c.mean()),
            "nll": float(n.mean()),
        }
        for s, c, n in zip(snapshots, *(np.split(a, ends) for a in per_atom), strict=True)
    ]
    for name, blocks in predictions.items():
        blocks = [np.asarray(block, dtype=float) for block in blocks]
        of_fit, of_potential = potential_errors(decomposer, blocks, snapshots, true)
        for row, a, b in zip(rows, of_fit, of_potential, strict=True):
            row |= {f"fit_{name}": float(a), f"potential_{name}": float(b)}
    if mixtures is not None and mixtures.weights.shape[1] > 1:
        for row, several in zip(rows, np.split(modality(mixtures), ends), strict=True):
            row["several"] = float(several.mean())
    return rows


def modality(mixtures):
    """Return for every row whether two components of weight > 0.1 lie more than 2 std apart."""
    found, covariances = np.zeros(len(mixtures), dtype=bool), mixtures.covariances
    n_components = mixtures.weights.shape[1]
    for k in range(n_components):
        for other in range(k):
            apart = mixtures.means[:, k] - mixtures.means[:, other]
            spread = covariances[:, k] + covariances[:, other]
            distance = np.einsum(
                "ni,ni->n", apart, np.linalg.solve(spread, apart[..., None])[..., 0]
            )
            heavy = np.minimum(mixtures.weights[:, k], mixtures.weights[:, other]) > 0.1
            found |= heavy & (distance > 2 * 2**2)
    return found


def cells(rows, key):
    """Return the mean over snapshots and seeds by kind and of all, with the spread of the seeds."""
    found = []
    for kind in (*KINDS, None):
        by_seed = {}
        for row in rows:
            if kind in (None, row["kind"]) and key in row:
                by_seed.setdefault(row["seed"], []).append(row[key])
        means = [np.mean(values) for values in by_seed.values()]
        if not means or np.isnan(means).any():
            found.append("")
            continue
        spread = f" ± {np.std(means, ddof=1):.2f}" if len(means) > 1 else ""
        found.append(f"{np.mean(means):.2f}{spread}")
    return found


def render(record):
    """Return the tables of a record."""
    quantities = {
        "fit_mean": "Error of the sum of Gaussians, %, by the mean of the distribution:",
        "fit_mode": "The same by its mode:",
        "potential_mean": "Error of the potential itself, %:",
        "crps": "CRPS per coefficient, in standard deviations of the training coefficients:",
        "nll": "Negative log-likelihood per coefficient:",
        "several": "Fraction of the atoms with more than one separate peak:",
    }
    parts = [
        f"{record['snapshots']} snapshots, {record['atoms']} atoms; {N_FOLDS} folds; mean over the "
        f"snapshots of a kind ± standard deviation over {record['seeds']} seeds."
    ]
    for key, title in quantities.items():
        lines = []
        for model in MODELS:
            some = [row for row in record["rows"] if row["model"] == model]
            line = cells(some, key)
            if any(line):
                seconds = np.mean([row["seconds"] for row in some])
                lines.append([model, *line, f"{seconds:.1f}"])
        header = ["model", *KINDS, "all", "training (s)"]
        parts.append(f"{title}\n\n{tables.format_table(header, lines)}")
    return "\n\n".join(parts)


def draw_fold(snapshots, folds, pseudopotentials, path, drawn="amorphous_16_0"):
    """Draw a snapshot with predictions of models of the other folds."""
    from skldos.decomposition import GaussianPotentialDecomposer

    names = [s.reference["name"] for s in snapshots]
    fold = folds[names.index(drawn)]
    known = [s for s, f in zip(snapshots, folds, strict=True) if f != fold]
    asked = snapshots[names.index(drawn)]
    describe = features().fit(known)
    decomposer = GaussianPotentialDecomposer(pseudopotentials, memory=str(FOLDER)).fit(known)
    X, Y = describe.transform(known), decomposer.transform(known)
    true = np.asarray(decomposer.transform([asked])[0])
    whiten = Whitened(np.concatenate([np.asarray(block) for block in Y]))
    predictions, at = {}, describe.transform([asked])
    for model in ("ridge", "MDN, full"):
        fitted = estimator(model, 0).fit(X, Y)
        predictions[model] = np.asarray(fitted.predict(at)[0], dtype=float)
    mixtures = distributions("MDN, full", fitted, at, None, whiten)
    draw(path, decomposer, asked, predictions, mixtures, true, whiten)
    print(f"wrote {path}")


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="of the networks [%(default)s]")
    parser.add_argument("--draw", action="store_true", help="only make the picture")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    from skldos.datasets import load_silicon_pseudopotentials

    snapshots = of_kinds(options.data)
    folds, rows, silicon = folds_of(snapshots), [], load_silicon_pseudopotentials()
    if options.draw:
        draw_fold(snapshots, folds, silicon, PICTURE)
        return
    for fold in range(N_FOLDS):
        rows += run_fold(fold, folds, snapshots, options.seeds, silicon)
        print(f"fold {fold + 1} of {N_FOLDS}", flush=True)
    extra = {
        "snapshots": len(snapshots),
        "atoms": sum(len(s.atoms) for s in snapshots),
        "seeds": options.seeds,
    }
    print(render({"rows": rows, **extra}))
    if not options.no_write:
        harness.write_result(__file__, rows, **extra)


if __name__ == "__main__":
    main()
