"""Derivatives of a scalar by the atoms, from its derivatives by bispectrum components.

This is for machine-learned energies: the network gives dA/dB at every point, and this module
converts it to forces and stress. The components themselves are recomputed point by point, so that
the memory does not grow with the number of points.
"""

import numpy as np

from skldos.compilation import check_threads, in_threads
from skldos.descriptors.bispectrum.api import BLOCK
from skldos.descriptors.bispectrum.arguments import ARGUMENTS, grid_problem, point_problem
from skldos.docstrings import documented
from skldos.geometry.neighbors import bin_neighbors
from skldos.validation import check_finite, check_shape


@documented(ARGUMENTS)
def grid_bispectrum_adjoint(
    positions,
    weights,
    cell,
    grid_shape,
    sensitivity,
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
):
    r"""Turn derivatives by the components at grid points into those by atoms and strain.

    Of a scalar *A* that depends on the bispectrum at the points *p* of a grid,

    .. math::

        \frac{\partial A}{\partial R_i} = \sum_{p f}
            \frac{\partial A}{\partial B_{p f}} \frac{\partial B_{p f}}{\partial R_i}, \qquad
        \frac{\partial A}{\partial \varepsilon_{ab}} = \sum_{p k}
            \Delta_{pk,a} \frac{\partial A}{\partial \Delta_{pk,b}},

    with the displacements :math:`\Delta_{pk}` from the points to their neighbours, all periodic
    images included. The strain deforms everything, atoms, cell and thereby the points, as
    :math:`x_b \to x_b + \sum_a x_a \varepsilon_{ab}`: row vectors times
    :math:`1 + \varepsilon`. The force is minus the first, the stress the second over the volume.

    Parameters
    ----------
    positions, weights, cell, grid_shape
        As for :func:`grid_bispectrum`.
    sensitivity : array-like of shape (stop - start, n_components)
        :math:`\partial A/\partial B`, in any unit.
    twojmax, r_cut, rfac0, rmin0, switch, radii, elements, n_elements
        As for :func:`grid_bispectrum`.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the computation at a point; the sums over points are always float64.
    %(device)s
    %(n_threads)s
    start, stop : int, optional
        The block of grid points, counted in C order, that `sensitivity` belongs to. The results
        of the blocks of a grid add up to that of the grid.

    Returns
    -------
    position_gradient : ndarray of shape (n_atoms, 3)
        :math:`\partial A/\partial R_i`, in the unit of `sensitivity` per Å.
    strain_gradient : ndarray of shape (3, 3)
        :math:`\partial A/\partial \varepsilon_{ab}`, in the unit of `sensitivity`; symmetric,
        because the components do not change when everything is rotated.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape, not finite, or out of range.
    """
    atoms, settings = (positions, weights, cell), (twojmax, r_cut, rfac0, rmin0, switch, dtype)
    elements = elements, n_elements
    problem = grid_problem(*atoms, grid_shape, start, stop, radii, *elements, device, *settings)
    return _derivatives(problem, sensitivity, device, n_threads)


@documented(ARGUMENTS)
def point_bispectrum_adjoint(
    points,
    positions,
    weights,
    cell,
    sensitivity,
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
):
    r"""Turn derivatives by the components at any points into those by points, atoms and strain.

    With the atoms themselves as points, the derivative by an atom is the sum of the first two
    results. Otherwise as :func:`grid_bispectrum_adjoint`, which has the formulas.

    Parameters
    ----------
    points, positions, weights, cell
        As for :func:`point_bispectrum`.
    sensitivity : array-like of shape (n_points, n_components)
        :math:`\partial A/\partial B`, in any unit.
    twojmax, r_cut, rfac0, rmin0, switch, radii, point_radii, elements, point_elements, n_elements
        As for :func:`point_bispectrum`.
    dtype, device, n_threads
        As for :func:`grid_bispectrum_adjoint`.

    Returns
    -------
    point_gradient : ndarray of shape (n_points, 3)
        By the points, in the unit of `sensitivity` per Å.
    position_gradient : ndarray of shape (n_atoms, 3)
        By the atoms, at fixed points.
    strain_gradient : ndarray of shape (3, 3)
        By a strain of points, atoms and cell, in the unit of `sensitivity`; symmetric.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape, not finite, or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> dimer = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.2]])
    >>> by_point, by_atom, strain = point_bispectrum_adjoint(
    ...     dimer, dimer, np.ones(2), 20 * np.eye(3), np.ones((2, 5)), twojmax=2
    ... )
    >>> bool(np.allclose((by_point + by_atom).sum(axis=0), 0))  # the forces cancel
    True
    """
    atoms, settings = (positions, weights, cell), (twojmax, r_cut, rfac0, rmin0, switch, dtype)
    radii, elements = (radii, point_radii), (elements, point_elements)
    problem = point_problem(points, *atoms, radii, elements, n_elements, device, *settings)
    by_point = np.empty((problem.shape[0], 3))
    return by_point, *_derivatives(problem, sensitivity, device, n_threads, by_point)


