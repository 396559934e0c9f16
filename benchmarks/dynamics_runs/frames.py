r"""Frames of a potential's own dynamics, calculated with density-functional theory afterwards.

`models.potential()` and `models.atoms()` are fitted to the training snapshots of 32 aluminium atoms
at 2.70 g/cm³ (`atoms/learning_curve.py` says which). Langevin dynamics of the potential begins at
as many of its liquids as there are runs, and after 0.6 ps of 2 fs steps every 0.3 ps a frame is
kept. pw.x calculates the frames as it did the training data. Neither had any part in the fit, so
they tell how wrong energies, forces and densities of states are where dynamics really goes.

They also tell what the liquid of density-functional theory is like, without its dynamics: a frame
of weight :math:`w \propto \exp[-(A_\mathrm{DFT} - A)/kT]` belongs to its canonical ensemble.

    python -m benchmarks.dynamics_runs.frames [--runs 8] [--frames 2] [--folders FOLDER ...]

Frames are kept in benchmarks/output/dynamics_runs/frames while they are made, and then in
`benchmarks/data/bundles/frames.npz`, from which the tables are computed without pw.x.
"""

import shutil

import numpy as np

from benchmarks.atoms.learning_curve import kind_of, tested, trained
from benchmarks.common import harness, tables
from benchmarks.data import make
from benchmarks.data.read import as_snapshot, snapshots_of
from benchmarks.data.structures import order
from benchmarks.dynamics_runs.structure import EDGES, pair_distribution

FOLDER = harness.output_of(__file__)
BUNDLE = make.BUNDLES / "frames.npz"
N_TRAINING = 96
KELVIN = 933.0
STEP, EQUILIBRATION, INTERVAL = 2.0, 300, 150  # fs, and steps
N_RESAMPLED = 4000


def models_of(training):
    """Return the potential and the model of the density of states."""
    from skldos import models

    return models.potential().fit(training), models.atoms().fit(training)


def dynamics(potential, start, n_frames, seed):
    """Yield frames of a run, with the g(r) of all steps since the last one."""
    from ase import units
    from ase.md.langevin import Langevin

    from skldos import FreeEnergyCalculator

    atoms = start.copy()
    atoms.calc = FreeEnergyCalculator(potential)
    rng = np.random.default_rng(seed)
    thermal = np.sqrt(units.kB * KELVIN * atoms.get_masses())[:, None]
    atoms.set_momenta(thermal * rng.normal(size=(len(atoms), 3)))
    options = {"temperature_K": KELVIN, "friction": 0.005 / units.fs, "fixcm": False}
    run = Langevin(atoms, STEP * units.fs, rng=rng, **options)
    run.run(EQUILIBRATION)
    curves = []
    run.attach(lambda: curves.append(pair_distribution(atoms)), interval=10)
    for _ in range(n_frames):
        run.run(INTERVAL)
        frame = atoms.copy()
        frame.set_positions(np.round(atoms.get_positions(wrap=True), make.structures.DECIMALS))
        yield frame, np.mean(curves, axis=0)
        curves.clear()


def made(potential, training, n_runs, n_frames):
    """Return all frames as `make.calculate` does, from the folder those that it has."""
    liquids = [s for s in training if kind_of(s) == "liquid"][:n_runs]
    found = []
    for seed, start in enumerate(liquids):
        names = [f"frame_{seed}_{i}" for i in range(n_frames)]
        paths = [FOLDER / f"{name}.npz" for name in names]
        if not all(path.exists() for path in paths):
            frames = dynamics(potential, start.atoms, n_frames, seed)
            for name, path, (atoms, curve) in zip(names, paths, frames, strict=True):
                if not path.exists():
                    make._write(path, calculated(name, atoms) | {"pair_distribution": curve})
                    print(name, flush=True)
        found += [dict(np.load(path)) for path in paths]
    return found


