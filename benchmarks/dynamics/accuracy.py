"""How accurate are energies and forces of a linear model of atoms? 32-atom aluminium.

`FreeEnergyRegressor` is fitted to total free energies (E − TS, brought to 933 K by the density of
states of each snapshot) and forces of pw.x. Penalty, weight of the energies and descriptor are
chosen only with the training data, by errors of left-out snapshots; the descriptors are those of
the first table. Four splits of the data:

  leave one out   each of the 21 snapshots beside the repository by a model of the other 20
  5 + 5           five liquids and five solids at 933 K, drawn by seeds; all others are the test
  unseen          all 21, and what `benchmarks.data.make` has made since, which took part in nothing
  all others      each of those made since by a model of everything else, 21 and new ones

Errors of energies are mean absolute errors in meV/atom, those of forces root mean squares over all
components in eV/Å; intervals (95 %) come from drawing the snapshots of the test again. Beside them:
EMT without training, a linear model of the bispectrum (SNAP: `AtomSNAPTransformer`, whose values
and derivatives are those of LAMMPS's `sna/atom` and `snad/atom`), and zero. MALA has no forces.

    python -m benchmarks.dynamics.accuracy [--output FOLDER ...] [--seeds 5]

FOLDER holds al32/*.npz of `benchmarks.data.make` that are not bundled.
"""

import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.dynamics import _data as data

IMAGE = harness.IMAGES / "forces_learning_curve.png"
#: Training sets of the learning curve.
SIZES = (3, 5, 8, 13, 21)
CURVE_SEEDS = 3
PENALTIES = {"alphas": (1e-8, 1e-7, 1e-6, 1e-5, 1e-4), "energy_weights": (10.0, 30.0, 100.0)}
SNAP = "SNAP, 5 Å, 2J = 8"


def descriptors():
    """Return the descriptors to choose from, and the bispectrum beside them."""
    from skldos import AtomSNAPTransformer, AtomSOAPTransformer

    def soap(**options):
        return AtomSOAPTransformer(sigma=0.5, n_jobs=1, **options)

    return {
        "SOAP, 5 Å": soap(r_cut=5.0, fade=1.0, n_max=8),
        "SOAP, 7 Å": soap(r_cut=7.0, fade=4.0, n_max=10),
        "SOAP, 7 Å, r^n": soap(r_cut=7.0, fade=4.0, n_max=10, rbf="gto_n"),
        SNAP: AtomSNAPTransformer(twojmax=8, r_cut=5.0, n_jobs=1),
    }


def fitted(blocks, chosen):
    from skldos import FreeEnergyRegressor

    return FreeEnergyRegressor(**PENALTIES).fit(blocks[chosen])


def best(candidates, chosen):
    """Return the model with the smallest error of left-out snapshots, and its name."""
    models = {name: fitted(blocks, chosen) for name, blocks in candidates.items()}
    name = max(models, key=lambda name: models[name].best_score_)
    return models[name], name


# --- what is measured --------------------------------------------------------------------------


def summary(energies, forces, kinds):
    """Return errors with intervals, and those of the forces by kind."""
    row = {
        "energy": float(np.mean(np.abs(energies))),
        "energy_interval": data.interval(list(energies), lambda e: np.mean(np.abs(e))),
        "energy_worst": float(np.abs(energies).max()),
        "forces": data.rms(forces),
        "forces_interval": data.interval(forces, data.rms),
        "n": len(energies),
    }
    for kind in dict.fromkeys(kinds):
        row[kind] = data.rms([f for f, k in zip(forces, kinds, strict=True) if k == kind])
    return row


def descriptor_rows(candidates, n_known, kinds):
    for name, blocks in candidates.items():
        start = time.process_time()
        model = fitted(blocks, np.arange(n_known))
        seconds = time.process_time() - start
        energies, forces = data.errors(model, blocks[n_known:])
        left_out = model.left_out_errors_
        yield {
            "part": "descriptor",
            "name": name,
            "n_features": model.n_features_in_,
            "score": model.best_score_,
            "left_out_energy": float(np.mean(np.abs(left_out["energy"]))),
            "left_out_forces": float(np.sqrt(np.mean(left_out["forces"] ** 2))),
            "alpha": model.alpha_,
            "energy_weight": model.energy_weight_,
            "seconds": seconds,
            **summary(energies, forces, kinds[n_known:]),
        }


