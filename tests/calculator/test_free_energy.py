"""FreeEnergyCalculator: exact gradients, electrons, errors, and ASE's interface."""

import copy
import pickle
import warnings

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, PolynomialFeatures, StandardScaler

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    BlockUnion,
    FreeEnergyCalculator,
    FreeEnergyRegressor,
    GridSNAPTransformer,
    RowWise,
    SiteRegressor,
    Snapshot,
    predict_dos,
)
from skldos.data import EnergyGrid
from skldos.data.training import DENSITY_MARGIN
from skldos.datasets import make_snapshots
from skldos.exceptions import FermiLevelError, SnapshotError
from skldos.physics import electronic_free_energy, fermi_level
from skldos.regressors import feature_range
from tests.calculator.helpers import labelled, moved, slope, strained

SNAP = {"r_cut": 4.0, "twojmax": 4, "n_jobs": 1}
HOT = 1500.0


@pytest.fixture(scope="module")
def training():
    """Six snapshots at 933 K whose DOS ends about 5 eV above the Fermi level."""
    made = make_snapshots(6, grid_shape=(6, 6, 6), n_energies=21, random_state=3)
    return [labelled(s) for s in made]


@pytest.fixture(scope="module")
def potential(training):
    """A potential with a scaler before it."""
    return make_pipeline(
        AtomSNAPTransformer(**SNAP), RowWise(StandardScaler()), FreeEnergyRegressor()
    ).fit(training)


@pytest.fixture(scope="module")
def dos_model(training):
    """A model of the DOS with the descriptors of the potential, normalised as in the guide."""
    return make_pipeline(
        AtomSNAPTransformer(**SNAP),
        RowWise(StandardScaler()),
        RowWise(Normalizer()),
        ADOSRegressor(SiteRegressor(Ridge(1e-2), dos_weight=10)),
    ).fit(training)


@pytest.fixture
def atoms(training):
    """Atoms that move, in an oblique cell, some of them outside."""
    atoms = training[0].atoms.copy()
    skew = np.array([[0, 0.2, 0.1], [0, 0, -0.2], [0.1, 0, 0]])
    atoms.set_cell(atoms.cell.array + skew, scale_atoms=True)
    atoms.positions += np.random.default_rng(0).normal(scale=0.05, size=(4, 3))
    atoms.positions[1] += 2 * atoms.cell.array[0] - atoms.cell.array[2]
    return atoms


@pytest.fixture(autouse=True)
def _densities_do_not_matter():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "outside of the training")
        yield


def check_slope(atoms, path, expected):
    """Assert that the derivative of the energy along a path is the expected one."""

    def energy(step):
        other = path(step)
        other.calc = atoms.calc
        return other.get_potential_energy()

    assert abs(expected) > 0.1
    assert slope(energy, 1e-4) == pytest.approx(expected, rel=1e-7)


def check_forces(atoms):
    """Assert that the forces are the gradient of the energy, along some direction."""
    direction = np.random.default_rng(1).normal(size=(4, 3))
    check_slope(atoms, moved(atoms, direction), -(atoms.get_forces() * direction).sum())


@pytest.mark.parametrize("temperature", [None, HOT])
def test_forces_and_stress_are_the_gradient(atoms, potential, dos_model, temperature):
    atoms.calc = FreeEnergyCalculator(potential, dos_model, temperature, allow_stress=True)
    check_forces(atoms)
    strain = np.random.default_rng(2).normal(size=(3, 3))
    expected = (atoms.get_stress(voigt=False) * strain).sum() * abs(atoms.cell.volume)
    check_slope(atoms, strained(atoms, (strain + strain.T) / 2), expected)


def test_probes_of_the_dos_model_do_not_warn(monkeypatch, potential, training, atoms):
    monkeypatch.setattr(feature_range, "MIN_ROWS", 1)
    steps = AtomSNAPTransformer(**SNAP), ADOSRegressor(SiteRegressor(Ridge(1e-2)))
    dos_model = make_pipeline(*steps).fit(training)
    with pytest.warns(UserWarning, match="some features lie outside"):
        dos_model[1].predict([np.zeros((1, 14))])
    atoms.calc = FreeEnergyCalculator(potential, dos_model)
    assert np.isfinite(atoms.calc.get_fermi_level(atoms))


