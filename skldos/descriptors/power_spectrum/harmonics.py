r"""Real solid harmonics :math:`r^l Y_{lm}` and their gradients, as polynomials of x, y, z.

.. math::

    r^l Y_{lm} = F_{l|m|}\, Q_l^{|m|}(z, r^2) \cdot \begin{cases}
    \mathrm{Im}\,(x + i y)^{|m|} & m < 0 \\ \mathrm{Re}\,(x + i y)^m & m \ge 0 \end{cases}

with :math:`Q_m^m = (2m - 1)!!` and
:math:`(l - m)\, Q_l^m = (2 l - 1)\, z\, Q_{l-1}^m - (l + m - 1)\, r^2 Q_{l-2}^m` (F. Bigi,
G. Fraux, N. J. Browning, M. Ceriotti, J. Chem. Phys. 159, 064802, 2023). Orthonormal on the
sphere, without the Condon-Shortley phase. Index of (l, m): l² + l + m.
"""

import math

import numpy as np

from skldos.compilation import inlined


def prefactors(l_max):
    """Return F of shape (l_max + 1, l_max + 1), for every l and m ≥ 0."""
    factors = np.zeros((l_max + 1, l_max + 1))
    for l in range(l_max + 1):
        for m in range(l + 1):
            ratio = math.factorial(l - m) / math.factorial(l + m)
            factors[l, m] = math.sqrt((2 * l + 1) / (4 * math.pi) * ratio * (2 if m else 1))
    return factors


@inlined
def solid_harmonics(x, y, z, factors, work, values):
    """Write the solid harmonics of a point to `values`, of shape ((l_max + 1)²,).

    `work` of shape (l_max + 2, l_max + 2) takes the polynomials Q, for the gradients.
    """
    l_max = len(factors) - 1
    r2 = x * x + y * y + z * z
    work[0, 0] = 1.0
    for m in range(1, l_max + 1):
        work[m, m] = (2 * m - 1) * work[m - 1, m - 1]
    for m in range(l_max):
        work[m + 1, m] = (2 * m + 1) * z * work[m, m]
        for l in range(m + 2, l_max + 1):
            work[l, m] = ((2 * l - 1) * z * work[l - 1, m] - (l + m - 1) * r2 * work[l - 2, m]) / (
                l - m
            )
    cosine, sine = 1.0, 0.0  # of m times the azimuth, times (x² + y²)^(m/2)
    for m in range(l_max + 1):
        for l in range(m, l_max + 1):
            q = factors[l, m] * work[l, m]
            values[l * l + l + m] = q * cosine
            if m > 0:
                values[l * l + l - m] = q * sine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine


@inlined
def solid_harmonics_gradient(x, y, z, factors, work, gradient):
    """Write the gradients of shape (3, (l_max + 1)²), after :func:`solid_harmonics`.

    From ∂Q/∂x = -x Q(l-1, m+1), the same for y, and ∂Q/∂z = (l + m) Q(l-1, m).
    """
    l_max = len(factors) - 1
    cosine, sine = 1.0, 0.0
    cosine1, sine1 = 0.0, 0.0  # of m - 1
    for m in range(l_max + 1):
        for l in range(m, l_max + 1):
            factor = factors[l, m]
            q = factor * work[l, m]
            beyond = -factor * work[l - 1, m + 1] if l >= m + 2 else 0.0
            below = factor * (l + m) * work[l - 1, m] if l > m else 0.0
            k = l * l + l + m
            gradient[0, k] = x * beyond * cosine + q * m * cosine1
            gradient[1, k] = y * beyond * cosine - q * m * sine1
            gradient[2, k] = below * cosine
            if m > 0:
                k = l * l + l - m
                gradient[0, k] = x * beyond * sine + q * m * sine1
                gradient[1, k] = y * beyond * sine + q * m * cosine1
                gradient[2, k] = below * sine
        cosine1, sine1 = cosine, sine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
