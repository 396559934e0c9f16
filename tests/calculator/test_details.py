"""Limits of calculators on both sides, names, and options that change one thing."""

import copy

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    BlockUnion,
    FreeEnergyCalculator,
    FreeEnergyRegressor,
    LDOSCalculator,
    SiteRegressor,
)
from skldos.calculator import MonteCarlo
from skldos.calculator._atom_models import OVERRIDES, _UnitLength
from skldos.calculator._local import LocalFreeEnergy, _reach
from skldos.calculator._pipelines import with_parameters
from skldos.calculator.free_energy_surface import FreeEnergySurface
from skldos.datasets import make_snapshots
from skldos.physics import fermi_level
from skldos.units import BOLTZMANN
from tests.calculator.helpers import labelled

SNAP = {"r_cut": 3.5, "twojmax": 2, "n_jobs": 1}


@pytest.fixture(scope="module")
def fitted():
    """A potential and a model of the DOS."""
    made = make_snapshots(4, grid_shape=(4, 4, 4), n_energies=21, random_state=3)
    snapshots = [labelled(s) for s in made]
    potential = make_pipeline(AtomSNAPTransformer(**SNAP), FreeEnergyRegressor())
    regressor = ADOSRegressor(SiteRegressor(Ridge(1e-2)))
    dos_model = make_pipeline(AtomSNAPTransformer(**SNAP), regressor)
    return potential.fit(snapshots), dos_model.fit(snapshots), snapshots


# -------------------------------------------------------------------- grids


@pytest.mark.parametrize(("factor", "fine"), [(0.998, True), (1.002, False)])
@pytest.mark.parametrize(("known", "limit"), [(True, 2 * 4.05 / 6), (False, 1.0)])
def test_points_may_be_twice_as_far_apart_or_one_angstrom(
    model, aluminium, known, limit, factor, fine
):
    if not known:
        model = copy.deepcopy(model)
        model[0].grid_spacing_ = None
    calculator = LDOSCalculator(model, aluminium, temperature=900, grid_spacing=0.5)
    calculator.atoms = bulk("Al", cubic=True)
    for axis in range(3):
        lengths = np.ones(3)
        lengths[axis] = 4 * factor * limit
        calculator.atoms.set_cell(lengths)
        if fine:
            calculator._check_fineness((4, 4, 4))
        else:
            with pytest.raises(ValueError, match="grid_spacing"):
                calculator._check_fineness((4, 4, 4))


# -------------------------------------------------------------------- options and names


def test_valence_electrons_may_be_given(fitted):
    potential, dos_model, snapshots = fitted
    atoms = snapshots[0].atoms
    for valence in (2.9, 3.0):
        calculator = FreeEnergyCalculator(potential, dos_model, valence={"Al": valence})
        state = {"temperature": 933, "n_electrons": 4 * valence}
        expected = fermi_level(calculator.get_dos(atoms), calculator.energies, **state)
        assert calculator.get_fermi_level(atoms) == pytest.approx(expected, abs=1e-9)
    known = FreeEnergyCalculator(potential, dos_model).get_fermi_level(atoms)
    assert known == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ValueError, match=r"valence\['Al'\] must be >= 0, got -1"):
        FreeEnergyCalculator(potential, dos_model, valence={"Al": -1})
    FreeEnergyCalculator(potential, dos_model, valence={"Al": 0})
    with pytest.raises(TypeError, match="valence must be a mapping of elements to numbers, got 3"):
        FreeEnergyCalculator(potential, dos_model, valence=3)


@pytest.mark.parametrize(
    ("fact", "one", "other"),
    [
        ("functional", "lda-pz", "pbe"),
        ("charge", 0.0, 1.0),
        ("pseudopotentials", {"Al": "a.UPF"}, {"Al": "b.UPF"}),
    ],
)
def test_both_models_must_be_of_the_same_calculations(fitted, fact, one, other):
    potential, dos_model, _ = (copy.deepcopy(model) for model in fitted)
    potential[-1].calculation_[fact] = one
    FreeEnergyCalculator(potential, dos_model)
    dos_model[-1].calculation_[fact] = one
    FreeEnergyCalculator(potential, dos_model)
    dos_model[-1].calculation_[fact] = other
    with pytest.raises(
        ValueError, match=f"same calculations, .* with the {fact} .* dos_model with"
    ):
        FreeEnergyCalculator(potential, dos_model)


def test_the_reference_temperature_is_where_nothing_is_added(fitted):
    potential, dos_model, snapshots = fitted
    atoms = snapshots[0].atoms
    options = {"temperature": 1200.0, "sharpen": 0}
    plain = FreeEnergyCalculator(potential).get_potential_energy(atoms)
    moved = FreeEnergyCalculator(potential, dos_model, reference_temperature=1200.0, **options)
    assert moved.get_potential_energy(atoms) == pytest.approx(plain, abs=1e-12)
    assert moved.temperature == 1200
    hot = FreeEnergyCalculator(potential, dos_model, **options).get_potential_energy(atoms)
    assert abs(hot - plain) > 1e-3
    assert FreeEnergyCalculator(potential, dos_model, 0.0).temperature == 0


