"""What limits the concentric spherical network on a few hundred atoms: 32-atom aluminium.

The split is `random_split` of `common/splits.py`: five liquids and five solids at 933 K for the
fit; one of each for validation, which no fit sees; one of each and everything colder for the test.
The seed draws the split and the initial weights. Four studies:

  factorial   all combinations of two levels of five factors, two seeds each, on 8 spheres of 42
              vertices; the refit of a linear output layer is a sixth factor, applied to the same
              trained network
  inputs      ridge regression on power spectra of the environments, in closed form: the
              information in the same inputs, without a network
  variations  the best network on 8 spheres of 162 vertices, changed in one way at a time
  curve       the best network and ridge regression on SOAP vectors with 2 + 2 and 5 + 5 snapshots,
              and with 5 + 5 and all colder ones but one, which is the test

Errors of band energies are signed, in meV/atom, against those of the true LDOS; RMSE are those of
the DOS of atoms. The shallow network, the number of spheres and the ridge were chosen in about
forty trials on the held-out data of the same three seeds, so errors are somewhat optimistic.

Runs are kept in benchmarks/output/atoms/csnn_factorial. After --minutes, no new run starts.

    python -m benchmarks.atoms.csnn_factorial [--minutes 15]
"""

import itertools
import json
import time

import numpy as np

from benchmarks.atoms import _csnn_tables
from benchmarks.atoms._csnn_runs import Data, fit_network, fit_ridge
from benchmarks.common import harness
from benchmarks.common.splits import random_split

FOLDER = harness.output_of(__file__)
#: First levels are those of the paper, in small.
FACTORS = {
    "assignment": ("nearest", "smooth"),
    "network": ("deep", "shallow"),
    "width": ("narrow", "wide"),
    "output": ("smooth, not negative", "linear, standardised"),
    "augmentation": ("no", "yes"),
}
SEEDS = (0, 1, 2)
ENVIRONMENT = {"n_spheres": 8, "subdivisions": 2, "assignment": "smooth"}
#: One graph convolution, the mean over the vertices and a matrix product.
SHALLOW = {"module__spheres": "channels", "module__n_levels": 1, "module__n_hidden": 0}
PAPER = {"module__output": "smooth", "target_scaling": "max"}
LINEAR = {"module__output": "linear", "target_scaling": "standard"}
BEST = {**SHALLOW, **LINEAR, "module__factor": 16, "max_epochs": 60}
#: Changes of the environment and of the network.
VARIATIONS = {
    "best": ({}, {}),
    "nearest assignment": ({"assignment": "nearest"}, {}),
    "42 vertices": ({"subdivisions": 1}, {}),
    "16 spheres": ({"n_spheres": 16}, {}),
    "augmentation": ({}, {"augment": True}),
    "one dense layer": ({}, {"module__n_hidden": 1}),
    "dropout 0.1": ({}, {"module__dropout": 0.1}),
    "all levels, factor 2": ({}, {"module__n_levels": None, "module__factor": 2}),
    "output of the paper": ({}, PAPER),
}


# --- the studies -------------------------------------------------------------------------------


def job_of(names, model, seed, environment, options=None, fit=None):
    """Return everything that determines a run."""
    fit = random_split(names, seed)[0] if fit is None else fit
    job = {"model": model, "seed": seed, "environment": environment, "options": options}
    return job | {"fit": fit}


def factorial(names):
    """Yield labels and jobs."""
    for seed, levels in itertools.product((0, 1), itertools.product(*FACTORS.values())):
        assignment, network, width, output, augmentation = levels
        options = {"max_epochs": 30, "augment": augmentation == "yes"}
        options |= LINEAR if output.startswith("linear") else PAPER
        options["module__factor"] = {"narrow": 1, "wide": 2}[width]
        if network == "shallow":
            # As wide in the end as the deep one, which doubles its width twice.
            options |= {**SHALLOW, "module__factor": 4 * options["module__factor"]}
        environment = {**ENVIRONMENT, "subdivisions": 1, "assignment": assignment}
        labels = dict(zip(FACTORS, levels, strict=True))
        yield labels, job_of(names, "network", seed, environment, options)


def inputs(names):
    for assignment, level in itertools.product(FACTORS["assignment"], (1, 2)):
        environment = {**ENVIRONMENT, "assignment": assignment, "subdivisions": level}
        for seed in SEEDS:
            labels = {"assignment": assignment, "subdivisions": level}
            yield labels, job_of(names, "ridge", seed, environment)


def variations(names):
    for name, (environment, network) in VARIATIONS.items():
        changed = {**ENVIRONMENT, **environment}, {**BEST, **network}
        for seed in SEEDS:
            yield {"variation": name}, job_of(names, "network", seed, *changed)


def training_sets(names):
    """Yield sizes of training sets, left-out snapshots, seeds and indices."""
    colder = [i for i, name in enumerate(names) if "933K" not in name]
    for seed in SEEDS:
        fit, _, _ = random_split(names, seed)
        phases = [[i for i in fit if phase in names[i]] for phase in ("liquid", "solid")]
        yield "2 + 2", "colder", seed, sorted(phases[0][:2] + phases[1][:2])
        yield "5 + 5", "colder", seed, fit
    for k, left_out in enumerate(colder):
        fit, _, _ = random_split(names, k % len(SEEDS))
        rest = [i for i in colder if i != left_out]
        yield "5 + 5 + 6 colder", names[left_out], k % len(SEEDS), sorted(fit + rest)


def curve(names):
    for size, left_out, seed, fit in training_sets(names):
        labels = {"size": size, "left_out": left_out}
        network = job_of(names, "network", seed, ENVIRONMENT, BEST, fit)
        yield {"model": "CSNN", **labels}, network
        yield {"model": "SOAP", **labels}, job_of(names, "ridge", seed, None, None, fit)


STUDIES = {"factorial": factorial, "inputs": inputs, "variations": variations, "curve": curve}
FITS = {"network": fit_network, "ridge": fit_ridge}


def kept(data, study, labels, job):
    """Return a run with its labels, from the folder if available."""
    name = " ".join(str(value) for value in (study, *labels.values(), job["seed"]))
    path = FOLDER / f"{name.replace(' ', '_').replace(',', '')}.json"
    if path.exists():
        run = json.loads(path.read_text())
        if run["job"] == job:
            return run
    run = {
        "study": study,
        **labels,
        "seed": job["seed"],
        "job": job,
        **FITS[job["model"]](data, job),
    }
    path.write_text(json.dumps(run))
    print(path.stem, f"{run['fit_seconds']:.1f} s", flush=True)
    return run


def render(record):
    """Return the tables of a record."""
    return _csnn_tables.render(record["rows"], FACTORS)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=np.inf, help="start no run after")
    parser.add_argument("--studies", nargs="*", default=list(STUDIES), help="which [all]")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    data, start, rows = Data(options.data, FOLDER), time.monotonic(), []
    for study in options.studies:
        for labels, job in STUDIES[study](data.names):
            if time.monotonic() - start > 60 * options.minutes:
                raise SystemExit("time is up: run again to go on")
            rows.append(kept(data, study, labels, job))
    if set(options.studies) == set(STUDIES):
        print(_csnn_tables.render(rows, FACTORS))
        if not options.no_write:
            harness.write_result(__file__, [_csnn_tables.short(row) for row in rows])


if __name__ == "__main__":
    main()
