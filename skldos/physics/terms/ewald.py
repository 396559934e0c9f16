r"""Electrostatic energy of point charges in a periodic cell, by Ewald's summation.

.. math::
    E = \frac{e^2}{4\pi\varepsilon_0} \Big[ \frac12 \sum_{ijn}{}' q_i q_j
        \frac{\operatorname{erfc}(\alpha r_{ijn})}{r_{ijn}}
      + \frac{2\pi}{\Omega} \sum_{G \ne 0} \frac{e^{-G^2/4\alpha^2}}{G^2} |S(G)|^2
      - \frac{\alpha}{\sqrt\pi} \sum_i q_i^2 - \frac{\pi Q^2}{2 \Omega \alpha^2} \Big]

The last term is the energy of the uniform background that neutralises a total charge *Q*. The
splitting α affects only the cost, which is smallest

- with all waves summed exactly (``"direct"``) for :math:`\alpha \propto (N/\Omega^2)^{1/6}`,
  and grows as :math:`N^{3/2}`,
- with the structure factors of a particle mesh (``"mesh"``) for
  :math:`\alpha \propto (N/\Omega)^{1/3}`, and grows as :math:`N \log N`.

skldos does not use torch-pme, because its splines of up to seven points need a mesh forty times
larger for a relative error of 1e-11 (128³ instead of 36³ points for 256 atoms of aluminium), and
because it would be another dependency.
"""

import math

import numpy as np
import torch
from scipy.fft import next_fast_len

from skldos.geometry import bin_neighbors, check_cell, check_positions
from skldos.geometry.pairs import find_pairs
from skldos.physics.arrays import same_kind_out
from skldos.physics.fourier import pair_weights
from skldos.physics.terms.particle_mesh import PIECE, map_blocks, mesh_structure_factors, phases
from skldos.physics.terms.slab import check_boundary, slab_factor
from skldos.units import COULOMB
from skldos.validation import check_finite, check_option, check_scalar, check_shape

METHODS = ("auto", "direct", "mesh")
#: Smallest distance of two nuclei, in Å.
MIN_DISTANCE = 0.01
#: Both sums end where their Gaussian is exp(-reach²): 1e-17, or 1e-13 with a mesh, whose own error
#: is larger.
REACH_DIRECT, REACH_MESH = 6.2, 5.5
#: Order of the splines, and mesh spacing in units of 1/α; the relative error is at most 2e-11,
#: measured on crystals, liquids and random charges.
SPLINE_ORDER, MESH_SPACING = 12, 0.22
#: Best α in units of (N/Ω²)^(1/6) and (N/Ω)^(1/3), and the number of atoms from which the mesh
#: is faster, all measured on one core.
SPLITTING_DIRECT, SPLITTING_MESH, MANY_ATOMS = 4.5, 1.3, 500
#: Smallest allowed difference, in Å, between the cutoff distance and the thickness of a slab.
LEAST_CLEARANCE = 1.0
#: Smallest number of atoms, or columns of waves, in one block of a sum.
SMALLEST_BLOCK = 16


@same_kind_out("positions", "cell", "charges")
def ewald(positions, cell, charges, *, method="auto", splitting=None, assume_isolated=None):
    r"""Electrostatic energy of point charges, and a neutralising background, in a periodic cell.

    For ions with their valence charges, pw.x calls this the Ewald contribution; it is negative for
    an equilibrium structure. Atoms may lie outside the cell, and the cell may have any shape.

    Parameters
    ----------
    positions : tensor or ndarray of shape (n_atoms, 3)
        Cartesian, in Å.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    charges : tensor or ndarray of shape (n_atoms,)
        In units of the elementary charge; the valence, for ions.
    method : {"auto", "direct", "mesh"}, default="auto"
        ``"direct"`` is exact to rounding (a relative 1e-13) in a time of :math:`N^{3/2}`.
        ``"mesh"`` is accurate to a relative 1e-10 and takes a time of :math:`N \log N`. ``"auto"``
        takes the faster one for this number of atoms.
    splitting : float, optional
        α of the error function in 1/Å; by default the cheapest. It does not change the result.
    assume_isolated : {"2D"}, optional
        For an isolated slab, as in :func:`hartree`; its atoms must lie within less than half the
        height of the cell.

    Returns
    -------
    tensor or float
        In eV; differentiable with respect to all three arguments: once with a mesh, any number of
        times without.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite, the cell spans no volume, or two atoms coincide.

    Examples
    --------
    The cohesion of an ionic crystal, NaCl with edges of 5.64 Å, per ion pair:

    >>> import numpy as np
    >>> fcc = 2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    >>> float(ewald([[0, 0, 0], [2.82, 0, 0]], fcc, [1, -1]).round(6))
    -8.923514
    """
    check_option("method", method, METHODS)
    slab = None if assume_isolated is None else cell
    positions, cell = _in_reduced_cell(positions, cell, charges)
    check_boundary(assume_isolated, slab)
    n_atoms, volume = len(charges), torch.linalg.det(cell).abs()
    if method == "auto":
        method = "mesh" if n_atoms >= MANY_ATOMS else "direct"
    if splitting is not None:
        alpha = check_scalar("splitting", splitting, low=0, strict=True)
    elif method == "mesh":
        alpha = SPLITTING_MESH * (n_atoms / volume.item()) ** (1 / 3)
    else:
        alpha = SPLITTING_DIRECT * (n_atoms / volume.item() ** 2) ** (1 / 6)

    reach = REACH_MESH if method == "mesh" else REACH_DIRECT
    if slab is not None:
        # No pair of the real-space sum reaches an image across the vacuum.
        alpha = max(alpha, reach / _clearance(positions, slab))
    waves = _waves_of_mesh if method == "mesh" else _waves_of_sphere
    energy = _real_space(positions, cell, charges, alpha, reach / alpha)
    energy = energy + waves(positions, cell, charges, alpha, slab)
    energy = energy - alpha / math.sqrt(math.pi) * (charges**2).sum()
    if slab is None:
        energy = energy - math.pi / (2 * alpha**2) * charges.sum() ** 2 / volume
    check_finite("the Ewald energy", energy.detach().cpu().numpy())
    return COULOMB * energy


