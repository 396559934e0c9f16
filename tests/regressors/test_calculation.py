"""Properties of the training calculations that a fitted model stores."""

import pickle

import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    GridSNAPTransformer,
    LDOSRegressor,
    SiteRegressor,
    SnapshotList,
)
from skldos.data import Blocks

MODELS = {
    "network": lambda: make_pipeline(GridSNAPTransformer(twojmax=2), LDOSRegressor(max_epochs=1)),
    "sites": lambda: make_pipeline(GridSNAPTransformer(twojmax=2), SiteRegressor(Ridge())),
    "atoms": lambda: make_pipeline(
        AtomSNAPTransformer(twojmax=2), ADOSRegressor(SiteRegressor(Ridge()))
    ),
}
every_model = pytest.mark.parametrize("model", MODELS)


def say(snapshots, **facts):
    return SnapshotList([s.replace(reference=s.reference | facts) for s in snapshots])


@every_model
def test_what_the_snapshots_say_is_remembered(snapshots, model):
    said = {"functional": "pbe", "charge": 1.0}
    known = [snapshots[0].replace(n_electrons=11.0, reference=said)]
    fitted = MODELS[model]().fit(SnapshotList([*snapshots[1:3], *known]))
    facts = fitted[-1].calculation_
    assert (facts["functional"], facts["charge"]) == ("pbe", 1.0)
    # Of the neutral cell, and of the charged one without its charge.
    assert facts["valence_electrons"] == {"Al4": 12.0}
    assert pickle.loads(pickle.dumps(fitted))[-1].calculation_ == facts
    silent = SnapshotList([s.replace(n_electrons=None) for s in snapshots[:2]])
    assert MODELS[model]().fit(silent)[-1].calculation_.keys() == {"training"}


@every_model
def test_the_range_of_the_training_data_is_remembered(snapshots, model):
    hot = snapshots[1].replace(temperature=933.0)
    training = MODELS[model]().fit(SnapshotList([snapshots[0], hot]))[-1].calculation_["training"]
    assert training["n_snapshots"] == 2
    assert training["elements"] == ["Al"]
    assert training["temperature"] == [298.0, 933.0]


@every_model
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("functional", ("pbe", "lda-pz")),
        ("charge", (0.0, -1.0)),
        ("pseudopotentials", ({"Al": "a.upf"}, {"Al": "b.upf"})),
    ],
)
def test_calculations_that_differ_are_refused(snapshots, model, name, values):
    mixed = [s for i in (0, 1) for s in say(snapshots[i : i + 1], **{name: values[i]})]
    with pytest.raises(ValueError, match=f"calculated with the same {name}: .* differ"):
        MODELS[model]().fit(SnapshotList(mixed))


def test_a_charge_may_carry_the_rounding_of_a_file(snapshots):
    charges = [s for i in (0, 1) for s in say(snapshots[i : i + 1], charge=0.1 + 1e-9 * i)]
    fitted = MODELS["network"]().fit(SnapshotList(charges))
    assert fitted[-1].calculation_["charge"] == 0.1


def test_training_that_goes_on_and_scores_refuse_others(snapshots):
    transformer, regressor = MODELS["network"]().fit(say(snapshots[:2], functional="pbe"))
    known = dict(regressor.calculation_)
    other = transformer.transform(say(snapshots[2:3], functional="pbesol"))
    for attempt in (regressor.partial_fit, regressor.score):
        with pytest.raises(ValueError, match="functional: 'pbe' and 'pbesol' differ"):
            attempt(other)
    same = transformer.transform(say(snapshots[2:3], functional="pbe", charge=0.0))
    regressor.score(same)
    assert regressor.calculation_ == known
    regressor.partial_fit(same)
    training = known["training"] | {"n_snapshots": 3}
    assert regressor.calculation_ == known | {"charge": 0.0, "training": training}
    plain = Blocks([block[:] for block in same])
    regressor.fit(plain, snapshots[2:3].targets)
    assert regressor.calculation_ == {}
