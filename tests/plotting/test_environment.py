"""EnvironmentDisplay: stored numbers, and drawing."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from skldos.descriptors.atom_env import AtomEnvTransformer
from skldos.geometry.sphere import icosahedral_rotations, icosphere
from skldos.plotting.environment import EnvironmentDisplay, _mollweide_pixels


@pytest.fixture
def salt():
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    atoms.rattle(0.1, seed=0)
    return atoms


@pytest.fixture
def transformer(salt):
    return AtomEnvTransformer(n_spheres=6, subdivisions=2, n_jobs=1).fit([salt])


@pytest.fixture
def block(rng):
    return rng.uniform(0, 1, (3, 2, 4, 42))


def labels(display):
    return [text.get_text() for text in display.ax_.texts]


@pytest.mark.parametrize("kind", ["globes", "matrix"])
def test_from_estimator_equals_from_block(transformer, salt, kind):
    display = EnvironmentDisplay.from_estimator(transformer, salt, atom=3, channel=1, kind=kind)
    environment = transformer.transform([salt])[0][3, 1]
    assert environment.max() > 0.1
    np.testing.assert_array_equal(display.environment, environment)
    np.testing.assert_allclose(display.radii, 2 + 5 / 6 * (np.arange(6) + 0.5))
    assert display.colorbar_.ax.get_ylabel() == "weight (1/Å²)"
    lazy = transformer.transform_lazy([salt])[0]
    by_block = EnvironmentDisplay.from_block(lazy, atom=3, channel=1, kind=kind)
    np.testing.assert_array_equal(by_block.environment, environment)
    assert by_block.radii is None
    assert by_block.colorbar_.ax.get_ylabel() == "weight"
    assert by_block.figure_ is by_block.ax_.figure


def test_channels_add_up_unless_one_is_named(block):
    display = EnvironmentDisplay.from_block(block, atom=2)
    np.testing.assert_allclose(display.environment, block[2].sum(axis=0))
    of_one = EnvironmentDisplay.from_block(block[:, 0], atom=2)
    np.testing.assert_array_equal(of_one.environment, block[2, 0])


def test_a_rotation_turns_what_is_seen(transformer, salt):
    plain = EnvironmentDisplay.from_estimator(transformer, salt)
    R = icosahedral_rotations()[7]
    turned = EnvironmentDisplay.from_estimator(transformer, salt, rotation=R)
    p = icosphere(2).permutations[7]
    np.testing.assert_allclose(turned.environment[:, p], plain.environment, atol=1e-6)
    assert np.abs(turned.environment - plain.environment).max() > 0.01


def test_units_follow_the_radial_part(salt):
    for radial, unit in (("inverse", "weight (1/Å)"), ("gaussian", "weight")):
        fitted = AtomEnvTransformer(n_spheres=2, subdivisions=0, radial=radial).fit([salt])
        display = EnvironmentDisplay.from_estimator(fitted, salt)
        assert display.colorbar_.ax.get_ylabel() == unit


# -------------------------------------------------------------------- pictures


def test_a_globe_for_each_sphere_in_rows(block):
    display = EnvironmentDisplay.from_block(block, radii=[2, 3, 4.5, 6], n_columns=3)
    assert labels(display) == ["2.00 Å", "3.00 Å", "4.50 Å", "6.00 Å"]
    images = display.ax_.images
    assert len(images) == len(display.ax_.patches) == 4
    lefts, tops = np.array([image.get_extent() for image in images])[:, [0, 3]].T
    assert len(set(lefts)) == 3
    assert lefts[3] == lefts[0]
    assert tops[3] < tops[0] == tops[1] == tops[2]
    assert labels(display.plot(spheres=[2])) == ["4.50 Å"]


def test_globes_are_equal_area_maps_of_the_vertices():
    mesh = icosphere(1)
    pixels, inside = _mollweide_pixels(mesh)
    assert inside.mean() == pytest.approx(np.pi / 4, abs=2e-3)  # an ellipse in its frame
    # A share of the pixels is a share of the sphere: that of a vertex of the icosahedron, by
    # scipy's Voronoi cells.
    from scipy.spatial import SphericalVoronoi

    areas = SphericalVoronoi(mesh.vertices).calculate_areas() / (4 * np.pi)
    shares = np.bincount(pixels[inside], minlength=42) / inside.sum()
    np.testing.assert_allclose(shares, areas, rtol=0.02)


def test_globes_are_symmetric_about_their_middle():
    mesh = icosphere(2)
    pixels, inside = _mollweide_pixels(mesh)
    assert pixels.shape == inside.shape
    x, y, z = np.moveaxis(np.where(inside[..., None], mesh.vertices[pixels], 0), -1, 0)
    for flip, odd in ((np.s_[:, ::-1], y), (np.s_[::-1], z)):
        np.testing.assert_array_equal(inside, inside[flip])
        for values in (x, y, z):
            mirrored = -values[flip] if values is odd else values[flip]
            # But for pixels in the middle between two vertices.
            assert np.mean(np.abs(values - mirrored) < 1e-9) > 0.99


@pytest.mark.parametrize(
    ("direction", "x", "y"),
    [
        ([1, 0, 0], 0.0, 0.0),
        ([0, 0, 1], 0.0, 1.0),
        # Longitude 90° is half the way to the right, 90° west half the way to the left.
        ([0, 1, 0], 0.5, 0.0),
        ([0, -1, 0], -0.5, 0.0),
    ],
)
def test_globes_show_directions_where_maps_do(direction, x, y):
    transformer = AtomEnvTransformer(n_spheres=1, subdivisions=2, n_jobs=1)
    dimer = Atoms("Al2", [[0, 0, 0], np.array(direction) * 4.0], cell=30 * np.eye(3), pbc=True)
    display = EnvironmentDisplay.from_estimator(transformer.fit([dimer]), dimer)
    (image,) = display.ax_.images
    rows, columns = np.nonzero(np.nan_to_num(image.get_array()) > 0)
    left, right, bottom, top = image.get_extent()
    height, width = image.get_array().shape
    seen_x = np.mean((columns + 0.5) / width * 2 - 1)
    seen_y = np.mean((rows + 0.5) / height * 2 - 1)
    assert right - left == pytest.approx(2 * (top - bottom))
    assert (seen_x, seen_y) == pytest.approx((x, y), abs=0.06)


def test_the_matrix_has_a_row_per_sphere_in_order_of_z(block):
    display = EnvironmentDisplay.from_block(block, channel=0, kind="matrix", spheres=[3, 1])
    (mesh,) = display.ax_.collections
    shown = np.asarray(mesh.get_array())
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["sphere 3", "sphere 1"]
    z = icosphere(1).vertices[:, 2]
    np.testing.assert_array_equal(np.sort(shown), np.sort(block[0, 0, [3, 1]]))
    by_value = dict(zip(block[0, 0, 3], z, strict=True))
    heights = [by_value[value] for value in shown[0]]
    assert np.diff(heights).max() < 1e-9


def test_colours_begin_at_zero_and_reach_below_for_negative_numbers(block):
    norm = EnvironmentDisplay.from_block(block, channel=0).ax_.images[0].norm
    assert (norm.vmin, norm.vmax) == (0, block[0, 0].max())
    assert norm(0.25 * norm.vmax) == pytest.approx(0.5)
    norm = EnvironmentDisplay.from_block(block - 0.5, channel=0).ax_.images[0].norm
    assert (norm.vmin, norm.vmax) == ((block[0, 0] - 0.5).min(), (block[0, 0] - 0.5).max())
    empty = EnvironmentDisplay.from_block(np.zeros((1, 2, 12)))
    assert np.isfinite(empty.ax_.images[0].norm(0.0))
