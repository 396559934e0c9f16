"""A compound with a gap: displaced and strained cells of silicon carbide.

Models of the first 4 to 52 training cells of `load_silicon_carbide`, eight atoms at 1000 K each,
predict its 12 test cells, which take part in no choice. Descriptors are those of `compositions.py`,
which were chosen for aluminium-magnesium, and of `models.potential()`; penalties, weights and terms
are chosen inside of each training set. Four folds of the training cells tell which model one would
choose. The models:

  mean, volume  least squares on nothing and on the volume, of densities of states too
  as they are   spectra at the energies of the calculation, penalties by band energies
  fermi         the same relative to the Fermi level (`ADOSRegressor(align=...)`)
  band          relative to the mean energy of the electrons, penalties by densities of states;
                "SNAP, twice, band" is `models.alloys()`
  potential     `FreeEnergyRegressor` of free energies, forces and stresses
  Pulay         the same with `pulay_virial="fit"`

Fermi level, edge and gap are those of the DOS, whose broadening is 0.4 eV. Below the edge there is
one electron less than in the cell; the gap is between it and the energy with one electron more.

    python -m benchmarks.alloys.carbide
"""

from functools import partial

import numpy as np

from benchmarks.alloys.compositions import blocks_of
from benchmarks.common import harness, tables

N_TRAIN = (4, 13, 26, 52)
N_FOLDS = 4
BASELINES = ("mean", "volume")
SPECTRA = ("SNAP, twice", "SOAP", "SOAP, centre")
MODELS = (*BASELINES, *SPECTRA, "models.potential()")
QUANTITIES = {
    "band": ("Band energy, meV/atom", ".1f"),
    "fermi": ("Fermi level, meV", ".0f"),
    "edge": ("Valence edge, meV", ".0f"),
    "gap": ("Gap, meV", ".0f"),
    "dos": ("DOS, %", ".1f"),
    "free": ("Free energy, meV/atom", ".1f"),
    "forces": ("Forces, eV/Å", ".3f"),
    "stress": ("Stress, GPa", ".2f"),
}


def observables(dos, snapshots):
    """Return densities of states, band energies in meV/atom, Fermi levels, edges, gaps in meV."""
    from skldos import physics

    energies, electrons = snapshots[0].energies, snapshots[0].n_electrons
    state = {"temperature": snapshots[0].temperature}
    state["fermi_level"] = physics.fermi_level(dos, energies, n_electrons=electrons, **state)
    band = physics.band_energy(dos, energies, **state) / [len(s.atoms) for s in snapshots]
    counts = np.cumsum((dos[:, 1:] + dos[:, :-1]) / 2 * np.diff(energies), axis=1)
    around = (electrons - 1, electrons + 1)
    low, high = np.array([np.interp(around, each, energies[1:]) for each in counts]).T
    values = {"band": band, "fermi": state["fermi_level"], "edge": low, "gap": high - low}
    return {key: 1e3 * value for key, value in values.items()} | {"dos": dos}


def true_values(snapshots):
    """Return the same of the calculations, and free energies in meV/atom."""
    free = [1e3 * s.reference["total_energy"] / len(s.atoms) for s in snapshots]
    dos = np.stack([s.dos() for s in snapshots])
    return observables(dos, snapshots) | {"free": np.array(free)}


def errors_of(values, snapshots):
    """Return errors of every snapshot; those of the DOS are the part of states in wrong places."""
    true = true_values(snapshots)
    errors = {key: value - true[key] for key, value in values.items()}
    if "dos" in errors:
        errors["dos"] = 100 * np.abs(errors["dos"]).sum(axis=1) / true["dos"].sum(axis=1)
    return errors


def baseline(name, snapshots, train, test):
    """Return errors of least squares, and the root mean squares of forces and stresses."""
    from ase.units import GPa

    inputs = np.array([[1.0, s.atoms.cell.volume] for s in snapshots])[:, : 1 + (name == "volume")]
    weights = {
        key: np.linalg.lstsq(inputs[train], values, rcond=1e-10)[0]
        for key, values in true_values(snapshots[train]).items()
    }
    errors = errors_of({key: inputs[test] @ w for key, w in weights.items()}, snapshots[test])
    if name == "mean":
        for key, unit in (("forces", 1.0), ("stress", 1 / GPa)):
            known = np.stack([unit * s.reference[key] for s in snapshots[test]])
            errors[key] = np.sqrt(np.mean(known.reshape(len(test), -1) ** 2, axis=1))
    return errors


