"""Network regressors with the interface of scikit-learn."""

from skldos.regressors.ldos import LDOSRegressor

__all__ = ["LDOSRegressor"]
