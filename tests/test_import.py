"""Importing skldos is cheap, and everything that it promises is there."""

import inspect
import json

import pytest

import skldos

HEAVY = (
    *("torch", "sklearn", "skorch", "ase", "dscribe", "numba", "scipy", "pandas", "joblib"),
    *("optuna", "optuna_integration", "matplotlib", "skops", "tqdm"),
)


def test_import_loads_nothing_heavy(run_python):
    code = "import sys, json, skldos; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.split(".")[0] for name in json.loads(run_python(code))}
    assert not loaded & set(HEAVY)


def test_a_model_loads_no_more_than_it_needs(run_python):
    code = """
import sys, json
from skldos import BandEnergyScorer, GridSNAPTransformer, LDOSRegressor, RowWise, SnapshotList
print(json.dumps(sorted(sys.modules)))
"""
    loaded = {name.split(".")[0] for name in json.loads(run_python(code))}
    assert not loaded & {"dscribe", "optuna", "optuna_integration", "matplotlib", "skops", "sparse"}


@pytest.mark.parametrize("name", skldos.__all__)
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(skldos, name)
    assert inspect.getdoc(thing)
    assert name in dir(skldos)


@pytest.mark.parametrize(
    "name", [name for name in skldos.__all__ if inspect.isclass(getattr(skldos, name, None))]
)
def test_every_public_method_is_documented(name):
    cls = getattr(skldos, name)
    for method, function in vars(cls).items():
        if not method.startswith("_") and callable(function):
            assert inspect.getdoc(getattr(cls, method)), f"{name}.{method}"


@pytest.mark.parametrize(
    "module", [m for m in skldos.__all__ if inspect.ismodule(getattr(skldos, m))]
)
def test_every_name_of_a_submodule_is_there(module):
    submodule = getattr(skldos, module)
    for name in getattr(submodule, "__all__", ()):
        assert inspect.getdoc(getattr(submodule, name)), f"{module}.{name}"


@pytest.mark.parametrize("name", ["exceptions", "geometry", "networks", "regressors", "units"])
def test_submodules_come_with_the_package(run_python, name):
    assert run_python(f"import skldos; print(skldos.{name}.__name__)").strip() == f"skldos.{name}"


def test_unknown_names_are_named():
    with pytest.raises(AttributeError, match="module 'skldos' has no attribute 'nothing'"):
        skldos.nothing  # noqa: B018
