"""The unit cell: volume, reciprocal lattice and spacing of lattice planes.

Cell vectors are the rows of a (3, 3) array, as in ASE. Nothing here needs a right-handed cell.
"""

import numpy as np

from skldos._validation import check_finite, check_shape

#: A cell flatter than this (volume over the product of the edges) counts as two-dimensional.
FLATTEST_CELL = 1e-10


def check_cell(cell):
    """Return `cell` as float64 after checking that it spans space.

    Parameters
    ----------
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å. Left-handed cells are fine.

    Returns
    -------
    ndarray of shape (3, 3)

    Raises
    ------
    ValueError
        If the shape is wrong, a value is not finite, or the vectors are linearly dependent
        (as those of a molecule or a slab without a cell are).

    Examples
    --------
    >>> check_cell([[4, 0, 0], [0, 4, 0], [0, 0, 4]]).dtype
    dtype('float64')
    >>> check_cell([[4, 0, 0], [0, 4, 0], [0, 0, 0]])
    Traceback (most recent call last):
    ...
    ValueError: cell must have three linearly independent vectors, got volume 0 ...
    """
    cell = np.asarray(cell, dtype=np.float64)
    check_shape("cell", cell, (3, 3))
    check_finite("cell", cell)
    edges = np.linalg.norm(cell, axis=1)
    if not volume(cell) > FLATTEST_CELL * edges.prod():
        raise ValueError(
            f"cell must have three linearly independent vectors, got volume {volume(cell):.3g} Å^3 "
            f"and edges {edges[0]:.3g}, {edges[1]:.3g}, {edges[2]:.3g} Å."
        )
    return cell


def volume(cell):
    """Volume of the cell, positive whatever its handedness.

    Parameters
    ----------
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.

    Returns
    -------
    float
        In Å^3.

    Examples
    --------
    >>> float(volume(np.diag([2.0, 3.0, -4.0])))
    24.0
    """
    # Ω = |a1 · (a2 × a3)|
    return abs(np.dot(cell[0], np.cross(cell[1], cell[2])))


def reciprocal_cell(cell):
    r"""Reciprocal lattice vectors, :math:`a_i \cdot b_j = 2\pi\,\delta_{ij}`.

    Parameters
    ----------
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.

    Returns
    -------
    ndarray of shape (3, 3)
        Reciprocal vectors as rows, in 1/Å.

    Examples
    --------
    >>> reciprocal_cell(2 * np.pi * np.eye(3)).diagonal()
    array([1., 1., 1.])
    """
    return 2 * np.pi * np.linalg.inv(cell).T


def plane_spacings(cell):
    r"""Distances between the lattice planes that each pair of cell vectors spans.

    A sphere of radius *r* reaches :math:`r / h_i` cells far along the vector *i*.

    Parameters
    ----------
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.

    Returns
    -------
    ndarray of shape (3,)
        In Å.

    Examples
    --------
    >>> plane_spacings(np.array([[2.0, 0, 0], [5, 3, 0], [0, 0, 4]])).round(6)
    array([1.028992, 3.      , 4.      ])
    """
    # h_i = 2π / |b_i|
    return 2 * np.pi / np.linalg.norm(reciprocal_cell(cell), axis=1)
