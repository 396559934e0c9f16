"""Train skldos's LDOSRegressor on the same job as `peers/mala_train.py`.

    python -m benchmarks.training.skldos_train JOB.json

The job and the JSON printed last are described in `peers/mala_train.py`; `mse_scaled` is defined
the same way, whatever the network is trained on. `output_scaling` is one of LDOSRegressor's:
"max", "standard", or "minmax", which is MALA's, so that both sides minimise the same function.
`dos_weight`, null unless given, is LDOSRegressor's as well: its last fit of the output layer.

`fit_regressor` is the place to change when the regressor's interface does.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from benchmarks.common import harness
from benchmarks.peers._measure import Measurement

DEFAULTS = {
    "predict": [],
    "hidden_layer_sizes": [100],
    "activation": "ReLU",
    "activate_output": True,
    "batch_size": 40,
    "learning_rate": 1e-5,
    "max_epochs": 100,
    "patience": 0,
    "lr_scheduler": None,
    "lr_patience": 0,
    "lr_decay": 0.1,
    "output_scaling": "minmax",
    "dos_weight": None,
    "seed": 0,
}
ACTIVATIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu"}
CHUNK = 8192  # rows in one forward pass


def make_recorder(measurement, validation, output_range):
    """Return a skorch callback that records `mse_scaled` after every epoch, untimed."""
    from skorch.callbacks import Callback

    class Recorder(Callback):
        def initialize(self):
            self.mse_scaled = []
            return self

        def on_epoch_end(self, net, **keywords):
            with measurement.pause():
                error = mean_square_error(net, *validation)
                self.mse_scaled.append(error / output_range**2)

    return Recorder()


def mean_square_error(regressor, inputs, outputs):
    """Return the mean square error over all rows; in slices, to leave the peak memory alone."""
    total = 0.0
    for block, target in zip(inputs, outputs, strict=True):
        for start in range(0, len(block), CHUNK):
            rows = slice(start, start + CHUNK)
            error = regressor.predict(block[rows]) - target[rows]
            total += float((error.astype(float) ** 2).sum())
    return total / sum(target.size for target in outputs)


def fit_regressor(job, fit, validation, recorder):
    """Return a fitted LDOSRegressor; `fit` and `validation` are pairs of lists of blocks."""
    from skldos import LDOSRegressor
    from skldos.data import Blocks

    activation = ACTIVATIONS[job["activation"]]
    options = {}
    if job["patience"]:
        # MALA takes any improvement, skorch by default one of 1e-4.
        options |= {"early_stopping": job["patience"], "callbacks__early_stopping__threshold": 0}
    if job["lr_scheduler"]:
        options |= {
            "lr_schedule": "plateau",
            "callbacks__lr_schedule__patience": job["lr_patience"],
            "callbacks__lr_schedule__factor": job["lr_decay"],
        }
    n_fit, n_validation = len(fit[0]), len(validation[0])
    regressor = LDOSRegressor(
        module__hidden_layer_sizes=tuple(job["hidden_layer_sizes"]),
        module__activation=activation,
        module__output_activation=activation if job["activate_output"] else None,
        lr=job["learning_rate"],
        max_epochs=job["max_epochs"],
        batch_size=job["batch_size"],
        train_split=range(n_fit, n_fit + n_validation),
        target_scaling=job["output_scaling"],
        dos_weight=job["dos_weight"],
        callbacks=[("recorder", recorder)],
        random_state=job["seed"],
        **options,
    )
    return regressor.fit(Blocks(fit[0] + validation[0]), Blocks(fit[1] + validation[1]))


def read_inputs(path):
    """Return a descriptor file as (n_points, n_features), without its three coordinates."""
    values = np.load(path)[..., 3:]
    return np.ascontiguousarray(values.reshape(-1, values.shape[-1]), dtype=np.float32)


def read_outputs(path):
    values = np.load(path)
    return values.reshape(-1, values.shape[-1]).astype(np.float32, copy=False)


def prepare(job):
    """Load both sets; scale the inputs with the means and deviations of the training set."""
    from sklearn.preprocessing import StandardScaler

    fit = [read_inputs(i) for i, _ in job["fit"]], [read_outputs(o) for _, o in job["fit"]]
    validation = (
        [read_inputs(i) for i, _ in job["validate"]],
        [read_outputs(o) for _, o in job["validate"]],
    )
    # Fitted by hand on the training snapshots alone, as MALA does: in a Pipeline the validation
    # snapshots, which come to `fit` as well, would take part.
    scaler = StandardScaler(copy=False)
    for block in fit[0]:
        scaler.partial_fit(block)
    for block in fit[0] + validation[0]:
        scaler.transform(block)
    return scaler, fit, validation


def import_everything():
    """Import now what would otherwise be imported on first use, within the timing."""
    import sklearn.preprocessing
    import torch._dynamo  # the first optimizer of a process does, for a second

    from skldos import LDOSRegressor

    return sklearn, torch, LDOSRegressor


def train(job):
    import_everything()
    with Measurement() as preparation:
        scaler, fit, validation = prepare(job)
    low = min(float(block.min()) for block in fit[1])
    high = max(float(block.max()) for block in fit[1])
    with Measurement() as training:
        recorder = make_recorder(training, validation, high - low)
        regressor = fit_regressor(job, fit, validation, recorder)
    result = {
        "training": training.as_dict(),
        "preparation": preparation.as_dict(),
        "n_epochs": len(regressor.history_),
        "mse_scaled": recorder.mse_scaled,
        "n_training_points": sum(map(len, fit[0])),
        "network": str(regressor.module_),
        "output_min": low,
        "output_max": high,
    }
    return scaler, regressor, result


def write_predictions(job, scaler, regressor):
    for descriptors, target in job["predict"]:
        shape = np.load(descriptors, mmap_mode="r").shape[:3]
        ldos = regressor.predict(scaler.transform(read_inputs(descriptors)))
        np.save(target, np.asarray(ldos, dtype=np.float32).reshape(*shape, -1))


def main():
    parser = harness.plain_parser(__doc__)
    parser.add_argument("job", type=Path, help="JSON file, see peers/mala_train.py")
    job = DEFAULTS | json.loads(parser.parse_args().job.read_text())

    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    *fitted, result = train(job)
    write_predictions(job, *fitted)
    sys.stdout.flush()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
