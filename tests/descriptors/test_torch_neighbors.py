"""Neighbour lists on a device, and the bispectrum without gradients that uses them."""

import numpy as np
import pytest
import torch

from skldos.descriptors.bispectrum import (
    grid_bispectrum,
    point_bispectrum,
    point_bispectrum_adjoint,
    torch_kernel,
)
from skldos.descriptors.bispectrum.torch_neighbors import (
    BinnedNeighbors,
    padded_neighbors,
    visible_images,
)

CELLS = {
    "smaller than the cutoff": np.diag([2.5, 3.0, 2.8]),
    "triclinic": np.array([[7.0, 0.5, -1.0], [2.0, 6.0, 0.3], [-1.5, 1.0, 8.0]]),
    "left-handed and long": np.diag([4.0, 30.0, -5.0]),
}
#: What stands for a device that is not the CPU: another name of it.
DEVICE = torch.device("cpu", 0)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_lists_are_those_of_all_pairs(cell, rng):
    positions = torch.as_tensor(rng.random((6, 3)) @ cell)
    cell = torch.as_tensor(cell)
    _, images = visible_images(positions, cell, 3.1)
    points = torch.cat([torch.as_tensor(rng.random((40, 3))) @ cell, torch.zeros(1, 3)]).double()
    points = points - torch.floor(points @ torch.linalg.inv(cell)) @ cell
    find = BinnedNeighbors(images, cell, 3.1, len(positions))
    found, there = find(points, images, 3.1)
    expected, valid = padded_neighbors(points, images, 3.1)
    assert find.longest == valid.sum(1).max() > 1
    for p in range(len(points)):
        assert sorted(found[p, there[p]].tolist()) == sorted(expected[p, valid[p]].tolist())
    find.room = 2  # too short is noticed, not silently cut
    assert find(points, images, 3.1)[1].sum(1).max() == 2
    assert find.longest == valid.sum(1).max() > find.room


@pytest.mark.parametrize("twojmax", [0, 1, 5, 6])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_it_equals_the_compiled_kernel(cell, twojmax, rng, monkeypatch):
    monkeypatch.setattr(torch_kernel, "CHUNK_BYTES", 40_000)
    atoms = rng.random((5, 3)) @ cell, np.array([1.0, 0.5, 1.0, 2.0, 1.0]), cell
    settings = {"twojmax": twojmax, "r_cut": 3.1}
    expected = grid_bispectrum(*atoms, (3, 4, 5), **settings)
    found = grid_bispectrum(*atoms, (3, 4, 5), **settings, device=DEVICE)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())
    assert np.ptp(expected[:, -1]) > 1e-3 or twojmax == 0


def test_a_cluster_in_a_large_cell_needs_longer_lists(rng):
    atoms = 1.5 * rng.random((60, 3)), np.ones(60), 30.0 * np.eye(3)
    settings = {"twojmax": 3, "r_cut": 3.0, "stop": 40}
    expected = grid_bispectrum(*atoms, (40, 40, 40), **settings)
    found = grid_bispectrum(*atoms, (40, 40, 40), **settings, device=DEVICE)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("n_atoms", [0, 1])
def test_points_without_neighbours(n_atoms):
    atoms = np.full((n_atoms, 3), 10.0), np.ones(n_atoms), 20.0 * np.eye(3)
    settings = {"twojmax": 3, "r_cut": 2.0}
    found = grid_bispectrum(*atoms, (3, 1, 1), **settings, device=DEVICE)
    np.testing.assert_allclose(found, grid_bispectrum(*atoms, (3, 1, 1), **settings), rtol=1e-12)


def test_tensors_are_made_where_they_were_asked_for(rng):
    """Not on the default device, which is one without numbers here."""
    cell = np.array([[4.0, 0.3, 0.0], [0.2, 4.2, 0.1], [0.0, -0.4, 3.9]])
    positions, weights = rng.random((4, 3)) @ cell, rng.uniform(0.5, 1.0, 4)
    points, beta = rng.random((5, 3)) @ cell, rng.normal(size=(5, 14))
    radii = {"radii": rng.uniform(0.4, 0.6, 4), "point_radii": rng.uniform(0.4, 0.6, 5)}
    settings = {"twojmax": 4, "r_cut": 3.0}
    calls = [
        lambda **of: grid_bispectrum(positions, weights, cell, (2, 3, 2), **settings, **of),
        lambda **of: point_bispectrum(points, positions, weights, cell, **settings, **radii, **of),
        lambda **of: np.concatenate(
            point_bispectrum_adjoint(
                points, positions, weights, cell, beta, **settings, **radii, **of
            )
        ),
    ]
    for call in calls:
        expected = call(device="cpu")
        with torch.device("meta"):
            found = call(device=DEVICE)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    tensors = [torch.tensor(array) for array in (positions, weights, cell)]
    expected = torch_kernel.grid_bispectrum(*tensors, (2, 3, 2), **settings)
    with torch.device("meta"):
        found = torch_kernel.grid_bispectrum(*tensors, (2, 3, 2), **settings)
    assert torch.equal(found, expected)
