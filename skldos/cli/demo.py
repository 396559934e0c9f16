"""``skldos demo``: cross-validate, fit and save a model of the LDOS, with three plots."""

from pathlib import Path

import numpy as np

from skldos.cli.arguments import add_output, check_free, integer
from skldos.cli.data import load_data, load_pseudopotentials
from skldos.cli.validation import each_fold
from skldos.exceptions import SnapshotError
from skldos.progress import is_watched

HELP = "train and evaluate a model on bundled data, to check that everything works"
DESCRIPTION = (
    "Train a model of the local density of states (skldos.models.grid), cross-validate it over "
    "snapshots, fit it to all of them and save it with three plots. Without --data, the demo "
    "uses eight bundled snapshots of aluminium and takes less than a minute."
)
EXAMPLES = ("skldos demo", "skldos demo --data snapshots --pseudo Al.pz-vbc.UPF -o results")

#: Folds of the cross-validation, and what differs from the recommended model: fewer passes, which
#: cost a fifth more error. ``--quick`` makes it tiny.
N_FOLDS = 4
FULL_SETTINGS = {"max_epochs": 20}
QUICK_SETTINGS = {"twojmax": 2, "hidden_layer_sizes": (10,), "max_epochs": 2}
#: Errors in the table, by their name in the results: title and unit.
COLUMNS = {
    "fermi_level_error": ("Fermi level", "meV"),
    "band_energy_error": ("band energy", "meV/atom"),
    "baseline_error": ("mean DOS", "meV/atom"),
    "total_energy_error": ("total energy", "meV/atom"),
    "density_percentage_error": ("density", "%"),
}


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("--data", metavar="DIR", type=Path, help="folder of snapshots")
    parser.add_argument(
        "--pseudo", metavar="FILE", type=Path, nargs="+",
        help="UPF files of the elements in --data, for total energies",
    )  # fmt: skip
    add_output(parser, "folder for results and cached descriptors", Path("skldos-output"))
    parser.add_argument(
        "--epochs", metavar="N", type=integer(low=1),
        help=f"passes over the training data (default: {FULL_SETTINGS['max_epochs']})",
    )  # fmt: skip
    parser.add_argument(
        "--random-state", metavar="SEED", type=integer(low=0, high=2**32 - 1), default=0,
        help="seed of the training (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="use a tiny model, to check that everything runs"
    )


def run(options):
    """Run the demo."""
    import skldos

    path = options.output / "model.skldos"
    check_free(path, options.overwrite)
    data = "aluminium" if options.data is None else options.data
    snapshots = checked(load_data(data))
    pseudopotentials = load_pseudopotentials(options.pseudo, data)
    check_pseudopotentials(pseudopotentials, snapshots)
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"{len(snapshots)} snapshots, the first {snapshots[0]}", flush=True)
    model = build(options)
    model[0].fit(snapshots).transform(snapshots)  # fills the cache, with a progress bar
    model.set_params(gridsnaptransformer__verbose=False)  # the same bar again in every fold
    temperatures = [snapshot.temperature for snapshot in snapshots]
    shown = sorted({int(np.argmin(temperatures)), int(np.argmax(temperatures))})
    results, predictions = cross_validate(model, snapshots, pseudopotentials, shown=shown)
    print(report(results))
    draw(results, predictions, snapshots, options.output)
    model.fit(snapshots).set_params(ldosregressor__verbose=0)
    skldos.save(model, path, errors=results, overwrite=options.overwrite)
    print(
        f"\nwritten to {options.output}: dos.png, parity.png, density.png, "
        "model.skldos (fitted on all)"
    )


def checked(snapshots):
    """Return the snapshots if a model of the LDOS can be cross-validated on them."""
    if len(snapshots) < 2:
        raise SnapshotError(f"cross-validation needs two snapshots, got {len(snapshots)}.")
    for snapshot in snapshots:
        snapshot.require("ldos", "temperature", "n_electrons")
    return snapshots


def check_pseudopotentials(pseudopotentials, snapshots):
    """Raise an error before the training if pseudopotentials do not fit the calculations."""
    from skldos.physics.structure import check_electrons, common_functional

    for snapshot in snapshots if pseudopotentials is not None else ():
        symbols = snapshot.atoms.symbols
        check_electrons(symbols, pseudopotentials, snapshot.n_electrons)
        common_functional(symbols, pseudopotentials, used=snapshot.reference.get("functional"))


