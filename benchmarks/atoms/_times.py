"""Times of the models of `against_grid.py`; every function runs in its own process.

All take the folder of the data, and return CPU seconds of one thread: `descriptors` and `predict`
for a snapshot, `epoch` for ten (the whole fit of closed-form models), and `targets`, the
decomposition of a snapshot's LDOS among its atoms, which is done once.
"""

import json
import time
from pathlib import Path

import numpy as np

from benchmarks.atoms._against_grid_models import MODELS, NETWORK, SPHERES, csnn, ldos_snap
from benchmarks.common import harness, tables
from benchmarks.common.splits import random_split, read_al32
from benchmarks.training import aluminium

N_FIT = 10
N_PASSES = 512
#: The paper's spheres and network.
PAPER = {
    "spheres": {"n_spheres": 16, "subdivisions": 3, "assignment": "nearest"},
    "options": {"module__factor": 4, "module__output": "smooth", "target_scaling": "max"},
}
CLOSED_FORMS = ("ADOS-SOAP", "ADOS-SOAP, 8 Å")


def seconds(call, repeats=2):
    """Return the least CPU seconds of several calls, and the last result."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        best = min(best, time.process_time() - start)
    return best, result


def epoch_seconds(network, X, y=None):
    """Train for two epochs; return the CPU seconds of the shorter one."""
    from skorch.callbacks import Callback

    class Clock(Callback):
        def initialize(self):
            self.seconds = []
            return self

        def on_epoch_begin(self, net, **_):
            self.start = time.process_time()

        def on_epoch_end(self, net, **_):
            self.seconds.append(time.process_time() - self.start)

    clock = Clock()
    options = {"max_epochs": 2, "lr_schedule": None, "dos_weight": None, "callbacks": [clock]}
    network.set_params(**options).fit(X, y)
    return min(clock.seconds)


def training_data(data):
    """Return the ten snapshots that the first of the random splits trains on."""
    snapshots, names = read_al32(Path(data))
    return [snapshots[i] for i in random_split(names, 0)[0]]


def count_weights(network):
    return sum(weights.numel() for weights in network.parameters())


def time_ldos(data):
    """Time the bispectrum of the grid and the network of the LDOS."""
    snapshots = training_data(data)
    snap, scaler, network = (step for _, step in ldos_snap(0).steps)
    snap.set_params(memory=None).fit(snapshots)
    snap.transform([snapshots[0].replace(ldos=None, density=None, grid_shape=(4, 4, 4))])  # compile
    described, X = seconds(lambda: snap.transform(snapshots), repeats=1)
    X = scaler.fit_transform(X)
    epoch = epoch_seconds(network, X)
    predicted, _ = seconds(lambda: network.predict_sum(X[:1]))
    return {
        "model": "LDOS-SNAP",
        "weights": count_weights(network.module_),
        "rows": sum(len(block) for block in X),
        "descriptors": described / N_FIT,
        "targets": 0.0,
        "epoch": epoch,
        "predict": predicted,
    }


def time_mala(data, peers):
    """Time an epoch of MALA with the same ten snapshots, read from .npy files."""
    folder = harness.OUTPUT / "atoms" / "mala"
    folder.mkdir(parents=True, exist_ok=True)
    names = read_al32(Path(data))[1]
    fit, (first, *_), _ = random_split(names, 0)
    for i in (*fit, first):
        path = Path(data) / "al32" / f"{names[i]}.npz"
        aluminium.prepare(path, folder, aluminium.bispectrum_by_skldos, None)
    job = aluminium.make_job(folder, "MALA", [], 0, 2) | {"predict": [], "patience": 0}
    files = [[str(folder / f"{names[i]}.{kind}.npy") for kind in ("in", "out")] for i in fit]
    validate = [str(folder / f"{names[first]}.{kind}.npy") for kind in ("in", "out")]
    path = folder / "job.json"
    path.write_text(json.dumps(job | {"fit": files, "validate": [validate]}))
    report = harness.run_peer("mala_train.py", [path], Path(peers))
    return {
        "model": "LDOS-SNAP in MALA",
        "rows": report["n_training_points"],
        "epoch": report["training"]["cpu_s"] / 2,
    }


def time_csnn(data, name, used, spheres, options):
    """Time environments and a spherical network; an epoch with `used` of the ten snapshots."""
    snapshots = training_data(data)
    env, regressor = (step for _, step in csnn(0, spheres, **options).steps)
    env.fit_transform(snapshots[:1])  # compile
    described, X = seconds(lambda: env.transform(snapshots), repeats=1)
    decomposer = regressor.decomposer.set_params(memory=None)
    decomposer.fit_transform(snapshots[:1])
    parted, y = seconds(lambda: decomposer.transform(snapshots), repeats=1)
    network = regressor.regressor
    epoch = epoch_seconds(network, X[:used], y[:used]) * N_FIT / used
    predicted, _ = seconds(lambda: network.predict_sum(X[:1]), repeats=1 if used == 1 else 3)
    return {
        "model": name,
        "weights": count_weights(network.module_),
        "rows": sum(len(block) for block in X),
        "descriptors": described / N_FIT,
        "targets": parted / N_FIT,
        "epoch": epoch,
        "predict": predicted,
    }


def time_closed_form(data, name):
    """Time a closed form: its descriptors, its one fit, and its predictions."""
    snapshots = training_data(data)
    model = MODELS[name](0, None)
    _forget(model)
    *describe, regressor = (step for _, step in model.steps)

    def transform(some):
        for step in describe:
            some = step.fit_transform(some)
        return some

    transform(snapshots[:1])  # compile, import
    described, X = seconds(lambda: transform(snapshots), repeats=1)
    decomposer = regressor.decomposer
    decomposer.fit_transform(snapshots[:1])
    parted, y = seconds(lambda: decomposer.transform(snapshots), repeats=1)
    site = regressor.regressor
    fitted, _ = seconds(lambda: site.fit(X, y))
    predicted, _ = seconds(lambda: site.predict_sum(X[:1]), repeats=3)
    return {
        "model": name,
        "weights": site.n_features_in_ * y[0].shape[1],
        "rows": sum(len(block) for block in X),
        "descriptors": described / N_FIT,
        "targets": parted / N_FIT,
        "epoch": fitted,
        "predict": predicted,
    }


def _forget(model):
    """Remove the folders of cached blocks."""
    parameters = model.get_params()
    model.set_params(**{name: None for name in parameters if name.endswith("memory")})


def time_dropout(data, name, spheres, options, n_atoms, n_passes):
    """Time dropout passes, and the same rows through the network at once without dropout."""
    from skldos.data import Blocks
    from skldos.uncertainty import MCDropout

    snapshots = training_data(data)[:1]
    env, regressor = (step for _, step in csnn(0, spheres, **options).steps)
    X = env.fit_transform(snapshots)
    y = regressor.decomposer.fit_transform(snapshots)
    network = regressor.regressor.set_params(max_epochs=0, module__dropout=0.1)
    model = MCDropout(network, n_passes, random_state=0).fit(X, y)
    some = Blocks([X[0][:n_atoms]])
    repeated = Blocks([np.tile(X[0][:n_atoms], (n_passes, 1, 1))])
    model.regressor_.predict_sum(some)
    passes, _ = seconds(lambda: model.sample_sums(some), repeats=1)
    batched, _ = seconds(lambda: model.regressor_.predict_sum(repeated), repeats=1)
    whole = len(X[0]) * N_PASSES / (n_atoms * n_passes)
    return {
        "model": name,
        "atoms": n_atoms,
        "passes": n_passes,
        "seconds": passes,
        "batched": batched,
        "snapshot": passes * whole,
    }


def measure(data, peers):
    """Return all times, also of dropout, each measured in its own process."""
    call = harness.call_fresh
    here = {"data": str(data)}
    rows = [call(time_ldos, here)]
    if (peers / "bin").exists():
        rows.append(call(time_mala, here | {"peers": str(peers)}))
    small = {"spheres": SPHERES, "options": NETWORK}
    csnns = {"ADOS-CSNN, the paper's": (1, PAPER), "ADOS-CSNN": (N_FIT, small)}
    for name, (used, settings) in csnns.items():
        rows.append(call(time_csnn, here | settings | {"name": name, "used": used}))
    rows += [call(time_closed_form, here | {"name": name}) for name in CLOSED_FORMS]
    dropout = []
    for (name, (_, settings)), n_atoms, n_passes in zip(
        csnns.items(), (1, 32), (64, N_PASSES), strict=True
    ):
        number = {"n_atoms": n_atoms, "n_passes": n_passes}
        dropout.append(call(time_dropout, here | settings | number | {"name": name}))
    return rows, dropout


# --- tables ------------------------------------------------------------------------------------


def times_table(rows):
    """Return seconds, and their ratio to LDOS-SNAP, as a Markdown table."""
    first = rows[0]
    lines = []
    for row in rows:
        cells = [row["model"], row.get("weights", ""), f"{row['rows']:,}"]
        for key in ("epoch", "predict"):
            value = row.get(key)
            cells += ["", ""] if value is None else _cells(value, first[key])
        if "descriptors" in row:
            together = row["descriptors"] + row["predict"]
            whole = first["descriptors"] + first["predict"]
            cells += [f"{row['descriptors']:.3f}", f"{row['targets']:.2f}"]
            cells += _cells(together, whole)
        else:
            cells += [""] * 4
        lines.append(cells)
    header = ["model", "weights", "rows", "epoch, s", "ratio", "prediction, s", "ratio"]
    header += ["descriptors, s", "targets, s", "prediction with descriptors, s", "ratio"]
    return tables.format_table(header, lines)


def _cells(value, baseline):
    return [f"{value:.2g}" if value < 1 else f"{value:.1f}", f"{baseline / value:.1f}"]


def dropout_table(rows):
    lines = []
    for row in rows:
        numbers = [row["atoms"], row["passes"], f"{row['seconds']:.2g}", f"{row['batched']:.2g}"]
        ratio = f"{row['seconds'] / row['batched']:.2f}"
        lines.append([row["model"], *numbers, ratio, f"{row['snapshot']:.3g}"])
    header = ["model", "atoms", "passes", "s", "one batched pass, s", "ratio"]
    return tables.format_table([*header, "512 passes for 32 atoms, s"], lines)
