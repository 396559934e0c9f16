"""From atoms to energies and forces: skldos, and MALA up to the band energy.

One cell of 32 aluminium atoms on its 36³ grid, network 91-400-400-81 with leaky ReLU, the same
weights and scalers on both sides; each variant in a fresh process.

  MALA, band energy            `Predictor` with LAMMPS descriptors (float32 behind LAMMPS), Fermi
                               level, band energy; total energies need its compiled module
  skldos, band energy          `predict_dos`, Fermi level, band energy
  skldos, total energy         `predict`, `total_energy`
  skldos, calculator           `LDOSCalculator`: total energy, DOS and density, all in float64
  skldos, calculator, forces   the same, with forces and stress

The first two of skldos have descriptors in float64 and float32. The band energies must agree with
MALA's within 0.01 meV per atom, or the run stops. The network is trained for a few epochs, on which
the time does not depend; it is kept in benchmarks/output/scale.

    python -m benchmarks.scale.chain
    python -m benchmarks.scale.chain --grid 12 --threads 1 --repeats 1    # a quick look
"""

import json
import time
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import read_snapshot
from benchmarks.peers._measure import Measurement
from benchmarks.scale._model import PREDICTED, R_CUT, TWOJMAX, Stages, trained, use_calculator

TOLERANCE = 0.01  # meV/atom
# Routes of skldos, and the precisions of their descriptors.
ROUTES = {
    "band energy": ("float64", "float32"),
    "total energy": ("float64", "float32"),
    "calculator": ("float64",),
    "calculator, forces": ("float64",),
}


# --- skldos, timed --------------------------------------------------------------------------------


