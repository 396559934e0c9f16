"""From atoms to energies and forces: skldos, and MALA as far as the band energy.

One cell of 32 aluminium atoms on its 36³ grid, network 91-400-400-81 with leaky ReLU, the same
weights and scalers on both sides; each variant in a fresh process.

  MALA, band energy            `Predictor` with LAMMPS descriptors (float32 behind LAMMPS), Fermi
                               level, band energy; total energies need its compiled module
  skldos, band energy          `predict_dos`, Fermi level, band energy
  skldos, total energy         `predict`, `total_energy`
  skldos, calculator           `LDOSCalculator`: total energy, DOS and density, all in float64
  skldos, calculator, forces   the same, and forces and stress

The first two of skldos with descriptors in float64 and float32. The band energies must agree with
MALA's within 0.01 meV per atom, or there is no result. The network is trained for a few epochs,
which the time does not depend on; it is kept in benchmarks/output/chain.

    python benchmarks/chain.py
    python benchmarks/chain.py --grid 12 --threads 1 --repeats 1    # a quick look
"""

import json
import time
from contextlib import contextmanager
from pathlib import Path

import _harness
import numpy as np
from _snapshots import read_snapshot
from peers._measure import Measurement

RCUT, TWOJMAX, HIDDEN = 4.67637, 10, (400, 400)
TRAINED_ON, PREDICTED = "Al32_933K_liquid_0", "Al32_933K_liquid_1"
TOLERANCE = 0.01  # meV/atom
# Routes of skldos, and the precisions of their descriptors.
ROUTES = {
    "band energy": ("float64", "float32"),
    "total energy": ("float64", "float32"),
    "calculator": ("float64",),
    "calculator, forces": ("float64",),
}


# --- the model ------------------------------------------------------------------------------------


def train(data, folder, grid, epochs):
    """Train on one cell, and keep the pipeline, and its weights as MALA's side reads them."""
    import joblib
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    snapshot = thinned(read_snapshot(Path(data) / "al32" / f"{TRAINED_ON}.npz"), grid)
    network = LDOSRegressor(
        module__hidden_layer_sizes=HIDDEN,
        module__activation="leaky_relu",
        target_scaling="minmax",
        max_epochs=epochs,
        random_state=0,
    )
    descriptors = GridSNAPTransformer(twojmax=TWOJMAX, rcut=RCUT, dtype="float32")
    steps = [("snap", descriptors), ("scale", RowWise(StandardScaler())), ("ldos", network)]
    model = Pipeline(steps).fit([snapshot])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "model.npz", **arrays_of(model))
    joblib.dump(model, folder / "model.joblib")  # last: it says that training has ended


def thinned(snapshot, grid):
    """Return a snapshot on every other point of its grid, or fewer."""
    step, rest = divmod(snapshot.grid_shape[0], grid)
    if rest:
        raise SystemExit(f"--grid must divide {snapshot.grid_shape[0]}, got {grid}")
    return snapshot.replace(ldos=snapshot.ldos[::step, ::step, ::step], density=None)


def arrays_of(model):
    """Return weights and scalers of a pipeline under the names of `peers/mala_predict.py`."""
    import torch

    scaler, network = model["scale"].row_transformer_, model["ldos"]
    layers = [m for m in network.module_.modules() if isinstance(m, torch.nn.Linear)]
    arrays = {"input_mean": scaler.mean_, "input_std": scaler.scale_}
    for i, layer in enumerate(layers):
        arrays[f"weight_{i}"] = layer.weight.detach().numpy()
        arrays[f"bias_{i}"] = layer.bias.detach().numpy()
    # "minmax" is one center and one scale for all energies.
    low, span = (np.unique(a) for a in (network.target_center_, network.target_scale_))
    arrays["output_min"], arrays["output_max"] = low.item(), low.item() + span.item()
    return arrays


# --- skldos, timed --------------------------------------------------------------------------------


class Stages:
    """Seconds spent in some functions, by name, while they are watched."""

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def watch(self, module, function, stage):
        """Add what `module`.`function` takes to the seconds of a stage."""
        original = getattr(module, function)

        def call(*arguments, **keywords):
            begin = time.perf_counter()
            try:
                return original(*arguments, **keywords)
            finally:
                spent = time.perf_counter() - begin
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

        setattr(module, function, call)
        try:
            yield
        finally:
            setattr(module, function, original)

    def of(self, wall_s):
        """Return the seconds of all stages; what is left of `wall_s` is the network's."""
        return self.seconds | {"network": wall_s - sum(self.seconds.values())}


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
    # Compile, on a grid of a few points.
    route(model, snapshot.replace(grid_shape=(6, 6, 6)), Stages())
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
    return as_results(use_calculator(model, snapshot, stages, ["energy"])["total_energy"])


def calculator_forces(model, snapshot, stages):
    results = use_calculator(model, snapshot, stages, ["energy", "forces"])
    return as_results(results["total_energy"])


