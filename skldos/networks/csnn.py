"""The concentric spherical network of Fox et al."""

import numpy as np
from torch import nn

from skldos._validation import check_option, check_scalar
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

#: Channels of the first level for a factor of 1; every level has twice as many as the one before.
CHANNELS = 16

#: Meshes the network is made for, from the finest to none.
SUBDIVISIONS = (3, 2, 1, 0, None)


class ConcentricSpherical(nn.Sequential):
    r"""A network on concentric spheres around an atom, invariant under the icosahedron's rotations.

    The inputs are numbers on the vertices of an icosphere, in shells around the atom. On every
    level of the mesh, from the finest down, two graph convolutions over neighbouring vertices and
    two convolutions over neighbouring shells follow each other; then means over vertices and
    their neighbours lead to the next coarser mesh. On the icosahedron itself come one graph
    convolution, the mean over all vertices, one radial convolution, and the mean over the shells;
    then dense layers. Every layer has a batch normalisation and a ReLU [1]_.

    Filters are isotropic and means go over all vertices, so that the 60 rotations of the
    icosahedron (and its inversion) leave the outputs as they are.

    Parameters
    ----------
    n_in : int
        Numbers per atom: channels (such as species) × spheres × vertices, the vertices fastest.
    n_out : int
        Number of outputs.
    n_spheres : int, default=16
        Number of shells.
    subdivisions : {3, 2, 1, 0} or None, default=3
        Level of the mesh: 642, 162, 42 or 12 vertices, with one level of the network less each.
        None stands for a sphere that has no directions, with one vertex; together with
        ``n_spheres=1`` the network is one of dense layers for any `n_in`.
    factor : int, default=4
        Width of all layers: level *i* has 16 · factor · 2^i channels within spheres and twice as
        many between them; the dense layers are as wide as the last of those.
    n_hidden : int, default=2
        Dense layers before the output.
    dropout : float, default=0.0
        Probability with which an input of a layer within spheres, between spheres or after them
        is dropped in training; those of the network itself are all kept.
    output : {"smooth", "linear"}, default="smooth"
        What the last layer is. ``"smooth"`` is that of Ref. [1]_, for spectra that are not
        negative: batch normalisation, ReLU, and a smoothing over neighbouring outputs.
        ``"linear"`` is a matrix product alone: targets may have any sign, and the regressors can
        refit it in closed form.
    self_weight : bool, default=False
        Whether a vertex has other weights in the graph convolutions than its neighbours have.
    spheres : {"convolution", "channels"}, default="convolution"
        What the spheres are to the network. ``"convolution"`` is Ref. [1]_: filters are the same
        on all spheres, those between spheres run along the rays, and the mean over the spheres
        comes last, so that the distance of a neighbour shows in little more than how much it
        counts. ``"channels"`` takes all spheres for channels of a single one: every distance has
        weights of its own in the first layer, there are no convolutions between spheres, and the
        work is less by more than the number of spheres.
    n_levels : int, optional
        Levels of the mesh that the network works on, from the finest; on the last one it has a
        single graph convolution, and means go over all vertices. None goes down to the
        icosahedron. With 1 and spheres as channels it is shallow: one graph convolution and the
        layers after the means, a tenth of the time per epoch, and, learnt from a few
        hundred atoms, better at what is outside of the training data.

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
        n_channels, rest = divmod(n_in, n_spheres * n_vertices)
        if rest:
            raise ValueError(
                f"n_in must be channels × n_spheres × vertices, a multiple of {n_spheres} × "
                f"{n_vertices} for n_spheres={n_spheres} and subdivisions={subdivisions}; got "
                f"{n_in}."
            )
        check_option("spheres", spheres, ("convolution", "channels"))
        levels = _levels(subdivisions, n_levels)
        width = CHANNELS * factor
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
        # A part of the network is no ConcentricSpherical: Sequential would try to build one.
        return (
            nn.Sequential(*list(self)[key]) if isinstance(key, slice) else super().__getitem__(key)
        )


def count_vertices(subdivisions):
    """Return the number of vertices of a mesh that the network is made for."""
    return 1 if subdivisions is None else icosphere(subdivisions).n_vertices


def subdivisions_of(n_vertices):
    """Return the level of the mesh that has so many vertices.

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
    """Return the levels of the mesh that a network works on; None is a single vertex."""
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
            # A number of the first input is an atom, not a feature: it must not vanish.
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
