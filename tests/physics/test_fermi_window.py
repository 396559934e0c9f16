"""Densities at every Fermi level in a window, from few numbers per point."""

import numpy as np
import pytest

from skldos.physics import density, integration_weights
from skldos.physics.fermi_window import FermiWindow

EVEN = np.linspace(-4.0, 12.0, 250)
UNEVEN = np.cumsum(np.r_[-4.0, np.tile([0.05, 0.4, 0.1], 30)])


@pytest.mark.parametrize("temperature", [0, 30, 298, 933, 20_000])
@pytest.mark.parametrize("energies", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_densities_at_any_level_are_those_of_the_exact_weights(energies, temperature, rng):
    window, ldos = FermiWindow(energies, temperature, 7.0), rng.random((5, len(energies)))
    assert 2 <= window.vectors.shape[1] <= 20
    np.testing.assert_allclose(
        window.vectors.T @ window.vectors, np.eye(len(window.vectors.T)), atol=1e-12
    )
    half = max(0.6 * 8.617e-5 * temperature, 5e-3)
    for shift in (0.0, 0.013, -0.5, 0.99):
        level = 7.0 + shift * half
        coefficients, _ = window.at(level)
        expected = density(ldos, energies, temperature=temperature, fermi_level=level)
        found = ldos @ window.weights + (ldos @ window.vectors) @ coefficients
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("temperature", [298, 933])
def test_slopes_are_those_of_the_weights(temperature):
    window, step = FermiWindow(EVEN, temperature, 7.0), 1e-3
    at = {
        n: integration_weights(EVEN, temperature=temperature, fermi_level=7.004 + n * step)
        for n in (-2, -1, 1, 2)
    }
    expected = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
    _, slopes = window.at(7.004)
    np.testing.assert_allclose(window.vectors @ slopes, expected, atol=1e-5 * expected.max())
    assert expected.max() > 0.1


def test_levels_far_away_are_refused_and_none_that_is_near():
    window = FermiWindow(EVEN, 298.0, 7.0)
    half = 0.6 * 8.617e-5 * 298
    assert window.at(7.0 + half / 3) is not None
    assert window.at(7.0 + 3 * half) is None
    assert "9 vectors" in repr(window)
