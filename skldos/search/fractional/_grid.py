"""The base class of searches over some points of a grid."""

import numpy as np
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv

from skldos.docstrings import entries_of
from skldos.links import PageLinkMixin

#: Parameter texts that these searches share; see :func:`skldos.docstrings.documented`.
OF_SEARCHES = entries_of("""
    estimator : estimator
        Estimator to fit, often a pipeline.
    param_grid : dict of str to sequence
        The values of every parameter, of any kind.
    scoring : str, callable, list, tuple or dict, optional
        As for GridSearchCV. The search follows one metric; if there are several, `refit` names it.
    n_jobs : int, optional
        Number of parallel fits.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all data; with several metrics, the name of one. With
        a single metric, a callable can choose a candidate other than the best.
    cv : int, splitter or iterable, optional
        The cross-validation. All candidates are compared on the same splits, even if the splitter
        shuffles without a seed.
    verbose : int, default=0
        Verbosity.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of fits that are dispatched at a time.
    error_score : "raise" or float, default=nan
        The score of a fit that fails.
    return_train_score : bool, default=False
        Whether `cv_results_` has the scores of the training data.
    cv_results_, best_index_, best_params_, best_score_, best_estimator_, scorer_, refit_time_
        As for GridSearchCV: all candidates in the order in which they were evaluated, and the
        best of them all.
""")


class PartialGridSearchCV(PageLinkMixin, GridSearchCV):
    """Base class of searches that evaluate part of a grid of values.

    Subclasses override scikit-learn's ``_run_search``, with the help of :class:`Evaluations`.
    """

    def _check_input_parameters(self, X, y, split_params):
        # scikit-learn splits again for every batch of candidates. With a splitter that shuffles
        # without a seed, batches would be compared on different data. This search splits only once.
        splits = list(self._checked_cv_orig.split(X, y, **split_params))
        self._checked_cv_orig = check_cv(splits)

    def _values(self):
        """Return the checked grid: a dict from parameter to the list of its values."""
        if not isinstance(self.param_grid, dict) or not self.param_grid:
            raise TypeError(
                "param_grid must be one dict from names of parameters to sequences of values, "
                f"got {self.param_grid!r}."
            )
        if isinstance(self.scoring, (list, tuple, set, dict)) and not isinstance(self.refit, str):
            _refuse(self.scoring, self.refit)  # before the first fit
        ParameterGrid(self.param_grid)  # raises an error for invalid lists of values
        return {name: list(values) for name, values in self.param_grid.items()}


class Evaluations:
    """Scores of points of a grid, each evaluated once.

    `values` are those of every parameter, `evaluate_candidates` is the function that scikit-learn
    passes to ``_run_search``, and `metric` is `refit`, which names the metric to follow if there
    are several.
    """

    def __init__(self, values, evaluate_candidates, metric):
        self._values = values
        self._evaluate_candidates = evaluate_candidates
        self._metric = metric
        self._scores = np.zeros(0)
        #: Row of the results for each point, a tuple of positions in the lists of values.
        self.index = {}

    def __call__(self, points):
        """Return the mean test scores of `points`, NaN if a fit failed; new points are evaluated.

        A point is a position in the list of values for every parameter.
        """
        points = [tuple(map(int, point)) for point in points]
        new = [point for point in dict.fromkeys(points) if point not in self.index]
        if new:
            results = self._evaluate_candidates([self.params(point) for point in new])
            self._scores = _followed(results, self._metric)
            for point in new:
                self.index[point] = len(self.index)
        return self._scores[[self.index[point] for point in points]]

    def params(self, point):
        """Return the parameters at a point."""
        return {name: v[i] for (name, v), i in zip(self._values.items(), point, strict=True)}


def _followed(results, metric):
    """Return the mean test scores that the search follows."""
    key = f"mean_test_{metric if isinstance(metric, str) else 'score'}"
    # For a single metric, refit may be any true string.
    key = key if key in results else "mean_test_score"
    if key not in results:
        _refuse((name[10:] for name in results if name.startswith("mean_test_")), metric)
    return np.asarray(results[key], dtype=float)


def _refuse(names, metric):
    raise ValueError(
        f"refit must name the metric that the search follows, one of {sorted(names)}; got "
        f"{metric!r}."
    )
