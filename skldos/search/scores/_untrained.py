"""Networks with new random weights, for training-free scores."""

import copy

import numpy as np
import torch

from skldos.docstrings import entries_of
from skldos.exceptions import ScoringError
from skldos.prediction.pipelines import regressor_of
from skldos.regressors import BlockRegressor
from skldos.regressors.torch_state import seeded

#: Parameter texts that the scorers share; see :func:`skldos.docstrings.documented`.
OF_SCORERS = entries_of("""
    n_initializations : int, default=5
        Number of networks that differ only in their random weights.
    estimator : estimator
        Fitted; a skldos network regressor, or a pipeline that ends in one. Its weights are
        neither used nor changed.
    X : sequence of Snapshot, or Blocks, or array-like of shape (n_rows, n_features)
        Input of the estimator.
""")


def network_of(estimator, scorer):
    """Return the last step of an estimator, and the network regressor that it is or contains.

    Raise a ``ScoringError`` that names the `scorer` if there is no network regressor.
    """
    last = regressor_of(estimator)
    regressor = getattr(last, "regressor_", last)  # of an ADOSRegressor
    if not isinstance(regressor, BlockRegressor):
        raise ScoringError(
            f"{type(scorer).__name__} needs a network regressor of skldos, such as LDOSRegressor, "
            f"at the end of the pipeline, got {type(regressor).__name__}."
        )
    return last, regressor


def over_initializations(score, regressor, n_initializations, rng):
    """Return `score` of networks like that of `regressor` that differ only in their weights."""
    with seeded(rng, "cpu"):
        return np.array([score(untrained(regressor)) for _ in range(n_initializations)])


def untrained(regressor):
    """Return a network like that of `regressor` with new random weights."""
    if not isinstance(regressor.module, torch.nn.Module):
        options = regressor.get_params_for("module")
        return regressor.module(regressor.n_features_in_, regressor.n_outputs_, **options)
    network = copy.deepcopy(regressor.module)
    for layer in network.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
        elif any(True for _ in layer.parameters(recurse=False)):
            raise ScoringError(
                f"{type(layer).__name__} has parameters but no reset_parameters(): pass the class "
                "of the network as module, not an instance of it."
            )
    return network
