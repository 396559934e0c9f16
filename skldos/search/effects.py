"""The effect of each parameter on the score, from an additive model of all candidates.

``optuna.importance`` answers a different question: what fraction of the variance of the scores a
parameter explains, by a forest of regression trees or by kernel densities. That number has no unit
or sign, exists only for studies, and leaves out parameters that some candidates lack. This module
computes differences between the values of a parameter, in units of the score, for any search.
"""

from numbers import Real

import numpy as np
import pandas as pd

from skldos.search.candidates import candidates

#: Numerical parameters with more different values than this are sorted into bins.
MAX_LEVELS = 6
#: Number of bins; small, because every bin is an unknown and there are few candidates.
N_BINS = 3


def main_effects(search, metric=None):
    r"""Return the effect of each value of each parameter on the score.

    A least-squares fit gives an additive model of the scores of all candidates,

    .. math:: s_r \approx \sum_i c_i(x_{ir}) ,

    The effect of value j of parameter i is the mean score it predicts if all candidates had this
    value, :math:`m_{ij} = \bar s + c_i(j) - \overline{c_i}`. In a grid or an orthogonal array,
    where all values are combined equally often, this equals the mean score of the candidates with
    this value. Otherwise it separates the effect from those of the other parameters.

    Numerical parameters with more than six values are sorted into three bins with equally many
    candidates. A parameter that some candidates lack has the value ``"none"`` there. Failed
    candidates are left out. The rounds of a halving search count as a parameter, which is not
    returned.

    Parameters
    ----------
    search : estimator or optuna.study.Study
        As for :func:`candidates`; the `main_effects_` of an orthogonal array are used directly.
    metric : str, optional
        Metric to use as the score.

    Returns
    -------
    DataFrame
        ``parameter``, ``value`` (as text) and ``effect``; parameters in the order of their
        importance, the range of their effects.
    """
    fitted = getattr(search, "main_effects_", None)
    if fitted is not None and metric in (None, getattr(search, "refit", None)):
        effects = {
            name: (list(map(_name, search.values_[name])), values)
            for name, values in fitted.items()
        }
    else:
        effects = _additive(candidates(search, metric))
    spans = {name: span(values) for name, (_, values) in effects.items()}
    rows = [
        (name, value, effect)
        for name in sorted(spans, key=lambda name: -spans[name])
        for value, effect in zip(*effects[name], strict=True)
    ]
    return pd.DataFrame(rows, columns=["parameter", "value", "effect"])


def importances(effects):
    """Return ``parameter`` and ``importance``, the range of its effects, from a table of them."""
    spans = effects.groupby("parameter", sort=False)["effect"].agg(span)
    return spans.rename("importance").reset_index()


def _additive(table):
    """Return labels and effects of the values of every parameter."""
    table = table[np.isfinite(table["score"])]
    if table.empty:
        raise ValueError("search must have a candidate with a finite score, got none.")
    names = list(dict.fromkeys(name for params in table["params"] for name in params))
    levels = {name: _levels([p.get(name) for p in table["params"]]) for name in names}
    codes = [code for _, code in levels.values()] + [
        np.unique(table["round"], return_inverse=True)[1]
    ]
    score = table["score"].to_numpy()
    # The minimum-norm solution splits effects evenly between parameters that cannot be separated.
    design = np.hstack([np.eye(code.max() + 1)[code] for code in codes])
    coefficients = np.linalg.lstsq(design, score - score.mean(), rcond=None)[0]
    effects = np.split(coefficients, np.cumsum([code.max() + 1 for code in codes])[:-1])
    return {
        name: (labels, score.mean() + effect - effect[code].mean())
        for (name, (labels, code)), effect in zip(levels.items(), effects[:-1], strict=True)
    }


def _levels(values):
    """Return the labels of the different `values`, and the index of the label of each value."""
    present = [value for value in values if value is not None]
    if all(isinstance(v, Real) and not isinstance(v, (bool, np.bool_)) for v in present):
        numbers = np.asarray(present, dtype=float)
        is_discrete = len(np.unique(numbers)) <= MAX_LEVELS
        labels = _texts(numbers, 6) if is_discrete else _bins(numbers)
        order = np.argsort(numbers, kind="stable")
    else:
        labels = [_name(value) for value in present]
        order = range(len(present))
    different = list(dict.fromkeys(labels[i] for i in order))
    if len(present) < len(values):
        different.append("none")
    remaining = iter(labels)
    codes = [different.index("none" if value is None else next(remaining)) for value in values]
    return different, np.array(codes)


def _bins(numbers):
    """Return the range of the bin of each number."""
    edges = np.quantile(numbers, np.linspace(0, 1, N_BINS + 1)[1:-1])
    bins = np.searchsorted(edges, numbers)
    low, high = (
        _texts(np.array([end(numbers[bins == i]) for i in bins]), 3) for end in (np.min, np.max)
    )
    return [f"{a} … {b}" for a, b in zip(low, high, strict=True)]


def _texts(numbers, digits):
    """Return numbers as text, with enough digits to distinguish different ones."""
    n_different = len(np.unique(numbers))
    for n in range(digits, 18):
        texts = [f"{number:.{n}g}" for number in numbers]
        if len(set(texts)) == n_different:
            break
    return texts


def _name(value):
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def span(effects):
    """Return the range of the effects that are known, 0 if none is."""
    finite = np.asarray(effects)[np.isfinite(effects)]
    return float(np.ptp(finite)) if len(finite) else 0.0
