"""Hyperparameters from the runs of an orthogonal array."""

import numpy as np

from skldos.search._grid import Evaluations, PartialGridSearchCV
from skldos.search.orthogonal_arrays import orthogonal_array


class OrthogonalArraySearchCV(PartialGridSearchCV):
    r"""Search a grid by the main effects of its parameters, from a small balanced part of it.

    The candidates are the runs of an orthogonal array of strength 2
    (:func:`~skldos.search.orthogonal_arrays.orthogonal_array`), in which every value of a
    parameter meets every value of any other equally often. The effect of a value is the mean score
    of its runs,

    .. math:: m_{ij} = \frac{1}{|R_{ij}|} \sum_{r \in R_{ij}} s_r ,

    the importance of parameter i is :math:`\max_j m_{ij} - \min_j m_{ij}`, and the predicted
    optimum has the value of largest effect for each. It is evaluated too, and the best of all
    candidates is chosen: if the score is a sum of functions of one parameter each, that is the
    optimum of the whole grid; if parameters interact, the prediction may be worse than one of
    the runs, and is dropped then.

    Parameters
    ----------
    estimator : estimator
        What is fitted, often a pipeline.
    param_grid : dict of str to sequence
        The values of every parameter, of any kind.
    scoring : str, callable, list, tuple or dict, optional
        As for GridSearchCV. The search follows one metric: among several, the one that `refit`
        names.
    n_jobs : int, optional
        Number of parallel fits.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all data; with several metrics, the name of one. A
        callable, which goes with a single metric, chooses another candidate than the best.
    cv : int, splitter or iterable, optional
        The cross-validation. All candidates are compared on the same splits, also if the
        splitter shuffles without a seed.
    verbose : int, default=0
        How much is printed.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of fits that are dispatched at a time.
    error_score : "raise" or float, default=nan
        The score of a fit that fails.
    return_train_score : bool, default=False
        Whether `cv_results_` has the scores of the training data.

    Attributes
    ----------
    cv_results_, best_index_, best_params_, best_score_, best_estimator_, scorer_, refit_time_
        As for GridSearchCV: all candidates in the order in which they were evaluated, and the
        best of them all.
    array_ : ndarray of int of shape (n_runs, n_parameters)
        Positions in the lists of values; columns are in the order of `param_grid`. Runs that
        repeat are evaluated once and count as often as they appear.
    main_effects_ : dict of str to ndarray of shape (n_values,)
        The mean score of the runs with each value; NaN if all of them failed. Single failed runs
        enter with what an additive model of the others, by least squares, expects of them.
    importances_ : dict of str to float
        Range of the main effects, the largest first.
    predicted_params_ : dict
        The value of largest effect for every parameter, the first among equals.
    predicted_score_ : float
        What an additive model expects for them.
    predicted_index_ : int
        Where they are in `cv_results_`; its score there, far from the expected, reveals
        interactions.

    References
    ----------
    L. Fiedler, N. Hoffmann, P. Mohammed, G. A. Popoola, T. Yovell, V. Oles, J. A. Ellis,
    S. Rajamanickam, A. Cangi, Mach. Learn.: Sci. Technol. 3, 045008 (2022).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.svm import SVR
    >>> from skldos.search.orthogonal import OrthogonalArraySearchCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> grid = {"C": [1, 10, 100], "epsilon": [0.1, 1, 10], "gamma": [0.1, 1, 10]}
    >>> search = OrthogonalArraySearchCV(SVR(), grid).fit(X, y)
    >>> search.array_.shape  # 9 of 27 candidates
    (9, 3)
    >>> list(search.importances_)
    ['C', 'gamma', 'epsilon']
    """

    def _run_search(self, evaluate_candidates):
        values = self._values()
        self.array_ = orthogonal_array([len(v) for v in values.values()])
        evaluate = Evaluations(values, evaluate_candidates, self.refit)
        scores = evaluate(self.array_)
        filled = _fill(scores, self.array_)
        self.main_effects_ = {
            name: _means(scores, filled, column)
            for name, column in zip(values, self.array_.T, strict=True)
        }
        ranges = {name: _range(effects) for name, effects in self.main_effects_.items()}
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
    """Replace the scores of failed runs by what an additive model of the others expects.

    Without them the array is not balanced: a value whose good runs failed would look bad.
    """
    seen = np.isfinite(scores)
    if seen.all() or not seen.any():
        return scores
    # s_r = sum_i c_i(r), by least squares; one column for every value of every parameter
    design = np.hstack([np.eye(column.max() + 1)[column] for column in array.T])
    coefficients = np.linalg.lstsq(design[seen], scores[seen], rcond=None)[0]
    return np.where(seen, scores, design @ coefficients)


def _means(scores, filled, column):
    """Return the mean of each value's runs, NaN where all of them failed."""
    chosen = column == np.arange(column.max() + 1)[:, None]
    means = np.array([filled[rows].mean() for rows in chosen])
    return np.where([np.isfinite(scores[rows]).any() for rows in chosen], means, np.nan)


def _range(effects):
    finite = effects[np.isfinite(effects)]
    return float(np.ptp(finite)) if len(finite) else 0.0


def _first_best(effects):
    return int(np.argmax(np.where(np.isnan(effects), -np.inf, effects)))
