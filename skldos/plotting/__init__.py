"""Pictures of what a model predicts, as displays in the manner of scikit-learn.

A display is made by ``from_estimator`` or ``from_predictions``, keeps the numbers it shows, and
draws them by ``plot`` into given or new axes. matplotlib is imported when something is drawn.
"""

from skldos.plotting.ados import ADOSDisplay
from skldos.plotting.calibration import CalibrationDisplay
from skldos.plotting.density import DensityDisplay
from skldos.plotting.dos import DOSDisplay
from skldos.plotting.environment import EnvironmentDisplay
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
]
