"""The API page lists every public object, once, and nothing else."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import skldos

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
LISTED = re.findall(r"^   ([A-Za-z_][\w.]*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def found(name):
    """Return the object that a name of the page means."""
    module, _, attribute = f"skldos.{name}".rpartition(".")
    return getattr(import_module(module), attribute)


def public_names():
    """Yield the public names of skldos and of its public submodules."""
    yield from skldos.__all__
    for module in skldos._SUBMODULES:
        for name in getattr(import_module(f"skldos.{module}"), "__all__", ()):
            yield f"{module}.{name}"


@pytest.mark.parametrize("name", [*public_names()])
def test_every_public_object_is_listed(name):
    # An object of the top level is listed there, not again under its submodule.
    short = name.rpartition(".")[2]
    assert short in LISTED if short in skldos.__all__ else name in LISTED


def test_exceptions_are_listed():
    errors = [
        name
        for name, value in vars(skldos.exceptions).items()
        if isinstance(value, type) and issubclass(value, skldos.exceptions.SkldosError)
    ]
    assert len(errors) > 3
    assert {f"exceptions.{name}" for name in errors} <= {*LISTED}


def test_what_is_listed_exists_and_is_listed_once():
    assert len({*LISTED}) == len(LISTED) > 100
    for name in LISTED:
        assert found(name) is not None
