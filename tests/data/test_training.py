"""The summary of the training data, and warnings just within and beyond their thresholds."""

import numpy as np
import pytest
from ase.build import bulk

from skldos import Snapshot
from skldos.data.calculation import common_calculation
from skldos.data.training import (
    DENSITY_MARGIN,
    SAME_TEMPERATURE,
    TEMPERATURE_MARGIN,
    check_elements,
    has_one_density,
    mass_density,
    outside_training,
    training_range,
)
from skldos.exceptions import SnapshotError


def aluminium(denser=0.0, temperature=None):
    atoms = bulk("Al", cubic=True)
    atoms.set_cell(atoms.cell.array * (1 + denser) ** (-1 / 3), scale_atoms=True)
    return Snapshot(atoms, temperature=temperature)


def test_the_range_of_the_training_data_grows():
    small = Snapshot(bulk("Al"), temperature=300.0)
    large = Snapshot(bulk("Mg").repeat(2), reference={"stress": np.zeros(6)})
    known = common_calculation([small])["training"]
    assert known["n_snapshots"] == 1
    assert known["temperature"] == [300.0, 300.0]
    assert not known["stress"]
    known = common_calculation([large], {"training": known})["training"]
    assert known["elements"] == ["Al", "Mg"]
    assert known["n_atoms"] == [1, 16]
    assert known["temperature"] == [300.0, 300.0]
    assert known["density"] == pytest.approx([1.75, 2.70], abs=0.02)
    assert known["n_snapshots"] == 2
    assert known["stress"]
    assert "temperature" not in common_calculation([large])["training"]
    assert common_calculation(None) == {}


def test_density_is_that_of_the_tables():
    # CRC Handbook, 25 °C; ASE's lattice constants are those of experiments.
    for symbol, density in (("Al", 2.70), ("Be", 1.85), ("Si", 2.33)):
        assert mass_density(bulk(symbol)) == pytest.approx(density, rel=0.01)
    left_handed = bulk("Al")
    left_handed.cell = left_handed.cell.array[[1, 0, 2]]
    assert mass_density(left_handed) == pytest.approx(2.70, rel=0.01)


@pytest.mark.parametrize("sign", [-1, 1])
def test_densities_outside(sign):
    training = training_range([aluminium(-0.05), aluminium(0.05)])
    end = 1 + 0.05 * sign
    near, far = (aluminium(end * (1 + sign * f * DENSITY_MARGIN) - 1) for f in (0.995, 1.005))
    assert outside_training(training, [aluminium(), near]) is None
    text = outside_training(training, [near, far, far])
    assert text.startswith("outside of the training data: density")
    assert "of snapshot 1 and 1 more (trained: 2.563 to 2.833 g/cm³)" in text
    assert outside_training(training, []) is None


@pytest.mark.parametrize(
    ("found", "said"), [(0.9, "0.9 K (trained: 1.2e+03"), (1.0, "1 K (trained: 1200")]
)
def test_temperatures_below_a_kelvin_have_digits(found, said):
    training = training_range([aluminium(temperature=1200.0)])
    assert said in outside_training(training, [aluminium(temperature=found)])


@pytest.mark.parametrize("trained", [100.0, 5000.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_temperatures_outside(trained, sign):
    training = training_range([aluminium(temperature=trained)])
    margin = max(SAME_TEMPERATURE, TEMPERATURE_MARGIN * trained)
    near, far = (trained + sign * f * margin for f in (0.98, 1.02))
    assert outside_training(training, [aluminium(temperature=near), aluminium()]) is None
    text = outside_training(training, [aluminium(temperature=far)])
    assert f"temperature {far:.0f} K (trained: {trained:.0f} K)" in text
    assert outside_training(training_range([aluminium()]), [aluminium(temperature=far)]) is None


def test_what_is_said_of_several_snapshots():
    training = training_range([aluminium(temperature=T) for T in (300.0, 600.0)])
    snapshots = [aluminium(temperature=T) for T in (300, 900, 400, 950)]
    assert outside_training(training, snapshots) == (
        "outside of the training data: temperature 900 K of snapshot 1 and 1 more (trained: 300 to "
        "600 K). Predictions there are unreliable."
    )


def test_densities_that_are_one():
    assert has_one_density(training_range([aluminium()]))
    assert has_one_density(training_range([aluminium(), aluminium(0.995 * DENSITY_MARGIN)]))
    assert not has_one_density(training_range([aluminium(), aluminium(1.005 * DENSITY_MARGIN)]))
    assert not has_one_density({})  # a model that does not remember


def test_new_elements():
    check_elements(aluminium(), ["Al", "Mg"])
    with pytest.raises(SnapshotError, match=r"trained on Mg, Si, got Al in Snapshot\(Al4\)"):
        check_elements(aluminium(), ["Mg", "Si"])
