"""The two public functions: bispectrum at grid points and at arbitrary points."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from skldos._validation import check_finite, check_option, check_scalar, check_shape
from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.cubature import LEBEDEV_DEGREES
from skldos.geometry.cell import check_cell
from skldos.geometry.grid import check_block, check_grid_shape, grid_points
from skldos.geometry.neighbors import bin_neighbors

#: Points that one thread takes at a time: some milliseconds of work.
BLOCK = 256
#: The Lebedev rules go no further.
MAX_TWOJMAX = (2 * LEBEDEV_DEGREES[-1] + 1) // 3


def grid_bispectrum(
    positions,
    weights,
    cell,
    grid_shape,
    *,
    twojmax=10,
    rcut=4.67637,
    rfac0=0.99363,
    rmin0=0.0,
    switch=True,
    radii=None,
    dtype="float64",
    device="cpu",
    n_threads=None,
    start=0,
    stop=None,
    out=None,
):
    r"""Bispectrum components of the atoms around each point of a real-space grid.

    The same numbers as ``compute sna/grid`` of LAMMPS. The neighbours of a point, mapped onto the
    unit sphere in four dimensions with weights that fade out towards the cutoff, make a density
    whose rotational invariants of third order these are [1]_ [2]_ [3]_:

    .. math::

        B_{j_1 j_2 j} = (j + 1)\, \langle f_{j_1} f_{j_2} f_j \rangle_{S^3}, \qquad
        f_j(g) = \mathcal U_j(g \cdot e) + \sum_k w_k f_c(r_k)\, \mathcal U_j(g \cdot g_k).

    All periodic images count, in any cell, also when `rcut` exceeds it. A point on top of an atom
    (closer than 1e-10 Å) does not see this atom, but the self term (the first one) is always
    there.

    Parameters
    ----------
    positions : array-like of shape (n_atoms, 3)
        Cartesian positions in Å, inside the cell or not.
    weights : array-like of shape (n_atoms,)
        Weight of each atom; one number per chemical element as a rule.
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å.
    grid_shape : tuple of three int
        Number of points along each cell vector; the first one is the corner of the cell.
    twojmax : int, default=10
        Twice the largest angular momentum. 10 gives 91 components.
    rcut : float, default=4.67637
        Cutoff radius in Å.
    rfac0 : float, default=0.99363
        Fraction of the sphere onto which distances up to the cutoff are mapped.
    rmin0 : float, default=0.0
        Distance in Å that is mapped onto the pole, less than `rcut`.
    switch : bool, default=True
        Whether the weights of neighbours fade out towards the cutoff.
    radii : array-like of shape (n_atoms,), optional
        Cutoff of each atom in units of `rcut`; one number per chemical element as a rule, 1 for all
        by default. Twice LAMMPS's radius of an element. Needs ``rmin0=0``.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the computation and of the result. The rounding of float32 is about 1e-6
        of a component's largest value.
    device : str or torch.device, default="cpu"
        "cpu" runs a compiled kernel; anything else, say "cuda", is where torch computes.
    n_threads : int, optional
        Number of threads on the CPU; by default as many as Numba would use (all cores, or
        the environment variable ``NUMBA_NUM_THREADS``). The result does not depend on it.
    start, stop : int, optional
        Compute only this block of grid points, counted in C order (z fastest). Blocks of a grid
        too large for memory can be computed one by one.
    out : ndarray of shape (stop - start, n_components), optional
        Array to write the result to, of type `dtype`.

    Returns
    -------
    ndarray of shape (stop - start, n_components)
        Dimensionless; columns in the order of
        :func:`~skldos.descriptors.bispectrum.bispectrum_components`.

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
    grid_shape = check_grid_shape(grid_shape)
    start, stop = check_block(grid_shape, start, stop)
    cell = check_cell(cell)

    def points_of(first, last):
        return grid_points(cell, grid_shape, start + first, start + last)

    settings = check_settings(twojmax, rcut, rfac0, rmin0, switch, dtype)
    positions, weights = check_atoms(positions, weights)
    reach = grid_reach(radii, len(positions), stop - start, settings)
    return _compute(points_of, positions, weights, cell, reach, settings, device, n_threads, out)


