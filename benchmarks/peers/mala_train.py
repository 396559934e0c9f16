"""Train MALA's network on .npy snapshots and predict others; runs with the peers' Python.

    mala_train.py JOB.json

JOB.json (paths absolute; `fit`, `validate`: pairs [descriptors.in.npy, ldos.out.npy]):

    {"fit": [...], "validate": [...],
     "predict": [["descriptors.in.npy", "prediction.npy"], ...],
     "hidden_layer_sizes": [100], "activation": "ReLU", "activate_output": true,
     "batch_size": 40, "learning_rate": 1e-5, "max_epochs": 100, "patience": 0,
     "lr_scheduler": null, "lr_patience": 0, "lr_decay": 0.1,
     "input_scaling": "feature-wise-standard", "output_scaling": "minmax",
     "fast_data_set": false, "seed": 0, "energy_offset": -5, "energy_spacing": 2.5}

Descriptor files are (nx, ny, nz, 3 + F), the first three columns coordinates; LDOS files
(nx, ny, nz, E) in 1/(eV Å^3). What is not given takes the value shown, which is that of MALA's
example 01. `activate_output` is MALA's default, not a choice of ours: one activation given for all
layers is applied to the output layer too.

The last line printed is JSON: `training` (cpu_s, wall_s, peak_mib, memory_mib of
`Trainer.train_network`, validation included as MALA does it, ours below excluded), `preparation`
(the same of loading and scaling), `n_epochs`, and for every epoch two validation losses:

`loss_mala`: MALA's own, the mean over validation batches b of the mean square in the batch; a last,
smaller batch weighs as much as a full one:

    1/B sum_b [ 1/(n_b E) sum_{i in b} sum_k (p_ik - y_ik)^2 ]

`mse_scaled`: the plain mean square error, in the same scaled unit:

    1/(N E) sum_i sum_k (p_ik - y_ik)^2

With "minmax", p and y are (LDOS - min)/(max - min), min and max over the whole training LDOS, so
for the LDOS d of any model (before negative values are cut)

    mse_scaled = mean((d_predicted - d)^2) / (max_training - min_training)^2 .

Predictions are written as MALA's `Tester` would give them: scaled back, negative values set to
zero. MALA keeps the weights of the last epoch, which early stopping leaves `patience` epochs
behind the best. `prediction.npy` is from these; `prediction.best.npy` is from the epoch with the
lowest `mse_scaled`, which MALA itself does not offer.
"""

import argparse
import copy
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import mala
import numpy as np
import torch
import torch._dynamo  # the first optimizer of a process imports it: not to be timed on either side
from _measure import Measurement

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
    "input_scaling": "feature-wise-standard",
    "output_scaling": "minmax",
    "fast_data_set": False,
    "seed": 0,
    "energy_offset": -5.0,
    "energy_spacing": 2.5,
}
CHUNK = 8192  # rows in one forward pass


class RecordingTrainer(mala.Trainer):
    """MALA's trainer, with the losses of every epoch written down and the best weights kept."""

    measurement = None

    def prepare_recording(self):
        """Start with empty lists (a constructor of our own would need MALA's signature)."""
        self.loss_mala, self.mse_scaled = [], []
        self.best_state = None

    def _evaluate_metrics(self, data_set_fractions, metrics):
        errors = super()._evaluate_metrics(data_set_fractions, metrics)
        with self.measurement.pause():  # what follows is ours, not MALA's cost
            self.loss_mala.append(float(np.mean(errors["validation"]["ldos"])))
            self.mse_scaled.append(mean_square_error(self.network, self.data))
            if self.mse_scaled[-1] == min(self.mse_scaled):
                self.best_state = copy.deepcopy(self.network.state_dict())
        return errors


def mean_square_error(network, data):
    """Return the plain mean square error over the validation points, in MALA's scaled unit."""
    inputs, outputs = data._validation_data_inputs, data._validation_data_outputs
    total = 0.0
    for start in range(0, len(inputs), CHUNK):
        rows = slice(start, start + CHUNK)
        error = network.do_prediction(inputs[rows]) - outputs[rows]
        total += float((error.double() ** 2).sum())
    return total / outputs.numel()


def accept_verbose():
    """Let torch's ReduceLROnPlateau accept `verbose`, which MALA 1.4 still passes."""
    original = torch.optim.lr_scheduler.ReduceLROnPlateau

    def reduce_lr_on_plateau(*arguments, verbose=None, **keywords):
        return original(*arguments, **keywords)

    torch.optim.lr_scheduler.ReduceLROnPlateau = reduce_lr_on_plateau


