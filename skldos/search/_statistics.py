"""What the candidates of a search have in common: ranks, costs and effects of parameters."""

import re
from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import kendalltau
from sklearn.utils import check_random_state

from skldos._validation import check_scalar, check_shape

#: Numbers of more values than that among the candidates are sorted into bins.
MAX_LEVELS = 6
#: How many: every bin is an unknown, and candidates are few.
N_BINS = 3


class KendallInterval(NamedTuple):
    """A rank correlation, its confidence interval, and how probable one so large is by chance."""

    tau: float
    low: float
    high: float
    pvalue: float


def kendall_interval(a, b, confidence=0.95, n_resamples=2000, random_state=None):
    r"""Return Kendall's rank correlation with a confidence interval from the bootstrap.

    With the signs :math:`s_{ij} = \mathrm{sign}(a_i - a_j)` and
    :math:`t_{ij} = \mathrm{sign}(b_i - b_j)`,

    .. math:: \tau_b = \frac{\sum_{ij} s_{ij} t_{ij}}
              {\big( \sum_{ij} s_{ij}^2 \; \sum_{ij} t_{ij}^2 \big)^{1/2}}

    is 1 if both rank all items alike, −1 if they rank them the other way round, and about 0 if
    they have nothing to do with each other; pairs that are equal in one of them count for neither.

    Parameters
    ----------
    a, b : array-like of shape (n_items,)
        What ranks the items, such as a training-free score and the error after training. Items
        that are NaN in one of them, such as failed candidates, are left out; infinite values
        have a rank as any other.
    confidence : float, default=0.95
        Part of such intervals that should hold the true correlation.
    n_resamples : int, default=2000
        Number of samples of as many items, drawn with replacement, whose correlations are
        sorted: the interval is what lies between their quantiles.
    random_state : int, RandomState instance or None, default=None
        Seed of these draws.

    Returns
    -------
    KendallInterval
        Named tuple of `tau`, `low`, `high` and `pvalue`, the probability of a correlation as
        large, of either sign, between rankings that have nothing to do with each other. All
        are NaN if there are fewer than two items or one of the rankings is constant; the
        interval is NaN for two items.

    Notes
    -----
    The correlations of samples of perfectly ranked items are perfect, too: an interval without
    width says that no inversion was seen, not that there is none. Of 10 to 50 normal items with
    a linear correlation of 0, 0.5 or 0.9 intervals of 95 % held the truth in 93 to 99 % of cases.

    Examples
    --------
    >>> from skldos.search import kendall_interval
    >>> found = kendall_interval([1, 2, 3, 4, 5, 6], [2, 1, 3, 4, 6, 5], random_state=0)
    >>> round(found.tau, 3), found.low < found.tau < found.high
    (0.733, True)
    """
    confidence = check_scalar("confidence", confidence, low=0, high=1, strict=True)
    n_resamples = check_scalar("n_resamples", n_resamples, low=1, integer=True)
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    check_shape("a", a, (None,))
    check_shape("b", b, a.shape)
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(a) < 2 or (a == a[0]).all() or (b == b[0]).all():
        return KendallInterval(np.nan, np.nan, np.nan, np.nan)
    tau, pvalue = map(float, kendalltau(a, b))
    low = high = np.nan
    samples = _resampled(a, b, n_resamples, check_random_state(random_state))
    if len(a) > 2 and len(samples):
        low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return KendallInterval(tau, float(low), float(high), pvalue)


def _resampled(a, b, n_resamples, rng):
    """Return the correlations of bootstrap samples, but for those of equal items, without one."""
    s, t = (np.sign(_ranks(x)[:, None] - _ranks(x)) for x in (a, b))
    # How often each item is in each sample. Every sum over pairs is a quadratic form of them.
    counts = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), size=n_resamples).astype(float)
    both, one, other = (((counts @ m) * counts).sum(axis=1) for m in (s * t, s * s, t * t))
    # Counts and their sums are whole numbers: nothing is rounded before the division.
    defined = (one > 0) & (other > 0)
    return both[defined] / np.sqrt(one[defined] * other[defined])


