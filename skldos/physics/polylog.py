r"""The polylogarithms :math:`\mathrm{Li}_n(-e^x)`, antiderivatives of the Fermi function.

The operations avoid torch's thread pool, which would cost milliseconds on busy cores for the few
hundred numbers of an energy grid: exp2 rather than exp, softplus rather than logsigmoid, and
matrix-vector rather than matrix-matrix products.

References
----------
.. [1] H. Cohen, F. Rodriguez Villegas, D. Zagier, "Convergence acceleration of alternating
   series", Exp. Math. 9, 3 (2000).
"""

import math
from fractions import Fraction

import torch
from torch.nn.functional import softplus

from skldos.physics.arrays import check_finite, same_kind_out
from skldos.validation import check_option

# The error of n terms is 2 / (3 + sqrt(8))^n: 3e-17 of the sum.
N_TERMS = 22


def alternating_weights(n):
    r"""Weights :math:`c_k` with :math:`\sum_{k \ge 0} (-1)^k a_k \approx \sum_{k<n} c_k a_k`.

    Algorithm 1 of Ref. [1] of the module, in exact arithmetic. Its relative error is below :math:`2
    (3 + \sqrt 8)^{-n}` if the :math:`a_k` are the moments of a positive measure on [0, 1], as
    :math:`q^k / (k+1)^s` are.
    """
    # d = T_n(3), the Chebyshev polynomial, is ((3 + sqrt 8)^n + (3 - sqrt 8)^n) / 2.
    d, previous = 1, 3
    for _ in range(n):
        d, previous = 6 * d - previous, d
    b, c, weights = Fraction(-1), Fraction(-d), []
    for k in range(n):
        c = b - c
        weights.append(float(c / d))
        b *= Fraction((k + n) * (k - n) * 2, (2 * k + 1) * (k + 1))
    return weights


def _series_coefficients():
    """Coefficients of e^-ky = 2^(-k log2(e) y) in Li_2 and Li_3, and the rates -k log2(e)."""
    # Whatever the default device is while this module is imported.
    like = {"dtype": torch.float64, "device": "cpu"}
    c = -torch.tensor(alternating_weights(N_TERMS), **like)
    k = torch.arange(1, N_TERMS + 1, **like)
    return torch.stack([c / k**2, c / k**3]), -k * math.log2(math.e)


_COEFFICIENTS, _RATES = _series_coefficients()


def li1(x):
    """Li_1(-e^x) = -log(1 + e^x)."""
    # Beyond x = 40 softplus is x, and so is the logarithm, to 4e-18.
    return -softplus(x, beta=1, threshold=40)


def decaying_polylogs(y):
    r""":math:`\mathrm{Li}_n(-e^{-y})` for n = 1, 2, 3 and y >= 0.

    The accelerated series is a matrix product. Its derivative is the accelerated series of order
    n - 1, so autograd is as accurate as the function.
    """
    terms = torch.exp2(y[..., None] * _RATES.to(y.device))  # [..., k]
    li2, li3 = (terms @ c for c in _COEFFICIENTS.to(y.device))
    return li1(-y), li2, li3


@same_kind_out("x")
def polylog(order, x):
    r"""Polylogarithm :math:`\mathrm{Li}_n(-e^x)` of order n = 1, 2 or 3.

    For x <= 0 the alternating series :math:`\sum_k (-1)^k e^{kx} / k^n`, accelerated [1]_;
    for x > 0 the inversion formulas

    .. math::

        \mathrm{Li}_1(-e^x) &= -x + \mathrm{Li}_1(-e^{-x}) \\
        \mathrm{Li}_2(-e^x) &= -\pi^2/6 - x^2/2 - \mathrm{Li}_2(-e^{-x}) \\
        \mathrm{Li}_3(-e^x) &= -\pi^2 x/6 - x^3/6 + \mathrm{Li}_3(-e^{-x})

    The derivative of order n is order n - 1, with :math:`\mathrm{Li}_0(-e^x) = -1/(1+e^{-x})`.

    Parameters
    ----------
    order : {1, 2, 3}
        Order n.
    x : tensor, ndarray or float of any shape
        Argument; differentiable. Upcast to float64.

    Returns
    -------
    tensor or ndarray of the shape of x
        In float64, with a relative error of about 1e-15, times abs(x) for x < -1, as for the
        exponential function.

    Raises
    ------
    ValueError
        If `order` is not 1, 2 or 3, or `x` is not finite.

    References
    ----------
    .. [1] H. Cohen, F. Rodriguez Villegas, D. Zagier, Exp. Math. 9, 3 (2000).

    Examples
    --------
    >>> bool(abs(polylog(2, 0.0) + math.pi**2 / 12) < 1e-15)
    True
    """
    check_option("order", order, (1, 2, 3))
    check_finite("x", x)
    if order == 1:
        return li1(x)
    positive = x > 0
    _, li2, li3 = decaying_polylogs(torch.where(positive, x, -x))
    if order == 2:
        return torch.where(positive, -(math.pi**2) / 6 - x**2 / 2 - li2, li2)
    return torch.where(positive, -(math.pi**2) / 6 * x - x**3 / 6 + li3, li3)