def mala_parameters(job):
    parameters = mala.Parameters()
    parameters.verbosity = 0
    parameters.manual_seed = job["seed"]
    parameters.data.input_rescaling_type = job["input_scaling"]
    parameters.data.output_rescaling_type = job["output_scaling"]
    parameters.data.use_fast_tensor_data_set = job["fast_data_set"]
    parameters.network.layer_activations = job["activation"]
    parameters.network.layer_activations_include_output_layer = job["activate_output"]
    running = parameters.running
    running.optimizer = "Adam"
    running.max_number_epochs = job["max_epochs"]
    running.mini_batch_size = job["batch_size"]
    running.learning_rate = job["learning_rate"]
    running.early_stopping_epochs = job["patience"]
    running.learning_rate_scheduler = job["lr_scheduler"]
    running.learning_rate_patience = job["lr_patience"]
    running.learning_rate_decay = job["lr_decay"]
    parameters.targets.target_type = "LDOS"
    parameters.targets.ldos_gridsize = int(np.load(job["fit"][0][1], mmap_mode="r").shape[-1])
    parameters.targets.ldos_gridspacing_ev = job["energy_spacing"]
    parameters.targets.ldos_gridoffset_ev = job["energy_offset"]
    return parameters


def load_data(job, parameters):
    data = mala.DataHandler(parameters)
    for key, function in (("fit", "tr"), ("validate", "va")):
        for descriptors, ldos in job[key]:
            into, out = Path(descriptors), Path(ldos)
            data.add_snapshot(into.name, str(into.parent), out.name, str(out.parent), function)
    data.prepare_data()
    return data


def predict(network, data, path):
    """Return the LDOS (nx, ny, nz, E) of a descriptor file, scaled back and cut as MALA does it."""
    descriptors = np.load(path)
    shape = descriptors.shape[:3]
    inputs = torch.from_numpy(
        np.ascontiguousarray(descriptors[..., 3:], dtype=np.float32).reshape(
            -1, data.input_dimension
        )
    )
    data.input_data_scaler.transform(inputs)
    parts = [
        data.output_data_scaler.inverse_transform(network.do_prediction(part), as_numpy=True)
        for part in inputs.split(CHUNK)
    ]
    ldos = data.target_calculator.restrict_data(np.concatenate(parts))
    return ldos.astype(np.float32).reshape(*shape, -1)


def write_predictions(job, trainer):
    last_state = copy.deepcopy(trainer.network.state_dict())
    for suffix, state in ((".npy", last_state), (".best.npy", trainer.best_state)):
        trainer.network.load_state_dict(state)
        for descriptors, target in job["predict"]:
            path = Path(target).with_suffix(suffix)
            np.save(path, predict(trainer.network, trainer.data, descriptors))


def train(job):
    # Seeded here too: MALA's own seed does not reach the shuffling of its fast data set.
    torch.manual_seed(job["seed"])
    np.random.seed(job["seed"])  # noqa: NPY002 (MALA shuffles with the global generator)
    parameters = mala_parameters(job)
    with Measurement() as preparation:
        data = load_data(job, parameters)
    sizes = [data.input_dimension, *job["hidden_layer_sizes"], data.output_dimension]
    parameters.network.layer_sizes = sizes
    trainer = RecordingTrainer(parameters, mala.Network(parameters), data)
    trainer.prepare_recording()
    with Measurement() as training:
        trainer.measurement = training
        trainer.train_network()
    return trainer, preparation, training


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", type=Path, help="JSON file described above")
    job = DEFAULTS | json.loads(parser.parse_args().job.read_text())
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    accept_verbose()

    trainer, preparation, training = train(job)
    write_predictions(job, trainer)
    scaler = trainer.data.output_data_scaler
    result = {
        "training": training.as_dict(),
        "preparation": preparation.as_dict(),
        "n_epochs": len(trainer.loss_mala),
        "loss_mala": trainer.loss_mala,
        "mse_scaled": trainer.mse_scaled,
        "n_training_points": trainer.data.nr_training_data,
        "layer_sizes": list(trainer.parameters_full.network.layer_sizes),
        "network": str(trainer.network.layers),
        "output_min": float(scaler.total_min),
        "output_max": float(scaler.total_max),
    }
    sys.stdout.flush()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
