"""Arguments of all bispectrum functions: their descriptions and checks."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.cubature import LEBEDEV_DEGREES
from skldos.docstrings import entries_of
from skldos.geometry.cell import check_cell
from skldos.geometry.grid import check_block, check_grid_shape, grid_points
from skldos.validation import check_finite, check_option, check_scalar, check_shape

#: Limit of the Lebedev rules.
MAX_TWOJMAX = (2 * LEBEDEV_DEGREES[-1] + 1) // 3

ARGUMENTS = entries_of("""
    points : array-like of shape (n_points, 3)
        Cartesian positions of the points in Å, inside the cell or not.
    positions : array-like of shape (n_atoms, 3)
        Cartesian positions in Å, inside the cell or not.
    weights : array-like of shape (n_atoms,)
        Weight of each atom, usually one number per chemical element.
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å.
    grid_shape : tuple of three int
        Number of points along each cell vector; the first one is the corner of the cell.
    twojmax : int, default=10
        Twice the largest angular momentum. 10 gives 91 components.
    r_cut : float, default=4.67637
        Cutoff radius in Å.
    rfac0 : float, default=0.99363
        Fraction of the sphere onto which distances up to the cutoff are mapped.
    rmin0 : float, default=0.0
        Distance in Å that is mapped onto the pole, less than `r_cut`.
    switch : bool, default=True
        Whether the weights of neighbours fade out towards the cutoff.
    radii : array-like of shape (n_atoms,), optional
        Cutoff of each atom in units of `r_cut`, usually one number per element; 1 for all by
        default. Twice LAMMPS's radius of an element. Needs ``rmin0=0``.
    elements : array-like of shape (n_atoms,), optional
        Index of the element of each atom, from 0. Each element then has its own density, and
        there are components for all triples of elements, as with ``chem`` in LAMMPS.
    n_elements : int, optional
        Number of elements; one more than the largest index by default.
    point_radii : array-like of shape (n_points,), optional
        The same for each point; needed with `radii`. A point p sees atom k up to a distance of
        `r_cut` times the mean of ``point_radii[p]`` and ``radii[k]``.
    point_elements : array-like of shape (n_points,), optional
        The element that the self term of each point belongs to; needed with `elements`.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the computation and of the result. The rounding of float32 is about 1e-6
        of a component's largest value.
    device : str or torch.device, default="cpu"
        "cpu" runs a compiled kernel; anything else, say "cuda", is where torch computes.
    n_threads : int, optional
        Number of threads on the CPU; by default as many as Numba would use (all cores, or
        the environment variable ``NUMBA_NUM_THREADS``). The result does not depend on it.
""")


def check_atoms(positions, weights):
    """Return positions and weights as float64 after checking them."""
    positions = check_positions("positions", positions)
    weights = np.asarray(weights, dtype=np.float64)
    check_shape("weights", weights, (len(positions),))
    check_finite("weights", weights)
    return positions, weights


def check_positions(name, positions):
    """Return Cartesian positions as float64 after checking them."""
    positions = np.asarray(positions, dtype=np.float64)
    check_shape(name, positions, (None, 3))
    check_finite(name, positions)
    return positions


def check_settings(twojmax, r_cut, rfac0, rmin0, switch, dtype):
    """Return the parameters of the bispectrum as a dict after checking them."""
    if not isinstance(switch, (bool, np.bool_)):
        raise TypeError(f"switch must be True or False, got {switch!r}.")
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = dtype
    r_cut = check_scalar("r_cut", r_cut, low=0, strict=True)
    rmin0 = check_scalar("rmin0", rmin0, low=0)
    if rmin0 >= r_cut:
        raise ValueError(f"rmin0 must be less than r_cut, got rmin0 {rmin0} and r_cut {r_cut}.")
    return {
        "twojmax": check_scalar("twojmax", twojmax, low=0, high=MAX_TWOJMAX, integer=True),
        "r_cut": r_cut,
        "rfac0": check_scalar("rfac0", rfac0, low=0, strict=True),
        "rmin0": rmin0,
        "switch": bool(switch),
        "dtype": check_option("dtype", name, ("float64", "float32")),
    }


class Reach(NamedTuple):
    """Cutoffs in Å: atom k is a neighbour of point p within ``points[p] + atoms[k]``.

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
    """Return the cutoffs of points without individual radii."""
    if radii is None:
        return Reach(settings["r_cut"], np.zeros(n_points), np.empty(0))
    atoms = settings["r_cut"] * _check_radii("radii", radii, n_atoms, settings)
    return Reach(atoms.max(initial=0.0) or settings["r_cut"], np.zeros(n_points), atoms)


