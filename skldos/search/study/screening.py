"""Screening of many candidates by training-free scores."""

from collections import defaultdict
from itertools import islice

import numpy as np
import optuna
from optuna import TrialPruned
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from skldos.search.study._folds import Fold, n_samples
from skldos.search.study._space import check_space, label, suggest
from skldos.search.study._storage import quiet
from skldos.validation import check_scalar

#: Draws without a new candidate after which a space counts as exhausted.
MAX_REPEATS = 200


def screen_candidates(
    estimator, space, X, y=None, *, scorer, n_candidates=100, n_best=10, random_state=None
):
    """Sample candidates from a space and keep those with the best training-free scores.

    This is the first of two stages; in the second, pass the result to :class:`StudySearchCV` as
    `candidates` to train them. Transformers are fitted once for all candidates that share them, and
    nothing is trained.

    Parameters
    ----------
    estimator : estimator
        Estimator to search over, often a pipeline that ends in a network.
    space : dict or callable
        As for :class:`StudySearchCV`.
    X : sequence of Snapshot or array-like
        Data for the score; a few snapshots are enough.
    y : array-like, optional
        Targets, if the snapshots do not have them.
    scorer : callable
        The score, such as ``NASWOTScorer(random_state=0)``.
    n_candidates : int, default=100
        Number of different candidates to draw; all of them if the space has fewer.
    n_best : int, default=10
        Largest number of candidates to return. Of several with equal scores, which differ only in
        parameters that do not affect the score, such as the learning rate, one is kept.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    candidates : list of dict
        Parameters suggested by the space, the best candidate first.
    scores : ndarray of shape (n_found,)
        Their scores.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.search import NASWOTScorer, screen_candidates
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=4), RowWise(StandardScaler()), LDOSRegressor()
    ... )
    >>> candidates, scores = screen_candidates(
    ...     model,
    ...     {"ldosregressor__module__hidden_layer_sizes": [(5,), (50,), (50, 50)]},
    ...     make_snapshots(1, random_state=0),
    ...     scorer=NASWOTScorer(batch_size=12, random_state=0),
    ...     n_best=2,
    ...     random_state=0,
    ... )
    >>> candidates[0]
    {'ldosregressor__module__hidden_layer_sizes': (5,)}
    """
    check_space(space)
    check_scalar("n_candidates", n_candidates, low=1, integer=True)
    check_scalar("n_best", n_best, low=1, integer=True)
    candidates = list(islice(_draw(space, random_state), n_candidates))
    groups = defaultdict(list)
    for i, (_, params) in enumerate(candidates):
        groups[_transformers(estimator, params)].append(i)
    split = np.arange(n_samples(X)), []
    scores = np.empty(len(candidates))
    for members in groups.values():  # one group at a time, because descriptors are large
        fold = None
        for i in members:
            params = clone(candidates[i][1], safe=False)
            candidate = clone(estimator).set_params(**params)
            fold = Fold(candidate, X, y, split) if fold is None else fold
            scores[i] = fold.training_free(scorer, candidate)
    # The first of those with equal scores.
    order = np.unique(-scores, return_index=True)[1][:n_best]
    return [candidates[i][0] for i in order], scores[order]


def _draw(space, random_state):
    """Yield random suggestions of the space and their parameters, without repetition."""
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    with quiet():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    keys, n_repeats = set(), 0
    while n_repeats < MAX_REPEATS:
        trial = study.ask()
        n_repeats += 1
        try:
            params = suggest(space, trial)
        except TrialPruned:  # the space forbids it
            continue
        key = repr(sorted(trial.params.items()))
        if key not in keys:
            n_repeats = 0
            keys.add(key)
            yield (dict(trial.params) if callable(space) else params), params


def _transformers(estimator, params):
    """Return a key that is equal for candidates with the same transformers."""
    last = f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""
    return repr(sorted((n, label(v)) for n, v in params.items() if not n.startswith(last)))
