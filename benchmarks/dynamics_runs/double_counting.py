"""Why total energies of a model of the LDOS are worse than its band energies.

A network of the LDOS (the one of `LDOSCalculator`'s example, 12 epochs) learns ten cells of four
atoms of aluminium and predicts four others. The error of the total energy is taken apart into that
of the band energy with −TS and that of the terms of the density,
E_dc = −∫n(v_H + v_xc) + E_H + E_xc,
whose part of first order in the error of the density follows from E_dc at a hundredth of it.

*Refitted*: the smallest change of the output layer (in the mean square of the LDOS) that takes both
errors of every training snapshot to zero, to first order, with a ridge.

    python -m benchmarks.dynamics_runs.double_counting
"""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import read_snapshot

TEST = (4, 5, 12, 13)
SMALL = 0.01
RIDGES = (1e-6, 1e-4, 1e-2)


def network():
    """Return the pipeline."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from torch.optim import AdamW

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    return make_pipeline(
        GridSNAPTransformer(twojmax=6, r_cut=4.0, n_jobs=1),
        RowWise(StandardScaler()),
        RowWise(PCA(whiten=True)),
        LDOSRegressor(
            module__activation="silu",
            optimizer=AdamW,
            optimizer__weight_decay=0.3,
            batch_size=200,
            lr=3e-3,
            lr_schedule="cosine",
            max_epochs=12,
            target_scaling="standard",
            random_state=0,
        ),
    )


class Case:
    """A snapshot with its true and predicted LDOS, sharpened, and what the last layer sees."""

    def __init__(self, snapshot, inputs, regressor, sharpening):
        import torch

        self.snapshot, self._sharpening = snapshot, sharpening
        *hidden, last = regressor.module_
        self._scale = np.array(regressor.target_scale_, dtype=float)
        center = np.array(regressor.target_center_, dtype=float)
        with torch.no_grad():
            phi = torch.as_tensor(np.asarray(inputs), dtype=torch.float64)
            for layer in hidden:
                phi = layer.double()(phi)
            out = last.double()(phi).numpy() * self._scale + center
        self.phi = np.hstack([phi.numpy(), np.ones((len(phi), 1))])
        self.shape = (*snapshot.grid_shape, out.shape[1])
        self.predicted = (out @ sharpening.T).reshape(self.shape)
        self.true = np.asarray(snapshot.ldos, dtype=float) @ sharpening.T

    def energies(self, ldos):
        """Return free band energy and E_dc in eV."""
        from skldos.datasets import load_aluminium_pseudopotentials
        from skldos.physics import total_energy

        s = self.snapshot
        found = total_energy(
            ldos,
            s.energies,
            atoms=s.atoms,
            temperature=s.temperature,
            n_electrons=s.n_electrons,
            pseudopotentials=load_aluminium_pseudopotentials(),
        )
        return found.band + found.minus_ts, found.deband + found.hartree + found.xc

    def errors(self, change=0.0):
        """Return the errors of both in meV/atom, after a change of the last layer."""
        moved = (self.phi @ np.broadcast_to(change, (self.phi.shape[1], self.shape[-1]))) * (
            self._scale
        )
        ldos = self.predicted + (moved @ self._sharpening.T).reshape(self.shape)
        pairs = zip(self.energies(ldos), self.energies(self.true), strict=True)
        return np.array([1e3 * (one - other) / len(self.snapshot.atoms) for one, other in pairs])

    def first_order(self):
        """Return the part of the error of E_dc that is linear in that of the LDOS."""
        mixed = self.true + SMALL * (self.predicted - self.true)
        change = self.energies(mixed)[1] - self.energies(self.true)[1]
        return 1e3 * change / SMALL / len(self.snapshot.atoms)

    def slopes(self):
        """Return derivatives of both errors with respect to the last layer."""
        import torch

        found = []
        for k in range(2):
            ldos = torch.tensor(self.predicted, requires_grad=True)
            (by_ldos,) = torch.autograd.grad(self.energies(ldos)[k], ldos)
            rows = by_ldos.numpy().reshape(-1, self.shape[-1]) @ self._sharpening * self._scale
            found.append(1e3 * self.phi.T @ rows / len(self.snapshot.atoms))
        return found


def refit(training, ridge):
    """Return the change of the last layer."""
    gram = sum(case.phi.T @ case.phi for case in training)
    inverse = np.linalg.inv(gram + 1e-8 * np.trace(gram) / len(gram) * np.eye(len(gram)))
    slopes = [slope for case in training for slope in case.slopes()]
    ways = [inverse @ slope for slope in slopes]
    K = np.array([[np.sum(slope * way) for way in ways] for slope in slopes])
    errors = np.concatenate([case.errors() for case in training])
    weights = np.linalg.solve(K + ridge * np.trace(K) / len(K) * np.eye(len(K)), -errors)
    return sum(weight * way for weight, way in zip(weights, ways, strict=True))


def render(record):
    """Return the table of a record."""
    columns = {"output layer": "{layer}", "snapshots": "{which}"}
    columns |= {
        name: f"{{{key}:.1f}}"
        for name, key in (
            ("total energy, meV/atom", "total"),
            ("band energy − TS", "band"),
            ("E_dc", "dc"),
            ("E_dc to first order", "first"),
        )
    }
    caption = "Root mean squares of the errors."
    rows = [
        row | {"first": np.nan if row["first"] is None else row["first"]} for row in record["rows"]
    ]
    return caption + "\n\n" + tables.column_table(columns, rows).replace("nan", "—")


def main():
    from skldos.physics import sharpening_matrix

    parser = harness.parser(__doc__)
    options = parser.parse_args()
    snapshots = [read_snapshot(path) for path in sorted((options.data / "al4").glob("*.npz"))]
    training = [i for i in range(len(snapshots)) if i not in TEST]
    model = network().fit([snapshots[i] for i in training])
    grid = snapshots[0].energy_grid
    sharpening = sharpening_matrix(grid.values, broadening=grid.broadening, kernel=grid.kernel)
    inputs = model[:-1].transform(snapshots)
    cases = [
        Case(snapshot, block, model[-1], sharpening)
        for snapshot, block in zip(snapshots, inputs, strict=True)
    ]
    kinds = {"training": [cases[i] for i in training], "unseen": [cases[i] for i in TEST]}
    layers = {"as trained": 0.0}
    layers |= {f"refitted, ridge {r:g}": refit(kinds["training"], r) for r in RIDGES}
    rows = []
    for layer, change in layers.items():
        for which, those in kinds.items():
            band, dc = np.array([case.errors(change) for case in those]).T
            first = None
            if layer == "as trained":
                first = float(np.sqrt(np.mean([case.first_order() ** 2 for case in those])))
            rms = (float(np.sqrt(np.mean(e**2))) for e in (band + dc, band, dc))
            numbers = dict(zip(("total", "band", "dc"), rms, strict=True))
            rows.append({"layer": layer, "which": which, **numbers, "first": first})
            harness.show(rows[-1])
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
