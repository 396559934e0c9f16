"""Networks in plain torch: tensors in, tensors out, no estimators."""

from skldos.networks.backpropagation import backpropagate, can_backpropagate
from skldos.networks.feedforward import FeedForward

__all__ = ["FeedForward", "backpropagate", "can_backpropagate"]