def test_unions_of_descriptors_have_forces(atoms, training):
    near, far = AtomSNAPTransformer(3.5, twojmax=2, n_jobs=1), AtomSNAPTransformer(**SNAP)
    far.set_params(dtype="float32")
    union = BlockUnion([("near", near), ("none", "drop"), ("far", far)])
    potential = make_pipeline(union, RowWise(StandardScaler()), FreeEnergyRegressor())
    dos_model = make_pipeline(clone(union), ADOSRegressor(SiteRegressor(Ridge(1e-2))))
    models = potential.fit(training), dos_model.fit(training)
    calculator = FreeEnergyCalculator(*models, HOT, allow_stress=True)
    assert calculator.surface.same_features(training[0])
    assert potential[0].transformer_list[2][1].dtype == "float32"
    atoms.calc = calculator
    check_forces(atoms)
    expected = np.trace(atoms.get_stress(voigt=False)) * abs(atoms.cell.volume)
    check_slope(atoms, strained(atoms, np.eye(3)), expected)


def test_unions_of_grids_are_refused(training):
    union = BlockUnion([("grid", GridSNAPTransformer(twojmax=2, n_jobs=1))])
    model = make_pipeline(union.fit(training[:1]), FreeEnergyRegressor())
    with pytest.raises(TypeError, match="must begin with a transformer of atoms"):
        FreeEnergyCalculator(model)


def test_predictions_are_no_references(atoms, potential, tmp_path):
    atoms.calc = FreeEnergyCalculator(potential)
    atoms.get_forces()
    assert Snapshot(atoms).reference == {}
    ase.io.write(tmp_path / "md.traj", atoms)
    read = ase.io.read(tmp_path / "md.traj")
    assert read.get_potential_energy() == atoms.get_potential_energy()
    assert Snapshot(read).reference == {}
    atoms.calc = EMT()
    energy = atoms.get_potential_energy()
    assert Snapshot(atoms).reference["total_energy"] == energy


def test_energy_is_what_the_pipeline_predicts(atoms, potential):
    atoms.calc = FreeEnergyCalculator(potential)
    expected = potential.predict([Snapshot(atoms)])[0]
    assert atoms.get_potential_energy() == pytest.approx(expected, rel=1e-12)
    assert atoms.get_potential_energies().sum() == pytest.approx(expected, rel=1e-12)
    assert atoms.calc.get_property("free_energy", atoms) == atoms.get_potential_energy()
    blocks = potential[:-1].transform([Snapshot(atoms)])
    np.testing.assert_allclose(
        atoms.get_forces(), potential[-1].predict_forces(blocks)[0], atol=1e-9
    )


def test_electrons_are_those_of_the_predicted_dos(atoms, potential, dos_model):
    calculator = FreeEnergyCalculator(potential, dos_model, HOT, sharpen=0)
    (dos,) = predict_dos(dos_model, [Snapshot(atoms)])
    np.testing.assert_allclose(calculator.get_dos(atoms), dos, rtol=1e-9)
    state = {"n_electrons": 12.0}
    mu = fermi_level(dos, calculator.energies, temperature=HOT, **state)
    assert calculator.get_fermi_level(atoms) == pytest.approx(mu, abs=1e-9)
    cold, hot = electronic_free_energy(dos, calculator.energies, temperature=[933, HOT], **state)
    atoms.calc = calculator
    found = atoms.get_potential_energy()
    atoms.calc = FreeEnergyCalculator(potential)
    assert abs(hot - cold) > 0.01
    assert found - atoms.get_potential_energy() == pytest.approx(hot - cold, abs=1e-8)
    assert calculator.get_band_energy() + calculator.get_entropy() == pytest.approx(hot, abs=1e-8)
    assert calculator.results["energies"].sum() == pytest.approx(found, abs=1e-9)
    step = 5.0
    F = electronic_free_energy(
        dos, calculator.energies, temperature=[HOT - step, HOT, HOT + step], **state
    )
    second = -HOT * (F[0] - 2 * F[1] + F[2]) / step**2
    assert calculator.get_electronic_heat_capacity(atoms) == pytest.approx(second, rel=1e-4)


