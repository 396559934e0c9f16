"""Orthogonal array tuning of hyperparameters."""

import numpy as np

from skldos.docstrings import documented
from skldos.search.effects import span
from skldos.search.fractional._grid import OF_SEARCHES, Evaluations, PartialGridSearchCV
from skldos.search.fractional.orthogonal_arrays import orthogonal_array


@documented(OF_SEARCHES)
class OrthogonalArraySearchCV(PartialGridSearchCV):
    r"""Search a grid by the main effects of its parameters, from a small balanced subset.

    The candidates are the runs of an orthogonal array of strength 2
    (:func:`~skldos.search.orthogonal_array`), in which any two values of different parameters
    are combined equally often. The effect of a value is the mean score
    of its runs,

    .. math:: m_{ij} = \frac{1}{|R_{ij}|} \sum_{r \in R_{ij}} s_r ,

    and the importance of parameter i is :math:`\max_j m_{ij} - \min_j m_{ij}`. The predicted
    optimum combines the values of largest effect. It is evaluated too, and the best of all
    candidates is chosen. If the score is a sum of functions of one parameter each, this is the
    optimum of the whole grid. If parameters interact, the prediction may be worse than one of the
    runs, which is then chosen instead.

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

    Attributes
    ----------
    %(cv_results_)s
    array_ : ndarray of int of shape (n_runs, n_parameters)
        Positions in the lists of values; columns are in the order of `param_grid`. Runs that
        repeat are evaluated once and count as often as they appear.
    values_ : dict of str to list
        The values of every parameter.
    main_effects_ : dict of str to ndarray of shape (n_values,)
        The mean score of the runs with each value; NaN if all of them failed. Single failed runs
        are replaced by the prediction of an additive least-squares model of the others.
    importances_ : dict of str to float
        Range of the main effects, the largest first.
    predicted_params_ : dict
        The value of largest effect for every parameter, the first among equals.
    predicted_score_ : float
        Score of `predicted_params_` by the additive model.
    predicted_index_ : int
        Position of `predicted_params_` in `cv_results_`. A score far from `predicted_score_`
        reveals interactions.

    References
    ----------
    L. Fiedler, N. Hoffmann, P. Mohammed, G. A. Popoola, T. Yovell, V. Oles, J. A. Ellis,
    S. Rajamanickam, A. Cangi, Mach. Learn.: Sci. Technol. 3, 045008 (2022).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.svm import SVR
    >>> from skldos.search import OrthogonalArraySearchCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> grid = {"C": [1, 10, 100], "epsilon": [0.1, 1, 10], "gamma": [0.1, 1, 10]}
    >>> search = OrthogonalArraySearchCV(SVR(), grid).fit(X, y)
    >>> search.array_.shape  # 9 of 27 candidates
    (9, 3)
    >>> list(search.importances_)
    ['C', 'gamma', 'epsilon']
    """

    def _run_search(self, evaluate_candidates):
        self.values_ = values = self._values()
        self.array_ = orthogonal_array([len(v) for v in values.values()])
        evaluate = Evaluations(values, evaluate_candidates, self.refit)
        scores = evaluate(self.array_)
        filled = _fill(scores, self.array_)
        self.main_effects_ = {
            name: _means(scores, filled, column)
            for name, column in zip(values, self.array_.T, strict=True)
        }
        ranges = {name: span(effects) for name, effects in self.main_effects_.items()}
        self.importances_ = dict(sorted(ranges.items(), key=lambda item: -item[1]))
        best = [_first_best(effects) for effects in self.main_effects_.values()]
        self.predicted_params_ = evaluate.params(best)
        # s = mean + sum_i (m_i - mean)
        mean = filled.mean()
        peaks = [m[i] for m, i in zip(self.main_effects_.values(), best, strict=True)]
        self.predicted_score_ = float(mean + np.sum(np.array(peaks) - mean))
        evaluate([best])
        self.predicted_index_ = evaluate.index[tuple(best)]


def _fill(scores, array):
    """Replace the scores of failed runs by predictions of an additive model of the others.

    Without them the array is not balanced: a value whose good runs failed would seem bad.
    """
    finite = np.isfinite(scores)
    if finite.all() or not finite.any():
        return scores
    # s_r = sum_i c_i(r), by least squares; one column for every value of every parameter
    design = np.hstack([np.eye(column.max() + 1)[column] for column in array.T])
    coefficients = np.linalg.lstsq(design[finite], scores[finite], rcond=None)[0]
    return np.where(finite, scores, design @ coefficients)


def _means(scores, filled, column):
    """Return the mean of each value's runs, NaN where all of them failed."""
    masks = column == np.arange(column.max() + 1)[:, None]
    means = np.array([filled[mask].mean() for mask in masks])
    return np.where([np.isfinite(scores[mask]).any() for mask in masks], means, np.nan)


def _first_best(effects):
    return int(np.argmax(np.where(np.isnan(effects), -np.inf, effects)))