def point_bispectrum(
    points,
    positions,
    weights,
    cell,
    *,
    twojmax=10,
    rcut=4.67637,
    rfac0=0.99363,
    rmin0=0.0,
    switch=True,
    radii=None,
    point_radii=None,
    dtype="float64",
    device="cpu",
    n_threads=None,
    out=None,
):
    """Bispectrum components of the atoms around arbitrary points.

    With the atoms themselves as points this is ``compute sna/atom`` of LAMMPS: an atom is not its
    own neighbour, but its periodic images are. See :func:`grid_bispectrum` for all else.

    Parameters
    ----------
    points : array-like of shape (n_points, 3)
        Cartesian positions of the points in Å, inside the cell or not.
    positions, weights, cell
        See :func:`grid_bispectrum`.
    twojmax, rcut, rfac0, rmin0, switch, dtype, device, n_threads
        See :func:`grid_bispectrum`.
    radii, point_radii : array-like of shape (n_atoms,) and (n_points,), optional
        A point p sees atom k up to a distance of `rcut` times the mean of ``point_radii[p]`` and
        ``radii[k]``; both are needed, or none, which stands for 1.
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
    points = np.asarray(points, dtype=np.float64)
    check_shape("points", points, (None, 3))
    check_finite("points", points)
    cell = check_cell(cell)
    settings = check_settings(twojmax, rcut, rfac0, rmin0, switch, dtype)
    positions, weights = check_atoms(positions, weights)
    reach = point_reach(radii, point_radii, len(positions), len(points), settings)

    def points_of(first, last):
        return points[first:last]

    return _compute(points_of, positions, weights, cell, reach, settings, device, n_threads, out)


def check_atoms(positions, weights):
    """Return positions and weights as float64 after checking them."""
    positions = np.asarray(positions, dtype=np.float64)
    check_shape("positions", positions, (None, 3))
    check_finite("positions", positions)
    weights = np.asarray(weights, dtype=np.float64)
    check_shape("weights", weights, (len(positions),))
    check_finite("weights", weights)
    return positions, weights


def check_settings(twojmax, rcut, rfac0, rmin0, switch, dtype):
    """Return the parameters of the bispectrum as a dict after checking them."""
    if not isinstance(switch, (bool, np.bool_)):
        raise TypeError(f"switch must be True or False, got {switch!r}.")
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = dtype
    rcut = check_scalar("rcut", rcut, low=0, strict=True)
    rmin0 = check_scalar("rmin0", rmin0, low=0)
    if rmin0 >= rcut:
        raise ValueError(f"rmin0 must be less than rcut, got rmin0 {rmin0} and rcut {rcut}.")
    return {
        "twojmax": check_scalar("twojmax", twojmax, low=0, high=MAX_TWOJMAX, integer=True),
        "rcut": rcut,
        "rfac0": check_scalar("rfac0", rfac0, low=0, strict=True),
        "rmin0": rmin0,
        "switch": bool(switch),
        "dtype": check_option("dtype", name, ("float64", "float32")),
    }


class Reach(NamedTuple):
    """Cutoffs in Å: point p sees atom k within ``points[p] + atoms[k]``.

    Parameters
    ----------
    largest : float
        The largest cutoff of all.
    points : ndarray of shape (n_points,)
    atoms : ndarray of shape (n_atoms,) or (0,)
        Empty where all cutoffs are the same.
    """

    largest: float
    points: np.ndarray
    atoms: np.ndarray


def grid_reach(radii, n_atoms, n_points, settings):
    """Return the cutoffs of points without a radius of their own."""
    if radii is None:
        return Reach(settings["rcut"], np.zeros(n_points), np.empty(0))
    atoms = settings["rcut"] * _check_radii("radii", radii, n_atoms, settings)
    return Reach(atoms.max(initial=0.0) or settings["rcut"], np.zeros(n_points), atoms)


def point_reach(radii, point_radii, n_atoms, n_points, settings):
    """Return the cutoffs of points with a radius of their own, or those of all."""
    if (radii is None) != (point_radii is None):
        raise ValueError(
            "radii and point_radii are needed both or not at all, got "
            f"{'radii' if point_radii is None else 'point_radii'} alone."
        )
    if radii is None:
        return grid_reach(None, n_atoms, n_points, settings)
    half = 0.5 * settings["rcut"]
    atoms = half * _check_radii("radii", radii, n_atoms, settings)
    points = half * _check_radii("point_radii", point_radii, n_points, settings)
    largest = atoms.max(initial=0.0) + points.max(initial=0.0)
    return Reach(largest or settings["rcut"], points, atoms)


def _check_radii(name, radii, n, settings):
    radii = np.array(radii, dtype=np.float64)
    check_shape(name, radii, (n,))
    check_finite(name, radii)
    if (radii <= 0).any():
        raise ValueError(f"{name} must be positive, got {radii.min()}.")
    if settings["rmin0"] != 0:
        raise ValueError(f"{name} needs rmin0=0, got rmin0={settings['rmin0']}.")
    return radii


def check_threads(n_threads):
    """Return the number of threads to use."""
    if n_threads is None:
        # Read from the environment, which joblib sets in its workers. Asking Numba itself would
        # start its thread pool, and processes could no longer be forked safely.
        return numba.config.NUMBA_NUM_THREADS
    return check_scalar("n_threads", n_threads, low=1, integer=True)


def check_out(out, shape, dtype):
    """Return `out`, or a new array if it is None."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        found = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out must be an array of {dtype}, got {found}.")
    check_shape("out", out, shape)
    return out


def _compute(points_of, positions, weights, cell, reach, settings, device, n_threads, out):
    """Compute the points that ``points_of(first, last)`` gives, block by block."""
    n_threads = check_threads(n_threads)
    n_points = len(reach.points)
    shape = (n_points, len(bispectrum_components(settings["twojmax"])))
    out = check_out(out, shape, settings["dtype"])
    if str(device) != "cpu":
        from skldos.descriptors.bispectrum.torch_kernel import compute_blocks

        compute_blocks(points_of, positions, weights, cell, reach, settings, device, out)
        return out

    # Imported here: a program that never computes a bispectrum need not load the compiled code.
    from skldos.descriptors.bispectrum.kernel import bispectrum_kernel
    from skldos.descriptors.bispectrum.tables import kernel_tables

    tables = kernel_tables(settings["twojmax"], settings["dtype"])
    bins = bin_neighbors(positions, cell, reach.largest)
    parameters = [reach.largest, *(settings[name] for name in ("rfac0", "rmin0", "switch"))]

    def compute(first):
        last = min(first + BLOCK, n_points)
        points = points_of(first, last)
        bispectrum_kernel(
            points, bins, weights, reach.points[first:last], reach.atoms, *parameters, tables,
            out[first:last],
        )  # fmt: skip

    blocks = range(0, n_points, BLOCK)
    if n_threads == 1 or len(blocks) <= 1:
        for first in blocks:
            compute(first)
        return out
    # Python threads rather than Numba's: the kernel releases the lock, and these work wherever
    # Python does, in forked workers and in threads of the caller too.
    with ThreadPoolExecutor(min(n_threads, len(blocks))) as pool:
        for _ in pool.map(compute, blocks):
            pass
    return out
