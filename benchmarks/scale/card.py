"""Everything that runs on a GPU: whether it is right, and how fast it is.

    python -m benchmarks.scale.card                # on a machine with a GPU, in under eight minutes
    python -m benchmarks.scale.card --rehearse     # the same code on the CPU, with small numbers

The tests that need a GPU run first. Then every path of torch is compared with the CPU, and the
bispectrum of 200³ points, with the fused kernels of Triton and without, training and prediction of
a network 91-400-400-250, the total energy and forces are timed. Work that would exceed the time is
reduced, as noted in the table. Without a GPU, nothing is run or written.
"""

import subprocess
import sys
import time
from unittest import mock

import numpy as np

from benchmarks.common import harness, tables

#: Seconds for everything; what is left for a timing bounds its size.
SECONDS = 450
TESTS = (
    "tests/descriptors/test_bispectrum_adjoint.py::test_gpu",
    "tests/descriptors/test_triton.py",
    "tests/physics/terms/test_term_laws.py",
    "tests/physics/test_dos_density.py",
    "tests/regressors/neural/test_autocast.py",
)
#: Largest deviation from the CPU, relative to the largest value. Nets are trained in float32, and
#: what differs by rounding drifts apart.
TOLERANCES = {
    "bispectrum, float64": 1e-11,
    "bispectrum, float32": 1e-5,
    "bispectrum, float64, without Triton": 1e-11,
    "bispectrum, float32, without Triton": 1e-5,
    "forces by the adjoint, float64": 1e-10,
    "prediction": 1e-5,
    "trained DOS": 1e-3,
    "total energy": 1e-9,
}


def other_device(rehearse):
    """Return the device that is compared with the CPU."""
    import torch

    # Another name of the CPU takes the ways of a GPU.
    return torch.device("cpu", 0) if rehearse else torch.device("cuda")


def without_triton():
    """Return a context in which torch alone computes the bispectrum."""
    path = "skldos.descriptors.bispectrum.torch_kernel.fused_kernels"
    return mock.patch(path, return_value=None)