def test_descriptors_are_computed_once(atoms, potential, dos_model, training, monkeypatch):
    counts = []
    compute = AtomSNAPTransformer.compute

    def counted(self, *arguments):
        counts.append(self.r_cut)
        return compute(self, *arguments)

    monkeypatch.setattr(AtomSNAPTransformer, "compute", counted)
    FreeEnergyCalculator(potential, dos_model, HOT).get_forces(atoms)
    assert len(counts) == 1
    # Other descriptors are computed beside them, and their forces added.
    other = make_pipeline(
        AtomSNAPTransformer(3.5, twojmax=2, n_jobs=1), ADOSRegressor(SiteRegressor(Ridge(1e-2)))
    ).fit(training)
    counts.clear()
    atoms.calc = FreeEnergyCalculator(potential, other, HOT)
    atoms.get_forces()
    assert counts == [4.0, 3.5]
    check_forces(atoms)


def test_what_ase_expects(atoms, potential, dos_model):
    calculator = FreeEnergyCalculator(potential, dos_model, HOT)
    atoms.calc = calculator
    forces = atoms.get_forces()
    assert set(calculator.results) <= set(calculator.implemented_properties)
    assert calculator.todict() == {"temperature": HOT}
    for again in (pickle.loads(pickle.dumps(calculator)), copy.deepcopy(calculator)):
        np.testing.assert_array_equal(again.get_forces(atoms), forces)
        assert again.get_fermi_level() == calculator.get_fermi_level()
    wrapped = atoms.copy()
    wrapped.wrap()
    np.testing.assert_allclose(calculator.get_forces(wrapped), forces, atol=1e-10)
    # a temperature set anew is no old result
    before = calculator.get_potential_energy(atoms)
    calculator.temperature = 933
    assert abs(calculator.get_potential_energy(atoms) - before) > 0.01
    calculator.reset()
    assert calculator.results == {}
    assert calculator.get_dos(atoms).shape == calculator.energies.shape
    calculator.reset()
    with pytest.raises(ValueError, match="nothing was calculated"):
        calculator.get_dos()


def test_another_potential_replaces_the_results(atoms, potential, training):
    calculator = FreeEnergyCalculator(potential)
    before = calculator.get_potential_energy(atoms)
    other = make_pipeline(AtomSNAPTransformer(**SNAP), FreeEnergyRegressor()).fit(training[:3])
    calculator.set_potential(other)
    after = calculator.get_potential_energy(atoms)
    assert after == pytest.approx(other.predict([Snapshot(atoms)])[0], rel=1e-12)
    assert after != before


def test_uncertainty_is_that_of_the_regressor(atoms, potential):
    calculator = FreeEnergyCalculator(potential)
    blocks = potential[:-1].transform([Snapshot(atoms)])
    expected = potential[-1].predict(blocks, return_std=True)[1][0]
    assert expected > 0
    assert calculator.get_uncertainty(atoms=atoms) == pytest.approx(expected, rel=1e-9)
    std = calculator.get_uncertainty("forces")
    np.testing.assert_allclose(std, potential[-1].predict_forces(blocks, return_std=True)[1][0])
    with pytest.raises(ValueError, match="quantity"):
        calculator.get_uncertainty("stress")


def test_refused(atoms, potential, dos_model, training):
    with pytest.raises(
        TypeError, match=r"end in a FreeEnergyRegressor, as skldos\.models\.potential\(\)"
    ):
        FreeEnergyCalculator(dos_model)
    with pytest.raises(TypeError, match="dos_model must end in a regressor of the dens"):
        FreeEnergyCalculator(potential, potential)
    with pytest.raises(TypeError, match="pipeline"):
        FreeEnergyCalculator(potential[-1])
    with pytest.raises(ValueError, match="5000 K needs a dos_model"):
        FreeEnergyCalculator(potential, temperature=5000)
    with pytest.raises(ValueError, match="temperature must be"):
        FreeEnergyCalculator(potential, dos_model, temperature=-1)
    with pytest.raises(ValueError, match="dos_model is needed"):
        FreeEnergyCalculator(potential).get_dos(atoms)
    with_states = [s.replace(reference={}) for s in training]
    aligned = clone(dos_model).set_params(adosregressor__align="fermi").fit(with_states)
    for said in ("fermi", None):  # what was fitted counts
        with pytest.raises(ValueError, match="must be fitted with align=None"):
            FreeEnergyCalculator(potential, aligned.set_params(adosregressor__align=said))
    with pytest.raises(ValueError, match="sharpen must be 0 or None"):
        FreeEnergyCalculator(potential, dos_model, sharpen=1)
    mixed = [training[0].replace(temperature=300.0), *training[1:]]
    ignoring = FreeEnergyRegressor(temperature="ignore")
    mixed = make_pipeline(AtomSNAPTransformer(**SNAP), ignoring).fit(mixed)
    with pytest.raises(ValueError, match="reference_temperature is needed"):
        FreeEnergyCalculator(mixed, dos_model, temperature=5000)
    FreeEnergyCalculator(mixed, dos_model, temperature=HOT, reference_temperature=933)
    bent = make_pipeline(
        AtomSNAPTransformer(r_cut=4.0, twojmax=2, n_jobs=1),
        RowWise(PolynomialFeatures(2)),
        FreeEnergyRegressor(forces=False),
    ).fit(training)
    with pytest.raises(ValueError, match="affine"):
        FreeEnergyCalculator(bent).get_forces(atoms)


