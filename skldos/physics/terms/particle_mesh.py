r"""Structure factors of point charges: exact phases, or charges spread on a mesh with B-splines.

The sum :math:`S(m) = \sum_j q_j e^{-2\pi i\, m \cdot s_j}` over charges at fractional coordinates
*s* costs the number of charges times the number of waves. On a mesh of *K* points an exponential
is nearly a combination of B-splines of even order *p* (Schoenberg's exponential Euler spline),

.. math:: e^{-2\pi i m u/K} \approx
    \frac{\sum_k \beta_p(u - k)\, e^{-2\pi i m k/K}}{\sum_k \beta_p(k) \cos(2\pi m k/K)},

to a relative :math:`2 (m/(K-m))^p`, so that charges spread on the mesh and one FFT give all waves
at once: the smooth particle-mesh method.

References
----------
.. [1] U. Essmann et al., "A smooth particle mesh Ewald method", J. Chem. Phys. 103, 8577 (1995).
"""

import torch
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from skldos.physics.fourier import GRID_AXES

#: How many numbers one piece of work holds at once: 32 MiB of float64.
PIECE = 2**22


def map_blocks(function, tensors, n, step):
    """Yield ``function(*tensors, start, stop)`` for blocks of 0 to n, in bounded memory.

    If derivatives by any of the tensors are needed and there is more than one block, intermediate
    results are not kept but recomputed.

    Examples
    --------
    >>> x = torch.arange(5.0)
    >>> [y.tolist() for y in map_blocks(lambda x, start, stop: 2 * x[start:stop], [x], 5, 3)]
    [[0.0, 2.0, 4.0], [6.0, 8.0]]
    """
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    for start in range(0, n, step):
        block = *tensors, start, min(start + step, n)
        # The first checkpoint takes seconds, because torch loads its compiler.
        if differentiable and step < n:
            yield checkpoint(function, *block, use_reentrant=False)
        else:
            yield function(*block)


def phases(fractional, frequencies):
    r"""Phase factors :math:`e^{-2\pi i m s}` along one axis, of shape (n_atoms, n_frequencies).

    The fractional coordinates should be within the cell, to avoid rounding errors. The product of
    the factors of the three axes is the phase of a wave.
    """
    angle = -2 * torch.pi * fractional[:, None] * frequencies
    return torch.polar(torch.ones_like(angle), angle)


def spline_weights(offset, order):
    r"""Values of the centred B-spline of even order p on the mesh points around a charge.

    For an offset from the mesh point below, from 0 to 1, these are :math:`\beta_p(\mathrm{offset} -
    l)` for l from -p/2 + 1 to p/2, along a new last axis; they sum to one.
    """
    # β_n(x) = [(n/2 + x) β_{n-1}(x + 1/2) + (n/2 - x) β_{n-1}(x - 1/2)] / (n - 1)
    t = offset[..., None]
    values = torch.ones_like(t)
    for n in range(2, order + 1):
        a = torch.arange(n, dtype=offset.dtype, device=offset.device)
        above = torch.nn.functional.pad(values, (1, 0))
        below = torch.nn.functional.pad(values, (0, 1))
        values = ((t + n - 1 - a) * above + (1 - t + a) * below) / (n - 1)
    return values


def spline_transform(n, order, *, half=False, device=None):
    r"""Transform :math:`\sum_k \beta_p(k) \cos(2\pi m k/n)` of the B-spline on n mesh points.

    The order is even, so that no value vanishes. Frequencies are those of ``fftfreq``, or with
    `half` of ``rfftfreq``.
    """
    like = {"dtype": torch.float64, "device": device}
    m = torch.fft.rfftfreq(n, **like) if half else torch.fft.fftfreq(n, **like)
    k = torch.arange(1 - order // 2, order // 2 + 1, **like)
    values = spline_weights(torch.zeros((), **like), order)
    return (values * torch.cos(2 * torch.pi * m[:, None] * k)).sum(-1)


def spread(fractional, charges, mesh_shape, order):
    r"""Spread charges on a periodic mesh, :math:`Q(k) = \sum_j q_j \prod_i \beta_p(u_{ji} - k_i)`.

    Differentiable once with respect to fractional coordinates (n_atoms, 3) and charges; memory
    holds the mesh and :data:`PIECE` numbers.
    """
    return _Spread.apply(fractional, charges, tuple(mesh_shape), order)


def mesh_structure_factors(fractional, charges, mesh_shape, order):
    """Structure factors of all waves of a mesh, as ``rfftn`` orders them; see :func:`spread`.

    The accuracy decreases towards the edge of the mesh.
    """
    S = torch.fft.rfftn(spread(fractional, charges, mesh_shape, order), dim=GRID_AXES)
    nx, ny, nz = mesh_shape
    S = S / spline_transform(nx, order, device=S.device)[:, None, None]
    S = S / spline_transform(ny, order, device=S.device)[:, None]
    return S / spline_transform(nz, order, half=True, device=S.device)


class _Spread(torch.autograd.Function):
    """:func:`spread` with a gradient that recomputes the weights, some atoms at a time."""

    @staticmethod
    def forward(ctx, fractional, charges, mesh_shape, order):
        ctx.save_for_backward(fractional, charges)
        ctx.mesh_shape, ctx.order = mesh_shape, order
        n_points = mesh_shape[0] * mesh_shape[1] * mesh_shape[2]
        mesh = torch.zeros(n_points, dtype=fractional.dtype, device=fractional.device)
        for atoms in _pieces(len(charges), order):
            index, (wx, wy, wz) = _footprint(fractional[atoms], mesh_shape, order)
            wx = charges[atoms, None] * wx
            values = (wx[:, :, None] * wy[:, None, :])[..., None] * wz[:, None, None, :]
            mesh.scatter_add_(0, index.flatten(), values.flatten())
        return mesh.reshape(mesh_shape)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        fractional, charges = ctx.saved_tensors
        gradient = gradient.flatten()
        potential = torch.empty_like(charges)
        force = torch.empty_like(fractional)
        for atoms in _pieces(len(charges), ctx.order):
            with torch.enable_grad():
                sites = fractional[atoms].detach().requires_grad_()
                index, (wx, wy, wz) = _footprint(sites, ctx.mesh_shape, ctx.order)
                field = gradient[index]
                field = (field * wz[:, None, None, :]).sum(-1)
                field = ((field * wy[:, None, :]).sum(-1) * wx).sum(-1)
                (slope,) = torch.autograd.grad(field.sum(), sites)
            potential[atoms] = field.detach()
            force[atoms] = charges[atoms, None] * slope
        return force, potential, None, None


def _pieces(n_atoms, order):
    """Yield slices of the atoms with :data:`PIECE` mesh points and weights each."""
    step = max(1, PIECE // order**3)
    return [slice(start, start + step) for start in range(0, n_atoms, step)]


def _footprint(fractional, mesh_shape, order):
    """Flat indices of the mesh points that charges touch, and the weights along each axis."""
    K = torch.tensor(mesh_shape, device=fractional.device)
    u = fractional * K
    below = torch.floor(u.detach())
    weights = spline_weights(u - below, order)  # [atom, axis, point]
    steps = torch.arange(1 - order // 2, order // 2 + 1, device=u.device)
    k = torch.remainder(below.long()[..., None] + steps, K[:, None])
    index = (k[:, 0, :, None] * K[1] + k[:, 1, None, :])[..., None] * K[2] + k[:, 2, None, None, :]
    return index, weights.unbind(1)
