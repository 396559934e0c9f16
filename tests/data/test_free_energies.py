"""Free energies at one electronic temperature, and stresses in both forms."""

import numpy as np
import pytest

from skldos import SnapshotList
from skldos.data.free_energies import (
    SAME_TEMPERATURE,
    common_temperature,
    free_energies_at,
    full_stress,
)
from skldos.datasets import make_snapshots
from skldos.exceptions import SnapshotError
from skldos.physics import band_energy, entropy, fermi_level


def snapshots(*temperatures, **changes):
    found = make_snapshots(len(temperatures), grid_shape=(2, 2, 2), n_energies=40, random_state=0)
    return SnapshotList(
        s.replace(temperature=T, reference={"total_energy": -5.0 * (i + 1)}, **changes)
        for i, (s, T) in enumerate(zip(found, temperatures, strict=True))
    )


@pytest.mark.parametrize(
    ("temperatures", "asked", "expected"),
    [
        ([300, 300, 933], None, 300),
        ([933, 300, 300, 933, 500], None, 933),  # of equally many the highest
        ([300, 933], 0.0, 0.0),
        ([300, 300], 500.0, 500.0),
        ([300, 933], "ignore", None),
        ([300, 300], "ignore", 300),
        ([None, None], None, None),
        ([None, 300], "ignore", None),
    ],
)
def test_the_common_temperature(temperatures, asked, expected):
    assert common_temperature(snapshots(*temperatures), asked) == expected


def test_there_is_no_common_temperature_where_some_have_none():
    with pytest.raises(SnapshotError, match=r"no electronic temperature, but other snapshots do"):
        common_temperature(snapshots(300, None))
    with pytest.raises(ValueError, match="temperature must be >= 0, got -1"):
        common_temperature(snapshots(300, 300), -1)


def part(dos, energies, T):
    """Return E_band - TS in eV of 12 electrons."""
    mu = fermi_level(dos, energies, temperature=T, n_electrons=12.0)
    state = {"temperature": T, "fermi_level": mu}
    return band_energy(dos, energies, **state) + entropy(dos, energies, **state)


def test_a_change_is_that_of_the_electrons_in_a_frozen_dos():
    data = snapshots(300.0, 900.0, 600.0)
    found = free_energies_at(data, 900.0)
    expected = [
        energy + part(s.dos(), s.energies, 900.0) - part(s.dos(), s.energies, s.temperature)
        for s, energy in zip(data, (-5, -10, -15), strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found[1] == -10
    assert (found[[0, 2]] < [-5.0001, -15.0001]).all()
    np.testing.assert_array_equal(free_energies_at(data, None), [-5, -10, -15])
    # Energies that are given take the place of those of the snapshots.
    given = free_energies_at(data, 900.0, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(given - [1, 2, 3], found - [-5, -10, -15], atol=1e-12)


def test_a_dos_of_the_calculation_comes_before_that_of_the_ldos():
    (data,) = snapshots(300.0)
    dos = 2 * data.dos()
    other = data.replace(reference=data.reference | {"dos": dos.tolist()})
    bare = other.replace(ldos=None)
    expected = -5 + part(dos, data.energies, 900.0) - part(dos, data.energies, 300.0)
    for snapshot in (other, bare):
        assert free_energies_at([snapshot], 900.0)[0] == pytest.approx(expected, rel=1e-12)
    assert free_energies_at([data], 900.0)[0] != pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_ten_kelvin_make_no_difference_where_there_is_no_dos(sign):
    (near,) = snapshots(300.0 + sign * SAME_TEMPERATURE, ldos=None)
    assert free_energies_at([near], 300.0)[0] == -5
    (far,) = snapshots(300.0 + sign * 1.001 * SAME_TEMPERATURE, ldos=None)
    with pytest.raises(SnapshotError, match="to 300 K requires a density of states"):
        free_energies_at([far], 300.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_electrons": None}, "lacks n_electrons"),
        ({"temperature": None}, "no electronic temperature, which is needed"),
        ({"reference": {}}, "no reference 'total_energy'"),
        ({"n_electrons": 1e3}, "cannot be converted to 900 K"),
    ],
)
def test_what_a_change_of_temperature_takes(changes, message):
    (data,) = snapshots(300.0)
    with pytest.raises(SnapshotError, match=message):
        free_energies_at([data.replace(**changes)], 900.0)


@pytest.mark.parametrize(("own", "other"), [(300.0, 8000.0), (8000.0, 300.0)])
def test_the_tail_of_the_hotter_state_must_be_within_the_energies(own, other):
    # They end at 12 eV, 5 eV above the Fermi level: 10 kT of 5,800 K.
    (data,) = snapshots(own)
    with pytest.raises(SnapshotError, match=r"must reach 10 kT above the Fermi level"):
        free_energies_at([data], other)
    assert np.isfinite(free_energies_at([data.replace(temperature=300.0)], 5000.0)[0])


# -------------------------------------------------------------------- stresses


def test_stresses_have_nine_components_or_six():
    full = np.arange(9.0).reshape(3, 3)
    assert full_stress(full) is not None
    assert np.array_equal(full_stress(full), full)
    for shape in ((4, 3), (3, 4), (9,), (5,), (1, 6)):
        with pytest.raises(ValueError, match=r"reference\['stress'\] must have shape \(3, 3\)"):
            full_stress(np.zeros(shape))


def test_six_components_are_those_of_voigt():
    xx, yy, zz, yz, xz, xy = voigt = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    expected = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
    np.testing.assert_array_equal(full_stress(voigt), expected)
    np.testing.assert_array_equal(full_stress(np.array(voigt, dtype=object)), expected)
    assert full_stress([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).dtype == float
