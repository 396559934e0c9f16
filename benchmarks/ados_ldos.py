"""Densities of states of atoms against the LDOS of grid points: 32-atom aluminium.

  LDOS-SNAP   bispectrum of every grid point, network 91-400-400-81, as in Ellis et al.: leaky
              ReLU, Adam with learning rate 1e-3, batches of 1000, the best of 40 epochs, early
              stopping after 8 without improvement. `refit`: the output layer is refitted in
              closed form (`dos_weight="auto"`, the default of `LDOSRegressor`)
  ADOS-CSNN   environments of atoms on concentric spheres, and the spherical network: not that of
              the paper, an epoch of which takes minutes, but the best of some trials on these data
  ADOS-SOAP   ridge regression of the DOS of atoms on SOAP vectors, in closed form: on wide
              Gaussians within 4 Å with a large `dos_weight`, the best of `ados_models.py`, chosen
              by leaving out snapshots of this very data; on those within 8 Å, and on two at once

Errors of band energies are absolute, in meV/atom, against those of the true LDOS, in two studies:

  split           five liquids and five solids at 933 K for training, one each for validation, drawn
                  by a seed (`_splits.random_split`); the test is on all others. Intervals of 95 %
                  by Student's t over the seeds, whose test sets share snapshots
  leave one out   every snapshot is predicted by a model of the 20 others. Intervals of 95 % by
                  Student's t over the snapshots

Differences to LDOS-SNAP are paired by seed or by snapshot. For 21 trainings one after the other it
is trained at reduced cost: `thinned` has every eighth grid point and 12 epochs without validation,
its learning rate annealed to zero. The first study has it, too, so that one sees what that costs.

Every fold is kept in benchmarks/output/ados_ldos. `--times` measures nothing but times, for one
thread, every model in a process of its own (`_ados_times.py`), and leaves the errors as they are.

    python benchmarks/ados_ldos.py [--models LDOS ADOS-SOAP] [--seeds 5] [--kept]
    python benchmarks/ados_ldos.py --times [--peers ENVIRONMENT]
"""

import copy
import functools
import json
import time

import _ados_times
import _harness
from _ados_tables import STUDIES, difference_table, draw, error_table
from _splits import leave_one_out, random_split, read_al32
from ados_models import FOLDER as BLOCKS
from ados_models import ridge, soap, two_soaps, wide_soap

FOLDER = _harness.OUTPUT / "ados_ldos"
IMAGE = _harness.HERE.parent / "docs" / "images" / "ados_ldos.png"


# --- models ------------------------------------------------------------------------------------


def make(*steps):
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


def ldos_snap(seed, validation=None, **options):
    """Return bispectrum, scaling and network of the LDOS."""
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    if validation:
        options |= {"max_epochs": 40, "early_stopping": 8, "train_split": validation}
    else:
        options |= {"max_epochs": 12, "lr_schedule": "cosine"}
    network = LDOSRegressor(
        module__hidden_layer_sizes=(400, 400),
        module__activation="leaky_relu",
        target_scaling="minmax",
        random_state=seed,
        **options,
    )
    snap = GridSNAPTransformer(dtype="float32", memory=str(FOLDER))
    return make(snap, RowWise(StandardScaler()), network)


#: Environments and network that did best in trials; the paper's are in `_ados_times.py`.
SPHERES = {"n_spheres": 8, "subdivisions": 2, "assignment": "smooth"}
NETWORK = {
    "module__spheres": "channels",
    "module__n_levels": 1,
    "module__factor": 16,
    "module__n_hidden": 0,
    "module__output": "linear",
    "target_scaling": "standard",
    "dos_weight": 100.0,
    "dos_ridge": 1e-2,
    "max_epochs": 60,
}


def csnn(seed, spheres=SPHERES, **options):
    """Return environments of atoms on spheres, and the spherical network."""
    from skldos import ADOSRegressor, AtomEnvTransformer, CSNNRegressor
    from skldos.decomposition import ADOSDecomposer

    network = CSNNRegressor(random_state=seed, **options)
    decomposer = ADOSDecomposer(memory=str(BLOCKS))
    return make(AtomEnvTransformer(**spheres), ADOSRegressor(network, decomposer))


#: Models by name, given a seed and indices of validation snapshots (None: there are none).
MODELS = {
    "LDOS-SNAP": ldos_snap,
    "LDOS-SNAP, thinned": lambda seed, validation: ldos_snap(seed),
    "ADOS-CSNN": lambda seed, validation: csnn(seed, **NETWORK),
    "ADOS-SOAP": lambda seed, validation: make(*wide_soap(), *ridge(1e-5, 1e5)),
    "ADOS-SOAP, 8 Å": lambda seed, validation: make(*soap(), *ridge(1e-5, 100.0, 1e4)),
    "ADOS-SOAP, two": lambda seed, validation: make(*two_soaps(), *ridge(1e-5, 100.0, 1e4)),
}
#: Too dear to be trained 21 times.
ONLY_SPLIT = ("LDOS-SNAP",)
#: Trained on every second grid point along each axis.
THINNED = ("LDOS-SNAP, thinned",)


def thinned(snapshot):
    """Return a snapshot with every eighth point of its grid."""
    return snapshot.replace(ldos=snapshot.ldos[::2, ::2, ::2], density=None)