def _ranks(values):
    """Return whole numbers in the order of `values`, since infinities have no difference."""
    return np.unique(values, return_inverse=True)[1].astype(float)


def pareto_front(*values):
    """Return which items no other one surpasses, all `values` being better if greater.

    One item surpasses another if it is as good in everything and better in something.

    Parameters
    ----------
    *values : array-like of shape (n_items,)
        What the items are judged by. Those with NaN are never on the front.

    Returns
    -------
    ndarray of bool of shape (n_items,)
        Whether an item is on the front.

    Examples
    --------
    >>> pareto_front([3, 2, 1, 1], [1, 2, 3, 2]).tolist()
    [True, True, True, False]
    """
    items = np.column_stack([np.asarray(v, dtype=float) for v in values])
    front = ~np.isnan(items).any(axis=1)
    for i in np.flatnonzero(front):
        # Comparisons with NaN are false.
        front[i] = not ((items >= items[i]).all(axis=1) & (items > items[i]).any(axis=1)).any()
    return front


def candidates(search, metric=None):
    """Return what a fitted search knows of its candidates.

    Parameters
    ----------
    search : estimator or optuna.study.Study
        A fitted search in the manner of scikit-learn, one of Optuna's, or a study of a single
        objective.
    metric : str, optional
        Which of several metrics is the score; None takes the one of `refit`.

    Returns
    -------
    DataFrame
        One row per candidate, in the order in which they were evaluated: ``params``, ``score``
        (greater is better; NaN if it failed or was pruned), ``seconds`` of computing, that is,
        of fits and scores of all splits, and ``round`` of a search that halves its candidates, 0
        otherwise.

    Raises
    ------
    TypeError
        If `search` has no results.
    ValueError
        If it has no such metric.
    """
    results = getattr(search, "cv_results_", None)
    # OptunaSearchCV has results without parameters, but its study has all.
    if results is None or "params" not in results:
        return _of_study(getattr(search, "study_", search), metric)
    # The resource of a search that halves its candidates is no choice: it goes with the round.
    resource = getattr(search, "resource", None)
    return pd.DataFrame(
        {
            "params": [{k: v for k, v in p.items() if k != resource} for p in results["params"]],
            "score": np.asarray(results[_column(search, results, metric)], dtype=float),
            "seconds": _seconds(search, results),
            "round": np.asarray(results.get("iter", np.zeros(len(results["params"]))), dtype=int),
        }
    )


def _seconds(search, results):
    """Return the time of all fits and scores of every candidate."""
    splits = {m[1] for name in results if (m := re.match(r"split(\d+)_test_", name))}
    n_fits = np.full(len(results["params"]), getattr(search, "n_splits_", None) or len(splits))
    times = [np.asarray(results[f"mean_{what}_time"], dtype=float) for what in ("fit", "score")]
    # Fits that never ran to their end may have no time.
    return n_fits * np.nan_to_num(times).sum(axis=0)


def _column(search, results, metric):
    names = [name[10:] for name in results if name.startswith("mean_test_")]
    refit = getattr(search, "refit", None)
    if metric is None:
        metric = refit if isinstance(refit, str) and refit in names else "score"
    # A training-free score that a study has noted beside its own is no mean.
    if metric == "naswot" and "naswot" in results and metric not in names:
        return metric
    if metric not in names:
        raise ValueError(f"metric must be one of {sorted(names)}; got {metric!r}.")
    return f"mean_test_{metric}"


def _of_study(study, metric):
    if not hasattr(study, "trials"):
        raise TypeError(
            "search must be a fitted search with cv_results_, or a study of Optuna; got "
            f"{type(study).__name__}."
        )
    if metric is not None or len(study.directions) != 1:
        raise ValueError(
            f"a study must have a single objective, and metric be None; got "
            f"{len(study.directions)} and {metric!r}."
        )
    sign = 1 if study.direction.name == "MAXIMIZE" else -1
    trials = [trial for trial in study.trials if trial.state.is_finished()]
    # The value of a pruned trial is one of a training that is not at its end.
    scores = [sign * t.value if t.state.name == "COMPLETE" else np.nan for t in trials]
    return pd.DataFrame(
        {
            "params": [trial.params for trial in trials],
            "score": np.array(scores, dtype=float),
            "seconds": [
                trial.duration.total_seconds() if trial.duration else 0 for trial in trials
            ],
            "round": np.zeros(len(trials), dtype=int),
        }
    )


