import numpy as np
import pytest

from skldos.physics.terms.low_pass import low_pass
from skldos.units import BOHR, RYDBERG

CUTOFF = 90.0  # eV


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
