"""Plane waves of a cell: derivatives and sums in reciprocal space are those in real space."""

import numpy as np
import pytest
import torch

from skldos.geometry import grid_points
from skldos.physics.fourier import (
    GRID_AXES,
    below_cutoff,
    in_sphere,
    pair_weights,
    squared_waves,
    wave_vectors,
)
from skldos.units import BOHR, RYDBERG

CELL = np.array([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.5, 0.9, 3.6]])
grids = pytest.mark.parametrize("grid", [(4, 5, 6), (5, 4, 7), (3, 1, 2), (1, 1, 1)], ids=str)


@pytest.fixture
def cell():
    return torch.as_tensor(CELL)


@grids
def test_every_wave_fits_the_cell(cell, grid):
    G = wave_vectors(cell, grid)
    assert tuple(G.shape) == (grid[0], grid[1], grid[2] // 2 + 1, 3)
    turns = (G @ cell.T / (2 * torch.pi)).numpy()
    np.testing.assert_allclose(turns, turns.round(), atol=1e-12)
    assert (turns[0, 0, 0] == 0).all()


@grids
def test_the_order_is_that_of_the_transform(cell, grid, rng):
    # Σ_G n_G exp(iG·r), with pairs counted twice, gives a field back at its points.
    field = torch.as_tensor(rng.standard_normal(grid))
    waves = torch.fft.rfftn(field, dim=GRID_AXES, norm="forward")
    G, r = wave_vectors(cell, grid), torch.as_tensor(np.array(grid_points(CELL, grid)))
    phases = torch.exp(1j * torch.einsum("rx,abcx->rabc", r, G))
    weighted = waves * pair_weights(grid)
    # A real field: of a wave n/2, of unknown sign, the cosine alone remains.
    found = (phases * weighted).sum((1, 2, 3)).real
    np.testing.assert_allclose(found.numpy(), field.reshape(-1).numpy(), atol=1e-13)


@grids
def test_squared_lengths_are_those_of_the_vectors(cell, grid):
    cell = cell.clone().requires_grad_()
    expected, found = (wave_vectors(cell, grid) ** 2).sum(-1), squared_waves(cell, grid)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-13)
    weights = torch.arange(found.numel(), dtype=found.dtype).reshape(found.shape)
    slopes = [torch.autograd.grad((weights * G2).sum(), cell)[0] for G2 in (expected, found)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-9)
    middle = float(expected.detach().median()) * RYDBERG * BOHR**2 * 1.01
    inside = below_cutoff(found, middle)
    assert torch.equal(inside, in_sphere(wave_vectors(cell, grid), middle))
    assert inside.all() == (found.numel() == 1)


def test_gradients_of_a_wave_are_exact(cell):
    grid, k = (8, 9, 10), np.array([2, -3, 1])
    r = np.array(grid_points(CELL, grid))
    wanted = 2 * np.pi * k @ np.linalg.inv(CELL).T
    wave = torch.as_tensor(np.cos(r @ wanted).reshape(grid))
    waves = torch.fft.rfftn(wave, dim=GRID_AXES, norm="forward")
    G = wave_vectors(cell, grid)
    slope = torch.fft.irfftn(1j * G[..., 0] * waves, s=grid, dim=GRID_AXES, norm="forward")
    np.testing.assert_allclose(slope.reshape(-1), -wanted[0] * np.sin(r @ wanted), atol=1e-12)
    assert abs(wanted[0]) > 1


def test_a_shell_on_the_sphere_is_not_torn():
    cell = torch.as_tensor(7.3 * np.eye(3) @ np.linalg.qr(np.ones((3, 3)) + np.diag([1, 2, 3]))[0])
    G = wave_vectors(cell, (12, 12, 12))
    density_cutoff = RYDBERG * BOHR**2 * (2 * np.pi / 7.3) ** 2 * 9  # of (3, 0, 0) and (2, 2, 1)
    n = (in_sphere(G, density_cutoff) * pair_weights((12, 12, 12))).sum()
    inside = np.array(np.meshgrid(*[np.arange(-5, 7)] * 3)).reshape(3, -1)
    assert n == (np.sum(inside**2, axis=0) <= 9).sum()