def _derivatives(problem, sensitivity, device, n_threads, by_point=None):
    """Return the derivatives by atoms and strain; write those by points to `by_point` if given.

    Each block has its own sums, which are added in the order of the blocks. This makes the result
    independent of the number of threads.
    """
    sensitivity = np.asarray(sensitivity)
    check_shape("sensitivity", sensitivity, problem.shape)
    if sensitivity.dtype.kind not in "fiu":
        raise TypeError(f"sensitivity must be an array of real numbers, got {sensitivity.dtype}.")
    by_atom, by_strain = np.zeros((len(problem.positions), 3)), np.zeros((3, 3))
    blocks = _blocks(problem, sensitivity, device, n_threads)
    for first, of_atoms, of_strain, of_points in blocks:
        by_atom += of_atoms
        by_strain += of_strain
        if by_point is not None:
            by_point[first : first + len(of_points)] = of_points
    return by_atom, by_strain


def _blocks(problem, sensitivity, device, n_threads):
    """Yield, block by block, the first point and the derivatives by atoms, strain and points."""
    n_threads = check_threads(n_threads)
    if str(device) != "cpu":
        from skldos.descriptors.bispectrum.torch_adjoint import adjoint_blocks

        yield from adjoint_blocks(problem, sensitivity, device)
        return

    # Imported here, so that programs without gradients do not load the compiled code.
    from skldos.descriptors.bispectrum.adjoint_kernel import adjoint_kernel
    from skldos.descriptors.bispectrum.adjoint_tables import adjoint_tables
    from skldos.descriptors.bispectrum.chem_adjoint_kernel import chem_adjoint_kernel
    from skldos.descriptors.bispectrum.tables import kernel_tables

    points_of, positions, weights, cell, reach, chem, settings = problem
    tables, back = (
        build(settings["twojmax"], settings["dtype"]) for build in (kernel_tables, adjoint_tables)
    )
    bins = bin_neighbors(positions, cell, reach.largest)
    parameters = [reach.largest, *(settings[name] for name in ("rfac0", "rmin0", "switch"))]

    # Copies: the kernel is compiled for contiguous, writable arrays, and would be compiled again
    # for others.
    weights = np.array(weights)

    def compute(first):
        beta = np.array(sensitivity[first : first + BLOCK], settings["dtype"], order="C")
        points = np.array(points_of(first, first + len(beta)), order="C")
        check_finite("sensitivity", beta)
        by_atom, by_strain = np.zeros((len(positions), 3)), np.zeros((3, 3))
        by_point = np.empty((len(points), 3))
        last = first + len(beta)
        geometry = points, bins, weights, reach.points[first:last], reach.atoms
        arguments = beta, *parameters, tables, back, by_atom, by_strain, by_point
        if chem is None:
            adjoint_kernel(*geometry, *arguments)
        else:
            chem_adjoint_kernel(*geometry, chem.n, chem.atoms, chem.points[first:last], *arguments)
        return first, by_atom, by_strain, by_point

    yield from in_threads(compute, range(0, len(sensitivity), BLOCK), n_threads)
