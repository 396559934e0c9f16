"""The calculator inside ASE: results, caches, dynamics, files and mistakes."""

import copy
import pickle

import ase.io
import joblib
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.filters import FrechetCellFilter
from ase.io.trajectory import Trajectory
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from sklearn.preprocessing import PolynomialFeatures

from skldos import EnergyGrid, LDOSCalculator, SnapshotList
from skldos.exceptions import FermiLevelError, SnapshotError
from skldos.physics import Pseudopotential, TotalEnergy

STATE = {"temperature": 900.0}


@pytest.fixture
def calculator(model, aluminium):
    return LDOSCalculator(model, aluminium, **STATE)


@pytest.fixture
def atoms(atoms, calculator):
    atoms.calc = calculator
    return atoms


@pytest.fixture
def counted(calculator, monkeypatch):
    """List that grows by one with every energy that is computed."""
    calls, at = [], calculator.surface.at
    monkeypatch.setattr(calculator.surface, "at", lambda s: calls.append(s) or at(s))
    return calls


@pytest.fixture(scope="module")
def broadened(train, training):
    """A model whose training data say how they were broadened."""
    grid = EnergyGrid(training[0].energies, broadening=0.8, kernel="gaussian")
    return train(snapshots=SnapshotList([s.replace(energies=grid) for s in training]))


# -------------------------------------------------------------------- results


def test_results_are_there_with_every_energy(atoms, calculator):
    energy = atoms.get_potential_energy()
    results = calculator.results
    assert set(results) == {
        *("energy", "free_energy", "total_energy", "fermi_level", "dos", "density")
    }
    assert isinstance(results["total_energy"], TotalEnergy)
    assert energy == results["free_energy"] == results["total_energy"].total
    assert atoms.get_potential_energy(force_consistent=True) == energy
    assert calculator.energies.shape == results["dos"].shape == (11,)
    assert results["density"].shape == (6, 6, 6)
    voxel = atoms.cell.volume / 216
    assert results["density"].sum() * voxel == pytest.approx(12, rel=1e-12)
    assert calculator.get_fermi_level() == results["fermi_level"]
    np.testing.assert_array_equal(calculator.get_dos(atoms), results["dos"])
    np.testing.assert_array_equal(calculator.get_density(), results["density"])
    assert str(calculator.get_total_energy_breakdown()).count("\n") == 8
    assert atoms.get_forces().shape == (4, 3)
    assert atoms.get_stress().shape == (6,)
    assert {"forces", "stress"} <= set(calculator.results)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_magnetic_moment()


def test_forces_and_stress_are_derivatives_of_the_energy(atoms):
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)

    def slope(move, h):
        energies = []
        for step in (-2 * h, -h, h, 2 * h):
            moved = atoms.copy()
            move(moved, step)
            moved.calc = atoms.calc
            energies.append(moved.get_potential_energy())
        return np.dot([1, -8, 8, -1], energies) / (12 * h)

    def shift(moved, step):
        moved.positions[2, 1] += step

    def shear(moved, step):
        strain = np.eye(3)
        strain[0, 2] = strain[2, 0] = step
        strain[1, 1] += step
        moved.set_cell(moved.cell.array @ strain, scale_atoms=True)

    assert abs(forces[2, 1]) > 0.1
    assert slope(shift, 1e-4) == pytest.approx(-forces[2, 1], rel=1e-6)
    expected = atoms.cell.volume * (2 * stress[0, 2] + stress[1, 1])
    assert abs(expected) > 0.1
    assert slope(shear, 2e-5) == pytest.approx(expected, rel=1e-6)


def test_they_say_what_they_are(model, aluminium, atoms, calculator):
    assert repr(calculator).startswith(
        "LDOSCalculator([Pseudopotential(Al, valence 3, lda-pz, norm-conserving)], "
    )
    fixed = LDOSCalculator(model, aluminium, temperature=298, grid_shape=(6, 6, 7))
    assert repr(fixed).endswith(", 298 K, grid (6, 6, 7))")
    surface = repr(calculator.surface)
    assert "GridSNAPTransformer → RowWise → LDOSRegressor" in surface
    atoms.calc = calculator
    energy = atoms.get_potential_energy()
    assert "Al4, grid 6x6x6, 11 energies" in repr(calculator._point)
    assert f"{energy:.6f} eV" in repr(calculator._point)


def test_supercells_follow_from_the_cell(atoms, calculator):
    one, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    big = atoms.repeat((2, 1, 2))
    big.calc = calculator
    assert calculator.grid_for(big) == (12, 6, 12)
    assert big.get_potential_energy() == pytest.approx(4 * one, rel=1e-12)
    np.testing.assert_allclose(big.get_forces(), np.tile(forces, (4, 1)), atol=1e-9)
    np.testing.assert_allclose(big.get_stress(), stress, atol=1e-11)
    assert np.abs(forces).max() > 0.1


