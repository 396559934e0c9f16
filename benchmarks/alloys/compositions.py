"""Cells of aluminium and magnesium of compositions and sizes that were not in the training.

The bundled snapshots (`load_aluminium_magnesium`) and, with --folders, what `benchmarks.data.make`
has finished since. Trained on

  4 atoms       the 20 cells of four atoms
  4 and 8       these and the 16 older ones of eight
  all but one   all, in five folds, and what the fold leaves out is tested
  known         those on which the descriptors and the model of the reference energy were chosen,
                and tested on what was calculated afterwards

and tested on cells of 8, 16 and 32 atoms that are not in the training. Band energies and Fermi
levels are those of the true DOS, errors of the DOS the part of states at a wrong energy. Penalties,
weights and the order of the terms of composition are chosen by leaving out snapshots inside of each
training set (`SiteRidgeCV`, `ReferenceEnergy`, `FreeEnergyRegressor`).

  composition   least squares on the share of magnesium, and its square
  and volume    on share, density and their products up to second order
  SNAP          bispectrum within 4 Å, 2J = 6, weights 1 and 0.7
  SNAP, twice   two of them, with weights 1 and 0.3, and 0.3 and 1
  SNAP, chem    of each element by itself (`chem`), within 5 Å, 2J = 4
  SOAP          power spectra within 6 Å that fade out from 3 Å, 6 radial functions, l up to 4,
                0.6 Å
  SOAP, centre  the same with features of their own for each element of the centre
  CSNN          a shallow spherical network with a channel for each element, within 6 Å, whose
                settings are those of aluminium (`atoms/csnn_factorial.py`)

    python -m benchmarks.alloys.compositions [--folders FOLDER ...] [--models SNAP SOAP]
"""

import re
import warnings

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.data.read import snapshots_of

FOLDER = harness.output_of(__file__)
N_FOLDS = 5
TRAININGS = ("4 atoms", "4 and 8", "all but one", "known")
#: Numbers of the last cells of each size that took part in the choices.
LAST_KNOWN = {4: 19, 8: 21, 16: 7, 32: 1}
ALIGNMENTS = (None, "fermi", "band")
DESCRIPTORS = ("SNAP", "SNAP, twice", "SNAP, chem", "SOAP", "SOAP, centre")
BASELINES = ("composition", "and volume")
MODELS = (*BASELINES, *DESCRIPTORS, "CSNN")
SNAP = {"r_cut": 4.0, "twojmax": 6, "n_jobs": 1}
CHEM = {"r_cut": 5.0, "twojmax": 4, "n_jobs": 1, "chem": True}
SOAP = {"r_cut": 6.0, "fade": 3.0, "n_max": 6, "l_max": 4, "sigma": 0.6, "rbf": "gto_n"}


# --- data ----------------------------------------------------------------------------------------


def splits(snapshots, training):
    """Yield pairs of indices of training and test."""
    sizes = np.array([len(s.atoms) for s in snapshots])
    older = np.array([re.search(r"_t\d+$", s.name) is not None for s in snapshots])
    numbers = np.array([int(re.search(r"\d+$", s.name)[0]) for s in snapshots])
    known = older | (numbers <= [LAST_KNOWN[size] for size in sizes])
    if training == "4 atoms":
        train = older & (sizes == 4)
        yield np.flatnonzero(train), np.flatnonzero(~train & (sizes > 4))
    elif training == "4 and 8":
        yield np.flatnonzero(older), np.flatnonzero(~older)
    elif training == "known":
        if not known.all():
            yield np.flatnonzero(known), np.flatnonzero(~known)
    else:
        every = np.arange(len(snapshots))
        large = np.random.default_rng(0).permutation(np.flatnonzero(sizes > 4))
        for test in np.array_split(large, N_FOLDS):
            yield np.setdiff1d(every, test), np.sort(test)


# --- models --------------------------------------------------------------------------------------


