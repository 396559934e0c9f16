"""Power spectra of atoms: laws, finite differences, explicit formulas, and featomic."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.spatial.transform import Rotation
from scipy.special import gamma

from skldos.descriptors.power_spectrum import (
    api,
    power_spectrum,
    power_spectrum_adjoint,
    power_spectrum_derivatives,
)
from skldos.descriptors.power_spectrum.harmonics import (
    prefactors,
    solid_harmonics,
    solid_harmonics_gradient,
)
from skldos.descriptors.power_spectrum.radial import BASES, radial_basis, radial_table
from skldos.descriptors.power_spectrum.reference import reference_power_spectrum

SETTINGS = {"n_species": 2, "r_cut": 4.3, "n_max": 3, "l_max": 3, "sigma": 0.5}


def salt():
    """A sheared, displaced cell of two elements, smaller than the cutoff."""
    atoms = bulk("NaCl", "rocksalt", a=5.0)
    shear = np.roll(np.diag([0.2, 0.1, 0.3]), 1, axis=1)
    atoms.set_cell(atoms.cell.array + shear, scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def left_handed():
    atoms = salt()
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    return atoms


def alone():
    """A molecule far from its images, and one atom without neighbours."""
    atoms = molecule("CO")
    atoms.set_cell([20, 21, 22])
    atoms.center()
    atoms.pbc = True
    return atoms + Atoms("C", positions=[[1.0, 1.0, 1.0]])


CASES = {"skewed": salt, "left-handed": left_handed, "isolated": alone}


@pytest.fixture(params=CASES)
def case(request):
    """Positions, cell and species."""
    atoms = CASES[request.param]()
    kinds = np.unique(atoms.numbers, return_inverse=True)[1]
    return atoms.positions, atoms.cell.array, kinds


def test_it_equals_the_formulas(case):
    found = power_spectrum(*case, **SETTINGS)
    expected = reference_power_spectrum(*case, **SETTINGS)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-9)


@pytest.mark.parametrize("make", [salt, alone])
def test_it_equals_featomic(make):
    featomic = pytest.importorskip("featomic")
    atoms, n = make(), 4
    kinds = np.unique(atoms.numbers, return_inverse=True)[1]
    found = power_spectrum(
        atoms.positions,
        atoms.cell.array,
        kinds,
        r_cut=4.6,
        n_max=n,
        l_max=3,
        sigma=0.4,
        fade=0.7,
        rbf="gto_n",
    )
    smoothing = {"type": "ShiftedCosine", "width": 0.7}
    radial = {"type": "Gto", "max_radial": n - 1}
    calculator = featomic.SoapPowerSpectrum(
        cutoff={"radius": 4.6, "smoothing": smoothing},
        density={"type": "Gaussian", "width": 0.4},
        basis={
            "type": "TensorProduct",
            "max_angular": 3,
            "radial": radial,
            "spline_accuracy": 1e-10,
        },
    )
    index = np.empty((4, 2 * n, 2 * n), dtype=int)
    first, second = np.triu_indices(2 * n)
    for l in range(4):
        index[l, first, second] = index[l, second, first] = np.arange(len(first)) + l * len(first)
    elements = sorted(set(atoms.numbers))
    compared = 0
    for key, block in calculator.compute(atoms).items():
        a0, b0 = (n * elements.index(key[f"neighbor_{i}_type"]) for i in (1, 2))
        for row, sample in zip(block.values, block.samples, strict=True):
            for value, (l, n1, n2) in zip(row, block.properties.values, strict=True):
                a, b = a0 + n1, b0 + n2
                # featomic's (-1)^l; it has (a, b) and (b, a) of one element, but not of two.
                scale = (-1) ** l / (np.sqrt(2) if a != b else 1) * (np.sqrt(2) if a0 != b0 else 1)
                ours = found[sample["atom"], index[l, a, b]] * scale
                assert ours == pytest.approx(value, rel=0, abs=2e-9)
                compared += abs(value) > 1e-3
    assert compared > 50


def test_derivatives_are_finite_differences(case, rng):
    positions, cell, kinds = case
    weights = rng.normal(size=power_spectrum(*case, **SETTINGS).shape)

    def number(positions, cell):
        return (weights * power_spectrum(positions, cell, kinds, **SETTINGS)).sum()

    by_positions, by_strain = power_spectrum_adjoint(weights, *case, **SETTINGS)
    h = 1e-5
    for i, x in np.ndindex(by_positions.shape):
        step = np.zeros_like(positions)
        step[i, x] = h
        slope = (number(positions + step, cell) - number(positions - step, cell)) / (2 * h)
        assert by_positions[i, x] == pytest.approx(slope, rel=1e-6, abs=1e-8)
    for x, y in np.ndindex(3, 3):
        e = np.zeros((3, 3))
        e[x, y] = h
        up, down = np.eye(3) + e, np.eye(3) - e
        slope = (number(positions @ up, cell @ up) - number(positions @ down, cell @ down)) / (
            2 * h
        )
        assert by_strain[x, y] == pytest.approx(slope, rel=1e-6, abs=1e-7)
    assert np.abs(by_positions).max() > 1e-3


def test_all_derivatives_at_once_are_those_of_one_feature_after_the_other(case, rng):
    weights = rng.normal(size=(2, power_spectrum(*case, **SETTINGS).shape[1]))
    kinds = case[2]
    by = power_spectrum_derivatives(*case, groups=kinds, **SETTINGS)
    expected = power_spectrum_adjoint(weights[kinds], *case, **SETTINGS)
    for found, wanted in zip(by, expected, strict=True):
        assert np.abs(wanted).max() > 1e-3
        np.testing.assert_allclose(np.einsum("ixgf,gf->ix", found, weights), wanted, atol=1e-12)


def test_rotations_inversion_and_translations_change_nothing(rng):
    atoms = salt()
    kinds = np.array([0, 1])
    before = power_spectrum(atoms.positions, atoms.cell.array, kinds, **SETTINGS)
    turn = -Rotation.random(random_state=3).as_matrix()
    moved = atoms.positions @ turn + [0.3, 7.0, -2.0]
    moved[1] += [2, -1, 3] @ (atoms.cell.array @ turn)
    after = power_spectrum(moved, atoms.cell.array @ turn, kinds, **SETTINGS)
    np.testing.assert_allclose(after, before, atol=1e-11)


def test_pieces_and_threads_and_room_change_nothing(monkeypatch, rng):
    atoms = bulk("Al", cubic=True) * (2, 2, 1)
    atoms.rattle(0.1, seed=0)
    kinds = np.arange(len(atoms)) % 2
    at = (atoms.positions, atoms.cell.array, kinds)
    whole = power_spectrum(*at, **SETTINGS)
    weights = rng.normal(size=whole.shape)
    by = power_spectrum_adjoint(weights, *at, **SETTINGS)
    every = power_spectrum_derivatives(*at, **SETTINGS)
    monkeypatch.setattr(api, "ATOMS_AT_ONCE", 3)
    monkeypatch.setattr(api, "MOST_PIECES", 100)
    monkeypatch.setattr(api, "INITIAL_ROOM", 1)
    for n_threads in (1, 3):
        options = SETTINGS | {"n_threads": n_threads}
        np.testing.assert_array_equal(power_spectrum(*at, **options), whole)
        pieces = power_spectrum_adjoint(weights, *at, **options)
        np.testing.assert_allclose(pieces[0], by[0], atol=1e-12)
        np.testing.assert_allclose(pieces[1], by[1], atol=1e-12)
        for a, b in zip(power_spectrum_derivatives(*at, **options), every, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
    some = power_spectrum(*at, start=5, stop=11, **SETTINGS)
    np.testing.assert_array_equal(some, whole[5:11])
    one = power_spectrum_adjoint(weights[5:11], *at, start=5, stop=11, **SETTINGS)
    rest = [
        power_spectrum_adjoint(weights[a:b], *at, start=a, stop=b, **SETTINGS)
        for a, b in ((0, 5), (11, 16))
    ]
    np.testing.assert_allclose(one[0] + rest[0][0] + rest[1][0], by[0], atol=1e-12)


def test_spectra_are_continuous_at_the_cutoff():
    positions, cell = np.array([[0.0, 0, 0], [0, 0, 4.3]]), 20 * np.eye(3)
    near, far = (
        power_spectrum(positions + step * np.eye(3)[[1, 2]] * [0, 0, 1], cell, [0, 1], **SETTINGS)
        for step in (-1e-6, 1e-6)
    )
    np.testing.assert_allclose(near, far, atol=1e-10)


def test_solid_harmonics_are_orthonormal_and_their_gradients_exact():
    l_max = 7
    factors, work = prefactors(l_max), np.zeros((l_max + 2, l_max + 2))
    nodes, weights = np.polynomial.legendre.leggauss(l_max + 1)
    azimuths = np.arange(2 * l_max + 1) * 2 * np.pi / (2 * l_max + 1)
    gram = 0
    for z, w in zip(nodes, weights, strict=True):
        for a in azimuths:
            r = np.sqrt(1 - z**2)
            values = np.empty((l_max + 1) ** 2)
            solid_harmonics(r * np.cos(a), r * np.sin(a), z, factors, work, values)
            gram = gram + w * 2 * np.pi / len(azimuths) * np.outer(values, values)
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)
    point, h = np.array([0.3, -1.2, 0.7]), 1e-5
    gradient, shifted = np.empty((3, len(gram))), np.empty((2, len(gram)))
    solid_harmonics(*point, factors, work, values)
    solid_harmonics_gradient(*point, factors, work, gradient)
    for x in range(3):
        for side, step in enumerate((h, -h)):
            moved = point.copy()
            moved[x] += step
            solid_harmonics(*moved, factors, np.zeros_like(work), shifted[side])
        np.testing.assert_allclose(
            gradient[x], (shifted[0] - shifted[1]) / (2 * h), rtol=1e-7, atol=1e-8
        )


def test_radial_functions_are_orthonormal():
    x, dx = np.linspace(0, 60, 60001, retstep=True)
    for rbf, l in [("gto", 0), ("gto", 8), ("gto_n", 0), ("polynomial", 0)]:
        R = radial_basis(x, l, 8, 5.0, rbf)
        np.testing.assert_allclose(R * x**2 @ R.T * dx, np.eye(8), atol=1e-8)


@pytest.mark.parametrize("rbf", BASES)
def test_all_radial_functions_equal_the_formulas(rbf):
    atoms = salt()
    at = (atoms.positions, atoms.cell.array, [0, 1])
    radial = SETTINGS | {"n_max": 2, "l_max": 2, "rbf": rbf}
    found = power_spectrum(*at, **radial, basis_radius=2.7)
    expected = reference_power_spectrum(*at, **radial, radius=2.7)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-9)


@pytest.mark.parametrize("sigma", [0.3, 1.1, 4.0])
def test_tables_are_the_integrals_of_gaussian_type_orbitals(sigma):
    # ∫ x^(l+2) e^(-b x²) i_l(c x) dx = √π c^l e^(c²/4b) / (2^(l+2) b^(l+3/2)), for any exponent
    # (Gradshteyn and Ryzhik 6.631); b = α + 1/2σ², c = r/σ².
    n_max, l_max, r_cut, radius = 4, 5, 9.0, 4.0
    table = radial_table(n_max, l_max, r_cut, sigma, radius, "gto")
    r = np.linspace(0, r_cut, len(table))[:, None]
    at = np.linspace(1, radius, n_max)
    for l in range(l_max + 1):
        alpha = -np.log(1e-3 / at**l) / at**2
        b = alpha + 1 / (2 * sigma**2)
        overlap = 0.5 * gamma(l + 1.5) / (alpha[:, None] + alpha) ** (l + 1.5)
        scale = 4 * np.pi * np.sqrt(np.pi) / (np.pi * sigma**2) ** 0.75 / 2 ** (l + 2)
        growth = r**2 / (4 * b * sigma**4) - r**2 / (2 * sigma**2)
        primitive = scale * np.exp(growth) / (sigma ** (2 * l) * b ** (l + 1.5))
        found = table[:, 0, l * n_max : (l + 1) * n_max]
        # Products over n do not depend on how the orbitals were made orthonormal.
        expected = primitive @ np.linalg.solve(overlap, primitive.T)
        assert expected[0, 0] > 0
        np.testing.assert_allclose(found @ found.T, expected, rtol=0, atol=1e-9 * expected.max())


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="start and stop must be within 0 to 1"):
        power_spectrum([[0, 0, 0]], 4 * np.eye(3), [0], start=3, **SETTINGS)
    with pytest.raises(ValueError, match="positions must be finite"):
        power_spectrum([[0, 0, np.nan]], 4 * np.eye(3), [0], **SETTINGS)
