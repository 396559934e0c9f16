import numpy as np
import pytest

from skldos.physics.terms.low_pass import low_pass
from skldos.units import BOHR, RYDBERG

CUTOFF = 90.0  # eV


def test_projection(triclinic, rng):
    density = rng.random((8, 9, 10))
    once = low_pass(density, triclinic, density_cutoff=CUTOFF)
    assert np.abs(once - density).max() > 0.1
    assert np.ptp(once) > 0.1
    np.testing.assert_allclose(low_pass(once, triclinic, density_cutoff=CUTOFF), once, rtol=1e-13)
    assert once.sum() == pytest.approx(density.sum(), rel=1e-13)


def test_symmetry(triclinic, rng):
    # ∫ a F b = ∫ b F a
    a, b = rng.random((2, 8, 9, 10))
    there, back = (
        (f * low_pass(g, triclinic, density_cutoff=CUTOFF)).sum() for f, g in ((a, b), (b, a))
    )
    assert abs(there - (a * b).sum()) > 0.1
    assert there == pytest.approx(back, rel=1e-12)


def test_waves_of_the_sphere(triclinic):
    # Plane waves one by one, their kinetic energy ħ²G²/2m written out.
    grid = (8, 9, 10)
    fractional = np.stack(np.meshgrid(*(np.arange(n) / n for n in grid), indexing="ij"), -1)
    reciprocal = 2 * np.pi * np.linalg.inv(triclinic).T
    kept = 0
    for m in [(1, 0, 0), (0, -2, 1), (2, 1, -1), (3, 2, 1), (-1, 3, 4), (0, 0, 2)]:
        wave = np.cos(2 * np.pi * fractional @ m + 0.3)
        inside = RYDBERG * BOHR**2 * ((m @ reciprocal) ** 2).sum() <= CUTOFF
        kept += inside
        np.testing.assert_allclose(
            low_pass(wave, triclinic, density_cutoff=CUTOFF), inside * wave, atol=1e-14
        )
    assert kept == 3  # of 6


def test_no_cutoff(triclinic, rng):
    density = rng.random((5, 4, 6))
    np.testing.assert_array_equal(low_pass(density, triclinic, density_cutoff=None), density)


def test_errors(triclinic):
    with pytest.raises(ValueError, match=r"density must have the three axes of a grid"):
        low_pass(np.ones((4, 4)), triclinic, density_cutoff=CUTOFF)
    with pytest.raises(ValueError, match=r"density_cutoff must be .*> 0"):
        low_pass(np.ones((4, 4, 4)), triclinic, density_cutoff=-1.0)
