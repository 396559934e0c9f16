"""Importing skldos is cheap, and all public names exist."""

import inspect
import json
import subprocess
import sys

import pytest

import skldos

HEAVY = (
    *("torch", "sklearn", "skorch", "ase", "dscribe", "numba", "scipy", "pandas", "joblib"),
    *("optuna", "optuna_integration", "matplotlib", "skops", "tqdm"),
)


def loaded_by(code):
    """Return the packages that code has loaded in a fresh interpreter."""
    code += "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_import_loads_nothing_heavy():
    assert not loaded_by("import skldos") & set(HEAVY)


def test_a_model_loads_no_more_than_it_needs():
    loaded = loaded_by(
        "from skldos import BandEnergyScorer, GridSNAPTransformer, LDOSRegressor, RowWise\n"
        "from skldos import SnapshotList"
    )
    assert not loaded & {"dscribe", "optuna", "optuna_integration", "matplotlib", "skops", "sparse"}


def test_descriptors_do_without_torch():
    loaded = loaded_by("""
from ase.build import bulk
import skldos.data, skldos.descriptors, skldos.geometry
from skldos import AtomEnvTransformer, AtomSNAPTransformer, RowWise
for transformer in (AtomSNAPTransformer(twojmax=2), AtomEnvTransformer(2, 0)):
    transformer.fit_transform([bulk("Al")])
""")
    assert not loaded & {"torch", "skorch", "dscribe", "optuna", "matplotlib", "skops"}


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


def test_a_star_import_leaves_the_standard_library_alone(run_python):
    code = "import io; from skldos import *; print(io.StringIO.__name__, Snapshot.__name__)"
    assert run_python(code).split() == ["StringIO", "Snapshot"]


@pytest.mark.parametrize("module", skldos._SUBMODULES)
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