def point_reach(radii, point_radii, n_atoms, n_points, settings):
    """Return the cutoffs of points, with individual radii if given."""
    if (radii is None) != (point_radii is None):
        raise ValueError(
            "radii and point_radii are needed both or not at all, got "
            f"{'radii' if point_radii is None else 'point_radii'} alone."
        )
    if radii is None:
        return grid_reach(None, n_atoms, n_points, settings)
    half = 0.5 * settings["r_cut"]
    atoms = half * _check_radii("radii", radii, n_atoms, settings)
    points = half * _check_radii("point_radii", point_radii, n_points, settings)
    largest = atoms.max(initial=0.0) + points.max(initial=0.0)
    return Reach(largest or settings["r_cut"], points, atoms)


def _check_radii(name, radii, n, settings):
    radii = np.array(radii, dtype=np.float64)
    check_shape(name, radii, (n,))
    check_finite(name, radii)
    if (radii <= 0).any():
        raise ValueError(f"{name} must be positive, got {radii.min()}.")
    if settings["rmin0"] != 0:
        raise ValueError(f"{name} needs rmin0=0, got rmin0={settings['rmin0']}.")
    return radii


class Elements(NamedTuple):
    """Elements with separate densities.

    Parameters
    ----------
    n : int
        How many there are.
    atoms, points : ndarray of shape (n_atoms,) and (n_points,)
        The element of each atom, and the one that the self term of each point belongs to.
    """

    n: int
    atoms: np.ndarray
    points: np.ndarray


def check_elements(elements, point_elements, n_elements, n_atoms, n_points, device):
    """Return the elements after checking them, or None; points without one have the first."""
    if elements is None:
        return None
    if str(device) != "cpu":
        raise ValueError(f"several elements (chem) need device='cpu', got {str(device)!r}.")
    atoms = np.array(elements, dtype=np.int64)
    check_shape("elements", atoms, (n_atoms,))
    points = np.zeros(n_points) if point_elements is None else point_elements
    points = np.array(points, dtype=np.int64)
    check_shape("point_elements", points, (n_points,))
    both = np.concatenate([atoms, points])
    n_named = int(both.max(initial=0)) + 1
    n = check_scalar("n_elements", n_named if n_elements is None else n_elements, integer=True)
    if both.min(initial=0) < 0 or n_named > n:
        raise ValueError(
            f"elements must be from 0 to {n - 1}, got {both.min(initial=0)} to {n_named - 1}."
        )
    return Elements(n, atoms, points)


class Problem(NamedTuple):
    """Checked arguments of all functions: points, atoms and settings.

    Parameters
    ----------
    points_of : callable
        ``points_of(first, last)`` gives points, in Å.
    positions, weights, cell : ndarray
        Of the atoms, in Å.
    reach : Reach
        Cutoffs of points and atoms.
    chem : Elements or None
        Elements with separate densities.
    settings : dict
        From :func:`check_settings`.
    """

    points_of: Callable
    positions: np.ndarray
    weights: np.ndarray
    cell: np.ndarray
    reach: Reach
    chem: Elements
    settings: dict

    @property
    def shape(self):
        """Numbers of points and components."""
        n_components = len(bispectrum_components(self.settings["twojmax"]))
        return len(self.reach.points), n_components * (1 if self.chem is None else self.chem.n**3)


def grid_problem(
    positions,
    weights,
    cell,
    grid_shape,
    start,
    stop,
    radii,
    elements,
    n_elements,
    device,
    *settings,
):
    """Return the checked problem of a block of grid points."""
    grid_shape = check_grid_shape(grid_shape)
    start, stop = check_block(grid_shape, start, stop)
    cell, settings = check_cell(cell), check_settings(*settings)
    positions, weights = check_atoms(positions, weights)
    reach = grid_reach(radii, len(positions), stop - start, settings)
    chem = check_elements(elements, None, n_elements, len(positions), stop - start, device)

    def points_of(first, last):
        return grid_points(cell, grid_shape, start + first, start + last)

    return Problem(points_of, positions, weights, cell, reach, chem, settings)


def point_problem(points, positions, weights, cell, radii, elements, n_elements, device, *settings):
    """Return the checked problem of any points; `radii` and `elements` are of atoms and points."""
    points = check_positions("points", points)
    cell, settings = check_cell(cell), check_settings(*settings)
    positions, weights = check_atoms(positions, weights)
    numbers = len(positions), len(points)
    reach = point_reach(*radii, *numbers, settings)
    if elements[0] is not None and elements[1] is None:
        raise ValueError("point_elements is required with elements, got None.")
    chem = check_elements(*elements, n_elements, *numbers, device)

    def points_of(first, last):
        return points[first:last]

    return Problem(points_of, positions, weights, cell, reach, chem, settings)


def check_out(out, shape, dtype):
    """Return `out`, or a new array if it is None."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        kind = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out must be an array of {dtype}, got {kind}.")
    check_shape("out", out, shape)
    return out
