"""Starting pw.x from a predicted density instead of free atoms: silicon.

The change n - n_0 of the density, from free atoms side by side to self-consistency, is learned from
the snapshots of `data.py`, with the folds, the features and the models of `models.py`. One wave,
the mean, is known, so the number of electrons is right. From two folds, the smallest held-out
structure of each kind, and the hottest of crystals, is calculated with the settings of the data.
pw.x can read a density, but no potential. It starts from:

  free atoms           pw.x's default
  free atoms, written  the same density n_0, but read from a file: pw.x then solves the first
                       iteration more tightly
  ridge, MDN           n_0 and Gaussians on every atom, their coefficients predicted from its
                       bispectra by linear regression, or as the mean of a mixture density network:
                       five differences of neighbouring Gaussians, which have no charge
  charged              the same with the six Gaussians themselves
  grid network         n_0 and a network that predicts n - n_0 at every point of the grid, from the
                       bispectrum around it and n_0 there, as LDOS models do
  best Gaussians       n_0 and the Gaussians that were to be learned, fitted to the true density
  true density         with which pw.x ended, according to the data

From each, pw.x runs to the same `conv_thr`: number of iterations, of steps of the eigensolver (a
mean over k points, summed), CPU seconds, and the error of the first iteration as pw.x estimates it.
It also runs once without iterating (`nscf`): the error of the band energy, and of the total energy
of Harris and Foulkes,

    E[n] = E_band - ∫ n (v_H + v_xc)[n] + E_H[n] + E_xc[n] + E_Ewald - TS,

which is of second order in the error of the density.

    python -m benchmarks.potentials.scf_start [--command pw.x]

Finished runs are kept in benchmarks/output/potentials/scf_start; delete those of a model that has
changed. About ten minutes of one core.
"""

import time
from functools import partial

import numpy as np

from benchmarks.common import harness
from benchmarks.potentials._data import KINDS, of_kinds
from benchmarks.potentials._models import N_FOLDS, estimator, features, folds_of
from benchmarks.potentials._pw_starts import SAVE, cutoff_of, densities, measure
from benchmarks.potentials._scf_tables import render

FOLDER = harness.output_of(__file__)
FOLDS = (0, 1)
#: Penalty of the fit of Gaussians, that of GaussianPotentialDecomposer.
PENALTY = 1e-4
N_GAUSSIANS = 6


# --- densities -----------------------------------------------------------------------------------


def gaussians(snapshot):
    """Return the Gaussians of a snapshot; they have no mean."""
    from skldos.decomposition import Gaussians, geometric_exponents

    atoms, exponents = snapshot.atoms, geometric_exponents(N_GAUSSIANS)
    cell = atoms.cell.array
    return Gaussians(atoms.positions, cell, snapshot.grid_shape, exponents, mean=False)


def differences():
    """Return Gaussians of unit charge minus the next narrower one, as columns."""
    from skldos.decomposition import geometric_exponents

    charges = (np.pi / geometric_exponents(N_GAUSSIANS)) ** 1.5
    unit = np.diag(1 / charges)
    return unit[:, :-1] - unit[:, 1:]


def coefficients(snapshot, *, charged):
    """Return the coefficients of the change of the density, of Gaussians or their differences."""
    from skldos.decomposition.gaussians import NormalEquations

    n0, n = densities(snapshot)
    equations = gaussians(snapshot).normal_equations(n - n0)
    if not charged:
        T = np.kron(np.eye(len(snapshot.atoms)), differences())
        S = T.T @ equations.overlap @ T
        equations = NormalEquations(S, T.T @ equations.projections, np.sqrt(np.diag(S)))
    return equations.solve(PENALTY).reshape(len(snapshot.atoms), -1)


def field(snapshot, block, *, charged):
    """Return the field of some coefficients."""
    return gaussians(snapshot).field(block if charged else block @ differences().T)


def thinned(snapshot):
    """Return a snapshot with every second point along the axes that have an even number."""
    steps = tuple(slice(None, None, 2 - n % 2) for n in snapshot.grid_shape)
    return steps, snapshot.replace(density=snapshot.density[:][steps])


def grid_rows(snapshot, *, thin):
    """Return features and the change of the density at the points of the grid."""
    from skldos import GridSNAPTransformer

    n0, n = densities(snapshot)
    steps, seen = thinned(snapshot) if thin else ((), snapshot)
    snap = GridSNAPTransformer(5.0, 8, dtype="float32", n_jobs=1)
    rows = np.asarray(snap.fit_transform([seen])[0][:])
    return np.column_stack([rows, n0[steps].ravel()]), (n - n0)[steps].ravel()


def grid_network(known):
    """Return a function that predicts the change of the density, learned point by point."""
    import torch
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import LDOSRegressor

    torch.set_num_threads(1)
    network = LDOSRegressor(
        module__hidden_layer_sizes=(100, 100),
        module__activation="silu",
        optimizer=torch.optim.AdamW,
        lr=2e-3,
        lr_schedule="cosine",
        max_epochs=30,
        batch_size=256,
        target_scaling="standard",
        random_state=0,
    )
    X, y = (np.concatenate(a) for a in zip(*(grid_rows(s, thin=True) for s in known), strict=True))
    model = make_pipeline(StandardScaler(), network).fit(X.astype(np.float32), y)

    def predict(snapshot):
        rows = grid_rows(snapshot, thin=False)[0].astype(np.float32)
        change = np.asarray(model.predict(rows), dtype=float).reshape(snapshot.grid_shape)
        return change - change.mean()

    return predict


