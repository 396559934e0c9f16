r"""Fused kernels of the bispectrum for GPUs, by Triton.

They replace the two parts of :mod:`skldos.descriptors.bispectrum.torch_kernel` that move the most
memory: the coefficients of a point, and the averages of all products of three functions. Between
them are the matrix products that give the functions at the nodes. They compute no gradients.

Triton is optional. PyTorch's CUDA builds for Linux install it; without it, torch computes the same.

**Averages.** One warp computes all components of a point. It goes through the nodes in tiles of 32,
one node per thread: a tile of a function is one coalesced access of 128 bytes in single precision.
All sums stay in registers, and are added up over the threads at the end. At 2J = 10 these are 91
sums and 11 functions per thread. Compiled for compute capability 9.0, the kernel takes 122
registers in single and 224 in double precision, without spilling, so that 16 and 9 points are in
flight per multiprocessor. Where registers do not suffice, the components are split into equal
groups, and each group reads the functions again.

**Coefficients.** A thread has one point and one l, and loops over the neighbours. All products of
the radial functions :math:`X_{jl}` with the harmonics :math:`R_{lm}` stay in registers: at most 66
sums at 2J = 10, which take 128 registers in single precision, with two values in local memory, and
no more than 254 in double. The recursions have constant coefficients and are unrolled.
"""

from functools import lru_cache
from itertools import pairwise
from math import pi, sqrt
from typing import NamedTuple

import torch
import triton
import triton.language as tl

from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.harmonics import (
    gegenbauer_coefficients,
    solid_harmonic_coefficients,
)

#: Registers of 32 bits per thread for sums and functions. A thread has 255 of them.
REGISTERS = 208
#: One warp per program: sums over threads need no shared memory. Fused multiply-add is Triton's
#: default, which is going to change.
OPTIONS = {"num_warps": 1, "enable_fp_fusion": True}
LANES = 32  # threads of a warp


def average_products(F):
    r"""Compute :math:`B_{j_1 j_2 j} = (j + 1) \langle f_{j_1} f_{j_2} f_j \rangle`.

    `F`, (jmax + 1, n_points, n_nodes) with contiguous nodes, has the values of f_j at the nodes,
    times the cube root of the weights of the rule.
    """
    n_orders, n_points, n_nodes = F.shape
    groups = component_groups(n_orders - 1, F.dtype.itemsize)
    out = F.new_empty(n_points, sum(map(len, groups)))
    with torch.cuda.device_of(F):
        for group in groups:
            _average_products[(n_points,)](
                F, out, *F.stride()[:2], out.shape[1],
                N_NODES=n_nodes, GROUP=group, N_ORDERS=n_orders, TILE=LANES, **OPTIONS,
            )  # fmt: skip
    return out