def test_atoms_that_are_refused(atoms, potential):
    calculator = FreeEnergyCalculator(potential)
    before = calculator.get_potential_energy(atoms)
    slab = atoms.copy()
    slab.pbc = (True, True, False)
    with pytest.raises(SnapshotError, match="periodic in all three directions"):
        calculator.get_potential_energy(slab)
    salt = atoms.copy()
    salt.symbols[0] = "Na"
    with pytest.raises(SnapshotError, match="Na"):
        calculator.get_potential_energy(salt)
    assert calculator.get_potential_energy(atoms) == before


def test_electrons_too_hot_for_the_energies(atoms, potential, dos_model):
    energies = dos_model[-1].energies_
    mu = FreeEnergyCalculator(potential, dos_model).get_fermi_level(atoms)
    limit = (energies[-1] - mu) / 10 / 8.617333e-5
    FreeEnergyCalculator(potential, dos_model, 0.9 * limit).get_potential_energy(atoms)
    with pytest.raises(FermiLevelError, match="must reach 10 kT above the Fermi level"):
        FreeEnergyCalculator(potential, dos_model, 1.2 * limit).get_potential_energy(atoms)


def test_a_grid_with_broadening_is_sharpened(atoms, potential, training):
    grid = EnergyGrid(training[0].energies, broadening=0.5, kernel="gaussian")
    model = make_pipeline(AtomSNAPTransformer(**SNAP), ADOSRegressor(SiteRegressor(Ridge(1e-2))))
    model.fit([s.replace(energies=grid) for s in training])
    plain = FreeEnergyCalculator(potential, model, HOT, sharpen=0)
    sharp = FreeEnergyCalculator(potential, model, HOT)
    assert np.abs(plain.get_dos(atoms) - sharp.get_dos(atoms)).max() > 1e-3
    atoms.calc = sharp
    check_forces(atoms)


def test_densities_outside_the_training_data(training, potential):
    slightly, expanded = bulk("Al", cubic=True), bulk("Al", cubic=True)
    slightly.set_cell(slightly.cell * (1 - DENSITY_MARGIN / 3) ** (-1 / 3), True)
    expanded.set_cell(expanded.cell * (1 - 3 * DENSITY_MARGIN) ** (-1 / 3), True)
    calculator = FreeEnergyCalculator(potential)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calculator.get_potential_energy(training[0].atoms)
        calculator.get_potential_energy(slightly)
        with pytest.raises(UserWarning, match="outside of the training data"):
            calculator.get_potential_energy(expanded)
        calculator.get_potential_energy(expanded)  # once


def test_stress_needs_several_densities_or_stresses(training, potential):
    atoms = training[0].atoms.copy()
    atoms.calc = FreeEnergyCalculator(potential)
    with pytest.raises(PropertyNotImplementedError, match=r"one density.*allow_stress"):
        atoms.get_stress()
    atoms.get_forces()
    assert "stress" not in atoms.calc.results
    model = make_pipeline(AtomSNAPTransformer(**SNAP), FreeEnergyRegressor())
    several = [labelled(s, 1 + 0.01 * i) for i, s in enumerate(training)]
    with_stress = [labelled(s, stress=True) for s in training]
    for snapshots in (several, with_stress):
        atoms.calc = FreeEnergyCalculator(model.fit(snapshots))
        assert atoms.get_stress().shape == (6,)