def test_names(fitted):
    potential, dos_model, snapshots = fitted
    calculator = FreeEnergyCalculator(potential, dos_model, 1200)
    assert repr(calculator) == "FreeEnergyCalculator(FreeEnergyRegressor, ADOSRegressor, 1200 K)"
    assert calculator.todict() == {"temperature": 1200}
    surface = repr(calculator.surface)
    assert surface.startswith("FreeEnergySurface(PotentialModel(AtomSNAPTransformer → FreeEnergyR")
    assert "DOSModel(AtomSNAPTransformer → ADOSRegressor)" in surface
    energy = calculator.get_potential_energy(snapshots[0].atoms)
    assert repr(calculator._point) == f"FreeEnergyPoint(Snapshot(Al4), {energy:.6f} eV)"
    bare = FreeEnergyCalculator(potential)
    assert repr(bare) == "FreeEnergyCalculator(FreeEnergyRegressor, 933 K)"
    assert bare.energies is None
    assert {bare.name, calculator.name} == {"skldos-freeenergycalculator"}


def test_a_potential_without_a_temperature(fitted):
    _, dos_model, snapshots = fitted
    mixed = [snapshots[0].replace(temperature=300.0), *snapshots[1:]]
    regressor = FreeEnergyRegressor(temperature="ignore")
    potential = make_pipeline(AtomSNAPTransformer(**SNAP), regressor).fit(mixed)
    calculator = FreeEnergyCalculator(potential, dos_model)
    assert calculator.temperature is None
    assert calculator.todict() == {}
    assert repr(calculator) == "FreeEnergyCalculator(FreeEnergyRegressor, ADOSRegressor)"
    atoms = snapshots[0].atoms
    assert calculator.get_dos(atoms).shape == (21,)
    for method in ("get_fermi_level", "get_band_energy", "get_entropy"):
        with pytest.raises(ValueError, match="reference_temperature is needed"):
            getattr(calculator, method)(atoms)


def test_results_that_are_given_away_may_be_changed(fitted):
    potential, dos_model, snapshots = fitted
    calculator = FreeEnergyCalculator(potential, dos_model)
    atoms = snapshots[0].atoms
    before = calculator.get_dos(atoms).copy()
    calculator.get_dos(atoms)[:] = 0
    calculator.results["energies"][:] = 0
    np.testing.assert_array_equal(calculator.get_dos(atoms), before)
    assert calculator._point.energies.all()


def test_copies_of_transformers_leave_the_fitted_ones_alone():
    atoms = bulk("Al", cubic=True)
    union = BlockUnion([("a", AtomSNAPTransformer(memory="m", dtype="float32", **SNAP))])
    changed = with_parameters(union.fit([atoms]), OVERRIDES)
    step = changed.transformer_list[0][1]
    assert (step.dtype, step.memory) == ("float64", None)
    assert union.transformer_list[0][1].dtype == "float32"
    assert union.transformer_list[0][1].memory == "m"


def test_gradients_of_unit_lengths(rng):
    step, rows = _UnitLength(), rng.normal(size=(3, 4))
    rows[1] = 0
    np.testing.assert_allclose(step.forward(rows), Normalizer().transform(rows))
    by_rows, direction, h = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), 1e-6
    direction[1] = 0
    ahead, behind = ((step.forward(rows + s * direction) * by_rows).sum() for s in (h, -h))
    slope = (step.back(by_rows, rows) * direction).sum()
    assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-7)
    assert np.isfinite(step.back(by_rows, rows)).all()


# -------------------------------------------------------------------- Monte Carlo


class Steep(Calculator):
    """The energy rises by `slope` eV with every evaluation."""

    implemented_properties = ("energy",)

    def __init__(self, slope):
        super().__init__()
        self.slope, self.n = slope, 0

    def calculate(self, atoms, properties, system_changes):
        super().calculate(atoms, properties, system_changes)
        self.n += 1
        self.results["energy"] = self.slope * self.n


@pytest.mark.parametrize("slope", [-1.0, 0.0, 1e3])
def test_moves_downhill_are_accepted_and_others_seldom(slope):
    atoms = Atoms("H8", positions=np.zeros((8, 3)))
    atoms.calc = Steep(slope)
    sampling = MonteCarlo(atoms, 300, random_state=0)
    assert sampling.acceptance == 0
    sampling.run(40)
    assert sampling.acceptance == (1 if slope <= 0 else 0)
    assert sampling.nsteps == 40
    assert repr(sampling) == "MonteCarlo(H8, 300 K, 40 steps)"
    assert bool(np.abs(atoms.positions).max() > 0) == (slope <= 0)


