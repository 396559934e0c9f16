"""The calculator within ASE: results, caches, dynamics, files and errors."""

import copy
import pickle
from contextlib import nullcontext

import ase.io
import numpy as np
import pytest
import torch
from ase import units
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.io.trajectory import Trajectory
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from sklearn.preprocessing import PolynomialFeatures

from skldos import EnergyGrid, LDOSCalculator, SnapshotList
from skldos.calculator.surface import CHARGE_TOLERANCE, EnergySurface
from skldos.data.calculation import common_calculation
from skldos.data.training import DENSITY_MARGIN
from skldos.exceptions import FermiLevelError, SnapshotError
from skldos.physics import Pseudopotential, TotalEnergy
from skldos.prediction import unlabelled

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
    """A model whose training data have a known broadening."""
    grid = EnergyGrid(training[0].energies, broadening=0.8, kernel="gaussian")
    return train(snapshots=SnapshotList([s.replace(energies=grid) for s in training]))


# -------------------------------------------------------------------- results


def test_results_are_there_with_every_energy(atoms, calculator):
    energy = atoms.get_potential_energy()
    results = calculator.results
    assert set(results) == {"energy", "free_energy"}
    breakdown = calculator.get_total_energy_breakdown()
    assert isinstance(breakdown, TotalEnergy)
    assert energy == results["free_energy"] == breakdown.total
    assert atoms.get_potential_energy(force_consistent=True) == energy
    assert calculator.energies.shape == calculator.get_dos(atoms).shape == (11,)
    density, voxel = calculator.get_density(), atoms.cell.volume / 216
    assert density.shape == (6, 6, 6)
    assert density.sum() * voxel == pytest.approx(12, rel=1e-12)
    assert calculator.get_fermi_level() == breakdown.fermi_level
    assert str(breakdown).count("\n") == 8
    assert atoms.get_forces().shape == (4, 3)
    assert atoms.get_stress().shape == (6,)
    assert set(calculator.results) == {"energy", "free_energy", "forces", "stress"}
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_magnetic_moment()


def test_what_is_beside_the_results_is_that_of_the_last_atoms(atoms, calculator):
    first = calculator.get_dos(atoms), calculator.get_density(), calculator.get_fermi_level()
    other = atoms.copy()
    other.positions[2] += 0.3
    moved = calculator.get_dos(other), calculator.get_density(), calculator.get_fermi_level()
    for one, another in zip(first, moved, strict=True):
        assert np.abs(one - another).max() > 1e-4
    np.testing.assert_array_equal(calculator.get_dos(atoms), first[0])


def test_what_was_handed_out_may_be_changed(atoms, calculator, model, aluminium, training):
    fresh = LDOSCalculator(model, aluminium, **STATE)
    for handed_out in (calculator.get_dos(atoms), calculator.get_density(atoms)):
        handed_out *= 0
    np.testing.assert_array_equal(calculator.get_dos(), fresh.get_dos(atoms))
    np.testing.assert_array_equal(calculator.get_density(), fresh.get_density(atoms))
    np.testing.assert_array_equal(calculator.get_forces(atoms), fresh.get_forces(atoms))


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


@pytest.mark.filterwarnings("ignore:outside of the training data")
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


@pytest.mark.parametrize("asked", ["energy", "forces"])
def test_results_can_be_exported_and_frozen(atoms, calculator, asked):
    calculator.calculate(atoms, [asked])
    assert set(calculator.results) <= set(all_properties)
    assert calculator.export_properties()["energy"] == calculator.results["energy"]
    frozen = atoms.copy()
    frozen.calc = SinglePointCalculator(frozen, **calculator.results)
    assert frozen.get_potential_energy() == atoms.get_potential_energy()
    if asked == "forces":
        np.testing.assert_array_equal(frozen.get_forces(), atoms.get_forces())


@pytest.mark.parametrize("name", ["frames.extxyz", "frames.traj", "frames.json"])
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


@pytest.mark.filterwarnings("ignore:outside of the training data")
def test_a_model_that_is_fitted_again_leaves_it_alone(train, training, atoms, aluminium):
    model = train()
    atoms.calc = LDOSCalculator(model, aluminium, **STATE)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    model.fit(SnapshotList([s.replace(ldos=1.2 * s.ldos, reference={}) for s in training[1:3]]))
    atoms.calc.reset()
    assert atoms.get_potential_energy() == energy
    np.testing.assert_array_equal(atoms.get_forces(), forces)
    atoms.calc = LDOSCalculator(model, aluminium, **STATE)
    assert abs(atoms.get_potential_energy() - energy) > 1e-2


