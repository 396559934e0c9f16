"""Cross-validate, fit and save a model of the LDOS: ``python -m skldos``."""

import argparse
import sys
from pathlib import Path

import numpy as np

from skldos._validation import check_scalar
from skldos.exceptions import SkldosError, SnapshotError

#: Folds of the cross-validation, and how the model is trained; ``--quick`` makes it tiny.
N_FOLDS = 4
RCUT = 4.0  # Å
FULL = {"twojmax": 6, "hidden_layer_sizes": (100,), "epochs": 40}
#: Errors in the table, by their name in the results: title and unit.
COLUMNS = {
    "fermi_level_error": ("Fermi level", "meV"),
    "band_energy_error": ("band energy", "meV/atom"),
    "baseline_error": ("mean DOS", "meV/atom"),
    "total_energy_error": ("total energy", "meV/atom"),
    "density_percentage_error": ("density", "%"),
}
QUICK = {"twojmax": 2, "hidden_layer_sizes": (10,), "epochs": 2}


def main(argv=None):
    """Run the command line; return 0, or 1 after an error that concerns the data.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; None takes those of the process.

    Returns
    -------
    int
        Exit status.
    """
    options = parse(argv)
    try:
        run(options)
    except (SkldosError, ValueError, OSError) as error:
        message = " ".join(str(error).splitlines())
        print(f"skldos: error: {message}", file=sys.stderr)
        return 1
    return 0


def parse(argv):
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="skldos",
        description="Train a model of the local density of states, judge it by cross-validation "
        "over snapshots, fit it on all of them and save it with three pictures. Without --data it "
        "does so for eight bundled snapshots of aluminium, in about a minute.",
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="snapshots that SnapshotList.save wrote"
    )
    parser.add_argument(
        "--pseudo", metavar="FILE", type=Path, nargs="+",
        help="UPF files of the elements in --data, for total energies",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("skldos-output"),
        help="where results and cached descriptors go (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", metavar="N", type=integer(low=1),
        help=f"passes over the training data (default: {FULL['epochs']})",
    )  # fmt: skip
    parser.add_argument(
        "--random-state", metavar="SEED", type=integer(low=0, high=2**32 - 1), default=0,
        help="seed of the training (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model, to see whether everything runs"
    )
    return parser.parse_args(argv)


def integer(**bounds):
    """Return a function that reads an integer within `bounds` from the command line."""

    def read(text):
        try:
            return check_scalar("value", int(text), integer=True, **bounds)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def run(options):
    """Do the whole job."""
    snapshots = load(options.data)
    pseudopotentials = load_pseudopotentials(options, snapshots)
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"{len(snapshots)} snapshots, the first {snapshots[0]}", flush=True)
    model = build(options)
    model[0].fit(snapshots).transform(snapshots)  # fills the cache, with a progress bar
    model.set_params(gridsnaptransformer__verbose=False)
    temperatures = [snapshot.temperature for snapshot in snapshots]
    shown = sorted({int(np.argmin(temperatures)), int(np.argmax(temperatures))})
    results, predictions = cross_validate(model, snapshots, pseudopotentials, shown=shown)
    print(report(results))
    draw(results, predictions, snapshots, options.output)
    save(model.fit(snapshots), options.output / "model.joblib")
    print(
        f"\nwritten to {options.output}: dos.png, parity.png, density.png, "
        "model.joblib (fitted on all)"
    )


def load(folder):
    """Return the snapshots in `folder`, or the bundled ones, that can be learned from."""
    from skldos.data import SnapshotList
    from skldos.datasets import load_aluminium

    snapshots = load_aluminium() if folder is None else SnapshotList.load(folder)
    if len(snapshots) < 2:
        raise SnapshotError(f"cross-validation needs two snapshots, got {len(snapshots)}.")
    for snapshot in snapshots:
        snapshot.require("ldos", "temperature", "n_electrons")
    return snapshots


def load_pseudopotentials(options, snapshots):
    """Return the pseudopotentials that were named, or those of the bundled data, or None."""
    from skldos.datasets import load_aluminium_pseudopotentials
    from skldos.io import as_pseudopotentials
    from skldos.physics.total_energy import check_electrons, common_functional

    if options.pseudo is None:
        return load_aluminium_pseudopotentials() if options.data is None else None
    pseudopotentials = as_pseudopotentials(options.pseudo)
    # Before the training rather than after it.
    for snapshot in snapshots:
        symbols = snapshot.atoms.symbols
        check_electrons(symbols, pseudopotentials, snapshot.n_electrons)
        common_functional(symbols, pseudopotentials)
    return pseudopotentials


