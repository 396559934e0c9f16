"""The derivative of the bispectrum: torch, finite differences, and laws."""

import numpy as np
import pytest
import torch

from skldos.descriptors.bispectrum import (
    bispectrum_components,
    grid_bispectrum,
    grid_bispectrum_adjoint,
    point_bispectrum_adjoint,
)
from skldos.descriptors.bispectrum import torch_kernel as in_torch
from skldos.descriptors.bispectrum.adjoint_kernel import adjoint_kernel
from skldos.descriptors.bispectrum.adjoint_tables import solid_harmonic_gradient
from skldos.descriptors.bispectrum.harmonics import solid_harmonics
from tests.descriptors.crystals import GOOD, RCUT, TRICLINIC, triclinic

SMALL = np.array([[1.6, 0, 0], [0.5, 1.5, 0], [0.1, -0.3, 1.7]])


def fcc():
    """Aluminium with displacements of 0.1 Å."""
    sites = 4.05 * np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    positions = sites + np.random.default_rng(3).normal(scale=0.1, size=(4, 3))
    return positions, np.ones(4), 4.05 * np.eye(3)


def tiny():
    """One atom whose cell is so small that most of its neighbours are its own images."""
    return np.array([[0.3, 0.2, 0.1]]), np.ones(1), SMALL


def random_sensitivity(n_points, twojmax, seed=5):
    return np.random.default_rng(seed).normal(size=(n_points, len(bispectrum_components(twojmax))))


def random_points(cell, n_points=5, seed=7):
    # Some of them outside of the cell
    return np.random.default_rng(seed).uniform(-0.5, 1.5, size=(n_points, 3)) @ cell


def torch_gradients(points, positions, weights, cell, sensitivity, **settings):
    """Return the result of point_bispectrum_adjoint by automatic differentiation."""
    points, positions = (torch.tensor(x, requires_grad=True) for x in (points, positions))
    deformation = torch.eye(3, dtype=torch.float64, requires_grad=True)
    B = in_torch.point_bispectrum(
        points @ deformation,
        positions @ deformation,
        torch.tensor(weights),
        torch.tensor(cell) @ deformation,
        **settings,
    )
    A = (B * torch.tensor(sensitivity)).sum()
    gradients = torch.autograd.grad(A, (points, positions, deformation))
    return tuple(gradient.numpy() for gradient in gradients)


def assert_same(found, expected, tolerance=1e-12):
    """Compare tuples of gradients, each relative to its largest element."""
    for one, other in zip(found, expected, strict=True):
        assert np.abs(other).max() > 1e-3
        assert np.abs(one - other).max() < tolerance * np.abs(other).max()


@pytest.mark.parametrize("ell", [1, 2, 3, 6])
def test_gradient_of_solid_harmonics(ell):
    v, h = np.random.default_rng(0).normal(size=(6, 3)), 1e-5
    R = solid_harmonics(*v.T, ell)
    for axis, step in enumerate(h * np.eye(3)):
        above, below = (np.array(solid_harmonics(*at.T, ell)) for at in (v + step, v - step))
        expected = (above - below) / (2 * h)
        for m in range(-ell, ell + 1):
            terms = [t for t in solid_harmonic_gradient(ell, m) if t[0] == axis]
            found = sum(value * R[(ell - 1) * ell + n] for _, n, value in terms)
            # Three digits above the h² of the differences, for values of the order of ten
            assert found == pytest.approx(expected[ell * ell + ell + m], abs=1e-6)


