r"""Correlation of the uniform electron gas after Perdew and Zunger."""

import math

import torch


def correlation(n):
    r"""Correlation energy per electron of the unpolarised gas [1]_, in Hartree for n in 1/bohr³.

    With the Wigner-Seitz radius :math:`r_s = (3 / 4\pi n)^{1/3}`,

    .. math::

        \varepsilon_c = \begin{cases}
            \gamma / (1 + \beta_1 \sqrt{r_s} + \beta_2 r_s)   & r_s \ge 1 \\
            A \ln r_s + B + C r_s \ln r_s + D r_s             & r_s < 1
        \end{cases}

    The upper line fits the Monte-Carlo energies of Ceperley and Alder [2]_. The parameters were
    published with few digits, so the two lines differ by 3.2e-5 Ha at :math:`r_s = 1`. The energy
    jumps there in every code that uses the published values.

    References
    ----------
    .. [1] J. P. Perdew and A. Zunger, "Self-interaction correction to density-functional
       approximations for many-electron systems", Phys. Rev. B 23, 5048 (1981), Table XII.
    .. [2] D. M. Ceperley and B. J. Alder, "Ground state of the electron gas by a stochastic
       method", Phys. Rev. Lett. 45, 566 (1980).
    """
    rs = (3 / (4 * math.pi * n)) ** (1 / 3)
    gamma, beta1, beta2 = -0.1423, 1.0529, 0.3334
    dilute = gamma / (1 + beta1 * rs.sqrt() + beta2 * rs)
    A, B, C, D = 0.0311, -0.048, 0.0020, -0.0116
    log = rs.log()
    dense = A * log + B + C * rs * log + D * rs
    return torch.where(rs < 1, dense, dilute)