def _clearance(positions, slab):
    """Return half the height of the cell minus the thickness of the slab."""
    normal = slab[2].detach() / torch.linalg.vector_norm(slab[2].detach())
    height = torch.linalg.vector_norm(slab[2].detach()).item()
    along = np.sort((positions.detach() @ normal).cpu().numpy() % height)
    # The vacuum is the widest gap between neighbours along the normal, around the cell.
    gaps = np.diff(np.append(along, along[0] + height))
    thickness = height - gaps.max()
    if thickness > height / 2 - LEAST_CLEARANCE:
        raise ValueError(
            f"assume_isolated='2D' needs atoms within half the cell along its normal, less "
            f"{LEAST_CLEARANCE} Å, got atoms over {thickness:.3f} of {height:.3f} Å: add vacuum."
        )
    return height / 2 - thickness


def _in_reduced_cell(positions, cell, charges):
    """Check the arguments and return positions within the most compact cell of the lattice."""
    check_shape("positions", positions, (None, 3))
    check_shape("charges", charges, (len(positions),))
    if len(positions) == 0:
        raise ValueError("positions must have at least one atom, got none.")
    check_positions(positions.detach().cpu().numpy())
    check_finite("charges", charges.detach().cpu().numpy())
    turns = _reduction(check_cell(cell.detach().cpu().numpy()))
    # Integer combinations of the given cell vectors, so that derivatives refer to the given cell.
    cell = torch.from_numpy(turns).to(cell) @ cell
    home = torch.floor(positions.detach() @ torch.linalg.inv(cell.detach()))
    return positions - home @ cell, cell