def wait(device):
    """Return the time after the device has finished all its work."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(device, function):
    """Return the result of a second call and its seconds; the first one compiles and allocates."""
    function()
    begin = wait(device)
    result = function()
    return result, wait(device) - begin


# --- the same numbers -----------------------------------------------------------------------------


def pipeline(device, **options):
    import torch
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    device = "cpu" if device in ("cpu", torch.device("cpu", 0)) else device
    return make_pipeline(
        GridSNAPTransformer(twojmax=6, device=device),
        RowWise(StandardScaler()),
        LDOSRegressor(max_epochs=20, random_state=0, device=device, **options),
    )


def deviations(device):
    """Yield names and largest deviations from the CPU, relative to the largest value."""
    import torch

    from skldos import predict_dos
    from skldos.datasets import load_aluminium
    from skldos.descriptors.bispectrum import grid_bispectrum, grid_bispectrum_adjoint
    from skldos.physics.terms import exchange_correlation, hartree

    snapshots = load_aluminium()[:3]
    atoms, rng = snapshots[0].atoms, np.random.default_rng(0)
    arguments = atoms.positions, np.ones(len(atoms)), atoms.cell.array, (6, 7, 8)
    exact = grid_bispectrum(*arguments)
    for dtype in ("float64", "float32"):
        found = grid_bispectrum(*arguments, device=device, dtype=dtype)
        yield f"bispectrum, {dtype}", deviation(found, exact)
        with without_triton():
            found = grid_bispectrum(*arguments, device=device, dtype=dtype)
        yield f"bispectrum, {dtype}, without Triton", deviation(found, exact)
    sensitivity = rng.normal(size=exact.shape)
    pair = [grid_bispectrum_adjoint(*arguments, sensitivity, device=d)[0] for d in ("cpu", device)]
    yield "forces by the adjoint, float64", deviation(pair[1], pair[0])
    models = [pipeline(d).fit(snapshots[:2]) for d in ("cpu", device)]
    pair = [predict_dos(model, snapshots[2:])[0] for model in models]
    yield "trained DOS", deviation(pair[1], pair[0])
    network = models[0][-1].module_
    rows = torch.tensor(np.asarray(models[0][:-1].transform(snapshots[2:])[0])).float()
    there = network(rows).detach().numpy()
    outputs = network.to(device)(rows.to(device)).detach().cpu().numpy()
    yield "prediction", deviation(outputs, there)
    density = torch.as_tensor(1 + 0.3 * rng.random((24, 24, 24)))
    cell = torch.as_tensor(atoms.cell.array)
    totals = [
        float(hartree(n, c)[0]) + float(exchange_correlation(n, c, functional="pbe")[0])
        for n, c in ((density, cell), (density.to(device), cell.to(device)))
    ]
    yield "total energy", abs(totals[1] / totals[0] - 1)


def deviation(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# --- times ----------------------------------------------------------------------------------------


def time_bispectrum(device, n_points, room):
    """Time the bispectrum of a grid of 200³ points, or of as many as fit into the time.

    With Triton, if it is used, and without it.
    """
    from ase.build import bulk

    from skldos.descriptors.bispectrum import grid_bispectrum
    from skldos.descriptors.bispectrum.torch_kernel import fused_kernels

    atoms = bulk("Al", cubic=True) * (4, 4, 4)
    atoms.positions += np.random.default_rng(0).normal(scale=0.1, size=(len(atoms), 3))
    arguments = atoms.positions, np.ones(len(atoms)), atoms.cell.array, (200, 200, 200)

    def compute(n):
        return lambda: grid_bispectrum(*arguments, stop=n, device=device, dtype="float32")

    def row(what):
        few = max(1000, n_points // 80)
        _, seconds = timed(device, compute(few))
        n = int(min(n_points, few * room / max(seconds, 1e-9)))
        begin = wait(device)
        compute(n)()
        seconds = wait(device) - begin
        return {"what": f"bispectrum, 91 components, float32, {what}", "rows": n, "wall_s": seconds}

    if fused_kernels(device) is not None:
        yield row("Triton")
    with without_triton():
        yield row("torch alone")


def time_network(device, n_rows):
    """Time an epoch and a prediction of a network 91-400-400-250."""
    from skldos import LDOSRegressor

    rng = np.random.default_rng(0)
    X, y = (rng.normal(size=(n_rows, n)).astype(np.float32) for n in (91, 250))
    network = LDOSRegressor(
        module__hidden_layer_sizes=(400, 400),
        batch_size=min(8000, n_rows // 4),
        max_epochs=3,
        device="cpu" if device.type == "cpu" else device,
        random_state=0,
    ).fit(X, y)
    epoch = min(network.history_[:, "dur"])
    yield {"what": "epoch, 91-400-400-250", "rows": n_rows, "wall_s": epoch}
    _, seconds = timed(device, lambda: network.predict(X))
    yield {"what": "prediction, 91-400-400-250", "rows": n_rows, "wall_s": seconds}


def time_energies(device, edge):
    """Time Hartree and exchange-correlation energies on a grid, and their forces."""
    import torch

    from skldos.physics.terms import exchange_correlation, hartree

    generator = torch.Generator().manual_seed(0)
    density = 1 + torch.rand((edge,) * 3, dtype=torch.float64, generator=generator)
    density = density.to(device).requires_grad_()
    cell = 20 * torch.eye(3, dtype=torch.float64, device=device)

    def energy():
        terms = hartree(density, cell)[0], exchange_correlation(density, cell, functional="pbe")[0]
        return sum(terms)

    _, seconds = timed(device, energy)
    yield {"what": "Hartree and PBE", "rows": edge**3, "wall_s": seconds}
    _, seconds = timed(device, lambda: torch.autograd.grad(energy(), density))
    yield {"what": "Hartree and PBE with derivatives", "rows": edge**3, "wall_s": seconds}


def time_forces(device):
    """Time energy and forces of 32 atoms by the calculator."""
    from skldos import LDOSCalculator
    from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials

    snapshots = load_aluminium(temperature=298)[:2]
    model = pipeline(device).fit(snapshots)
    large = snapshots[0].atoms * (2, 2, 2)
    calculator = LDOSCalculator(
        model,
        load_aluminium_pseudopotentials(),
        temperature=298,
        grid_shape=tuple(2 * n for n in snapshots[0].grid_shape),
    )
    _, seconds = timed(device, lambda: calculator.calculate(large, ["energy", "forces"]))
    n_points = 8 * int(np.prod(snapshots[0].grid_shape))
    return {"what": "energy and forces, 32 atoms", "rows": n_points, "wall_s": seconds}


# --------------------------------------------------------------------------------------------------


def run_tests():
    """Run the tests that need a GPU; return pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "gpu or cuda", *TESTS]
    report = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True)
    return report.stdout.strip().splitlines()[-1]


def measure(device, rehearse):
    """Yield one row per comparison and timing."""
    begin = time.perf_counter()
    for name, found in deviations(device):
        harness.require(name, found, TOLERANCES[name])
        yield {"what": name, "deviation": found}
    few = 1000 if rehearse else 1
    yield from time_network(device, 262_144 // few)
    yield from time_energies(device, 12 if rehearse else 128)
    yield time_forces(device)
    room = SECONDS - (time.perf_counter() - begin)
    yield from time_bispectrum(device, 200**3 // few, max(room / 6, 1.0))


def render(record):
    """Return the tables of a record."""
    columns = {
        "what": "{what}",
        "rows": "{rows}",
        "wall s": "{wall_s:.3f}",
        "million rows/s": lambda row: f"{row['rows'] / row['wall_s'] / 1e6:.2f}",
    }
    compared = {"what": "{what}", "largest deviation from the CPU": "{deviation:.0e}"}
    timed_rows = [row for row in record["rows"] if "wall_s" in row]
    others = [row for row in record["rows"] if "deviation" in row]
    return "\n\n".join(
        [
            f"{record['device']}; tests: {record['tests']}.",
            tables.column_table(compared, others),
            tables.column_table(columns, timed_rows),
        ]
    )


def main():
    import torch

    parser = harness.parser(__doc__)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with small numbers")
    arguments = parser.parse_args()
    if not (torch.cuda.is_available() or arguments.rehearse):
        raise SystemExit("There is no GPU that torch can use: nothing was run. Try --rehearse.")
    device, tests = other_device(arguments.rehearse), "not run"
    if not arguments.rehearse:
        tests = run_tests()
        print(f"tests that need a GPU: {tests}")
    rows = []
    for row in measure(device, arguments.rehearse):
        harness.show(row)
        rows.append(row)
    if not (arguments.no_write or arguments.rehearse):
        name = torch.cuda.get_device_name()
        harness.write_result(__file__, rows, device=name, tests=tests)


if __name__ == "__main__":
    main()
