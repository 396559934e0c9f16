"""Band-energy errors, against hand computation; mistakes are shown, not scored."""

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

from skldos import BandEnergyScorer, SnapshotList, evaluate, predict_dos
from skldos.data import Blocks, as_rows
from skldos.exceptions import ScoringError
from skldos.physics import band_energy, fermi_level
from skldos.prediction import dos_of_block
from tests.scoring.predicts import MISTAKES, Predicts


def energies_of(dos, snapshot):
    state = {"temperature": snapshot.temperature}
    mu = fermi_level(dos, snapshot.energies, n_electrons=snapshot.n_electrons, **state)
    return mu, band_energy(dos, snapshot.energies, fermi_level=mu, **state)


def tilted(snapshot):
    """The true LDOS, tilted in energy."""
    return as_rows(snapshot.ldos) * np.linspace(0.9, 1.1, len(snapshot.energies))


def atomic(snapshot):
    """The tilted DOS, parted among the atoms."""
    dos = tilted(snapshot).sum(axis=0, dtype=float) * snapshot.voxel_volume
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    return shares[:, None] * dos


# -------------------------------------------------------------------- values


def test_an_oracle_makes_no_error(snapshots, oracle):
    assert BandEnergyScorer()(oracle().fit(snapshots), snapshots) == 0
    table = evaluate(oracle().fit(snapshots), snapshots)
    np.testing.assert_allclose(table["fermi_level_error"], 0, atol=1e-9)


@pytest.mark.parametrize("unit", ["meV/atom", "eV/atom", "eV"])
def test_errors_equal_a_hand_computation(snapshots, unit):
    expected = []
    for snapshot in snapshots:
        dos = tilted(snapshot).sum(axis=0, dtype=float) * snapshot.voxel_volume
        error = energies_of(dos, snapshot)[1] - energies_of(snapshot.dos(), snapshot)[1]
        expected.append(error * {"eV": 1, "eV/atom": 1 / 4, "meV/atom": 1000 / 4}[unit])
    assert np.min(np.abs(expected)) > 1e-3
    scorer = BandEnergyScorer(unit=unit)
    model = Predicts(tilted).fit(snapshots)
    np.testing.assert_allclose(scorer.errors(model, snapshots), expected, rtol=1e-6)
    assert scorer(model, snapshots) == pytest.approx(-np.mean(np.abs(expected)), rel=1e-6)


def test_the_table_has_a_row_per_snapshot(snapshots):
    table = evaluate(Predicts(tilted).fit(snapshots), snapshots)
    assert list(table["n_atoms"]) == [4] * 6
    assert list(table["temperature"]) == [298.0] * 6
    for (_, row), snapshot in zip(table.iterrows(), snapshots, strict=True):
        dos = tilted(snapshot).sum(axis=0, dtype=float) * snapshot.voxel_volume
        np.testing.assert_allclose(
            [row.fermi_level, row.band_energy], energies_of(dos, snapshot), rtol=1e-6
        )
        true = energies_of(snapshot.dos(), snapshot)
        np.testing.assert_allclose([row.fermi_level_true, row.band_energy_true], true, rtol=1e-6)
        assert row.fermi_level_error == pytest.approx(1e3 * (row.fermi_level - true[0]), rel=1e-3)
        assert row.band_energy_error == pytest.approx(250 * (row.band_energy - true[1]), rel=1e-3)


def test_the_reference_may_be_the_calculation(snapshots, oracle):
    shifted = SnapshotList(
        [
            s.replace(reference=s.reference | {"band_energy": s.reference["band_energy"] + 0.4})
            for s in snapshots
        ]
    )
    model = oracle().fit(shifted)
    errors = BandEnergyScorer(reference="dft").errors(model, shifted)
    np.testing.assert_allclose(errors, -100, atol=0.05)  # 0.4 eV on four atoms
    assert BandEnergyScorer(reference="ldos")(model, shifted) == 0
    table = evaluate(model, shifted, reference="dft")
    assert list(table["fermi_level_true"]) == [s.reference["fermi_energy"] for s in shifted]


