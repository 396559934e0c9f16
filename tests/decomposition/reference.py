"""The atom-decomposed density of states with explicit sums: every point, atom and image."""

import numpy as np
from scipy.special import logsumexp

from skldos.geometry import grid_points


def squared_distances(points, positions, cell, reach):
    """Squared distances of points to all images of atoms, [point, atom, image]."""
    steps = [np.arange(-n, n + 1) for n in reach]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3) @ cell
    images = positions[:, None] + shifts
    return ((points[:, None, None] - images) ** 2).sum(axis=-1)


def gaussian_weights(points, positions, cell, sigma, reach):
    """w_i(r) with images up to `reach` cells away, [point, atom]."""
    exponents = -squared_distances(points, positions, cell, reach) / (2 * sigma**2)
    logarithms = logsumexp(exponents, axis=2)
    return np.exp(logarithms - logsumexp(logarithms, axis=1, keepdims=True))


def nearest_weights(points, positions, cell, reach):
    """Equal parts for the nearest atoms, [point, atom]."""
    r2 = squared_distances(points, positions, cell, reach)
    near = (r2 < r2.min(axis=(1, 2), keepdims=True) + 1e-8).sum(axis=2)
    return near / near.sum(axis=1, keepdims=True)


def ados(ldos, positions, cell, weights_of):
    """D_i(E) = Σ_r w_i(r) d(r, E) ΔV."""
    points = grid_points(cell, ldos.shape[:3])
    voxel = abs(np.linalg.det(cell)) / len(points)
    return weights_of(points, positions, cell).T @ ldos.reshape(len(points), -1) * voxel
