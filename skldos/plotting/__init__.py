"""Plots of models, data and searches, as displays in scikit-learn's style.

Make a display with ``from_estimator`` or ``from_predictions``. It keeps the numbers it shows, and
``plot`` draws them into given or new axes. matplotlib is imported when something is drawn.
"""

from skldos.plotting.ados import ADOSDisplay
from skldos.plotting.calibration import CalibrationDisplay
from skldos.plotting.density import DensityDisplay
from skldos.plotting.dos import DOSDisplay
from skldos.plotting.environment import EnvironmentDisplay
from skldos.plotting.on_the_fly import OnTheFlyDisplay
from skldos.plotting.parity import ParityDisplay
from skldos.plotting.search import SearchDisplay

__all__ = [
    "DOSDisplay",
    "ADOSDisplay",
    "ParityDisplay",
    "DensityDisplay",
    "EnvironmentDisplay",
    "CalibrationDisplay",
    "SearchDisplay",
    "OnTheFlyDisplay",
]
