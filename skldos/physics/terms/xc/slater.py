r"""Exchange of the uniform electron gas."""

import math


def exchange(n):
    r"""Exchange energy per electron, :math:`\varepsilon_x = -\frac34 (3n/\pi)^{1/3}` [1]_ [2]_.

    In Hartree, for n in 1/bohr³.

    References
    ----------
    .. [1] P. A. M. Dirac, "Note on exchange phenomena in the Thomas atom", Math. Proc.
       Cambridge Philos. Soc. 26, 376 (1930).
    .. [2] J. C. Slater, "A simplification of the Hartree-Fock method", Phys. Rev. 81, 385 (1951).
    """
    return -0.75 * (3 * n / math.pi) ** (1 / 3)