def spectra(blocks, align, train, test):
    """Return errors of densities of states."""
    from skldos import ADOSRegressor, SiteRidgeCV

    choice = ((1e2, 1e3), "dos") if align == "band" else ((1e1, 1e3), "band_energy")
    ridge = SiteRidgeCV(10.0 ** np.arange(-6, 5), choice[0], criterion=choice[1])
    dos = ADOSRegressor(ridge, align=align).fit(blocks[train]).predict_sum(blocks[test])
    return errors_of(observables(dos, blocks.snapshots[test]), blocks.snapshots[test])


def potential(blocks, pulay_virial, train, test):
    """Return errors of free energies, and root mean squares of those of forces and stresses."""
    from skldos import ForceScorer, FreeEnergyRegressor, StressScorer

    model, X = FreeEnergyRegressor(pulay_virial=pulay_virial).fit(blocks[train]), blocks[test]
    free = 1e3 * model.predict(X) / [len(s.atoms) for s in X.snapshots]
    return errors_of({"free": free}, X.snapshots) | {
        "forces": ForceScorer().errors(model, X),
        "stress": StressScorer("GPa").errors(model, X),
    }


def kinds_of(name, snapshots):
    """Return functions of training and test cells that return errors, by the names of models."""
    if name in BASELINES:
        return {name: partial(baseline, name, snapshots)}
    blocks = blocks_of(name, snapshots, ("Si", "C"))
    kinds = {
        "potential": partial(potential, blocks, 0.0),
        "Pulay": partial(potential, blocks, "fit"),
    }
    if name in SPECTRA:
        for align in (None, "fermi", "band"):
            kinds[align or "as they are"] = partial(spectra, blocks, align)
    return {f"{name}, {key}": function for key, function in kinds.items()}


def rows_of(name, snapshots):
    """Return the errors of all test cells for every model and number of training cells."""
    is_test = np.array([s.reference["split"] == "test" for s in snapshots])
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    folds = [train[i::N_FOLDS] for i in range(N_FOLDS)]
    splits = {str(n): [(train[:n], test)] for n in N_TRAIN}
    splits["folds"] = [(np.setdiff1d(train, fold), fold) for fold in folds]
    rows = []
    for model, function in kinds_of(name, snapshots).items():
        for training, pairs in splits.items():
            found = [function(*pair) for pair in pairs]
            names = [snapshots[i].name for _, tested in pairs for i in tested]
            for key in found[0]:
                values = [float(f"{v:.4g}") for v in np.concatenate([one[key] for one in found])]
                row = {"model": model, "training": training, "quantity": key}
                rows.append(row | {"errors": dict(zip(names, values, strict=True))})
        print(f"{model} done", flush=True)
    return rows


def render(record):
    """Return a table for each quantity: mean absolute errors by the number of training cells."""
    parts = [
        "Mean absolute errors in the 12 test cells by the number of training cells, the median and "
        "the largest in brackets; *folds*: in the training cells, each fold predicted by models of "
        "the three others. Errors of forces and stresses are root mean squares of a cell; for "
        "*mean*, the forces and stresses themselves."
    ]
    columns = [*map(str, N_TRAIN), "folds"]
    for key, (title, form) in QUANTITIES.items():
        rows, lines = [row for row in record["rows"] if row["quantity"] == key], []
        for (model,), some in tables.group(rows, "model").items():
            errors = {row["training"]: np.abs([*row["errors"].values()]) for row in some}
            cells = [format(np.mean(errors[column]), form) for column in columns]
            of_all = errors[columns[-2]]
            cells[-2] += f" ({format(np.median(of_all), form)}, {format(of_all.max(), form)})"
            lines.append([model, *cells])
        parts += [f"**{title}**", tables.format_table(["model", *columns], lines)]
    return "\n\n".join(parts)


def main():
    from skldos.datasets import load_silicon_carbide

    arguments = harness.parser(__doc__).parse_args()
    snapshots = load_silicon_carbide()
    rows = [row for name in MODELS for row in rows_of(name, snapshots)]
    print(render({"rows": rows}))
    if not arguments.no_write:
        harness.write_result(__file__, rows, n_snapshots=len(snapshots))


if __name__ == "__main__":
    main()
