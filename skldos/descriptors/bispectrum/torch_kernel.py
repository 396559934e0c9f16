r"""The bispectrum in torch: on a GPU, and differentiable.

The same average over the sphere as in :mod:`skldos.descriptors.bispectrum.kernel`, but written as
dense matrix products over many points at once: the harmonics of the nodes of the rule are one
matrix per order, and :math:`f_j` at the nodes is its product with the coefficients.

Gradients reach the positions, the weights, the cell and the points. Memory is bounded: points are
taken in chunks, and a chunk is computed again on the way back.
"""

from functools import lru_cache
from math import pi, sqrt

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.cubature import sphere_rule
from skldos.descriptors.bispectrum.harmonics import (
    gegenbauer_coefficients,
    solid_harmonic_coefficients,
    sphere_harmonics,
)
from skldos.descriptors.bispectrum.tables import cubature_degree
from skldos.geometry.grid import grid_points
from skldos.geometry.neighbors import SAME_SITE, periodic_images

#: Memory for the functions at the nodes of a chunk, in bytes; other intermediate results need about
#: as much again. A GPU needs much work at once and has memory of its own.
CHUNK_BYTES, CHUNK_BYTES_GPU = 1 << 28, 1 << 31


def grid_bispectrum(positions, weights, cell, grid_shape, *, start=0, stop=None, **settings):
    """Bispectrum components at grid points, with tensors in and out.

    Parameters
    ----------
    positions : Tensor of shape (n_atoms, 3)
        In Å. May require gradients.
    weights : Tensor of shape (n_atoms,)
        Weights of the atoms.
    cell : Tensor of shape (3, 3)
        Lattice vectors as rows, in Å; the grid moves with it.
    grid_shape : tuple of three int
        Number of points along each cell vector.
    start, stop : int, optional
        Block of flattened grid points.
    **settings
        See :func:`point_bispectrum`.

    Returns
    -------
    Tensor of shape (stop - start, n_components)

    Examples
    --------
    >>> cell = 4.0 * torch.eye(3, dtype=torch.float64)
    >>> atom = torch.zeros(1, 3, dtype=torch.float64)
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> tuple(grid_bispectrum(atom, one, cell, (2, 2, 2), twojmax=2).shape)
    (8, 5)
    """
    fractional = torch.as_tensor(
        grid_points(np.eye(3), grid_shape, start, stop), dtype=cell.dtype, device=cell.device
    )
    return point_bispectrum(fractional @ cell, positions, weights, cell, **settings)


def point_bispectrum(
    points,
    positions,
    weights,
    cell,
    *,
    twojmax=10,
    rcut=4.67637,
    rfac0=0.99363,
    rmin0=0.0,
    switch=True,
    dtype=None,
    chunk_size=None,
):
    """Bispectrum components at arbitrary points, with tensors in and out.

    Parameters
    ----------
    points : Tensor of shape (n_points, 3)
        In Å. May require gradients, as may all tensors here.
    positions : Tensor of shape (n_atoms, 3)
        In Å. All tensors are on one device.
    weights : Tensor of shape (n_atoms,)
        Weights of the atoms.
    cell : Tensor of shape (3, 3)
        Lattice vectors as rows, in Å.
    twojmax, rcut, rfac0, rmin0, switch
        See :func:`skldos.descriptors.bispectrum.grid_bispectrum`.
    dtype : torch.dtype, optional
        Precision of the computation once the displacements are known; by default that of the
        positions.
    chunk_size : int, optional
        Number of points computed at once; by default such that a chunk needs some hundred
        megabytes.

    Returns
    -------
    Tensor of shape (n_points, n_components)

    Examples
    --------
    >>> atom = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    >>> point = torch.tensor([[0.5, 1.0, 2.0]], dtype=torch.float64)
    >>> B = point_bispectrum(
    ...     point, atom, torch.ones(1).double(), 20 * torch.eye(3).double(), twojmax=2
    ... )
    >>> B.sum().backward()
    >>> bool(atom.grad.abs().max() > 0)
    True
    """
    dtype = positions.dtype if dtype is None else dtype
    chunk_size = default_chunk(twojmax, dtype, points.device) if chunk_size is None else chunk_size
    settings = {"twojmax": twojmax, "rcut": rcut, "rfac0": rfac0, "rmin0": rmin0, "switch": switch}
    atoms, images = visible_images(positions, cell, rcut)

    def chunk(points, images, weights, cell):
        return chunk_bispectrum(points, images, weights, cell, dtype=dtype, **settings)

    inputs = images, weights[atoms], cell
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (points, *inputs)):
        parts = [
            checkpoint(chunk, some, *inputs, use_reentrant=False)
            for some in points.split(chunk_size)
        ]
    else:
        parts = [chunk(some, *inputs) for some in points.split(chunk_size)]
    return torch.cat(parts)


