r"""The exchange-correlation energy of a density on a grid, and its derivative."""

import functools

import numpy as np
import torch

from skldos.physics.arrays import same_kind_out
from skldos.physics.fourier import GRID_AXES, wave_vectors
from skldos.physics.terms.checks import check_density, check_range
from skldos.physics.terms.low_pass import filtered
from skldos.physics.terms.xc import pbe, perdew_wang, perdew_zunger, slater
from skldos.physics.terms.xc._pieces import in_pieces
from skldos.units import BOHR, HARTREE
from skldos.validation import check_option

# Thresholds of pw.x: it leaves out points below the first (n in 1/bohr³), and gradient corrections
# below the others (n in 1/bohr³, |∇n|² in 1/bohr⁸). For a molecule in a box of 190 Å³ they change
# the energy by 0.03 meV.
SMALLEST_DENSITY = 1e-10
SMALLEST_CORRECTED_DENSITY = 1e-6
SMALLEST_CORRECTED_GRADIENT2 = 1e-10


def _uniform(n, *, correlation):
    return slater.exchange(n) + correlation(n)


def _gradient_correction(n, gradient2, *, mu, beta):
    return pbe.exchange(n, gradient2, mu=mu) + pbe.correlation(n, gradient2, beta=beta)


_PZ = functools.partial(_uniform, correlation=perdew_zunger.correlation)
_PW = functools.partial(_uniform, correlation=perdew_wang.correlation)
_PBE = functools.partial(_gradient_correction, mu=pbe.MU, beta=pbe.BETA)
_PBESOL = functools.partial(_gradient_correction, mu=pbe.MU_SOL, beta=pbe.BETA_SOL)
#: Energies per electron of each functional: of the uniform gas, and the gradient correction.
FUNCTIONALS = {
    "lda-pz": (_PZ, None),
    "lda-pw": (_PW, None),
    "pbe": (_PW, _PBE),
    "pbesol": (_PW, _PBESOL),
}


def exchange_correlation(density, cell, *, functional, core_density=None, density_cutoff=None):
    r"""Exchange-correlation energy and potential of a periodic density.

    .. math::

        E_{xc} = \int \varepsilon_{xc}(n, |\nabla n|)\; n\, dr, \qquad n = n_v + n_c, \qquad
        v_{xc}(r) = \frac{\delta E_{xc}}{\delta n_v(r)}

    The integral is a sum over the grid, and the gradient is taken in reciprocal space on the
    same grid, as pw.x does [1]_. The potential is the derivative of that sum, to rounding. It can
    be differentiated again, because the total energy contains :math:`-\int n_v v_{xc}`.

    As in pw.x, :math:`\varepsilon_{xc}(|n|)` is used for a negative n, so densities from ultrasoft
    pseudopotentials or from predictions need no clipping. Very small n and gradients are left out.

    Parameters
    ----------
    density : tensor or ndarray of shape (..., n_x, n_y, n_z)
        Density n_v of the valence electrons in 1/Å³; leading axes are batches.
    cell : tensor or ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}
        The LDA is Slater exchange with the correlation of Perdew and Zunger, or of Perdew and Wang.
        The generalised gradient approximations build on the latter.
    core_density : tensor or ndarray of shape (..., n_x, n_y, n_z), optional
        Pseudo-core charge n_c in 1/Å³ (nonlinear core correction); it is not filtered.
    density_cutoff : float, optional
        Kinetic energy in eV; plane waves of n_v beyond it are removed first (ecutrho of pw.x). The
        potential, the derivative with respect to the unfiltered density, then has none of them
        either.

    Returns
    -------
    energy : tensor, ndarray or float of shape (...)
        In eV.
    potential : tensor or ndarray of shape (..., n_x, n_y, n_z)
        In eV.

    Raises
    ------
    ValueError
        If the functional is unknown, a density is not on the grid or not finite, the cell is
        flat or the cutoff not positive.

    References
    ----------
    .. [1] J. A. White and D. M. Bird, "Implementation of gradient-corrected
       exchange-correlation potentials in Car-Parrinello total-energy calculations",
       Phys. Rev. B 50, 4954 (1994).

    Examples
    --------
    >>> density = np.full((4, 4, 4), 0.2)
    >>> energy, potential = exchange_correlation(density, 4 * np.eye(3), functional="lda-pz")
    >>> print(f"{energy:.4f} {potential[0, 0, 0]:.4f}")
    -95.2974 -9.7011
    """
    check_option("functional", functional, tuple(FUNCTIONALS))
    if core_density is None:
        return _exchange_correlation(density, cell, 0.0, functional, density_cutoff)
    shape, grid = np.shape(core_density), np.shape(density)[-3:]
    if shape not in (grid, np.shape(density)):
        raise ValueError(
            f"core_density must have the grid of density, shape {tuple(grid)}, got {tuple(shape)}."
        )
    return _exchange_correlation(density, cell, core_density, functional, density_cutoff)


