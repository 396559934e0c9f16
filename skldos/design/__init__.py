"""Experimental design: which snapshots to compute next."""

from skldos.design.selector import SnapshotSelector

__all__ = ["SnapshotSelector"]