@pytest.mark.parametrize(
    ("system", "settings"),
    [
        (fcc, {"twojmax": 10, "r_cut": 4.67637}),
        (fcc, {"twojmax": 12, "r_cut": 3.0}),  # more than one tile of directions
        (triclinic, {"twojmax": 5, "r_cut": RCUT}),
        (triclinic, {"twojmax": 10, "r_cut": RCUT}),
        (triclinic, {"twojmax": 7, "r_cut": RCUT, "switch": False}),
        (triclinic, {"twojmax": 6, "r_cut": RCUT, "rmin0": 1.0, "rfac0": 0.9}),
        (triclinic, {"twojmax": 4, "r_cut": RCUT, "rfac0": 1.3}),  # beyond the antipole
        (tiny, {"twojmax": 8, "r_cut": 4.0}),
        (triclinic, {"twojmax": 0, "r_cut": RCUT}),
        (triclinic, {"twojmax": 1, "r_cut": RCUT}),
        (triclinic, {"twojmax": 2, "r_cut": RCUT}),
    ],
)
def test_same_as_automatic_differentiation(system, settings):
    positions, weights, cell = system()
    points = random_points(cell)
    sensitivity = random_sensitivity(len(points), settings["twojmax"])
    arguments = points, positions, weights, cell, sensitivity
    expected = torch_gradients(*arguments, **settings)
    found = point_bispectrum_adjoint(*arguments, **settings)
    assert_same(found, expected)


def grid_sum(positions, weights, cell, sensitivity, shape, **settings):
    return np.sum(grid_bispectrum(positions, weights, cell, shape, **settings) * sensitivity)


@pytest.mark.parametrize("twojmax", [5, 10])
def test_finite_differences_on_a_grid(twojmax):
    positions, weights, cell = triclinic()
    shape, settings = (3, 4, 2), {"twojmax": twojmax, "r_cut": RCUT}
    sensitivity = random_sensitivity(24, twojmax)
    by_atom, by_strain = grid_bispectrum_adjoint(
        positions, weights, cell, shape, sensitivity, **settings
    )
    rng, h = np.random.default_rng(8), 1e-5
    step, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3))
    plus, minus = (
        grid_sum(positions + x * step, weights, cell, sensitivity, shape, **settings)
        for x in (h, -h)
    )
    expected = (plus - minus) / (2 * h)
    assert abs(expected) > 1
    assert (by_atom * step).sum() == pytest.approx(expected, rel=1e-7)
    plus, minus = (
        grid_sum(positions @ D, weights, cell @ D, sensitivity, shape, **settings)
        for D in (np.eye(3) + h * strain, np.eye(3) - h * strain)
    )
    expected = (plus - minus) / (2 * h)
    assert abs(expected) > 1
    assert (by_strain * strain).sum() == pytest.approx(expected, rel=1e-7)


def crystal_gradients(points=None, twojmax=7, **changes):
    positions, weights, cell = triclinic()
    arguments = {"positions": positions, "weights": weights, "cell": cell} | changes
    points = random_points(TRICLINIC) if points is None else points
    sensitivity = changes.pop("sensitivity", random_sensitivity(len(points), twojmax))
    arguments["sensitivity"] = sensitivity
    return point_bispectrum_adjoint(points, twojmax=twojmax, r_cut=RCUT, **arguments)


def test_inversion_makes_a_left_handed_cell():
    positions, _, _ = triclinic()
    by_point, by_atom, by_strain = crystal_gradients()
    inverted = crystal_gradients(-random_points(TRICLINIC), positions=-positions, cell=-TRICLINIC)
    assert_same(inverted, (-by_point, -by_atom, by_strain))


def test_lattice_vectors_added_to_atoms_and_points():
    positions, _, _ = triclinic()
    rng = np.random.default_rng(2)
    moved = crystal_gradients(
        random_points(TRICLINIC) + rng.integers(-3, 4, (5, 3)) @ TRICLINIC,
        positions=positions + rng.integers(-3, 4, positions.shape) @ TRICLINIC,
    )
    assert_same(moved, crystal_gradients())


