"""Data sets: real ones that come with the package, synthetic ones, and how to make your own."""

from skldos.datasets.aluminium import (
    aluminium_recipe,
    load_aluminium,
    load_aluminium_pseudopotentials,
)
from skldos.datasets.silicon import load_silicon, load_silicon_pseudopotentials
from skldos.datasets.synthetic import make_snapshots

__all__ = [
    "load_aluminium",
    "load_aluminium_pseudopotentials",
    "aluminium_recipe",
    "load_silicon",
    "load_silicon_pseudopotentials",
    "make_snapshots",
    "EspressoRecipe",
]


def __getattr__(name):
    # Importing it takes a second, which those who load data need not spend.
    if name == "EspressoRecipe":
        from skldos.datasets.espresso import EspressoRecipe

        return EspressoRecipe
    raise AttributeError(f"module 'skldos.datasets' has no attribute {name!r}")
