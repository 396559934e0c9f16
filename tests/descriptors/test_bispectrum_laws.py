"""Laws of the bispectrum, its limits, and the gradient."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.stats import special_ortho_group

from skldos.descriptors.bispectrum import (
    bispectrum_components,
    grid_bispectrum,
    grid_bispectrum_adjoint,
    point_bispectrum,
)
from skldos.descriptors.bispectrum import torch_kernel as in_torch
from skldos.descriptors.bispectrum.reference import reference_bispectrum
from tests.descriptors.crystals import GOOD, RCUT, TRICLINIC, triclinic


@pytest.fixture
def crystal():
    """Four atoms of two kinds in a triclinic cell, and points."""
    positions, weights, cell = triclinic()
    return positions, weights, np.random.default_rng(12).uniform(size=(9, 3)) @ cell


def bispectrum(points, positions, weights, cell=TRICLINIC, **settings):
    settings = {"twojmax": 7, "r_cut": RCUT, **settings}
    B = point_bispectrum(points, positions, weights, cell, **settings)
    assert B.shape[0] == len(points)
    assert np.all(np.isfinite(B))
    return B


def assert_same(B, expected, tolerance=1e-11):
    assert np.abs(expected).max() > 5
    assert np.abs(expected - expected[:1]).max() > 1e-3 or len(expected) == 1
    assert np.abs(B - expected).max() < tolerance * np.abs(expected).max()


def images(rows, cell):
    """Return other images of the rows."""
    return rows + np.random.default_rng(2).integers(-3, 4, rows.shape) @ cell


def supercell(*repeats):
    shifts = np.array(list(np.ndindex(*repeats)))

    def change(points, x, w, cell):
        big = (x + (shifts @ cell)[:, None]).reshape(-1, 3)
        return points, big, np.tile(w, len(shifts)), cell * np.array(repeats)[:, None]

    return change


Q = special_ortho_group.rvs(3, random_state=0).T
SHIFT, ORDER = np.array([1.7, -23.1, 0.4]), [2, 0, 3, 1]
DESCRIPTIONS = {
    "rotation": lambda points, x, w, cell: (points @ Q, x @ Q, w, cell @ Q),
    "inversion": lambda points, x, w, cell: (-points, -x, w, -cell),
    "left-handed": lambda points, x, w, cell: (points, x, w, cell[[1, 0, 2]]),
    "translation": lambda points, x, w, cell: (points + SHIFT, x + SHIFT, w, cell),
    "order": lambda points, x, w, cell: (points, x[ORDER], w[ORDER], cell),
    "images": lambda points, x, w, cell: (images(points, cell), images(x, cell), w, cell),
    "supercell": supercell(2, 1, 1),
    "larger supercell": supercell(1, 3, 2),
}


@pytest.mark.parametrize("change", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_other_descriptions_change_nothing(crystal, change):
    positions, weights, points = crystal
    B = bispectrum(*change(points, positions, weights, TRICLINIC))
    assert_same(B, bispectrum(points, positions, weights))


def test_cutoff_larger_than_the_cell():
    cell = np.array([[1.6, 0, 0], [0.5, 1.5, 0], [0.1, -0.3, 1.7]])
    position, point = np.array([[0.3, 0.2, 0.1]]), np.array([[0.9, 0.9, 0.7]])
    shifts = np.array(list(np.ndindex(13, 13, 13))) - 6
    displacements = position + shifts @ cell - point
    displacements = displacements[np.linalg.norm(displacements, axis=1) < RCUT]
    assert len(displacements) > 40  # more than the kernel takes at once
    expected = reference_bispectrum(
        displacements, np.ones(len(displacements)), twojmax=7, r_cut=RCUT
    )
    assert_same(bispectrum(point, position, np.ones(1), cell), expected[None])


def test_very_many_neighbors():
    rng = np.random.default_rng(4)
    displacements = rng.uniform(-1, 1, (400, 3))
    weights = rng.uniform(0.01, 0.02, 400)
    expected = reference_bispectrum(displacements, weights, twojmax=7, r_cut=RCUT)
    B = bispectrum(np.zeros((1, 3)), displacements, weights, 30 * np.eye(3))
    assert_same(B, expected[None])


def test_equal_weights_are_one_species_and_zero_weights_none(crystal):
    positions, weights, points = crystal
    half = bispectrum(points, positions, np.array([1.0, 0, 1.0, 0]))
    assert_same(bispectrum(points, positions[::2], np.ones(2)), half)
    assert np.abs(half - bispectrum(points, positions, weights)).max() > 1
    twice = bispectrum(points, np.repeat(positions, 2, axis=0), np.repeat(weights, 2) / 2)
    assert_same(twice, bispectrum(points, positions, weights))


@pytest.mark.parametrize("kernel", ["compiled", "torch"])
def test_isolated_atom_has_only_the_self_term(kernel):
    atom, one, cell = np.full((1, 3), 1.3), np.ones(1), 20 * np.eye(3)
    if kernel == "compiled":
        B = bispectrum(atom, atom, one, cell)[0]
    else:
        tensors = map(torch.as_tensor, (atom, atom, one, cell))
        B = in_torch.point_bispectrum(*tensors, twojmax=7, r_cut=RCUT).numpy()[0]
    # f_j is the character of a rotation, and j1 and j2 couple to j exactly once: <f f f> = 1.
    expected = [j + 1 for _, _, j in bispectrum_components(7)]
    assert np.allclose(B, expected, rtol=1e-12)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (1, 1, 1)])
@pytest.mark.parametrize("distance", [1e-9, 1e-4, 1.0, RCUT - 1e-9])
def test_one_neighbor_depends_on_its_distance_only(direction, distance):
    displacement = distance * np.array(direction) / np.linalg.norm(direction)
    B = bispectrum(np.zeros((1, 3)), displacement[None], np.ones(1), 20 * np.eye(3))
    along = distance * np.array([[0.36, 0.48, 0.8]])
    assert_same(B, reference_bispectrum(along, np.ones(1), twojmax=7, r_cut=RCUT)[None], 1e-8)


def test_point_on_an_atom_is_finite_and_does_not_see_it(crystal):
    positions, weights, _ = crystal
    on = bispectrum(positions[:1], positions, weights)
    without = bispectrum(positions[:1], positions[1:], weights[1:])
    assert_same(on, without)  # its images are beyond the cutoff
    near = bispectrum(positions[:1] + 1e-7, positions, weights)
    assert np.abs(near - on).max() > 1  # a neighbour at no distance does count


def test_no_atoms_at_all():
    B = bispectrum(np.zeros((2, 3)), np.zeros((0, 3)), np.zeros(0))
    assert np.allclose(B, [j + 1 for _, _, j in bispectrum_components(7)])


def test_no_points(crystal):
    positions, weights, _ = crystal
    B = point_bispectrum(np.zeros((0, 3)), positions, weights, TRICLINIC)
    assert B.shape == (0, 91)


def test_blocks_join_to_the_grid_bit_for_bit(crystal):
    positions, weights, _ = crystal
    shape, settings = (7, 6, 9), {"twojmax": 4, "r_cut": RCUT}
    whole = grid_bispectrum(positions, weights, TRICLINIC, shape, **settings)
    out = np.full_like(whole, np.nan)
    for start, stop in ((0, 1), (1, 300), (300, None)):
        block = grid_bispectrum(
            positions, weights, TRICLINIC, shape, start=start, stop=stop, out=out[start:stop],
            **settings,
        )  # fmt: skip
        assert np.shares_memory(block, out)
    assert np.array_equal(out, whole)


def test_number_of_threads_does_not_change_a_bit(crystal):
    positions, weights, _ = crystal
    args = positions, weights, TRICLINIC, (8, 9, 10)
    one = grid_bispectrum(*args, n_threads=1, twojmax=4, r_cut=RCUT)
    two = grid_bispectrum(*args, n_threads=2, twojmax=4, r_cut=RCUT)
    assert np.array_equal(one, two)
    assert np.ptp(one, axis=0).max() > 1


def test_called_from_several_threads(crystal):
    positions, weights, points = crystal
    expected = bispectrum(points, positions, weights)
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(bispectrum, points, positions, weights, n_threads=2) for _ in range(6)]
    assert all(np.array_equal(job.result(), expected) for job in jobs)


def _in_child(queue, *args):
    queue.put(grid_bispectrum(*args, twojmax=2, r_cut=RCUT, n_threads=2))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_after_use(crystal):
    positions, weights, _ = crystal
    args = positions, weights, TRICLINIC, (8, 9, 10)
    expected = grid_bispectrum(*args, twojmax=2, r_cut=RCUT, n_threads=2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue, *args))
    child.start()
    assert np.array_equal(queue.get(timeout=600), expected)
    child.join(timeout=600)
    assert child.exitcode == 0


def tensors(crystal):
    positions, weights, points = crystal
    return [torch.tensor(x) for x in (points[:2], positions[:2], weights[:2], TRICLINIC)]


@pytest.mark.parametrize("argument", [0, 1, 2, 3])
def test_gradient_in_torch(crystal, argument):
    inputs = tensors(crystal)
    inputs[0] = torch.stack([inputs[0][0], inputs[1][0]])  # one point on top of an atom

    def function(x):
        some = [*inputs[:argument], x, *inputs[argument + 1 :]]
        return in_torch.point_bispectrum(*some, twojmax=3, r_cut=RCUT, chunk_size=1)

    # The point on the atom must not move with respect to it, so take the other one alone there.
    if argument in (0, 1, 3):
        inputs[0] = inputs[0][:1]
    assert torch.autograd.gradcheck(function, (inputs[argument].requires_grad_(),))


def test_gradient_is_finite_without_neighbors_and_at_equal_sites():
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    B = in_torch.point_bispectrum(
        torch.zeros(1, 3).double(), x, torch.ones(2).double(), 20 * torch.eye(3).double(), twojmax=4
    )
    B.sum().backward()
    assert torch.all(x.grad == 0)


def test_torch_grid_is_that_of_the_kernel(crystal):
    _, positions, weights, cell = tensors(crystal)
    B = in_torch.grid_bispectrum(
        positions, weights, cell, (3, 2, 4), start=5, stop=20, twojmax=5, r_cut=RCUT, chunk_size=4
    )
    expected = grid_bispectrum(positions, weights, cell, (3, 2, 4), twojmax=5, r_cut=RCUT)
    assert_same(B.numpy(), expected[5:20])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_torch_is_used_for_other_devices(crystal, dtype, tolerance):
    positions, weights, points = crystal
    B = bispectrum(points, positions, weights, device=torch.device("cpu", 0), dtype=dtype)
    assert B.dtype == dtype
    assert_same(B, bispectrum(points, positions, weights), tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-11), ("float32", 1e-5)])
def test_gpu(crystal, dtype, tolerance):
    positions, weights, points = crystal
    B = bispectrum(points, positions, weights, device="cuda", dtype=dtype)
    assert_same(B, bispectrum(points, positions, weights), tolerance)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"positions": np.zeros((2, 2))}, ValueError, r"positions must have shape \(any, 3\)"),
        ({"positions": np.full((2, 3), np.inf)}, ValueError, "positions must be finite"),
        ({"weights": np.ones(3)}, ValueError, r"weights must have shape \(2\), got \(3,\)"),
        ({"weights": [1, np.nan]}, ValueError, "weights must be finite, got 1 NaN"),
        ({"cell": np.zeros((3, 3))}, ValueError, "cell must have three linearly independent"),
        ({"grid_shape": (4, 4)}, ValueError, "grid_shape must be three numbers of points"),
        ({"twojmax": 88}, ValueError, "twojmax must be >= 0 and <= 87, got 88"),
        ({"n_threads": 0}, ValueError, "n_threads must be >= 1, got 0"),
        ({"start": 9}, ValueError, "start must be >= 0 and <= 8, got 9"),
        ({"stop": 9}, ValueError, "stop must be >= 0 and <= 8, got 9"),
    ],
)
def test_bad_input_is_named(bad, error, message):
    with pytest.raises(error, match=message):
        grid_bispectrum(**{**GOOD, "grid_shape": (2, 2, 2), **bad})


@pytest.mark.parametrize("block", [1, 5])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_blocks_of_points_do_not_show(block, n_threads, rng, monkeypatch):
    positions, weights = 3 * rng.random((3, 3)), np.array([1.0, -0.5, 0.7])
    options = {"twojmax": 3, "r_cut": 3.2, "radii": [1.0, 0.8, 0.9], "n_threads": n_threads}
    of = (positions, weights, 3 * np.eye(3) + 0.2, (2, 3, 2))
    whole = grid_bispectrum(*of, **options)
    sensitivity = rng.normal(size=whole.shape)
    adjoint = grid_bispectrum_adjoint(*of, sensitivity, **options)
    for module in ("api", "adjoint"):
        monkeypatch.setattr(f"skldos.descriptors.bispectrum.{module}.BLOCK", block)
    np.testing.assert_allclose(grid_bispectrum(*of, **options), whole, rtol=1e-12)
    for found, expected in zip(
        grid_bispectrum_adjoint(*of, sensitivity, **options), adjoint, strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
