"""Arguments of functions of arrays: limits on both sides, and what is returned for nothing."""

import numpy as np
import pytest

from skldos.descriptors.bispectrum import grid_bispectrum, point_bispectrum
from skldos.descriptors.power_spectrum import power_spectrum

CELL = 4.0 * np.eye(3)
POSITIONS = np.array([[0.1, 0.2, 0.3], [2.0, 2.1, 1.9]])
TINY = 1e-9


def of_points(**changes):
    arguments = {"points": POSITIONS, "positions": POSITIONS, "weights": np.ones(2), "cell": CELL}
    return point_bispectrum(**arguments | {"twojmax": 2, "r_cut": 2.5} | changes)


def of_a_grid(**changes):
    arguments = {"positions": POSITIONS, "weights": np.ones(2), "cell": CELL}
    return grid_bispectrum(
        **arguments, grid_shape=(1, 1, 1), **{"twojmax": 2, "r_cut": 2.5} | changes
    )


def spectrum(**changes):
    arguments = {"positions": POSITIONS, "cell": CELL, "species": [0, 1], "r_cut": 2.5, "n_max": 1}
    return power_spectrum(**arguments | {"l_max": 0, "sigma": 0.5} | changes)


BISPECTRUM = {
    "twojmax": ([0, 3], [-1, 1.5]),
    "r_cut": ([TINY, 3.0], [0, -1.0]),
    "rmin0": ([0, 1.0], [-TINY, 2.5]),
    "rfac0": ([TINY, 2.0], [0, -1.0]),
    "switch": ([True, False, np.True_], [1, None]),
    "dtype": (["float32", np.float64, np.dtype("f4")], ["float16", "double precision", int]),
}
LIMITS = {
    of_a_grid: BISPECTRUM,
    of_points: BISPECTRUM,
    spectrum: {
        "n_max": ([1, 2], [0, 1.5]),
        "l_max": ([0, 2], [-1, 1.5]),
        "r_cut": ([1.1, 3.0], [0, -1.0]),
        "sigma": ([0.1, 1.0], [0, -1.0]),
        "fade": ([TINY, 2.5], [0, 2.5 + TINY]),
        "basis_radius": ([1 + TINY, 3.0], [1, 0.5]),
        "n_species": ([2, 4], [2.5]),
        "rbf": (["gto", "gto_n"], ["spline"]),
    },
}
CASES = [(f, name, *both) for f, limits in LIMITS.items() for name, both in limits.items()]


@pytest.mark.parametrize(("function", "name", "good", "bad"), CASES)
def test_limits(function, name, good, bad):
    for value in good:
        assert np.isfinite(function(**{name: value})).all()
    for value in bad:
        with pytest.raises((ValueError, TypeError), match=rf"^{name} must be "):
            function(**{name: value})


@pytest.mark.parametrize("name", ["radii", "point_radii"])
def test_radii_are_above_zero(name):
    both = {"radii": [0.5, 0.4], "point_radii": [0.5, 0.6]}
    assert of_points(**both).any()
    for wrong in (0.0, -0.1, np.nan):
        with pytest.raises(ValueError, match=f"{name} must be (positive|finite)"):
            of_points(**both | {name: [0.5, wrong]})
    with pytest.raises(ValueError, match=rf"{name} must have shape \(2,?\)"):
        of_points(**both | {name: [0.5]})
    with pytest.raises(ValueError, match=r"needs rmin0=0, got rmin0=0\.1"):
        of_points(**both, rmin0=0.1)


def test_elements_are_numbered_from_zero():
    known = of_points(elements=[0, 1], point_elements=[0, 1])
    assert known.shape == (2, 8 * of_points().shape[1])
    assert of_points(elements=[0, 1], point_elements=[0, 1], n_elements=3).shape[1] == 27 * 5
    for changes in ({"elements": [0, 2]}, {"point_elements": [0, -1]}, {"elements": [-1, 0]}):
        wrong = {"elements": [0, 1], "point_elements": [0, 1], "n_elements": 2} | changes
        with pytest.raises(ValueError, match="elements must be from 0 to 1, got "):
            of_points(**wrong)
    with pytest.raises(TypeError, match=r"n_elements must be an integer, got 2\.5"):
        of_points(elements=[0, 1], point_elements=[0, 1], n_elements=2.5)
    for wrong in ([0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="species must be from 0 to 1, got "):
            spectrum(species=wrong, n_species=2)


def test_points_have_three_coordinates():
    with pytest.raises(ValueError, match=r"points must have shape \(any, 3\), got \(3,\)"):
        of_points(points=np.zeros(3))


def test_where_there_are_no_atoms_or_points():
    nothing = {"positions": np.zeros((0, 3)), "weights": np.zeros(0)}
    alone = of_points(**nothing)
    # What an isolated point has of itself.
    assert alone.shape == (2, 5)
    np.testing.assert_array_equal(alone[0], alone[1])
    radii = {"radii": np.zeros(0), "point_radii": [0.5, 0.6]}
    np.testing.assert_allclose(of_points(**nothing, **radii), alone)
    assert of_points(points=np.zeros((0, 3))).shape == (0, 5)
    of = {"elements": [], "point_elements": [0, 0], **nothing}
    np.testing.assert_allclose(of_points(**of), alone)
    assert spectrum(positions=np.zeros((0, 3)), species=[], n_species=2).shape[0] == 0


def test_an_output_array_is_used_if_it_fits():
    expected = of_points()
    out = np.empty(expected.shape)
    assert of_points(out=out) is out
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(TypeError, match="out must be an array of float64, got float32"):
        of_points(out=out.astype(np.float32))
    with pytest.raises(TypeError, match="out must be an array of float64, got list"):
        of_points(out=out.tolist())
    with pytest.raises(ValueError, match=r"out must have shape \(2, 5\)"):
        of_points(out=np.empty((2, 6)))
