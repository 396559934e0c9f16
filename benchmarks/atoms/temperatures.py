"""Temperatures and phases absent from training: 32-atom aluminium.

Models are fitted to the solids at 100 K and 933 K. They predict solids at 298 K and 500 K, which
lie between, and liquids, which were not in the training data. Errors of band energies are predicted
minus true, in meV/atom, relative to the true LDOS. Are uncertainties larger where the models are
wrong?

  ADOS-SOAP                 ridge regression on SOAP vectors (wide Gaussians within 4 Å) with its
                            posterior (`RidgePosterior`)
  ADOS-SOAP, 8 Å            the same with narrow Gaussians within 8 Å
  ADOS-CSNN, dropout        512 dropout passes, each with the same network for all atoms
  ADOS-CSNN, atoms dropped  512 dropout passes, other units for every atom, as in the paper
  ADOS-CSNN, ensemble       5 networks that differ in their seed
  LDOS-SNAP, thinned        network of the LDOS, as in `against_grid.py`, without an uncertainty
  LDOS-SNAP, thinned, refit the same with its output layer refitted in closed form

`P(liquid > solid)` is the probability that a liquid of the test is more uncertain than a solid, the
area under the ROC curve. Coverage is the fraction of the errors within the intervals that should
hold 68 % and 95 %.

Every model is kept in benchmarks/output/atoms/temperatures.

    python -m benchmarks.atoms.temperatures [--models ADOS-SOAP]
"""

import numpy as np

from benchmarks.atoms import _against_grid_models as models
from benchmarks.atoms._models import make, of_atoms, posterior, soap, wide_soap
from benchmarks.common import harness, tables
from benchmarks.common.energies import band_energies
from benchmarks.common.splits import KINDS, kind_of, read_al32

FOLDER = harness.output_of(__file__)
IMAGE = harness.IMAGES / "split_temperature.png"
FIT_KINDS = ("933 K solid", "100 K solid")
TEST_KINDS = tuple(kind for kind in KINDS if kind not in FIT_KINDS)
N_PASSES, N_MEMBERS, SEED = 512, 5, 0


PANELS = (
    *("ADOS-SOAP", "ADOS-CSNN, dropout", "ADOS-CSNN, ensemble"),
    *("ADOS-SOAP, 8 Å", "ADOS-CSNN, atoms dropped", "LDOS-SNAP, thinned, refit"),
)


# --- models ------------------------------------------------------------------------------------


def linear(*steps, dos_weight):
    """Return descriptors and ridge regression with its posterior."""
    return make(*steps, *of_atoms(posterior(dos_weight)))


def dropout():
    from skldos.uncertainty import MCDropout

    model = models.csnn(SEED, **models.NETWORK, module__dropout=0.1)
    network = model[-1].regressor
    return model.set_params(
        adosregressor__regressor=MCDropout(network, N_PASSES, random_state=SEED)
    )


def ensemble():
    from skldos.uncertainty import DeepEnsemble

    model = models.csnn(SEED, **models.NETWORK)
    network = model[-1].regressor
    return model.set_params(
        adosregressor__regressor=DeepEnsemble(network, N_MEMBERS, random_state=SEED)
    )


MODELS = {
    "ADOS-SOAP": lambda: linear(*wide_soap(), dos_weight=1e5),
    "ADOS-SOAP, 8 Å": lambda: linear(*soap(), dos_weight=100),
    "LDOS-SNAP, thinned": None,  # trained by `fitted`
    "ADOS-CSNN, dropout": dropout,
    "ADOS-CSNN, ensemble": ensemble,
}


def fitted(name, snapshots):
    """Yield names and fitted models."""
    if name.startswith("LDOS"):
        yield from models.fitted(name, SEED, snapshots, [])
        return
    model = MODELS[name]().fit(snapshots)
    yield name, model
    if name == "ADOS-CSNN, dropout":
        model[-1].regressor_.set_params(masks="independent")
        yield "ADOS-CSNN, atoms dropped", model


# --- errors and standard deviations ------------------------------------------------------------


def rows_of(name, snapshots, names):
    """Return true and predicted energies of the test."""
    kinds = [kind_of(n) for n in names]
    fit = [s for s, kind in zip(snapshots, kinds, strict=True) if kind in FIT_KINDS]
    chosen = [i for i, kind in enumerate(kinds) if kind in TEST_KINDS]
    test = [snapshots[i] for i in chosen]
    true = band_energies([s.dos() for s in test], test)
    rows = []
    for variant, model in fitted(name, fit):
        for i, *numbers in zip(chosen, true, *energies_of(model, test), strict=True):
            values = dict(zip(("true", "predicted", "std"), numbers, strict=True))
            rows.append({"model": variant, "snapshot": names[i], "kind": kinds[i], **values})
    return rows


