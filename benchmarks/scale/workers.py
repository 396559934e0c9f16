"""One snapshot on two worker processes: the same bits, how much faster, and how much memory.

    python -m benchmarks.scale.workers [--cells 2] [--grid 18]

A network 91-100-81 on the bundled aluminium is applied to a larger cell by one process, and by two
worker processes of joblib or of dask that are started before. Each has one thread. Where other
programs use the cores, wall seconds say little: beside them stand the CPU seconds of the process
that works most, which two idle cores would take.
"""

import contextlib
import os
import tempfile
import time

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.peers._measure import resident_mib

WORKERS = 2
BACKENDS = ("joblib", "dask")
WHAT = {
    "descriptors": "descriptors to the cache",
    "dos": "DOS",
    "density": "density",
    "total": "total energy",
    "forces": "LDOSCalculator, energy and forces",
}


def usage():
    """Return the process, its CPU seconds and its peak memory in MiB; wait for the others."""
    time.sleep(0.2)
    return os.getpid(), time.process_time(), resident_mib("VmHWM")


def of_workers():
    """Return CPU seconds and peak memory of all worker processes."""
    from joblib import Parallel, delayed

    found = Parallel(n_jobs=WORKERS, batch_size=1)(delayed(usage)() for _ in range(4 * WORKERS))
    return {pid: (cpu, peak) for pid, cpu, peak in found}


@contextlib.contextmanager
def started(backend):
    """Let tasks run on workers of joblib's own or of dask, within a with block."""
    import joblib

    with contextlib.ExitStack() as stack:
        if backend == "dask":
            from dask.distributed import Client

            options = {"threads_per_worker": 1, "dashboard_address": None}
            stack.enter_context(Client(n_workers=WORKERS, **options))
        name = "loky" if backend == "joblib" else backend
        stack.enter_context(joblib.parallel_config(name, n_jobs=WORKERS))
        yield


def measure(cells, grid, backend):
    """Return a row for every quantity (runs in its own process)."""
    from sklearn.base import clone
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import (
        GridSNAPTransformer,
        LDOSCalculator,
        LDOSRegressor,
        RowWise,
        predict,
        predict_density,
        predict_dos,
    )
    from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials

    training, ions = load_aluminium(temperature=298), load_aluminium_pseudopotentials()
    network = LDOSRegressor(module__activation="silu", max_epochs=5, random_state=0)
    model = make_pipeline(GridSNAPTransformer(n_jobs=1), RowWise(StandardScaler()), network)
    model.fit(training[:2])
    atoms = training[2].atoms.repeat(cells)
    large = training[2].replace(
        atoms=atoms, ldos=None, density=None, grid_shape=(grid * cells,) * 3,
        n_electrons=3 * len(atoms), reference={}, name=None,
    )  # fmt: skip

    def descriptors(n_jobs):
        with tempfile.TemporaryDirectory() as memory:
            transformer = clone(model[0]).set_params(memory=memory, n_jobs=n_jobs)
            return np.asarray(transformer.fit_transform([large])[0])

    def forces(n_jobs):
        options = {"temperature": 298.0, "grid_shape": large.grid_shape, "n_jobs": n_jobs}
        calculator = LDOSCalculator(model, ions, **options)
        calculator.calculate(atoms, ["energy", "forces"])
        return calculator.results["forces"]

    work = {
        "descriptors": descriptors,
        "dos": lambda n_jobs: predict_dos(model, [large], n_jobs=n_jobs)[0],
        "density": lambda n_jobs: predict_density(model, [large], n_jobs=n_jobs)[0],
        "total": lambda n_jobs: predict(model, large, pseudopotentials=ions, n_jobs=n_jobs)[
            ["fermi_level", "total_energy"]
        ].to_numpy(),
        "forces": forces,
    }
    return [
        compare(name, function, backend) | {"n_points": large.n_grid_points}
        for name, function in work.items()
    ]


def compare(name, function, backend):
    """Return costs and equality of a quantity by one process and by two."""
    function(1)  # compiles
    cpu, wall = time.process_time(), time.perf_counter()
    one = function(1)
    row = {"what": name, "backend": backend, "one_wall_s": time.perf_counter() - wall}
    row["one_cpu_s"] = time.process_time() - cpu
    with started(backend):
        function(WORKERS)
        before = of_workers()
        cpu, wall = time.process_time(), time.perf_counter()
        two = function(WORKERS)
        row["two_wall_s"] = time.perf_counter() - wall
        row["main_cpu_s"] = time.process_time() - cpu
        after = of_workers()
    shares = [after[pid][0] - before[pid][0] for pid in after]
    row |= {"worker_cpu_s": shares, "worker_mib": max(peak for _, peak in after.values())}
    return row | {"same": bool(np.array_equal(one, two)) and bool(np.abs(one).max() > 0)}


def render(record):
    """Return the tables of a record."""
    columns = {
        "workers of": "{backend}",
        "what": lambda row: WHAT[row["what"]],
        "one process, wall s": "{one_wall_s:.2f}",
        "CPU s": "{one_cpu_s:.2f}",
        "two workers, wall s": "{two_wall_s:.2f}",
        "CPU s of the main process": "{main_cpu_s:.2f}",
        "of the busier worker": lambda row: f"{max(row['worker_cpu_s']):.2f}",
        "speed-up, wall": lambda row: f"{row['one_wall_s'] / row['two_wall_s']:.2f}",
        "speed-up, CPU": lambda row: (
            f"{row['one_cpu_s'] / (row['main_cpu_s'] + max(row['worker_cpu_s'])):.2f}"
        ),
        "peak of a worker, MiB": "{worker_mib:.0f}",
        "same bits": lambda row: "yes" if row["same"] else "no",
    }
    caption = f"{record['rows'][0]['n_points']} grid points, {record['n_atoms']} atoms."
    return caption + "\n\n" + tables.column_table(columns, record["rows"])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--cells", type=int, default=2, help="repetitions along each axis")
    parser.add_argument("--grid", type=int, default=18, help="points of a cell along each axis")
    arguments = parser.parse_args()
    rows = []
    for backend in BACKENDS:
        job = {"cells": arguments.cells, "grid": arguments.grid, "backend": backend}
        for row in harness.call_fresh(measure, job, threads=1):
            rows.append(row)
            harness.show(row)
            if not row["same"]:
                raise SystemExit(f"{row['what']} of two workers has other bits than that of one")
    if not arguments.no_write:
        harness.write_result(__file__, rows, n_atoms=4 * arguments.cells**3)


if __name__ == "__main__":
    main()