def main_effects(search, metric=None):
    r"""Return what each value of each parameter does to the score.

    By least squares an additive model is fitted to the scores of all candidates,

    .. math:: s_r \approx \sum_i c_i(x_{ir}) ,

    and the effect of a value j of parameter i is the score that it predicts on average, if all
    candidates had this value, :math:`m_{ij} = \bar s + c_i(j) - \overline{c_i}`. Where every
    value meets every other equally often, as in a grid or an orthogonal array, that is the
    mean score of the candidates with this value; elsewhere it is not mixed up with what the
    other parameters do.

    Numbers of more than six values are sorted into three bins of equally many candidates. A
    parameter that some candidates lack has the value ``"none"`` there. Candidates that failed are
    left out; rounds of a search that halves them count as a parameter, which is not returned.

    Parameters
    ----------
    search : estimator or optuna.study.Study
        As for :func:`candidates`; the `main_effects_` of an orthogonal array are taken as they
        are.
    metric : str, optional
        Which of several metrics is the score.

    Returns
    -------
    DataFrame
        ``parameter``, ``value`` (as text) and ``effect``; parameters in the order of their
        importance, the range of their effects.
    """
    known = getattr(search, "main_effects_", None)
    if known is not None and metric in (None, getattr(search, "refit", None)):
        effects = {
            name: (list(map(_name, search.param_grid[name])), values)
            for name, values in known.items()
        }
    else:
        effects = _additive(candidates(search, metric))
    spans = {name: _span(values) for name, (_, values) in effects.items()}
    rows = [
        (name, value, effect)
        for name in sorted(spans, key=lambda name: -spans[name])
        for value, effect in zip(*effects[name], strict=True)
    ]
    return pd.DataFrame(rows, columns=["parameter", "value", "effect"])


def importances(effects):
    """Return ``parameter`` and ``importance``, the range of its effects, from a table of them."""
    spans = effects.groupby("parameter", sort=False)["effect"].agg(_span)
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
    # Of all solutions the shortest: it splits evenly what cannot be told apart.
    design = np.hstack([np.eye(code.max() + 1)[code] for code in codes])
    coefficients = np.linalg.lstsq(design, score - score.mean(), rcond=None)[0]
    parts = np.split(coefficients, np.cumsum([code.max() + 1 for code in codes])[:-1])
    return {
        name: (labels, score.mean() + part - part[code].mean())
        for (name, (labels, code)), part in zip(levels.items(), parts[:-1], strict=True)
    }


def _levels(values):
    """Return the labels of the different `values` and which of them each value is."""
    present = [value for value in values if value is not None]
    if all(isinstance(v, Real) and not isinstance(v, (bool, np.bool_)) for v in present):
        numbers = np.asarray(present, dtype=float)
        few = len(np.unique(numbers)) <= MAX_LEVELS
        labels = _texts(numbers, 6) if few else _bins(numbers)
        order = np.argsort(numbers, kind="stable")
    else:
        labels = [_name(value) for value in present]
        order = range(len(present))
    different = list(dict.fromkeys(labels[i] for i in order))
    if len(present) < len(values):
        different.append("none")
    left = iter(labels)
    codes = [different.index("none" if value is None else next(left)) for value in values]
    return different, np.array(codes)


def _bins(numbers):
    """Return for each number the range of the bin that it is in."""
    edges = np.quantile(numbers, np.linspace(0, 1, N_BINS + 1)[1:-1])
    bins = np.searchsorted(edges, numbers)
    low, high = (
        _texts(np.array([end(numbers[bins == i]) for i in bins]), 3) for end in (np.min, np.max)
    )
    return [f"{a} … {b}" for a, b in zip(low, high, strict=True)]


def _texts(numbers, digits):
    """Return numbers as text, of so many digits or as many as tell different ones apart."""
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


def _span(effects):
    finite = np.asarray(effects)[np.isfinite(effects)]
    return float(np.ptp(finite)) if len(finite) else 0.0
