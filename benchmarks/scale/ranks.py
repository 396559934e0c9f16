"""One training in one process and in two of `torchrun`: how much faster, and how equal.

    python -m benchmarks.scale.ranks

A network 91-400-400-81 on 48,000 rows with batches of 4,000, which two processes share; gloo, one
thread each. One and two processes take turns, and the fastest epoch of all turns counts. Losses of
all epochs and predictions after the last one are compared; the run stops if they differ by more
than 1e-3. Adam divides gradients by their size, so rounding errors of small ones grow.
"""

import json
import os
import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.peers._measure import resident_mib

N_ROWS, N_IN, N_OUT, BATCH_SIZE, EPOCHS, TURNS = 48_000, 91, 81, 4000, 4, 3
TOLERANCE = 1e-3


def train():
    """Return seconds per epoch, losses, predictions of some rows and peak memory in MiB."""
    from benchmarks.scale._clock import Clock
    from skldos import LDOSRegressor

    rng, seconds = np.random.default_rng(0), []
    X = rng.normal(size=(N_ROWS, N_IN)).astype(np.float32)
    y = np.tanh(X @ rng.normal(0, N_IN**-0.5, (N_IN, N_OUT))).astype(np.float32)
    model = LDOSRegressor(
        module__hidden_layer_sizes=(400, 400),
        batch_size=BATCH_SIZE,
        max_epochs=EPOCHS,
        distributed="auto",
        callbacks=[("clock", Clock(seconds, time.perf_counter))],
        random_state=0,
    ).fit(X, y)
    return {
        "epoch_s": min(seconds),
        "losses": model.history_[:, "train_loss"],
        "predictions": model.predict(X[:100]).tolist(),
        "peak_mib": resident_mib("VmHWM"),
    }


def launch(n):
    """Return what the first of `n` processes returns."""
    options = ["--standalone", f"--nproc-per-node={n}", "-m", "benchmarks.scale.ranks", "--train"]
    return harness.run_own("torch.distributed.run", options)


def render(record):
    """Return the tables of a record."""
    columns = {
        "processes": "{n_processes}",
        "seconds per epoch": "{epoch_s:.3f}",
        "times faster": "{speedup:.2f}",
        "loss of the last epoch": "{loss:.7f}",
        "relative difference of losses": "{losses_off:.0e}",
        "difference of predictions": "{predictions_off:.0e}",
        "peak of a process, MiB": "{peak_mib:.0f}",
    }
    return tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--train", action="store_true", help="what torchrun starts")
    arguments = parser.parse_args()
    if arguments.train:
        found = train()
        if os.environ["RANK"] == "0":
            print(json.dumps(found))
        return
    turns = [(launch(1), launch(2)) for _ in range(TURNS)]
    rows, (alone, _) = [], turns[0]
    for n, runs in enumerate(zip(*turns, strict=True), start=1):
        losses, predictions = (
            np.array([run[key] for run in runs]) for key in ("losses", "predictions")
        )
        row = {
            "n_processes": n,
            "epoch_s": min(run["epoch_s"] for run in runs),
            "loss": runs[0]["losses"][-1],
            "losses_off": float(np.abs(losses / alone["losses"] - 1).max()),
            "predictions_off": float(np.abs(predictions - alone["predictions"]).max()),
            "peak_mib": max(run["peak_mib"] for run in runs),
        }
        rows.append(row | {"speedup": (rows or [row])[0]["epoch_s"] / row["epoch_s"]})
        harness.show(rows[-1])
        for key in ("losses_off", "predictions_off"):
            harness.require(f"{n} processes, {key}", row[key], TOLERANCE)
    if not arguments.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