def use_calculator(model, snapshot, stages, properties):
    """Return the results of LDOSCalculator, with its stages noted."""
    from skldos import LDOSCalculator
    from skldos.calculator import surface
    from skldos.datasets import load_aluminium_pseudopotentials
    from skldos.descriptors import snap

    calculator = LDOSCalculator(
        model,
        load_aluminium_pseudopotentials(),
        temperature=snapshot.temperature,
        grid_shape=snapshot.grid_shape,
        sharpen=0,
    )
    with (
        stages.watch(snap, "grid_bispectrum", "descriptors"),
        stages.watch(snap, "grid_bispectrum_adjoint", "adjoint"),
        stages.watch(surface, "total_energy_response", "energies"),
    ):
        calculator.calculate(snapshot.atoms, properties)
    return calculator.results


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
        "rcut": RCUT,
        "temperature": snapshot.temperature,
        "electrons_per_atom": snapshot.n_electrons / len(atoms),
        "energy_offset": float(energies[0]),
        "energy_spacing": float(np.diff(energies).mean()),
        "repeats": repeats,
    }
    path = folder / "mala.job.json"
    path.write_text(json.dumps(job, indent=1))
    return _harness.run_peer("mala_predict.py", [path.resolve()], peers, threads)


def make_row(variant, dtype, threads, report, mala):
    row = {"variant": variant, "dtype": dtype, "threads": threads, **report}
    clock = "cpu_s" if threads == 1 else "wall_s"
    row["ratio"] = mala[clock] / report[clock]
    row["deviation_mev_per_atom"] = 1000 / 32 * (report["band_energy"] - mala["band_energy"])
    stages = ", ".join(f"{name} {value:.2f}" for name, value in report["stages"].items())
    print(
        f"{variant:28s} {dtype:8s} {threads} threads {report['wall_s']:7.2f} wall s "
        f"{report['cpu_s']:7.2f} CPU s {report['peak_mib']:6.0f} MiB  ratio {row['ratio']:5.2f}  "
        f"band energy off by {row['deviation_mev_per_atom']:+.1e} meV/atom  ({stages})",
        flush=True,
    )
    if not abs(row["deviation_mev_per_atom"]) <= TOLERANCE:
        raise SystemExit(f"not the same band energy: {variant}")
    return row


def render(record):
    """Return the tables of benchmarks/README.md."""
    header = [
        "variant",
        "descriptors in",
        "threads",
        "CPU s",
        "wall s",
        "ratio to MALA",
        "descriptors",
        "network",
        "energies",
        "gradient of descriptors",
        "peak memory, MiB",
        "band energy − MALA's, meV/atom",
    ]
    rows = []
    for row in record["rows"]:
        stages = [row["stages"].get(n) for n in ("descriptors", "network", "energies", "adjoint")]
        is_peer = row["variant"].startswith("MALA")
        rows.append(
            [
                row["variant"],
                row["dtype"],
                row["threads"],
                f"{row['cpu_s']:.2f}",
                f"{row['wall_s']:.2f}",
                "1" if is_peer else f"{row['ratio']:.1f}",
                *("" if seconds is None else f"{seconds:.2f}" for seconds in stages),
                f"{row['peak_mib']:.0f}",
                "" if is_peer else f"{row['deviation_mev_per_atom']:.0e}",
            ]
        )
    caption = f"32 atoms, {record['grid']}³ points; stages in wall seconds."
    return caption + "\n\n" + _harness.format_table(header, rows)


def main():
    parser = _harness.parser(__doc__)
    parser.add_argument("--grid", type=int, default=36, help="points along each axis [%(default)s]")
    parser.add_argument("--epochs", type=int, default=5, help="of the training [%(default)s]")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2, help="the best counts [%(default)s]")
    arguments = parser.parse_args()
    folder = _harness.OUTPUT / "chain" / f"{arguments.grid}-{arguments.epochs}"
    job = {"data": str(arguments.data), "folder": str(folder), "grid": arguments.grid}
    if not (folder / "model.joblib").exists():
        _harness.call_fresh("chain", "train", job | {"epochs": arguments.epochs}, threads=2)
    job["repeats"] = arguments.repeats
    rows = []
    for threads in arguments.threads:
        measured = arguments.grid, threads, arguments.repeats
        mala = run_mala(arguments.data, folder, *measured, arguments.peers)
        rows.append(make_row("MALA, band energy", "", threads, mala, mala))
        for route, dtypes in ROUTES.items():
            for dtype in dtypes:
                keywords = job | {"route": route, "dtype": dtype, "threads": threads}
                report = _harness.call_fresh("chain", "run_skldos", keywords, threads)
                rows.append(make_row(f"skldos, {route}", dtype, threads, report, mala))
    if not arguments.no_write:
        _harness.write_result("chain", rows, arguments.peers, grid=arguments.grid)


if __name__ == "__main__":
    main()
