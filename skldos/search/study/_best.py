"""Methods of a search that call its best estimator."""

from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted


def _has(method):
    """Return a check that the estimator has a method, for ``available_if``."""

    def check(self):
        getattr(getattr(self, "best_estimator_", self.estimator), method)
        return True

    return check


class BestEstimatorMixin:
    """Mixin of searches with an `estimator`, `refit`, ``best_estimator_`` and ``scorer_``."""

    @available_if(_has("predict"))
    def predict(self, X):
        """Predict with the best estimator.

        Parameters
        ----------
        X : sequence of Snapshot or array-like
            Input of the estimator.

        Returns
        -------
        Blocks or ndarray
            Predictions.
        """
        return self._best().predict(X)

    @available_if(_has("transform"))
    def transform(self, X):
        """Transform with the best estimator.

        Parameters
        ----------
        X : sequence of Snapshot or array-like
            Input of the estimator.

        Returns
        -------
        Blocks or ndarray
            Transformed data.
        """
        return self._best().transform(X)

    def score(self, X, y=None):
        """Return the score of the best estimator, as defined by `scoring`.

        Parameters
        ----------
        X : sequence of Snapshot or array-like
            Input of the estimator.
        y : array-like, optional
            Targets, if the snapshots do not have them.

        Returns
        -------
        float
            Greater is better.
        """
        best = self._best()
        scorer = self.scorer_[self._followed] if isinstance(self.scorer_, dict) else self.scorer_
        return scorer(best, X) if y is None else scorer(best, X, y)

    @property
    def n_features_in_(self):
        """Number of features seen in ``fit``, if the best estimator has it."""
        return self.best_estimator_.n_features_in_

    def _best(self):
        # The value of `refit` during fit counts, not its current value.
        if hasattr(self, "cv_results_") and not hasattr(self, "best_estimator_"):
            raise AttributeError(
                f"this {type(self).__name__} was made with refit=False: it has no best_estimator_."
            )
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags, tags.input_tags = inner.target_tags, inner.input_tags
        tags.array_api_support = False
        return tags
