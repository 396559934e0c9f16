"""What bare atoms take over from the model that predicts them."""

import warnings

import numpy as np
import pytest
from ase.build import bulk
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    BlockUnion,
    GridSNAPTransformer,
    SiteRegressor,
    SnapshotList,
)
from skldos.exceptions import SnapshotError
from skldos.prediction.unlabelled import check_domain, filled, predicts_on_grid, temperatures


def grids(**options):
    return GridSNAPTransformer(twojmax=2, n_jobs=1, **options)


@pytest.fixture
def model(snapshots):
    return make_pipeline(grids(), SiteRegressor(Ridge())).fit(snapshots[:3])


@pytest.fixture
def of_atoms(snapshots):
    regressor = ADOSRegressor(SiteRegressor(Ridge()))
    return make_pipeline(AtomSNAPTransformer(twojmax=2, n_jobs=1), regressor).fit(snapshots[:3])


@pytest.fixture
def bare(snapshots):
    """A cell of eight atoms, twice as long as those of the training."""
    return SnapshotList([snapshots[0].atoms.repeat((2, 1, 1))])


def calculation(model, **changes):
    """Change what a model knows of the calculations behind it."""
    regressor = model[-1]
    known = regressor.calculation_
    training = known["training"] | changes.pop("training", {})
    regressor.calculation_ = known | changes | {"training": training}
    return model


def test_what_is_missing_is_taken_from_the_training(model, snapshots, bare):
    (found,) = filled(model, bare)
    np.testing.assert_array_equal(found.energies, snapshots[0].energies)
    assert found.temperature == 298
    assert found.n_electrons == 24
    assert found.grid_shape == (8, 4, 4)
    assert "assume_isolated" not in found.reference
    # What is there stays.
    own = snapshots[0].replace(temperature=500.0, n_electrons=11.5)
    (kept,) = filled(model, [own])
    assert (kept.temperature, kept.n_electrons, kept.grid_shape) == (500, 11.5, (4, 4, 4))
    assert kept.energies is own.energies or np.array_equal(kept.energies, own.energies)
    (given,) = filled(model, [own], temperature=700.0)
    assert given.temperature == 700


def test_grids_are_as_fine_and_have_a_point_at_least(model, snapshots):
    atoms = bulk("Al", cubic=True)
    spacing = snapshots[0].atoms.cell.lengths()[0] / 4
    for length, n in ((0.1, 1), (1.4, 1), (1.6, 2), (2.6, 3)):
        atoms.set_cell([length * spacing, 4 * spacing, 5.4 * spacing])
        assert filled(model, SnapshotList([atoms]))[0].grid_shape == (n, 4, 5)


def test_the_finest_of_several_spacings_counts(snapshots, bare):
    union = BlockUnion([("a", grids()), ("b", grids(r_cut=4.0))])
    model = make_pipeline(union, SiteRegressor(Ridge())).fit(snapshots[:3])
    first, second = (t for _, t in model[0].transformer_list)
    assert filled(model, bare)[0].grid_shape == (8, 4, 4)
    second.grid_spacing_ = second.grid_spacing_ / [1, 2, 4]
    assert filled(model, bare)[0].grid_shape == (8, 8, 16)
    first.grid_spacing_ = first.grid_spacing_ / [2, 1, 1]
    assert filled(model, bare)[0].grid_shape == (16, 8, 16)
    # One whose grid is set has no say.
    second.grid_shape = (3, 3, 3)
    assert filled(model, bare)[0].grid_shape == (16, 4, 4)
    assert predicts_on_grid(model)


def test_models_of_atoms_need_no_grid(of_atoms, bare):
    assert filled(of_atoms, bare)[0].grid_shape is None
    assert not predicts_on_grid(of_atoms)


def test_temperatures_of_the_training_count_if_there_is_one(model, bare):
    calculation(model, training={"temperature": [298.0, 900.0]})
    assert filled(model, bare)[0].temperature is None
    assert filled(model, bare, temperature=[400.0])[0].temperature == 400
    own = SnapshotList([bare[0].replace(temperature=500.0)])
    assert filled(model, own)[0].temperature == 500


def test_slabs_stay_slabs(model, bare):
    assert "assume_isolated" not in filled(model, bare)[0].reference
    calculation(model, assume_isolated="2D")
    assert filled(model, bare)[0].reference == {"assume_isolated": "2D"}
    own = [bare[0].replace(reference={"assume_isolated": "none"})]
    assert filled(model, own)[0].reference == {"assume_isolated": "none"}
    other = [bare[0].replace(reference={"note": 1})]
    assert filled(model, other)[0].reference == {"note": 1, "assume_isolated": "2D"}


def test_electrons_of_cells(model, bare):
    assert filled(model, bare, valence={"Al": 3.0})[0].n_electrons == 24
    assert filled(model, bare, valence={"Al": 3.0 + 0.9e-3 / 8})[0].n_electrons is not None
    for valence in (11.0, 3.0 - 1.1e-3 / 8, 3.0 + 1.1e-3 / 8):
        with pytest.raises(ValueError, match=r"must be those of the training data, .* 24 val"):
            filled(model, bare, valence={"Al": valence})
    # Without the element, the training is asked.
    assert filled(model, bare, valence={"Mg": 2.0})[0].n_electrons == 24
    calculation(model, charge=1.0)
    assert filled(model, bare, valence={"Al": 3.0})[0].n_electrons is None
    calculation(model, charge=0.0)
    assert filled(model, bare)[0].n_electrons == 24


def test_electrons_that_the_training_does_not_know(model, bare):
    del model[-1].calculation_["valence_electrons"]
    assert filled(model, bare)[0].n_electrons is None
    assert filled(model, bare, valence={"Al": 11.0})[0].n_electrons == 88


def test_one_temperature_for_all_or_one_for_each():
    assert temperatures(300, 3) == [300.0] * 3
    assert temperatures([0, 300.0], 2) == [0.0, 300.0]
    assert temperatures(0, 1) == [0.0]
    for wrong in (-1, [1, -1]):
        with pytest.raises(ValueError, match="temperature must be >= 0, got -1"):
            temperatures(wrong, 2)
    with pytest.raises(ValueError, match="one for each of 2 snapshots; got 3"):
        temperatures([1, 2, 3], 2)


def test_the_domain_of_a_model(model, bare):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_domain(model, filled(model, bare))
    with pytest.raises(SnapshotError, match="trained on Al, got Cu"):
        check_domain(model, SnapshotList([bulk("Al", cubic=True), bulk("Cu", cubic=True)]))
    hot = SnapshotList([bare[0].replace(temperature=900.0)])
    with pytest.warns(UserWarning, match="temperature 900 K"):
        check_domain(model, hot)
    del model[-1].calculation_["training"]
    check_domain(model, hot)
