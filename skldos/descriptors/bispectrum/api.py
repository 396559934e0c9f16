"""The two public functions: bispectrum at grid points and at arbitrary points."""

from skldos.compilation import check_threads, in_threads
from skldos.descriptors.bispectrum.arguments import (
    ARGUMENTS,
    check_out,
    grid_problem,
    point_problem,
)
from skldos.docstrings import documented
from skldos.geometry.neighbors import bin_neighbors

#: Number of points that a thread processes at a time: some milliseconds of work.
BLOCK = 1024


@documented(ARGUMENTS)
def grid_bispectrum(
    positions,
    weights,
    cell,
    grid_shape,
    *,
    twojmax=10,
    r_cut=4.67637,
    rfac0=0.99363,
    rmin0=0.0,
    switch=True,
    radii=None,
    elements=None,
    n_elements=None,
    dtype="float64",
    device="cpu",
    n_threads=None,
    start=0,
    stop=None,
    out=None,
):
    r"""Bispectrum components of the atoms around each point of a real-space grid.

    The same numbers as LAMMPS's ``compute sna/grid``. The neighbours of a point are mapped onto the
    unit sphere in four dimensions, with weights that fade out towards the cutoff. The components
    are the third-order rotational invariants of the resulting density [1]_ [2]_ [3]_:

    .. math::

        B_{j_1 j_2 j} = (j + 1)\, \langle f_{j_1} f_{j_2} f_j \rangle_{S^3}, \qquad
        f_j(g) = \mathcal U_j(g \cdot e) + \sum_k w_k f_c(r_k)\, \mathcal U_j(g \cdot g_k).

    All periodic images count, in any cell, even if `r_cut` exceeds it. A point on top of an atom
    (closer than 1e-10 Å) does not see this atom. The self term (the first term of f) is always
    included.

    Parameters
    ----------
    %(positions)s
    %(weights)s
    %(cell)s
    %(grid_shape)s
    %(twojmax)s
    %(r_cut)s
    %(rfac0)s
    %(rmin0)s
    %(switch)s
    %(radii)s
    %(elements)s
        The self term of a grid point belongs to the first element.
    %(n_elements)s
    %(dtype)s
    %(device)s
    %(n_threads)s
    start, stop : int, optional
        Compute only this block of grid points, counted in C order (z fastest). Use it to compute a
        grid that is too large for memory block by block.
    out : ndarray of shape (stop - start, n_components), optional
        Array to write the result to, of type `dtype`.

    Returns
    -------
    ndarray of shape (stop - start, n_components)
        Dimensionless; columns in the order of
        :func:`~skldos.descriptors.bispectrum.bispectrum_components`; for several elements once per
        triple of them, that of j1 slowest and that of j fastest.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape, not finite, or out of range.

    References
    ----------
    .. [1] A. P. Bartók, M. C. Payne, R. Kondor, G. Csányi, Phys. Rev. Lett. 104, 136403 (2010).
    .. [2] A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013).
    .. [3] A. P. Thompson, L. P. Swiler, C. R. Trott, S. M. Foiles, G. J. Tucker,
       J. Comput. Phys. 285, 316 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> cell = 4.05 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    >>> B = grid_bispectrum(np.zeros((1, 3)), np.ones(1), cell, (2, 2, 2), twojmax=2)
    >>> B.shape
    (8, 5)
    >>> bool(np.allclose(B[1], B[4]))  # points that the symmetry of the crystal makes equal
    True
    """
    atoms, settings = (positions, weights, cell), (twojmax, r_cut, rfac0, rmin0, switch, dtype)
    elements = elements, n_elements
    problem = grid_problem(*atoms, grid_shape, start, stop, radii, *elements, device, *settings)
    return _compute(problem, device, n_threads, out)


@documented(ARGUMENTS)
def point_bispectrum(
    points,
    positions,
    weights,
    cell,
    *,
    twojmax=10,
    r_cut=4.67637,
    rfac0=0.99363,
    rmin0=0.0,
    switch=True,
    radii=None,
    point_radii=None,
    elements=None,
    point_elements=None,
    n_elements=None,
    dtype="float64",
    device="cpu",
    n_threads=None,
    out=None,
):
    """Bispectrum components of the atoms around arbitrary points.

    With the atoms themselves as points this is LAMMPS's ``compute sna/atom``: an atom is not its
    own neighbour, but its periodic images are. Otherwise as :func:`grid_bispectrum`.

    Parameters
    ----------
    %(points)s
    %(positions)s
    %(weights)s
    %(cell)s
    %(twojmax)s
    %(r_cut)s
    %(rfac0)s
    %(rmin0)s
    %(switch)s
    %(radii)s
    %(point_radii)s
    %(elements)s
    %(point_elements)s
    %(n_elements)s
    %(dtype)s
    %(device)s
    %(n_threads)s
    out : ndarray of shape (n_points, n_components), optional
        Array to write the result to, of type `dtype`.

    Returns
    -------
    ndarray of shape (n_points, n_components)
        Dimensionless; columns in the order of
        :func:`~skldos.descriptors.bispectrum.bispectrum_components`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape, not finite, or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> dimer = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]])
    >>> B = point_bispectrum(dimer, dimer, np.ones(2), 20 * np.eye(3), twojmax=2)
    >>> bool(np.allclose(B[0], B[1]))
    True
    """
    atoms, settings = (positions, weights, cell), (twojmax, r_cut, rfac0, rmin0, switch, dtype)
    radii, elements = (radii, point_radii), (elements, point_elements)
    problem = point_problem(points, *atoms, radii, elements, n_elements, device, *settings)
    return _compute(problem, device, n_threads, out)


def _compute(problem, device, n_threads, out):
    """Compute the bispectrum of a problem, block by block."""
    n_threads = check_threads(n_threads)
    points_of, positions, weights, cell, reach, chem, settings = problem
    out = check_out(out, problem.shape, settings["dtype"])
    if str(device) != "cpu":
        from skldos.descriptors.bispectrum.torch_kernel import compute_blocks

        compute_blocks(problem, device, out)
        return out

    # Imported here, so that programs without a bispectrum do not load the compiled code.
    from skldos.descriptors.bispectrum.chem_kernel import chem_kernel
    from skldos.descriptors.bispectrum.kernel import bispectrum_kernel
    from skldos.descriptors.bispectrum.tables import kernel_tables

    tables = kernel_tables(settings["twojmax"], settings["dtype"])
    bins = bin_neighbors(positions, cell, reach.largest)
    parameters = [reach.largest, *(settings[name] for name in ("rfac0", "rmin0", "switch"))]

    def compute(first):
        last = min(first + BLOCK, len(out))
        points, of_points = points_of(first, last), reach.points[first:last]
        places = points, bins, weights, of_points, reach.atoms
        if chem is None:
            bispectrum_kernel(*places, *parameters, tables, out[first:last])
        else:
            elements = chem.n, chem.atoms, chem.points[first:last]
            chem_kernel(*places, *elements, *parameters, tables, out[first:last])

    for _ in in_threads(compute, range(0, len(out), BLOCK), n_threads):
        pass
    return out
