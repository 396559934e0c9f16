"""The icosphere: a closed mesh, nested, nearly uniform, with the symmetry of the icosahedron."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial import ConvexHull, SphericalVoronoi

from skldos.geometry.sphere import icosahedral_rotations, icosphere, n_vertices

LEVELS = range(4)
every_level = pytest.mark.parametrize("level", LEVELS)


def directions(rng, n):
    x = rng.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def solid_angles(mesh):
    # Van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30, 125 (1983).
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    triple = np.einsum("fi,fi->f", a, np.cross(b, c))
    dots = (np.einsum("fi,fi->f", *pair) for pair in ((a, b), (b, c), (c, a)))
    return 2 * np.arctan2(triple, 1 + sum(dots))


# -------------------------------------------------------------------- the mesh


@every_level
def test_numbers_are_those_of_a_sphere(level):
    mesh = icosphere(level)
    V, F = mesh.n_vertices, len(mesh.faces)
    assert V == n_vertices(level) == [12, 42, 162, 642][level]
    edges = {tuple(sorted(pair)) for f in mesh.faces for pair in zip(f, np.roll(f, 1), strict=True)}
    assert V - len(edges) + F == 2  # Euler
    assert mesh.vertices.shape == (V, 3)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 1, rtol=4e-16)


@every_level
def test_faces_are_those_of_the_convex_hull(level):
    mesh = icosphere(level)
    hull = ConvexHull(mesh.vertices)
    assert {frozenset(f) for f in hull.simplices.tolist()} == {
        frozenset(f) for f in mesh.faces.tolist()
    }


@every_level
def test_neighbors_share_an_edge_and_are_five_or_six(level):
    mesh = icosphere(level)
    sets = [set() for _ in range(mesh.n_vertices)]
    for f in mesh.faces.tolist():
        for v in f:
            sets[v] |= set(f) - {v}
    np.testing.assert_array_equal(
        (mesh.neighbors >= 0).sum(axis=1), [5] * 12 + [6] * (len(sets) - 12)
    )
    assert (mesh.neighbors[:12, 5] == -1).all()
    for row, expected in zip(mesh.neighbors.tolist(), sets, strict=True):
        assert set(row) - {-1} == expected


@every_level
def test_faces_and_neighbors_turn_counter_clockwise(level):
    mesh = icosphere(level)
    assert (np.linalg.det(mesh.vertices[mesh.faces]) > 0).all()
    for v, row in enumerate(mesh.neighbors):
        around = mesh.vertices[row[row >= 0]]
        turns = np.cross(around, np.roll(around, -1, axis=0)) @ mesh.vertices[v]
        assert (turns > 0).all()


@pytest.mark.parametrize("level", LEVELS[1:])
def test_levels_are_nested(level):
    fine, coarse = icosphere(level), icosphere(level - 1)
    assert fine.n_coarse == coarse.n_vertices
    np.testing.assert_array_equal(fine.vertices[: fine.n_coarse], coarse.vertices)
    # A new vertex lies between two old ones.
    old = [
        set(row[row >= 0]) & set(range(fine.n_coarse)) for row in fine.neighbors[fine.n_coarse :]
    ]
    assert {len(parents) for parents in old} == {2}


@pytest.mark.parametrize("level", LEVELS[1:])
def test_pools_hold_a_vertex_and_its_neighbors_and_cover_the_mesh(level):
    mesh = icosphere(level)
    pools = mesh.pool_neighbors
    assert pools.shape == (mesh.n_coarse, 7)
    np.testing.assert_array_equal(pools[:, 0], np.arange(mesh.n_coarse))
    np.testing.assert_array_equal(pools[:, 1:], mesh.neighbors[: mesh.n_coarse])
    members, counts = np.unique(pools[pools >= 0], return_counts=True)
    np.testing.assert_array_equal(members, np.arange(mesh.n_vertices))
    # Between two coarse vertices lies one that belongs to both.
    np.testing.assert_array_equal(
        counts, [1] * mesh.n_coarse + [2] * (len(members) - mesh.n_coarse)
    )


def edge_lengths(mesh):
    pairs = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    return np.linalg.norm(mesh.vertices[pairs[:, 0]] - mesh.vertices[pairs[:, 1]], axis=1)


@every_level
def test_faces_cover_the_sphere(level):
    assert solid_angles(icosphere(level)).sum() == pytest.approx(4 * np.pi, rel=1e-13)


def test_sizes_of_the_first_subdivision_are_those_of_spherical_trigonometry():
    mesh = icosphere(1)
    # An icosahedron's edge, of arctan 2, is halved. The middles of a face's edges are 36° apart:
    # an equilateral triangle whose angles A have cos A = cos a / (1 + cos a).
    lengths = edge_lengths(mesh)
    assert lengths.min() == pytest.approx(2 * np.sin(np.arctan(2) / 4), rel=1e-14)
    assert lengths.max() == pytest.approx(2 * np.sin(np.pi / 10), rel=1e-14)
    cosine = np.cos(np.pi / 5)
    middle = 3 * np.arccos(cosine / (1 + cosine)) - np.pi
    areas = solid_angles(mesh)
    assert areas.max() == pytest.approx(middle, rel=1e-13)
    assert areas.min() == pytest.approx((np.pi / 5 - middle) / 3, rel=1e-13)


@pytest.mark.parametrize(("level", "spread", "ratio"), [(2, 0.0541, 1.188), (3, 0.0674, 1.310)])
def test_vertices_stand_for_nearly_equal_areas(level, spread, ratio):
    # Numbers of this mesh, areas by scipy's Voronoi cells; edges as long as 1.20 times others
    # are the limit of ever finer levels.
    mesh = icosphere(level)
    areas = SphericalVoronoi(mesh.vertices).calculate_areas()
    assert areas.std() / areas.mean() == pytest.approx(spread, abs=1e-4)
    assert areas.max() / areas.min() == pytest.approx(ratio, abs=1e-3)
    lengths = edge_lengths(mesh)
    assert 1 < lengths.max() / lengths.min() < 1.2


@every_level
def test_no_direction_is_farther_than_two_thirds_of_a_spacing_from_all_vertices(level, rng):
    mesh, n = icosphere(level), directions(rng, 20000)
    cosine = np.sum(n * mesh.vertices[mesh.nearest(n)], axis=1)
    assert 0.55 < np.arccos(cosine.min()) / mesh.spacing < 2 / 3


def test_spacing_is_that_of_a_hexagonal_mesh():
    mesh = icosphere(3)
    angle = np.arccos(np.sum(mesh.vertices[mesh.faces[:, 0]] * mesh.vertices[mesh.faces[:, 1]], 1))
    assert mesh.spacing == pytest.approx(angle.mean(), rel=0.02)


# -------------------------------------------------------------------- the group


def test_sixty_rotations_form_a_group():
    R = icosahedral_rotations()
    assert R.shape == (60, 3, 3)
    np.testing.assert_allclose(R[0], np.eye(3), atol=1e-15)
    np.testing.assert_allclose(
        R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), R.shape), atol=1e-15
    )
    np.testing.assert_allclose(np.linalg.det(R), 1, rtol=1e-14)
    products = np.einsum("iab,jbc->ijac", R, R)
    distance = np.abs(products[:, :, None] - R).max(axis=(3, 4))
    found = distance.argmin(axis=2)
    assert distance.min(axis=2).max() < 1e-14
    for table in (found, found.T):
        np.testing.assert_array_equal(np.sort(table, axis=1), np.tile(np.arange(60), (60, 1)))
    # 1 identity, 15 half turns, 20 threefold, 12 and 12 fivefold ones, by the trace 1 + 2 cos θ.
    golden = (1 + np.sqrt(5)) / 2
    traces = np.trace(R, axis1=1, axis2=2)
    counts = [np.isclose(traces, t, atol=1e-12).sum() for t in (3, -1, 0, golden, 1 - golden)]
    assert counts == [1, 15, 20, 12, 12]


@every_level
def test_permutations_are_what_rotations_do_and_form_a_group(level):
    mesh, R = icosphere(level), icosahedral_rotations()
    P = mesh.permutations
    np.testing.assert_array_equal(np.sort(P, axis=1), np.tile(np.arange(mesh.n_vertices), (60, 1)))
    for k in range(60):
        np.testing.assert_allclose(mesh.vertices[P[k]], mesh.vertices @ R[k].T, atol=2e-15)
    assert len({tuple(p) for p in P.tolist()}) == 60
    known = {tuple(p): k for k, p in enumerate(P.tolist())}
    for i, j in ((3, 7), (59, 1), (20, 20)):
        # First j, then i: as the product of the matrices.
        np.testing.assert_allclose(R[known[tuple(P[i][P[j]])]], R[i] @ R[j], atol=1e-14)


@every_level
def test_rotations_keep_neighbors_in_their_order_and_pools(level):
    mesh = icosphere(level)
    for p in mesh.permutations:
        moved = np.where(mesh.neighbors >= 0, p[mesh.neighbors], -1)
        image = np.empty_like(moved)
        image[p] = moved
        np.testing.assert_array_equal(np.sort(image), np.sort(mesh.neighbors))
        # The neighbours go round in the same sense.
        of_six = slice(12, None) if level else slice(0)
        start = mesh.neighbors[of_six, :1]
        shift = np.argmax(image[of_six] == start, axis=1)[:, None]
        around = np.take_along_axis(image[of_six], (shift + np.arange(6)) % 6, axis=1)
        np.testing.assert_array_equal(around, mesh.neighbors[of_six])


@pytest.mark.parametrize("level", LEVELS[1:])
def test_rotations_of_the_coarse_mesh_are_those_of_the_fine_one(level):
    fine, coarse = icosphere(level), icosphere(level - 1)
    np.testing.assert_array_equal(fine.permutations[:, : fine.n_coarse], coarse.permutations)


# -------------------------------------------------------------------- directions


@every_level
def test_nearest_is_that_of_brute_force(level, rng):
    mesh, n = icosphere(level), directions(rng, 2000)
    expected = np.linalg.norm(n[:, None] - mesh.vertices, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(mesh.nearest(n * rng.uniform(0.1, 9, (len(n), 1))), expected)
    assert len(np.unique(expected)) > 0.9 * mesh.n_vertices
    np.testing.assert_array_equal(mesh.nearest(mesh.vertices), np.arange(mesh.n_vertices))
    whole = np.rint(1000 * mesh.vertices).astype(int)
    np.testing.assert_array_equal(mesh.nearest(whole), np.arange(mesh.n_vertices))


def test_of_equally_near_vertices_the_first_is_taken():
    mesh = icosphere(2)
    # Halfway along edges, where rounding would decide.
    pairs = np.sort(mesh.faces[:, :2], axis=1)
    found = mesh.nearest(mesh.vertices[pairs].sum(axis=1))
    np.testing.assert_array_equal(found, pairs[:, 0])


@pytest.mark.parametrize("reach", [1.0, 1.5, 2.0, 30.0])
@every_level
def test_spread_weights_sum_to_one_and_are_local(level, reach, rng):
    mesh, n = icosphere(level), directions(rng, 300)
    weights = mesh.spread(7 * n, reach)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-14)
    assert (weights >= 0).all()
    angles = np.arccos(np.clip(n @ mesh.vertices.T, -1, 1))
    assert ((weights > 0) == (angles < min(np.pi, reach * mesh.spacing))).all()


def test_spread_turns_with_the_sphere(rng):
    mesh, n = icosphere(2), directions(rng, 20)
    weights = mesh.spread(n)
    for R, p in zip(icosahedral_rotations(), mesh.permutations, strict=True):
        np.testing.assert_allclose(mesh.spread(n @ R.T)[:, p], weights, atol=1e-14)


def test_spread_centres_on_the_direction(rng):
    # Weights on a nearly uniform mesh: their mean points where the neighbour is.
    mesh, n = icosphere(3), directions(rng, 500)
    mean = mesh.spread(n, 2.0) @ mesh.vertices
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    error = np.linalg.norm(mean - n, axis=1) / mesh.spacing
    assert 1e-4 < error.max() < 0.08


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: icosphere(-1), ValueError, "subdivisions must be >= 0 and <= 6, got -1"),
        (lambda: icosphere(2.0), TypeError, "subdivisions must be an integer"),
        (lambda: icosphere(0).n_coarse, ValueError, "subdivisions must be at least 1"),
        (lambda: icosphere(0).pool_neighbors, ValueError, "at least 1 for a coarser mesh"),
        (lambda: icosphere(0).nearest([1, 0, 0]), ValueError, r"shape \(any, 3\), got \(3,\)"),
        (lambda: icosphere(0).nearest([[1, 0, 0], [0, 0, 0]]), ValueError, "not be zero, row 1 is"),
        (lambda: icosphere(0).nearest([[np.nan, 0, 0]]), ValueError, "directions must be finite"),
        (lambda: icosphere(0).spread([[1, 0, 0]], 0.5), ValueError, "reach must be >= 1, got 0.5"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_directions_in_single_precision_are_computed_in_double(rng):
    mesh, single = icosphere(2), directions(rng, 20).astype(np.float32)
    weights = mesh.spread(single)
    np.testing.assert_array_equal(weights, mesh.spread(single.astype(float)), strict=True)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-14)


def test_meshes_and_rotations_are_what_they_are_for_good():
    mesh = icosphere(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mesh.subdivisions = 2
    rotations = icosahedral_rotations()
    for array in (mesh.vertices, mesh.faces, mesh.neighbors, mesh.permutations, rotations):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    assert icosahedral_rotations() is rotations
    assert icosphere(1) is mesh
    # They serve as keys, by identity.
    assert {mesh: 1}[mesh] == 1
    assert mesh != dataclasses.replace(mesh)
