"""The concentric spherical network of Fox et al."""

import numpy as np
from torch import nn

from skldos.geometry.sphere import icosphere
from skldos.networks._spherical_layers import (
    Features,
    GraphConvolution,
    Mean,
    NormReLU,
    RadialConvolution,
    Smoothing,
    Spheres,
    VertexPooling,
    dense,
)
from skldos.validation import check_option, check_scalar

#: Channels of the first level for a factor of 1; every level has twice as many as the one before.
BASE_CHANNELS = 16

#: Meshes that the network supports, from the finest to none.
SUBDIVISIONS = (3, 2, 1, 0, None)


class ConcentricSpherical(nn.Sequential):
    r"""Network on concentric spheres around an atom, invariant under icosahedral rotations.

    The inputs are numbers on the vertices of an icosphere, in shells around the atom. Each level of
    the mesh, starting with the finest, has two graph convolutions over neighbouring vertices and
    two convolutions over neighbouring shells. Averaging over each vertex and its neighbours leads
    to the next coarser mesh. The icosahedron itself has one graph convolution, the mean over all
    vertices, one radial convolution, and the mean over the shells. Dense layers follow. Every layer
    has a batch normalisation and a ReLU [1]_.

    Filters are isotropic and means include all vertices, so the 60 rotations of the icosahedron
    (and its inversion) do not change the outputs.

    Parameters
    ----------
    n_in : int
        Number of inputs per atom: channels (such as species) × spheres × vertices, vertices
        fastest.
    n_out : int
        Number of outputs.
    n_spheres : int, default=16
        Number of shells.
    subdivisions : {3, 2, 1, 0} or None, default=3
        Level of the mesh, with 642, 162, 42 or 12 vertices; the network has one level less for
        each. None means spheres without directions, with one vertex; together with ``n_spheres=1``
        the network consists of dense layers, for any `n_in`.
    factor : int, default=4
        Width of all layers: level *i* has 16 · factor · 2^i channels within spheres and twice that
        number between them; the dense layers have the width of the last level between spheres.
    n_hidden : int, default=2
        Number of dense layers before the output.
    dropout : float, default=0.0
        Probability of dropping an input of a layer in training; inputs of the network itself are
        never dropped.
    output : {"smooth", "linear"}, default="smooth"
        Kind of last layer. ``"smooth"`` is that of Ref. [1]_, for non-negative spectra: batch
        normalisation, ReLU, and smoothing over neighbouring outputs. ``"linear"`` is only a matrix
        product: targets may have any sign, and the regressors can refit it in closed form.
    self_weight : bool, default=False
        Whether a vertex has different weights than its neighbours in the graph convolutions.
    spheres : {"convolution", "channels"}, default="convolution"
        How the network treats the spheres. ``"convolution"`` is Ref. [1]_: all spheres share the
        same filters, convolutions between spheres run along the rays, and the mean over the spheres
        comes last. The distance of a neighbour then affects little more than its weight.
        ``"channels"`` treats all spheres as channels of a single one: every distance has its own
        weights in the first layer and there are no convolutions between spheres. This saves a
        factor of more than the number of spheres in computing time.
    n_levels : int, optional
        Number of mesh levels, starting with the finest; the last one has a single graph convolution
        and means over all vertices. None uses all levels down to the icosahedron. With 1 and
        spheres as channels the network is shallow: one graph convolution and the layers after the
        means. An epoch then takes a tenth of the time, and with a few hundred atoms of training
        data it extrapolates better.

    References
    ----------
    .. [1] Fox et al., "Resolving Computational Challenges in Accelerating Electronic
       Structure Calculations using Machine Learning".

    Examples
    --------
    The network of the paper, for 250 energies:

    >>> network = ConcentricSpherical(16 * 642, 250)
    >>> sum(weights.numel() for weights in network.parameters())
    5924026

    A smaller one, for two species on 8 spheres of 42 vertices:

    >>> import torch
    >>> small = ConcentricSpherical(2 * 8 * 42, 81, n_spheres=8, subdivisions=1, factor=1)
    >>> small(torch.rand(5, 2, 8, 42)).shape
    torch.Size([5, 81])
    """

    def __init__(
        self,
        n_in,
        n_out,
        n_spheres=16,
        subdivisions=3,
        factor=4,
        n_hidden=2,
        dropout=0.0,
        output="smooth",
        self_weight=False,
        spheres="convolution",
        n_levels=None,
    ):
        n_in = check_scalar("n_in", n_in, low=1, integer=True)
        n_out = check_scalar("n_out", n_out, low=1, integer=True)
        n_spheres = check_scalar("n_spheres", n_spheres, low=1, integer=True)
        check_option("subdivisions", subdivisions, SUBDIVISIONS)
        factor = check_scalar("factor", factor, low=1, integer=True)
        n_hidden = check_scalar("n_hidden", n_hidden, low=0, integer=True)
        check_scalar("dropout", dropout, low=0, high=1)
        check_option("output", output, ("smooth", "linear"))
        n_vertices = count_vertices(subdivisions)
        n_channels, remainder = divmod(n_in, n_spheres * n_vertices)
        if remainder:
            raise ValueError(
                f"n_in must be channels × n_spheres × vertices, a multiple of {n_spheres} × "
                f"{n_vertices} for n_spheres={n_spheres} and subdivisions={subdivisions}; got "
                f"{n_in}."
            )
        check_option("spheres", spheres, ("convolution", "channels"))
        levels = _levels(subdivisions, n_levels)
        width = BASE_CHANNELS * factor
        options = {"dropout": dropout, "self_weight": self_weight}
        if spheres == "channels":
            layers = [Spheres(n_channels * n_spheres, 1, n_vertices)]
            layers += _convolutions(n_channels * n_spheres, width, levels, radial=False, **options)
            width *= 2 ** (len(levels) - 1)
        else:
            layers = [Spheres(n_channels, n_spheres, n_vertices)]
            layers += _convolutions(n_channels, width, levels, radial=True, **options)
            width *= 2 ** len(levels)
        layers += [Mean(axis=2), Features()]
        for _ in range(n_hidden):
            layers += dense(width, width, dropout)
        layers += [nn.Dropout(dropout), nn.Linear(width, n_out)]
        if output == "smooth":
            layers += [NormReLU(n_out), Smoothing()]
        super().__init__(*layers)
        self.n_spheres = n_spheres
        self.subdivisions = subdivisions

    def __getitem__(self, key):
        # Slices of the network are plain Sequential objects, not ConcentricSpherical.
        return (
            nn.Sequential(*list(self)[key]) if isinstance(key, slice) else super().__getitem__(key)
        )


