"""The core charge takes part in the potential, with the waves that the density has."""

import numpy as np
import pytest
from ase import Atoms

from skldos.physics import Pseudopotential
from skldos.physics.potential import atomic_density, effective_potential, potential_change
from skldos.physics.terms import core_charge

RADII = np.linspace(0, 6, 601)
CUTOFF = 60.0
SHAPE = (10, 10, 10)


@pytest.fixture(scope="module")
def atoms():
    return Atoms("H2", [[0.1, 0.2, 0.3], [2.1, 2.0, 1.8]], cell=4 * np.eye(3), pbc=True)


@pytest.fixture(scope="module")
def hydrogen():
    """Pseudo-hydrogen with a narrow core, whose waves go beyond the cutoff."""
    gaussian = np.exp(-(RADII**2)) / np.pi**1.5
    return Pseudopotential(
        "H",
        1,
        radii=RADII,
        radial_weights=np.full(601, 0.01),
        functional="lda-pz",
        atomic_density=gaussian,
        core_density=0.5 * np.exp(-((RADII / 0.5) ** 2)),
    )


@pytest.mark.parametrize("density_cutoff", [None, CUTOFF])
def test_core_and_density_have_the_same_cutoff(atoms, hydrogen, density_cutoff, rng):
    of = {"H": hydrogen}
    where = atoms.positions, atoms.cell.array, SHAPE, ["H", "H"], of
    n0 = atomic_density(*where, density_cutoff=density_cutoff)
    n = n0 * (1 + 0.1 * rng.random(SHAPE))

    def change(core_cutoff):
        core = core_charge(*where, density_cutoff=core_cutoff)
        V, V0 = (
            effective_potential(
                density,
                atoms.cell.array,
                functional="lda-pz",
                core_density=core,
                density_cutoff=density_cutoff,
            )
            for density in (n, n0)
        )
        return V - V0

    found = potential_change(n, atoms, of, density_cutoff=density_cutoff)
    np.testing.assert_allclose(found, change(density_cutoff), atol=1e-12)
    other = None if density_cutoff else CUTOFF
    assert np.abs(found - change(other)).max() > 1e-3