def test_points_without_neighbors():
    atom, cell = np.full((1, 3), 1.3), 20 * np.eye(3)
    points = np.concatenate([atom, atom + 10])  # on the atom, and far away
    gradients = point_bispectrum_adjoint(points, atom, np.ones(1), cell, random_sensitivity(2, 10))
    assert all(np.all(gradient == 0) for gradient in gradients)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_nothing_at_all(device):
    positions, weights, cell = triclinic()
    by_point, by_atom, by_strain = point_bispectrum_adjoint(
        np.zeros((0, 3)), positions, weights, cell, np.zeros((0, 91)), device=device
    )
    assert by_point.shape == (0, 3)
    assert np.all(by_atom == 0)
    assert np.all(by_strain == 0)


def test_no_atoms():
    by_point, by_atom, _ = point_bispectrum_adjoint(
        np.zeros((2, 3)), np.zeros((0, 3)), np.zeros(0), TRICLINIC, np.ones((2, 91))
    )
    assert np.all(by_point == 0)
    assert by_atom.shape == (0, 3)


def test_point_on_an_atom_does_not_see_it():
    positions, weights, _ = triclinic()
    by_point, by_atom, by_strain = crystal_gradients(positions[:1])
    assert np.all(by_atom[0] == 0)  # its images are beyond the cutoff
    without = crystal_gradients(positions[:1], positions=positions[1:], weights=weights[1:])
    assert_same((by_point, by_atom[1:], by_strain), without)


def test_atoms_of_no_weight_feel_no_force():
    by_point, by_atom, by_strain = crystal_gradients(weights=np.array([1.0, 0.0, 1.0, 0.0]))
    positions, _, _ = triclinic()
    assert np.all(by_atom[1::2] == 0)
    without = crystal_gradients(positions=positions[::2], weights=np.ones(2))
    assert_same((by_point, by_atom[::2], by_strain), without)


@pytest.mark.parametrize("distance", [1e-9, 1e-4, 1.0, RCUT - 1e-4])
def test_single_neighbor_pulls_along_the_line(distance):
    direction = np.array([0.36, 0.48, 0.8])
    sensitivity = random_sensitivity(1, 7)
    by_point, by_atom, by_strain = point_bispectrum_adjoint(
        np.zeros((1, 3)), distance * direction[None], np.ones(1), 20 * np.eye(3), sensitivity,
        twojmax=7, r_cut=RCUT,
    )  # fmt: skip
    slope = by_atom[0] @ direction
    assert abs(slope) > 1e-6
    # Across the line there is nothing but rounding, of a gradient of the size of one radian.
    assert np.abs(by_atom[0] - slope * direction).max() < 1e-9
    assert np.array_equal(by_point, -by_atom)
    assert by_strain == pytest.approx(distance * slope * np.outer(direction, direction), abs=1e-9)


def test_neighbors_fade_out_at_the_cutoff():
    def pull(distance):
        return np.abs(
            point_bispectrum_adjoint(
                np.zeros((1, 3)), [[0, 0, distance]], [1.0], 20 * np.eye(3), np.ones((1, 30)),
                twojmax=6, r_cut=RCUT,
            )[1]
        ).max()  # fmt: skip

    # f_c = cos²: its slope vanishes linearly.
    assert pull(RCUT - 1e-3) > 1e-3
    assert pull(RCUT - 1e-6) == pytest.approx(1e-3 * pull(RCUT - 1e-3), rel=1e-2)
    assert np.isfinite(pull(RCUT - 1e-15))


def test_very_many_neighbors():
    rng = np.random.default_rng(4)
    positions, weights = rng.uniform(-1, 1, (400, 3)), rng.uniform(0.01, 0.02, 400)
    arguments = np.zeros((1, 3)), positions, weights, 30 * np.eye(3), random_sensitivity(1, 6)
    settings = {"twojmax": 6, "r_cut": RCUT}
    expected = torch_gradients(*arguments, **settings)
    assert_same(point_bispectrum_adjoint(*arguments, **settings), expected)


