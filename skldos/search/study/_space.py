"""The search space of a study, as parameters of an estimator."""

import re

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

PLAIN_TYPES = (type(None), bool, int, float, str)


def label(value):
    """Return the representation of `value` in a study: the value itself, or its text.

    Storages hold only plain values; for example, a file would return a tuple as a list.

    Examples
    --------
    >>> label(0.1), label((100, 50))
    (0.1, '(100, 50)')
    """
    value = value.item() if isinstance(value, np.generic) else value
    # Without its address, which differs between processes.
    return (
        value if isinstance(value, PLAIN_TYPES) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    )


class NamedChoices:
    """A trial that suggests categories of any type; the study stores their labels."""

    def __init__(self, trial):
        self._trial = trial

    def __getattr__(self, name):
        return getattr(self._trial, name)

    def suggest_categorical(self, name, choices):
        """Suggest one of `choices`."""
        labels = [label(choice) for choice in choices]
        if len(set(labels)) < len(labels):
            raise ValueError(f"the choices of {name!r} must differ in name, got {labels}.")
        return choices[labels.index(self._trial.suggest_categorical(name, labels))]


def check_space(space):
    """Raise an error unless `space` is a function or a dict of valid distributions."""
    if callable(space):
        return
    if not isinstance(space, dict) or not space:
        raise TypeError(
            "space must be a dict from names of parameters to distributions, lists or ranges, or "
            f"a function of a trial that returns a dict of parameters; got {space!r}."
        )
    kinds = (FloatDistribution, IntDistribution, CategoricalDistribution, range, list, tuple)
    for name, values in space.items():
        if not isinstance(values, (*kinds, np.ndarray)):
            raise TypeError(
                f"space[{name!r}] must be a distribution of optuna, a list or a range, got "
                f"{values!r}."
            )
        if not hasattr(values, "to_external_repr") and len(values) == 0:
            raise ValueError(f"space[{name!r}] must hold one value or more, got {values!r}.")


def suggest(space, trial):
    """Return the parameters that a trial, real or fixed, suggests."""
    trial = NamedChoices(trial)
    if not callable(space):
        return {name: _suggest_one(trial, name, values) for name, values in space.items()}
    params = space(trial)
    if not isinstance(params, dict):
        raise TypeError(f"space(trial) must return a dict of parameters, got {params!r}.")
    return params


def parameters(space, suggested, number=0):
    """Return the parameters of trial `number`, given its suggestions, ``trial.params``."""
    trial = FixedTrial(suggested, number=number)
    params = suggest(space, trial)
    if unknown := set(suggested) - set(trial.params):
        raise ValueError(f"it does not vary {sorted(unknown)}")
    return params


def _suggest_one(trial, name, values):
    if isinstance(values, FloatDistribution):
        return trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)
    if isinstance(values, IntDistribution):
        return trial.suggest_int(name, values.low, values.high, step=values.step, log=values.log)
    if isinstance(values, range):
        low, high = sorted((values[0], values[-1]))
        return trial.suggest_int(name, low, high, step=abs(values.step))
    return trial.suggest_categorical(name, getattr(values, "choices", values))