def build(options):
    """Return the pipeline from snapshots to the LDOS, not yet fitted."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from torch.optim import AdamW

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    size = QUICK if options.quick else FULL
    return make_pipeline(
        GridSNAPTransformer(
            twojmax=size["twojmax"],
            rcut=RCUT,
            memory=str(options.output / "cache"),
            verbose=True,
        ),
        RowWise(StandardScaler()),
        # The components of the bispectrum are almost dependent on each other: with
        # uncorrelated inputs of equal size the network trains many times faster.
        RowWise(PCA(whiten=True)),
        LDOSRegressor(
            module__hidden_layer_sizes=size["hidden_layer_sizes"],
            max_epochs=size["epochs"] if options.epochs is None else options.epochs,
            optimizer=AdamW,
            optimizer__weight_decay=0.3,
            batch_size=200,
            lr=3e-3,
            lr_schedule="cosine",
            target_scaling="standard",
            random_state=options.random_state,
            verbose=1,
        ),
    )


def cross_validate(model, snapshots, pseudopotentials=None, shown=()):
    """Predict every snapshot by a model that has not seen it.

    Parameters
    ----------
    model : Pipeline
        From snapshots to the LDOS.
    snapshots : SnapshotList
        What it is trained on and judged by.
    pseudopotentials : dict of str to Pseudopotential, optional
        For total energies.
    shown : sequence of int
        The snapshots of which pictures are to be drawn.

    Returns
    -------
    results : pandas.DataFrame
        The table of :func:`skldos.evaluate` with a column ``baseline_error`` (meV/atom).
    predictions : dict of int to tuple of ndarray
        Predicted density of states in 1/eV and density in 1/Å³ of the snapshots that are shown.
    """
    import pandas as pd
    from sklearn.base import clone
    from sklearn.model_selection import PredefinedSplit
    from tqdm.auto import tqdm

    from skldos import evaluate, predict_density, predict_dos

    splitter = PredefinedSplit(folds_by_temperature([s.temperature for s in snapshots]))
    tables, predictions = [], {}
    for training, test in tqdm(list(splitter.split()), desc="cross-validation", unit="fold"):
        fitted = clone(model).fit(snapshots[training])
        table = evaluate(
            fitted, snapshots[test], pseudopotentials=pseudopotentials, density=True
        ).set_index(test)
        table["baseline_error"] = baseline_errors(snapshots[training], snapshots[test])
        tables.append(table)
        for i in np.intersect1d(test, shown).tolist():
            one = snapshots[[i]]
            predictions[i] = predict_dos(fitted, one)[0], predict_density(fitted, one)[0]
    return pd.concat(tables).sort_index(), predictions


def folds_by_temperature(temperatures):
    """Return the fold of every snapshot, such that each fold has all temperatures.

    Examples
    --------
    >>> folds_by_temperature([298, 298, 298, 298, 933, 933, 933, 933]).tolist()
    [0, 1, 2, 3, 0, 1, 2, 3]
    """
    folds = np.empty(len(temperatures), dtype=int)
    folds[np.argsort(temperatures, kind="stable")] = np.arange(len(temperatures))
    return folds % min(N_FOLDS, len(temperatures))


def baseline_errors(training, test):
    """Return band energy errors in meV/atom of a model that knows only the temperature.

    It predicts the mean DOS per atom of the training snapshots at the nearest temperature.
    """
    from skldos.scoring._observables import of_dos

    temperatures = np.array([snapshot.temperature for snapshot in training])
    dos = np.array([snapshot.dos() / len(snapshot.atoms) for snapshot in training])
    errors = []
    for snapshot in test:
        distance = np.abs(temperatures - snapshot.temperature)
        n_atoms = len(snapshot.atoms)
        mean = n_atoms * dos[distance == distance.min()].mean(axis=0)
        predicted, true = of_dos(mean, snapshot), of_dos(snapshot.dos(), snapshot)
        errors.append(1e3 * (predicted.band_energy - true.band_energy) / n_atoms)
    return errors


def report(results):
    """Return the table of all snapshots as text, with mean absolute and largest errors."""
    columns = {name: column for name, column in COLUMNS.items() if name in results}
    lines = [
        "",
        "Each snapshot predicted by a model that was not trained on it: errors against what its",
        "true LDOS gives. Mean DOS: band energy of the average DOS at this temperature.",
        "",
        f"{'snapshot':>8s}{'T':>8s}" + "".join(f"{title:>14s}" for title, _ in columns.values()),
        f"{'':8s}{'(K)':>8s}" + "".join(f"{f'({unit})':>14s}" for _, unit in columns.values()),
    ]
    for i, row in results.iterrows():
        lines.append(f"{i:8d}{row.temperature:8.0f}" + error_cells(row[[*columns]]))
    errors = results[[*columns]].abs()
    groups = list(errors.groupby(results["temperature"]))
    for T, part in groups if 1 < len(groups) < len(results) else []:
        lines.append(f"{f'mean {T:.0f} K':>16s}" + error_cells(part.mean(), sign=""))
    lines.append(f"{'mean absolute':>16s}" + error_cells(errors.mean(), sign=""))
    lines.append(f"{'largest':>16s}" + error_cells(errors.max(), sign=""))
    return "\n".join(lines)


def error_cells(errors, sign="+"):
    """Return errors as cells of a line of the table; a percentage has no sign."""
    return "".join(
        f"{value:14.2f}" if name == "density_percentage_error" else f"{value:{sign}14.1f}"
        for name, value in errors.items()
    )


def draw(results, predictions, snapshots, folder):
    """Draw the DOS of the snapshots that were predicted for it, all energies, and a density."""
    from matplotlib.figure import Figure

    from skldos.plotting import DOSDisplay, ParityDisplay

    temperature = results["temperature"].to_numpy()
    shown = sorted(predictions)
    figure = Figure(figsize=(6.4, 4.6), dpi=150)
    DOSDisplay.from_predictions(
        [snapshots[i].dos() for i in shown],
        [predictions[i][0] for i in shown],
        energies=snapshots[shown[0]].energies,
        n_atoms=[len(snapshots[i].atoms) for i in shown],
        temperature=temperature[shown],
        n_electrons=[snapshots[i].n_electrons for i in shown],
        labels=[f"{temperature[i]:.0f} K" for i in shown],
        ax=figure.add_subplot(),
        align_fermi=True,
    )
    figure.savefig(folder / "dos.png", bbox_inches="tight")
    figure = Figure(figsize=(4.6, 4.6), dpi=150)
    ParityDisplay.from_predictions(
        results["band_energy_true"] / results["n_atoms"],
        results["band_energy"] / results["n_atoms"],
        hue=temperature,
        hue_label="T (K)",
        ax=figure.add_subplot(),
    )
    figure.savefig(folder / "parity.png", bbox_inches="tight")
    draw_density(int(temperature.argmax()), results, predictions, snapshots, folder)


def draw_density(i, results, predictions, snapshots, folder):
    """Draw the predicted density of snapshot `i` against that of its true LDOS."""
    from matplotlib.figure import Figure

    from skldos.physics import density
    from skldos.plotting import DensityDisplay

    snapshot = snapshots[i]
    true = density(
        snapshot.ldos,
        snapshot.energies,
        temperature=snapshot.temperature,
        fermi_level=results.loc[i, "fermi_level_true"],
    )
    figure = Figure(figsize=(12.6, 4.4), dpi=150)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2.8), gridspec_kw={"wspace": 0.12})
    left.set_title(f"{snapshot.temperature:.0f} K", loc="left", fontsize="medium")
    cell = snapshot.atoms.cell
    display = DensityDisplay.from_predictions(true, predictions[i][1], cell=cell, ax=left)
    display.plot(right, kind="slice")
    figure.savefig(folder / "density.png", bbox_inches="tight")


def save(model, path):
    """Write the fitted pipeline, silent and without the cache folder of this run."""
    import joblib

    model.set_params(gridsnaptransformer__memory=None, ldosregressor__verbose=0)
    joblib.dump(model, path)


if __name__ == "__main__":
    sys.exit(main())
