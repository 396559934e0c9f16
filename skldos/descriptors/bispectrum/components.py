"""The bispectrum components, in the order of LAMMPS.

Angular momenta are counted in halves: ``j = 2J``. ``twojmax`` is the largest.
"""

from functools import lru_cache


@lru_cache(maxsize=32)
def bispectrum_components(twojmax):
    r"""List the indices :math:`(j_1, j_2, j)` of the components, in the order of LAMMPS.

    For all :math:`j_1`, :math:`j_2 \le j_1` and :math:`j = j_1 - j_2, j_1 - j_2 + 2, \dots, j_1 +
    j_2`, those with :math:`j_1 \le j \le` `twojmax`. The others repeat them, because :math:`B_{j_1
    j_2 j} / (j + 1)` does not depend on the order of the three.

    Examples
    --------
    >>> bispectrum_components(2)
    ((0, 0, 0), (1, 0, 1), (1, 1, 2), (2, 0, 2), (2, 2, 2))
    >>> len(bispectrum_components(10))
    91
    """
    return tuple(
        (j1, j2, j)
        for j1 in range(twojmax + 1)
        for j2 in range(j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
        if j >= j1
    )


def component_names(twojmax):
    """Names of the components, for the columns of a table.

    Examples
    --------
    >>> component_names(2)
    ['B_0_0_0', 'B_1_0_1', 'B_1_1_2', 'B_2_0_2', 'B_2_2_2']
    """
    return [f"B_{j1}_{j2}_{j}" for j1, j2, j in bispectrum_components(twojmax)]