def run_skldos(data, folder, grid, route, dtype, threads, repeats):
    """Time one route of skldos (runs in its own process)."""
    import joblib
    import torch

    torch.set_num_threads(threads)
    snapshot = read_snapshot(Path(data) / "al32" / f"{PREDICTED}.npz").replace(
        ldos=None, density=None
    )
    snapshot = snapshot.replace(grid_shape=(grid,) * 3)
    model = joblib.load(Path(folder) / "model.joblib")
    model["snap"].set_params(dtype=dtype, n_jobs=threads)
    route = {
        "band energy": band_energy,
        "total energy": total_energy,
        "calculator": calculator,
        "calculator, forces": calculator_forces,
    }[route]
    # Compile, on a grid of fewer points.
    route(model, snapshot.replace(grid_shape=(2 * grid // 3,) * 3), Stages())
    runs = []
    for _ in range(repeats):
        stages = Stages()
        with Measurement() as measurement:
            energies = route(model, snapshot, stages)
        runs.append(measurement.as_dict() | energies)
        runs[-1]["stages"] = stages.of(runs[-1]["wall_s"])
    # Only the first one starts from untouched memory.
    best = min(runs, key=lambda run: run["wall_s"])
    best |= {key: runs[0][key] for key in ("peak_mib", "memory_mib")}
    return best | {"cpu_s": min(run["cpu_s"] for run in runs)}


def state_of(snapshot):
    return {"temperature": snapshot.temperature, "n_electrons": snapshot.n_electrons}


def band_energy(model, snapshot, stages):
    """Return the band energy; energies are a stage of their own, so are they in the others."""
    from skldos import physics, predict_dos
    from skldos.descriptors import snap

    with stages.watch(snap, "grid_bispectrum", "descriptors"):
        (dos,) = predict_dos(model, [snapshot])
    temperature, energies = snapshot.temperature, snapshot.energies
    begin = time.perf_counter()
    mu = physics.fermi_level(dos, energies, **state_of(snapshot))
    band = physics.band_energy(dos, energies, temperature=temperature, fermi_level=mu)
    stages.seconds["energies"] = time.perf_counter() - begin
    return {"fermi_level": float(mu), "band_energy": float(band)}


def total_energy(model, snapshot, stages):
    from skldos import physics
    from skldos.datasets import load_aluminium_pseudopotentials
    from skldos.descriptors import snap

    with stages.watch(snap, "grid_bispectrum", "descriptors"):
        (ldos,) = model.predict([snapshot])
    begin = time.perf_counter()
    energy = physics.total_energy(
        ldos.reshape(*snapshot.grid_shape, -1),
        snapshot.energies,
        atoms=snapshot.atoms,
        pseudopotentials=load_aluminium_pseudopotentials(),
        **state_of(snapshot),
    )
    stages.seconds["energies"] = time.perf_counter() - begin
    return as_results(energy)


def calculator(model, snapshot, stages):
    used = use_calculator(model, snapshot, stages, ["energy"])
    return as_results(used.get_total_energy_breakdown())


def calculator_forces(model, snapshot, stages):
    used = use_calculator(model, snapshot, stages, ["energy", "forces"])
    return as_results(used.get_total_energy_breakdown())


def as_results(energy):
    return {
        "fermi_level": energy.fermi_level,
        "band_energy": energy.band,
        "total_energy": energy.total,
    }


# --- both sides -----------------------------------------------------------------------------------


def run_mala(data, folder, grid, threads, repeats, peers):
    snapshot = read_snapshot(data / "al32" / f"{PREDICTED}.npz")
    atoms, energies = snapshot.atoms, snapshot.energies
    np.savez(
        folder / "atoms.npz", numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell[:]
    )
    job = {
        "model": str((folder / "model.npz").resolve()),
        "atoms": str((folder / "atoms.npz").resolve()),
        "grid": [grid] * 3,
        "twojmax": TWOJMAX,
        "r_cut": R_CUT,
        "temperature": snapshot.temperature,
        "electrons_per_atom": snapshot.n_electrons / len(atoms),
        "energy_offset": float(energies[0]),
        "energy_spacing": float(np.diff(energies).mean()),
        "repeats": repeats,
    }
    path = folder / "mala.job.json"
    path.write_text(json.dumps(job, indent=1))
    return harness.run_peer("mala_predict.py", [path.resolve()], peers, threads)


def make_row(variant, dtype, threads, report, mala):
    row = {"variant": variant, "dtype": dtype, "threads": threads, **report}
    clock = "cpu_s" if threads == 1 else "wall_s"
    row["ratio"] = mala[clock] / report[clock]
    row["deviation_mev_per_atom"] = 1000 / 32 * (report["band_energy"] - mala["band_energy"])
    harness.show(row)
    harness.require(f"the band energy of {variant}", row["deviation_mev_per_atom"], TOLERANCE)
    return row


def render(record):
    """Return the tables of a record."""

    def unless_mala(form):
        return lambda row: "" if row["variant"].startswith("MALA") else form.format_map(row)

    columns = {
        "variant": "{variant}",
        "descriptors in": "{dtype}",
        "threads": "{threads}",
        "CPU s": "{cpu_s:.2f}",
        "wall s": "{wall_s:.2f}",
        "ratio to MALA": lambda row: unless_mala("{ratio:.1f}")(row) or "1",
        "descriptors": "{stages[descriptors]:.2f}",
        "network": "{stages[network]:.2f}",
        "energies": "{stages[energies]:.2f}",
        "gradient of descriptors": "{stages[adjoint]:.2f}",
        "peak memory, MiB": "{peak_mib:.0f}",
        "band energy − MALA's, meV/atom": unless_mala("{deviation_mev_per_atom:.0e}"),
    }
    caption = f"32 atoms, {record['grid']}³ points; stages in wall seconds."
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--grid", type=int, default=36, help="points along each axis [%(default)s]")
    parser.add_argument("--epochs", type=int, default=5, help="of the training [%(default)s]")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2, help="the best counts [%(default)s]")
    arguments = parser.parse_args()
    folder = trained(arguments.data, arguments.grid, arguments.epochs)
    job = {"data": str(arguments.data), "folder": str(folder), "grid": arguments.grid}
    job["repeats"] = arguments.repeats
    rows = []
    for threads in arguments.threads:
        measured = arguments.grid, threads, arguments.repeats
        mala = run_mala(arguments.data, folder, *measured, arguments.peers)
        rows.append(make_row("MALA, band energy", "", threads, mala, mala))
        for route, dtypes in ROUTES.items():
            for dtype in dtypes:
                keywords = job | {"route": route, "dtype": dtype, "threads": threads}
                report = harness.call_fresh(run_skldos, keywords, threads)
                rows.append(make_row(f"skldos, {route}", dtype, threads, report, mala))
    if not arguments.no_write:
        harness.write_result(__file__, rows, arguments.peers, grid=arguments.grid)


if __name__ == "__main__":
    main()
