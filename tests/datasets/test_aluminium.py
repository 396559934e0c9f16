"""The bundled aluminium snapshots are what their README says."""

import numpy as np
import pytest

from skldos import physics
from skldos.datasets import load_aluminium


@pytest.fixture(scope="module")
def snapshots():
    return load_aluminium()


def test_shapes_and_order(snapshots):
    assert [s.temperature for s in snapshots] == [298.0] * 4 + [933.0] * 4
    for snapshot in snapshots:
        assert snapshot.ldos.shape == (18, 18, 18, 81)
        assert snapshot.ldos.dtype == np.float32
        assert (str(snapshot.atoms.symbols), snapshot.n_electrons) == ("Al4", 12.0)
        np.testing.assert_allclose(snapshot.energies, -6 + 0.2 * np.arange(81), atol=1e-12)
        assert (snapshot.energy_grid.broadening, snapshot.energy_grid.kernel) == (0.4, "gaussian")


def test_the_density_of_the_crystal_is_that_of_aluminium(snapshots):
    for snapshot in snapshots:
        grams = snapshot.atoms.get_masses().sum() * 1.66053907e-24
        assert grams / (snapshot.atoms.cell.volume * 1e-24) == pytest.approx(2.70, abs=0.01)


def test_the_band_energy_differs_by_the_broadening_alone(snapshots):
    for snapshot in snapshots:
        dos, state = snapshot.dos(), {"temperature": snapshot.temperature}
        mu = physics.fermi_level(dos, snapshot.energies, n_electrons=12.0, **state)
        energy = physics.band_energy(dos, snapshot.energies, fermi_level=mu, **state)
        bias = 1e3 * (energy - snapshot.reference["band_energy"]) / 4
        assert -20 < bias < -15
        assert abs(mu - snapshot.reference["fermi_energy"]) < 0.1


def test_one_temperature_alone(snapshots):
    hot = load_aluminium(temperature=933)
    assert [s.temperature for s in hot] == [933.0] * 4
    np.testing.assert_array_equal(hot[0].ldos, snapshots[4].ldos)
    with pytest.raises(ValueError, match="temperature must be one of None, 298, 933; got 300"):
        load_aluminium(temperature=300)