# -------------------------------------------------------------------- caches


def test_nothing_is_computed_twice(atoms, counted):
    energy = atoms.get_potential_energy()
    forces = atoms.get_forces()
    assert atoms.get_stress().shape == (6,)
    assert atoms.calc.get_dos().shape == (11,)
    assert len(counted) == 1
    atoms.positions[0, 0] += 0.1
    assert atoms.get_potential_energy() != energy
    assert np.abs(atoms.get_forces() - forces).max() > 1e-3
    assert len(counted) == 2
    atoms.set_cell(1.01 * atoms.cell.array, scale_atoms=True)
    assert atoms.get_potential_energy() != energy
    assert len(counted) == 3


def test_forces_belong_to_the_last_atoms(atoms, calculator):
    first = atoms.get_forces()
    atoms.get_potential_energy()
    other = atoms.copy()
    other.positions[1] += 0.2
    other.calc = calculator
    other.get_potential_energy()
    moved = other.get_forces()
    assert np.abs(moved - first).max() > 1e-2
    np.testing.assert_array_equal(atoms.get_forces(), first)
    # Asked for directly, without the cache of ASE.
    calculator.calculate(other, ["forces"])
    np.testing.assert_array_equal(calculator.results["forces"], moved)


def test_a_failure_does_not_leave_the_energy_of_other_atoms(atoms):
    assert atoms.get_potential_energy() < 0
    atoms.pbc = (True, True, False)
    for _ in range(2):
        with pytest.raises(SnapshotError, match="periodic in all three directions"):
            atoms.get_potential_energy()
    atoms.pbc = True
    assert atoms.get_potential_energy() < 0


def test_the_atoms_are_left_alone(atoms):
    before = atoms.copy()
    atoms.get_forces()
    assert atoms == before


# -------------------------------------------------------------------- relaxations and dynamics


def test_a_relaxation_goes_downhill(atoms):
    energies = []
    optimizer = BFGS(atoms, logfile=None)
    optimizer.attach(lambda: energies.append(atoms.get_potential_energy()))
    optimizer.run(fmax=1e-6, steps=3)
    assert len(energies) == 4
    assert energies[-1] < energies[0] - 1e-3


def test_a_cell_relaxes_on_a_fixed_grid(model, aluminium, atoms):
    atoms.calc = LDOSCalculator(model, aluminium, grid_shape=(6, 6, 6), **STATE)
    atoms.set_cell(1.04 * atoms.cell.array, scale_atoms=True)
    before, size = atoms.get_potential_energy(), atoms.cell.volume
    BFGS(FrechetCellFilter(atoms), logfile=None, maxstep=0.02).run(fmax=1e-6, steps=3)
    assert atoms.get_potential_energy() < before - 1e-3
    assert atoms.cell.volume != size


def test_dynamics_conserve_the_energy(atoms, rng):
    velocities = rng.normal(scale=np.sqrt(units.kB * 900 / atoms.get_masses()[0]), size=(4, 3))
    atoms.set_velocities(velocities)
    kinetic, total = [], []

    def note():
        kinetic.append(atoms.get_kinetic_energy())
        total.append(atoms.get_total_energy())

    dynamics = VelocityVerlet(atoms, timestep=0.5 * units.fs)
    dynamics.attach(note)
    dynamics.run(20)
    assert len(total) == 21
    assert np.ptp(kinetic) > 0.01
    # Verlet's own error is of the second order of the step.
    assert np.ptp(total) < 0.01 * np.ptp(kinetic)


# -------------------------------------------------------------------- files and copies


@pytest.mark.parametrize("name", ["frames.extxyz", "frames.traj"])
def test_frames_can_be_written(atoms, tmp_path, name):
    forces, stress = atoms.get_forces(), atoms.get_stress()
    ase.io.write(tmp_path / name, atoms)
    back = ase.io.read(tmp_path / name)
    assert back.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(back.get_forces(), forces, atol=1e-6)
    np.testing.assert_allclose(back.get_stress(), stress, atol=1e-6)


def test_a_trajectory_grows_with_the_energy_alone(atoms, tmp_path, counted):
    atoms.get_potential_energy()
    with Trajectory(tmp_path / "energies.traj", "w", atoms) as trajectory:
        trajectory.write()
    (back,) = ase.io.read(tmp_path / "energies.traj", ":")
    assert back.get_potential_energy() == atoms.get_potential_energy()
    assert len(counted) == 1