def split_rows(candidates, snapshots, kinds, n_known, n_seeds):
    """Yield errors of all divisions of the data, descriptor chosen inside."""
    folds = {"leave one out": [(np.delete(np.arange(n_known), i), [i]) for i in range(n_known)]}
    folds["5 + 5"] = [five_and_five(kinds[:n_known], seed) for seed in range(n_seeds)]
    everything = np.arange(len(snapshots))
    if n_known < len(snapshots):
        folds["unseen"] = [(everything[:n_known], everything[n_known:].tolist())]
        folds["all others"] = [(np.delete(everything, i), [i]) for i in everything[n_known:]]
    for split, pairs in folds.items():
        energies, forces, tested, names, z = [], [], [], [], {"energy": [], "forces": []}
        for train, test in pairs:
            model, name = best(candidates, train)
            blocks = candidates[name][test]
            some, vectors = data.errors(model, blocks)
            energies += [*some]
            forces += vectors
            tested += [kinds[i] for i in test]
            names.append(name)
            n_atoms = np.array([len(s.atoms) for s in blocks.snapshots])
            z["energy"] += [*(some / (1e3 * model.predict(blocks, return_std=True)[1] / n_atoms))]
            std = model.predict_forces(blocks, return_std=True)[1]
            z["forces"] += [v / s for v, s in zip(vectors, std, strict=True)]
        chosen = ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names))
        yield {"part": "split", "name": split, "chosen": chosen} | summary(energies, forces, tested)
        for quantity, values in z.items():
            values = np.concatenate([np.ravel(v) for v in values])
            yield {
                "part": "calibration",
                "name": split,
                "quantity": quantity,
                "n": len(values),
                "rms_z": float(np.sqrt(np.mean(values**2))),
                "within_1": float(np.mean(np.abs(values) < 1)),
                "within_2": float(np.mean(np.abs(values) < 2)),
            }


def five_and_five(kinds, seed):
    rng = np.random.default_rng(seed)
    train = []
    for phase in ("liquid", "solid"):
        members = [i for i, kind in enumerate(kinds) if kind == f"933 K {phase}"]
        train += rng.permutation(members)[:5].tolist()
    return np.sort(train), [i for i in range(len(kinds)) if i not in train]


def other_rows(snapshots, kinds, n_known):
    """Yield the errors of EMT and zero forces on newer snapshots, and on the 21."""
    from ase.calculators.emt import EMT

    for where, part in (("unseen", slice(n_known, None)), ("the 21", slice(0, n_known))):
        some, names = snapshots[part], kinds[part]
        if not some:
            continue
        true = [s.reference["forces"] for s in some]
        emt = []
        for snapshot, forces in zip(some, true, strict=True):
            atoms = snapshot.atoms.copy()
            atoms.calc = EMT()
            emt.append(atoms.get_forces() - forces)
        for name, errors in (("EMT, no training", emt), ("zero", true)):
            row = {
                kind: data.rms([e for e, k in zip(errors, names, strict=True) if k == kind])
                for kind in dict.fromkeys(names)
            }
            yield {"part": "other", "name": name, "where": where, "forces": data.rms(errors)} | row


def curve_rows(candidates, n_known):
    """Yield errors on newer snapshots, after training on some of the 21."""
    for size in SIZES:
        for seed in range(CURVE_SEEDS if size < n_known else 1):
            chosen = np.sort(np.random.default_rng([size, seed]).permutation(n_known)[:size])
            model, name = best(candidates, chosen)
            energies, forces = data.errors(model, candidates[name][n_known:])
            yield {
                "part": "curve",
                "size": size,
                "seed": seed,
                "chosen": name,
                "energy": float(np.mean(np.abs(energies))),
                "forces": data.rms(forces),
            }


# --- tables and picture ------------------------------------------------------------------------


def with_interval(name, digits):
    def cell(row):
        low, high = row[f"{name}_interval"]
        return f"{row[name]:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    return cell


