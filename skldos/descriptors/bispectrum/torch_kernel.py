r"""The bispectrum in torch: differentiable, and for GPUs.

The same average over the sphere as in :mod:`skldos.descriptors.bispectrum.kernel`, but written as
dense matrix products over many points at once: the harmonics of the nodes of the rule are one
matrix per order, and :math:`f_j` at the nodes is its product with the coefficients.

It is differentiable by positions, weights, cell and points. Memory is bounded: points are processed
in chunks, and a chunk is recomputed in the backward pass.

On a GPU, without gradients, :mod:`skldos.descriptors.bispectrum._triton_kernel` computes the
coefficients and the averages if Triton is installed. Where gradients are required, on other devices
and without Triton, torch computes everything, as below.

**Cost** per point without gradients, at 2J = 10 in single precision: J + 1 = 11 functions at 1472
nodes, 26 neighbours in lists of 54. Launches per chunk of 33 000 points. Launches and traffic, the
inputs and outputs of all operations, were counted on the CPU. No GPU has been measured.

=========================== ====== ============== =============== =============== ================
step                        FLOP   torch: traffic torch: launches Triton: traffic Triton: launches
=========================== ====== ============== =============== =============== ================
neighbours, from bins       7 k    0.13 MB        91              0.13 MB         91
harmonics and coefficients  0.2 M  0.54 MB        807             0.02 MB         12
f_j, into one buffer        1.5 M  0.07 MB        11              0.07 MB         11
91 averages of products     0.32 M 1.28 MB        182             0.07 MB         1
together                    2.0 M  2.02 MB        1091            0.28 MB         115
=========================== ====== ============== =============== =============== ================

For 200³ points these are 16 TB and 264 000 launches by torch, 2.2 TB and 28 000 launches with
Triton. At 3.3 TB/s and 60 TFLOP/s, the peaks of an H100, and 4 µs per launch, that is 5 s and
0.7 s: 0.3 s for the neighbours, 0.2 s for the 12 TFLOP of f_j, 0.2 s for the averages. Kernels that
reach 70 % of the peaks take 1 s. The transfer of the result to the host, 2.9 GB, comes in addition.
"""

import warnings
from functools import lru_cache, partial
from importlib.util import find_spec
from math import pi, sqrt

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.cubature import sphere_rule
from skldos.descriptors.bispectrum.harmonics import (
    gegenbauer_coefficients,
    solid_harmonics,
    sphere_harmonics,
)
from skldos.descriptors.bispectrum.tables import cubature_degree
from skldos.descriptors.bispectrum.torch_neighbors import (
    BinnedNeighbors,
    padded_neighbors,
    visible_images,
)
from skldos.geometry.grid import grid_points

#: Memory for the functions at the nodes of a chunk, in bytes; other intermediate results need about
#: as much again. A GPU needs much work at once and has its own memory.
CHUNK_BYTES, CHUNK_BYTES_GPU = 1 << 28, 1 << 31
#: Memory for the neighbours of a point, in bytes, which is more if there are few functions.
NEIGHBOR_BYTES = 1 << 15


def grid_bispectrum(positions, weights, cell, grid_shape, *, start=0, stop=None, **settings):
    """Compute :func:`point_bispectrum` at grid points, which move with the cell, in C order."""
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
    r_cut=4.67637,
    rfac0=0.99363,
    rmin0=0.0,
    switch=True,
    dtype=None,
    chunk_size=None,
):
    """Bispectrum components at arbitrary points, with tensors in and out.

    Arguments are those of :func:`skldos.descriptors.bispectrum.point_bispectrum`. All tensors are
    on one device, and may require gradients. The displacements are converted to `dtype`, by default
    that of the positions; `chunk_size` points are computed at once, by default such that a chunk
    needs some hundred megabytes.
    """
    dtype = positions.dtype if dtype is None else dtype
    chunk_size = default_chunk(twojmax, dtype, points.device) if chunk_size is None else chunk_size
    settings = {"r_cut": r_cut, "rfac0": rfac0, "rmin0": rmin0, "switch": switch, "dtype": dtype}
    chunk = partial(chunk_bispectrum, twojmax=twojmax, **settings)
    atoms, images = visible_images(positions, cell, r_cut)
    inputs = images, weights[atoms], cell
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (points, *inputs)):
        rows = [
            checkpoint(chunk, piece, *inputs, use_reentrant=False)
            for piece in points.split(chunk_size)
        ]
    else:
        rows = [chunk(piece, *inputs) for piece in points.split(chunk_size)]
    return torch.cat(rows)


