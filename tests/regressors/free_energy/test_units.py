"""Energies or forces in wrong units are detected if they are inconsistent."""

import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.pipeline import make_pipeline

from skldos import AtomSNAPTransformer, FreeEnergyRegressor, Snapshot, SnapshotList
from skldos.regressors.free_energy import _units
from skldos.regressors.free_energy._units import warn_of_outliers, warn_of_units

MATCH = "energies and forces are inconsistent"
HARTREE, BOHR, KCAL = 27.2114, 0.529177, 0.0433641


def crystals(strain=0.0, amplitude=0.1, n=8):
    rng, found = np.random.default_rng(0), []
    for seed in range(n):
        atoms = bulk("Al", cubic=True)
        atoms.rattle(amplitude, seed=seed)
        atoms.set_cell(atoms.cell * (1 + strain * rng.uniform(-1, 1)), scale_atoms=True)
        atoms.calc = EMT()
        found.append((atoms, atoms.get_potential_energy(), atoms.get_forces()))
    return found


def model():
    return make_pipeline(
        AtomSNAPTransformer(twojmax=4, n_jobs=1),
        FreeEnergyRegressor(alphas=[1e-6], energy_weights=[30.0]),
    )


def fit(found, energy_factor=1.0, force_factor=1.0):
    snapshots = [
        Snapshot(
            atoms,
            reference={"total_energy": energy_factor * energy, "forces": force_factor * forces},
        )
        for atoms, energy, forces in found
    ]
    return model().fit(SnapshotList(snapshots))


@pytest.fixture(scope="module")
def displaced():
    return crystals()


@pytest.mark.parametrize(
    ("energy_factor", "force_factor"),
    [
        (1 / HARTREE, 1.0),
        (2 / HARTREE, 1.0),
        (1 / KCAL, 1.0),
        (1e3, 1.0),
        (1.0, BOHR / HARTREE),
        (1.0, 2 * BOHR / HARTREE),
        (1.0, 1e3),
        (1.0, -1.0),
    ],
    ids=["Hartree", "Ry", "kcal/mol", "meV", "Hartree/bohr", "Ry/bohr", "meV/Å", "gradient"],
)
def test_other_units_are_noticed(displaced, energy_factor, force_factor):
    with pytest.warns(UserWarning, match=MATCH) as caught:
        fit(displaced, energy_factor, force_factor)
    assert ("in the opposite direction" in str(caught[0].message)) == (force_factor < 0)


@pytest.mark.parametrize(
    ("strain", "amplitude"), [(0.0, 0.02), (0.0, 0.3), (0.05, 0.1), (0.05, 0.005), (0.05, 0.0)]
)
def test_right_units_are_not(strain, amplitude):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(crystals(strain, amplitude))


def test_weights_leave_snapshots_out(displaced):
    y = np.array([energy for _, energy, _ in displaced])
    snapshots = [Snapshot(atoms, reference={"forces": f}) for atoms, _, f in displaced]
    y[:2] *= 27.2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = {"freeenergyregressor__sample_weight": [0, 0] + [1] * 6}
        model().fit(SnapshotList(snapshots), y, **weights)


# ---------------------------------------------------------------- the comparison itself

ENERGIES = np.array([0.1, -0.2, 0.3, 0.0, -0.1, 0.2, -0.3, 0.15])
NOISE = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0])


def noticed(energies, by_forces, fractions=None, densities=None, counts=None):
    n = len(energies)
    fractions = np.ones((n, 1)) if fractions is None else fractions
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_units(
            energies,
            by_forces,
            fractions,
            np.full(n, 2.7) if densities is None else densities,
            np.ones(n) if counts is None else counts,
        )
    return len(caught) == 1


def test_a_factor_of_three_is_the_limit():
    for factor in (_units.LARGEST_FACTOR, 1 / _units.LARGEST_FACTOR):
        towards_one = 0.99 if factor > 1 else 1.01
        assert noticed(factor / towards_one * ENERGIES, ENERGIES)
        assert not noticed(factor * towards_one * ENERGIES, ENERGIES)
    assert noticed(-ENERGIES, ENERGIES)


