"""The unit cell: volume, reciprocal lattice and spacing of lattice planes.

Cell vectors are the rows of a (3, 3) array, as in ASE. Cells may be left-handed.
"""

import numpy as np

from skldos.validation import as_real, check_finite, check_shape

#: A cell with a smaller ratio of its volume to the product of its edges counts as flat.
FLATTEST_CELL = 1e-10
#: Largest distance from the origin in Å. Rounding errors of positions are 1e-11 Å there. Ten times
#: farther away, they exceed the 1e-10 Å within which an atom counts as being at a point; at 1e16 Å,
#: they exceed the cell.
MAX_LENGTH = 1e5


def check_cell(cell):
    """Return `cell` as float64 after checking that it spans space.

    Parameters
    ----------
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å. The cell may be left-handed.

    Returns
    -------
    ndarray of shape (3, 3)

    Raises
    ------
    ValueError
        If the shape is wrong, a value is not finite or larger than 10⁵ Å, or the vectors
        are linearly dependent (such as those of a molecule or slab without a cell).

    Examples
    --------
    >>> check_cell([[4, 0, 0], [0, 4, 0], [0, 0, 4]]).dtype
    dtype('float64')
    >>> check_cell([[4, 0, 0], [0, 4, 0], [0, 0, 0]])
    Traceback (most recent call last):
    ...
    ValueError: cell must have three linearly independent vectors, got volume 0 ...
    """
    cell = _as_cell(cell)
    largest = np.abs(cell).max()
    if largest > MAX_LENGTH:
        raise ValueError(f"cell must be at most {MAX_LENGTH:g} Å wide, got {largest:g} Å.")
    edges = np.linalg.norm(cell, axis=1)
    if not volume(cell) > FLATTEST_CELL * edges.prod():
        raise ValueError(
            f"cell must have three linearly independent vectors, got volume {volume(cell):.3g} Å^3 "
            f"and edges {edges[0]:.3g}, {edges[1]:.3g}, {edges[2]:.3g} Å."
        )
    return cell


def _as_cell(cell):
    """Return `cell` as finite float64 numbers of shape (3, 3)."""
    cell = as_real("cell", cell)
    check_shape("cell", cell, (3, 3))
    check_finite("cell", cell)
    return cell


def check_positions(positions):
    """Raise a ``ValueError`` unless positions are finite and close enough to the origin.

    Parameters
    ----------
    positions : ndarray of shape (..., 3)
        Cartesian, in Å; inside the cell or not.

    Raises
    ------
    ValueError
        If a coordinate is NaN, infinite or farther than 10⁵ Å from the origin.

    Examples
    --------
    >>> check_positions(np.array([[0.0, 1e18, 0.0]]))
    Traceback (most recent call last):
    ...
    ValueError: positions must be within 100000 Å of the origin, got 1e+18.
    """
    check_finite("positions", positions)
    far = np.abs(positions) > MAX_LENGTH
    if far.any():
        raise ValueError(
            f"positions must be within {MAX_LENGTH:g} Å of the origin, got {positions[far][0]:g}."
        )


def volume(cell):
    """Volume of the cell, positive also for left-handed cells.

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
    cell = _as_cell(cell)
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
    try:
        return 2 * np.pi * np.linalg.inv(_as_cell(cell)).T
    except np.linalg.LinAlgError:
        raise ValueError(
            f"cell must have three linearly independent vectors, got {np.asarray(cell).tolist()}."
        ) from None


def plane_spacings(cell):
    r"""Distances between the lattice planes that each pair of cell vectors spans.

    A sphere of radius *r* extends over :math:`r / h_i` cells along vector *i*.

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