def count_vertices(subdivisions):
    """Return the number of vertices of a mesh that the network supports."""
    return 1 if subdivisions is None else icosphere(subdivisions).n_vertices


def subdivisions_of(n_vertices):
    """Return the level of the mesh with this number of vertices.

    Examples
    --------
    >>> subdivisions_of(162)
    2
    """
    levels = {count_vertices(level): level for level in SUBDIVISIONS}
    if n_vertices not in levels:
        raise ValueError(f"spheres must have one of {sorted(levels)} vertices, got {n_vertices}.")
    return levels[n_vertices]


def _levels(subdivisions, n_levels):
    """Return the levels of the mesh that a network uses; None means a single vertex."""
    levels = [None] if subdivisions is None else list(reversed(range(subdivisions + 1)))
    if n_levels is None:
        return levels
    return levels[: check_scalar("n_levels", n_levels, low=1, high=len(levels), integer=True)]


def _convolutions(n_channels, width, levels, *, radial, dropout, self_weight):
    """Return the layers on the spheres, down to one vertex."""
    layers = []
    n_in = n_channels
    for level in levels:
        is_last = level == levels[-1]
        depth = 1 if is_last else 2
        for _ in range(depth):
            # Values of the first input represent atoms, not features, so none are dropped.
            rate = dropout if layers else 0.0
            layers.append(
                GraphConvolution(
                    n_in, width, _neighbors(level), dropout=rate, self_weight=self_weight
                )
            )
            n_in = width
        if is_last:
            layers.append(Mean(axis=0))
        for _ in range(depth if radial else 0):
            layers.append(RadialConvolution(n_in, 2 * width, dropout=dropout))
            n_in = 2 * width
        if not is_last:
            mesh = icosphere(level)
            layers.append(VertexPooling(mesh.pool_neighbors, mesh.n_vertices))
        width *= 2
    return layers


def _neighbors(level):
    """Return the neighbours of every vertex; a single vertex has none."""
    return np.full((1, 1), -1) if level is None else icosphere(level).neighbors
