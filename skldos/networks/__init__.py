"""Networks in plain torch: tensors in, tensors out, no estimators."""

from skldos.networks.backpropagation import Backpropagation
from skldos.networks.csnn import ConcentricSpherical
from skldos.networks.feedforward import FeedForward

__all__ = ["FeedForward", "ConcentricSpherical", "Backpropagation"]
