r"""Exact averages over the unit sphere in four dimensions.

A point is written in Hopf coordinates, a direction :math:`(\theta, \varphi)` of ordinary space and
an angle :math:`\gamma` along the fibre above it:

.. math::

    a = g_0 - i g_z = \cos\tfrac\theta2\, e^{i(\gamma + \varphi)/2}, \qquad
    b = g_y - i g_x = \sin\tfrac\theta2\, e^{i(\gamma - \varphi)/2}.

A Wigner function is then a real function of :math:`\theta` times
:math:`e^{i m'\gamma} e^{i m \varphi}`. A product of functions whose orders sum to :math:`2L` is
averaged exactly by equispaced :math:`\gamma`, more than *L* of them, and a Lebedev rule [1]_ of
degree *L* for the directions. For the bispectrum up to twojmax 10 these are 16 times 86 points,
close to the minimum of any rule.

Lebedev rules have octahedral symmetry. Only one direction of each orbit of the fourfold axis along
*z* is kept; the poles, which lie on that axis, count as four points with a quarter of their weight.
For degree 12 (twojmax 8), a rule with fewer points takes the place of Lebedev's.

References
----------
.. [1] V. I. Lebedev, D. N. Laikov, "A quadrature formula for the sphere of the 131st algebraic
   order of accuracy", Dokl. Math. 59, 477 (1999).
"""

import numpy as np
from scipy.integrate import lebedev_rule

#: Degrees for which Lebedev rules are known.
LEBEDEV_DEGREES = (*range(3, 32, 2), *range(35, 132, 6))
#: Directions per orbit of the fourfold axis.
FOLD = 4
#: Polar angle, azimuth and weight of a rule of degree 12 with 64 points, where that of Lebedev has
#: 74: those listed, turned by multiples of 90° about z and by 180° about x. It solves the 22
#: equations for the harmonics that this symmetry leaves.
DEGREE_12 = (
    (0.3112544072437457, 1.215828685986137, 0.015235097240213304),
    (0.6926496996402761, 0.8266538482562877, 0.014399048188839096),
    (0.7224660574179524, 0.1304364248696226, 0.01729271616094552),
    (1.0154700019513787, 1.1269679172253686, 0.014689046158895928),
    (1.1444617156695953, 0.5298683783779033, 0.01793749274974614),
    (1.1881218930002815, 1.5619598972905677, 0.01517141156612874),
    (1.4203284830987548, 0.9308153115356902, 0.014877023955434852),
    (1.561951440842715, 0.25400726938115703, 0.015398163979796436),
)


def fourfold_directions(degree):
    """Directions whose images under the fourfold axis form a rule of given degree, at most 131.

    Polar angles, azimuths in [0, π/2), and weights of each of the four images: ``4 *
    weights.sum()`` is 1.
    """
    if degree == 12:
        theta, phi, weights = np.array(DEGREE_12).T
        theta, phi = np.append(theta, np.pi - theta), np.append(phi, np.pi / 2 - phi)
        return theta, phi, np.tile(weights, 2)
    (x, y, z), weights = lebedev_rule(min(d for d in LEBEDEV_DEGREES if d >= degree))
    weights = weights / weights.sum()
    pole = np.abs(z) > 1 - 1e-9
    weights = np.where(pole, weights / FOLD, weights)
    # One per orbit: azimuth in [0, π/2), with a tolerance for zeros that are not quite zero.
    mask = pole | ((x > 1e-9) & (y > -1e-9))
    phi = np.where(pole, 0.0, np.arctan2(y, x))
    return np.arccos(np.clip(z, -1, 1))[mask], phi[mask], weights[mask]


def fibre_angles(degree):
    r"""Equispaced angles along the fibre, the positive half of a set symmetric around zero.

    They average :math:`e^{im'\gamma}` to zero for :math:`|m'|` up to the degree. The set of
    :math:`(-1)^k \gamma_k` is equispaced too, half as dense, as is that of :math:`-(-1)^k
    \gamma_k`.
    """
    n = degree // 2 + 1
    return (np.arange(n) + 0.5) * np.pi / n


def hopf_points(theta, phi, gamma):
    """Give unit vectors in four dimensions from Hopf coordinates (arrays that broadcast)."""
    a = np.cos(theta / 2) * np.exp(0.5j * (gamma + phi))
    b = np.sin(theta / 2) * np.exp(0.5j * (gamma - phi))
    return np.stack([a.real, -b.imag, b.real, -a.imag], axis=-1)


def sphere_rule(degree):
    """All nodes of the rule, (n, 4), and their weights, for checks and for dense tables.

    The degree is half the sum of the orders of the functions whose product is averaged.
    """
    theta, phi, weights = fourfold_directions(degree)
    gamma = fibre_angles(degree)
    gamma = np.concatenate([gamma, -gamma])
    turns = np.arange(FOLD) * np.pi / 2
    theta, phi = theta[:, None, None], phi[:, None, None] + turns[:, None]
    nodes = hopf_points(theta, phi, gamma)
    weights = np.broadcast_to(weights[:, None, None] / len(gamma), nodes.shape[:-1])
    return nodes.reshape(-1, 4), weights.ravel()
