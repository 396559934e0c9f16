"""One or several scores of a candidate, one of which the study follows."""

from sklearn.metrics import check_scoring

#: Name of a single metric.
SINGLE_METRIC = "score"


class Metrics:
    """Scorers by name, called as one, for the `scoring` and `refit` of a ``StudySearchCV``.

    Raise a ``TypeError`` if `scoring` has another type, and a ``ValueError`` if there are several
    metrics and `refit`, which names the one to follow, names none of them.
    """

    def __init__(self, estimator, scoring, refit):
        if isinstance(scoring, (list, tuple, set, dict)):
            scorers = scoring if isinstance(scoring, dict) else {name: name for name in scoring}
            if refit not in scorers:
                raise ValueError(
                    "refit must name the metric that the study follows, one of "
                    f"{sorted(map(str, scorers))}; got {refit!r}."
                )
            #: As ``scorer_`` of scikit-learn's searches: a scorer, or a dict of them.
            self.scorers = {
                name: check_scoring(estimator, scoring=scorer) for name, scorer in scorers.items()
            }
            self.followed = refit
            self._score = check_scoring(estimator, scoring=self.scorers)  # one prediction
        elif scoring is None or isinstance(scoring, str) or callable(scoring):
            self.scorers = check_scoring(estimator, scoring=scoring)
            self.followed = SINGLE_METRIC
            self._score = self.scorers
        else:
            raise TypeError(
                "scoring must be a scorer's name, a callable, or a list of names or a dict for "
                f"several scorers; got {scoring!r}."
            )

    @property
    def names(self):
        """Names of the metrics."""
        return list(self.scorers) if isinstance(self.scorers, dict) else [SINGLE_METRIC]

    def __call__(self, estimator, *data):
        """Return the scores of a fitted estimator, a float for each name."""
        try:
            scores = self._score(estimator, *data)
        except TypeError as error:
            if "'y_true'" not in str(error):
                raise
            raise ValueError(
                "scoring by a name of scikit-learn compares y, but the targets are in the "
                "snapshots: pass a scorer such as BandEnergyScorer()."
            ) from error
        scores = scores if isinstance(self.scorers, dict) else {SINGLE_METRIC: scores}
        return {name: float(score) for name, score in scores.items()}
