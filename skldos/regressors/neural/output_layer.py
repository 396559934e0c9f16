r"""The last layer of a network, fitted in closed form.

A network of the LDOS is mostly used for sums over its predictions: the density of states, and the
band energy computed from it. Gradient descent on batches leaves errors that are small at every grid
point, but have the same sign at many points and add up. The last layer is linear, so its best
weights are known: with the outputs :math:`h_r` of the hidden layers and the residuals
:math:`\rho_r` of the trained network, the change of weights that minimises

.. math:: \sum_k \Big[ \sum_{r \in k} |\Delta W h_r - \rho_r|^2
          + \frac{\lambda}{n_k} \Big| \sum_{r \in k} (\Delta W h_r - \rho_r) \Big|^2 \Big]

over all snapshots k of :math:`n_k` points solves a linear system. :math:`\lambda` weighs the mean
error of a snapshot against the mean square error of its points: 0 is ordinary least squares.
"""

from itertools import repeat

import torch
from torch import nn

from skldos.regressors.team import SINGLE_PROCESS
from skldos.regressors.torch_state import uncompiled

#: Ridge penalty on the change of weights, for many more rows than weights.
RIDGE = 1e-6

#: Rows that pass through the network at once; they stay in the cache of a core.
TILE_ROWS = 512


def output_layer(network):
    """Return the linear last layer of `network` and the layers before it, or None twice."""
    network = uncompiled(network)
    last = list(network)[-1] if isinstance(network, nn.Sequential) else None
    if type(last) is nn.Linear and last.bias is not None and last.weight.requires_grad:
        return last, nn.Sequential(*list(network)[:-1])
    return None, None


@torch.no_grad()
def fit_output_layer(
    network, snapshots, weight, ridge=RIDGE, snapshot_weights=None, team=SINGLE_PROCESS
):
    """Refit the last layer of a trained `network` in place.

    Parameters
    ----------
    network : torch.nn.Sequential
        Network in evaluation mode that ends in a linear layer.
    snapshots : iterable of iterable of (inputs, targets)
        For every snapshot its rows in slices: tensors of shape (n_rows, n_in) and
        (n_rows, n_out), targets in units of the network's output.
    weight : float
        Weight of the error of the sum over a snapshot, >= 0.
    ridge : float
        Ridge on the change of weights, in units of the mean eigenvalue of the normal matrix, > 0:
        weights that the hidden layer does not determine stay as trained.
    snapshot_weights : sequence of float, optional
        How often every snapshot counts; None is once.
    team : Team
        Processes that hold parts of the rows of every snapshot.
    """
    last, hidden_layers = output_layer(network)
    n_hidden = last.in_features + 1  # the bias is the weight of a constant
    # Columns: hidden outputs, the constant, residuals. Rounding of float32 would exceed the small
    # eigenvalues of the normal matrix.
    double = {"dtype": torch.float64, "device": last.weight.device}
    rows = torch.ones((TILE_ROWS, n_hidden + last.out_features), **double)
    products = torch.zeros((n_hidden, rows.shape[1]), **double)
    sums = []
    for slices, w in zip(snapshots, snapshot_weights or repeat(1.0)):  # noqa: B905 (endless)
        of_snapshot = torch.zeros_like(products)
        for inputs, targets in _tiles(slices):
            hidden = hidden_layers(inputs)
            joint = rows[: len(inputs)]
            joint[:, : n_hidden - 1] = hidden
            joint[:, n_hidden:] = targets - last(hidden)
            of_snapshot.addmm_(joint[:, :n_hidden].T, joint)
        products += w * of_snapshot
        # Those with the constant: number of rows, and the sums over them. Without the copy, the
        # products of all snapshots would stay in memory.
        sums.append(of_snapshot[-1].clone())
    products, sums = team.sum(products, torch.stack(sums))
    for total, w in zip(sums, snapshot_weights or repeat(1.0)):  # noqa: B905 (endless)
        products += w * weight / total[n_hidden - 1] * torch.outer(total[:n_hidden], total)
    normal, rhs = products.split([n_hidden, last.out_features], dim=1)
    normal.diagonal().add_(ridge * normal.trace() / n_hidden)
    change = torch.linalg.solve(normal, rhs).T.to(last.weight.dtype)
    last.weight += change[:, :-1]
    last.bias += change[:, -1]


def _tiles(slices):
    """Cut pairs of tensors into pairs of few rows."""
    for pair in slices:
        yield from zip(*(tensor.split(TILE_ROWS) for tensor in pair), strict=True)
