r"""The bispectrum of an atom directly from its formulas, with SymPy's functions.

Neighbours are rotations by an angle 2θ₀ about their directions; U is the sum of their matrices,
each by :func:`sympy.physics.wigner.wigner_d`, plus that of the atom itself. Couplings are those of
:func:`sympy.physics.wigner.clebsch_gordan`. This module is independent of skldos and LAMMPS, except
for the order of the components and the mapping of distances to angles.
"""

from functools import lru_cache

import numpy as np


def rotation_angles(displacement, r_cut, rfac0=0.99363):
    """Return Euler angles α, β, γ of the rotation that represents a neighbour."""
    r = np.linalg.norm(displacement)
    theta0 = rfac0 * np.pi * r / r_cut
    x, y, z = np.sin(theta0) * displacement / r
    # exp(-iθ₀ n·σ): its first row has the elements cos θ₀ - i z and -y - i x, which are
    # e^{-i(α+γ)/2} cos(β/2) and -e^{-i(α-γ)/2} sin(β/2). Half angles keep the sign of odd 2J.
    diagonal, other = complex(np.cos(theta0), -z), complex(y, x)
    total, difference = -2 * np.angle(diagonal), -2 * np.angle(other)
    beta = 2 * np.arctan2(abs(other), abs(diagonal))
    return (total + difference) / 2, beta, (total - difference) / 2


def wigner_matrix(two_j, angles):
    """Return the matrix of a rotation, m from J down to -J."""
    from sympy import Rational
    from sympy.physics.wigner import wigner_d

    return np.array(wigner_d(Rational(two_j, 2), *angles).evalf().tolist(), dtype=complex)


@lru_cache
def coupling(j1, j2, j):
    """Return Clebsch-Gordan coefficients, one axis for every m from J down to -J."""
    from sympy import Rational
    from sympy.physics.wigner import clebsch_gordan

    table = np.zeros((j1 + 1, j2 + 1, j + 1))
    for k1, k2, k in np.ndindex(table.shape):
        m = [Rational(a, 2) - b for a, b in ((j1, k1), (j2, k2), (j, k))]
        if m[0] + m[1] == m[2]:
            halves = [Rational(a, 2) for a in (j1, j2, j)]
            table[k1, k2, k] = float(clebsch_gordan(*halves, *m))
    return table


def bispectrum(displacements, components, twojmax, r_cut):
    """Return the components of an atom from the displacements to its neighbours, in Å."""
    U = [np.eye(two_j + 1, dtype=complex) for two_j in range(twojmax + 1)]
    for displacement in displacements:
        angles = rotation_angles(displacement, r_cut)
        fade = 0.5 * (np.cos(np.pi * np.linalg.norm(displacement) / r_cut) + 1)
        for two_j in range(twojmax + 1):
            U[two_j] += fade * wigner_matrix(two_j, angles)
    B = []
    for j1, j2, j in components:
        C = coupling(j1, j2, j)
        Z = np.einsum("abc,def,ad,be->cf", C, C, U[j1], U[j2], optimize=True)
        B.append(np.vdot(U[j], Z).real)
    return np.array(B)
