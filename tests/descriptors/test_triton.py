"""The fused kernels for GPUs, run by Triton's interpreter, and the ways around them."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from skldos.descriptors.bispectrum import bispectrum_components, grid_bispectrum, torch_kernel
from skldos.descriptors.bispectrum.reference import reference_bispectrum
from skldos.descriptors.bispectrum.torch_neighbors import BinnedNeighbors, visible_images
from tests.conftest import ROOT

#: The interpreter of 3.0 does not know tuples, those of 3.3 and 3.5 do not know NumPy 2.4.
TRITON = (3, 9)


def triton_version():
    """Return the version of Triton, (0,) where it is not installed."""
    if find_spec("triton") is None:
        return (0,)
    return tuple(map(int, version("triton").split(".")[:2]))


needs_triton = pytest.mark.skipif(triton_version() < TRITON, reason="needs Triton 3.9")
#: twojmax, number of points, precision. 32 points are a tile.
CASES = [
    *((0, 33, "float64"), (0, 33, "float32"), (1, 33, "float64"), (1, 33, "float32")),
    *((4, 3, "float64"), (4, 3, "float32"), (5, 1, "float64"), (5, 1, "float32")),
    (10, 1, "float32"),
]
SETTINGS = {"r_cut": 3.2, "rmin0": 0.1, "rfac0": 0.97}
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
#: What stands for a device that is not the CPU: another name of it.
DEVICE = torch.device("cpu", 0)


def system(n_points):
    """Return atoms, weights and cell of some neighbours, and points around them."""
    rng = np.random.default_rng(4)
    cell = np.diag([5.0, 5.5, 6.0]) + 0.2 * rng.normal(size=(3, 3))
    return (
        rng.random((5, 3)) @ cell,
        rng.uniform(0.5, 1.5, 5),
        cell,
        rng.random((n_points, 3)) @ cell,
    )


# --- equal to torch and to the reference ----------------------------------------------------------

# A process of its own: the interpreter has to be chosen before the first import of Triton, which
# may come with torch.
PROGRAM = """
import json, sys
from unittest import mock
import numpy as np, torch
from skldos.descriptors.bispectrum import _triton_kernel, point_bispectrum, torch_kernel
from tests.descriptors.test_triton import DEVICE, SETTINGS, system

def compute(twojmax, n_points, dtype):
    positions, weights, cell, points = system(n_points)
    return point_bispectrum(
        points, positions, weights, cell, twojmax=twojmax, dtype=dtype, device=DEVICE, **SETTINGS
    )

results = []
with mock.patch.object(torch_kernel, "fused_kernels", lambda device: _triton_kernel):
    for case in json.loads(sys.argv[1]):
        results.append(compute(*case).tolist())
    with mock.patch.object(_triton_kernel, "REGISTERS", 22):
        _triton_kernel.component_groups.cache_clear()
        groups = _triton_kernel.component_groups(5, 8)
        split = compute(5, 1, "float64").tolist()