@pytest.mark.parametrize("form", ["grid", "rows", "object array"])
def test_targets_may_be_given(snapshots, oracle, form):
    # Without the Fermi level of a calculation, since twice the states hold twice the electrons.
    snapshots = SnapshotList([s.replace(reference={}) for s in snapshots])
    y = [2 * s.ldos if form == "grid" else 2 * as_rows(s.ldos) for s in snapshots]
    if form == "object array":
        y = Blocks(y)
    bare = SnapshotList([s.replace(ldos=None) for s in snapshots])
    model = Predicts(
        lambda s: 2 * as_rows(snapshots[[s.atoms == t.atoms for t in snapshots].index(True)].ldos)
    )
    assert BandEnergyScorer()(model.fit(bare), bare, y) == pytest.approx(0, abs=1e-9)
    # They take the place of what the snapshots carry.
    assert BandEnergyScorer()(oracle().fit(snapshots), snapshots, y) < -1


def test_the_dos_of_atoms_is_accepted(snapshots):
    on_atoms, on_grid = Predicts(atomic).fit(snapshots), Predicts(tilted).fit(snapshots)
    np.testing.assert_allclose(
        BandEnergyScorer().errors(on_atoms, snapshots),
        BandEnergyScorer().errors(on_grid, snapshots),
        rtol=1e-6,
    )
    y = [atomic(s) for s in snapshots]
    assert BandEnergyScorer()(on_atoms, snapshots, y) == pytest.approx(0, abs=1e-9)


def test_dos_of_a_block(snapshots):
    s = snapshots[0]
    np.testing.assert_allclose(dos_of_block(s.ldos, s), s.dos(), rtol=1e-12)
    np.testing.assert_allclose(dos_of_block(atomic(s), s), atomic(s).sum(axis=0))


# -------------------------------------------------------------------- predict_dos


def test_streamed_dos_is_the_sum_of_the_predictions(ragged, pipeline):
    model = pipeline.fit(ragged[:4])
    for dos, block, snapshot in zip(
        predict_dos(model, ragged), model.predict(ragged), ragged, strict=True
    ):
        np.testing.assert_allclose(
            dos, block.sum(axis=0, dtype=float) * snapshot.voxel_volume, rtol=1e-5
        )


def test_searches_and_containers_are_looked_into(snapshots, pipeline):
    search = GridSearchCV(pipeline, {"ldosregressor__lr": [1e-2]}, cv=2, scoring=BandEnergyScorer())
    search.fit(snapshots)
    expected = predict_dos(search.best_estimator_, snapshots)
    np.testing.assert_allclose(predict_dos(search, snapshots), expected)
    pipeline.set_output(transform="pandas").fit(snapshots)
    np.testing.assert_allclose(predict_dos(pipeline, snapshots), expected, rtol=1e-4)
    assert BandEnergyScorer()(search, snapshots) < 0


def test_streaming_never_holds_the_descriptors(snapshots, pipeline, monkeypatch):
    model = pipeline.fit(snapshots)
    monkeypatch.setattr(type(model[0]), "transform", None)
    monkeypatch.setattr(type(model[-1]), "predict", None)
    assert len(predict_dos(model, snapshots)) == 6


def test_a_pipeline_may_skip_steps(snapshots, pipeline):
    model = pipeline.set_params(rowwise="passthrough").fit(snapshots)
    assert len(predict_dos(model, snapshots)) == 6


# -------------------------------------------------------------------- mistakes


def too_few_rows(snapshot):
    return np.ones((7, 11))


every_mistake = pytest.mark.parametrize(
    ("function", "message"),
    [*MISTAKES, (too_few_rows, "one row per grid point or per atom of .* got 7 rows")],
)


@every_mistake
def test_mistakes_in_predictions_are_shown(snapshots, function, message):
    with pytest.raises(ScoringError, match=message) as caught:
        cross_val_score(
            Predicts(function), snapshots, cv=2, scoring=BandEnergyScorer(), error_score="raise"
        )
    assert isinstance(caught.value, RuntimeError)
    assert not isinstance(caught.value, ValueError)