def test_constants_do_not_count():
    assert not noticed(ENERGIES + 500, ENERGIES - 20)
    assert noticed(10 * ENERGIES + 500, ENERGIES)


def test_unrelated_energies_say_nothing():
    left = ENERGIES - ENERGIES.mean()
    other = NOISE - NOISE.mean()
    other -= other @ left / (left @ left) * left
    other *= np.linalg.norm(left) / np.linalg.norm(other)
    for correlation, expected in ((0.91, True), (0.89, False), (-0.91, True), (-0.89, False)):
        mixed = correlation * left + np.sqrt(1 - correlation**2) * other
        assert noticed(10 * mixed, ENERGIES) == expected


@pytest.mark.parametrize(("n", "expected"), [(5, True), (4, False)])
def test_few_snapshots_say_nothing(n, expected):
    assert noticed(10 * ENERGIES[:n], ENERGIES[:n]) == expected


def test_composition_and_density_are_left_to_the_energies():
    fractions = np.column_stack([np.arange(8) < 4, np.arange(8) >= 4]).astype(float)
    assert not noticed(ENERGIES + 50 * fractions[:, 0], ENERGIES, fractions)
    assert noticed(10 * ENERGIES + fractions[:, 0], ENERGIES, fractions)
    z = np.linspace(-0.1, 0.1, 8)
    densities = 2.7 / (1 - z)
    assert not noticed(ENERGIES + 5 * z + 100 * z**2, ENERGIES, densities=densities)
    assert noticed(10 * ENERGIES + 5 * z + 100 * z**2, ENERGIES, densities=densities)
    # What is left beside the density must be more than a twentieth.
    steep = 5 * ENERGIES.std() / z.std() * z
    for factor, expected in ((10, True), (200, False)):
        assert noticed(10 * ENERGIES + factor * steep, ENERGIES, densities=densities) == expected


def test_rounding_says_nothing():
    assert noticed(1e-4 * ENERGIES, ENERGIES)
    assert not noticed(1e-6 * ENERGIES, ENERGIES)
    assert not noticed(ENERGIES, 1e-6 * ENERGIES)


def test_weights_count():
    wrong = np.where(np.arange(8) == 0, -5.0, 10 * ENERGIES)
    assert not noticed(wrong, ENERGIES)
    assert noticed(wrong, ENERGIES, counts=np.r_[1e-6, np.ones(7)])


@pytest.mark.parametrize(("off", "noticed"), [(9.9, False), (-10.1, True), (53.0, True)])
@pytest.mark.parametrize("forces", [True, False])
def test_one_energy_of_another_kind_is_noticed(displaced, off, noticed, forces):
    snapshots = []
    for i, (atoms, energy, force) in enumerate(displaced):
        wrong = 4 * off if i == 2 else 0.0
        found = {"total_energy": energy - 4 * 57 + wrong, "forces": force}
        snapshots.append(Snapshot(atoms, reference=found))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model().set_params(freeenergyregressor__forces=forces).fit(SnapshotList(snapshots))
    messages = [str(w.message) for w in caught if "differs from most others" in str(w.message)]
    assert len(messages) == noticed
    if noticed:
        assert "the energy of snapshot 2, " in messages[0]


def test_energies_that_vary_much_are_no_outliers():
    energies = np.array([-57.0, -52.0, -49.0, -44.0, -38.0, -20.0])
    warn_of_outliers(energies, np.ones((6, 1)))
    of_aluminium = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 0.5])
    fractions = np.column_stack([of_aluminium, 1 - of_aluminium])
    warn_of_outliers(fractions @ [-57.0, -24.0], fractions)
    changed = fractions @ [-57.0, -24.0]
    changed[5] -= 30
    with pytest.warns(UserWarning, match=r"the energy of snapshot 5, -70\.5 eV/atom, differs"):
        warn_of_outliers(changed, fractions)
