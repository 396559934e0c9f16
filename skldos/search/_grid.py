"""What searches over some points of a grid have in common."""

import numpy as np
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv


class PartialGridSearchCV(GridSearchCV):
    """Base of searches that walk over a grid of values and look at part of it.

    Subclasses implement ``_run_search``, which scikit-learn means to be overridden, with the help
    of :class:`Evaluations`.
    """

    def _check_input_parameters(self, X, y, split_params):
        # scikit-learn splits anew for every batch of candidates. A splitter that shuffles without
        # a seed would compare them on different data: here it splits once.
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
        ParameterGrid(self.param_grid)  # complains about what is no list of values
        return {name: list(values) for name, values in self.param_grid.items()}


class Evaluations:
    """Scores of points of a grid, each evaluated once.

    Parameters
    ----------
    values : dict of str to list
        The values of every parameter.
    evaluate_candidates : callable
        What scikit-learn hands to ``_run_search``.
    metric : str, bool or callable
        `refit`, which among several metrics names the one to follow.
    """

    def __init__(self, values, evaluate_candidates, metric):
        self._values = values
        self._evaluate_candidates = evaluate_candidates
        self._metric = metric
        self._scores = np.zeros(0)
        #: Where each point, a tuple of positions in the lists of values, stands in the results.
        self.index = {}

    def __call__(self, points):
        """Return the scores of `points`, NaN where a fit failed; new points are evaluated.

        Parameters
        ----------
        points : iterable of tuple of int
            A position in the list of values for every parameter.

        Returns
        -------
        ndarray of shape (n_points,)
            Mean test scores.
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