def fitted(name, seed, fit, validate):
    """Yield names and fitted models: networks of the LDOS also before their last step."""
    if name in THINNED:
        fit, validate = [thinned(s) for s in fit], []
    elif name != "LDOS-SNAP":
        validate = []  # has nothing to choose by it
    validation = list(range(len(fit), len(fit) + len(validate))) or None
    model = MODELS[name](seed, validation)
    if not name.startswith("LDOS"):
        yield name, model.fit(fit + validate)
        return
    keep = keeper()
    model[-1].set_params(callbacks=[keep])
    network = model.fit(fit + validate)[-1].module_
    refitted = copy.deepcopy(network.state_dict())
    for variant, weights in ((name, keep.weights), (f"{name}, refit", refitted)):
        network.load_state_dict(weights)
        yield variant, model


def keeper():
    """Return a callback that keeps the weights as they were trained."""
    from skorch.callbacks import Callback

    class Keeper(Callback):
        def on_train_end(self, net, **_):
            self.weights = copy.deepcopy(net.module_.state_dict())

    return Keeper()


# --- errors ------------------------------------------------------------------------------------


def folds_of(study, names, n_seeds):
    """Yield seed and indices of training, validation and test data."""
    if study == "split":
        for seed in range(n_seeds):
            yield seed, *random_split(names, seed)
    else:
        for fit, test in leave_one_out(names):
            yield 0, fit, [], test


def rows_of(name, study, fold, snapshots, names, only_kept=False):
    """Return errors of all test snapshots, from the cache if this very model was there before."""
    seed, *parts = fold
    parts = [[names[i] for i in part] for part in parts]
    # The parameters that are not at their defaults, all of them.
    key = [MODELS[name](seed, parts[1]).__repr__(N_CHAR_MAX=10**6), *parts]
    path = FOLDER / f"{name}-{study}-{seed}-{parts[-1][0]}.json".replace(" ", "_")
    if path.exists() and (kept := json.loads(path.read_text()))["key"] == key:
        return kept["rows"]
    if only_kept:
        return []
    by_name = dict(zip(names, snapshots, strict=True))
    data = [[by_name[n] for n in part] for part in parts]
    rows = [
        {"study": study, "model": variant, "seed": seed, "snapshot": n, **row}
        for variant, found in errors_of(name, seed, *data)
        for n, row in zip(parts[-1], found, strict=True)
    ]
    path.write_text(json.dumps({"key": key, "rows": rows}))
    return rows


def errors_of(name, seed, fit, validate, test):
    """Yield variants of a model with errors in meV/atom of the test snapshots."""
    from skldos import evaluate

    start = time.process_time()
    for variant, model in fitted(name, seed, fit, validate):
        seconds = time.process_time() - start
        errors = evaluate(model, test)["band_energy_error"]
        n_samples = sum(samples(name, s) for s in fit)
        common = {"samples": n_samples, "fit_cpu_s": seconds}
        yield variant, [{"error": error} | common for error in errors]


def samples(name, snapshot):
    """Return the number of rows that a snapshot adds to the training data."""
    if name.startswith("ADOS"):
        return len(snapshot.atoms)
    return (thinned(snapshot) if name in THINNED else snapshot).n_grid_points


def all_rows(snapshots, names, arguments):
    rows = []
    for study in STUDIES:
        for name in MODELS:
            if not name.startswith(tuple(arguments.models)):
                continue
            if study == "leave one out" and name in ONLY_SPLIT:
                continue
            for fold in folds_of(study, names, arguments.seeds):
                rows += rows_of(name, study, fold, snapshots, names, arguments.kept)
                print(f"{name:24s} {study} {fold[0]} {names[fold[-1][0]]}", flush=True)
    return rows


def render(record):
    """Return the tables of benchmarks/README.md."""
    caption = (
        "Absolute errors of band energies in meV/atom: mean ± 95 % (largest). *samples* are rows "
        "of the training data."
    )
    parts = [caption]
    for study in STUDIES:
        parts += [f"{study.capitalize()}:", error_table(record["rows"], study)]
        parts += [difference_table(record["rows"], study)]
    if record.get("times"):
        parts += [
            "CPU seconds of one thread: an epoch of ten snapshots (of a closed form the fit), "
            "and the prediction of one. *ratio*: how often as long LDOS-SNAP takes; it is "
            "proportional to the grid points per atom, 1,458 here and 31,250 in the paper."
        ]
        parts += [_ados_times.times_table(record["times"])]
        parts += ["Monte Carlo dropout:", _ados_times.dropout_table(record["dropout"])]
    return "\n\n".join(parts)


def main():
    parser = _harness.parser(__doc__)
    parser.add_argument("--models", nargs="*", default=[""], help="beginnings of names [all]")
    parser.add_argument("--seeds", type=int, default=5, help="of the split [%(default)s]")
    parser.add_argument("--kept", action="store_true", help="train nothing: what is there by now")
    parser.add_argument("--times", action="store_true", help="measure times, and nothing else")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = _harness.RESULTS / "ados_ldos.json"
    record = json.loads(path.read_text()) if path.exists() else {"rows": []}
    if arguments.times:
        call = functools.partial(_harness.call_fresh, "_ados_times")
        record["times"], record["dropout"] = _ados_times.measure(
            arguments.data, arguments.peers, call
        )
    else:
        record["rows"] = all_rows(*read_al32(arguments.data), arguments)
    print(render(record))
    if not arguments.no_write:
        times = {key: record.get(key) for key in ("times", "dropout")}
        _harness.write_result("ados_ldos", record["rows"], **times)
        draw(record["rows"], IMAGE)


if __name__ == "__main__":
    main()
