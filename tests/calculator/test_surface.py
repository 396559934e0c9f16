"""The free energy of a fitted pipeline and its exact gradient."""

import copy

import joblib
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import AtomSNAPTransformer, BandEnergyScorer, LDOSRegressor, Snapshot
from skldos.calculator import EnergySurface, surface
from skldos.data import LazyArray
from skldos.physics import Pseudopotential, sharpening_matrix, total_energy
from skldos.prediction import streaming
from tests.calculator.helpers import moved, slope, strained

GRID = (6, 6, 6)


def snapshot_of(atoms, grid=GRID, n_electrons=12.0, temperature=900.0):
    return Snapshot(
        atoms,
        grid_shape=grid,
        energies=np.linspace(-4, 12, 11),
        temperature=temperature,
        n_electrons=n_electrons,
    )


@pytest.fixture
def sheared(atoms):
    """Atoms in a cell without right angles."""
    shear = np.array([[0, 0.3, 0], [0, 0, 0.2], [0.1, 0, 0.2]])
    atoms.set_cell(atoms.cell.array + shear, scale_atoms=True)
    return atoms


# -------------------------------------------------------------------- values


def test_the_energy_is_that_of_the_predicted_ldos(model, aluminium, atoms):
    snapshot = snapshot_of(atoms)
    point = EnergySurface(model, aluminium).at(snapshot)
    ldos = model.predict([snapshot])[0].reshape(*GRID, 11)
    settings = {"atoms": atoms, "temperature": 900.0, "n_electrons": 12.0}
    expected = total_energy(ldos, snapshot.energies, pseudopotentials=aluminium, **settings)
    # The regressor predicts in single precision.
    assert point.energy.total == pytest.approx(expected.total, rel=1e-7)
    assert point.energy.total != expected.total


def test_chunks_do_not_matter(model, aluminium, sheared, monkeypatch):
    whole = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    forces, stress = whole.forces, whole.stress
    monkeypatch.setattr(surface, "CHUNK_POINTS", 37)
    parts = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    assert parts.energy.total == pytest.approx(whole.energy.total, rel=1e-13)
    np.testing.assert_allclose(parts.forces, forces, atol=1e-11)
    np.testing.assert_allclose(parts.stress, stress, atol=1e-12)
    assert np.abs(forces).max() > 0.1


def test_descriptors_of_large_cells_are_computed_again(model, aluminium, sheared, monkeypatch):
    kept = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    monkeypatch.setattr(surface, "KEPT_BYTES", 1000)
    again = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    assert isinstance(again._descriptors, LazyArray)
    assert isinstance(kept._descriptors, np.ndarray)
    assert again.energy == kept.energy
    np.testing.assert_array_equal(again.forces, kept.forces)
    assert np.abs(again.forces).max() > 0.01


