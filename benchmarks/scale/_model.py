"""The model whose cost is measured, and times of its calculator's stages."""

import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.common import harness
from benchmarks.common.snapshots import read_snapshot, thinned

R_CUT, TWOJMAX, HIDDEN = 4.67637, 10, (400, 400)
TRAINED_ON, PREDICTED = "Al32_933K_liquid_0", "Al32_933K_liquid_1"


def trained(data, grid, epochs):
    """Return the folder of a model of one cell, trained if not available."""
    folder = harness.OUTPUT / "scale" / f"{grid}-{epochs}"
    if not (folder / "model.joblib").exists():
        job = {"data": str(data), "folder": str(folder), "grid": grid, "epochs": epochs}
        harness.call_fresh(train, job, threads=2)
    return folder


def train(data, folder, grid, epochs):
    """Train on one cell, and store the pipeline, and its weights in the format for MALA."""
    import joblib
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    whole = read_snapshot(Path(data) / "al32" / f"{TRAINED_ON}.npz")
    step, rest = divmod(whole.grid_shape[0], grid)
    if rest:
        raise SystemExit(f"--grid must divide {whole.grid_shape[0]}, got {grid}")
    snapshot = thinned(whole, step)
    network = LDOSRegressor(
        module__hidden_layer_sizes=HIDDEN,
        module__activation="leaky_relu",
        target_scaling="minmax",
        max_epochs=epochs,
        random_state=0,
    )
    descriptors = GridSNAPTransformer(twojmax=TWOJMAX, r_cut=R_CUT, dtype="float32")
    steps = [("snap", descriptors), ("scale", RowWise(StandardScaler())), ("ldos", network)]
    model = Pipeline(steps).fit([snapshot])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "model.npz", **arrays_of(model))
    joblib.dump(model, folder / "model.joblib")  # last: it says that training has ended


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


def use_calculator(model, snapshot, stages, properties):
    """Return an LDOSCalculator after a calculation, with the times of its stages."""
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
    return calculator
