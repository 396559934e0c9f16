"""Conservation of energy of a liquid of 256 atoms of aluminium.

A potential trained on 21 snapshots of 32 atoms drives velocity-Verlet dynamics of a liquid near
933 K, 2 ps with steps of 1 and 2 fs from the same start. Free plus kinetic energy is constant but
for a fluctuation that grows with the square of the step.

    python -m benchmarks.dynamics_runs.conservation [--repeat 4] [--time 2000]
"""

import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.dynamics_runs import _models

STEPS = (1.0, 2.0)  # fs


def run(atoms, step, duration):
    """Return total energies (eV), temperatures (K) and CPU seconds per step of a run."""
    from ase import units
    from ase.md.verlet import VelocityVerlet

    energies, kelvin = [], []

    def record():
        energies.append(atoms.get_total_energy())
        kelvin.append(atoms.get_temperature())

    dynamics = VelocityVerlet(atoms, timestep=step * units.fs)
    dynamics.attach(record)
    start = time.process_time()
    dynamics.run(round(duration / step))
    return np.array(energies), np.array(kelvin), (time.process_time() - start) / dynamics.nsteps


def render(record):
    """Return the table of a record."""
    columns = {
        "time step, fs": "{step_fs:g}",
        "steps": "{steps}",
        "mean temperature, K": "{kelvin:.0f}",
        "fluctuation, meV/atom": "{fluctuation_mev_per_atom:.4f}",
        "drift, meV/atom per ps": "{drift_mev_per_atom_ps:+.4f}",
        "of the second half": "{second_half_mev_per_atom_ps:+.4f}",
        "kinetic energy varies by, meV/atom": "{exchanged_mev_per_atom:.1f}",
        "CPU ms per atom and step": "{ms_per_atom_step:.3f}",
    }
    return f"{record['rows'][0]['atoms']} atoms.\n\n" + tables.column_table(columns, record["rows"])


def main():
    from skldos import FreeEnergyCalculator

    parser = harness.parser(__doc__)
    parser.add_argument("--repeat", type=int, default=4, help="4 n³ atoms [%(default)s]")
    parser.add_argument("--time", type=float, default=2000.0, help="length in fs [%(default)s]")
    options = parser.parse_args()
    model = _models.fitted(options.data)["SOAP"]
    start, rows = _models.liquid(model, options.repeat), []
    for step in STEPS:
        atoms = start.copy()
        atoms.calc = FreeEnergyCalculator(model)
        energies, kelvin, seconds = run(atoms, step, options.time)
        per_atom = 1e3 * energies / len(atoms)
        times = step * np.arange(len(energies)) / 1000
        half = len(times) // 2
        rows.append(
            {
                "step_fs": step,
                "steps": len(energies) - 1,
                "atoms": len(atoms),
                "kelvin": float(kelvin.mean()),
                "fluctuation_mev_per_atom": float(per_atom.std()),
                "drift_mev_per_atom_ps": float(np.polyfit(times, per_atom, 1)[0]),
                "second_half_mev_per_atom_ps": float(
                    np.polyfit(times[half:], per_atom[half:], 1)[0]
                ),
                "exchanged_mev_per_atom": float(np.ptp(kelvin) * 1.5 * 8.617e-2),
                "ms_per_atom_step": 1e3 * seconds / len(atoms),
            }
        )
        harness.show(rows[-1])
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
