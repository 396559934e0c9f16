r"""Undoing the broadening of a density of states, to a finite order.

A calculation gives :math:`D = g * D_0`: a kernel g of width σ broadens every level. An integral
over D equals the integral over :math:`D_0` with a *broadened* occupation. Energies are therefore
too low by an amount of order :math:`\sigma^2`, and the density is that of hotter electrons. The
inverse of the broadening, a power series in :math:`\partial^2 = d^2/dE^2`, undoes both,

.. math::

    D_0 = \hat g^{-1}(\partial^2)\, D, \qquad
    \hat g^{-1} = 1 - \tfrac{\sigma^2}{4} \partial^2 + \tfrac{\sigma^4}{32} \partial^4 - \dots
    \text{ for a Gaussian},

truncated after some terms. Each level then becomes the smooth function of Methfessel and Paxton
[1]_, whose energies have errors of order :math:`\sigma^{2n + 2}` after n terms. The series also
undoes the linear interpolation between energies, which broadens by a triangle.

References
----------
.. [1] M. Methfessel, A. T. Paxton, "High-precision sampling for Brillouin-zone integration in
   metals", Phys. Rev. B 40, 3616 (1989).
"""

import math

import numpy as np
import torch

from skldos.physics.arrays import check_energies, same_kind_out
from skldos.validation import check_option, check_scalar

KERNELS = ("gaussian", "fermi-dirac")
#: Nine-point stencil of the second derivative times the spacing squared, exact up to the ninth
#: power.
SECOND_DERIVATIVE = (-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560)
#: Largest deviation of the spacings from their mean, relative to it.
SPACING_TOLERANCE = 1e-6


@same_kind_out("energies")
def sharpening_matrix(energies, *, broadening, kernel="gaussian", order=2):
    r"""Return the matrix that undoes the broadening of a DOS, or of the LDOS at a point.

    Parameters
    ----------
    energies : tensor or ndarray of shape (n_energies,)
        Evenly spaced, in eV. The spacing should not be larger than the broadening.
    broadening : float
        Width σ of the kernel in eV, as in :class:`skldos.EnergyGrid`; at most the range of the
        energies.
    kernel : {"gaussian", "fermi-dirac"}, default="gaussian"
        Shape of the kernel: :math:`e^{-x^2}/(\sigma\sqrt\pi)` or :math:`1/(\sigma(2 + 2\cosh x))`
        with :math:`x = (E - \varepsilon)/\sigma`.
    order : int, default=2
        Number of terms of the series beyond the first. More terms undo more of the broadening, but
        amplify noise between neighbouring energies; 0 gives the unit matrix.

    Returns
    -------
    tensor or ndarray of shape (n_energies, n_energies)
        C, with :math:`D_0(E_i) \approx \sum_j C_{ij} D(E_j)`. D is taken as zero beyond the
        energies; where it is not, about four values at that end are wrong. Let the energies begin
        below the bands and end well above the Fermi level.

    Raises
    ------
    ValueError
        If the energies are not evenly spaced, or another argument is out of range.

    Examples
    --------
    >>> energies = np.linspace(-4, 4, 41)
    >>> peak = np.exp(-(energies**2)) / np.sqrt(np.pi)
    >>> sharper = sharpening_matrix(energies, broadening=1.0) @ peak
    >>> round(float(0.2 * sharper.sum()), 4), bool(sharper[20] > 1.8 * peak[20])
    (1.0, True)
    """
    check_energies(energies)
    # A broadening wider than the range of the energies leaves no levels to sharpen.
    width = (energies[-1] - energies[0]).item()
    check_scalar("broadening", broadening, low=0, high=width, strict=True)
    check_option("kernel", kernel, KERNELS)
    check_scalar("order", order, low=0, integer=True)
    spacings = torch.diff(energies)
    h = spacings.mean().item()
    if (spacings - h).abs().max() > SPACING_TOLERANCE * h:
        raise ValueError(
            "energies must be evenly spaced to undo a broadening, got spacings from "
            f"{spacings.min().item():.6g} to {spacings.max().item():.6g} eV."
        )
    derivative = _second_derivative(len(energies), h).to(energies.device)
    matrix, power = torch.zeros_like(derivative), torch.eye(len(energies)).to(derivative)
    for coefficient in _inverse_series(broadening, h, kernel, order):
        matrix += coefficient * power
        power = power @ derivative
    return matrix


def _second_derivative(n, h):
    """Second derivative on n points at a distance h, as a matrix; zeros beyond the ends."""
    reach = len(SECOND_DERIVATIVE) // 2
    bands = zip(range(-reach, reach + 1), SECOND_DERIVATIVE, strict=True)
    return torch.as_tensor(sum(value * np.eye(n, k=k) for k, value in bands) / h**2)


def _inverse_series(sigma, h, kernel, order):
    r"""Coefficients of 1, ∂², ∂⁴, … in the inverse of broadening and linear interpolation."""
    terms = range(order + 1)
    if kernel == "gaussian":
        # ĝ = exp(-σ²ω²/4) with ω² = -∂²
        kernel_inverse = [(-(sigma**2) / 4) ** k / math.factorial(k) for k in terms]
    else:
        # ĝ = πσω / sinh(πσω)
        kernel_inverse = [
            (-((math.pi * sigma) ** 2)) ** k / math.factorial(2 * k + 1) for k in terms
        ]
    # The triangle: sinc²(hω/2) = (2 - 2 cos hω)/(hω)² = Σ 2 (h∂)^2k / (2k + 2)!
    triangle = [2 * h ** (2 * k) / math.factorial(2 * k + 2) for k in terms]
    inverse = [1.0]
    for k in terms[1:]:
        inverse.append(-sum(triangle[m] * inverse[k - m] for m in range(1, k + 1)))
    return [sum(kernel_inverse[m] * inverse[k - m] for m in range(k + 1)) for k in terms]