@pytest.mark.parametrize(("options", "largest"), [({}, 0.2), ({"max_move": 0.5}, 0.5)])
def test_moves_fill_a_cube_around_atoms_drawn_at_random(options, largest):
    atoms = Atoms("H4", positions=np.zeros((4, 3)))
    sampling = MonteCarlo(atoms, 300, random_state=0, **options)
    indices, moves = [], []

    class Recorded:
        def change(self, index, position):
            indices.append(index)
            moves.append(position - atoms.positions[index])
            return 1e9

    for _ in range(1000):
        sampling._move(Recorded())
    moves = np.array(moves)
    assert 0.995 * largest < np.abs(moves).max() <= largest
    # Each mean of 1000 numbers scatters by 1.8 % of the largest.
    assert np.abs(moves.mean(axis=0)).max() < 0.08 * largest
    np.testing.assert_allclose(moves.std(axis=0), largest / np.sqrt(3), rtol=0.06)
    assert np.bincount(indices).min() > 190
    assert sampling.acceptance == 0


def test_the_boltzmann_factor():
    """A move that costs kT ln 4 is accepted once in four times."""

    class Uphill:
        n = 0

        def change(self, index, position):
            return BOLTZMANN * 500 * np.log(4)

        def accept(self):
            self.n += 1

    energy = Uphill()
    sampling = MonteCarlo(Atoms("H"), 500, random_state=0)
    for _ in range(20_000):
        sampling._move(energy)
    assert sampling.acceptance == energy.n / 20_000 == pytest.approx(0.25, abs=0.01)


def test_reach_of_descriptors():
    assert _reach(AtomSNAPTransformer(r_cut=3.0)) == 3.0
    radii = {"Al": 1.2, "Mg": 0.7}
    assert _reach(AtomSNAPTransformer(r_cut=3.0, radii=radii)) == pytest.approx(3.6)
    assert _reach(AtomSNAPTransformer(r_cut=3.0, radii={"Al": 0.5})) == 3.0
    atoms = bulk("Al", cubic=True)
    union = BlockUnion([("a", AtomSNAPTransformer(2.0)), ("b", AtomSNAPTransformer(3.1))])
    assert _reach(union.fit([atoms])) == 3.1


def test_only_atoms_that_see_the_move_are_computed(fitted):
    potential, *_ = fitted
    atoms = bulk("Al", cubic=True).repeat((3, 3, 3))
    atoms.rattle(0.05, seed=0)
    kept = LocalFreeEnergy(FreeEnergySurface(potential), atoms, None)
    position = atoms.positions[5] + 0.1
    kept.change(5, position)
    distances = np.minimum(*(
        np.linalg.norm(vectors, axis=1)
        for vectors in (atoms.get_distances(5, range(108), mic=True, vector=True),
                        _to(atoms, position))
    ))  # fmt: skip
    near = np.flatnonzero(distances <= 3.5)
    np.testing.assert_array_equal(np.sort(kept._trial[2]["near"]), near)
    assert 10 < len(near) < 40
    np.testing.assert_array_equal(kept._atoms.positions, atoms.positions)


def _to(atoms, position):
    other = atoms.copy()
    other.append("Al")
    other.positions[-1] = position
    return other.get_distances(108, range(108), mic=True, vector=True)


def test_temperatures_and_moves_of_any_size_but_zero():
    atoms = Atoms("H")
    sampling = MonteCarlo(atoms, 0.3, max_move=0.01)
    assert (sampling.temperature_K, sampling.max_move) == (0.3, 0.01)
    for name in ("temperature_K", "max_move"):
        with pytest.raises(ValueError, match=f"{name} must be > 0, got 0"):
            MonteCarlo(atoms, **{"temperature_K": 300, name: 0})


def test_a_single_move_is_the_whole_acceptance():
    atoms = Atoms("H", positions=np.zeros((1, 3)))
    atoms.calc = Steep(-1.0)
    sampling = MonteCarlo(atoms, 300, random_state=0)
    sampling.run(1)
    assert sampling.acceptance == 1


@pytest.mark.parametrize(("order", "error"), [(-1, ValueError), (1.5, TypeError), (0.5, TypeError)])
def test_orders_are_whole_numbers(fitted, model, aluminium, order, error):
    potential, dos_model, _ = fitted
    with pytest.raises(error, match="sharpen must be"):
        FreeEnergyCalculator(potential, dos_model, sharpen=order)
    with pytest.raises(error, match="sharpen must be"):
        LDOSCalculator(model, aluminium, temperature=900, sharpen=order)