def atom_model(model, known, *, charged=False):
    """Return a function that predicts the change of the density with a model of atoms."""
    describe = features().fit(known)
    targets = [coefficients(snapshot, charged=charged) for snapshot in known]
    fitted = estimator(model, 0).fit(describe.transform(known), targets)

    def predict(snapshot):
        (block,) = fitted.predict(describe.transform([snapshot]))
        return field(snapshot, np.asarray(block[:], dtype=float), charged=charged)

    return predict


LEARN = {
    "ridge, charged": partial(atom_model, "ridge", charged=True),
    "MDN, charged": partial(atom_model, "MDN, full", charged=True),
    "ridge": partial(atom_model, "ridge"),
    "MDN": partial(atom_model, "MDN, full"),
    "grid network": grid_network,
}
STARTS = ("free atoms", "free atoms, written", *LEARN, "best Gaussians", "true density")


def label(start):
    """Return the name of a start as that of a folder."""
    return start.replace(",", "").replace(" ", "_")


def predictions(fold, known, asked):
    """Return the predicted changes of the density of a fold, computed if not available."""
    found = {}
    for start, learn in LEARN.items():
        path = FOLDER / f"fold_{fold}_{label(start)}.npz"
        if not path.exists():
            predict, made = learn(known), {}
            for snapshot in asked:
                key, begin = f"{start}/{snapshot.reference['name']}", time.perf_counter()
                made[key] = predict(snapshot)
                made[f"{key}/seconds"] = time.perf_counter() - begin
            np.savez(path, **made)
        with np.load(path) as file:
            found |= dict(file)
    return found


def density_of(start, snapshot, predicted):
    """Return the density from which pw.x starts, up to the cutoff of pw.x."""
    from skldos.physics.terms import low_pass

    n0, n = densities(snapshot)
    if start == "true density":
        return n
    if start == "best Gaussians":
        return n0 + field(snapshot, coefficients(snapshot, charged=False), charged=False)
    if start in LEARN:
        change = predicted[f"{start}/{snapshot.reference['name']}"]
        return n0 + low_pass(change, snapshot.atoms.cell.array, density_cutoff=cutoff_of(snapshot))
    return n0


# --- rows --------------------------------------------------------------------------------------


def chosen(fold, folds, snapshots):
    """Return the smallest snapshot of each kind in a fold, of crystals the hottest."""
    some = [s for s, f in zip(snapshots, folds, strict=True) if f == fold]
    kinds = [[s for s in some if s.reference["kind"] == kind] for kind in KINDS]
    # By name, hot ones come last.
    return [min(reversed(same), key=lambda s: len(s.atoms)) for same in kinds if same]


def run_structure(snapshot, predicted, command):
    """Return a row for every start of a structure."""
    from skldos.units import RYDBERG

    n0, n = densities(snapshot)
    rows, n_atoms, name = [], len(snapshot.atoms), snapshot.reference["name"]
    folder = FOLDER / "runs" / name
    for start in reversed(STARTS):  # the others need what the true density leaves
        density = density_of(start, snapshot, predicted)
        found = measure(
            folder / label(start),
            snapshot,
            density,
            command,
            by_itself=start == "free atoms",
            reference=folder / "true_density" / "scf" / SAVE,
        )
        if start == "true density":
            total = found["converged_energy"] * RYDBERG
        rows.append(
            {
                "snapshot": name,
                "kind": snapshot.reference["kind"],
                "atoms": n_atoms,
                "start": start,
                "density_error": float(np.linalg.norm(density - n) / np.linalg.norm(n)),
                "change_error": float(np.linalg.norm(density - n) / np.linalg.norm(n - n0)),
                "band_error": 1000 * (found["band"] - found["converged_band"]) / n_atoms,
                "energy_error": 1000 * (found["energy"] - total) / n_atoms,
                "accuracy": found["accuracy"],
                "iterations": found["iterations"],
                "steps": found["steps"],
                "cpu_seconds": found["cpu_seconds"],
                "prediction_seconds": float(predicted.get(f"{start}/{name}/seconds", 0.0)),
            }
        )
    return rows[::-1]


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--command", default="pw.x", help="what to run [%(default)s]")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Read at once: the folder may be written anew while this runs.
    snapshots = [s.replace(density=np.asarray(s.density[:])) for s in of_kinds(options.data)]
    folds, rows = folds_of(snapshots), []
    for fold in FOLDS:
        known = [s for s, f in zip(snapshots, folds, strict=True) if f != fold]
        asked = chosen(fold, folds, snapshots)
        predicted = predictions(fold, known, asked)
        for snapshot in asked:
            rows += run_structure(snapshot, predicted, options.command)
            print(
                snapshot.reference["name"],
                [row["iterations"] for row in rows[-len(STARTS) :]],
                flush=True,
            )
    extra = {"snapshots": len(snapshots), "known": round(len(snapshots) * (1 - 1 / N_FOLDS))}
    print(render({"rows": rows, **extra}))
    if not options.no_write:
        harness.write_result(__file__, rows, **extra)


if __name__ == "__main__":
    main()
