"""Synthetic snapshots are reproducible and physically plausible."""

import numpy as np
import pytest

from skldos import physics
from skldos.datasets import make_snapshots


def test_the_same_seed_gives_the_same_snapshots():
    one, two, other = (make_snapshots(2, random_state=seed) for seed in (0, 0, 1))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.ldos, b.ldos)
        np.testing.assert_array_equal(a.atoms.positions, b.atoms.positions)
    assert not np.array_equal(one[0].ldos, other[0].ldos)
    assert not np.array_equal(one[0].ldos, one[1].ldos)


def test_a_random_state_goes_on():
    state = np.random.RandomState(0)
    first, second = make_snapshots(1, random_state=state), make_snapshots(1, random_state=state)
    both = make_snapshots(2, random_state=0)
    np.testing.assert_array_equal(first[0].ldos, both[0].ldos)
    np.testing.assert_array_equal(second[0].ldos, both[1].ldos)


def test_shapes_follow_the_arguments():
    (snapshot,) = make_snapshots(1, grid_shape=(3, 4, 5), n_energies=31, temperature=933.0)
    assert snapshot.ldos.shape == (3, 4, 5, 31)
    assert snapshot.density.shape == (3, 4, 5)
    assert (snapshot.temperature, len(snapshot.energies)) == (933.0, 31)


@pytest.mark.parametrize("temperature", [0.0, 298.0, 20000.0])
@pytest.mark.parametrize("n_energies", [11, 81])
def test_the_electronic_structure_is_sane(n_energies, temperature):
    snapshots = make_snapshots(
        3, n_energies=n_energies, temperature=temperature, displacement=0.3, random_state=0
    )
    for snapshot in snapshots:
        assert snapshot.ldos.min() >= 0
        assert snapshot.ldos.max() > 0
        dos, state = snapshot.dos(), {"temperature": temperature}
        mu = physics.fermi_level(dos, snapshot.energies, n_electrons=12.0, **state)
        assert 5.0 < mu < 9.0
        assert mu == pytest.approx(snapshot.reference["fermi_energy"], abs=1e-5)
        energy = physics.band_energy(dos, snapshot.energies, fermi_level=mu, **state)
        assert energy == pytest.approx(snapshot.reference["band_energy"], abs=1e-4)
        assert snapshot.density.sum() * snapshot.voxel_volume == pytest.approx(12.0, rel=1e-9)


def test_displacements_have_the_spread_that_was_asked_for():
    still = make_snapshots(1, displacement=0.0, random_state=0)[0].atoms
    moved = make_snapshots(50, grid_shape=(1, 1, 1), displacement=0.2, random_state=0)
    shifts = np.array([s.atoms.positions - still.positions for s in moved])
    assert shifts.std() == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be >= 1, got 0"),
        ({"n": 1.5}, TypeError, "n must be an integer"),
        ({"displacement": -1}, ValueError, "displacement must be >= 0"),
        ({"grid_shape": (2, 2)}, ValueError, "grid_shape must be three"),
        ({"n_energies": 1}, ValueError, "n_energies must be >= 2"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        make_snapshots(**({"n": 1} | arguments))
