"""One fold of a candidate: transformed once, trained on as often as asked for."""

import copy
import time
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skldos.search._pruning import EpochReport, Monitor


class Fold:
    """Training and held-out data of a split, and what the transformers make of them.

    Parameters
    ----------
    estimator : estimator
        The candidate; a pipeline's transformers are fitted here, once.
    X, y : array-like
        All data; `y` may be None.
    split : tuple of ndarray
        Indices for training and for the test.
    """

    def __init__(self, estimator, X, y, split):
        training, test = split
        self.X, self._y = take(X, training), take(y, training)
        self._test = take(X, test), *(() if y is None else (take(y, test),))
        self._head, self._name, self._last = parted(clone(estimator))
        start = time.perf_counter()
        self._inputs = self.X
        if self._head is not None:
            self._inputs = self._head.fit_transform(self.X, self._y)
        self.transform_time = time.perf_counter() - start
        self._held_out = None  # transformed when it is needed

    def training_free(self, scorer, candidate=None):
        """Return the score before any training, of another candidate with the same transformers."""
        last = clone(self._last if candidate is None else parted(candidate)[2])
        idle = {"max_epochs": 0, "dos_weight": None}
        last.set_params(
            **{n: idle[n.split("__")[-1]] for n in last.get_params() if n.split("__")[-1] in idle}
        )
        fitted = self._assembled(last.fit(self._inputs, self._y))
        targets = () if self._y is None else (self._y,)
        return float(scorer(fitted, self.X, *targets))

    def train(self, scorer, repeat=0, reporter=None, monitor=None):
        """Train the last step.

        Parameters
        ----------
        scorer : callable
            Judges the fitted estimator on what is held out.
        repeat : int, default=0
            Which of several trainings; each has seeds of its own.
        reporter : Reporter, optional
            What is told on the way.
        monitor : str or callable, optional
            What it is told of a network.

        Returns
        -------
        score, fit_time, score_time : float
            Greater is better; s.
        """
        start = time.perf_counter()
        last = reseeded(clone(self._last), repeat)
        watch = None if reporter is None else self._watch(last, reporter, monitor)
        last.fit(self._inputs, self._y)
        if watch is not None and watch.interrupt_ is not None:
            raise watch.interrupt_
        fitted = time.perf_counter()
        score = scorer(self._assembled(last), *self._test)
        scored = time.perf_counter()
        if watch is not None and watch.end_ is not None:
            reporter.end(watch.end_, watch.max_epochs_)
        elif reporter is not None:
            reporter.end(score, None)
        return float(score), fitted - start, scored - fitted

    def _watch(self, last, reporter, monitor):
        """Add a callback to the network in `last`, where there is one; return it or None."""
        params = last.get_params()
        found = [n for n in params if n.split("__")[-1] == "callbacks"]
        if not found or isinstance(params[found[0]], str):  # skorch's "disable"
            return None
        where = found[0].removesuffix("callbacks")
        if self._held_out is None:
            X, *y = self._test
            self._held_out = (X if self._head is None else self._head.transform(X), *y)
        value = Monitor(monitor, self._held_out, nested=bool(where))
        watch = EpochReport(reporter, value)
        last.set_params(**{found[0]: [*(params[found[0]] or []), ("trial", watch)]})
        return watch

    def _assembled(self, last):
        """Return the whole estimator with `last`, which is fitted, at its end."""
        return last if self._head is None else Pipeline([*self._head.steps, (self._name, last)])


def parted(estimator):
    """Return the transformers of a pipeline, or None, and the name and the last step itself."""
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        return estimator[:-1], *estimator.steps[-1]
    return None, None, estimator


def n_samples(X):
    """Return the number of samples of any kind of data."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def take(data, indices):
    """Return some of the samples of `data`, of the kind that it is; None of None."""
    if data is None:
        return None
    if hasattr(data, "iloc"):
        return data.iloc[indices]
    return data[indices] if hasattr(data, "shape") else [data[i] for i in indices]


def reseeded(estimator, repeat):
    """Give the estimator the seeds of its n-th training; those of the first are its own."""
    if repeat == 0:
        return estimator
    seeds = {}
    for name, seed in estimator.get_params().items():
        if name.split("__")[-1] != "random_state":
            continue
        if isinstance(seed, Integral):
            seeds[name] = int(seed) + repeat
        elif isinstance(seed, np.random.RandomState):
            drawn = copy.deepcopy(seed).randint(2**31 - 1, size=repeat)
            seeds[name] = np.random.RandomState(drawn[-1])
    return estimator.set_params(**seeds)
