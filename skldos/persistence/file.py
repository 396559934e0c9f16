"""Model files: written in one step, read without executing code."""

import copy
import warnings
from pathlib import Path

from sklearn.base import BaseEstimator

import skldos
from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError
from skldos.persistence.card import CARD_ATTRIBUTE, ModelCard, model_card, with_remarks
from skldos.persistence.header import add_header, read_header
from skldos.persistence.types import is_trusted


def save(model, path, *, errors=None, notes=None, overwrite=False):
    """Write a fitted model to one file, with its card.

    The file holds arrays, numbers and names of types, but no code: :func:`load` executes nothing.
    For a search, the best model is saved. Cache folders (`memory`) are left out, because they are
    not valid elsewhere. The file appears complete or not at all.

    Parameters
    ----------
    model : estimator
        A fitted pipeline, estimator or search.
    path : str or path-like
        The file, ``.skldos`` by convention.
    errors : pandas.DataFrame or mapping of str to float, optional
        Known errors for the card: a table of :func:`~skldos.evaluate`, whose mean absolute errors
        are recorded, or numbers by name. Leave-out errors that the model computed in `fit` are
        always recorded.
    notes : str, optional
        Further text for the card.
    overwrite : bool, default=False
        Whether to replace an existing file.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    NotFittedError
        If the model is not fitted.
    TypeError
        If `model` is not an estimator, or contains objects that cannot be saved, such as an open
        file.

    Warns
    -----
    UserWarning
        If the model contains types that belong neither to skldos nor to its dependencies; pass them
        as `trusted` to :func:`load`.

    Examples
    --------
    >>> import tempfile
    >>> import skldos
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(3, random_state=0)
    >>> model = skldos.models.atoms().fit(snapshots)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = skldos.save(model, f"{folder}/model.skldos", notes="an example")
    ...     loaded = skldos.load(path)
    >>> skldos.model_card(loaded)["notes"]
    'an example'
    """
    from skops.io import dumps
    from skops.io.exceptions import UnsupportedTypeException

    if not hasattr(model, "get_params"):
        raise TypeError(f"model must be a fitted estimator, got a {type(model).__name__}.")
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; pass overwrite=True to replace it.")
    card = with_remarks(model_card(model), errors, notes)
    model = _without_caches(getattr(model, "best_estimator_", model))
    vars(model).pop(CARD_ATTRIBUTE, None)
    try:
        content = dumps(model)
    except (UnsupportedTypeException, TypeError) as error:
        raise TypeError(f"model cannot be saved: {error}") from error
    foreign = _foreign(content, "the model")
    if foreign:
        warnings.warn(
            f"the model holds types that are not of skldos or its dependencies: {foreign}. To "
            f"load it, pass trusted={foreign!r}.",
            UserWarning,
            stacklevel=2,
        )
    content = add_header(content, card)
    with atomic_file(path) as file:
        file.write(content)
    return path


def load(path, *, trusted=()):
    """Read a model that :func:`save` wrote, without executing code from the file.

    Parameters
    ----------
    path : str or path-like
        The file.
    trusted : sequence of str, default=()
        Further types that may be created, such as your own transformers. Name only types you trust.

    Returns
    -------
    estimator
        The fitted model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, not a skldos file or of a newer format, or holds untrusted types.

    Warns
    -----
    UserWarning
        If a newer version of skldos wrote it.
    """
    from skops.io import loads

    path = Path(path)
    card = ModelCard(read_header(path))
    saved_by, installed = card.get("versions", {}).get("skldos", "0"), skldos.__version__
    if _numbers(saved_by) > _numbers(installed):
        warnings.warn(
            f"{path} was saved by skldos {saved_by}, which is newer than this one, {installed}.",
            UserWarning,
            stacklevel=2,
        )
    content = path.read_bytes()
    foreign = [name for name in _foreign(content, path) if name not in trusted]
    if foreign:
        raise FileFormatError(
            f"it holds types that are neither of skldos nor of its dependencies: {foreign}; if you "
            "know them and where the file comes from, pass them as trusted",
            path,
        )
    try:
        model = loads(content, trusted=_types(content))
    except Exception as error:  # any error of a damaged or foreign state
        raise FileFormatError(
            f"damaged, or of other versions of the packages ({_text(card)}): {error}", path
        ) from error
    vars(model)[CARD_ATTRIBUTE] = card
    return model


def _types(content):
    from skops.io import get_untrusted_types

    return get_untrusted_types(data=content)


def _foreign(content, where):
    """Return the names of types that are not trusted, sorted."""
    try:
        return [name for name in _types(content) if not is_trusted(name)]
    except Exception as error:  # any error of a damaged schema
        raise FileFormatError(f"damaged: {error}", where) from error


def _without_caches(model):
    """Return a copy of a model without cache folders."""
    model = copy.deepcopy(model)
    for estimator in _estimators(model, set()):
        if getattr(estimator, "memory", None) is not None:
            estimator.memory = None
    return model


def _estimators(value, visited):
    """Yield all estimators in an estimator, a list or a dictionary."""
    if id(value) in visited:
        return
    visited.add(id(value))
    children = ()
    if isinstance(value, BaseEstimator):
        yield value
        children = vars(value).values()
    elif isinstance(value, dict):
        children = value.values()
    elif isinstance(value, (list, tuple)):
        children = value
    for child in children:
        yield from _estimators(child, visited)


def _numbers(text):
    """Return the numbers of a version for comparison."""
    return tuple(int(number) if number.isdigit() else 0 for number in str(text).split(".")[:3])


def _text(card):
    return ", ".join(f"{name} {number}" for name, number in card.get("versions", {}).items())
