"""Regressors of blocks with scikit-learn's interface: networks, and wrappers of any regressor."""

from skldos.regressors.ados import ADOSRegressor
from skldos.regressors.free_energy.regressor import FreeEnergyRegressor
from skldos.regressors.neural.base import BlockRegressor
from skldos.regressors.neural.csnn import CSNNRegressor
from skldos.regressors.neural.ldos import LDOSRegressor
from skldos.regressors.neural.mdn import MDNRegressor
from skldos.regressors.site import SiteRegressor
from skldos.regressors.site_cv import SiteRidgeCV

__all__ = [
    "BlockRegressor",
    "LDOSRegressor",
    "CSNNRegressor",
    "MDNRegressor",
    "SiteRegressor",
    "SiteRidgeCV",
    "ADOSRegressor",
    "FreeEnergyRegressor",
]
