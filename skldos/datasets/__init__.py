"""Data sets: real ones that come with the package, and synthetic ones."""

from skldos.datasets.aluminium import load_aluminium
from skldos.datasets.synthetic import make_snapshots

__all__ = ["load_aluminium", "make_snapshots"]
