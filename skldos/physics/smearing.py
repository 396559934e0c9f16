"""Fermi-Dirac occupations and their entropy, and the kernels that broaden LDOS data."""

import math

import torch

from skldos.physics.arrays import check_finite, check_positive, check_temperature, same_kind_out
from skldos.physics.polylog import li1
from skldos.units import BOLTZMANN
from skldos.validation import check_option


def reduced(e, kT):
    """Return x = e/kT with e = E - mu, so that every formula in x takes its limit at T = 0.

    At T = 0 the divisor is so small that exp(-|x|) vanishes, but x stays finite. Hence x f(x) is 0
    rather than NaN, and the gradients of x do not overflow.
    """
    return e / kT.clamp(min=1e-100)


def entropy_of(x):
    """Return s(x) = -f ln f - (1-f) ln(1-f), written in |x| to avoid cancellation."""
    y = torch.where(x < 0, -x, x)
    # s = y f(y) + ln(1 + e^-y)
    return y * torch.sigmoid(-y) - li1(-y)


@same_kind_out("energies", "temperature", "fermi_level")
def occupation(energies, *, temperature, fermi_level):
    r"""Fermi-Dirac occupation :math:`f = 1 / (1 + e^{(E - \mu)/kT})` of a state.

    Parameters
    ----------
    energies : tensor or ndarray of any shape
        E, in eV.
    temperature, fermi_level : float, tensor or ndarray that broadcasts with energies
        T in K (0 gives the step function, 1/2 at the Fermi level) and μ in eV.

    Returns
    -------
    tensor or ndarray
        Between 0 and 1; float64.

    Raises
    ------
    ValueError
        If a value is not finite or the temperature is negative.

    Examples
    --------
    >>> occupation([6.0, 7.0, 8.0], temperature=0, fermi_level=7.0)
    array([1. , 0.5, 0. ])
    """
    return torch.sigmoid(-_checked_reduced(energies, temperature, fermi_level))


@same_kind_out("energies", "temperature", "fermi_level")
def entropy_density(energies, *, temperature, fermi_level):
    r"""Entropy :math:`s = -f \ln f - (1-f) \ln(1-f)` of a state, in units of Boltzmann's constant.

    Parameters
    ----------
    energies : tensor or ndarray of any shape
        E, in eV.
    temperature, fermi_level : float, tensor or ndarray that broadcasts with energies
        T in K and μ in eV.

    Returns
    -------
    tensor or ndarray
        Between 0 and ln 2; float64.

    Raises
    ------
    ValueError
        If a value is not finite or the temperature is negative.

    Examples
    --------
    >>> bool(abs(entropy_density(7.0, temperature=300, fermi_level=7.0) - math.log(2)) < 1e-15)
    True
    """
    return entropy_of(_checked_reduced(energies, temperature, fermi_level))


def _checked_reduced(energies, temperature, fermi_level):
    check_finite("energies", energies)
    check_temperature(temperature)
    check_finite("fermi_level", fermi_level)
    return reduced(energies - fermi_level, BOLTZMANN * temperature)


def _gaussian(x):
    return torch.exp(-(x**2)) / math.sqrt(math.pi)


def _fermi_dirac(x):
    # 1 / (2 + 2 cosh x) = -f'(x) = f(x) f(-x), which cannot overflow.
    return torch.sigmoid(x) * torch.sigmoid(-x)


_KERNELS = {"gaussian": _gaussian, "fermi-dirac": _fermi_dirac}


@same_kind_out("energies", "width")
def broadening(energies, *, width, kernel="gaussian"):
    r"""Broadened delta function, with which pp.x of Quantum ESPRESSO computes LDOS data.

    .. math::

        \delta_\sigma(E) = \frac{e^{-(E/\sigma)^2}}{\sigma \sqrt\pi}
        \quad\text{or}\quad \frac{1}{\sigma\,(2 + 2\cosh(E/\sigma))}

    pp.x uses the kernel of the self-consistent calculation (``fermi-dirac`` for a Fermi-Dirac
    smearing), unless ``use_gauss_ldos`` is set.

    Parameters
    ----------
    energies : tensor or ndarray of any shape
        Distance from the level, in eV.
    width : float, tensor or ndarray that broadcasts with energies
        σ in eV. Note that the Gaussian has no factor 1/2 in its exponent.
    kernel : {"gaussian", "fermi-dirac"}, default="gaussian"
        Kernel, see above.

    Returns
    -------
    tensor or ndarray
        In 1/eV; float64. Its integral is 1.

    Raises
    ------
    ValueError
        If a value is not finite, the width is not positive or the kernel is unknown.

    Examples
    --------
    >>> broadening([-0.4, 0.0, 0.4], width=0.4).round(4)
    array([0.5189, 1.4105, 0.5189])
    """
    check_option("kernel", kernel, tuple(_KERNELS))
    check_finite("energies", energies)
    check_positive("width", width)
    return _KERNELS[kernel](energies / width) / width
