r"""Relations between components with permuted indices.

Clebsch-Gordan coefficients have, with 2J for j (Varshalovich et al., section 8.4.3),

    C^{j m}_{j1 m1, j2 m2} = ± sqrt((j + 1) / (j2 + 1)) C^{j2 m2}_{j1 -m1, j m},

and Wigner functions U_{-m', -m} = (-1)^{m' - m} U*_{m' m}. Two coefficients enter a component, so
that the roots multiply to a factor; the signs vanish: B_{j1 j2 j} / (j + 1) is the same for all
orders of the three. This is the normalisation of LAMMPS with bnormflag 0, and ours.
"""

import numpy as np
import pytest

from skldos.descriptors.bispectrum import bispectrum_components, point_bispectrum
from skldos.descriptors.bispectrum.reference import (
    clebsch_gordan,
    coupled,
    reference_bispectrum,
    sphere_points,
    switching,
    wigner_functions,
)

TWOJMAX, RCUT = 7, 4.0
TRIPLES = [
    (j1, j2, j)
    for j1 in range(TWOJMAX + 1)
    for j2 in range(TWOJMAX + 1)
    for j in range(abs(j1 - j2), min(TWOJMAX, j1 + j2) + 1, 2)
]


@pytest.fixture(scope="module", params=[1, 2, 9])
def neighbors(request):
    """Some neighbours without symmetry, and weights of both signs."""
    rng = np.random.default_rng(request.param)
    return rng.uniform(-2, 2, (request.param, 3)), rng.uniform(-0.5, 1, request.param)


@pytest.fixture(scope="module")
def all_components(neighbors):
    """Components of all triples of indices, also of those that are not listed."""
    displacements, weights = neighbors
    s = weights * switching(np.linalg.norm(displacements, axis=1), r_cut=RCUT)
    u = wigner_functions(sphere_points(displacements, r_cut=RCUT), TWOJMAX)
    U = [np.eye(len(f)) + f @ s for f in u]
    return {(j1, j2, j): np.vdot(U[j], coupled(U[j1], U[j2], j)) for j1, j2, j in TRIPLES}


def test_one_of_every_order_is_listed():
    listed = [tuple(sorted(triple)) for triple in bispectrum_components(TWOJMAX)]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {tuple(sorted(triple)) for triple in TRIPLES}
    assert len(listed) < len(TRIPLES) / 3


def test_listed_components_give_all_others(neighbors, all_components):
    displacements, weights = neighbors
    cell = 40 * np.eye(3)
    settings = {"twojmax": TWOJMAX, "r_cut": RCUT}
    kernel = point_bispectrum(np.zeros((1, 3)), displacements, weights, cell, **settings)[0]
    reference = reference_bispectrum(displacements, weights, **settings)
    names = bispectrum_components(TWOJMAX)
    for values, tolerance in ((kernel, 1e-12), (reference, 1e-13)):
        largest = np.abs(values).max()
        known = {tuple(sorted(n)): B / (n[-1] + 1) for n, B in zip(names, values, strict=True)}
        for (j1, j2, j), B in all_components.items():
            expected = (j + 1) * known[tuple(sorted((j1, j2, j)))]
            assert abs(B - expected) < tolerance * largest


@pytest.mark.parametrize(("j1", "j2", "j"), [(1, 1, 2), (2, 2, 2), (3, 2, 1), (4, 3, 5), (5, 5, 4)])
def test_clebsch_gordan_coefficients_of_sympy(j1, j2, j):
    sympy = pytest.importorskip("sympy")
    from sympy.physics.quantum.cg import CG

    half, half_sum = sympy.Rational(1, 2), (j1 + j2 - j) // 2
    ours = clebsch_gordan(j1, j2, j)
    for m1 in range(j1 + 1):
        for m2 in range(j2 + 1):
            m = m1 + m2 - half_sum
            if not 0 <= m <= j:
                assert ours[m1, m2] == 0
                continue
            pairs = [(lj * half, k - lj * half) for lj, k in ((j1, m1), (j2, m2), (j, m))]
            exact = CG(*pairs[0], *pairs[1], *pairs[2]).doit()
            assert ours[m1, m2] == pytest.approx(float(exact), abs=1e-14)