def default_chunk(twojmax, dtype, device):
    """Return the number of points whose functions fit into the memory limit."""
    n_nodes = len(sphere_rule(cubature_degree(twojmax))[1])
    room = CHUNK_BYTES if device.type == "cpu" else CHUNK_BYTES_GPU
    of_point = max(n_nodes * (twojmax + 1) * dtype.itemsize, NEIGHBOR_BYTES)
    return max(1, room // of_point)


def chunk_bispectrum(
    points,
    images,
    weights,
    cell,
    cutoffs=None,
    *,
    twojmax,
    r_cut,
    rfac0,
    rmin0,
    switch,
    dtype,
    find=None,
    buffers=None,
    fused=None,
):
    """Bispectrum of a chunk of points, given the images of the atoms around the cell.

    With `cutoffs`, a pair of tensors (n_points,) and (n_images,), a point sees an image within the
    sum of theirs, of which `r_cut` is the largest. `find` lists the neighbours, by default
    :func:`padded_neighbors`. With `buffers`, see :func:`chunk_buffers`, nothing large is allocated,
    and there are no gradients; with `fused`, see :func:`fused_kernels`, these kernels are used.
    """
    with torch.no_grad():
        # inv() would make the host wait, to check for singular matrices.
        turns = torch.floor(points @ torch.linalg.inv_ex(cell).inverse)
    points = points - turns @ cell
    with torch.no_grad():
        neighbor, valid = (find or padded_neighbors)(points, images, r_cut)
    displacements = images[neighbor] - points[:, None]
    if cutoffs is not None:
        # Scaled such that the cutoff of every neighbour becomes the largest one.
        stretch = r_cut / (cutoffs[0][:, None] + cutoffs[1][neighbor])
        displacements = displacements * stretch[..., None]
        valid = valid & (displacements.square().sum(dim=-1) < r_cut**2)
    # Missing neighbours are replaced by a harmless one *before* any function that is singular at
    # zero: masking only the result would leave NaN in the gradient.
    harmless = r_cut * torch.eye(3, dtype=displacements.dtype, device=displacements.device)[2]
    displacements = torch.where(valid[..., None], displacements, harmless).to(dtype)
    weights = torch.where(valid, weights[neighbor], torch.zeros_like(weights[:1])).to(dtype)

    g0, v, fade = map_to_sphere(displacements, r_cut, rfac0, rmin0, switch)
    harmonics = node_harmonics(twojmax, dtype, points.device)
    if fused is not None:
        c = fused.coefficients(g0, v, weights * fade, twojmax)
        F = buffers[: twojmax + 1, : len(points)]
        for j in range(twojmax + 1):
            torch.mm(c[j], harmonics[j], out=F[j])
        return fused.average_products(F)
    c = coefficients(g0, v, weights * fade, twojmax)
    if buffers is not None:
        return _averages_in_place(c, harmonics, buffers[:, : len(points)])
    F = torch.stack([c[j] @ harmonics[j] for j in by_parity(twojmax)], dim=1)  # [p, j, node]
    return average_products(F, c, twojmax)


def map_to_sphere(displacements, r_cut, rfac0, rmin0, switch):
    r"""Points of the sphere :math:`(g_0, v)` and switching functions of neighbours."""
    r = torch.linalg.vector_norm(displacements, dim=-1)
    t = (r - rmin0) / (r_cut - rmin0)
    theta0 = rfac0 * pi * t
    sine, cosine = torch.sin(theta0), torch.cos(theta0)
    # g = ±(cos θ0, sin θ0 r̂), with the sign of sin θ0
    g0 = torch.where(sine < 0, -cosine, cosine)
    v = (sine.abs() / r)[..., None] * displacements
    fade = 0.5 * (torch.cos(pi * t.clamp(0, 1)) + 1) if switch else torch.ones_like(r)
    return g0, v, fade


def coefficients(g0, v, s, jmax):
    """Coefficients in real harmonics of the self term and the neighbours, order by order.

    From :math:`g_0` and *s*, of shape (n_points, n_neighbors), and *v*, (n_points, n_neighbors, 3):
    tensors (n_points, (j + 1)²) for j = 0 ... jmax.
    """
    first, rise, fall = gegenbauer_coefficients(jmax)
    R = solid_harmonics(*v.unbind(-1), jmax)
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
    c = [torch.cat(columns, dim=1) for columns in orders]
    for j in range(jmax + 1):
        # The self term: Z_j00 at the pole
        c[j] = torch.cat([c[j][:, :1] + sqrt(j + 1), c[j][:, 1:]], dim=1)
    return c


@lru_cache(maxsize=8)
def node_harmonics(jmax, dtype, device):
    """Harmonics of each order at the nodes, times the cube root of the weights of the rule."""
    nodes, weights = sphere_rule(cubature_degree(jmax))
    return [
        torch.as_tensor(np.cbrt(weights) * sphere_harmonics(nodes, j), dtype=dtype, device=device)
        for j in range(jmax + 1)
    ]


def by_parity(jmax):
    """Even orders, then odd ones, so that the partners of a pair of orders are adjacent."""
    return [*range(0, jmax + 1, 2), *range(1, jmax + 1, 2)]


def pairs_of_orders(jmax):
    """Yield j, j1 <= j and the orders j2 <= j1 that couple to both; without order 0."""
    for j in range(1, jmax + 1):
        for j1 in range(1, j + 1):
            partners = [j2 for j2 in range(max(1, j - j1), j1 + 1) if (j + j1 + j2) % 2 == 0]
            if partners:
                yield j, j1, partners


def average_products(F, c, jmax):
    r""":math:`B_{j_1 j_2 j} = (j + 1) \langle f_{j_1} f_{j_2} f_j \rangle`.

    `F`, (n_points, jmax + 1, n_nodes), has the values of f_j at the nodes, in the order of
    :func:`by_parity`; the coefficients `c` give the components that contain the constant
    :math:`f_0`.
    """
    components = {}
    # One tensor per order: the gradient of a slice would be a tensor of the size of F, mostly
    # zeros.
    order = dict(zip(by_parity(jmax), F.unbind(1), strict=True))
    for j, j1, partners in pairs_of_orders(jmax):
        product = order[j] * order[j1]
        for j2 in partners:
            components[j1, j2, j] = (j + 1) * (product * order[j2]).sum(1)
    for j in range(jmax + 1):
        components[j, 0, j] = c[0][:, 0] * (c[j] ** 2).sum(1)
    return torch.stack([components[key] for key in bispectrum_components(jmax)], dim=1)


def chunk_buffers(size, twojmax, dtype, device):
    """Return memory for the functions at the nodes of this many points, and for one product."""
    n_nodes = node_harmonics(twojmax, dtype, device)[0].shape[1]
    return torch.empty((twojmax + 2, size, n_nodes), dtype=dtype, device=device)


def _averages_in_place(c, harmonics, buffers):
    """Compute :func:`average_products` in preallocated memory."""
    jmax, F, product = len(c) - 1, buffers[:-1], buffers[-1]
    place = {j: i for i, j in enumerate(by_parity(jmax))}
    for j, i in place.items():
        torch.mm(c[j], harmonics[j], out=F[i])
    components = {(j, 0, j): c[0][:, 0] * (c[j] ** 2).sum(1) for j in range(jmax + 1)}
    for j, j1, partners in pairs_of_orders(jmax):
        torch.mul(F[place[j]], F[place[j1]], out=product)
        # Partners are adjacent: one matrix product reads them all.
        first, last = place[partners[0]], place[partners[-1]]
        sums = torch.bmm(F[first : last + 1].transpose(0, 1), product[:, :, None])[..., 0]
        for j2 in partners:
            components[j1, j2, j] = (j + 1) * sums[:, place[j2] - first]
    return torch.stack([components[key] for key in bispectrum_components(jmax)], dim=1)


@lru_cache(maxsize=8)
def fused_kernels(device):
    """Return the module of the fused kernels if they run on a device, else None.

    Triton needs a GPU that it supports and, to start kernels, a C compiler. Without them the plain
    path of torch remains.
    """
    if device.type != "cuda" or find_spec("triton") is None:
        return None
    try:
        from skldos.descriptors.bispectrum import _triton_kernel

        _triton_kernel.average_products(torch.ones(1, 1, 1, device=device))
    except Exception as error:  # from Triton, the compiler or the driver
        warnings.warn(
            f"Triton does not work on {device} ({type(error).__name__}: {error}); the "
            "bispectrum is computed by torch, which takes longer.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return _triton_kernel


def cutoffs_of(reach, first, last, atoms):
    """Return the cutoffs of a chunk of points and images of `atoms`; None if all are equal."""
    if not len(reach.atoms):
        return None
    options = {"dtype": torch.float64, "device": atoms.device}
    of_atoms = torch.as_tensor(reach.atoms, **options)
    return torch.as_tensor(reach.points[first:last], **options), of_atoms[atoms]


@torch.no_grad()
def compute_blocks(problem, device, out):
    """Fill an array with the bispectrum of a problem."""
    points_of, positions, weights, cell, reach, _, settings = problem
    settings = dict(settings, r_cut=reach.largest, dtype=getattr(torch, settings["dtype"]))
    positions, weights, cell = (
        torch.as_tensor(array, dtype=torch.float64, device=device)
        for array in (positions, weights, cell)
    )
    r_cut, twojmax = settings["r_cut"], settings["twojmax"]
    atoms, images = visible_images(positions, cell, r_cut)
    if len(images) == 0:
        images, atoms = cell[:1] * 1e3, atoms.new_zeros(1)  # far from any point
        weights = weights.new_zeros(1)
    weights = weights[atoms]
    size = min(default_chunk(twojmax, settings["dtype"], positions.device), max(1, len(out)))
    settings["buffers"] = chunk_buffers(size, twojmax, settings["dtype"], positions.device)
    settings["fused"] = fused_kernels(positions.device)
    settings["find"] = find = BinnedNeighbors(images, cell, r_cut, len(positions))
    longest = 0
    while longest == 0 or longest > find.room:
        find.room = max(find.room, longest)
        for first in range(0, len(out), size):
            last = min(first + size, len(out))
            points = torch.as_tensor(points_of(first, last), dtype=torch.float64, device=device)
            cutoffs = cutoffs_of(reach, first, last, atoms)
            B = chunk_bispectrum(points, images, weights, cell, cutoffs, **settings)
            out[first:last] = B.cpu().numpy()
        longest = max(1, find.longest)
