"""Model files: the same predictions, no code executed, no partial files."""

import io
import json
import pickle
import zipfile

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skldos
from skldos import (
    ADOSRegressor,
    AtomEnvTransformer,
    AtomSNAPTransformer,
    BlockUnion,
    CSNNRegressor,
    DeepEnsemble,
    GridSNAPTransformer,
    LDOSRegressor,
    MCDropout,
    RidgePosterior,
    RowWise,
    SiteRegressor,
    SiteRidgeCV,
)
from skldos.exceptions import FileFormatError
from skldos.persistence.types import PLAIN_TYPES, is_trusted

SNAP = {"twojmax": 2, "n_jobs": 1}
NET = {"module__hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}


def of_atoms(regressor, *steps):
    first = steps or (AtomSNAPTransformer(**SNAP), RowWise(StandardScaler()))
    return make_pipeline(*first, ADOSRegressor(regressor))


MODELS = {
    "grid": lambda: skldos.models.grid(
        twojmax=2, hidden_layer_sizes=(4,), max_epochs=1, random_state=0
    ),
    "atoms": lambda: skldos.models.atoms(n_max=2, l_max=1, uncertainty=True, random_state=0),
    "net of rows": lambda: make_pipeline(GridSNAPTransformer(**SNAP), LDOSRegressor(**NET)),
    "ridge search": lambda: of_atoms(SiteRidgeCV(alphas=(1e-3, 1e-2))),
    "dropout": lambda: of_atoms(
        MCDropout(LDOSRegressor(module__dropout=0.1, **NET), 3, random_state=0)
    ),
    "ensemble": lambda: of_atoms(DeepEnsemble(LDOSRegressor(**NET), 2)),
    "spheres": lambda: of_atoms(
        CSNNRegressor(module__factor=1, max_epochs=1, batch_size=4, random_state=0),
        AtomEnvTransformer(n_spheres=2, subdivisions=0),
    ),
    "union": lambda: of_atoms(
        RidgePosterior(SiteRegressor(Ridge(1e-3)), random_state=0),
        BlockUnion(
            [("near", AtomSNAPTransformer(3.0, **SNAP)), ("far", AtomSNAPTransformer(**SNAP))]
        ),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_predicts_the_same(name, snapshots, tmp_path):
    model = MODELS[name]().fit(snapshots[:3])
    path = skldos.save(model, tmp_path / "model.skldos")
    loaded = skldos.load(path)
    expected = model.predict(snapshots[3:])
    for found, block in zip(loaded.predict(snapshots[3:]), expected, strict=True):
        np.testing.assert_array_equal(found, block, strict=True)
    if name in ("atoms", "union"):  # the nets have hardly been trained
        table = skldos.predict(loaded, snapshots[3:])
        assert table.equals(skldos.predict(model, snapshots[3:]))
        assert (table["band_energy_std"] > 0).all()
    assert skldos.model_card(loaded)["trained_on"] == skldos.model_card(model)["trained_on"]


def test_a_potential_is_kept(tmp_path, aluminium):
    model = make_pipeline(AtomSNAPTransformer(**SNAP), skldos.FreeEnergyRegressor())
    model.fit(aluminium[:3])
    loaded = skldos.load(skldos.save(model, tmp_path / "model.skldos"))
    table = skldos.predict(loaded, aluminium[3:])
    assert table.equals(skldos.predict(model, aluminium[3:]))
    assert np.isfinite(table["total_energy_std"]).all()
    card = skldos.model_card(tmp_path / "model.skldos")
    assert card["errors"]["left-out RMSE of energy (meV/atom)"] > 0


@pytest.fixture(scope="module")
def aluminium():
    return skldos.datasets.load_aluminium(temperature=298)


def test_a_loaded_model_is_saved_without_its_card(model, tmp_path):
    path = skldos.save(model, tmp_path / "model.skldos", notes="first")
    loaded = skldos.load(path)
    again = skldos.save(loaded, tmp_path / "again.skldos", notes="second")
    with zipfile.ZipFile(again) as archive:
        assert "first" not in archive.read("schema.json").decode()
    assert skldos.model_card(again)["notes"] == "second"
    assert skldos.model_card(loaded)["notes"] == "first"


def test_a_file_is_not_replaced_unless_asked(model, tmp_path):
    path = tmp_path / "model.skldos"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        skldos.save(model, path)
    assert path.read_text() == "mine"
    skldos.save(model, path, overwrite=True)
    assert skldos.load(path) is not None
    assert [file.name for file in tmp_path.iterdir()] == ["model.skldos"]


def test_what_cannot_be_kept_leaves_no_file(model, tmp_path):
    with pytest.raises(NotFittedError):
        skldos.save(skldos.models.atoms(), tmp_path / "model.skldos")
    open_file = skldos.models.atoms(n_max=2, l_max=1)
    vars(open_file)["steps"] = model.steps
    vars(open_file)["generator"] = (i for i in range(3))
    with pytest.raises(TypeError):
        skldos.save(open_file, tmp_path / "model.skldos")
    assert list(tmp_path.iterdir()) == []


def test_of_a_search_the_best_model_and_its_score_are_kept(snapshots, tmp_path):
    search = GridSearchCV(
        skldos.models.atoms(n_max=2, l_max=1),
        {"adosregressor__regressor__dos_weights": [(1.0,), (10.0,)]},
        scoring=skldos.BandEnergyScorer(),
        cv=2,
    ).fit(snapshots[:4])
    path = skldos.save(search, tmp_path / "model.skldos")
    loaded = skldos.load(path)
    assert loaded.get_params()["adosregressor__regressor__dos_weights"] in ((1.0,), (10.0,))
    errors = skldos.model_card(path)["errors"]
    assert errors["cross-validated BandEnergyScorer"] == search.best_score_


def test_cache_folders_stay_behind(snapshots, tmp_path):
    model = of_atoms(
        SiteRegressor(Ridge()), AtomSNAPTransformer(memory=str(tmp_path / "cache"), **SNAP)
    )
    model[-1].decomposer.memory = str(tmp_path / "cache")
    model.fit(snapshots[:2])
    path = skldos.save(model, tmp_path / "model.skldos")
    loaded = skldos.load(path)
    assert loaded[0].memory is None
    assert loaded[-1].decomposer.memory is None
    assert loaded[-1].decomposer_.memory is None
    assert model[0].memory is not None
    with zipfile.ZipFile(path) as archive:
        assert "cache" not in archive.read("schema.json").decode()
    loaded.predict(snapshots[2:3])


def rewritten(path, **files):
    """Replace members of a file of a model."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | files).items():
            archive.writestr(name, data)
    return path


def header(path, **changes):
    with zipfile.ZipFile(path) as archive:
        found = json.loads(archive.read("card.json"))
    card = found["card"] | changes.pop("card", {})
    return rewritten(path, **{"card.json": json.dumps(found | {"card": card} | changes)})


def test_files_of_newer_versions_say_so(model, tmp_path):
    path = skldos.save(model, tmp_path / "model.skldos")
    header(path, card={"versions": {"skldos": "99.1"}})
    with pytest.warns(UserWarning, match=r"saved by skldos 99.1, which is newer than this one"):
        skldos.load(path)
    header(path, format=2)
    with pytest.raises(FileFormatError, match=r"skldos 99.1 in version 2 .* install a newer"):
        skldos.load(path)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_pickles_are_not_read(tmp_path, capsys):
    for name, dump in (("a.pkl", pickle.dump), ("a.joblib", joblib.dump)):
        with open(tmp_path / name, "wb") as file:
            dump(Evil(), file)
        with pytest.raises(FileFormatError, match=rf"not a file of skldos.save.*{name}"):
            skldos.load(tmp_path / name)
    assert capsys.readouterr().out == ""


DANGEROUS = (
    *("os.system", "builtins.eval", "builtins.exec", "subprocess.Popen", "functools.partial"),
    *("skldos.datasets.recipe.run.Popen", "skldos.datasets.EspressoRecipe", "skldos.io.read_mala"),
    *("skldos.data.array_file.ArrayFile", "skldos.data.files.os.system", "torch.load"),
    *("skldos.cli.main", "torch.hub.load", "skldos.data.blocks.Blocks", "skldos.persistence.load"),
    *("torch.nn.modules.container.Any", "skldos.nothing.Here", "skldos.", ".", "torch.optim.adam"),
    *("skldos.regressors.LDOSRegressor", "skldos.regressors.neural.ldos.LDOSRegressor.fit"),
    # Modules of torch, but not of torch.nn.modules: these run code that they bring along.
    *("torch.fx.graph_module.GraphModule", "torch.nn.parallel.distributed.DistributedDataParallel"),
    *("torch.jit._script.RecursiveScriptModule", "torch.nn.modulesX.Linear"),
)


@pytest.mark.parametrize("name", DANGEROUS)
def test_types_that_are_not_trusted(name):
    assert not is_trusted(name)


@pytest.mark.parametrize(
    "name",
    [
        *("torch.nn.modules.linear.Linear", "torch.nn.modules.module.Module"),
        *("torch.optim.adam.Adam", "torch.optim.lr_scheduler.StepLR", *PLAIN_TYPES),
    ],
)
def test_plain_types_and_parts_of_networks_are_trusted(name):
    assert is_trusted(name)


def test_a_file_that_names_other_types_is_refused(model, tmp_path, capsys):
    path = skldos.save(model, tmp_path / "model.skldos")
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    schema["content"]["content"]["evil"] = {
        "__class__": "print", "__module__": "builtins", "__loader__": "FunctionNode", "__id__": 1,
    }  # fmt: skip
    rewritten(path, **{"schema.json": json.dumps(schema)})
    with pytest.raises(FileFormatError, match=r"neither of skldos .*\['builtins.print'\]"):
        skldos.load(path)
    assert capsys.readouterr().out == ""


class Half(BaseEstimator):
    """A row-wise transformer of a user."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X / 2


def test_types_of_the_user_are_trusted_when_named(snapshots, tmp_path):
    model = of_atoms(SiteRegressor(Ridge()), AtomSNAPTransformer(**SNAP), RowWise(Half()))
    model.fit(snapshots[:2])
    name = f"{Half.__module__}.Half"
    with pytest.warns(UserWarning, match=rf"pass trusted=\['{name}'\]"):
        path = skldos.save(model, tmp_path / "model.skldos")
    with pytest.raises(FileFormatError, match=name):
        skldos.load(path)
    loaded = skldos.load(path, trusted=[name])
    assert skldos.predict(loaded, snapshots[2:]).equals(skldos.predict(model, snapshots[2:]))


def test_damage_is_an_error_that_names_the_file(model, tmp_path):
    whole = skldos.save(model, tmp_path / "whole.skldos").read_bytes()
    path = tmp_path / "model.skldos"
    rng = np.random.default_rng(0)
    for content in (b"", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"model\.skldos"):
            skldos.load(path)
    expected = skldos.load(tmp_path / "whole.skldos")[-1].regressor_.regressor_.regressor_.coef_
    for position in rng.integers(0, len(whole), 20):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            found = skldos.load(path)[-1].regressor_.regressor_.regressor_.coef_
        except FileFormatError:
            continue
        np.testing.assert_array_equal(found, expected)  # in what nobody reads
    with pytest.raises(FileNotFoundError):
        skldos.load(tmp_path / "absent.skldos")


def test_a_file_without_a_schema_is_named(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("card.json", json.dumps({"format": 1, "card": {}}))
        archive.writestr("schema.json", "[]")
    (tmp_path / "model.skldos").write_bytes(buffer.getvalue())
    with pytest.raises(FileFormatError, match="damaged"):
        skldos.load(tmp_path / "model.skldos")