@lru_cache(maxsize=32)
def component_groups(jmax, itemsize):
    """Split the components, (index, j1, j2, j), into equal groups whose sums fit into registers."""
    components = tuple((i, *orders) for i, orders in enumerate(bispectrum_components(jmax)))
    most = max(1, REGISTERS * 4 // itemsize - (jmax + 1))
    n_groups = -(-len(components) // most)
    size = -(-len(components) // n_groups)
    return tuple(components[i : i + size] for i in range(0, len(components), size))


@triton.jit(do_not_specialize=["order_stride", "point_stride", "n_components"])
def _average_products(
    F,
    out,
    order_stride,
    point_stride,
    n_components,
    N_NODES: tl.constexpr,
    GROUP: tl.constexpr,
    N_ORDERS: tl.constexpr,
    TILE: tl.constexpr,
):
    point = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, TILE)
    zero = tl.zeros((TILE,), F.dtype.element_ty)
    sums = ()
    for _ in tl.static_range(len(GROUP)):
        sums += (zero,)
    for first in range(0, N_NODES, TILE):
        node = first + lane
        f = ()
        for j in tl.static_range(N_ORDERS):
            where = F + (j * order_stride.to(tl.int64) + point * point_stride) + node
            # Functions that no component of the group contains are not loaded by the compiler.
            if N_NODES % TILE == 0:
                f += (tl.load(where),)
            else:
                f += (tl.load(where, mask=node < N_NODES, other=0.0),)
        # The compiler finds the products of two functions that several components share.
        added = ()
        for i in tl.static_range(len(GROUP)):
            added += (sums[i] + f[GROUP[i][3]] * f[GROUP[i][1]] * f[GROUP[i][2]],)
        sums = added
    for i in tl.static_range(len(GROUP)):
        B = (GROUP[i][3] + 1) * tl.sum(sums[i])
        tl.store(out + point * n_components + GROUP[i][0], B)


def coefficients(g0, v, s, jmax):
    """Compute :func:`~skldos.descriptors.bispectrum.torch_kernel.coefficients`.

    Points are contiguous in the results, which is fast to write, and which matrix products can
    read.
    """
    n_points, n_neighbors = g0.shape
    # [quantity, neighbour, point]
    neighbors = torch.stack([s.T, g0.T, *v.permute(2, 1, 0)])
    starts = [j * (j + 1) * (2 * j + 1) // 6 for j in range(jmax + 2)]
    c = g0.new_empty(starts[-1], n_points)
    with torch.cuda.device_of(g0):
        for recursion in recursions(jmax):
            _coefficients[(triton.cdiv(n_points, LANES),)](
                neighbors, c, n_points, n_neighbors, **recursion._asdict(), TILE=LANES, **OPTIONS
            )
    return [c[first:last].T for first, last in pairwise(starts)]


class Recursion(NamedTuple):
    """Constants of the harmonics of one l, as nested tuples of numbers.

    Attributes
    ----------
    ROWS : tuple of int
        Where the coefficients of j = l ... jmax and m = -l begin.
    SELF : tuple of float
        Coefficients of the self term for m = 0.
    FIRST : float
        :math:`X_{ll}`.
    RADIAL : tuple of (float, float)
        From :math:`X_{jl}` to :math:`X_{j+1,l}`, for j = l ... jmax - 1.
    R00 : float
    DIAGONAL : tuple of float
        From :math:`R_{m-1,m-1}` to :math:`R_{mm}`, for m = 1 ... l.
    SOLID : tuple of tuple of (float, float)
        From :math:`R_{nm}` to :math:`R_{n+1,m}`, for m = 0 ... l and n = m ... l - 1.
    """

    ROWS: tuple
    SELF: tuple
    FIRST: float
    RADIAL: tuple
    R00: float
    DIAGONAL: tuple
    SOLID: tuple


@lru_cache(maxsize=32)
def recursions(jmax):
    """Return the :class:`Recursion` of every l."""
    first, *radial = (table.tolist() for table in gegenbauer_coefficients(jmax))
    diagonal, *solid = (table.tolist() for table in solid_harmonic_coefficients(jmax))

    def steps(tables, orders, column):
        return tuple((tables[0][j][column], tables[1][j][column]) for j in orders)

    return tuple(
        Recursion(
            tuple(j * (j + 1) * (2 * j + 1) // 6 + ell * ell for j in range(ell, jmax + 1)),
            tuple(sqrt(j + 1) if ell == 0 else 0.0 for j in range(ell, jmax + 1)),
            first[ell],
            steps(radial, range(ell + 1, jmax + 1), ell),
            1 / sqrt(4 * pi),
            tuple(diagonal[1 : ell + 1]),
            tuple(steps(solid, range(m + 1, ell + 1), m) for m in range(ell + 1)),
        )
        for ell in range(jmax + 1)
    )


@triton.jit(do_not_specialize=["n_points", "n_neighbors"])
def _coefficients(
    neighbors,
    c,
    n_points,
    n_neighbors,
    ROWS: tl.constexpr,
    SELF: tl.constexpr,
    FIRST: tl.constexpr,
    RADIAL: tl.constexpr,
    R00: tl.constexpr,
    DIAGONAL: tl.constexpr,
    SOLID: tl.constexpr,
    TILE: tl.constexpr,
):
    N_M: tl.constexpr = 2 * len(DIAGONAL) + 1
    stride = n_points.to(tl.int64)
    plane = n_neighbors * stride
    point = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    inside = point < n_points
    zero = tl.zeros((TILE,), c.dtype.element_ty)
    sums = ()
    for _ in tl.static_range(len(ROWS) * N_M):
        sums += (zero,)
    for k in range(n_neighbors):
        where = neighbors + k * stride + point
        s = tl.load(where, mask=inside, other=0.0)
        g0 = tl.load(where + plane, mask=inside, other=0.0)
        x = tl.load(where + 2 * plane, mask=inside, other=0.0)
        y = tl.load(where + 3 * plane, mask=inside, other=0.0)
        z = tl.load(where + 4 * plane, mask=inside, other=0.0)
        R = _solid_harmonics(x, y, z, R00, DIAGONAL, SOLID)
        X = s * FIRST
        before = zero
        # c_jlm = Σ_k X_jl(g_k) R_lm(g_k)
        added = ()
        for i in tl.static_range(len(ROWS)):
            if i > 0:
                after = RADIAL[i - 1][0] * g0 * X - RADIAL[i - 1][1] * before
                before = X
                X = after
            for m in tl.static_range(N_M):
                added += (sums[i * N_M + m] + X * R[m],)
        sums = added
    for i in tl.static_range(len(ROWS)):
        for m in tl.static_range(N_M):
            total = sums[i * N_M + m]
            if N_M == 1:
                total += SELF[i]
            tl.store(c + (ROWS[i] + m) * stride + point, total, mask=inside)


@triton.jit
def _solid_harmonics(x, y, z, R00: tl.constexpr, DIAGONAL: tl.constexpr, SOLID: tl.constexpr):
    """Real solid harmonics of one l, for m = -l ... l."""
    v2 = x * x + y * y + z * z
    # R_mm and R_m,-m
    cosine = tl.zeros_like(x) + R00
    sine = tl.zeros_like(x)
    R = (_rise(cosine, z, v2, SOLID[0]),)
    for m in tl.static_range(1, len(SOLID)):
        turned = DIAGONAL[m - 1] * (x * cosine - y * sine)
        sine = DIAGONAL[m - 1] * (y * cosine + x * sine)
        cosine = turned
        # Triton knows no unpacking.
        R = (_rise(sine, z, v2, SOLID[m]),) + R + (_rise(cosine, z, v2, SOLID[m]),)  # noqa: RUF005
    return R


@triton.jit
def _rise(R, z, v2, STEPS: tl.constexpr):
    """From R_mm to R_lm."""
    before = tl.zeros_like(R)
    for i in tl.static_range(len(STEPS)):
        after = STEPS[i][0] * z * R - STEPS[i][1] * v2 * before
        before = R
        R = after
    return R
