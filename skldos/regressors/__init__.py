"""Network regressors with the interface of scikit-learn."""

from skldos.regressors._base import BlockRegressor
from skldos.regressors.ldos import LDOSRegressor

__all__ = ["BlockRegressor", "LDOSRegressor"]
