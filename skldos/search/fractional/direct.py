"""Direct search: change one hyperparameter at a time."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skldos.docstrings import documented
from skldos.search.fractional._grid import OF_SEARCHES, Evaluations, PartialGridSearchCV
from skldos.validation import check_scalar


@documented(OF_SEARCHES)
class DirectSearchCV(PartialGridSearchCV):
    """Search a grid by changing one parameter at a time, until no such change helps.

    All values of one parameter are evaluated with the others fixed, and the best is kept; then the
    next parameter follows. Rounds over all parameters are repeated until one changes nothing. By
    then all candidates that differ from the winner in a single parameter have been evaluated, and
    none is better. No candidate is evaluated twice. If the score is a sum of functions of one
    parameter each, one round and its check find the exact optimum.

    Parameters
    ----------
    %(estimator)s
    %(param_grid)s
    %(scoring)s
    %(n_jobs)s
    %(refit)s
    %(cv)s
    %(verbose)s
    %(pre_dispatch)s
    %(error_score)s
    %(return_train_score)s
    start : dict, optional
        Values to start from, for some or all parameters; the first value of each list otherwise.
    max_rounds : int, optional
        Largest number of rounds. After the last one, missing neighbours of the winner are
        evaluated to check whether it is a local optimum. None continues until nothing changes.

    Attributes
    ----------
    %(cv_results_)s
    locally_optimal_ : bool
        Whether all candidates that differ from `best_params_` in one parameter have been
        evaluated, and none is better.
    path_ : list of int
        Positions of the start and of the improvements in `cv_results_`.
    n_rounds_ : int
        Rounds, the last of which changed nothing unless `max_rounds` stopped the search.

    Notes
    -----
    A failed fit counts as worse than any other. Among equals, the first one stays.

    References
    ----------
    J. A. Ellis, L. Fiedler, G. A. Popoola, N. A. Modine, J. A. Stephens, A. P. Thompson,
    A. Cangi, S. Rajamanickam, Phys. Rev. B 104, 035120 (2021), where networks for aluminium were
    found in this way.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.svm import SVR
    >>> from skldos.search import DirectSearchCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> grid = {"C": [1, 10, 100, 1000], "epsilon": [0.1, 1, 10], "kernel": ["rbf", "linear"]}
    >>> search = DirectSearchCV(SVR(), grid, start={"C": 10}).fit(X, y)
    >>> search.locally_optimal_, len(search.cv_results_["params"]) < 24
    (True, True)
    """

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        start=None,
        max_rounds=None,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.start = start
        self.max_rounds = max_rounds

    def _run_search(self, evaluate_candidates):
        values = self._values()
        if self.max_rounds is not None:
            check_scalar("max_rounds", self.max_rounds, low=1, integer=True)
        centre = _start(self.start, values)
        evaluate = Evaluations(values, evaluate_candidates, self.refit)
        lines = [(axis, len(v)) for axis, v in enumerate(values.values())]
        path, self.n_rounds_, improved = [centre], 0, True
        while improved and self.n_rounds_ != self.max_rounds:
            self.n_rounds_ += 1
            improved = False
            for axis, n_values in lines:
                better = _best(evaluate, centre, _line(centre, axis, n_values))
                if better != centre:
                    centre, improved = better, True
                    path.append(centre)
        if improved:
            neighbors = [p for axis, n_values in lines for p in _line(centre, axis, n_values)]
            better = _best(evaluate, centre, neighbors)
            improved = better != centre
            if improved:
                path.append(better)
        self.path_ = [evaluate.index[point] for point in path]
        self.locally_optimal_ = not improved
        if improved:
            warnings.warn(
                f"max_rounds={self.max_rounds} ended the search before a local optimum: a change "
                "of one parameter still helped.",
                ConvergenceWarning,
                stacklevel=2,
            )


def _start(start, values):
    """Return the point to start from."""
    start = {} if start is None else start
    unknown = sorted(set(start) - set(values))
    if unknown:
        raise ValueError(
            f"start must have parameters of param_grid, {sorted(values)}; got {unknown}."
        )
    point = []
    for name, choices in values.items():
        positions = [i for i, v in enumerate(choices) if name in start and _same(v, start[name])]
        if name in start and not positions:
            raise ValueError(f"start[{name!r}] must be one of {choices}, got {start[name]!r}.")
        point.append(positions[0] if positions else 0)
    return tuple(point)


def _same(a, b):
    """Compare values of any kind, including arrays, for which == is not a single bool."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    return bool(a == b)


def _line(centre, axis, n_values):
    """Return the points that differ from `centre` along at most one axis."""
    return [(*centre[:axis], i, *centre[axis + 1 :]) for i in range(n_values)]


def _best(evaluate, centre, points):
    """Return the best of `points`, or `centre` unless another point is strictly better."""
    points = [centre, *points]
    scores = evaluate(points)
    return points[int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))]