def test_number_of_threads_does_not_change_a_bit():
    positions, weights, cell = triclinic()
    arguments = positions, weights, cell, (8, 9, 10), random_sensitivity(720, 4)
    settings = {"twojmax": 4, "r_cut": RCUT}
    one, *others = (grid_bispectrum_adjoint(*arguments, n_threads=n, **settings) for n in (1, 2, 3))
    assert np.abs(one[0]).max() > 1
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_arrays_of_any_kind_are_read_and_left_alone(device):
    positions, weights, cell = triclinic()
    points, sensitivity = random_points(cell), random_sensitivity(5, 4)
    arguments = points, positions, weights, cell, sensitivity
    expected = point_bispectrum_adjoint(*arguments, twojmax=4, r_cut=RCUT)
    compiled = len(adjoint_kernel.signatures)
    odd = [np.repeat(x, 2, axis=0)[::2] for x in map(np.asfortranarray, arguments)]
    odd[3] = cell.tolist()
    for array in odd[:3] + odd[4:]:
        array.flags.writeable = False
    found = point_bispectrum_adjoint(*odd, twojmax=4, r_cut=RCUT, device=device)
    assert_same(found, expected)
    assert len(adjoint_kernel.signatures) == compiled  # which takes half a minute


def test_single_precision():
    positions, weights, cell = fcc()
    sensitivity = random_sensitivity(125, 10)
    arguments = positions, weights, cell, (5, 5, 5)
    exact = grid_bispectrum_adjoint(*arguments, sensitivity)
    for given in (sensitivity, sensitivity.astype(np.float32)):
        found = grid_bispectrum_adjoint(*arguments, given, dtype="float32")
        assert all(gradient.dtype == np.float64 for gradient in found)
        # The rounding of float32, 6e-8, grows in sums of hundreds of terms.
        assert_same(found, exact, 1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_torch_is_used_for_other_devices(dtype, tolerance):
    positions, weights, cell = triclinic()
    arguments = positions, weights, cell, (3, 2, 4), random_sensitivity(24, 5)
    settings = {"twojmax": 5, "r_cut": RCUT}
    found = grid_bispectrum_adjoint(
        *arguments, device=torch.device("cpu", 0), dtype=dtype, **settings
    )
    assert_same(found, grid_bispectrum_adjoint(*arguments, **settings), tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu():
    positions, weights, cell = triclinic()
    arguments = positions, weights, cell, (3, 2, 4), random_sensitivity(24, 5)
    settings = {"twojmax": 5, "r_cut": RCUT}
    found = grid_bispectrum_adjoint(*arguments, device="cuda", **settings)
    assert_same(found, grid_bispectrum_adjoint(*arguments, **settings), 1e-11)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"sensitivity": np.ones((7, 91))}, ValueError, r"sensitivity must .* \(8, 91\), got \(7"),
        ({"sensitivity": np.ones((8, 90))}, ValueError, r"sensitivity must .* \(8, 91\), got \(8"),
        ({"sensitivity": np.full((8, 91), np.nan)}, ValueError, "sensitivity must be finite, got"),
        ({"sensitivity": np.ones((8, 91), complex)}, TypeError, "sensitivity must be an array of"),
        ({"start": 2}, ValueError, r"sensitivity must have shape \(6, 91\), got \(8, 91\)"),
        ({"positions": np.zeros((2, 2))}, ValueError, r"positions must have shape \(any, 3\)"),
        ({"cell": np.zeros((3, 3))}, ValueError, "cell must have three linearly independent"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of 'float64', 'float32'"),
        ({"n_threads": 0}, ValueError, "n_threads must be >= 1, got 0"),
    ],
)
def test_bad_input_is_named(bad, error, message):
    arguments = {**GOOD, "grid_shape": (2, 2, 2), "sensitivity": np.ones((8, 91)), **bad}
    with pytest.raises(error, match=message):
        grid_bispectrum_adjoint(**arguments)