@same_kind_out("density", "cell", "core_density")
def _exchange_correlation(density, cell, core_density, functional, density_cutoff):
    check_density(density, cell, density_cutoff)
    check_range("core_density", core_density.detach())
    inputs = (density, cell, core_density)
    differentiable = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    if not differentiable:
        density, cell, core_density = (x.detach() for x in inputs)
    with torch.enable_grad():
        # A new node of the graph, so that this is the partial derivative even if the cell or the
        # core charge depends on the density.
        n_v = density.view_as(density) if density.requires_grad else density.detach()
        n_v.requires_grad_()
        n = filtered(n_v, cell, density_cutoff) + core_density
        # E = ∫ e(n, ∇n) dr; one voxel is Ω/N.
        voxel = torch.linalg.det(cell).abs() / n.shape[-3:].numel()
        energy = HARTREE * voxel * _energy_density(n, cell, functional).sum(GRID_AXES)
        (slope,) = torch.autograd.grad(energy.sum(), n_v, create_graph=differentiable)
    potential = slope / voxel
    if differentiable:
        return energy, potential
    return energy.detach(), potential.detach()


def _energy_density(n, cell, functional):
    """Return n ε_xc in Hartree/Å³, for n in 1/Å³."""
    uniform, correction = FUNCTIONALS[functional]
    e = in_pieces(functools.partial(_without_gradient, uniform), n)
    if correction is None:
        return e
    fields = n, _squared_gradient(n, cell)
    return e + in_pieces(functools.partial(_with_gradient, correction), *fields)


# Points that are left out are replaced before ε is evaluated: the derivative of a choice between a
# number and NaN would be NaN.


def _without_gradient(uniform, n):
    size = n.abs() * BOHR**3
    mask = size > SMALLEST_DENSITY
    return torch.where(mask, n, 0.0) * uniform(torch.where(mask, size, 1.0))


def _with_gradient(correction, n, gradient2):
    size = n.abs() * BOHR**3
    mask = (size > SMALLEST_CORRECTED_DENSITY) & (gradient2 > SMALLEST_CORRECTED_GRADIENT2)
    gradient2 = torch.where(mask, gradient2, 0.0)
    return torch.where(mask, n, 0.0) * correction(torch.where(mask, size, 1.0), gradient2)


def _squared_gradient(n, cell):
    """Return |∇n|² in 1/bohr⁸, for n in 1/Å³."""
    shape = n.shape[-3:]
    waves = torch.fft.rfftn(n, dim=GRID_AXES, norm="forward")
    # (∇n)_G = i G n_G
    gradient = (
        torch.fft.irfftn(1j * G * waves, s=shape, dim=GRID_AXES, norm="forward")
        for G in wave_vectors(cell, shape).unbind(-1)
    )
    return BOHR**8 * sum(component**2 for component in gradient)