def render(record):
    """Return the tables as Markdown."""
    parts = {key[0]: rows for key, rows in tables.group(record["rows"], "part").items()}
    phases = {f"forces, 933 K {p}": f"{{933 K {p}:.4f}}" for p in ("liquid", "solid")}
    energy = {"energy (meV/atom)": with_interval("energy", 2)}
    forces = {"forces (eV/Å)": with_interval("forces", 4)}
    text = [
        "Descriptors, trained on 21 snapshots: errors of training snapshots left out, and unseen:",
        tables.column_table(
            {
                "descriptor": "{name}",
                "features": "{n_features}",
                "left out: energy": "{left_out_energy:.2f}",
                "forces": "{left_out_forces:.4f}",
                "unseen: energy (meV/atom)": energy["energy (meV/atom)"],
                **forces,
                **phases,
                "fit (CPU s)": "{seconds:.1f}",
            },
            parts["descriptor"],
        ),
        "Divisions of the data, all settings and the descriptor (but SNAP) chosen in the training "
        "data:",
        tables.column_table(
            {"division": "{name}", "tests": "{n}", **energy, "largest": "{energy_worst:.1f}"}
            | {**forces, **phases}
            | {f"{T} K solid": f"{{{T} K solid:.4f}}" for T in (500, 298, 100)}
            | {"chosen": "{chosen}"},
            parts["split"],
        ),
        "Beside them (forces in eV/Å):",
        tables.column_table(
            {"model": "{name}", "snapshots": "{where}", "forces": "{forces:.3f}"}
            | {k: f"{{{k}:.3f}}" for k in ("933 K liquid", "933 K solid", "298 K solid")},
            parts["other"],
        ),
        "Calibration: errors divided by their standard deviations (1, 68 % and 95 % if normal):",
        tables.column_table(
            {"division": "{name}", "quantity": "{quantity}", "numbers": "{n}"}
            | {"rms z": "{rms_z:.2f}", "within 1": "{within_1:.0%}", "within 2": "{within_2:.0%}"},
            parts["calibration"],
        ),
        "Learning curve, unseen snapshots, mean and range over draws of the training data:",
        tables.format_table(
            ["snapshots", "energy (meV/atom)", "forces (eV/Å)"],
            [
                [
                    size,
                    tables.mean_and_range([r["energy"] for r in rows], ".2f"),
                    tables.mean_and_range([r["forces"] for r in rows], ".4f"),
                ]
                for (size,), rows in tables.group(parts["curve"], "size").items()
            ],
        ),
    ]
    return "\n\n".join(text)


def draw(rows):
    """Draw the learning curves of energies and forces."""
    plt = harness.pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
    units = {"energy": "free energy, MAE (meV/atom)", "forces": "forces, RMSE (eV/Å)"}
    for ax, (name, label) in zip(axes, units.items(), strict=True):
        groups = tables.group(rows, "size")
        sizes = [size for (size,) in groups]
        values = [[row[name] for row in group] for group in groups.values()]
        ax.fill_between(sizes, [min(v) for v in values], [max(v) for v in values], alpha=0.25)
        ax.plot(sizes, [np.mean(v) for v in values], "o-")
        ax.set(xscale="log", yscale="log", xlabel="training snapshots of 32 atoms", ylabel=label)
        ax.set_xticks(sizes, map(str, sizes))
        ax.minorticks_off()
        low, high = np.min([min(v) for v in values]), np.max([max(v) for v in values])
        every = (0.02, 0.03, 0.04, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.2, 1.5, 2, 5, 10)
        ticks = [t for t in every if low / 1.1 < t < 1.1 * high]
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.grid(alpha=0.3)
    figure.savefig(IMAGE, dpi=150)
    plt.close(figure)
    print(f"wrote {IMAGE}")


def main():
    parser = data.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="draws of 5 + 5 [%(default)s]")
    arguments = parser.parse_args()
    known = data.read_known(arguments.data)
    made = data.read_made(arguments.output, "al32")
    if not made:
        raise SystemExit("no snapshots of al32 were made: give their folder by --output")
    snapshots, n_known = known + made, len(known)
    kinds = [data.kind(snapshot) for snapshot in snapshots]
    all_blocks = {name: data.remembered(t, snapshots) for name, t in descriptors().items()}
    candidates = {name: blocks for name, blocks in all_blocks.items() if name != SNAP}
    rows = []
    for some in (
        descriptor_rows(all_blocks, n_known, kinds),
        split_rows(candidates, snapshots, kinds, n_known, arguments.seeds),
        other_rows(snapshots, kinds, n_known),
        curve_rows(candidates, n_known),
    ):
        for row in some:
            harness.show(row)
            rows.append(row)
    if not arguments.no_write:
        unseen = [snapshot.name for snapshot in made]
        harness.write_result(__file__, rows, unseen=unseen)
        draw([row for row in rows if row["part"] == "curve"])


if __name__ == "__main__":
    main()
