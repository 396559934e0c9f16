"""The bispectrum compared with LAMMPS and with an independent reference."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from skldos.descriptors.bispectrum import (
    bispectrum_components,
    component_names,
    grid_bispectrum,
    point_bispectrum,
)
from skldos.descriptors.bispectrum import torch_kernel as in_torch
from skldos.descriptors.bispectrum.reference import (
    reference_bispectrum,
)
from skldos.geometry import bin_neighbors, find_neighbors, grid_points

SYMBOLS = {4: "Be", 11: "Na", 13: "Al", 17: "Cl"}
LAMMPS = np.load(Path(__file__).parent / "data" / "snap_reference.npz")
CASES = sorted({key.split("/")[0] for key in LAMMPS})


class Case:
    """One calculation with LAMMPS."""

    def __init__(self, name):
        def get(key):
            return LAMMPS[f"{name}/{key}"]

        by_symbol = json.loads(str(get("weights")))
        self.positions, self.cell = get("positions"), get("cell")
        self.weights = np.array([by_symbol[SYMBOLS[n]] for n in get("numbers")])
        self.settings = {"twojmax": int(get("twojmax")), "r_cut": float(get("rcut"))}
        self.expected = get("bispectrum").reshape(-1, get("bispectrum").shape[-1])
        centred = f"{name}/atomcentred" in LAMMPS
        self.points = self.positions if centred else grid_points(self.cell, get("grid").tolist())


def error(found, expected):
    """Largest error relative to each component's largest value."""
    largest = np.abs(expected).max(axis=0)
    assert largest.min() > 1e-2
    assert largest.max() > 1
    return (np.abs(found - expected) / largest).max()


def cloud(rng, n, radius):
    """Random displacements of neighbours, none too close."""
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    return directions * rng.uniform(0.2, 0.99, (n, 1)) * radius


def cloud_bispectrum(displacements, weights, **settings):
    """Kernel on a cluster around the origin of a cell so large that images do not matter."""
    cell = 4 * settings["r_cut"] * np.eye(3)
    return point_bispectrum(np.zeros((1, 3)), displacements, weights, cell, **settings)[0]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_kernel_agrees_with_lammps(name, dtype, tolerance):
    case = Case(name)
    B = point_bispectrum(
        case.points, case.positions, case.weights, case.cell, dtype=dtype, **case.settings
    )
    assert B.dtype == dtype
    assert error(B, case.expected) < tolerance


@pytest.mark.parametrize("name", [name for name in CASES if "atoms" not in name])
def test_grid_agrees_with_lammps(name):
    case = Case(name)
    shape = LAMMPS[f"{name}/grid"].tolist()
    B = grid_bispectrum(case.positions, case.weights, case.cell, shape, **case.settings)
    assert error(B, case.expected) < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_reference_agrees_with_lammps(name):
    case = Case(name)
    some = np.linspace(0, len(case.points) - 1, 4).astype(int)
    bins = bin_neighbors(case.positions, case.cell, case.settings["r_cut"])
    B = []
    for point in case.points[some]:
        atoms, displacements = find_neighbors(point, bins)
        B.append(reference_bispectrum(displacements, case.weights[atoms], **case.settings))
    assert error(np.array(B), case.expected[some]) < 1e-12


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_torch_agrees_with_lammps(name, dtype, tolerance):
    case = Case(name)
    some = slice(0, 20)
    tensors = map(torch.as_tensor, (case.points[some], case.positions, case.weights, case.cell))
    B = in_torch.point_bispectrum(*tensors, dtype=dtype, chunk_size=8, **case.settings)
    assert B.dtype == dtype
    assert error(B.numpy(), case.expected[some]) < tolerance


@pytest.mark.parametrize("snapshot", [0, 1])
def test_beryllium_agrees_with_the_descriptors_of_mala(snapshot, shared_data):
    folder = shared_data / "be2"
    expected = np.load(folder / f"Be_snapshot{snapshot}.in.npy").astype(np.float64)
    info = json.loads((folder / f"Be_snapshot{snapshot}.info.json").read_text())
    shape, voxel = info["grid_dimensions"], np.array(info["voxel"]["array"])
    cell = voxel * np.array(shape)[:, None]
    positions = np.array(info["atoms"]["positions"])
    B = grid_bispectrum(positions, np.ones(2), cell, shape, dtype="float64")
    # The first three columns are the coordinates of the points.
    assert np.allclose(grid_points(cell, shape), expected[..., :3].reshape(-1, 3), atol=1e-5)
    assert error(B, expected[..., 3:].reshape(len(B), -1)) < 1e-6


@pytest.mark.parametrize("twojmax", [0, 1, 2, 3, 5, 8, 10, 12, 15])
@pytest.mark.parametrize("n_neighbors", [1, 7, 40])
def test_all_orders_agree_with_reference(twojmax, n_neighbors):
    rng = np.random.default_rng(twojmax + 100 * n_neighbors)
    displacements, weights = cloud(rng, n_neighbors, 4.0), rng.uniform(0.3, 1.5, n_neighbors)
    settings = {"twojmax": twojmax, "r_cut": 4.0}
    expected = reference_bispectrum(displacements, weights, **settings)
    B = cloud_bispectrum(displacements, weights, **settings)
    assert np.abs(expected).max() > 1
    assert np.abs(B - expected).max() < 1e-12 * np.abs(expected).max()
    assert error(B, expected[None]) < 1e-10


@pytest.mark.parametrize(
    "settings",
    [
        {"switch": False},
        {"rmin0": 1.0},
        {"rmin0": 1.5, "switch": False},
        {"rfac0": 0.5},
        {"rfac0": 1.2},  # beyond the far pole
    ],
)
def test_parameters_agree_with_reference(settings):
    rng = np.random.default_rng(5)
    displacements, weights = cloud(rng, 12, 4.0), rng.uniform(0.3, 1.5, 12)
    displacements[0] *= 0.7 / np.linalg.norm(displacements[0])  # below rmin0
    settings = {"twojmax": 5, "r_cut": 4.0, **settings}
    expected = reference_bispectrum(displacements, weights, **settings)
    default = reference_bispectrum(displacements, weights, twojmax=5, r_cut=4.0)
    assert np.abs(expected - default).max() > 0.1  # the parameters matter
    B = cloud_bispectrum(displacements, weights, **settings)
    T = in_torch.point_bispectrum(
        torch.zeros(1, 3).double(),
        *map(torch.as_tensor, (displacements, weights, 16.0 * np.eye(3))),
        **settings,
    )
    assert error(B, expected[None]) < 1e-12
    assert error(T.numpy(), expected[None]) < 1e-12


@pytest.mark.parametrize(
    ("twojmax", "count"), [(0, 1), (1, 2), (2, 5), (5, 20), (6, 30), (8, 55), (10, 91)]
)
def test_components_are_counted_and_named(twojmax, count):
    components = bispectrum_components(twojmax)
    assert len(components) == len(set(components)) == len(component_names(twojmax)) == count
    assert all(j2 <= j1 <= j <= j1 + j2 for j1, j2, j in components)


def test_component_names_are_in_the_order_of_lammps():
    assert component_names(3) == [
        "B_0_0_0", "B_1_0_1", "B_1_1_2", "B_2_0_2", "B_2_1_3", "B_2_2_2", "B_3_0_3", "B_3_2_3"
    ]  # fmt: skip