# -------------------------------------------------------------------- state of the process


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_mode_of_autograd_changes_nothing(model, aluminium, atoms, mode):
    expected = atoms.get_forces(), atoms.get_stress()
    stored, other = pickle.dumps(model), atoms.copy()
    atoms.calc.reset()
    with mode():
        np.testing.assert_array_equal(atoms.get_forces(), expected[0])
        # One whose parameters themselves were made without gradients.
        inside = LDOSCalculator(pickle.loads(stored), aluminium, **STATE)
        other.calc = inside
        np.testing.assert_array_equal(other.get_stress(), expected[1])
        assert not torch.is_grad_enabled()
    other.calc.reset()
    np.testing.assert_array_equal(other.get_forces(), expected[0])


def test_the_default_dtype_changes_nothing(atoms, model, aluminium):
    expected = atoms.get_forces()
    torch.set_default_dtype(torch.float64)
    try:
        atoms.calc = LDOSCalculator(model, aluminium, **STATE)
        np.testing.assert_array_equal(atoms.get_forces(), expected)
    finally:
        torch.set_default_dtype(torch.float32)


# -------------------------------------------------------------------- grids


def test_the_grid_follows_the_cell(calculator, model, atoms):
    np.testing.assert_allclose(model[0].grid_spacing_, 4.05 / 6)
    for factor, points in ((1.0, 6), (1.5, 9), (1.05, 6), (1.1, 7), (0.05, 1)):
        scaled = atoms.copy()
        scaled.set_cell(factor * atoms.cell.array)
        assert calculator.grid_for(scaled) == (points,) * 3
    assert calculator.grid_for(atoms.repeat((2, 1, 2))) == (12, 6, 12)


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


@pytest.mark.filterwarnings("ignore:outside of the training data")
def test_a_shape_may_be_given(model, aluminium, atoms):
    atoms.calc = LDOSCalculator(model, aluminium, grid_shape=(5, 6, 7), **STATE)
    atoms.set_cell(1.5 * atoms.cell.array, scale_atoms=True)
    assert atoms.calc.grid_for(atoms) == (5, 6, 7)
    assert atoms.calc.get_density(atoms).shape == (5, 6, 7)


@pytest.mark.filterwarnings("ignore:outside of the training data")
def test_grids_that_cannot_hold_the_density_are_refused(model, aluminium, atoms):
    atoms.set_cell(1.2 * atoms.cell.array, scale_atoms=True)  # 4.86 Å
    for method, grid, spacing in (
        (atoms.get_potential_energy, {"grid_spacing": 100.0}, "4.86 4.86 4.86"),
        (atoms.get_forces, {"grid_shape": (6, 6, 2)}, "0.81 0.81 2.43"),
    ):
        atoms.calc = LDOSCalculator(model, aluminium, **grid, **STATE)
        expected = r"grid_spacing \(or grid_shape\) must .* hold the dens.*; got \[" + spacing
        with pytest.raises(ValueError, match=expected):
            method()


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


def test_windows_are_sharpened_one_by_one(train, training, aluminium, atoms):
    low = EnergyGrid.regular(-60.0, 0.5, 5, broadening=0.5, kernel="gaussian")
    grid = EnergyGrid.joined(
        low, EnergyGrid(training[0].energies, broadening=0.8, kernel="gaussian")
    )
    zeros = np.zeros((*training[0].ldos.shape[:3], 5))
    snapshots = [s.replace(energies=grid, ldos=grid.join([zeros, s.ldos[:]])) for s in training]
    model = train(snapshots=SnapshotList(snapshots))
    calculator = LDOSCalculator(model, aluminium, **STATE)
    np.testing.assert_array_equal(calculator.surface.sharpening, grid.sharpening_matrix(2))
    atoms.calc = calculator
    assert np.isfinite(atoms.get_potential_energy())
    # Bare atoms get the energies of the model, windows included.
    (filled,) = unlabelled.filled(model, SnapshotList([atoms.copy()]))
    assert filled.energy_grid == grid
    plain = SnapshotList([snapshots[0], snapshots[1].replace(energies=grid.values)])
    with pytest.raises(SnapshotError, match="the same windows"):
        common_calculation([snapshots[0], snapshots[1].replace(energies=other_windows(grid))])
    assert common_calculation(plain)["windows"] == [[5, 0.5, "gaussian"], [11, 0.8, "gaussian"]]


