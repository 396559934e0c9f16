"""Layers on concentric spheres: features on vertices of an icosphere, in shells around an atom.

All layers take and return tensors of shape (n_vertices, n_rows, n_spheres, n_channels); a row is an
atom. With the vertices first and the channels last, sums over neighbours add contiguous memory, and
everything else is a matrix product.
"""

import numpy as np
import torch
from torch import nn


class NormReLU(nn.BatchNorm1d):
    """Batch normalisation of the last axis over all others, then a ReLU.

    A batch with one value per channel has no variance and is normalised as in evaluation.
    """

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        if self.training and len(rows) == 1:
            rows = nn.functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        else:
            rows = super().forward(rows)
        # In place, because these are the largest arrays of the network; not possible on a view.
        return torch.relu_(rows).view(x.shape)


class _Sum(torch.autograd.Function):
    r"""Sums of rows of a matrix, :math:`y_i = \sum_{j \in I_i} x_j`.

    ``embedding_bag`` adds rows an order of magnitude faster than a sparse matrix product; the
    gradient is the same sum with the transposed lists.
    """

    @staticmethod
    def forward(ctx, x, lists, transposed):
        ctx.lists = transposed, lists
        return nn.functional.embedding_bag(lists[0], x, lists[1], mode="sum")

    @staticmethod
    def backward(ctx, gradient):
        return _Sum.apply(gradient.contiguous(), *ctx.lists), None, None


class NeighborSum(nn.Module):
    """Sums over fixed lists of vertices.

    Each row of `members`, (n_sums, n_max), holds the vertices of a sum; -1 means none.
    """

    def __init__(self, members, n_vertices):
        super().__init__()
        into, column = np.nonzero(members >= 0)
        source = members[into, column]
        self._register("", into, source, len(members))
        order = np.argsort(source, kind="stable")
        self._register("transposed_", source[order], into[order], n_vertices)

    def _register(self, prefix, into, source, n_sums):
        # Constants of the mesh: they move to a device with the network, but are not trained.
        starts = np.searchsorted(into, np.arange(n_sums))
        for name, values in (("sources", source), ("starts", starts)):
            self.register_buffer(prefix + name, torch.tensor(values), persistent=False)

    def forward(self, x):
        """Return sums of shape (n_sums, …) of `x` of shape (n_vertices, …)."""
        sums = _Sum.apply(
            x.reshape(x.shape[0], -1),
            (self.sources, self.starts),
            (self.transposed_sources, self.transposed_starts),
        )
        return sums.view(-1, *x.shape[1:])


class Spheres(nn.Module):
    """Unfold rows of numbers, (channel, sphere, vertex) with the vertex fastest."""

    def __init__(self, n_channels, n_spheres, n_vertices):
        super().__init__()
        self.shape = n_channels, n_spheres, n_vertices

    def forward(self, rows):
        """Return `rows` of shape (n_rows, n_in), or with their axes, in the layout above."""
        return rows.reshape(-1, *self.shape).permute(3, 0, 2, 1)


class GraphConvolution(nn.Module):
    r"""A convolution within each sphere, over neighbouring vertices.

    .. math:: h'_v = \phi\Big(\mathrm{BN}\Big(\sum_{u \in N(v) \cup v} h_u W + b\Big)\Big)

    with the ReLU :math:`\phi`, plus :math:`h_v` itself if `n_in` equals `n_out`. With
    `self_weight`, :math:`v` has its own matrix in the sum. `neighbors`, (n_vertices, n_max), are
    those of every vertex; -1 means none. `dropout` is the probability of dropping an input in
    training.
    """

    def __init__(self, n_in, n_out, neighbors, *, dropout=0.0, self_weight=False):
        super().__init__()
        members = neighbors
        if not self_weight:
            members = np.concatenate([np.arange(len(neighbors))[:, None], neighbors], axis=1)
        self.dropout = nn.Dropout(dropout)
        self.neighbor_sum = NeighborSum(members, len(neighbors))
        self.linear = nn.Linear(n_in, n_out)
        self.self_linear = nn.Linear(n_in, n_out, bias=False) if self_weight else None
        self.norm = NormReLU(n_out)
        self.residual = n_in == n_out

    def forward(self, x):
        """Return features of shape (n_vertices, n_rows, n_spheres, n_out)."""
        h = self.dropout(x)
        out = self.linear(self.neighbor_sum(h))
        if self.self_linear is not None:
            out = out + self.self_linear(h)
        out = self.norm(out)
        return x + out if self.residual else out


class RadialConvolution(nn.Module):
    """A convolution along each ray, over three neighbouring spheres, then BN and ReLU.

    `dropout` is the probability of dropping an input in training.
    """

    def __init__(self, n_in, n_out, *, dropout=0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv = nn.Conv1d(n_in, n_out, kernel_size=3, padding=1)
        self.norm = NormReLU(n_out)

    def forward(self, x):
        """Return features of shape (n_vertices, n_rows, n_spheres, n_out)."""
        # Rays are images of height n_spheres and width 1; their channels stay last in memory.
        rays = self.dropout(x).reshape(-1, x.shape[2], 1, x.shape[3])
        weight = self.conv.weight[..., None].contiguous(memory_format=torch.channels_last)
        out = nn.functional.conv2d(rays.permute(0, 3, 1, 2), weight, self.conv.bias, padding=(1, 0))
        out = out.permute(0, 2, 3, 1).reshape(*x.shape[:3], -1)
        return self.norm(out)


class VertexPooling(nn.Module):
    """The mean over a vertex and its neighbours, at the vertices of the next coarser mesh.

    Each row of `members`, (n_coarse, n_max), holds the vertices of a mean; -1 means none.
    `n_vertices` is the number of vertices of the finer mesh.
    """

    def __init__(self, members, n_vertices):
        super().__init__()
        self.neighbor_sum = NeighborSum(members, n_vertices)
        sizes = torch.tensor((members >= 0).sum(axis=1)).view(-1, 1, 1, 1)
        self.register_buffer("sizes", sizes, persistent=False)

    def forward(self, x):
        """Return features of shape (n_coarse, n_rows, n_spheres, n_channels)."""
        return self.neighbor_sum(x) / self.sizes


class Mean(nn.Module):
    """The mean over vertices (axis 0) or spheres (axis 2), which remains as an axis of length 1."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        return x.mean(dim=self.axis, keepdim=True)


class Features(nn.Module):
    """Drop the axes of averaged vertices and spheres: returns shape (n_rows, n_channels)."""

    def forward(self, x):
        return x[0, :, 0]


class Smoothing(nn.Module):
    """The mean of three learned convolutions, each with a ReLU, over neighbouring outputs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 3, kernel_size=3, padding=1)
        with torch.no_grad():
            # Inputs are not negative; with negative initial weights all outputs could stay zero.
            self.conv.weight.abs_()
            self.conv.bias.zero_()

    def forward(self, rows):
        """Return rows of the same shape (n_rows, n_outputs)."""
        return torch.relu(self.conv(rows[:, None])).mean(dim=1)


def dense(n_in, n_out, dropout=0.0):
    """Return the layers of a dense block: dropout, matrix product, BN, ReLU."""
    return [nn.Dropout(dropout), nn.Linear(n_in, n_out), NormReLU(n_out)]
