r"""Correlation of the uniform electron gas after Perdew and Wang."""

import math


def correlation(n, *, A=0.031091):
    r"""Correlation energy per electron of the unpolarised gas [1]_, in Hartree for n in 1/bohr³.

    With the Wigner-Seitz radius :math:`r_s = (3 / 4\pi n)^{1/3}`,

    .. math::

        \varepsilon_c = -2A (1 + \alpha_1 r_s) \ln\!\left[1 + \frac{1}
            {2A (\beta_1 r_s^{1/2} + \beta_2 r_s + \beta_3 r_s^{3/2} + \beta_4 r_s^2)}\right]

    A has the published value by default, which pw.x uses also in its PBE. libxc uses it in
    ``LDA_C_PW``, but 0.0310907 (closer to (1 - ln 2)/π²) in ``LDA_C_PW_MOD``, on which its PBE
    builds. The energies differ by up to a relative 1e-5.

    References
    ----------
    .. [1] J. P. Perdew and Y. Wang, "Accurate and simple analytic representation of the
       electron-gas correlation energy", Phys. Rev. B 45, 13244 (1992), Eq. 10 and Table I.
    """
    alpha1 = 0.21370
    beta1, beta2, beta3, beta4 = 7.5957, 3.5876, 1.6382, 0.49294
    rs = (3 / (4 * math.pi * n)) ** (1 / 3)
    root = rs.sqrt()
    polynomial = root * (beta1 + root * (beta2 + root * (beta3 + root * beta4)))
    return -2 * A * (1 + alpha1 * rs) * (1 / (2 * A * polynomial)).log1p()
