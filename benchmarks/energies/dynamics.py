"""Conservation of energy in molecular dynamics with a learned model.

A smooth model of four-atom aluminium, trained on the bundled snapshots, drives velocity-Verlet
dynamics from 600 K. The free energy plus the kinetic energy should be constant. Its fluctuation
decreases with the square of the time step if the forces are the gradient of the energy, so two time
steps are run over the same time. Forces are first compared with central differences.

    python -m benchmarks.energies.dynamics [--time 300]
"""

import time

import numpy as np

from benchmarks.common import harness, tables

STEPS = (1.0, 2.0)  # fs
TEMPERATURE = 298.0  # K, of the electrons


def build():
    """Return a fitted, smooth model of the bundled snapshots, and one to start from."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from torch.optim import AdamW

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
    from skldos.datasets import load_aluminium

    snapshots = load_aluminium()
    model = make_pipeline(
        GridSNAPTransformer(twojmax=6, r_cut=4.0),
        RowWise(StandardScaler()),
        RowWise(PCA(whiten=True)),
        LDOSRegressor(
            module__activation="silu",
            module__hidden_layer_sizes=(100,),
            optimizer=AdamW,
            optimizer__weight_decay=0.3,
            max_epochs=40,
            batch_size=200,
            lr=3e-3,
            lr_schedule="cosine",
            target_scaling="standard",
            random_state=0,
        ),
    )
    return model.fit(snapshots), snapshots[0]


def gradient_error(atoms, step=1e-4):
    """Return the relative deviation of forces from central differences, in one direction."""
    direction = np.random.default_rng(0).normal(size=(len(atoms), 3))
    slope = -(atoms.get_forces() * direction).sum()
    start, energies = atoms.positions.copy(), []
    for sign in (1, -1):
        atoms.positions = start + sign * step * direction
        energies.append(atoms.get_potential_energy())
    atoms.positions = start
    return abs((energies[0] - energies[1]) / (2 * step) / slope - 1)


def run(atoms, step, duration):
    """Return total energies (eV) at every step of a run of `duration` fs, and seconds per step."""
    from ase import units
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
    from ase.md.verlet import VelocityVerlet

    MaxwellBoltzmannDistribution(atoms, temperature_K=600, rng=np.random.default_rng(0))
    Stationary(atoms)
    energies = [atoms.get_total_energy()]
    dynamics = VelocityVerlet(atoms, timestep=step * units.fs)
    start = time.perf_counter()
    for _ in range(round(duration / step)):
        dynamics.run(1)
        energies.append(atoms.get_total_energy())
    return np.array(energies), (time.perf_counter() - start) / (len(energies) - 1)


def render(record):
    """Return the tables of a record."""
    columns = {
        "time step, fs": "{step_fs:g}",
        "steps": "{steps}",
        "s per step": "{seconds_per_step:.2f}",
        "forces against differences, relative": "{gradient_error:.0e}",
        "fluctuation, meV/atom": "{fluctuation_mev_per_atom:.4f}",
        "drift, meV/atom per ps": "{drift_mev_per_atom_ps:+.3f}",
    }
    caption = f"{record['rows'][0]['atoms']} atoms, 18³ points."
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    from skldos import LDOSCalculator
    from skldos.datasets import load_aluminium_pseudopotentials

    parser = harness.parser(__doc__)
    parser.add_argument("--time", type=float, default=300.0, help="length in fs [%(default)s]")
    options = parser.parse_args()
    model, snapshot = build()
    calculator = LDOSCalculator(model, load_aluminium_pseudopotentials(), temperature=TEMPERATURE)
    rows = []
    for step in STEPS:
        atoms = snapshot.atoms.copy()
        atoms.calc = calculator
        error = gradient_error(atoms)
        energies, seconds = run(atoms, step, options.time)
        slope = np.polyfit(step * np.arange(len(energies)), energies, 1)[0]
        rows.append(
            {
                "step_fs": step,
                "steps": len(energies) - 1,
                "atoms": len(atoms),
                "seconds_per_step": seconds,
                "gradient_error": float(error),
                "fluctuation_mev_per_atom": float(1e3 * energies.std() / len(atoms)),
                "drift_mev_per_atom_ps": float(1e6 * slope / len(atoms)),
            }
        )
        harness.show(rows[-1])
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
