"""Speed on one core: the training loop beside plain torch, energies beside SciPy's transforms.

    python -m benchmarks.scale.core

CPU seconds of one thread, the best of some repetitions. The two training loops take turns, each
time in a fresh process, since the memory that one has freed changes the time of the other. That of
plain torch indexes its data by a permutation, with Adam in its fused form; no validation, no
callbacks.
"""

import time

import numpy as np

from benchmarks.common import harness, tables

#: Rows, hidden layers, outputs, batch size, activation and dropout; 91 inputs.
NETWORKS = (
    (8748, (100,), 11, 40, "leaky_relu", 0.0),
    (8748, (100,), 11, 40, "silu", 0.0),
    (8748, (100,), 11, 40, "leaky_relu", 0.1),
    (46656, (100,), 11, 1000, "leaky_relu", 0.0),
    (46656, (200,), 81, 400, "leaky_relu", 0.0),
    (46656, (400,), 81, 1000, "leaky_relu", 0.0),
    (46656, (400, 400), 81, 1000, "leaky_relu", 0.0),
    (46656, (400, 400), 81, 1000, "leaky_relu", 0.1),
    (46656, (400, 400), 81, 8000, "leaky_relu", 0.0),
)
EPOCHS, TURNS = 6, 3


def best(function, repeats):
    """Return the smallest CPU seconds of some calls."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def data(n_rows, n_out):
    """Return random inputs and targets."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n_rows, n)).astype(np.float32) for n in (91, n_out))


def train_skldos(n_rows, hidden, n_out, batch_size, activation, dropout):
    """Return the CPU seconds of the fastest epoch of LDOSRegressor."""
    from benchmarks.scale._clock import Clock
    from skldos import LDOSRegressor

    seconds = []
    LDOSRegressor(
        module__hidden_layer_sizes=tuple(hidden),
        module__activation=activation,
        module__dropout=dropout,
        batch_size=batch_size,
        max_epochs=EPOCHS,
        callbacks=[("clock", Clock(seconds, time.process_time))],
        random_state=0,
    ).fit(*data(n_rows, n_out))
    return min(seconds)


def train_torch(n_rows, hidden, n_out, batch_size, activation, dropout):
    """Return the CPU seconds of the fastest epoch of plain torch."""
    import torch

    from skldos.networks import FeedForward

    inputs, targets = map(torch.from_numpy, data(n_rows, n_out))
    network = FeedForward(91, n_out, tuple(hidden), activation, dropout=dropout)
    optimizer, loss_of = torch.optim.Adam(network.parameters(), fused=True), torch.nn.MSELoss()

    def epoch():
        order = torch.randperm(n_rows)
        for start in range(0, n_rows, batch_size):
            rows = order[start : start + batch_size]
            optimizer.zero_grad()
            loss_of(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()

    return best(epoch, EPOCHS)


def hartree(edge):
    """Return CPU seconds of the Hartree energy and of a pair of SciPy's transforms."""
    import scipy.fft

    from skldos.physics.terms import hartree

    density, cell = np.random.default_rng(0).random((edge,) * 3), 20 * np.eye(3)

    def pair():
        waves = scipy.fft.rfftn(density, workers=1)
        scipy.fft.irfftn(waves, s=density.shape, workers=1)

    ours = best(lambda: hartree(density, cell), 5)
    return {"skldos_s": ours, "peer_s": best(pair, 5)}


def render(record):
    """Return the tables of a record."""
    columns = {
        "what": "{what}",
        "beside": "{peer}",
        "skldos, CPU s": "{skldos_s:.3f}",
        "the other, CPU s": "{peer_s:.3f}",
        "times faster": lambda row: f"{row['peer_s'] / row['skldos_s']:.2f}",
    }
    return tables.column_table(columns, record["rows"])


def main():
    arguments = harness.parser(__doc__).parse_args()
    names, rows = ("n_rows", "hidden", "n_out", "batch_size", "activation", "dropout"), []
    for network in NETWORKS:
        job = dict(zip(names, network, strict=True))
        widths = "-".join(map(str, (91, *network[1], network[2])))
        kind = f"{network[4]}, dropout" if network[5] else network[4]
        what = f"epoch, {widths}, {kind}, batches of {network[3]}, {network[0]} rows"
        turns = [
            [harness.call_fresh(train, job, threads=1) for train in (train_skldos, train_torch)]
            for _ in range(TURNS)
        ]
        ours, peer = (min(seconds) for seconds in zip(*turns, strict=True))
        rows.append({"what": what, "peer": "plain torch", "skldos_s": ours, "peer_s": peer})
        harness.show(rows[-1])
    report = harness.call_fresh(hartree, {"edge": 128}, threads=1)
    rows.append({"what": "Hartree energy, 128³ points", "peer": "two transforms", **report})
    harness.show(rows[-1])
    if not arguments.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