print(json.dumps([results, groups, split]))
"""


@pytest.fixture(scope="module")
def interpreted():
    """Return the results of all cases, groups for few registers, and what they give."""
    report = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(CASES)],
        env=dict(os.environ, TRITON_INTERPRET="1", PYTHONPATH=str(ROOT)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert report.returncode == 0, report.stderr
    return json.loads(report.stdout)


def by_torch(twojmax, n_points, dtype):
    positions, weights, cell, points = (torch.as_tensor(array) for array in system(n_points))
    return torch_kernel.point_bispectrum(
        points, positions, weights, cell, twojmax=twojmax, dtype=getattr(torch, dtype), **SETTINGS
    ).numpy()


def by_reference(twojmax, n_points):
    positions, weights, cell, points = (torch.as_tensor(array) for array in system(n_points))
    atoms, images = visible_images(positions, cell, SETTINGS["r_cut"])
    B = []
    for point in points - torch.floor(points @ torch.linalg.inv(cell)) @ cell:
        near = (images - point).norm(dim=1) < SETTINGS["r_cut"]
        neighbors = (images[near] - point).numpy(), weights[atoms[near]].numpy()
        B.append(reference_bispectrum(*neighbors, twojmax=twojmax, **SETTINGS))
    return np.array(B)


@needs_triton
@pytest.mark.parametrize("case", range(len(CASES)), ids=["-".join(map(str, c)) for c in CASES])
def test_it_equals_torch_and_the_reference(case, interpreted):
    twojmax, n_points, dtype = CASES[case]
    found = np.array(interpreted[0][case])
    plain = by_torch(*CASES[case])
    assert found.shape == (n_points, len(bispectrum_components(twojmax)))
    for expected in (plain, by_reference(twojmax, n_points)):
        np.testing.assert_allclose(found, expected, rtol=TOLERANCES[dtype])


@needs_triton
def test_components_that_need_too_many_registers_are_split(interpreted):
    _, groups, split = interpreted
    assert len(groups) == 4
    assert {len(group) for group in groups} == {5}
    found = [tuple(component) for group in groups for component in group]
    assert found == [(i, *orders) for i, orders in enumerate(bispectrum_components(5))]
    np.testing.assert_allclose(split, by_torch(5, 1, "float64"), rtol=1e-12)


@pytest.mark.skipif(
    find_spec("triton") is None or not torch.cuda.is_available(), reason="needs Triton and a GPU"
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("twojmax", [0, 5, 10, 14])
def test_gpu(twojmax, dtype):
    positions, weights, cell, _ = system(1)
    settings = {"twojmax": twojmax, "dtype": dtype, **SETTINGS}
    expected = grid_bispectrum(positions, weights, cell, (5, 6, 7), **settings)
    assert torch_kernel.fused_kernels(torch.device("cuda")) is not None
    found = grid_bispectrum(positions, weights, cell, (5, 6, 7), device="cuda", **settings)
    np.testing.assert_allclose(found, expected, rtol=10 * TOLERANCES[dtype])


# --- without Triton -------------------------------------------------------------------------------

MODULE = "skldos.descriptors.bispectrum._triton_kernel"


def test_it_is_imported_for_gpus_only(monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE, None)  # to import it is an error
    assert torch_kernel.fused_kernels(DEVICE) is None
    positions, weights, cell, _ = system(1)
    found = grid_bispectrum(positions, weights, cell, (1, 1, 2), twojmax=1, device=DEVICE)
    np.testing.assert_allclose(
        found, grid_bispectrum(positions, weights, cell, (1, 1, 2), twojmax=1), rtol=1e-12
    )


@pytest.fixture
def no_memory():
    """Forget which devices were tried, before and after."""
    torch_kernel.fused_kernels.cache_clear()
    yield
    torch_kernel.fused_kernels.cache_clear()


def test_without_triton_torch_computes(monkeypatch, no_memory):
    monkeypatch.setattr(torch_kernel, "find_spec", lambda name: None)
    assert torch_kernel.fused_kernels(torch.device("cuda")) is None


def test_triton_that_does_not_work_is_a_warning(monkeypatch, no_memory):
    monkeypatch.setattr(torch_kernel, "find_spec", lambda name: "there")
    # As if it were installed, but not for this platform.
    monkeypatch.setitem(sys.modules, MODULE, None)
    monkeypatch.delattr(MODULE, raising=False)
    with pytest.warns(RuntimeWarning, match="Triton does not work on cuda.*takes longer"):
        assert torch_kernel.fused_kernels(torch.device("cuda")) is None


# --- a chunk without waiting ----------------------------------------------------------------------


class Functions(TorchFunctionMode):
    """Record the names of all functions of torch that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(function.__name__)
        return function(*args, **(kwargs or {}))


def test_the_host_does_not_wait_within_a_chunk():
    twojmax, dtype = 3, torch.float32
    positions, weights, cell, points = (torch.as_tensor(array) for array in system(7))
    atoms, images = visible_images(positions, cell, SETTINGS["r_cut"])
    find = BinnedNeighbors(images, cell, SETTINGS["r_cut"], len(positions))
    buffers = torch_kernel.chunk_buffers(7, twojmax, dtype, DEVICE)
    torch_kernel.node_harmonics(twojmax, dtype, points.device)  # copied to the device once
    settings = {"twojmax": twojmax, "switch": True, "dtype": dtype, **SETTINGS}
    chunk = points, images, weights[atoms], cell
    # These read a number or a shape from the device, or copy from the host.
    waiting = {"__bool__", "__int__", "bincount", "cpu", "inv", "item", "linalg_inv", "nonzero"}
    waiting |= {"as_tensor", "new_tensor", "tensor", "tolist"}
    with torch.no_grad(), Functions() as without_lists:
        torch_kernel.chunk_bispectrum(*chunk, find=find, buffers=buffers, **settings)
    assert {"bmm", "mm", "scatter_"} <= without_lists.names
    assert not waiting & without_lists.names
    with torch.no_grad(), Functions() as with_lists:
        torch_kernel.chunk_bispectrum(*chunk, **settings)
    assert {"__int__", "bincount", "nonzero"} <= with_lists.names