def _reduction(cell):
    """Return the integer matrix that turns a cell into short vectors of the same lattice.

    Each vector is shortened by the others until no vector can be shortened further. Neither sum
    then includes the many images of a needlessly skewed cell.
    """
    turns = np.eye(3)
    for _ in range(1000):
        short = turns @ cell
        order = np.argsort((short**2).sum(1), kind="stable")
        turns, short = turns[order], short[order]
        (a, b), c = short[:2], short[2]
        if round(a @ b / (a @ a)) != 0:
            turns[1] -= round(a @ b / (a @ a)) * turns[0]
            continue
        # The lattice point of the plane of a and b that is closest to c.
        step = np.round(np.linalg.lstsq(short[:2].T, c, rcond=None)[0])
        trials = [np.add(step, (i, j)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        best = min(trials, key=lambda step: ((c - step @ short[:2]) ** 2).sum())
        if ((c - best @ short[:2]) ** 2).sum() >= (c @ c) * (1 - 1e-12):
            break
        turns[2] -= best @ turns[:2]
    return turns


def _real_space(positions, cell, charges, alpha, r_cut):
    """Sum over all pairs within a cutoff, a block of first atoms at a time."""
    sites = positions.detach().cpu().numpy()
    bins = bin_neighbors(sites, cell.detach().cpu().numpy(), r_cut)

    def block(positions, cell, charges, start, stop):
        pairs = find_pairs(sites, bins, start, stop)
        first, second, shifts = (torch.from_numpy(array).to(positions.device) for array in pairs)
        # index_select, because plain indexing has a slow derivative
        r = positions.index_select(0, second) - positions.index_select(0, first)
        r = r + shifts.to(cell.dtype) @ cell
        r = torch.linalg.vector_norm(r, dim=1)
        _check_distances(r.detach(), first, second)
        # Σ q_i q_j erfc(α r) / r, every pair once
        q = charges.index_select(0, first) * charges.index_select(0, second)
        return (q * torch.erfc(alpha * r) / r).sum()

    density = len(charges) / torch.linalg.det(cell.detach()).abs().item()
    pairs_per_atom = 2 / 3 * math.pi * r_cut**3 * density
    # A pair takes about ten intermediate numbers.
    step = max(SMALLEST_BLOCK, int(PIECE / 10 / pairs_per_atom))
    return sum(map_blocks(block, (positions, cell, charges), len(charges), step))


def _check_distances(r, first, second):
    """Raise a ``ValueError`` if any two atoms of a list of pairs coincide."""
    if len(r) and r.min() < MIN_DISTANCE:
        at = int(r.argmin())
        raise ValueError(
            f"positions must be at least {MIN_DISTANCE} Å apart, got {r[at].item():.3g} Å between "
            f"atoms {first[at].item()} and {second[at].item()} or an image of it."
        )


def _waves_of_sphere(positions, cell, charges, alpha, slab):
    """Reciprocal sum over the waves of a sphere, with exact structure factors."""
    reciprocal = torch.linalg.inv(cell).T  # without the 2π
    s = positions @ reciprocal.T
    mx, my, mz = (m.to(s) for m in _sphere(cell.detach().cpu(), 2 * alpha * REACH_DIRECT))
    top = mx.abs().max(), my.abs().max()
    px, py = (phases(s[:, axis], torch.arange(-m, m + 1).to(s)) for axis, m in enumerate(top))
    pz = phases(s[:, 2], mz)

    def block(px, py, pz, charges, reciprocal, start, stop):
        x, y = mx[start:stop], my[start:stop]
        # S(m) = Σ_j q_j e^{-2πi m·s_j}, for all columns (m_x, m_y) at once
        S = px[:, (x + top[0]).long()] * py[:, (y + top[1]).long()] * charges[:, None]
        S = S.T @ pz
        m = torch.stack(torch.broadcast_tensors(x[:, None], y[:, None], mz), dim=-1)
        # Only the wave with m_z ≥ 0 of each pair G, -G is included.
        weights = 2.0 - (mz == 0).to(s)
        return (weights * _kernel(m @ reciprocal, alpha, slab) * _power(S)).sum()

    step = max(SMALLEST_BLOCK, PIECE // 4 // max(len(charges), len(mz)))
    total = sum(map_blocks(block, (px, py, pz, charges, reciprocal), len(mx), step))
    return total / (2 * math.pi * torch.linalg.det(cell).abs())


def _sphere(cell, g_max):
    """Frequencies whose waves fill a sphere: columns (m_x, m_y), and m_z from zero up."""
    # |m_i| = |G · a_i| / 2π ≤ G_max |a_i| / 2π
    tops = (g_max / (2 * math.pi) * torch.linalg.vector_norm(cell, dim=1)).floor().tolist()
    mx, my = (torch.arange(-top, top + 1, dtype=cell.dtype) for top in tops[:2])
    m = torch.cartesian_prod(mx, my)
    b = 2 * math.pi * torch.linalg.inv(cell).T
    # A column is a line along b_z; it crosses the sphere if it is close enough to the origin.
    line = m @ b[:2]
    line = line - (line @ b[2])[:, None] * b[2] / (b[2] @ b[2])
    m = m[(line**2).sum(1) <= g_max**2]
    return m[:, 0], m[:, 1], torch.arange(0, tops[2] + 1, dtype=cell.dtype)


def _waves_of_mesh(positions, cell, charges, alpha, slab):
    """Reciprocal sum over the waves of a mesh, with its structure factors."""
    reciprocal = torch.linalg.inv(cell).T
    edges = torch.linalg.vector_norm(cell.detach(), dim=1)
    shape = [
        next_fast_len(math.ceil(edge * alpha / MESH_SPACING), real=True) for edge in edges.tolist()
    ]
    S = mesh_structure_factors(positions @ reciprocal.T, charges, shape, SPLINE_ORDER)
    mx, my = (torch.fft.fftfreq(n, 1 / n).to(edges) for n in shape[:2])
    mz = torch.arange(shape[2] // 2 + 1).to(edges)
    weights = pair_weights(shape, device=S.device)

    def block(S, reciprocal, start, stop):
        m = torch.meshgrid(mx[start:stop], my, mz, indexing="ij")
        kernel = _kernel(torch.stack(m, dim=-1) @ reciprocal, alpha, slab)
        return (weights * kernel * _power(S[start:stop])).sum()

    step = max(1, PIECE // 8 // (len(my) * len(mz)))
    total = sum(map_blocks(block, (S, reciprocal), len(mx), step))
    return total / (2 * math.pi * torch.linalg.det(cell).abs())


def _kernel(g, alpha, slab):
    r"""Weight :math:`e^{-\pi^2 g^2/\alpha^2} / g^2` of the waves g = G/2π, none for G = 0.

    In the cell of a `slab`, multiplied by the factor that cuts off the interaction.
    """
    g2 = (g**2).sum(-1)
    # The uniform background cancels G = 0.
    zero = g2 == 0
    g2 = torch.where(zero, 1.0, g2)
    kernel = torch.where(zero, 0.0, torch.exp(-((math.pi / alpha) ** 2) * g2) / g2)
    return kernel if slab is None else kernel * slab_factor(2 * math.pi * g, slab)


def _power(S):
    """|S|², whose derivative exists where S vanishes."""
    return S.real**2 + S.imag**2
