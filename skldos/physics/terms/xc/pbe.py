r"""Gradient corrections of Perdew, Burke and Ernzerhof.

The functions take the squared gradient, so that nothing is singular where it vanishes.
"""

import math

from skldos.physics.terms.xc import perdew_wang, slater

#: Largest enhancement of exchange, from the Lieb-Oxford bound.
KAPPA = 0.804
#: The high-density limit of correlation, (1 - ln 2)/π².
GAMMA = (1 - math.log(2)) / math.pi**2
#: Second-order gradient coefficient of correlation, for PBE and for PBEsol.
BETA, BETA_SOL = 0.06672455060314922, 0.046
#: Second-order gradient coefficient of exchange. It cancels the linear response of correlation in
#: PBE, and is exact in PBEsol.
MU, MU_SOL = BETA * math.pi**2 / 3, 10 / 81


def exchange(n, gradient2, *, mu=MU):
    r"""Gradient correction in Hartree to the exchange energy per electron.

    .. math::

        (F_x - 1)\,\varepsilon_x, \qquad
        F_x = 1 + \kappa - \frac{\kappa}{1 + \mu s^2 / \kappa}, \qquad
        s^2 = \frac{|\nabla n|^2}{4 (3\pi^2)^{2/3} n^{8/3}}

    `mu` is ``MU`` for PBE [1]_, ``MU_SOL`` for PBEsol [2]_. The density is positive and in 1/bohr³,
    its squared gradient in 1/bohr⁸.

    References
    ----------
    .. [1] J. P. Perdew, K. Burke and M. Ernzerhof, "Generalized gradient approximation made
       simple", Phys. Rev. Lett. 77, 3865 (1996), Eqs. 10-14; erratum 78, 1396 (1997).
    .. [2] J. P. Perdew et al., "Restoring the density-gradient expansion for exchange in solids
       and surfaces", Phys. Rev. Lett. 100, 136406 (2008).
    """
    k_fermi = (3 * math.pi**2 * n) ** (1 / 3)
    mu_s2 = mu * gradient2 / (2 * k_fermi * n) ** 2
    return slater.exchange(n) * mu_s2 / (1 + mu_s2 / KAPPA)


def correlation(n, gradient2, *, beta=BETA, uniform=perdew_wang.correlation):
    r"""Gradient correction H in Hartree to the correlation energy per electron.

    .. math::

        H = \gamma \ln\!\left[1 + \frac{\beta}{\gamma}\, t^2\,
            \frac{1 + A t^2}{1 + A t^2 + A^2 t^4}\right], \qquad
        A = \frac{\beta}{\gamma}\, \frac{1}{e^{-\varepsilon_c/\gamma} - 1}, \qquad
        t^2 = \frac{\pi\, |\nabla n|^2}{16\, (3\pi^2)^{1/3} n^{7/3}}

    Arguments and references as for :func:`exchange`; `beta` is ``BETA`` for PBE, ``BETA_SOL`` for
    PBEsol, and `uniform` gives :math:`\varepsilon_c(n)` of the uniform gas.
    """
    k_fermi = (3 * math.pi**2 * n) ** (1 / 3)
    t2 = math.pi * gradient2 / (16 * k_fermi * n**2)
    ratio = beta / GAMMA
    At2 = ratio * t2 / (-uniform(n) / GAMMA).expm1()
    return GAMMA * (ratio * t2 * (1 + At2) / (1 + At2 + At2**2)).log1p()