def energies_of(model, test):
    """Return predicted band energies and their standard deviations, None without, in meV/atom."""
    from skldos import evaluate
    from skldos.uncertainty import energy_uncertainty

    if model[-1].__class__.__name__ == "LDOSRegressor":
        table = evaluate(model, test)
        return 1e3 * table["band_energy"] / table["n_atoms"], [None] * len(test)
    table = energy_uncertainty(model, test)
    return 1e3 * table["band_energy"] / table["n_atoms"], table["band_energy_std"]


# --- tables and picture ------------------------------------------------------------------------


def columns(rows, *kinds):
    """Return errors and standard deviations of the rows of some kinds."""
    some = [r for r in rows if r["kind"] in kinds]
    error = np.array([r["predicted"] - r["true"] for r in some])
    return error, np.array([r["std"] for r in some])


def by_model(rows):
    return {name: [r for r in rows if r["model"] == name] for name in _names(rows)}


def _names(rows):
    return dict.fromkeys(r["model"] for r in rows)


def error_table(rows):
    lines = []
    for name, some in by_model(rows).items():
        cells = [name]
        for kind in TEST_KINDS:
            error, std = columns(some, kind)
            bar = "" if std[0] is None else f"{std.astype(float).mean():.1f}"
            cells += [f"{np.abs(error).mean():.1f} ({np.abs(error).max():.1f})", bar]
        lines.append(cells)
    header = [f"{title}{kind}" for kind in TEST_KINDS for title in ("", "std, ")]
    return tables.format_table(["model", *header], lines)


def uncertainty_table(rows):
    from skldos.uncertainty import calibration

    lines = []
    for name, some in by_model(rows).items():
        if some[0]["std"] is None:
            continue
        parts = {
            "solids": columns(some, *(k for k in TEST_KINDS if "solid" in k)),
            "liquids": columns(some, "933 K liquid"),
        }
        solid, liquid = (std for _, std in parts.values())
        cells = [f"{np.mean(liquid[:, None] > solid):.2f}"]
        for error, std in parts.values():
            found = calibration(error, std)
            cells += [f"{found[key]:.2f}" for key in ("coverage_68", "coverage_95", "rms_z")]
        error, std = columns(some, *TEST_KINDS)
        lines.append([name, *cells, f"{calibration(error, std)['spearman']:.2f}"])
    header = [
        f"{what}, {part}" for part in ("solids", "liquids") for what in ("68 %", "95 %", "rms z")
    ]
    return tables.format_table(["model", "P(liquid > solid)", *header, "Spearman"], lines)


def render(record):
    """Return the tables of a record."""
    parts = [
        "Absolute errors in meV/atom, mean (largest), and mean standard deviations:",
        error_table(record["rows"]),
        "Calibration of the uncertainties:",
        uncertainty_table(record["rows"]),
    ]
    return "\n\n".join(parts)


def draw(rows, path):
    """Draw predicted against true energies with standard deviations, for every model."""
    from skldos.plotting import ParityDisplay

    plt = harness.pyplot()
    plt.rcParams["legend.fontsize"] = "small"

    figure, axes = plt.subplots(2, 3, figsize=(13.5, 9.2), dpi=100, layout="constrained")
    models = by_model(rows)
    for ax, name in zip(axes.flat, PANELS, strict=True):
        if name not in models:
            ax.remove()
            continue
        some = models[name]
        std = None if some[0]["std"] is None else [r["std"] for r in some]
        ParityDisplay.from_predictions(
            [r["true"] / 1e3 for r in some],
            [r["predicted"] / 1e3 for r in some],
            hue=[r["kind"] for r in some],
            std=std,
            ax=ax,
        )
        ax.text(0.03, 0.97, name, transform=ax.transAxes, va="top", size="large")
    figure.savefig(path)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--models", nargs="*", default=[""], help="beginnings of names [all]")
    arguments = parser.parse_args()
    snapshots, names = read_al32(arguments.data)
    rows = []
    for name in MODELS:
        if name.startswith(tuple(arguments.models)):
            path = FOLDER / f"{name}.json".replace(" ", "_")
            rows += harness.cached(path, rows_of, name, snapshots, names)
            print(f"{name} done", flush=True)
    record = {"rows": rows}
    print(render(record))
    if not arguments.no_write:
        harness.write_result(__file__, rows)
        draw(rows, IMAGE)


if __name__ == "__main__":
    main()
