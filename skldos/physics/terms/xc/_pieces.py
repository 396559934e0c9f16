"""Evaluate pointwise functions on many points in little memory."""

import functools

import torch

#: Points per piece: few enough to stay in a processor's cache.
PIECE = 2**15


def in_pieces(function, *fields):
    """Evaluate a pointwise function of fields on a grid, piece by piece.

    The function takes as many tensors (n_points,) as there are fields, and returns one.

    Automatic differentiation would keep every intermediate result at every point, about a hundred
    arrays of the size of the grid for a gradient-corrected functional and its second derivative.
    This function keeps only the fields, and evaluates the function again when a derivative is
    needed. The derivative is itself a pointwise function and is treated the same way. Derivatives
    of any order therefore agree with autograd to rounding.
    """
    return _InPieces.apply(function, *fields)


class _InPieces(torch.autograd.Function):
    """A pointwise function, with a derivative that is evaluated in pieces as well."""

    @staticmethod
    def forward(ctx, function, *fields):
        ctx.function = function
        ctx.save_for_backward(*fields)
        values = torch.empty_like(fields[0], memory_format=torch.contiguous_format)
        pieces = (field.reshape(-1).split(PIECE) for field in (values, *fields))
        for value, *piece in zip(*pieces, strict=True):
            value.copy_(function(*piece))
        return values

    @staticmethod
    def backward(ctx, weight):
        slopes = (
            in_pieces(functools.partial(_slope, ctx.function, i), *ctx.saved_tensors, weight)
            if needed
            else None
            for i, needed in enumerate(ctx.needs_input_grad[1:])
        )
        return None, *slopes


def _slope(function, i, *fields):
    """Return the derivative of the function with respect to argument i, times the last field."""
    *x, weight = fields
    again = torch.is_grad_enabled()  # True if this derivative is itself differentiated
    with torch.enable_grad():
        x[i] = x[i].view_as(x[i]) if x[i].requires_grad else x[i].detach().requires_grad_()
        value = function(*x)
        return torch.autograd.grad(value, x[i], weight, create_graph=again, materialize_grads=True)[
            0
        ]
