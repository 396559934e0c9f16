"""The recipe that calculates snapshots with pw.x: input, run, results."""

from skldos.datasets.recipe.recipe import EspressoRecipe

__all__ = ["EspressoRecipe"]
