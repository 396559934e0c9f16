"""Sums of Gaussians: coefficients are recovered, also after rotations, shifts and repetitions."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from skldos.decomposition.gaussians import (
    Gaussians,
    NormalEquations,
    exact_overlap,
    geometric_exponents,
    norms,
)
from skldos.geometry import grid_points
from skldos.units import BOHR

EXPONENTS = np.array([0.6, 1.5, 4.0])
CELL = np.array([[5.0, 0.0, 0.0], [1.1, 5.5, 0.0], [-0.7, 0.8, 4.6]])
GRID = (21, 20, 18)


@pytest.fixture
def positions(rng):
    return rng.random((4, 3)) @ CELL


@pytest.fixture
def coefficients(rng):
    return rng.normal(size=(4, 3))


def direct_sum(coefficients, positions, cell, grid_shape, exponents):
    """The sum in real space: every point, every atom, every image within two cells."""
    points = grid_points(cell, grid_shape)
    V = np.zeros(len(points))
    for shift in itertools.product(range(-2, 3), repeat=3):
        for A, position in zip(coefficients, positions, strict=True):
            r2 = ((points - position - shift @ cell) ** 2).sum(axis=1)
            V += np.exp(-exponents * r2[:, None]) @ A
    return V.reshape(grid_shape)


# ------------------------------------------------------------------ the field


def test_the_waves_are_those_of_the_sum_over_all_images(positions, coefficients):
    # At the ends of the grid, exp(-G²/4α) of the narrowest is 1e-12.
    soft = np.array([0.6, 0.9, 1.3])
    expected = direct_sum(coefficients, positions, CELL, GRID, soft)
    found = Gaussians(positions, CELL, GRID, soft).field(coefficients)
    assert np.ptp(expected) > 1
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-9 * scale)


def test_the_mean_is_the_integral_of_the_gaussians(positions, coefficients):
    integral = (coefficients * (np.pi / EXPONENTS) ** 1.5).sum() / np.linalg.det(CELL)
    V = Gaussians(positions, CELL, GRID, EXPONENTS).field(coefficients)
    assert abs(integral) > 0.01
    assert V.mean() == pytest.approx(integral, rel=1e-12)
    without = Gaussians(positions, CELL, GRID, EXPONENTS, mean=False).field(coefficients)
    np.testing.assert_allclose(without, V - integral, atol=1e-12)


# ------------------------------------------------------------------ the fit


@pytest.mark.parametrize("mean", [True, False])
def test_a_sum_of_gaussians_is_recovered(positions, coefficients, mean):
    gaussians = Gaussians(positions, CELL, GRID, EXPONENTS, mean=mean)
    V = gaussians.field(coefficients) + (0.0 if mean else 3.7)
    np.testing.assert_allclose(gaussians.fit(V), coefficients, atol=1e-10)


def test_every_atom_may_have_its_own_exponents(positions, coefficients, rng):
    exponents = EXPONENTS * rng.uniform(0.8, 1.2, size=(4, 1))
    gaussians = Gaussians(positions, CELL, GRID, exponents)
    V = gaussians.field(coefficients)
    np.testing.assert_allclose(gaussians.fit(V), coefficients, atol=1e-10)
    others = Gaussians(positions, CELL, GRID, EXPONENTS).field(coefficients)
    assert np.abs(V - others).max() > 0.01


@pytest.fixture
def field(rng):
    """A smooth field that Gaussians cannot represent."""
    waves = np.fft.fftn(rng.normal(size=GRID))
    m = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in GRID), indexing="ij")
    return 30 * np.fft.ifftn(waves * np.exp(-sum(x**2 for x in m) / 9)).real


@pytest.mark.parametrize("mean", [True, False])
def test_what_is_left_is_orthogonal_to_all_gaussians(positions, field, mean):
    gaussians = Gaussians(positions, CELL, GRID, EXPONENTS, mean=mean)
    A = gaussians.fit(field)
    rest = field - gaussians.field(A)
    integrals = gaussians.normal_equations(rest).projections
    size = np.linalg.norm(gaussians.normal_equations(field).projections)
    assert size > 1
    np.testing.assert_allclose(integrals, 0, atol=1e-11 * size)
    # Pythagoras: V² = (V - fit)² + fit², where the mean is part of both or of neither
    V, rest = (f if mean else f - f.mean() for f in (field, rest))
    fit2 = A.ravel() @ gaussians.overlap() @ A.ravel() / np.linalg.det(CELL)
    assert 0.01 < fit2 / (V**2).mean() < 0.99
    assert (rest**2).mean() + fit2 == pytest.approx((V**2).mean(), rel=1e-10)


def test_the_penalty_is_the_gradient_of_what_is_minimised(positions, field):
    equations = Gaussians(positions, CELL, GRID, EXPONENTS).normal_equations(field)
    ridge = 0.03
    A = equations.solve(ridge)
    # S A + λ |g|² A = b
    left = equations.overlap @ A + ridge * equations.norms**2 * A
    np.testing.assert_allclose(left, equations.projections, rtol=1e-10)


def test_regularisation_shrinks_the_coefficients_and_the_condition(positions, field):
    equations = Gaussians(positions, CELL, GRID, EXPONENTS).normal_equations(field)
    path = equations.solve([0.0, 1e-6, 1e-3, 1.0])
    np.testing.assert_allclose(path[2], equations.solve(1e-3), rtol=1e-10)
    sizes = np.linalg.norm(path * equations.norms, axis=1)
    errors = [A @ equations.overlap @ A - 2 * A @ equations.projections for A in path]
    assert (np.diff(sizes) < 0).all()
    assert (np.diff(errors) > 0).all()
    conditions = [equations.condition(ridge) for ridge in (0.0, 1e-6, 1e-3, 1.0)]
    assert conditions[0] > 10
    assert (np.diff(conditions) < 0).all()


def test_twins_share_their_coefficient(positions, field):
    # Two Gaussians that are the same: the equations are singular.
    once = Gaussians(positions, CELL, GRID, [0.6, 1.5])
    twice = Gaussians(positions, CELL, GRID, [0.6, 1.5, 1.5])
    A = twice.fit(field)
    np.testing.assert_allclose(A[:, 1], A[:, 2], rtol=1e-6)
    np.testing.assert_allclose(
        np.stack([A[:, 0], A[:, 1] + A[:, 2]], axis=1), once.fit(field), rtol=1e-6
    )


# ------------------------------------------------------------------ symmetries

RIDGE = 1e-4
TURN = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
MIRROR = TURN @ np.diag([1, 1, -1])  # makes a left-handed cell
STEPS, TURNS = np.array([3, -5, 11]), np.array([[1, 0, 0], [0, -2, 0], [0, 0, 1], [3, 1, -1]])
AXES = [2, 0, 1]
SAME = {
    # Over whole voxels: then the field is the same numbers, rolled.
    "shift": lambda x, V: (x + STEPS / GRID @ CELL, CELL, np.roll(V, STEPS, axis=(0, 1, 2))),
    "outside": lambda x, V: (x + TURNS @ CELL, CELL, V),
    "rotation": lambda x, V: (x @ TURN, CELL @ TURN, V),
    "mirror": lambda x, V: (x @ MIRROR, CELL @ MIRROR, V),
    "axes": lambda x, V: (x, CELL[AXES], np.transpose(V, AXES)),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_other_descriptions_change_nothing(positions, field, change):
    expected = Gaussians(positions, CELL, GRID, EXPONENTS).fit(field, RIDGE)
    moved, cell, V = change(positions, field)
    found = Gaussians(moved, cell, V.shape, EXPONENTS).fit(V, RIDGE)
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("mean", [True, False])
def test_a_supercell_repeats_the_coefficients(positions, field, mean):
    expected = Gaussians(positions, CELL, GRID, EXPONENTS, mean=mean).fit(field, RIDGE)
    both = np.concatenate([positions, positions + CELL[0]])
    cell, grid = CELL * [[2], [1], [1]], (2 * GRID[0], *GRID[1:])
    double = Gaussians(both, cell, grid, EXPONENTS, mean=mean)
    found = double.fit(np.concatenate([field, field]), RIDGE)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, np.concatenate([expected, expected]), atol=1e-9)


# ------------------------------------------------------------------ overlaps


def test_overlaps_in_space_and_on_a_fine_grid_agree(positions):
    exact = exact_overlap(positions, CELL, EXPONENTS)
    found = Gaussians(positions, CELL, (50, 55, 46), EXPONENTS).overlap()
    assert exact.max() > 1
    np.testing.assert_allclose(found, exact, atol=1e-12 * exact.max())
    # Without the mean, the product of the means is missing.
    integrals = np.tile((np.pi / EXPONENTS) ** 1.5, 4)
    without = Gaussians(positions, CELL, (50, 55, 46), EXPONENTS, mean=False).overlap()
    np.testing.assert_allclose(
        found - without, np.outer(integrals, integrals) / np.linalg.det(CELL), atol=1e-12
    )


def test_sharp_gaussians_are_what_the_grid_can_hold(positions):
    sharp = 100.0
    exact = exact_overlap(positions, CELL, [sharp])
    found = Gaussians(positions, CELL, GRID, [sharp]).overlap()
    assert (np.diag(found) > 0).all()
    assert (np.diag(found) < 0.5 * np.diag(exact)).all()


def test_overlaps_do_not_know_where_the_grid_is(positions):
    expected = Gaussians(positions, CELL, GRID, EXPONENTS).overlap()
    moved = Gaussians(positions + np.array([0.123, -0.4, 0.7]), CELL, GRID, EXPONENTS).overlap()
    np.testing.assert_allclose(moved, expected, atol=1e-12 * expected.max())


def test_norms_are_those_of_lone_gaussians():
    lone = exact_overlap(np.zeros((1, 3)), 20 * np.eye(3), EXPONENTS)
    np.testing.assert_allclose(norms(EXPONENTS) ** 2, np.diag(lone), rtol=1e-12)


# ------------------------------------------------------------------ exponents and mistakes


def test_exponents_of_the_olcao_method():
    # Silicon there has sixteen, from 0.15 to 1e6 bohr⁻²: a ratio of 2.85.
    alpha = geometric_exponents(16, 0.15 / BOHR**2, 1e6 / BOHR**2) * BOHR**2
    np.testing.assert_allclose(alpha[[0, -1]], [0.15, 1e6])
    np.testing.assert_allclose(alpha[1:] / alpha[:-1], 2.85, rtol=1e-3)
    assert geometric_exponents(1, 0.5, 3.0).tolist() == [0.5]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"exponents": [0.5, -1.0]}, ValueError, "exponents must be > 0"),
        ({"exponents": []}, ValueError, "exponents must have shape"),
        ({"exponents": np.ones((3, 2))}, ValueError, r"exponents must have shape \(4, any\)"),
        ({"positions": np.zeros((4, 2))}, ValueError, "positions must have shape"),
        ({"positions": np.full((4, 3), np.nan)}, ValueError, "positions must be finite"),
        ({"cell": np.zeros((3, 3))}, ValueError, "cell must have three"),
        ({"grid_shape": (4, 4)}, ValueError, "grid_shape must be three"),
    ],
)
def test_impossible_gaussians_are_named(positions, change, error, message):
    arguments = {"positions": positions, "cell": CELL, "grid_shape": GRID, "exponents": EXPONENTS}
    with pytest.raises(error, match=message):
        Gaussians(**arguments | change)


def test_fields_and_ridges_that_do_not_fit_are_named(positions):
    gaussians = Gaussians(positions, CELL, GRID, EXPONENTS)
    with pytest.raises(ValueError, match="field must have the shape"):
        gaussians.fit(np.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match="field must be finite"):
        gaussians.fit(np.full(GRID, np.inf))
    with pytest.raises(ValueError, match=r"coefficients must have shape \(4, 3\)"):
        gaussians.field(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="ridge must be >= 0"):
        NormalEquations(np.eye(2), np.ones(2), np.ones(2)).solve([0.1, -0.1])
    with pytest.raises(ValueError, match="n must be >= 1"):
        geometric_exponents(0)


@pytest.mark.parametrize("piece", [1, 7, 50])
def test_pieces_of_the_waves_do_not_show(piece, rng, monkeypatch):
    cell = np.array([[3.0, 0.2, 0.0], [0.5, 3.3, 0.1], [0.0, -0.4, 3.6]])
    field, exponents = rng.random((5, 6, 7)), np.array([[0.5, 1.5]] * 2)
    of = (rng.random((2, 3)) @ cell, cell, field.shape, exponents)
    whole = Gaussians(*of).fit(field, 1e-4)
    monkeypatch.setattr("skldos.decomposition.gaussians.WAVES_AT_ONCE", piece)
    np.testing.assert_allclose(Gaussians(*of).fit(field, 1e-4), whole, rtol=1e-9)


def test_default_exponents_are_those_of_the_documentation():
    np.testing.assert_allclose(geometric_exponents(3) * BOHR**2, [0.15, np.sqrt(0.75), 5.0])


def test_singular_equations_have_no_finite_condition():
    singular = NormalEquations(np.diag([0.0, 2.0]), np.zeros(2), np.ones(2))
    assert singular.condition() == np.inf
    assert singular.condition(0.5) == pytest.approx(5.0)
    with pytest.raises(ValueError, match="ridge must be >= 0"):
        singular.condition(-1e-9)


@pytest.mark.parametrize("positions", [np.zeros((4, 2)), np.zeros(3)])
def test_positions_of_overlaps_are_points(positions):
    with pytest.raises(ValueError, match=r"positions must have shape \(any, 3\)"):
        exact_overlap(positions, CELL, EXPONENTS)
