"""Every entry of a card, its unit and how it is printed."""

import types
import zipfile
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

import skldos
from skldos.persistence import ModelCard, card, file
from skldos.persistence.header import add_header, read_header


def test_a_card_prints_every_entry_with_its_unit():
    shown = ModelCard(
        model=["First(1)", "Second(2)"],
        predicts="all",
        trained_on={"n_snapshots": 4, "n_atoms": [4, 32], "density": [2.5, 2.5], "charge": 0.0}
        | {"temperature": [298.0, 933.0], "valence_electrons": {"Al": 3.0, "Mg": 2.0}},
        energies={"n": 11, "from": -4.0, "to": 12.25, "broadening": 0.4, "kernel": "gaussian"},
        grid_spacing=[0.5, 0.25, 1 / 3],
        errors={"MAE (meV)": 1.23456789},
    )
    assert str(shown).splitlines() == [
        "model                 First(1)",
        "                      Second(2)",
        "predicts              all",
        "trained on",
        "  snapshots           4",
        "  atoms per snapshot  4 to 32",
        "  density             2.5 g/cm³",
        "  charge              0",
        "  temperature         298 to 933 K",
        "  valence electrons   Al 3, Mg 2",
        "energies",
        "  number              11",
        "  from                -4 eV",
        "  to                  12.25 eV",
        "  broadening          0.4 eV",
        "  kernel              gaussian",
        "grid spacing          0.5, 0.25, 0.333333 Å",
        "errors",
        "  MAE (meV)           1.23457",
    ]


def test_values_of_a_card_stand_in_one_column():
    shown = ModelCard(a="x", trained_on={"n_atoms": [4, 32], "density": [2.5, 2.6]}, b_c=[1, 2])
    assert str(shown).splitlines() == [
        "a                     x",
        "trained on",
        "  atoms per snapshot  4 to 32",
        "  density             2.5 to 2.6 g/cm³",
        "b c                   1, 2",
    ]
    assert str(ModelCard()) == ""
    assert "2.5 to 2.6 g/cm³" in shown._repr_html_()


def test_errors_that_a_model_knows_itself():
    left_out = {"energy": np.array([3.0, -4.0, np.nan]), "forces": [0.1], "virial": [2.0]}
    found = card._own_errors(types.SimpleNamespace(left_out_errors_=left_out))
    assert found == pytest.approx(
        {
            "left-out RMSE of energy (meV/atom)": np.sqrt(12.5),
            "left-out RMSE of forces (eV/Å)": 0.1,
            "left-out RMSE of virial (meV/atom)": 2.0,
        }
    )
    inner = types.SimpleNamespace(regressor_=types.SimpleNamespace(best_score_=-7.0))
    assert card._own_errors(inner) == {"left-out RMSE of the band energy (meV/atom)": 7.0}
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2).fit(np.eye(4), np.arange(4.0))
    assert card._own_errors(search) == {"cross-validated score": search.best_score_}


def test_errors_of_a_table_are_mean_absolute_ones():
    table = pd.DataFrame({"fermi_level_error": [1.0, -3.0], "forces_error": [0.1, 0.3], "x": "a"})
    assert card._as_errors(table) == pytest.approx(
        {
            "mean absolute fermi_level_error (meV)": 2.0,
            "mean absolute forces_error (eV/Å)": 0.2,
        }
    )
    noted = card.with_remarks({"errors": {"a": 1.0}}, {"b": np.float64(2.0)}, None)
    assert noted["errors"] == {"a": 1.0, "b": 2.0}
    assert type(noted["errors"]["b"]) is float
    assert len(noted["saved"]) == len("2026-01-01T00:00:00+00:00")


def test_what_a_model_predicts_and_where_it_came_from(model):
    found = skldos.model_card(model)
    assert found["predicts"] == "densities of states of atoms"
    assert found["energies"] == {"n": 11, "from": -4.0, "to": 12.0}
    assert "stress" not in found["trained_on"]
    assert found["units"]["stress"] == "eV/Å³"
    assert set(found["versions"]) <= {"skldos", "python", *card.PACKAGES}
    assert len(found["versions"]["python"].split(".")) == 3
    regressor = types.SimpleNamespace(energies_=[0.0, 0.5], broadening_=0.2, kernel_="gaussian")
    assert card._energies(regressor) == {
        **{"n": 2, "from": 0.0, "to": 0.5, "broadening": 0.2, "kernel": "gaussian"}
    }
    potential = types.SimpleNamespace(predict_atoms=print)
    assert card._predicts(potential) == "free energies and their derivatives"
    assert card._predicts(types.SimpleNamespace(energies_=None)) is None


def test_the_header_is_text_that_people_read(model, tmp_path):
    path = skldos.save(model, tmp_path / "a.skldos")
    with zipfile.ZipFile(path) as archive:
        text = archive.read("card.json").decode("utf-8")
    assert "eV/Å³" in text
    assert '\n "card": {\n  "model"' in text


@pytest.mark.parametrize(("version", "read"), [(1, True), (0, True), (2, False), ("1", False)])
def test_formats_that_are_read(version, read, tmp_path, monkeypatch):
    monkeypatch.setattr("skldos.persistence.header.FORMAT_VERSION", version)
    path = tmp_path / "a.skldos"
    empty = b"PK\x05\x06" + bytes(18)
    path.write_bytes(add_header(empty, {"a": 1}))
    monkeypatch.setattr("skldos.persistence.header.FORMAT_VERSION", 1)
    refused = pytest.raises(skldos.exceptions.FileFormatError, match="install a newer")
    with nullcontext() if read else refused:
        assert read_header(path) == {"a": 1}


@pytest.mark.parametrize(
    ("older", "newer"), [("0.1.0", "0.2"), ("1.9.9", "1.10"), ("1.0", "1.0.1"), ("0.1.dev", "0.2")]
)
def test_versions_are_compared_as_numbers(older, newer):
    assert file._numbers(older) < file._numbers(newer)
    assert file._numbers("1.2.3.4") == file._numbers("1.2.3.5") == (1, 2, 3)
    assert file._numbers("1.b") == (1, 0)


def test_caches_are_left_out_wherever_estimators_are():
    class Holder(Ridge):
        pass

    model, inner, deep = Holder(), Ridge(), Ridge()
    for estimator in (model, inner, deep):
        estimator.memory = "here"
    model.parts = [{"a": (inner, 3)}, model]
    inner.own = deep
    copied = file._without_caches(model)
    assert [e.memory for e in (model, inner, deep)] == ["here"] * 3
    assert [e.memory for e in file._estimators(copied, set())] == [None] * 3