@every_mistake
def test_mistakes_are_never_silent(snapshots, function, message):
    with pytest.warns(UserWarning, match=f"(?s)Scoring failed.*{message}"):
        scores = cross_val_score(Predicts(function), snapshots, cv=2, scoring=BandEnergyScorer())
    assert np.isnan(scores).all()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"temperature": None}, {}, "lacks temperature"),
        ({"n_electrons": None}, {}, "lacks n_electrons"),
        ({"reference": {}}, {"reference": "dft"}, "has no reference 'fermi_energy'"),
        ({"n_electrons": 100.0}, {}, "cannot score: n_electrons=100 is not between"),
    ],
)
def test_what_snapshots_lack_is_named(snapshots, oracle, change, options, message):
    lacking = SnapshotList([snapshots[0].replace(**change)])
    with pytest.raises(ScoringError, match=message):
        BandEnergyScorer(**options)(oracle().fit(lacking), lacking)


def test_snapshots_without_a_target_are_named(snapshots):
    bare = SnapshotList([s.replace(ldos=None) for s in snapshots])
    with pytest.raises(ScoringError, match="lacks ldos"):
        BandEnergyScorer()(Predicts(lambda s: np.ones((64, 11))).fit(bare), bare)
    with pytest.raises(ScoringError, match="X has 6 snapshots, but y has 2 targets"):
        BandEnergyScorer()(Predicts().fit(bare), bare, [1, 2])
    with pytest.raises(ScoringError, match=r"one row per .* of Snapshot\(Al4.* got 3 rows"):
        BandEnergyScorer()(Predicts(atomic).fit(bare), bare, [np.ones((3, 11))] * 6)


def test_wrong_x_is_named(oracle):
    with pytest.raises(TypeError, match="a single Atoms"):
        BandEnergyScorer()(oracle(), bulk("Al"))


def test_a_model_that_forgets_a_snapshot_is_named(snapshots):
    class Forgets(Predicts):
        def predict(self, X):
            return super().predict(X)[:-1]

    with pytest.raises(ScoringError, match="one predicted block per snapshot, 6, got 5"):
        predict_dos(Forgets(tilted).fit(snapshots), snapshots)


@pytest.mark.parametrize("factor", [0.01, 0.0, -1.0])
def test_a_dos_that_cannot_hold_the_electrons_is_a_large_error(snapshots, oracle, factor):
    with pytest.warns(UserWarning, match="end of the energy grid is used"):
        score = BandEnergyScorer()(oracle(factor).fit(snapshots), snapshots)
    assert np.isfinite(score)
    assert score < -1000


def test_too_few_electrons_fill_the_whole_grid(snapshots, oracle):
    with pytest.warns(UserWarning, match="end of the energy grid is used"):
        table = evaluate(oracle(0.01).fit(snapshots), snapshots)
    assert (table["fermi_level"] == snapshots[0].energies[-1]).all()


# -------------------------------------------------------------------- as a scorer


def test_several_scorers_at_once(snapshots, oracle):
    scoring = {
        "mev": BandEnergyScorer(),
        "ev": BandEnergyScorer(unit="eV"),
        "dft": BandEnergyScorer(reference="dft"),
    }
    scores = cross_validate(oracle(1.01), snapshots, cv=3, scoring=scoring, return_train_score=True)
    np.testing.assert_allclose(scores["test_mev"], 250 * scores["test_ev"])
    assert {"test_dft", "train_mev"} <= scores.keys()
    assert (scores["test_mev"] < -1).all()


def test_energies_of_the_model_and_of_the_snapshots_must_agree(snapshots, pipeline):
    model = pipeline.fit(snapshots[:4])
    moved = snapshots[4].replace(energies=snapshots[4].energies + 5.0)
    with pytest.raises(ScoringError, match="the model predicts the LDOS at EnergyGrid"):
        evaluate(model, [moved])


def test_targets_are_taken_by_position(snapshots, pipeline):
    model = pipeline.fit(snapshots)
    targets = pd.Series(snapshots.targets)[::-1]
    expected = evaluate(model, snapshots, list(targets))
    assert evaluate(model, snapshots, targets).equals(expected)
