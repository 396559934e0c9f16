"""The card of a model describes its training data and the origin of its errors."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

import skldos


def test_what_it_was_trained_on(model, training):
    card = skldos.model_card(model)
    trained = card["trained_on"]
    assert trained["n_snapshots"] == 4
    assert trained["elements"] == ["Al"]
    assert trained["temperature"] == [298.0, 933.0]
    assert trained["density"] == pytest.approx([2.698, 2.698], abs=1e-3)
    assert trained["valence_electrons"] == {"Al": 3.0}
    assert card["energies"]["n"] == 11
    assert [card["energies"][end] for end in ("from", "to")] == training[0].energies[
        [0, -1]
    ].tolist()
    assert len(card["model"]) == 3
    assert card["versions"]["skldos"] == skldos.__version__


def test_a_grid_says_how_fine_it_is(training):
    model = skldos.models.grid(twojmax=2, hidden_layer_sizes=(4,), max_epochs=1).fit(training)
    card = skldos.model_card(model)
    spacing = training[0].atoms.cell.lengths() / 4
    np.testing.assert_allclose(card["grid_spacing"], spacing)
    assert "grid" in card["predicts"]


def test_errors_and_notes_come_back(model, training, tmp_path):
    table = skldos.evaluate(model, training)
    path = skldos.save(model, tmp_path / "a.skldos", errors=table, notes="see paper")
    loaded = skldos.load(path)
    for card in (skldos.model_card(path), skldos.model_card(loaded)):
        assert card["notes"] == "see paper"
        expected = table["band_energy_error"].abs().mean()
        assert card["errors"]["mean absolute band_energy_error (meV/atom)"] == pytest.approx(
            expected
        )
        assert card["saved"].startswith("20")
    # What was noted of one model is not true of another.
    again = loaded.fit(training[:2])
    assert "notes" not in skldos.model_card(again)
    assert "notes" not in skldos.model_card(clone(loaded).fit(training))
    skldos.save(model, tmp_path / "b.skldos", errors={"MAE (meV/atom)": 1.5})
    assert skldos.model_card(tmp_path / "b.skldos")["errors"] == {
        "MAE (meV/atom)": 1.5,
        "left-out RMSE of the band energy (meV/atom)": -model[-1].regressor_.best_score_,
    }


def test_what_is_no_model_or_no_error_is_refused(model, tmp_path):
    with pytest.raises(TypeError, match="model must be a fitted estimator, got a str"):
        skldos.save("model.skldos", tmp_path / "a.skldos")
    with pytest.raises(NotFittedError):
        skldos.model_card(skldos.models.atoms())
    with pytest.raises(TypeError, match="errors must be a table"):
        skldos.save(model, tmp_path / "a.skldos", errors=3.0)
    with pytest.raises(TypeError, match="notes must be a string"):
        skldos.save(model, tmp_path / "a.skldos", notes=3.0)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_snapshots_has_a_short_card():
    card = skldos.model_card(StandardScaler().fit(np.eye(3)))
    assert "trained_on" not in card
    assert card["model"] == ["StandardScaler()"]
