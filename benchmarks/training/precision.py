"""Mixed precision, compilation and Monte Carlo dropout: gain and cost.

On one thread, in CPU seconds, every variant in a fresh process.

  steps      a training step and a prediction of the network of Ellis et al. for the LDOS
             (91-400-400-250, 1000 rows) and of the network of Fox et al. for atoms (5.9 million
             weights, 4 atoms), in single precision, with `autocast="bfloat16"`, with
             `compile=True` and with both. The first step includes the compilation. Random data.
  training   whole trainings of an LDOS network (91-400-400-81) on six of the bundled cells of four
             atoms, tested on two, and of a network on spheres (16 channels, 8 spheres, 162
             vertices) on ten of the cells of 32 atoms at 933 K, tested on four; three seeds
  dropout    Monte Carlo dropout of the network of Fox et al. in all layers and in the dense layers
             alone, compared with one pass without dropout

    python -m benchmarks.training.precision [--parts steps training dropout]

Rows are kept in benchmarks/output/training/precision.
"""

import os
import resource

import numpy as np

from benchmarks.common import harness, tables

FOLDER = harness.output_of(__file__)
VARIANTS = {
    "float32": {},
    "bfloat16": {"autocast": "bfloat16"},
    "compiled": {"compile": True},
    "compiled, bfloat16": {"compile": True, "autocast": "bfloat16"},
}
SEEDS = range(3)
LEARNED = [f"Al32_933K_{phase}_{i}" for phase in ("liquid", "solid") for i in range(5)]
ASKED = [f"Al32_933K_{phase}_{i}" for phase in ("liquid", "solid") for i in (5, 6)]
#: (factor, atoms, passes, where units are dropped)
PASSES = [(4, 2, 32, "all layers"), (1, 2, 512, "all layers"), (1, 32, 8, "all layers")]
PASSES += [(4, 2, 512, "dense layers"), (1, 2, 512, "dense layers")]
N_VALUES = 16 * 642


def clock():
    """Return the CPU seconds of this process and of compilers that it has started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def cpu_seconds(function, repeats=1):
    """Return the least CPU time of some calls."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


# --- steps -------------------------------------------------------------------------------------


