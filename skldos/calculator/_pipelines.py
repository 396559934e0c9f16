"""Split fitted pipelines into copies of their steps, which a calculator can modify."""

import copy

from skldos.data.calculation import energy_grid_of
from skldos.descriptors import BlockUnion, RowWise
from skldos.prediction.observables import knows_broadening, sharpening_order
from skldos.validation import check_scalar


def check_row_wise(name, steps):
    """Raise a ``TypeError`` unless all steps between the ends of a pipeline are RowWise."""
    for step in steps:
        if not isinstance(step, RowWise):
            raise TypeError(
                f"between the first and the last step, {name} may only have steps RowWise(...), "
                f"got {type(step).__name__}."
            )


def parts_of(transformer):
    """Return the transformers of a union, or the single transformer."""
    return transformer.parts if isinstance(transformer, BlockUnion) else [transformer]


def with_parameters(transformer, parameters):
    """Return a copy of a fitted transformer with changed parameters; unknown ones are ignored.

    All parts of a union are copied.
    """
    transformer = copy.copy(transformer)
    if isinstance(transformer, BlockUnion):
        transformer.transformer_list = [
            (name, step if step == "drop" else with_parameters(step, parameters))
            for name, step in transformer.transformer_list
        ]
        return transformer
    names = transformer.get_params()
    return transformer.set_params(**{k: v for k, v in parameters.items() if k in names})


def sharpening_of(regressor, order, trained):
    """Return the matrix that undoes the broadening of the training data, None for order 0.

    Without an order, it is 2 if the broadening is known. `trained` begins the reason of an error.
    """
    grid = energy_grid_of(regressor)
    order = sharpening_order(grid, order)
    if check_scalar("sharpen", order, low=0, integer=True) == 0:
        return None
    if not knows_broadening(grid):
        raise ValueError(
            f"sharpen must be 0 or None, because {trained} whose broadening is not known; got "
            f"{order}."
        )
    return grid.sharpening_matrix(order)
