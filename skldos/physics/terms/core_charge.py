r"""Pseudo-core charge of the atoms on a grid, for the nonlinear core correction.

.. math::
    n_c(r) = \frac1\Omega \sum_G e^{i G \cdot r} \sum_s S_s(G)\, f_s(G), \qquad
    f_s(G) = 4\pi \int r^2 n_s(r) \frac{\sin G r}{G r}\, dr

with the structure factor *S* and the radial pseudo-core charge *n_s* of every species. The radial
integral is pw.x's: Simpson's rule on the mesh of the pseudopotential, cut at 10 Bohr.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch

from skldos.geometry import check_cell, check_grid_shape, check_positions
from skldos.physics.arrays import same_kind_out
from skldos.physics.fourier import GRID_AXES, in_sphere, wave_vectors
from skldos.physics.terms.checks import check_density_cutoff
from skldos.physics.terms.particle_mesh import PIECE, map_blocks, mesh_structure_factors, phases
from skldos.units import BOHR
from skldos.validation import check_option, check_shape

METHODS = ("auto", "direct", "mesh")
#: Radius in Å up to which pw.x integrates over the radial mesh.
RADIAL_CUTOFF = 10 * BOHR
#: Order of the splines on a mesh with twice the points along each axis. The relative error of the
#: waves is 5e-8 in the corners of the grid, where a core charge is small, and less inside.
SPLINE_ORDER = 16
#: The mesh is faster from this number of atoms of one species.
MANY_ATOMS = 1000
#: Chebyshev polynomials beyond half the product of the largest G and r: enough for 1e-15.
EXTRA_TERMS = 40


def has_core_charge(pseudopotentials):
    """Return whether any of the pseudopotentials has a core charge.

    Parameters
    ----------
    pseudopotentials : mapping of str to Pseudopotential
        By chemical symbol.

    Returns
    -------
    bool
    """
    return any(p.core_density is not None for p in pseudopotentials.values())


@same_kind_out("positions", "cell")
def core_charge(
    positions, cell, grid_shape, symbols, pseudopotentials, *, density_cutoff=None, method="auto"
):
    r"""Pseudo-core charge :math:`n_c(r)` of all atoms on a grid.

    Parameters
    ----------
    positions : tensor or ndarray of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    grid_shape : tuple of 3 int
        Points along each of them.
    symbols : sequence of str
        Chemical symbol of each atom.
    pseudopotentials : mapping of str to Pseudopotential
        By chemical symbol; those without a core charge contribute nothing.
    density_cutoff : float, optional
        Kinetic energy in eV up to which waves are kept (pw.x's ecutrho); by default all of the
        grid. The frequency n/2 of an even grid, whose sign is ambiguous, is always left out.
    method : {"auto", "direct", "mesh"}, default="auto"
        ``"direct"`` computes exact structure factors, in a time proportional to the number of atoms
        times the number of grid points. ``"mesh"`` uses a particle mesh with eight times the points
        of the grid. ``"auto"`` takes the faster one for this number of atoms.

    Returns
    -------
    tensor or ndarray of shape grid_shape
        In 1/Å³; differentiable with respect to positions and cell. It may be slightly negative,
        because the waves are cut off.

    Raises
    ------
    ValueError
        If shapes disagree, an atom has no pseudopotential, or no pseudopotential has a core
        charge.

    Examples
    --------
    >>> from skldos.physics.pseudopotential import Pseudopotential
    >>> r = np.linspace(0, 5, 501)
    >>> gaussian = {"radii": r, "radial_weights": np.full(501, 0.01), "core_density": np.exp(-r**2)}
    >>> na = {"Na": Pseudopotential("Na", 1, **gaussian)}
    >>> n = core_charge(np.zeros((1, 3)), 6 * np.eye(3), (18, 18, 18), ["Na"], na)
    >>> float(n[0, 0, 0].round(6)), float(n[3, 0, 0].round(6))
    (1.0, 0.367879)
    """
    check_option("method", method, METHODS)
    grid_shape = check_grid_shape(grid_shape)
    density_cutoff = check_density_cutoff(density_cutoff)
    check_cell(cell.detach().cpu().numpy())
    species = _atoms_of_species(positions, symbols, pseudopotentials)

    G = wave_vectors(cell, grid_shape)
    mask = in_sphere(G, density_cutoff) & _has_sign(grid_shape, G.device)
    G2 = (G[mask] ** 2).sum(-1)
    fractional = positions @ torch.linalg.inv(cell)
    fractional = fractional - torch.floor(fractional.detach())
    n = torch.zeros(len(G2), dtype=torch.complex128, device=G.device)
    for symbol, atoms in species.items():
        S = _structure_factors(fractional[atoms], grid_shape, method)
        n = n + S[mask] * form_factor(G2, pseudopotentials[symbol])
    # n_c(G) = Σ_s S_s(G) f_s(G) / Ω
    n = n / torch.linalg.det(cell).abs()
    n_G = torch.zeros(mask.shape, dtype=n.dtype, device=n.device).index_put((mask,), n)
    return torch.fft.irfftn(n_G, s=grid_shape, dim=GRID_AXES, norm="forward")


def form_factor(G2, pseudopotential):
    """Radial Fourier transform :math:`f(G)` of the core charge of one atom, for G² in 1/Å².

    The charge vanishes beyond a radius R. Therefore f is an entire function of G², and its
    Chebyshev series converges after about G R / 2 terms. It is differentiable any number of times,
    also at G = 0, where it is the total charge.
    """
    radii, charges = _shells(pseudopotential)
    top = max(1.0, G2.detach().max().item() if len(G2) else 0.0)
    n = math.ceil(math.sqrt(top) * radii[-1] / 2) + EXTRA_TERMS
    angles = np.pi * (np.arange(n) + 0.5) / n
    G = np.sqrt(top * (1 + np.cos(angles)) / 2)
    # f(G) = Σ_i 4π r_i² n_s(r_i) w_i sin(G r_i) / (G r_i)
    f = np.sinc(G[:, None] * radii / np.pi) @ charges
    series = 2 / n * np.cos(np.arange(n)[:, None] * angles) @ f
    series[0] /= 2
    return _Chebyshev.apply(2 * G2 / top - 1, series)


def _shells(pseudopotential):
    """Radii up to pw.x's limit, and the charge 4π r² n(r) dr of each with Simpson's weights."""
    r = pseudopotential.radii
    # pw.x: the first radius beyond 10 Bohr is the last; the number of points is odd.
    n = min(len(r), int(np.searchsorted(r, RADIAL_CUTOFF, side="right")) + 1)
    n -= 1 - n % 2
    simpson = np.where(np.arange(n) % 2 == 0, 2.0, 4.0)
    simpson[[0, -1]] = 1.0
    shell = 4 * np.pi * r[:n] ** 2 * pseudopotential.core_density[:n]
    return r[:n], shell * pseudopotential.radial_weights[:n] * simpson / 3


class _Chebyshev(torch.autograd.Function):
    """Chebyshev series at x in [-1, 1] by Clenshaw's recurrence; so is its derivative."""

    @staticmethod
    def forward(ctx, x, series):
        ctx.save_for_backward(x)
        ctx.series = series
        # Pieces that stay in the cache
        pieces = [_clenshaw(piece, series.tolist()) for piece in x.split(2**14)]
        return torch.cat(pieces) if pieces else torch.zeros_like(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        derivative = np.polynomial.chebyshev.chebder(ctx.series)
        return gradient * _Chebyshev.apply(x, derivative), None


def _clenshaw(x, series):
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for coefficient in reversed(series[1:]):
        first, second = 2 * x * first - second + coefficient, first
    return x * first - second + series[0]


def _has_sign(grid_shape, device):
    """Return for each wave whether the signs of its frequencies are unambiguous on the grid."""
    along = [2 * torch.arange(n, device=device) != n for n in grid_shape]
    x, y, z = *along[:2], along[2][: grid_shape[2] // 2 + 1]
    return x[:, None, None] & y[:, None] & z


def _structure_factors(fractional, grid_shape, method):
    """Sum of the phases of atoms, for the waves of a grid."""
    if method == "auto":
        method = "mesh" if len(fractional) >= MANY_ATOMS else "direct"
    like = {"dtype": fractional.dtype, "device": fractional.device}
    nx, ny, nz = grid_shape
    mx, my = torch.fft.fftfreq(nx, 1 / nx, **like), torch.fft.fftfreq(ny, 1 / ny, **like)
    mz = torch.arange(nz // 2 + 1, **like)
    if method == "mesh":
        mesh = tuple(2 * n for n in grid_shape)
        S = mesh_structure_factors(
            fractional, torch.ones_like(fractional[:, 0]), mesh, SPLINE_ORDER
        )
        x, y, z = (torch.remainder(m.long(), n) for m, n in zip((mx, my, mz), mesh, strict=True))
        return S[x][:, y][:, :, z]

    px, py, pz = (phases(fractional[:, axis], m) for axis, m in enumerate((mx, my, mz)))

    def block(px, py, pz, start, stop):
        columns = px[:, start:stop, None] * py[:, None, :]
        return (columns.flatten(1).T @ pz).reshape(stop - start, ny, -1)

    step = max(1, PIECE // 4 // (ny * len(fractional)))
    return torch.cat(list(map_blocks(block, (px, py, pz), nx, step)))


def _atoms_of_species(positions, symbols, pseudopotentials):
    """Check the arguments and return the indices of the atoms of each species with a core."""
    check_shape("positions", positions, (None, 3))
    check_positions(positions.detach().cpu().numpy())
    if not isinstance(pseudopotentials, Mapping):
        raise TypeError(
            "pseudopotentials must be a mapping of chemical symbols to Pseudopotential, got "
            f"{type(pseudopotentials).__name__}."
        )
    if len(symbols) != len(positions):
        raise ValueError(
            f"symbols must have one symbol per position, {len(positions)}, got {len(symbols)}."
        )
    missing = sorted(set(symbols) - set(pseudopotentials))
    if missing:
        raise ValueError(
            f"pseudopotentials must have one for each of the symbols, got none for {missing}."
        )
    if not has_core_charge(pseudopotentials):
        raise ValueError("pseudopotentials must have one with a core charge, got none.")
    species = {}
    for atom, symbol in enumerate(symbols):
        if pseudopotentials[symbol].core_density is not None:
            species.setdefault(symbol, []).append(atom)
    return species
