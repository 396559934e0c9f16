"""Scores of a net during training, by skorch's callbacks."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import check_scoring

from skldos.regressors.block_dataset import BlockDataset


class DatasetScoring:
    """Scoring function for skorch's callbacks, for blocks.

    scikit-learn's scorers ("r2") get the joined rows of all blocks, or of the batch. Other
    functions, such as skldos's scorers, get the blocks with their snapshots. With None, the score
    of the net is used.
    """

    def __init__(self, scoring):
        self.scoring = scoring

    def __call__(self, net, X, y=None):
        """Return the score of `net` on a dataset, or on a batch of tensors."""
        by_rows = isinstance(self.scoring, str) or hasattr(self.scoring, "_score_func")
        if isinstance(X, BlockDataset):
            if not by_rows:
                blocks = X.blocks
                if self.scoring is None:
                    return net.score(blocks, X.targets)
                return self.scoring(net, blocks, X.targets)
            pairs = list(net._true_and_predicted(X))
            true, predicted = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
        else:
            if not (by_rows or self.scoring is None):
                return self.scoring(net, X, y)
            true = net._scaling.restore(np.asarray(y))
            predicted = np.concatenate([net._restored(outputs) for outputs in net.forward_iter(X)])
        estimator = _StoredPrediction(predicted)
        return check_scoring(estimator, self.scoring)(estimator, predicted, true)


class _StoredPrediction(RegressorMixin, BaseEstimator):
    """An estimator that returns stored predictions."""

    def __init__(self, predicted):
        self.predicted = predicted

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return self.predicted
