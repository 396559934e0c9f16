"""One name means one thing, with one default, in every public signature."""

import ast
import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import skldos

#: What is the same wherever it occurs: default, and whether it must be named. Those that come
#: together in a signature stand in this order.
SHARED = {
    "r_cut": (4.67637, False),
    "temperature": (None, False),
    "n_electrons": (None, True),
    "pseudopotentials": (None, False),
    "functional": (None, True),
    "density_cutoff": (None, True),
    "reference": ("ldos", True),
    "unit": ("meV/atom", True),
    "sharpen": (0, True),
    "dos_weight": (None, True),
    "dtype": ("float64", True),
    "device": ("cpu", True),
    "n_jobs": (None, True),
    "memory": (None, True),
    "verbose": (False, True),  # 0 where skorch and scikit-learn count
    "random_state": (None, True),
}
#: Other defaults, and why.
OTHER = {
    "r_cut": {
        "AtomEnvTransformer": 7.0,  # of the paper
        "AtomSOAPTransformer": 5.0,  # where errors level off
    },
    "temperature": {"make_snapshots": 298.0},  # which are made up
    "reference": {"Snapshot": None},  # what the calculation said: a mapping
    "unit": {
        "EnvironmentDisplay": None,  # of what is drawn on spheres
        "ForceScorer": "eV/Å",
        "StressScorer": "eV/Å³",
    },
    # Energies of calculators are those of the calculation.
    "sharpen": dict.fromkeys(("LDOSCalculator", "FreeEnergyCalculator", "FreeEnergySurface"), None),
    "dos_weight": {"LDOSRegressor": "auto"},  # on grids it is worth its time
    "dtype": {
        **dict.fromkeys(("AtomEnvTransformer", "Environments"), "float32"),  # as networks are
        "LazyArray.map": None,  # that of the rows
    },
    "verbose": {"EspressoRecipe.run": True},  # hours of pw.x
}
#: Where they need not be named: in signatures of skorch, in rooms for plug-ins, and where there is
#: nothing else to choose.
UNNAMED = {
    *("BlockRegressor.forward", "BlockRegressor.forward_iter", "LazyArray.map", "Environments"),
    *("ForceScorer", "StressScorer"),
}


def public():
    """Return all public functions, classes and methods by name."""
    found = {}
    for module in pkgutil.walk_packages(skldos.__path__, "skldos."):
        if any(part.startswith("_") for part in module.name.split(".")):
            continue
        namespace = importlib.import_module(module.name)
        for name in getattr(namespace, "__all__", ()):
            thing = getattr(namespace, name)
            if inspect.isclass(thing):
                methods = {f"{name}.{m}": f for m, f in vars(thing).items() if m[0] != "_"}
                found |= {m: f for m, f in methods.items() if inspect.isfunction(f)}
            if callable(thing) and not (inspect.isclass(thing) and issubclass(thing, dict)):
                found[name] = thing
    return found


THINGS = public()
PUBLIC = {name: inspect.signature(thing).parameters for name, thing in THINGS.items()}


def test_all_there_is_was_looked_at():
    assert {"LDOSRegressor", "evaluate", "EspressoRecipe.run", "total_energy"} <= set(PUBLIC)
    for parameter, names in OTHER.items():
        for name, default in names.items():
            assert (
                PUBLIC[name][parameter].default == default or "SOAP" in name
            )  # or it is no exception any more


@pytest.mark.parametrize("parameter", SHARED)
def test_a_parameter_is_the_same_wherever_it_occurs(parameter):
    default, named = SHARED[parameter]
    with_it = {name: p[parameter] for name, p in PUBLIC.items() if parameter in p}
    assert len(with_it) > 1
    for name, found in with_it.items():
        if found.default is inspect.Parameter.empty:
            continue  # an argument, without which there is nothing to do
        assert found.default == OTHER.get(parameter, {}).get(name, default), name
        assert not named or name in UNNAMED or found.kind is inspect.Parameter.KEYWORD_ONLY, name


def test_parameters_stand_in_one_order():
    names = list(SHARED)
    for name, parameters in PUBLIC.items():
        places = [
            names.index(p)
            for p, found in parameters.items()
            if p in SHARED and found.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        assert places == sorted(places), (name, list(parameters))


@pytest.mark.parametrize("old", ["xc", "rcut", "cutoff", "n_members", "ecut", "seed", "T"])
def test_other_words_for_the_same_are_not_used(old):
    # An energy is not a functional.
    assert [name for name, p in PUBLIC.items() if old in p and name != "TotalEnergy"] == []


def documented_defaults(thing):
    """Return the text behind ``default=`` of every parameter that has one in the docstring."""
    entry = re.compile(r"^ *(\w[\w, ]*) : .*?, default=(.+)$", re.MULTILINE)
    found = entry.findall(inspect.getdoc(thing) or "")
    return {name: text for names, text in found for name in names.split(", ")}


@pytest.mark.parametrize("name", PUBLIC)
def test_defaults_are_those_that_are_documented(name):
    for parameter, text in documented_defaults(THINGS[name]).items():
        if parameter not in PUBLIC[name]:
            continue  # one of **settings
        default = PUBLIC[name][parameter].default
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            continue  # a name or a formula
        assert value == default or np.allclose(value, default, rtol=1e-6, atol=0), parameter


# -------------------------------------------------------------------- calls that must say more


@cache
def calls():
    """Return the module, the function, arguments and keywords of all calls in the package."""
    root, found = Path(skldos.__file__).parent, []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in ("load", "open"):  # of which module matters
                    name = ast.unparse(node.func)
                keywords = {k.arg: getattr(k.value, "value", k.value) for k in node.keywords}
                found.append((path.relative_to(root), name, node.args, keywords))
    return found


def test_text_has_one_encoding_on_all_systems():
    n = 0
    for path, name, arguments, keywords in calls():
        mode = getattr(arguments[1], "value", "") if name == "open" and arguments[1:] else "rb"
        if name in ("read_text", "write_text") or "b" not in mode:
            assert "encoding" in keywords, path
            n += 1
    assert n > 5


@pytest.mark.parametrize(
    ("function", "keyword", "value"),
    [("np.load", "allow_pickle", False), ("torch.load", "weights_only", True)],
)
def test_arrays_are_read_without_code(function, keyword, value):
    reads = [keywords for _, name, _, keywords in calls() if name == function]
    assert len(reads) >= 3
    assert all(keywords[keyword] is value for keywords in reads)