def other_windows(grid):
    """Return windows of the same energies, the lower one broadened less."""
    low, high = grid.windows
    return EnergyGrid.joined(EnergyGrid(low.values, broadening=0.4, kernel="gaussian"), high)


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


def test_a_model_of_plain_blocks_does_not_know_its_energies(model, aluminium, training):
    plain = copy.deepcopy(model)
    blocks = [np.asarray(block) for block in plain[:-1].transform(training)]
    plain[-1].fit(blocks, training.targets)
    with pytest.raises(ValueError, match="the energies of model's LDOS must be known"):
        LDOSCalculator(plain, aluminium, **STATE)


def test_elements_that_are_not_known_are_named(model, aluminium, atoms):
    atoms.symbols[0] = "Na"
    with pytest.raises(ValueError, match="must have one for every element, got none for Na"):
        atoms.get_potential_energy()
    both = [*aluminium.values(), Pseudopotential("Na", 3, functional="lda-pz")]
    atoms.calc = LDOSCalculator(model, both, **STATE)
    with pytest.raises(SnapshotError, match=r"Na of Snapshot\(.*is not among \['Al'\]"):
        atoms.get_potential_energy()


@pytest.mark.parametrize(
    ("said", "valence", "functional", "message"),
    [
        (
            {"functional": "pbe"},
            3,
            None,
            "made with the functional 'pbe', but .* 'lda-pz': set functional",
        ),
        ({"functional": "lda-pz"}, 3, "pbe", "with the functional 'lda-pz', but .* with 'pbe'"),
        ({"functional": "scan"}, 3, None, "made with the functional 'scan', but"),
        ({"charge": -1.0}, 3, None, r"model was trained on cells with a charge of -1, but"),
        ({}, 11, None, "in which Al4 has 12 valence electrons; with .* it has 44"),
    ],
)
def test_what_differs_from_the_training_data_is_refused(
    train, training, said, valence, functional, message
):
    told = SnapshotList([s.replace(reference=s.reference | said) for s in training])
    model = train(snapshots=told)
    pseudopotentials = [Pseudopotential("Al", valence, functional="lda-pz")]
    with pytest.raises(ValueError, match=message):
        LDOSCalculator(model, pseudopotentials, functional=functional, **STATE)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_rounding_of_a_file_makes_no_other_pseudopotential(model, sign):
    def calculator(off):
        al = [Pseudopotential("Al", 3 + sign * off / 4, functional="lda-pz")]
        return LDOSCalculator(model, al, **STATE)

    calculator(CHARGE_TOLERANCE / 3)
    with pytest.raises(ValueError, match="in which Al4 has 12 valence electrons"):
        calculator(3 * CHARGE_TOLERANCE)


@pytest.mark.parametrize("named", [None, "lda-pz"])
def test_the_functional_of_the_training_data_is_taken(train, training, atoms, aluminium, named):
    pbe = SnapshotList([s.replace(reference={"functional": "pbe"}) for s in training])
    model = train(snapshots=pbe)
    pseudopotentials = [Pseudopotential("Al", 3, functional=named)]
    functional = None if named is None else "pbe"
    atoms.calc = LDOSCalculator(model, pseudopotentials, functional=functional, **STATE)
    energy = atoms.get_potential_energy()
    # The LDOS is the same whatever the functional.
    atoms.calc = LDOSCalculator(train(), [Pseudopotential("Al", 3)], functional="pbe", **STATE)
    assert atoms.get_potential_energy() == energy
    atoms.calc = LDOSCalculator(train(), aluminium, **STATE)
    assert abs(atoms.get_potential_energy() - energy) > 1e-2


def test_electrons_that_find_no_place_are_named(train, training, atoms):
    model = train(snapshots=SnapshotList([s.replace(n_electrons=None) for s in training]))
    heavy = [Pseudopotential("Al", 33, functional="lda-pz")]
    atoms.calc = LDOSCalculator(model, heavy, **STATE)
    with pytest.raises(FermiLevelError, match="no Fermi level inside the energies"):
        atoms.get_potential_energy()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"temperature": -1}, ValueError, "temperature must be >= 0, got -1"),
        (
            {"functional": "scan"},
            ValueError,
            "functional must be one of None, .*'pbesol'; got 'scan'",
        ),
        ({"grid_spacing": 0.0}, ValueError, r"grid_spacing\[0\] must be > 0, got 0.0"),
        (
            {"grid_spacing": (0.5, 0.5)},
            ValueError,
            "grid_spacing must be a number or three, got",
        ),
        ({"grid_shape": (4, 4)}, ValueError, "grid_shape must"),
        ({"density_cutoff": 0.0}, ValueError, "density_cutoff must be > 0, got 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be"),
        ({"n_jobs": "2"}, TypeError, "n_jobs must be"),
        ({"grid_shap": (6, 6, 6)}, TypeError, "grid_shap"),
    ],
)
def test_wrong_parameters_are_named(model, aluminium, change, error, message):
    arguments = {"pseudopotentials": aluminium, **STATE} | change
    with pytest.raises(error, match=message):
        LDOSCalculator(model, **arguments)


