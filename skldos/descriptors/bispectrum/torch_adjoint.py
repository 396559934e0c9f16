"""Derivative of the bispectrum by torch's automatic differentiation, for GPUs.

The same sums as in :mod:`skldos.descriptors.bispectrum.adjoint_kernel`, chunk by chunk.
"""

import numpy as np
import torch

from skldos.descriptors.bispectrum.torch_kernel import chunk_bispectrum, cutoffs_of, default_chunk
from skldos.geometry.neighbors import periodic_images
from skldos.validation import check_finite

#: The backward pass keeps the products of all pairs of functions, so chunks have fewer points.
PRODUCTS = 8


def adjoint_blocks(problem, sensitivity, device):
    """Yield, chunk by chunk, the first point and the derivatives by atoms, strain and points."""
    points_of, positions, weights, cell, reach, _, settings = problem
    atoms, shifts = periodic_images(positions, cell, reach.largest)
    settings = dict(settings, r_cut=reach.largest, dtype=getattr(torch, settings["dtype"]))
    positions, weights, cell, shifts = (
        torch.tensor(array, dtype=torch.float64, device=device)
        for array in (positions, weights, cell, shifts)
    )
    atoms = torch.tensor(atoms, device=device)
    size = default_chunk(settings["twojmax"], settings["dtype"], positions.device)
    size = max(1, size // PRODUCTS)
    for first in range(0, len(sensitivity), size):
        beta = np.array(sensitivity[first : first + size], np.float64)
        check_finite("sensitivity", beta)
        points = torch.tensor(points_of(first, first + len(beta)), device=device)
        with torch.enable_grad():
            D = torch.eye(3, dtype=torch.float64, device=device)  # 1 + strain
            points, x, D = (t.detach().requires_grad_() for t in (points, positions, D))
            images = (x[atoms] + shifts @ cell) @ D
            cutoffs = cutoffs_of(reach, first, first + len(beta), atoms)
            B = chunk_bispectrum(points @ D, images, weights[atoms], cell @ D, cutoffs, **settings)
            A = (B.double() * torch.tensor(beta, device=device)).sum()
        gradients = torch.autograd.grad(A, (x, D, points))
        yield first, *(gradient.cpu().numpy() for gradient in gradients)