def test_a_model_from_a_file_gives_the_same_bits(model, aluminium, atoms, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    loaded = LDOSCalculator(joblib.load(tmp_path / "model.joblib"), aluminium, **STATE)
    other = atoms.copy()
    other.calc = loaded
    assert other.get_potential_energy() == atoms.get_potential_energy()
    np.testing.assert_array_equal(other.get_forces(), atoms.get_forces())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("known", ["nothing", "energy", "forces"])
def test_calculators_can_be_copied(atoms, calculator, copied, known):
    expected = atoms.get_forces()
    calculator.reset()
    if known != "nothing":
        atoms.calc.get_property(known, atoms)
    other = atoms.copy()
    other.calc = copied(calculator)
    np.testing.assert_array_equal(other.get_forces(), expected)
    other.positions[0] += 0.1
    assert np.abs(other.get_forces() - expected).max() > 1e-3
    np.testing.assert_array_equal(atoms.get_forces(), expected)


def test_a_copy_does_not_carry_the_grid(atoms, calculator):
    bare = len(pickle.dumps(calculator))
    atoms.get_forces()
    # The density, 216 numbers, is a result; the LDOS and the descriptors are not.
    assert len(pickle.dumps(calculator)) < bare + 8 * 216 + 6000


# -------------------------------------------------------------------- grids


def test_the_grid_follows_the_cell(calculator, model, atoms):
    np.testing.assert_allclose(model[0].grid_spacing_, 4.05 / 6)
    for factor, points in ((1.0, 6), (1.5, 9), (1.05, 6), (1.1, 7), (0.05, 1)):
        scaled = atoms.copy()
        scaled.set_cell(factor * atoms.cell.array)
        assert calculator.grid_for(scaled) == (points,) * 3


def test_the_spacing_is_the_finest_of_the_training_data(train, training):
    fine = training[0].replace(
        ldos=training[0].ldos[:, :3].repeat(3, axis=1), density=None, grid_shape=None
    )
    model = train(snapshots=SnapshotList([*training, fine]))
    assert fine.grid_shape == (6, 9, 6)
    np.testing.assert_allclose(model[0].grid_spacing_, 4.05 / np.array([6, 9, 6]))


@pytest.mark.parametrize("spacing", [0.5, (0.5, 0.7, 0.4)])
def test_a_spacing_may_be_given(model, aluminium, atoms, spacing):
    calculator = LDOSCalculator(model, aluminium, grid_spacing=spacing, **STATE)
    assert calculator.grid_for(atoms) == ((8, 8, 8) if spacing == 0.5 else (8, 6, 10))
    atoms.calc = calculator
    atoms.get_potential_energy()
    assert calculator.get_density().shape == calculator.grid_for(atoms)


def test_a_shape_may_be_given(model, aluminium, atoms):
    atoms.calc = LDOSCalculator(model, aluminium, grid_shape=(5, 6, 7), **STATE)
    atoms.set_cell(1.5 * atoms.cell.array, scale_atoms=True)
    assert atoms.calc.grid_for(atoms) == (5, 6, 7)
    assert atoms.calc.get_density(atoms).shape == (5, 6, 7)


def test_the_derivative_of_slices_adds_up(model, training, rng):
    snap, snapshot = model[0], training[0]
    sensitivity = rng.standard_normal((216, 14))
    whole = snap.pullback(snapshot, sensitivity)
    parts = [snap.pullback(snapshot, sensitivity[i : i + 72], i, i + 72) for i in (0, 72, 144)]
    for one, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        assert np.abs(one).max() > 0.1
        np.testing.assert_allclose(sum(pieces), one, atol=1e-11 * np.abs(one).max())


# -------------------------------------------------------------------- sharpening


def test_the_broadening_of_the_training_data_is_undone(broadened, model, aluminium, atoms):
    assert (broadened[-1].broadening_, broadened[-1].kernel_) == (0.8, "gaussian")
    assert (model[-1].broadening_, model[-1].kernel_) == (None, None)

    def energy(model, order):
        atoms.calc = LDOSCalculator(model, aluminium, sharpen=order, **STATE)
        return atoms.get_potential_energy()

    plain = energy(model, None)
    assert plain == energy(model, 0) == energy(broadened, 0)
    assert energy(broadened, None) == energy(broadened, 2)
    assert abs(energy(broadened, 2) - plain) > 1e-2
    assert energy(broadened, 1) != energy(broadened, 2)
    with pytest.raises(ValueError, match="broadening is not known; got 2"):
        LDOSCalculator(model, aluminium, sharpen=2, **STATE)


def test_broadenings_that_differ_are_refused(train, training):
    grids = [
        EnergyGrid(training[0].energies, broadening=width, kernel="gaussian")
        for width in (0.4, 0.8)
    ]
    mixed = [s.replace(energies=g) for s, g in zip(training[:2], grids, strict=True)]
    with pytest.raises(ValueError, match=r"gaussian 0\.4 eV and gaussian 0\.8 eV differ"):
        train(snapshots=SnapshotList(mixed))


def test_snapshots_that_do_not_say_are_taken_along(train, training):
    grid = EnergyGrid(training[0].energies, broadening=0.4, kernel="fermi-dirac")
    mixed = SnapshotList([training[0], training[1].replace(energies=grid)])
    regressor = train(snapshots=mixed)[-1]
    assert (regressor.broadening_, regressor.kernel_) == (0.4, "fermi-dirac")
    loaded = pickle.loads(pickle.dumps(regressor))
    assert (loaded.broadening_, loaded.kernel_) == (0.4, "fermi-dirac")
    assert regressor.fit([np.ones((4, 2))], [np.ones((4, 3))]).broadening_ is None


# -------------------------------------------------------------------- mistakes


def test_steps_that_are_not_affine_give_energies_but_no_forces(train, aluminium, atoms):
    atoms.calc = LDOSCalculator(train(steps=[PolynomialFeatures(2)]), aluminium, **STATE)
    assert atoms.get_potential_energy() < 0
    with pytest.raises(ValueError, match=r"affine, .* or PCA; PolynomialFeatures is not"):
        atoms.get_forces()
    assert atoms.get_potential_energy() < 0


def test_wrong_models_are_named(model, aluminium):
    for wrong in (model[-1], model[:-1], model[1:], None):
        with pytest.raises(TypeError, match="model must be"):
            LDOSCalculator(wrong, aluminium, **STATE)


def test_a_model_of_plain_blocks_does_not_know_its_energies(model, aluminium, training):
    plain = copy.deepcopy(model)
    blocks = [np.asarray(block) for block in plain[:-1].transform(training)]
    plain[-1].fit(blocks, training.targets)
    with pytest.raises(ValueError, match="model must know the energies of its LDOS"):
        LDOSCalculator(plain, aluminium, **STATE)


def test_elements_that_are_not_known_are_named(model, aluminium, atoms):
    atoms.symbols[0] = "Na"
    with pytest.raises(ValueError, match="must have one for every element, got none for Na"):
        atoms.get_potential_energy()
    both = [*aluminium.values(), Pseudopotential("Na", 3, functional="lda-pz")]
    atoms.calc = LDOSCalculator(model, both, **STATE)
    with pytest.raises(SnapshotError, match=r"Na of Snapshot\(.*is not among \['Al'\]"):
        atoms.get_potential_energy()


def test_molecules_are_refused(calculator):
    pair = Atoms("Al2", positions=[[0, 0, 0], [0, 0, 2.5]], calculator=calculator)
    with pytest.raises(SnapshotError, match="periodic in all three directions"):
        pair.get_potential_energy()


def test_electrons_that_find_no_place_are_named(model, atoms):
    heavy = [Pseudopotential("Al", 33, functional="lda-pz")]
    atoms.calc = LDOSCalculator(model, heavy, **STATE)
    with pytest.raises(FermiLevelError, match="no Fermi level inside the energies"):
        atoms.get_potential_energy()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -1}, "temperature must be >= 0, got -1"),
        ({"xc": "scan"}, "xc must be one of None, .*'pbesol'; got 'scan'"),
        ({"grid_spacing": 0.0}, r"grid_spacing\[0\] must be > 0, got 0.0"),
        ({"grid_spacing": (0.5, 0.5)}, "grid_spacing must be a number or three, got"),
        ({"grid_shape": (4, 4)}, "grid_shape must"),
        ({"sharpen": -1}, "sharpen must be >= 0, got -1"),
        ({"cutoff": 0.0}, "cutoff must be > 0, got 0"),
    ],
)
def test_wrong_parameters_are_named(model, aluminium, change, message):
    arguments = {"pseudopotentials": aluminium, **STATE} | change
    with pytest.raises(ValueError, match=message):
        LDOSCalculator(model, **arguments)


def test_a_functional_that_is_not_known_is_named(model, atoms):
    atoms.calc = LDOSCalculator(model, [Pseudopotential("Al", 3)], **STATE)
    with pytest.raises(ValueError, match=r"exchange-correlation functional .* got \['None'\]"):
        atoms.get_potential_energy()
    atoms.calc = LDOSCalculator(model, [Pseudopotential("Al", 3)], xc="pbe", **STATE)
    assert atoms.get_potential_energy() < 0


def test_names_that_are_no_parameters_are_refused(model, aluminium):
    with pytest.raises(TypeError, match="grid_shap"):
        LDOSCalculator(model, aluminium, grid_shap=(6, 6, 6), **STATE)