def test_a_functional_that_is_not_known_is_named(model, atoms):
    atoms.calc = LDOSCalculator(model, [Pseudopotential("Al", 3)], **STATE)
    with pytest.raises(ValueError, match=r"functional is required .* got \['None'\]"):
        atoms.get_potential_energy()
    atoms.calc = LDOSCalculator(model, [Pseudopotential("Al", 3)], functional="pbe", **STATE)
    assert atoms.get_potential_energy() < 0


# -------------------------------------------------------------------- guards


def test_stress_of_one_density_is_refused_unless_asked_for(train, training, aluminium, atoms):
    model = train(snapshots=training[:3])
    state = STATE | {"temperature": 298.0}
    atoms.calc = LDOSCalculator(model, aluminium, **state)
    with pytest.raises(PropertyNotImplementedError, match=r"one density \(2\.698 g/cm³\)"):
        atoms.get_stress()
    assert atoms.get_forces().shape == (4, 3)
    assert "stress" not in atoms.calc.results
    expected = EnergySurface(model, aluminium).at(atoms.calc._snapshot()).stress
    atoms.calc = LDOSCalculator(model, aluminium, allow_stress=True, **state)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), expected, rtol=1e-9)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize(("width", "known"), [(1 / 3, False), (3, True)])
def test_densities_count_as_one_within_a_margin(train, training, aluminium, atoms, width, known):
    model = train(snapshots=training[:3])
    ends = model[-1].calculation_["training"]["density"]
    ends[1] *= 1 + width * DENSITY_MARGIN
    atoms.calc = LDOSCalculator(model, aluminium, **(STATE | {"temperature": 298.0}))
    with nullcontext() if known else pytest.raises(PropertyNotImplementedError):
        assert atoms.get_stress().shape == (6,)


@pytest.mark.parametrize(("longer", "temperature"), [(1.05, 900.0), (1.0, 9000.0)])
def test_what_is_outside_of_the_training_data_warns_once(
    model, aluminium, atoms, recwarn, longer, temperature
):
    atoms.calc = LDOSCalculator(model, aluminium, temperature=temperature)
    atoms.set_cell(longer * atoms.cell.array, scale_atoms=True)
    atoms.get_potential_energy()
    (warned,) = recwarn.list
    name = "density" if longer > 1 else "temperature"
    assert f"outside of the training data: {name}" in str(warned.message)
    atoms.rattle(0.01)
    atoms.get_potential_energy()
    assert len(recwarn.list) == 1


def test_settings_that_change_act_at_once(model, training, aluminium):
    atoms = training[0].atoms
    calculator = LDOSCalculator(model, aluminium, temperature=298)
    before = calculator.get_potential_energy(atoms), calculator.get_fermi_level()
    for name, value in (("temperature", 1500.0), ("grid_shape", (5, 6, 6)), ("grid_spacing", 0.6)):
        calculator = LDOSCalculator(model, aluminium, temperature=298)
        calculator.get_forces(atoms)
        setattr(calculator, name, value)
        fresh = LDOSCalculator(model, aluminium, **({"temperature": 298} | {name: value}))
        assert calculator.get_potential_energy(atoms) == fresh.get_potential_energy(atoms)
        np.testing.assert_array_equal(calculator.get_forces(atoms), fresh.get_forces(atoms))
        found = calculator.get_potential_energy(atoms), calculator.get_fermi_level()
        assert found == (fresh.get_potential_energy(), fresh.get_fermi_level()) != before
    with pytest.raises(ValueError, match="atoms are needed, because nothing was calculated"):
        LDOSCalculator(model, aluminium, temperature=298).get_fermi_level()
    with pytest.raises(ValueError, match="temperature must be >= 0, got -1"):
        calculator.temperature = -1
    with pytest.raises(ValueError, match=r"grid_shape\[1\] must be >= 1, got 0"):
        calculator.grid_shape = (4, 0, 4)
    with pytest.raises(TypeError, match=r"grid_spacing\[2\] must be a number, got 'x'"):
        calculator.grid_spacing = (0.5, 0.5, "x")