def calculated(name, atoms):
    """Calculate a frame with the settings of the training data."""
    job = make.Job("al32", name, lambda: atoms, KELVIN, split="test", n_bands=72)
    work = FOLDER / "work"
    try:
        return make.calculate(job, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def bundled(frames):
    """Write the frames as one file, in the manner of `make.py`."""
    by_atom, once = ("numbers", "positions", "forces", "ados"), ("energies", "broadening")
    once += ("kernel", "sigma")
    arrays = {"n_atoms": np.array([len(f["numbers"]) for f in frames])}
    for key in frames[0].keys() - {"eigenvalues", "weights"}:
        values = [f[key] for f in frames]
        join = np.concatenate if key in by_atom else np.stack
        arrays[key] = values[0] if key in once else join(values)
    make._write(BUNDLE, arrays)


def rows_of(potential, dos_model, frames):
    """Return errors and expected errors of every frame."""
    from skldos import evaluate

    snapshots = [as_snapshot(frame) for frame in frames]
    energies, spectra = evaluate(potential, snapshots), evaluate(dos_model, snapshots)
    blocks = potential[:-1].transform(snapshots)
    _, std = potential[-1].predict(blocks, return_std=True)
    forces, forces_std = potential[-1].predict_forces(blocks, return_std=True)
    predicted = dos_model.predict(snapshots)
    rows = []
    for i, snapshot in enumerate(snapshots):
        true = snapshot.reference
        z = (forces[i] - true["forces"]) / forces_std[i]
        dos, difference = true["dos"], np.sum(predicted[i], axis=0) - true["dos"]
        rows.append(
            {
                "frame": snapshot.name,
                "order": order(snapshot.atoms),
                "free_energy": float(energies["total_energy_error"].iloc[i]),
                "std": float(1e3 * std[i] / len(snapshot.atoms)),
                "forces": float(energies["forces_error"].iloc[i]),
                "rms_force": float(np.sqrt(np.mean(true["forces"] ** 2))),
                "forces_z2": float(np.mean(z**2)),
                "band_energy": float(spectra["band_energy_error"].iloc[i]),
                "fermi_level": float(spectra["fermi_level_error"].iloc[i]),
                "dos": float(abs(difference).sum() / dos.sum()),
                "n_atoms": len(snapshot.atoms),
            }
        )
    return rows


def weights_of(rows):
    """Return the weights of the frames in the ensemble of density-functional theory."""
    from ase import units

    excess = np.array([-row["free_energy"] * row["n_atoms"] / 1e3 for row in rows])
    weights = np.exp(-(excess - excess.min()) / (units.kB * KELVIN))
    return weights / weights.sum()


def structure(rows, frames):
    """Return the first peak of g(r) of the dynamics, and what the weights change."""
    curves = np.array([pair_distribution(as_snapshot(frame).atoms) for frame in frames])
    mean = np.mean([frame["pair_distribution"] for frame in frames], axis=0)
    weights, top = weights_of(rows), int(mean.argmax())
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(rows), size=(N_RESAMPLED, len(rows)))
    some = weights[drawn] / weights[drawn].sum(axis=1, keepdims=True)
    changes = np.sum((some - 1 / len(rows)) * curves[drawn, top], axis=1)
    return {
        "peak_r": float((EDGES[top] + EDGES[top + 1]) / 2),
        "peak": float(mean[top]),
        "change": float((weights - 1 / len(rows)) @ curves[:, top]),
        "change_std": float(changes.std()),
        "largest_change": float(abs((weights - 1 / len(rows)) @ curves).max()),
        "effective": float(1 / np.sum(weights**2)),
    }


def render(record):
    """Return the tables of a record."""
    rows, found = record["rows"], record["structure"]

    def mean(key):
        return np.mean([abs(row[key]) for row in rows])

    def root(values):
        return np.sqrt(np.mean(np.square(values)))

    z = [row["free_energy"] / row["std"] for row in rows]
    lines = [
        ("free energy, meV/atom, mean absolute", f"{mean('free_energy'):.2f}"),
        ("free energy, meV/atom, mean", f"{np.mean([r['free_energy'] for r in rows]):+.2f}"),
        ("its expected standard deviation, meV/atom", f"{mean('std'):.2f} (rms z {root(z):.2f})"),
        ("forces, eV/Å, root mean square", f"{root([r['forces'] for r in rows]):.3f}"),
        ("the forces themselves", f"{root([r['rms_force'] for r in rows]):.2f}"),
        ("rms z of the forces", f"{np.sqrt(np.mean([r['forces_z2'] for r in rows])):.2f}"),
        ("band energy, meV/atom, mean absolute", f"{mean('band_energy'):.2f}"),
        ("Fermi level, meV, mean absolute", f"{mean('fermi_level'):.1f}"),
        ("DOS, % of its integral", f"{100 * mean('dos'):.1f}"),
        ("order (crystal: 1)", f"{mean('order'):.2f}, at most {max(r['order'] for r in rows):.2f}"),
        ("first peak of g(r)", f"{found['peak']:.2f} at {found['peak_r']:.2f} Å"),
        (
            "change of the peak by the weights of density-functional theory",
            f"{found['change']:+.3f} ± {found['change_std']:.3f}",
        ),
        ("largest change of g(r) at any distance", f"{found['largest_change']:.3f}"),
        ("frames, and their effective number", f"{len(rows)}, {found['effective']:.1f}"),
    ]
    return tables.format_table(["", "frames of the dynamics"], lines)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--frames", type=int, default=2, help="of each run")
    parser.add_argument("--folders", nargs="*", type=harness.absolute, default=[])
    options = parser.parse_args()
    everything = snapshots_of("al32", options.folders)
    names, kinds = [s.name for s in everything], [kind_of(s) for s in everything]
    assert not set(tested(names)) & set(trained(kinds, names, 0, N_TRAINING))
    training = everything[trained(kinds, names, 0, N_TRAINING)]
    potential, dos_model = models_of(training)
    if not BUNDLE.exists():
        bundled(made(potential, training, options.runs, options.frames))
    frames = make.unbundle(BUNDLE)
    rows = rows_of(potential, dos_model, frames)
    record = {"rows": rows, "structure": structure(rows, frames)}
    print(render(record), flush=True)
    if not options.no_write:
        harness.write_result(
            __file__, rows, structure=record["structure"], n_training=len(training)
        )


if __name__ == "__main__":
    main()
