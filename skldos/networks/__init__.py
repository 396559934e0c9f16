"""Networks in plain torch: functions of tensors, no estimators."""

from skldos.networks.backpropagation import Backpropagation
from skldos.networks.csnn import ConcentricSpherical
from skldos.networks.feedforward import FeedForward
from skldos.networks.mixture import MixtureDensity

__all__ = ["FeedForward", "ConcentricSpherical", "MixtureDensity", "Backpropagation"]
