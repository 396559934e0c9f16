r"""The icosphere: nearly uniform points on the unit sphere, with the symmetry of the icosahedron.

Each level divides every triangle of the icosahedron into four and projects the new corners onto the
sphere. Level *l* has :math:`V = 10 \cdot 4^l + 2` vertices. Those of level *l* - 1 come first, so
the coarser mesh is a slice.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.validation import check_finite, check_scalar, check_shape

#: Finest level, with 40,962 vertices.
MAX_SUBDIVISIONS = 6
#: Cosines closer than this are equal to rounding; the first of such vertices counts as the nearest.
SAME_COSINE = 1e-12


@dataclass(frozen=True, eq=False)
class IcoSphere:
    """Mesh of one level, as returned by :func:`icosphere`. All arrays are read-only.

    Attributes
    ----------
    subdivisions : int
        The level, 0 for the icosahedron itself.
    vertices : ndarray of shape (V, 3)
        Unit vectors.
    faces : ndarray of shape (2 V - 4, 3)
        Vertices of the triangles, counter-clockwise when seen from outside.
    neighbors : ndarray of shape (V, 6)
        Vertices that share an edge with each vertex, counter-clockwise when seen from outside.
        The first 12 vertices have five, and -1 in the last column.
    """

    subdivisions: int
    vertices: np.ndarray
    faces: np.ndarray
    neighbors: np.ndarray

    @property
    def n_vertices(self):
        """Number of vertices V."""
        return len(self.vertices)

    @property
    def n_coarse(self):
        """Number of vertices of the next coarser level, which come first in this level."""
        if self.subdivisions == 0:
            raise ValueError("subdivisions must be at least 1 for a coarser mesh, got 0.")
        return n_vertices(self.subdivisions - 1)

    @property
    def pool_neighbors(self):
        """Vertices of this level that each vertex of the next coarser level represents.

        An array of shape (n_coarse, 7): the vertex, then its row of `neighbors`, -1 included.
        """
        own = np.arange(self.n_coarse)[:, None]
        return np.concatenate([own, self.neighbors[: self.n_coarse]], axis=1)

    @cached_property
    def permutations(self):
        """Permutations of the vertices by the 60 rotations, an array of shape (60, V).

        Rotation *k* of :func:`icosahedral_rotations` maps vertex *v* to vertex
        ``permutations[k, v]``.
        """
        moved = np.einsum("kab,vb->kva", icosahedral_rotations(), self.vertices)
        permutations = self.nearest(moved.reshape(-1, 3)).reshape(60, -1)
        permutations.flags.writeable = False
        return permutations

    @property
    def spacing(self):
        """Angle in radians between neighbouring points of an equally dense hexagonal mesh."""
        # The area per point of a hexagonal lattice is √3/2 a².
        return float(np.sqrt(8 * np.pi / np.sqrt(3) / self.n_vertices))

    def nearest(self, directions):
        """Find the nearest vertex in each direction.

        Parameters
        ----------
        directions : array-like of shape (n, 3)
            Vectors of any length but zero.

        Returns
        -------
        ndarray of shape (n,)
            Indices of vertices; the first one if several are equally near, to rounding.

        Examples
        --------
        >>> icosphere(2).nearest(2.5 * icosphere(2).vertices[[7, 100]])
        array([  7, 100])
        """
        return _scan_nearest(_unit(directions), self.vertices)

    def spread(self, directions, reach=2.0):
        r"""Distribute each direction *n* smoothly over the vertices *v* around it.

        .. math:: w_v = \frac{K_v}{\sum_u K_u}, \qquad
                  K_v = \max\left(0, \frac{n \cdot v - \cos\theta}{1 - \cos\theta}\right)^3

        These weights sum to one, are twice differentiable everywhere, and are equivariant under the
        icosahedral rotations.

        Parameters
        ----------
        directions : array-like of shape (n, 3)
            Vectors of any length but zero.
        reach : float, default=2.0
            Angle θ beyond which a vertex has no weight, in units of `spacing`; at least 1.

        Returns
        -------
        ndarray of shape (n, V)
            The weights.

        Examples
        --------
        >>> weights = icosphere(2).spread([[0.0, 0.0, 2.0], [1.0, 2.0, 3.0]])
        >>> weights.shape, weights.sum(axis=1).round(12)
        ((2, 162), array([1., 1.]))
        """
        edge = self.edge_cosine(reach)
        kernel = np.maximum(0, (_unit(directions) @ self.vertices.T - edge) / (1 - edge)) ** 3
        return kernel / kernel.sum(axis=1, keepdims=True)

    def edge_cosine(self, reach):
        r"""Return :math:`\cos\theta` for :meth:`spread`, the angle being `reach` spacings."""
        check_scalar("reach", reach, low=1)  # every direction then has vertices within reach
        return float(np.cos(min(np.pi, reach * self.spacing)))


def n_vertices(subdivisions):
    """Return the number of vertices of a level.

    Examples
    --------
    >>> [n_vertices(level) for level in range(4)]
    [12, 42, 162, 642]
    """
    return 10 * 4**subdivisions + 2


def icosphere(subdivisions):
    r"""Return the icosphere of a level.

    The first vertices are (0, ±1, ±φ) and its cyclic permutations, normalised, with the golden
    ratio φ: x, y and z are twofold axes.

    Parameters
    ----------
    subdivisions : int
        How many times the icosahedron's triangles are divided into four, 0 to 6.

    Returns
    -------
    IcoSphere
        The mesh; the same object for the same level.

    Examples
    --------
    >>> mesh = icosphere(3)
    >>> mesh.vertices.shape, mesh.faces.shape, mesh.pool_neighbors.shape
    ((642, 3), (1280, 3), (162, 7))
    """
    return _icosphere(
        check_scalar("subdivisions", subdivisions, low=0, high=MAX_SUBDIVISIONS, integer=True)
    )


@cache
def icosahedral_rotations():
    """Return the 60 rotations that map the icosphere onto itself, the identity first.

    Returns
    -------
    ndarray of shape (60, 3, 3)
        Matrices that act on column vectors.

    Examples
    --------
    >>> rotations = icosahedral_rotations()
    >>> rotations.shape, bool(np.allclose(rotations[0], np.eye(3)))
    ((60, 3, 3), True)
    """
    mesh = icosphere(0)
    # A rotation is determined by the image of one directed edge: 12 vertices, 5 edges each.
    first = np.repeat(mesh.vertices, 5, axis=0)
    along = mesh.vertices[mesh.neighbors[:, :5].ravel()]
    second = along - np.sum(along * first, axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    frames = np.stack([first, second, np.cross(first, second)], axis=2)
    rotations = frames @ frames[0].T
    rotations.flags.writeable = False
    return rotations


@cache
def _icosphere(subdivisions):
    if subdivisions == 0:
        vertices, faces = _icosahedron()
    else:
        coarse = _icosphere(subdivisions - 1)
        vertices, faces = _subdivide(coarse.vertices, coarse.faces)
    arrays = vertices, faces, _ordered_neighbors(faces, len(vertices))
    for array in arrays:
        array.flags.writeable = False
    return IcoSphere(subdivisions, *arrays)


def _icosahedron():
    """Return vertices and outward faces of the icosahedron."""
    golden = (1 + np.sqrt(5)) / 2
    signs = [(one, phi) for one in (-1, 1) for phi in (-golden, golden)]
    corners = np.array([np.roll((0, *pair), turn) for turn in range(3) for pair in signs])
    # Edges have length 2 before the vertices are normalised, all other distances are longer.
    near = np.linalg.norm(corners[:, None] - corners, axis=2) < 2.1
    faces = [f for f in combinations(range(12), 3) if near[np.ix_(f, f)].all()]
    outward = [
        (a, b, c) if np.linalg.det(corners[[a, b, c]]) > 0 else (a, c, b) for a, b, c in faces
    ]
    return corners / np.linalg.norm(corners[0]), np.array(outward)


def _subdivide(vertices, faces):
    """Divide every triangle into four; the new vertices come last."""
    a, b, c = faces.T
    sides = np.sort(np.stack([[a, b], [b, c], [c, a]]), axis=1)  # [side, end, face]
    ends = sides.transpose(0, 2, 1).reshape(-1, 2)
    edges, index = np.unique(ends, axis=0, return_inverse=True)
    middle = vertices[edges].sum(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = len(vertices) + index.reshape(3, -1)
    corners = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.concatenate([vertices, middle]), np.concatenate([np.stack(f, 1) for f in corners])


def _ordered_neighbors(faces, n):
    """Return the neighbours of every vertex in cyclic order."""
    following = [{} for _ in range(n)]
    for a, b, c in np.concatenate([faces, np.roll(faces, 1, 1), np.roll(faces, 2, 1)]).tolist():
        following[a][b] = c
    neighbors = np.full((n, 6), -1)
    for row, turn in zip(neighbors, following, strict=True):
        at = min(turn)
        for i in range(len(turn)):
            row[i], at = at, turn[at]
    return neighbors


def _unit(directions):
    directions = np.asarray(directions, dtype=np.float64)
    check_shape("directions", directions, (None, 3))
    check_finite("directions", directions)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not np.all(lengths > 0):
        raise ValueError(f"directions must not be zero, row {int(lengths.argmin())} is.")
    return directions / lengths


@compiled
def _scan_nearest(directions, vertices):
    nearest = np.empty(len(directions), dtype=np.int64)
    for i in range(len(directions)):
        nearest[i] = nearest_vertex(directions[i, 0], directions[i, 1], directions[i, 2], vertices)
    return nearest


@inlined
def nearest_vertex(x, y, z, vertices):
    """Return the vertex nearest to the unit vector (x, y, z), for use in compiled loops."""
    # Every direction is within one spacing of some vertex. The few vertices that close are compared
    # in a rarely taken branch; otherwise each comparison would wait for the previous one.
    floor = 1 - 4 * np.pi / np.sqrt(3) / len(vertices)
    best, largest = -1, floor
    for v in range(len(vertices)):
        cosine = x * vertices[v, 0] + y * vertices[v, 1] + z * vertices[v, 2]
        if cosine > floor and (best < 0 or cosine > largest + SAME_COSINE):
            best, largest = v, cosine
    return best
