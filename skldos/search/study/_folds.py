"""One fold of a candidate: transformed once, used for one or more trainings."""

import copy
import time
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skldos.search.study._reports import EpochReport, Monitor


class Fold:
    """Training and held-out data of a split, transformed.

    The transformers of the `estimator`, the candidate, are fitted here, once. `X` and `y`, which
    may be None, are all data.
    """

    def __init__(self, estimator, X, y, split):
        training, test = split
        self.X, self._y = take(X, training), take(y, training)
        self._test = take(X, test), *(() if y is None else (take(y, test),))
        self._head, self._name, self._last = split_last_step(clone(estimator))
        start = time.perf_counter()
        self._inputs = self.X
        if self._head is not None:
            self._inputs = self._head.fit_transform(self.X, self._y)
        self.transform_time = time.perf_counter() - start
        self._held_out = None  # transformed when needed

    def training_free(self, scorer, candidate=None):
        """Return the score of another candidate with the same transformers, before any training."""
        last = clone(self._last if candidate is None else split_last_step(candidate)[2])
        idle = {"max_epochs": 0, "dos_weight": None}
        last.set_params(
            **{n: idle[n.split("__")[-1]] for n in last.get_params() if n.split("__")[-1] in idle}
        )
        fitted = self._assembled(last.fit(self._inputs, self._y))
        targets = () if self._y is None else (self._y,)
        return float(scorer(fitted, self.X, *targets))

    def train(self, metrics, repeat=0, reporter=None, monitor=None):
        """Train the last step; return the score for each metric, and times of fit and scores in s.

        Each training, number `repeat`, has its own seeds. The `reporter` receives intermediate
        values: those that `monitor` selects, for a network.
        """
        start = time.perf_counter()
        last = reseeded(clone(self._last), repeat)
        watch = None if reporter is None else self._watch(last, reporter, monitor)
        last.fit(self._inputs, self._y)
        if watch is not None and watch.interrupt_ is not None:
            raise watch.interrupt_
        fitted = time.perf_counter()
        scores = metrics(self._assembled(last), *self._test)
        scored = time.perf_counter()
        if watch is not None and watch.end_ is not None:
            reporter.end(watch.end_, watch.max_epochs_)
        elif reporter is not None:
            reporter.end(scores[metrics.followed], None)
        return scores, fitted - start, scored - fitted

    def _watch(self, last, reporter, monitor):
        """Add a callback to the network in `last`, if there is one; return it or None."""
        params = last.get_params()
        names = [n for n in params if n.split("__")[-1] == "callbacks"]
        if not names or isinstance(params[names[0]], str):  # skorch's "disable"
            return None
        where = names[0].removesuffix("callbacks")
        if self._held_out is None:
            X, *y = self._test
            self._held_out = (X if self._head is None else self._head.transform(X), *y)
        value = Monitor(monitor, self._held_out, nested=bool(where))
        watch = EpochReport(reporter, value)
        last.set_params(**{names[0]: [*(params[names[0]] or []), ("trial", watch)]})
        return watch

    def _assembled(self, last):
        """Return the whole estimator with the fitted `last` as its last step."""
        return last if self._head is None else Pipeline([*self._head.steps, (self._name, last)])


def split_last_step(estimator):
    """Return the transformers of a pipeline (or None), and name and object of the last step."""
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        return estimator[:-1], *estimator.steps[-1]
    return None, None, estimator


def n_samples(X):
    """Return the number of samples of any kind of data."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def take(data, indices):
    """Return some samples of `data`, as the same type; None for None."""
    if data is None:
        return None
    if hasattr(data, "iloc"):
        return data.iloc[indices]
    return data[indices] if hasattr(data, "shape") else [data[i] for i in indices]


def reseeded(estimator, repeat):
    """Set the seeds of the estimator's n-th training; the first uses its own seeds."""
    if repeat == 0:
        return estimator
    seeds = {}
    for name, seed in estimator.get_params().items():
        if name.split("__")[-1] != "random_state":
            continue
        if isinstance(seed, Integral):
            seeds[name] = int(seed) + repeat
        elif isinstance(seed, np.random.RandomState):
            draws = copy.deepcopy(seed).randint(np.iinfo(np.int32).max, size=repeat)
            seeds[name] = np.random.RandomState(draws[-1])
    return estimator.set_params(**seeds)
