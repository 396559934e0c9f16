"""Create unfitted models named on the command line: recommended ones, TOML and Python files."""

import inspect
import re
from pathlib import Path

from skldos.cli.arguments import assignments


def make_model(name, settings=None, **defaults):
    """Return an unfitted model.

    The name is ``"atoms"``, ``"grid"`` or ``"potential"`` of :mod:`skldos.models`, or the path of a
    TOML or Python file. Settings are pairs NAME=VALUE: arguments of a recommended model, or
    parameters of the pipeline. Defaults are further arguments, used if a recommended model has
    them.
    """
    from skldos import models

    values, arguments = assignments(settings), ""
    if name in models.NAMES:
        make = getattr(models, name)
        parameters = inspect.signature(make).parameters
        arguments = f"models.{name} takes {', '.join(parameters)}; "
        own_values = {key: values.pop(key) for key in list(values) if key in parameters}
        model = make(**({k: v for k, v in defaults.items() if k in parameters} | own_values))
    else:
        model = read_pipeline(name)
    try:
        return model.set_params(**values)
    except ValueError as error:
        raise ValueError(f"--set: {arguments}{_without_repr(error, model)}") from None


def _without_repr(error, model):
    """Return the error of ``set_params``, with the names of the steps instead of the pipeline."""
    unknown = re.match(r"Invalid parameter '\w+'(?= for estimator Pipeline)", str(error))
    if unknown is None or not hasattr(model, "steps"):
        return str(error)
    names = ", ".join(name for name, _ in model.steps)
    return f"{unknown[0]}; parameters of a step are STEP__NAME, the steps are {names}."


def read_pipeline(path):
    """Return the model that a TOML or Python file describes.

    A Python file defines ``model``, an estimator. A TOML file has a table ``[[steps]]`` for every
    step of a pipeline, with its ``type`` and parameters. If a parameter is an estimator, it is a
    table with its own ``type``. Types are names of skldos, or full names of scikit-learn. Reading a
    TOML file executes no code from it. If a file does not describe a model, a
    :class:`FileFormatError` is raised.
    """
    from skldos import models

    path = Path(path)
    if path.suffix not in (".toml", ".py"):
        raise ValueError(
            f"MODEL must be one of {', '.join(models.NAMES)}, or a file *.toml or *.py, got "
            f"{str(path)!r}."
        )
    return _from_toml(path) if path.suffix == ".toml" else _from_python(path)


def _from_python(path):
    import runpy

    from skldos.exceptions import FileFormatError

    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    model = runpy.run_path(str(path)).get("model")
    if not hasattr(model, "fit") or isinstance(model, type):
        raise FileFormatError(f"it must define 'model', an estimator, got {model!r}", path)
    return model


def _from_toml(path):
    import tomllib

    from sklearn.pipeline import make_pipeline

    from skldos.exceptions import FileFormatError

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"not TOML: {error}", path) from error
    steps = content.pop("steps", None)
    if content or not isinstance(steps, list) or not steps:
        raise FileFormatError("expected tables [[steps]] and nothing else", path)
    try:
        return make_pipeline(*(_estimator(step) for step in steps))
    except (TypeError, ValueError) as error:
        raise FileFormatError(str(error), path) from error


def _estimator(table):
    """Return the estimator that a table with a ``type`` describes."""
    if not isinstance(table, dict) or not isinstance(table.get("type"), str):
        raise ValueError(f"every step needs a type, got {table!r}")
    kind = _class(table["type"])
    parameters = {name: _value(value) for name, value in table.items() if name != "type"}
    try:
        return kind(**parameters)
    except TypeError as error:
        raise ValueError(f"{table['type']}: {error}") from error


def _value(value):
    if isinstance(value, dict) and "type" in value:
        return _estimator(value)
    return value


def _class(name):
    """Return a class, by its name in skldos or by its full name in scikit-learn."""
    from importlib import import_module

    from sklearn.base import BaseEstimator

    import skldos

    module, _, attribute = name.rpartition(".")
    if not module and name in skldos.__all__:
        kind = getattr(skldos, name)
    elif module.split(".")[0] == "sklearn":
        try:
            kind = getattr(import_module(module), attribute, None)
        except ImportError:
            kind = None
    else:
        kind = None
    if not isinstance(kind, type) or not issubclass(kind, BaseEstimator):
        raise ValueError(
            f"type must be an estimator of skldos, or the full name of one of scikit-learn such as "
            f"'sklearn.preprocessing.StandardScaler', got {name!r}"
        )
    return kind
