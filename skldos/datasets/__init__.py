"""Data sets: real ones that come with the package, synthetic ones, and how to make your own."""

from skldos.datasets.aluminium import (
    aluminium_recipe,
    load_aluminium,
    load_aluminium_pseudopotentials,
)
from skldos.datasets.aluminium_magnesium import load_aluminium_magnesium
from skldos.datasets.silicon import load_silicon, load_silicon_pseudopotentials
from skldos.datasets.silicon_carbide import load_silicon_carbide
from skldos.datasets.synthetic import make_snapshots

__all__ = [
    "load_aluminium",
    "load_aluminium_pseudopotentials",
    "aluminium_recipe",
    "load_aluminium_magnesium",
    "load_silicon",
    "load_silicon_pseudopotentials",
    "load_silicon_carbide",
    "make_snapshots",
    "EspressoRecipe",
]


def __getattr__(name):
    # Imported on first use, because the import takes a second.
    if name == "EspressoRecipe":
        from skldos.datasets.recipe import EspressoRecipe

        return EspressoRecipe
    raise AttributeError(f"module 'skldos.datasets' has no attribute {name!r}")