def build(options):
    """Return the pipeline from snapshots to the LDOS, not yet fitted."""
    from skldos import models

    size = QUICK_SETTINGS if options.quick else FULL_SETTINGS
    if options.epochs is not None:
        size = size | {"max_epochs": options.epochs}
    memory = str(options.output / "cache")
    return models.grid(
        **size, random_state=options.random_state, memory=memory, verbose=is_watched()
    )


def cross_validate(model, snapshots, pseudopotentials=None, shown=()):
    """Predict every snapshot with a model that was not trained on it.

    Return the table of :func:`skldos.evaluate` with a column ``baseline_error`` (meV/atom), and the
    predicted density of states in 1/eV and density in 1/Å³ of the snapshots to plot, whose indices
    are `shown`.
    """
    import pandas as pd
    from sklearn.base import clone

    from skldos import evaluate, predict_density, predict_dos

    tables, predictions = [], {}
    for training, test in each_fold(snapshots, N_FOLDS):
        fitted = clone(model).fit(snapshots[training])
        table = evaluate(
            fitted, snapshots[test], pseudopotentials=pseudopotentials, density=True
        ).set_index(test)
        table["baseline_error"] = baseline_errors(snapshots[training], snapshots[test])
        tables.append(table)
        for i in np.intersect1d(test, shown).tolist():
            snapshot = snapshots[[i]]
            predictions[i] = predict_dos(fitted, snapshot)[0], predict_density(fitted, snapshot)[0]
    return pd.concat(tables).sort_index(), predictions


def baseline_errors(training, test):
    """Return band energy errors in meV/atom of a baseline that uses only the temperature.

    It predicts the mean DOS per atom of the training snapshots at the nearest temperature.
    """
    from skldos.prediction.observables import of_dos

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
    """Return the table of all snapshots as text, with mean absolute and maximum errors."""
    columns = {name: column for name, column in COLUMNS.items() if name in results}
    lines = [
        "",
        "Each snapshot is predicted by a model that was not trained on it. Errors are relative to",
        "its true LDOS. Mean DOS: band energy of the average DOS at this temperature.",
        "",
        f"{'snapshot':>8s}{'T':>8s}" + "".join(f"{title:>14s}" for title, _ in columns.values()),
        f"{'':8s}{'(K)':>8s}" + "".join(f"{f'({unit})':>14s}" for _, unit in columns.values()),
    ]
    for i, row in results.iterrows():
        lines.append(f"{i:8d}{row.temperature:8.0f}" + error_cells(row[[*columns]]))
    errors = results[[*columns]].abs()
    groups = list(errors.groupby(results["temperature"]))
    for T, group in groups if 1 < len(groups) < len(results) else []:
        lines.append(f"{f'mean {T:.0f} K':>16s}" + error_cells(group.mean(), sign=""))
    lines.append(f"{'mean absolute':>16s}" + error_cells(errors.mean(), sign=""))
    lines.append(f"{'largest':>16s}" + error_cells(errors.max(), sign=""))
    return "\n".join(lines)


def error_cells(errors, sign="+"):
    """Return errors as cells of a table row; a percentage has no sign."""
    return "".join(
        f"{value:14.2f}" if name == "density_percentage_error" else f"{value:{sign}14.1f}"
        for name, value in errors.items()
    )


def draw(results, predictions, snapshots, folder):
    """Plot the DOS of the predicted snapshots, all energies, and a density."""
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
    """Plot the predicted density of snapshot `i` and that of its true LDOS."""
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
    figure = Figure(figsize=(12.6, 4.4), dpi=150, layout="compressed")
    # At the first drawing, labels of colour bars are wider than the layout expects.
    figure.get_layout_engine().set(w_pad=0.1)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2.8))
    left.set_title(f"{snapshot.temperature:.0f} K", fontsize="medium")
    cell = snapshot.atoms.cell
    display = DensityDisplay.from_predictions(true, predictions[i][1], cell=cell, ax=left)
    display.plot(right, kind="slice")
    figure.savefig(folder / "density.png", bbox_inches="tight")
