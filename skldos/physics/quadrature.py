r"""Exact integrals of a density of states times a function of the occupation.

Between its grid values the density of states D is linear, and it falls to zero at one ghost
node beyond each end. Every integral over it is then a sum :math:`\sum_i w_i D_i`, whose weight
is the integral of g times the hat function of node i, two ramps over the two intervals beside
it. An integral over a ramp takes one of two ways:

*In closed form* [1]_. g is its T = 0 limit, whose integral is a polynomial, plus a thermal part
with antiderivatives

.. math:: G(x) + C\,\theta(x), \qquad \Phi(x) + C\,\max(x, 0)

in which G and Φ decay like :math:`e^{-|x|}` with :math:`x = (E - \mu)/kT`, and C is the first
coefficient of the Sommerfeld expansion (the thermal part of g = f is odd about μ: there the
step is in Φ instead). Large terms never meet: the T = 0 part and C are put in by hand, in the
one interval that contains μ.

*By Gauss-Legendre quadrature* where the interval is shorter than kT, so that the difference of
Φ over it would cancel. g is analytic up to a distance π kT, so that 8 points reach rounding.

References
----------
.. [1] J. A. Ellis et al., "Accelerating finite-temperature Kohn-Sham density functional theory
   with deep neural networks", Phys. Rev. B 104, 035120 (2021), Appendix A.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from skldos._validation import check_option
from skldos.physics._arrays import check_energies, check_finite, check_temperature, same_kind_out
from skldos.physics.polylog import decaying_polylogs, li1
from skldos.physics.smearing import entropy_of, reduced
from skldos.units import BOLTZMANN


@same_kind_out("energies", "temperature", "fermi_level")
def integration_weights(energies, *, temperature, fermi_level, quantity="electrons"):
    r"""Weights :math:`w_i` with :math:`\int g(E)\,D(E)\,dE = \sum_i w_i D_i`.

    D is linear between the energies and zero from one ghost node beyond each end on, at the
    distance of the adjacent spacing. The integral is then exact, at any spacing and temperature.

    ==================  =====================================  ==============================
    quantity            g(E), :math:`x = (E - \mu)/kT`         the sum is, for D in 1/eV
    ==================  =====================================  ==============================
    "electrons"         :math:`f = 1/(1 + e^x)`                number of electrons N
    "energy"            :math:`(E - \mu) f`                    band energy minus μN, eV
    "entropy"           :math:`kT(f\ln f + (1-f)\ln(1-f))`     -TS (negative), eV
    "grand_potential"   :math:`-kT \ln(1 + e^{-x})`            Ω = E - TS - μN, eV
    ==================  =====================================  ==============================

    Parameters
    ----------
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV; the spacing may vary.
    temperature : float, tensor or ndarray of shape (...)
        T in K; 0 gives the weights of the step function.
    fermi_level : float, tensor or ndarray of shape (...)
        μ in eV; broadcasts with the temperature.
    quantity : {"electrons", "energy", "entropy", "grand_potential"}
        Which integral.

    Returns
    -------
    tensor or ndarray of shape (..., n_energies)
        In eV for "electrons" and eV² for the others; float64, whatever came in. Tensors are
        differentiable with respect to all three arrays.

    Raises
    ------
    ValueError
        If the energies do not increase, a value is not finite, the temperature is negative or
        the quantity is another one.

    Notes
    -----
    The error is some 1e-15 of the largest weight, between 1 and 100 000 K, compared with 50
    digits.

    References
    ----------
    .. [1] J. A. Ellis et al., Phys. Rev. B 104, 035120 (2021), Appendix A.

    Examples
    --------
    >>> energies = np.arange(4.0)
    >>> integration_weights(energies, temperature=0, fermi_level=2.0)
    array([1. , 1. , 0.5, 0. ])
    """
    check_option("quantity", quantity, tuple(_QUANTITIES))
    check_energies(energies)
    check_temperature(temperature)
    check_finite("fermi_level", fermi_level)
    return weights(energies, temperature, fermi_level, quantity)


def weights(energies, temperature, fermi_level, quantity):
    """`integration_weights` of checked float64 tensors."""
    integrand = _QUANTITIES[quantity]
    temperature, fermi_level = torch.broadcast_tensors(temperature, fermi_level)
    spacing = torch.diff(energies)
    h = torch.cat([spacing[:1], spacing, spacing[-1:]])
    e = energies - fermi_level[..., None]
    e = torch.cat([e[..., :1] - h[0], e, e[..., -1:] + h[-1]], dim=-1)
    kT = (BOLTZMANN * temperature)[..., None]
    # Both are finite everywhere, so the one that is not chosen spoils no gradient.
    falling, rising = torch.where(kT > h, _gauss(integrand, e, h, kT), _exact(integrand, e, h, kT))
    # Node i has the rising ramp of the interval before it and the falling one of the next.
    return falling[..., 1:] + rising[..., :-1]


def _exact(integrand, e, h, kT):
    """Integrals of g times the two ramps of each interval, stacked, in closed form."""
    a, b = e[..., :-1], e[..., 1:]
    # A node at mu counts as above it, everywhere: gradients there are one-sided limits.
    inside = (a < 0) & (b >= 0)
    occupied = torch.where(inside, -a, torch.where(b < 0, h, 0.0))
    sign = torch.where(e < 0, -1.0, 1.0)
    y = sign * reduced(e, kT)  # |x|
    G, Phi = integrand.tails(sign, y, *decaying_polylogs(y))
    # int g (b - E)/h = dPhi/h - G(a),  int g (E - a)/h = G(b) - dPhi/h
    slope = torch.diff(Phi) * kT / h
    thermal = torch.stack([slope - G[..., :-1], G[..., 1:] - slope])
    step = torch.stack(integrand.step(a, h, occupied))
    # C sits in the interval of mu alone.
    sommerfeld = torch.where(inside, torch.stack(integrand.sommerfeld(a, b, h)), 0.0)
    return step + kT**integrand.power * thermal + kT**2 * sommerfeld


_NODES, _NODE_WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(8))
_NODES = (1 + _NODES) / 2
_RAMPS = torch.stack([1 - _NODES, _NODES]) * _NODE_WEIGHTS / 2


def _gauss(integrand, e, h, kT):
    """Integrals of g times the two ramps of each interval, stacked, by quadrature."""
    points = e[..., :-1, None] + h[:, None] * _NODES.to(h.device)  # [..., interval, node]
    g = integrand.density(points, kT[..., None])
    return h * torch.stack([g @ ramp for ramp in _RAMPS.to(h.device)])


class _Integrand(NamedTuple):
    """A function g(E) in the parts that the quadrature needs."""

    #: g(e, kT) with e = E - mu.
    density: Callable
    #: Integrals of the T = 0 limit times the falling and rising ramp, up to `occupied`.
    step: Callable
    #: G and Phi in units of (kT)^power and (kT)^(power + 1), from |x| and Li_n(-e^-|x|).
    tails: Callable
    #: C times the values (or slopes) at mu of the falling and rising ramp, in units of (kT)^2.
    sommerfeld: Callable
    power: int


def _step_electrons(a, h, u):
    # int_0^u (h - v)/h dv and int_0^u v/h dv
    rising = u**2 / (2 * h)
    return u - rising, rising


def _step_energy(a, h, u):
    # int_0^u (a + v)(h - v)/h dv and int_0^u (a + v) v/h dv, with a = E_a - mu
    rising = u**2 * (a / 2 + u / 3) / h
    return u * (a + u / 2) - rising, rising


def _step_zero(a, h, u):
    return torch.zeros_like(u), torch.zeros_like(u)


def _sommerfeld_slope(a, b, h):
    # f = step - (pi^2/6)(kT)^2 delta'(E - mu) + ..., which takes minus the slope of a ramp
    slope = (math.pi**2 / 6 / h).expand(a.shape)
    return -slope, slope


def _sommerfeld_value(C):
    return lambda a, b, h: (C * b / h, -C * a / h)


_QUANTITIES = {
    "electrons": _Integrand(
        density=lambda e, kT: torch.sigmoid(-reduced(e, kT)),
        step=_step_electrons,
        tails=lambda s, y, li1, li2, li3: (li1, -s * li2),
        sommerfeld=_sommerfeld_slope,
        power=1,
    ),
    "energy": _Integrand(
        density=lambda e, kT: e * torch.sigmoid(-reduced(e, kT)),
        step=_step_energy,
        tails=lambda s, y, li1, li2, li3: (s * (y * li1 + li2), -y * li2 - 2 * li3),
        sommerfeld=_sommerfeld_value(math.pi**2 / 6),
        power=2,
    ),
    "entropy": _Integrand(
        density=lambda e, kT: -kT * entropy_of(reduced(e, kT)),
        step=_step_zero,
        tails=lambda s, y, li1, li2, li3: (-s * (y * li1 + 2 * li2), y * li2 + 3 * li3),
        sommerfeld=_sommerfeld_value(-(math.pi**2) / 3),
        power=2,
    ),
    "grand_potential": _Integrand(
        density=lambda e, kT: kT * li1(-reduced(e, kT)),
        step=_step_energy,
        tails=lambda s, y, li1, li2, li3: (-s * li2, li3),
        sommerfeld=_sommerfeld_value(-(math.pi**2) / 6),
        power=2,
    ),
}