def default_chunk(twojmax, dtype, device):
    """Give the number of points whose functions fit into the memory meant for them."""
    n_nodes = len(sphere_rule(cubature_degree(twojmax))[1])
    room = CHUNK_BYTES if device.type == "cpu" else CHUNK_BYTES_GPU
    return max(1, room // (n_nodes * (twojmax + 1) * dtype.itemsize))


def visible_images(positions, cell, rcut):
    """All images of the atoms within the cutoff of the cell: their atoms and positions."""
    atoms, shifts = periodic_images(
        positions.detach().double().cpu().numpy(), cell.detach().double().cpu().numpy(), rcut
    )
    atoms = torch.as_tensor(atoms, device=positions.device)
    shifts = torch.as_tensor(shifts, dtype=cell.dtype, device=cell.device)
    return atoms, positions[atoms] + shifts @ cell


def chunk_bispectrum(
    points, images, weights, cell, cutoffs=None, *, twojmax, rcut, rfac0, rmin0, switch, dtype
):
    """Bispectrum of a chunk of points, given the images of the atoms around the cell.

    With `cutoffs`, a pair of tensors (n_points,) and (n_images,), a point sees an image within the
    sum of theirs, of which `rcut` is the largest.
    """
    with torch.no_grad():
        turns = torch.floor(points @ torch.linalg.inv(cell))
    points = points - turns @ cell
    with torch.no_grad():
        neighbor, valid = padded_neighbors(points, images, rcut)
    displacements = images[neighbor] - points[:, None]
    if cutoffs is not None:
        # Scaled such that the cutoff of every neighbour becomes the largest one.
        stretch = rcut / (cutoffs[0][:, None] + cutoffs[1][neighbor])
        displacements = displacements * stretch[..., None]
        valid = valid & (displacements.square().sum(dim=-1) < rcut**2)
    # Where there is no neighbour a harmless one takes its place *before* any function that is
    # singular at zero: masking the result alone would leave NaN in the gradient.
    harmless = displacements.new_tensor([0.0, 0.0, rcut])
    displacements = torch.where(valid[..., None], displacements, harmless).to(dtype)
    weights = torch.where(valid, weights[neighbor], torch.zeros_like(weights[:1])).to(dtype)

    g0, v, fade = map_to_sphere(displacements, rcut, rfac0, rmin0, switch)
    c = coefficients(g0, v, weights * fade, twojmax)
    harmonics = node_harmonics(twojmax, dtype, points.device)
    F = torch.stack([c[j] @ harmonics[j] for j in by_parity(twojmax)], dim=1)  # [p, j, node]
    return average_products(F, c, twojmax)


def padded_neighbors(points, images, rcut):
    """List the images around each point, padded to the longest list.

    Returns
    -------
    neighbor : Tensor of shape (n_points, n_most)
        Indices; zero where there is no neighbour any more.
    valid : bool Tensor of shape (n_points, n_most)
    """
    near = torch.ones(len(images), dtype=torch.bool, device=images.device)
    for x in range(3):
        low, high = points[:, x].min() - rcut, points[:, x].max() + rcut
        near &= (images[:, x] >= low) & (images[:, x] <= high)
    near = near.nonzero()[:, 0]
    r2 = sum((points[:, None, x] - images[near, x]) ** 2 for x in range(3))
    point, image = ((r2 < rcut**2) & (r2 > SAME_SITE)).nonzero(as_tuple=True)
    counts = torch.bincount(point, minlength=len(points))
    first = torch.cumsum(counts, 0) - counts
    slot = torch.arange(len(point), device=point.device) - first[point]
    most = max(1, int(counts.max()))
    neighbor = torch.zeros(len(points), most, dtype=torch.long, device=point.device)
    valid = torch.zeros_like(neighbor, dtype=torch.bool)
    neighbor[point, slot] = near[image]
    valid[point, slot] = True
    return neighbor, valid


def map_to_sphere(displacements, rcut, rfac0, rmin0, switch):
    r"""Points of the sphere :math:`(g_0, v)` and switching functions of neighbours."""
    r = torch.linalg.vector_norm(displacements, dim=-1)
    t = (r - rmin0) / (rcut - rmin0)
    theta0 = rfac0 * pi * t
    sine, cosine = torch.sin(theta0), torch.cos(theta0)
    # g = ±(cos θ0, sin θ0 r̂), the sign being that of sin θ0
    g0 = torch.where(sine < 0, -cosine, cosine)
    v = (sine.abs() / r)[..., None] * displacements
    fade = 0.5 * (torch.cos(pi * t.clamp(0, 1)) + 1) if switch else torch.ones_like(r)
    return g0, v, fade


def coefficients(g0, v, s, jmax):
    """Coefficients in real harmonics of the self term and the neighbours, order by order.

    Parameters
    ----------
    g0, s : Tensor of shape (n_points, n_neighbors)
    v : Tensor of shape (n_points, n_neighbors, 3)
    jmax : int

    Returns
    -------
    list of Tensor of shape (n_points, (j + 1)**2)
        For j = 0 ... jmax.
    """
    first, rise, fall = gegenbauer_coefficients(jmax)
    R = solid_harmonics(v, jmax)
    orders = [[] for _ in range(jmax + 1)]
    for ell in range(jmax + 1):
        X = [s * first[ell]]
        for j in range(ell + 1, jmax + 1):
            X.append(rise[j, ell] * g0 * X[-1])
            if j > ell + 1:
                X[-1] = X[-1] - fall[j, ell] * X[-3]
        # c_jlm = Σ_k X_jl(g_k) R_lm(g_k)
        angular = torch.stack(R[ell * ell : (ell + 1) ** 2], dim=2)
        c = torch.stack(X, dim=1) @ angular  # [p, j - l, m]
        for j in range(ell, jmax + 1):
            orders[j].append(c[:, j - ell])
    c = [torch.cat(parts, dim=1) for parts in orders]
    for j in range(jmax + 1):
        # The self term: Z_j00 at the pole
        c[j] = torch.cat([c[j][:, :1] + sqrt(j + 1), c[j][:, 1:]], dim=1)
    return c


def solid_harmonics(v, lmax):
    """Real solid harmonics of vectors: a list over ``l * l + l + m``."""
    diagonal, rise, fall = solid_harmonic_coefficients(lmax)
    x, y, z = v.unbind(-1)
    v2 = x * x + y * y + z * z
    R = {(0, 0): torch.full_like(x, 1 / sqrt(4 * pi))}
    for ell in range(1, lmax + 1):
        cosine = R[ell - 1, ell - 1]
        sine = R[ell - 1, 1 - ell] if ell > 1 else torch.zeros_like(x)
        R[ell, ell] = diagonal[ell] * (x * cosine - y * sine)
        R[ell, -ell] = diagonal[ell] * (y * cosine + x * sine)
        for m in range(-ell + 1, ell):
            R[ell, m] = rise[ell, abs(m)] * z * R[ell - 1, m]
            if abs(m) <= ell - 2:
                R[ell, m] = R[ell, m] - fall[ell, abs(m)] * v2 * R[ell - 2, m]
    return [R[key] for key in sorted(R)]


@lru_cache(maxsize=8)
def node_harmonics(jmax, dtype, device):
    """Harmonics of each order at the nodes, times the cube root of the weights of the rule."""
    nodes, weights = sphere_rule(cubature_degree(jmax))
    return [
        torch.as_tensor(np.cbrt(weights) * sphere_harmonics(nodes, j), dtype=dtype, device=device)
        for j in range(jmax + 1)
    ]


def by_parity(jmax):
    """Even orders, then odd ones: the partners of a pair of orders follow each other."""
    return [*range(0, jmax + 1, 2), *range(1, jmax + 1, 2)]


def average_products(F, c, jmax):
    r""":math:`B_{j_1 j_2 j} = (j + 1) \langle f_{j_1} f_{j_2} f_j \rangle`.

    Parameters
    ----------
    F : Tensor of shape (n_points, jmax + 1, n_nodes)
        Values of f_j at the nodes, in the order of :func:`by_parity`.
    c : list of Tensor
        Coefficients, for the components that contain the constant :math:`f_0`.
    jmax : int

    Returns
    -------
    Tensor of shape (n_points, n_components)
    """
    found = {}
    # One tensor an order: of a slice, the gradient would be a tensor of the size of F, of zeros.
    order = dict(zip(by_parity(jmax), F.unbind(1), strict=True))
    for j in range(1, jmax + 1):
        for j1 in range(1, j + 1):
            partners = [j2 for j2 in range(max(1, j - j1), j1 + 1) if (j + j1 + j2) % 2 == 0]
            product = order[j] * order[j1] if partners else None
            for j2 in partners:
                found[j1, j2, j] = (j + 1) * (product * order[j2]).sum(1)
    for j in range(jmax + 1):
        found[j, 0, j] = c[0][:, 0] * (c[j] ** 2).sum(1)
    return torch.stack([found[key] for key in bispectrum_components(jmax)], dim=1)


def cutoffs_of(reach, first, last, atoms):
    """Return the cutoffs of a chunk of points and of images of `atoms`, or None if all are one."""
    if not len(reach.atoms):
        return None
    options = {"dtype": torch.float64, "device": atoms.device}
    of_atoms = torch.as_tensor(reach.atoms, **options)
    return torch.as_tensor(reach.points[first:last], **options), of_atoms[atoms]


@torch.no_grad()
def compute_blocks(points_of, positions, weights, cell, reach, settings, device, out):
    """Fill an array with the bispectrum of the points that ``points_of(first, last)`` gives."""
    settings = dict(settings, rcut=reach.largest, dtype=getattr(torch, settings["dtype"]))
    positions, weights, cell = (
        torch.as_tensor(array, dtype=torch.float64, device=device)
        for array in (positions, weights, cell)
    )
    atoms, images = visible_images(positions, cell, settings["rcut"])
    size = default_chunk(settings["twojmax"], settings["dtype"], positions.device)
    for first in range(0, len(out), size):
        last = min(first + size, len(out))
        points = torch.as_tensor(points_of(first, last), dtype=torch.float64, device=device)
        cutoffs = cutoffs_of(reach, first, last, atoms)
        B = chunk_bispectrum(points, images, weights[atoms], cell, cutoffs, **settings)
        out[first:last] = B.cpu().numpy()
