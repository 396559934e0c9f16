"""Model cards: what a fitted model is, its training data, and its known errors."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from ase import Atoms
from sklearn.utils.validation import check_is_fitted

import skldos
from skldos.data.calculation import electrons_of
from skldos.data.html import table
from skldos.persistence.header import read_header
from skldos.prediction.pipelines import (
    calculation_of,
    predicts_free_energies,
    regressor_of,
    steps_of,
)
from skldos.prediction.unlabelled import predicts_on_grid
from skldos.scoring.evaluation import ERROR_UNITS

#: Packages whose versions a card lists.
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch", "ase", "dscribe")
UNITS = {
    "energy": "eV",
    "length": "Å",
    "temperature": "K",
    "density of states": "1/eV",
    "local density of states": "1/(eV Å³)",
    "density": "1/Å³",
    "force": "eV/Å",
    "stress": "eV/Å³",
}
#: Attribute in which a loaded model stores the card of its file.
CARD_ATTRIBUTE = "_skldos_card"
#: Printed titles of entries, and their units.
TITLES = {"n_snapshots": "snapshots", "n_atoms": "atoms per snapshot", "n": "number"}
ENTRY_UNITS = {
    ("trained_on", "density"): " g/cm³",
    ("trained_on", "temperature"): " K",
    ("energies", "from"): " eV",
    ("energies", "to"): " eV",
    ("energies", "broadening"): " eV",
}


class ModelCard(dict):
    """A dictionary of texts, numbers, lists and dictionaries that prints as a table.

    Parameters
    ----------
    entries : dict, optional
        The entries.
    **more : dict
        Further entries.

    Examples
    --------
    >>> print(ModelCard(predicts="free energies", trained_on={"elements": ["Al", "Mg"]}))
    predicts    free energies
    trained on
      elements  Al, Mg
    """

    def __init__(self, entries=(), **more):
        super().__init__(entries, **more)

    def __repr__(self):
        lines = list(_lines(self))
        width = len(max((name for name, _ in lines), key=len, default=""))
        return "\n".join(f"{name:{width}}  {text}".rstrip() for name, text in lines)

    __str__ = __repr__

    def _repr_html_(self):
        return table("Model", list(_lines(self)))


def model_card(model):
    """Return the card of a model: what it was trained on, its units, errors and versions.

    Parameters
    ----------
    model : estimator or path-like
        Model fitted to snapshots, or the file of a model, from which only the card is read.

    Returns
    -------
    ModelCard
        A dictionary that prints as a table, with the entries ``"model"`` (its steps),
        ``"predicts"``, ``"trained_on"``, ``"energies"``, ``"grid_spacing"`` (Å), ``"errors"``,
        ``"units"``, ``"versions"``, ``"saved"`` and ``"notes"``, as far as known.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    FileFormatError
        If the file was not written by :func:`save`.

    Examples
    --------
    >>> import skldos
    >>> from skldos.datasets import make_snapshots
    >>> model = skldos.models.atoms().fit(make_snapshots(3, random_state=0))
    >>> card = skldos.model_card(model)
    >>> card["predicts"], card["trained_on"]["elements"], card["energies"]["n"]
    ('densities of states of atoms', ['Al'], 21)
    """
    if isinstance(model, (str, Path)):
        return ModelCard(read_header(model))
    best = getattr(model, "best_estimator_", model)
    check_is_fitted(best)
    card = ModelCard(
        model=[" ".join(repr(step).split()) for step in steps_of(best)],  # one line each
        predicts=_predicts(best),
        trained_on=_trained_on(best),
        energies=_energies(best),
        grid_spacing=_plain(getattr(steps_of(best)[0], "grid_spacing_", None)),
        errors=_own_errors(model),
        units=UNITS,
        versions=_versions(),
    )
    stored = getattr(best, CARD_ATTRIBUTE, None)
    # A model that was fitted again since is a different one.
    if stored is not None and stored.get("trained_on") == card["trained_on"]:
        entries = {name: stored[name] for name in ("errors", "versions", "saved", "notes")
                if name in stored}  # fmt: skip
        card.update(entries)
    return ModelCard({name: value for name, value in card.items() if value})


def with_remarks(card, errors, notes):
    """Return a card with the errors and notes passed to :func:`save`."""
    card = ModelCard(card)
    if errors is not None:
        card["errors"] = card.get("errors", {}) | _as_errors(errors)
    if notes is not None:
        if not isinstance(notes, str):
            raise TypeError(f"notes must be a string, got {type(notes).__name__}.")
        card["notes"] = notes
    card["saved"] = datetime.now(UTC).isoformat(timespec="seconds")
    return card


def _as_errors(errors):
    """Return errors by name; for a table of `evaluate`, mean absolute errors."""
    if hasattr(errors, "columns"):
        return {
            f"mean absolute {name} ({unit})": float(np.abs(errors[name]).mean())
            for name, unit in ERROR_UNITS.items()
            if name in errors
        }
    if not isinstance(errors, Mapping):
        raise TypeError(
            "errors must be a table of skldos.evaluate or a mapping of names to numbers, got "
            f"{type(errors).__name__}."
        )
    return {str(name): _plain(value) for name, value in errors.items()}


def _predicts(model):
    if predicts_free_energies(model):
        return "free energies and their derivatives"
    if getattr(regressor_of(model), "energies_", None) is None:
        return None
    if predicts_on_grid(model):
        return "the local density of states on a grid"
    return "densities of states of atoms"


def _trained_on(model):
    calculation = dict(calculation_of(model))
    training = dict(calculation.pop("training", {}))
    if not training.get("stress", True):
        del training["stress"]
    valence = {e: electrons_of(Atoms(e), calculation) for e in training.get("elements", ())}
    if valence and None not in valence.values():
        calculation["valence_electrons"] = valence
    return {name: _plain(value) for name, value in (training | calculation).items()}


def _energies(model):
    regressor = regressor_of(model)
    energies = getattr(regressor, "energies_", None)
    if energies is None:
        return None
    entries = {
        "n": len(energies),
        "from": float(energies[0]),
        "to": float(energies[-1]),
        "broadening": getattr(regressor, "broadening_", None),
        "kernel": getattr(regressor, "kernel_", None),
    }
    return {name: _plain(value) for name, value in entries.items() if value is not None}


def _own_errors(model):
    """Return leave-out errors that the model computed in `fit`."""
    errors = {}
    if hasattr(model, "best_estimator_") and hasattr(model, "best_score_"):
        scoring = getattr(model.scoring, "__name__", None) or model.scoring or "score"
        errors[f"cross-validated {scoring}"] = float(model.best_score_)
    regressor = regressor_of(model)
    left_out = getattr(regressor, "left_out_errors_", None) or {}
    units = {"energy": "meV/atom", "forces": "eV/Å", "virial": "meV/atom"}
    for name, values in left_out.items():
        root = float(np.sqrt(np.nanmean(np.square(values))))
        errors[f"left-out RMSE of {name} ({units.get(name, '')})"] = root
    inner = getattr(regressor, "regressor_", None)
    if hasattr(inner, "best_score_"):
        errors["left-out RMSE of the band energy (meV/atom)"] = -float(inner.best_score_)
    return errors


def _versions():
    versions = {"skldos": skldos.__version__, "python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _plain(value):
    """Return a value in a form that JSON can store."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value


def _lines(card):
    """Yield pairs of a name and a value as strings."""
    for name, value in card.items():
        title = name.replace("_", " ")
        if isinstance(value, Mapping):
            yield title, ""
            for key, entry in value.items():
                unit = ENTRY_UNITS.get((name, key), "")
                yield f"  {TITLES.get(key, key.replace('_', ' '))}", _text(key, entry) + unit
        elif name == "model":
            for i, step in enumerate(value):
                yield "" if i else title, step
        else:
            yield title, _text(name, value) + (" Å" if name == "grid_spacing" else "")


def _text(name, value):
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(key, entry)}" for key, entry in value.items())
    if isinstance(value, list) and name in ("n_atoms", "density", "temperature"):
        low, high = (_text(name, end) for end in value)
        return low if low == high else f"{low} to {high}"
    if isinstance(value, list):
        return ", ".join(_text(name, entry) for entry in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