def test_an_ldos_that_is_not_kept_gives_the_same(model, aluminium, sheared, monkeypatch):
    kept = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    monkeypatch.setattr(streaming, "KEPT_BYTES", 0)
    streamed = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    assert streamed.energy.total == pytest.approx(kept.energy.total, rel=1e-11)
    for name in ("dos", "density", "by_dos", "by_density", "weights"):
        found, expected = getattr(streamed.response, name), getattr(kept.response, name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(streamed.forces, kept.forces, atol=1e-9)
    np.testing.assert_allclose(streamed.stress, kept.stress, atol=1e-9)
    assert np.abs(kept.forces).max() > 0.1


def test_a_sample_of_points_without_a_fermi_level_does_no_harm(
    model, aluminium, sheared, monkeypatch
):
    kept = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    monkeypatch.setattr(streaming, "KEPT_BYTES", 0)
    sampled = streaming._sampled_sum
    monkeypatch.setattr(
        streaming, "_sampled_sum", lambda *a: (0.1 * sampled(*a)[0], sampled(*a)[1])
    )
    streamed = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    assert streamed.energy.total == pytest.approx(kept.energy.total, rel=1e-11)


@pytest.mark.parametrize("kept_bytes", [0, 2**28])
def test_workers_change_no_bit(model, aluminium, sheared, monkeypatch, kept_bytes):
    monkeypatch.setattr(streaming, "KEPT_BYTES", kept_bytes)
    monkeypatch.setattr(surface, "CHUNK_POINTS", 37)
    one = EnergySurface(model, aluminium).at(snapshot_of(sheared))
    with joblib.parallel_config("threading"):
        two = EnergySurface(model, aluminium, n_jobs=2).at(snapshot_of(sheared))
        np.testing.assert_array_equal(two.forces, one.forces)
        np.testing.assert_array_equal(two.stress, one.stress)
    assert two.energy == one.energy
    assert np.abs(one.forces).max() > 0.1


def test_without_row_wise_steps_the_matrix_is_one(train, aluminium):
    made = EnergySurface(train(steps=[]), aluminium)
    np.testing.assert_array_equal(made.row_matrix, np.eye(14))


# -------------------------------------------------------------------- gradients


CASES = {
    "lda": {},
    "pbe, cutoff": {"functional": "pbe", "density_cutoff": 60.0},
    "projection": {"steps": [StandardScaler(), PCA(6)]},
    "tanh": {"activation": "tanh"},
    "sharpened": {"sharpen": 2},
    "0 K": {"temperature": 0.0},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_forces_and_stress_are_derivatives_of_the_energy(train, aluminium, sheared, rng, case):
    options = {k: case[k] for k in ("functional", "density_cutoff") if k in case}
    trained = train(**{k: case[k] for k in ("activation", "steps") if k in case})
    if "sharpen" in case:
        energies = np.linspace(-4, 12, 11)
        options["sharpening"] = sharpening_matrix(energies, broadening=0.8, order=case["sharpen"])
    made = EnergySurface(trained, aluminium, **options)
    temperature = case.get("temperature", 900.0)

    def energy(atoms):
        return made.at(snapshot_of(atoms, temperature=temperature)).energy.total

    point = made.at(snapshot_of(sheared, temperature=temperature))
    direction = rng.standard_normal((4, 3))
    path = moved(sheared, direction)
    expected = -np.sum(point.forces * direction)
    assert abs(expected) > 0.1
    # Short steps: second derivatives of the descriptors jump where an atom crosses the cutoff.
    assert slope(lambda h: energy(path(h)), 5e-5) == pytest.approx(expected, rel=1e-7)
    direction = rng.standard_normal((3, 3))
    path = strained(sheared, direction)
    expected = np.sum(point.stress * direction) * sheared.cell.volume
    assert abs(expected) > 0.1
    assert slope(lambda h: energy(path(h)), 2e-5) == pytest.approx(expected, rel=1e-7)


def test_a_kinked_network_has_forces_too(train, aluminium, sheared, rng):
    made = EnergySurface(train(activation="leaky_relu"), aluminium)
    point, direction = made.at(snapshot_of(sheared)), rng.standard_normal((4, 3))
    path = moved(sheared, direction)
    found = slope(lambda h: made.at(snapshot_of(path(h))).energy.total, 1e-6)
    assert found == pytest.approx(-np.sum(point.forces * direction), rel=1e-4)


# -------------------------------------------------------------------- symmetries


def test_atoms_may_be_shifted_by_grid_points_and_lattice_vectors(model, aluminium, sheared):
    made = EnergySurface(model, aluminium)
    one = made.at(snapshot_of(sheared))
    sheared.positions += np.array([1, -2, 3]) / GRID @ sheared.cell.array
    sheared.positions[1] += sheared.cell.array[2]
    other = made.at(snapshot_of(sheared))
    assert other.energy.total == pytest.approx(one.energy.total, rel=1e-12)
    np.testing.assert_allclose(other.forces, one.forces, atol=1e-9)


# -------------------------------------------------------------------- what the model brings


@pytest.mark.parametrize(
    "change", [{"grid_shape": (5, 6, 7)}, {"memory": "cache"}, {"dtype": "float32"}]
)
def test_parameters_of_the_transformer_that_do_not_belong_here(
    model, train, aluminium, atoms, change, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    expected = EnergySurface(model, aluminium).at(snapshot_of(atoms))
    changed = train()
    changed[0].set_params(**change)
    made = EnergySurface(changed, aluminium).at(snapshot_of(atoms))
    assert made.energy == expected.energy  # same grid, same precision
    np.testing.assert_array_equal(made.forces, expected.forces)
    assert list(tmp_path.iterdir()) == []  # and no file for each step
    name, value = next(iter(change.items()))
    assert changed[0].get_params()[name] == value


def test_steps_may_be_left_out_and_searches_looked_into(train, model, aluminium, atoms, training):
    passed = train(steps=[])
    named = Pipeline([("snap", passed[0]), ("none", "passthrough"), ("reg", passed[-1])])
    expected = EnergySurface(passed, aluminium).at(snapshot_of(atoms)).energy
    assert EnergySurface(named, aluminium).at(snapshot_of(atoms)).energy == expected
    search = GridSearchCV(model, {"ldosregressor__lr": [1e-2]}, cv=2, scoring=BandEnergyScorer())
    search.fit(training)
    found = EnergySurface(search, aluminium).at(snapshot_of(atoms)).energy.total
    assert found == pytest.approx(
        EnergySurface(model, aluminium).at(snapshot_of(atoms)).energy.total
    )


def test_the_model_is_left_alone(model, aluminium, atoms):
    network = model[-1].module_
    before = [(p.detach().clone(), p.grad.clone()) for p in network.parameters()]
    _ = EnergySurface(model, aluminium).at(snapshot_of(atoms)).forces
    for parameter, (old, gradient) in zip(network.parameters(), before, strict=True):
        assert parameter.dtype == old.dtype
        assert (parameter == old).all()
        assert (parameter.grad == gradient).all()


# -------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: m[-1], "pipeline from snapshots .* ends in an LDOSRegressor, got LDOSRegressor"),
        (
            lambda m: m[:-1],
            "pipeline from snapshots .* LDOSRegressor, .* got one that ends in RowWise",
        ),
        (lambda m: None, "got NoneType"),
        (lambda m: Pipeline([("reg", m[-1])]), "must begin with .*, got LDOSRegressor"),
        (lambda m: m[1:], "must begin with a transformer .* got RowWise"),
        (
            lambda m: Pipeline([("atoms", AtomSNAPTransformer()), ("reg", m[-1])]),
            "that has derivatives, GridSNAPTransformer, got AtomSNAPTransformer",
        ),
        (
            lambda m: Pipeline([("snap", m[0]), ("rows", StandardScaler()), ("reg", m[-1])]),
            r"model may only have steps RowWise\(\.\.\.\), got StandardScaler",
        ),
    ],
)
def test_what_is_no_such_pipeline_is_named(model, aluminium, make, message):
    with pytest.raises(TypeError, match=f"(?s){message}"):
        EnergySurface(make(model), aluminium)


def test_an_unfitted_model_is_named(model, aluminium):
    unfitted = make_pipeline(model[0], LDOSRegressor())
    with pytest.raises(ValueError, match="not fitted yet"):
        EnergySurface(unfitted, aluminium)


def test_a_pseudopotential_that_does_not_fit_is_named(model, atoms):
    wrong = {"Al": Pseudopotential("Al", 11, functional="pbe")}
    with pytest.raises(ValueError, match="those of the training data, in which Al4 has 12 valence"):
        EnergySurface(model, wrong)
    model = copy.deepcopy(model)
    model[-1].calculation_ = {}
    with pytest.raises(ValueError, match="sum of the valences of the pseudopotentials, 44, got 12"):
        EnergySurface(model, wrong).at(snapshot_of(atoms))
