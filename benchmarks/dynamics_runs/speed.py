"""Time of a step: energies and forces, with and without the DOS, 32 to 4,000 atoms.

One thread, CPU time of a step of dynamics in which all atoms move, best of five. The models are
those of 21 snapshots of 32 atoms (the bispectra, SNAP, of four); cells are crystals with
displacements of 0.1 Å. Where the peers are installed, LAMMPS's `pair_style snap` runs the same
potentials on the same atoms, with its list of neighbours, cutoff 5 Å.

    python -m benchmarks.dynamics_runs.speed [--repeats 2 3 4 6 8 10] [--peers FOLDER]
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.dynamics_runs import _models

TWOJMAX = (6, 8, 10)


def step_of(calculator, atoms, properties):
    """Return CPU seconds of a step."""
    best, rng = np.inf, np.random.default_rng(0)
    for _ in range(6):
        moved = atoms.copy()
        moved.positions += rng.normal(scale=0.01, size=(len(atoms), 3))
        start = time.process_time()
        calculator.calculate(moved, properties)
        if calculator.energies is not None:
            calculator.get_fermi_level(moved)
        best = min(best, time.process_time() - start)
    return best


def of_lammps(potential, atoms, peers):
    """Return CPU seconds of a step of LAMMPS with a potential on the bispectrum."""
    from skldos.io import write_snap

    with tempfile.TemporaryDirectory() as folder:
        system, files = Path(folder) / "system.npz", Path(folder) / "it"
        symbols = np.array(atoms.get_chemical_symbols())
        np.savez(system, positions=atoms.positions, cell=atoms.cell.array, symbols=symbols)
        write_snap(files, potential)
        options = ["--input", str(system), "--potential", str(files), "--repeats", "5"]
        return harness.run_peer("lammps_pair.py", options, peers)["cpu_s"]


def render(record):
    """Return the table of a record."""
    sizes = sorted({row["atoms"] for row in record["rows"]})
    times = {(row["model"], row["atoms"]): row["ms_per_atom"] for row in record["rows"]}
    lines = [
        {"model": model} | {f"n{atoms}": times[model, atoms] for atoms in sizes}
        for model in dict.fromkeys(row["model"] for row in record["rows"])
    ]
    columns = {"model": "{model}"} | {f"{n} atoms": f"{{n{n}:.3f}}" for n in sizes}
    return "CPU ms per atom and step.\n\n" + tables.column_table(columns, lines)


def times_of(repeat, kinds, snaps, peers):
    """Return CPU milliseconds per atom and step of a crystal, by model."""
    from ase.build import bulk

    from skldos import MonteCarlo

    atoms = bulk("Al", cubic=True, a=_models.LATTICE).repeat(repeat)
    atoms.rattle(0.1, seed=0)
    found = {
        name: step_of(calculator, atoms, ("energy", "forces")) for name, calculator in kinds.items()
    }
    if peers.exists():
        for name, model in snaps.items():
            found[f"LAMMPS, {name}"] = of_lammps(model, atoms, peers)
    # A move of one atom, in a step of one move per atom.
    for local in (True, False):
        atoms.calc = kinds["SOAP"]
        energy = MonteCarlo(atoms, 900, local=local)._energy()
        start, n_moves = time.process_time(), 10 if local or repeat < 5 else 2
        for index in range(n_moves):
            energy.change(index, atoms.positions[index] + 0.1)
        name = f"Monte Carlo move, {'local' if local else 'all atoms'}"
        found[name] = (time.process_time() - start) / n_moves * len(atoms)
    return {name: 1e3 * seconds / len(atoms) for name, seconds in found.items()}


def main():
    from skldos import FreeEnergyCalculator

    parser = harness.parser(__doc__)
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 3, 4, 6, 8, 10])
    options = parser.parse_args()
    models, rows = _models.fitted(options.data), []
    kinds = {
        "SOAP": FreeEnergyCalculator(models["SOAP"]),
        "SOAP, DOS": FreeEnergyCalculator(models["SOAP"], models["DOS"]),
        "SOAP, DOS, electrons at 2500 K": FreeEnergyCalculator(models["SOAP"], models["DOS"], 2500),
    }
    some = _models.read_al32(options.data)[::6]
    snaps = {f"SNAP, 2J = {order}": _models.snap(order).fit(some) for order in TWOJMAX}
    kinds |= {name: FreeEnergyCalculator(model) for name, model in snaps.items()}
    for repeat in options.repeats:
        path = harness.output_of(__file__) / f"{repeat}.json"  # remove it to measure again
        times = harness.cached(path, times_of, repeat, kinds, snaps, options.peers)
        for name, ms in times.items():
            rows.append({"model": name, "atoms": 4 * repeat**3, "ms_per_atom": ms})
            harness.show(rows[-1])
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
