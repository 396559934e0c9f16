"""The 933 K liquid of a potential beside density-functional snapshots.

NVT dynamics of 32 atoms at 2.70 g/cm³ begins at each of the seven liquid snapshots of the data: 0.2
ps to equilibrate, 0.6 to average. At this density, that of the solid at room temperature, the cell
freezes within some picoseconds, which is why runs are short; *order* is the largest structure
factor per atom, 1 for a crystal and below ½ for a liquid. The snapshots of the data were moved by
EMT, and only their electrons and forces are of density-functional theory, so that structures need
not agree.

    python -m benchmarks.dynamics_runs.structure [--steps 300]
"""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.data.structures import order
from benchmarks.dynamics_runs import _models

EDGES = np.linspace(2.0, 4.0, 41)
#: Steps between two records.
INTERVAL = 10


def pair_distribution(atoms):
    """Return g(r) between the edges, up to half the cell."""
    from ase.geometry import get_distances

    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)
    counts = np.histogram(distances[distances > 1e-3], EDGES)[0]
    shells = 4 / 3 * np.pi * np.diff(EDGES**3)
    return counts / len(atoms) / shells * atoms.get_volume() / len(atoms)


def run(models, start, steps, seed):
    """Return what is averaged over a run: arrays by name."""
    from ase import units
    from ase.md.langevin import Langevin

    from skldos import FreeEnergyCalculator

    atoms = start.copy()
    atoms.calc = calculator = FreeEnergyCalculator(models["SOAP"], models["DOS"], sharpen=0)
    rng = np.random.default_rng(seed)
    thermal = np.sqrt(units.kB * 933 * atoms.get_masses())[:, None]
    atoms.set_momenta(thermal * rng.normal(size=(len(atoms), 3)))
    options = {"temperature_K": 933, "friction": 0.002 / units.fs, "fixcm": False}
    dynamics = Langevin(atoms, 2 * units.fs, rng=rng, **options)
    dynamics.run(100)
    names = ("g", "dos", "mu", "positions", "kelvin", "std", "order")
    found = {name: [] for name in names}

    def record():
        found["g"].append(pair_distribution(atoms))
        found["dos"].append(calculator.get_dos() / len(atoms))
        found["mu"].append(calculator.get_fermi_level())
        found["order"].append(order(atoms))
        found["kelvin"].append(atoms.get_temperature())
        center = atoms.get_center_of_mass()
        found["positions"].append(atoms.positions - center)
        if len(found["g"]) % 10 == 1:
            found["std"].append(calculator.get_uncertainty("forces").mean())

    dynamics.attach(record, interval=INTERVAL)
    dynamics.run(steps)
    return {name: np.array(values) for name, values in found.items()}, calculator.energies


def displacement(runs):
    """Return times in ps and mean square displacements in Å², over all origins of all runs."""
    lags = np.arange(1, len(runs[0]) * 2 // 3)
    squares = [
        np.mean([np.sum((one[k:] - one[:-k]) ** 2, axis=2).mean() for one in runs]) for k in lags
    ]
    return lags * INTERVAL * 0.002, np.array(squares)


def draw(found, energies, liquids, path):
    """Draw g(r), mean square displacement and DOS."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), dpi=120, layout="constrained")
    centers = (EDGES[1:] + EDGES[:-1]) / 2
    axes[0].plot(centers, found["g"].mean(axis=0), label="dynamics of the potential")
    data = np.mean([pair_distribution(s.atoms) for s in liquids], axis=0)
    axes[0].plot(centers, data, "--", label="data (moved by EMT)")
    axes[0].set(xlabel="r (Å)", ylabel="g(r)")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    axes[1].plot(*displacement(found["positions"]))
    axes[1].set(xlabel="time (ps)", ylabel="mean square displacement (Å²)")
    axes[2].plot(energies, found["dos"].mean(axis=0))
    axes[2].plot(energies, np.mean([s.dos() / len(s.atoms) for s in liquids], axis=0), "--")
    axes[2].set(xlabel="energy (eV)", ylabel="DOS (1/eV per atom)", xlim=(-5, 9))
    figure.savefig(path)


def render(record):
    """Return the table of a record."""
    columns = {
        "": "{what}",
        "dynamics of the potential": "{run}",
        "data": "{data}",
    }
    return tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--steps", type=int, default=300, help="of 2 fs [%(default)s]")
    options = parser.parse_args()
    liquids = [s for s in _models.read_al32(options.data) if "liquid" in s.name]
    models = _models.fitted(options.data)
    runs = [run(models, s.atoms, options.steps, seed) for seed, s in enumerate(liquids)]
    energies = runs[0][1]
    found = {name: np.concatenate([one[name] for one, _ in runs]) for name in runs[0][0]}
    found["positions"] = [one["positions"] for one, _ in runs]
    times, squares = displacement(found["positions"])
    late = times > times[-1] / 4
    slope = np.polyfit(times[late], squares[late], 1)[0]
    data_g = np.array([pair_distribution(s.atoms) for s in liquids])
    data_dos = np.array([s.dos() / len(s.atoms) for s in liquids])
    levels = [s.reference["fermi_energy"] for s in liquids]
    centers = (EDGES[1:] + EDGES[:-1]) / 2

    def peak(g):
        return f"{centers[np.argmax(g)]:.2f} Å, {g.max():.2f}"

    difference = np.abs(found["dos"].mean(axis=0) - data_dos.mean(axis=0)).sum()
    rows = [
        ("temperature, K", f"{found['kelvin'].mean():.0f}", "933"),
        ("first peak of g(r)", peak(found["g"].mean(axis=0)), peak(data_g.mean(axis=0))),
        ("self-diffusion, Å²/ps", f"{slope / 6:.2f}", "—"),
        (
            "Fermi level, eV (standard deviation over snapshots)",
            f"{found['mu'].mean():.3f} ({found['mu'].std():.3f})",
            f"{np.mean(levels):.3f} ({np.std(levels):.3f})",
        ),
        (
            "mean DOS, difference, % of its integral",
            f"{100 * difference / data_dos.mean(axis=0).sum():.2f}",
            "—",
        ),
        (
            "order, at the end",
            ", ".join(f"{one['order'][-1]:.2f}" for one, _ in runs),
            ", ".join(f"{order(s.atoms):.2f}" for s in liquids),
        ),
        ("expected error of forces, eV/Å", f"{found['std'].mean():.3f}", "—"),
    ]
    rows = [dict(zip(("what", "run", "data"), row, strict=True)) for row in rows]
    for row in rows:
        harness.show(row)
    if not options.no_write:
        draw(found, energies, liquids, harness.IMAGES / "liquid.png")
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