def blocks_of(name, snapshots, elements=("Al", "Mg")):
    """Return descriptors of all snapshots; those of SNAP, of all sizes, are standardised."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import AtomSNAPTransformer, AtomSOAPTransformer, BlockUnion, RowWise, models
    from skldos.data import Blocks

    if name == "models.potential()":
        descriptor = models.potential()[0]
    elif name.startswith("SOAP"):
        descriptor = AtomSOAPTransformer(center_species="centre" in name, n_jobs=1, **SOAP)
    elif name == "SNAP":
        descriptor = AtomSNAPTransformer(
            weights=dict(zip(elements, (1.0, 0.7), strict=True)), **SNAP
        )
    elif name == "SNAP, twice":
        weights = [dict(zip(elements, pair, strict=True)) for pair in ((1.0, 0.3), (0.3, 1.0))]
        parts = [
            (f"snap{i}", AtomSNAPTransformer(weights=w, **SNAP)) for i, w in enumerate(weights)
        ]
        descriptor = BlockUnion(parts)
    else:
        descriptor = AtomSNAPTransformer(**CHEM)
    scale = [RowWise(StandardScaler())] if name.startswith("SNAP") else []
    blocks = make_pipeline(descriptor, *scale).fit_transform(snapshots)
    # Derivatives are the same in all splits.
    found = [handle() for handle in blocks.derivatives]
    return Blocks(list(blocks), blocks.snapshots, [lambda one=one: one for one in found])


def environments(snapshots):
    """Return environments of atoms on spheres, a channel for each element."""
    from skldos import AtomEnvTransformer

    options = {"n_spheres": 8, "subdivisions": 1, "r_cut": 6.0, "center": True}
    return AtomEnvTransformer(assignment="smooth", n_jobs=1, **options).fit_transform(snapshots)


def baseline(name, snapshots, train, test):
    """Return errors of least squares on composition, or composition and volume."""
    share = np.array([np.mean(s.atoms.numbers == 12) for s in snapshots])
    density = 20 * np.array([len(s.atoms) / s.atoms.cell.volume for s in snapshots])
    columns = [np.ones(len(share)), share, share**2]
    if name == "and volume":
        columns += [density, density**2, share * density]
    inputs = np.column_stack(columns)
    errors = {}
    for key, true in (("band", band_energies(snapshots)), ("free", free_energies(snapshots))):
        weights = np.linalg.lstsq(inputs[train], true[train], rcond=1e-10)[0]
        errors[key] = 1e3 * (inputs[test] @ weights - true[test])
    return errors


def band_energies(snapshots):
    """Return band energies of the true densities of states in eV/atom."""
    from skldos import physics

    energies = []
    for s in snapshots:
        state = {"temperature": s.temperature}
        mu = physics.fermi_level(s.dos(), s.energies, n_electrons=s.n_electrons, **state)
        energy = physics.band_energy(s.dos(), s.energies, fermi_level=mu, **state)
        energies.append(float(energy) / len(s.atoms))
    return np.array(energies)


def free_energies(snapshots):
    """Return total free energies of the calculations in eV/atom."""
    return np.array([s.reference["total_energy"] / len(s.atoms) for s in snapshots])


def spectra(blocks, align, train, test):
    """Return errors of densities of states, band energies and Fermi levels."""
    from skldos import SiteRidgeCV

    choice = ((1e2, 1e3), "dos") if align == "band" else ((1e1, 1e3), "band_energy")
    ridge = SiteRidgeCV(10.0 ** np.arange(-6, 5), choice[0], criterion=choice[1])
    return errors_of_spectra(ridge, blocks, align, train, test)


def errors_of_spectra(regressor, blocks, align, train, test):
    from skldos import ADOSRegressor, DOSScorer, evaluate

    model = ADOSRegressor(regressor, align=align).fit(blocks[train])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Fermi levels beyond the energies
        table = evaluate(model, blocks[test])
        dos = DOSScorer().errors(model, blocks[test])
    return {
        "band": table["band_energy_error"].to_numpy(),
        "fermi": table["fermi_level_error"].to_numpy(),
        "dos": dos,
    }


def network_spectra(blocks, train, test, seed=0):
    """Return what `spectra` does, of a spherical network aligned to the mean energy."""
    import torch

    from skldos import CSNNRegressor

    torch.set_num_threads(1)
    network = CSNNRegressor(
        module__spheres="channels",
        module__n_levels=1,
        module__n_hidden=0,
        module__output="linear",
        module__factor=16,
        module__dropout=0.1,
        target_scaling="standard",
        max_epochs=40,
        dos_weight=100.0,
        dos_ridge=1e-3,
        random_state=seed,
    )
    return errors_of_spectra(network, blocks, "band", train, test)


def potential(blocks, train, test):
    """Return errors of free energies, and root mean square errors of the forces of a snapshot."""
    from skldos import FreeEnergyRegressor

    model = FreeEnergyRegressor().fit(blocks[train])
    snapshots = blocks.snapshots[test]
    free = model.predict(blocks[test]) / [len(s.atoms) for s in snapshots]
    forces = model.predict_forces(blocks[test])
    errors = [
        np.sqrt(np.mean((f - s.reference["forces"]) ** 2))
        for f, s in zip(forces, snapshots, strict=True)
    ]
    return {"free": 1e3 * (free - free_energies(snapshots)), "forces": errors}


# --- rows and tables -----------------------------------------------------------------------------


def rows_of(name, snapshots, trainings):
    """Return the errors of every tested snapshot of every model with these descriptors."""
    kinds = {name: lambda *split: baseline(name, snapshots, *split)}
    if name in DESCRIPTORS:
        blocks = blocks_of(name, snapshots)
        kinds = {
            f"{name}, {align or 'as they are'}": lambda *split, a=align: spectra(blocks, a, *split)
            for align in ALIGNMENTS
        }
        kinds[f"{name}, forces"] = lambda *split: potential(blocks, *split)
    elif name == "CSNN":
        blocks = environments(snapshots)
        kinds = {f"{name}, band": lambda *split: network_spectra(blocks, *split)}
    rows = []
    for training in trainings:
        for train, test in splits(snapshots, training):
            for model, errors_of in kinds.items():
                for key, values in errors_of(train, test).items():
                    rows += [
                        {
                            "model": model,
                            "training": training,
                            "n_train": len(train),
                            "quantity": key,
                            "snapshot": snapshots[i].name,
                            "n_atoms": len(snapshots[i].atoms),
                            "share": float(np.mean(snapshots[i].atoms.numbers == 12)),
                            "split": snapshots[i].reference["split"],
                            "error": float(value),
                        }
                        for i, value in zip(test, values, strict=True)
                    ]
    return rows


QUANTITIES = {
    "band": ("band energy, meV/atom", ".1f"),
    "fermi": ("Fermi level, meV", ".1f"),
    "dos": ("DOS, %", ".1f"),
    "free": ("free energy, meV/atom", ".1f"),
    "forces": ("forces, eV/Å", ".3f"),
}


def packed(rows):
    """Return rows with the errors of all cells, and atoms and share of magnesium of each cell."""
    cells = {r["snapshot"]: [r["n_atoms"], round(r["share"], 4)] for r in rows}
    groups = tables.group(rows, "model", "training", "quantity")
    names = ("model", "training", "quantity")
    short = [
        dict(zip(names, key, strict=True))
        | {
            "n_train": max(r["n_train"] for r in some),
            "errors": {r["snapshot"]: float(f"{r['error']:.4g}") for r in some},
        }
        for key, some in groups.items()
    ]
    return short, cells


def unpacked(record):
    """Return one row for every error."""
    return [
        row
        | {"snapshot": name, "error": error}
        | dict(zip(("n_atoms", "share"), record["cells"][name], strict=True))
        for row in record["rows"]
        for name, error in row["errors"].items()
    ]


def render(record):
    """Return the tables: mean absolute errors, by size of the cells and by composition."""
    parts, rows = [], unpacked(record)
    for training in TRAININGS:
        some = [r for r in rows if r["training"] == training]
        if not some:
            continue
        n_train = max(r["n_train"] for r in some)
        parts.append(f"Trained on *{training}* (up to {n_train} cells); mean absolute errors:")
        parts.append(size_table(some))
        parts.append("The same, by composition:")
        parts.append(share_table(some))
    return "\n\n".join(parts)


def size_table(rows):
    sizes = sorted({r["n_atoms"] for r in rows})
    counts = {n: len({r["snapshot"] for r in rows if r["n_atoms"] == n}) for n in sizes}
    header = ["model", "quantity", *(f"{n} atoms ({counts[n]})" for n in sizes)]
    lines = []
    for (model, key), some in tables.group(rows, "model", "quantity").items():
        by_size = [[abs(r["error"]) for r in some if r["n_atoms"] == n] for n in sizes]
        title, form = QUANTITIES[key]
        lines.append([model, title, *(format(np.mean(v), form) if v else "" for v in by_size)])
    return tables.format_table(header, lines)


def share_table(rows):
    edges = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01))
    header = [
        "model",
        "quantity",
        *(f"{100 * a:.0f} to {min(100, 100 * b):.0f} % Mg" for a, b in edges),
    ]
    lines = []
    for (model, key), some in tables.group(rows, "model", "quantity").items():
        if key not in ("band", "free"):
            continue
        parts = [[abs(r["error"]) for r in some if a <= r["share"] < b] for a, b in edges]
        title, form = QUANTITIES[key]
        lines.append([model, title, *(format(np.mean(v), form) if v else "" for v in parts)])
    return tables.format_table(header, lines)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--folders", nargs="*", type=harness.absolute, default=[])
    parser.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    parser.add_argument("--trainings", nargs="*", default=TRAININGS, choices=TRAININGS)
    arguments = parser.parse_args()
    snapshots, rows = snapshots_of("almg", arguments.folders), []
    for name in MODELS:
        if name in arguments.models:
            file = f"{len(snapshots)} {name} {'-'.join(arguments.trainings)}.json"
            path = FOLDER / re.sub("[ ,]+", "_", file)
            rows += harness.cached(path, rows_of, name, snapshots, arguments.trainings)
            print(f"{name} done", flush=True)
    short, cells = packed(rows)
    print(render({"rows": short, "cells": cells}))
    if not arguments.no_write:
        harness.write_result(__file__, short, n_snapshots=len(snapshots), cells=cells)


if __name__ == "__main__":
    main()