def run_steps(network, variant):
    """Return the cost of steps and predictions (runs in its own process)."""
    # What was compiled before is compiled again, and here.
    os.environ |= {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    from skldos import CSNNRegressor, LDOSRegressor

    rng = np.random.default_rng(0)
    options = {"max_epochs": 0, "dos_weight": None, "random_state": 0} | VARIANTS[variant]
    if network == "LDOS":
        n_steps, size, shape, repeats = 10, 1000, (91, 250), 8
        model = LDOSRegressor(module__hidden_layer_sizes=(400, 400), **options)
    else:
        n_steps, size, shape, repeats = 1, 4, (N_VALUES, 250), 4
        model = CSNNRegressor(batch_size=size, **options)
    # As sparse as the environments of atoms.
    X = rng.random((n_steps * size, shape[0])) * (rng.random((n_steps * size, shape[0])) < 0.05)
    X, y = X.astype("f4"), rng.random((n_steps * size, shape[1]), dtype="f4")
    model.fit(X, y).set_params(max_epochs=1)
    first = cpu_seconds(lambda: model.partial_fit(X, y))
    step = cpu_seconds(lambda: model.partial_fit(X, y), repeats) / n_steps
    model.predict(X[:size])
    predict = cpu_seconds(lambda: model.predict(X[:size]), repeats)
    return {"first_s": first - (n_steps - 1) * step, "step_s": step, "predict_s": predict}


# --- training ----------------------------------------------------------------------------------


def run_training(network, variant, seed, data):
    """Return time and errors of a training (runs in its own process)."""
    from skldos import BandEnergyScorer
    from skldos.scoring.dos import DOSScorer

    make = ldos_model if network == "LDOS" else spheres_model
    model, test, blocks = make(data, {"random_state": seed} | VARIANTS[variant])
    seconds = cpu_seconds(lambda: model.fit(*blocks))
    band, dos = (scorer.errors(model, test) for scorer in (BandEnergyScorer(), DOSScorer()))
    return {
        "train_s": seconds,
        "loss": float(model.history[-1, "train_loss"]),
        "band": float(np.abs(band).mean()),
        "dos": float(dos.mean()),
    }


def ldos_model(data, options):
    """Return a network for the LDOS, test blocks, and training data."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
    from skldos.datasets import load_aluminium

    snapshots = load_aluminium()
    fit, test = snapshots[:3] + snapshots[4:7], snapshots[3:4] + snapshots[7:]
    steps = make_pipeline(GridSNAPTransformer(memory=str(FOLDER)), RowWise(StandardScaler())).fit(
        fit
    )
    model = LDOSRegressor(module__hidden_layer_sizes=(400, 400), max_epochs=40, **options)
    return model, steps.transform(test), (steps.transform(fit),)


def spheres_model(data, options):
    """Return the same for a network on spheres, with densities of states of atoms."""
    from benchmarks.common.snapshots import read_snapshot
    from skldos import ADOSDecomposer, AtomEnvTransformer, CSNNRegressor

    fit, test = (
        [read_snapshot(f"{data}/al32/{n}.npz") for n in names] for names in (LEARNED, ASKED)
    )
    transformer = AtomEnvTransformer(n_spheres=8, subdivisions=2).fit(fit)
    y = ADOSDecomposer(memory=str(FOLDER)).fit_transform(fit)
    model = CSNNRegressor(
        module__factor=1,
        module__output="linear",
        target_scaling="standard",
        max_epochs=30,
        **options,
    )
    return model, transformer.transform(test), (transformer.transform(fit), y)


# --- dropout -----------------------------------------------------------------------------------


def dense_dropout(*arguments, dropout, **options):
    """Return the network on spheres with dropout in its dense layers alone."""
    from torch import nn

    from skldos.networks import ConcentricSpherical

    network = ConcentricSpherical(*arguments, dropout=dropout, **options)
    dense = {id(layer) for layer in network}
    for layer in network.modules():
        if isinstance(layer, nn.Dropout) and id(layer) not in dense:
            layer.p = 0.0
    return network


def run_dropout(factor, n_atoms, n_passes, where):
    """Return the cost of passes with dropout, and of one without (runs in its own process)."""
    from skldos import CSNNRegressor
    from skldos.networks import ConcentricSpherical
    from skldos.uncertainty import MCDropout

    rng = np.random.default_rng(0)
    block = rng.random((n_atoms, N_VALUES)) * (rng.random((n_atoms, N_VALUES)) < 0.05)
    module = ConcentricSpherical if where == "all layers" else dense_dropout
    network = CSNNRegressor(
        module, module__factor=factor, module__dropout=0.1, max_epochs=0, random_state=0
    )
    model = MCDropout(network, n_passes, random_state=0).fit([block], [rng.random((n_atoms, 250))])
    model.regressor_.predict([block])
    one = cpu_seconds(lambda: model.regressor_.predict([block]), 5)
    return {"one_s": one, "passes_s": cpu_seconds(lambda: model.sample_sums([block]))}


# --- tables ------------------------------------------------------------------------------------


def jobs(parts, data):
    """Yield part, function and its arguments."""
    for network in ("LDOS", "spheres"):
        if "steps" in parts:
            yield from (("steps", run_steps, (network, variant)) for variant in VARIANTS)
        if "training" in parts:
            for variant in list(VARIANTS)[:2]:
                for seed in SEEDS:
                    yield "training", run_training, (network, variant, seed, str(data))
    if "dropout" in parts:
        yield from (("dropout", run_dropout, passes) for passes in PASSES)


def row_of(part, function, arguments):
    """Return a row, from the folder if it is there."""
    names = function.__code__.co_varnames[: len(arguments)]
    keywords = dict(zip(names, arguments, strict=True))
    key = {name: value for name, value in keywords.items() if name != "data"}
    path = FOLDER / f"{part}-{'-'.join(map(str, key.values()))}.json".replace(" ", "_")
    row = harness.cached(
        path, lambda: {"part": part, **key, **harness.call_fresh(function, keywords)}
    )
    print(row, flush=True)
    return row


def render(record):
    """Return the tables of a record."""
    rows = {part: [r for r in record["rows"] if r["part"] == part] for part in PARTS}
    return "\n\n".join(f"{text}\n\n{table(rows[part])}" for part, (text, table) in PARTS.items())


def steps_table(rows):
    lines = []
    for row in rows:
        plain = next(r for r in rows if (r["network"], r["variant"]) == (row["network"], "float32"))
        cells = [f"{1e3 * row[name]:.3g}" for name in ("step_s", "predict_s")]
        cells += [f"{plain['step_s'] / row['step_s']:.2f}", f"{row['first_s']:.3g}"]
        lines.append([row["network"], row["variant"], *cells])
    header = ["network", "variant", "step, ms", "prediction, ms", "steps, ratio", "first step, s"]
    return tables.format_table(header, lines)


def training_table(rows):
    lines = []
    for network, variant in dict.fromkeys((r["network"], r["variant"]) for r in rows):
        some = [r for r in rows if (r["network"], r["variant"]) == (network, variant)]
        cells = []
        for name in ("train_s", "loss", "band", "dos"):
            values = [row[name] for row in some]
            cells.append(f"{np.mean(values):.3g} ({min(values):.3g} to {max(values):.3g})")
        lines.append([network, variant, *cells])
    header = ["network", "variant", "training, CPU s", "loss", "band energy, meV/atom", "DOS, %"]
    return tables.format_table(header, lines)


def dropout_table(rows):
    columns = {
        "factor": "{factor}",
        "dropout in": "{where}",
        "atoms": "{n_atoms}",
        "passes": "{n_passes}",
        "one pass, s": "{one_s:.3g}",
        "all passes, s": "{passes_s:.3g}",
        "ratio": lambda row: f"{row['passes_s'] / row['one_s']:.3g}",
    }
    return tables.column_table(columns, rows)


PARTS = {
    "steps": ("Steps of training and prediction, one thread, CPU time.", steps_table),
    "training": ("Whole trainings; means (ranges) of three seeds.", training_table),
    "dropout": ("Monte Carlo dropout, one thread, CPU time.", dropout_table),
}


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    rows = [row_of(*job) for job in jobs(options.parts, options.data)]
    print(render({"rows": rows}))
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
