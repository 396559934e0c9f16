"""Active learning: choose the next snapshots to compute, from a pool or during a simulation."""

from skldos.active.on_the_fly import OnTheFlyLearner
from skldos.active.selector import SnapshotSelector

__all__ = ["SnapshotSelector", "OnTheFlyLearner"]
