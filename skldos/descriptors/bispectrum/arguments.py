"""Argument checks of all bispectrum functions."""

from typing import NamedTuple

import numpy as np

from skldos.descriptors.bispectrum.components import bispectrum_components
from skldos.descriptors.bispectrum.cubature import LEBEDEV_DEGREES
from skldos.validation import check_finite, check_option, check_scalar, check_shape

#: Limit of the Lebedev rules.
MAX_TWOJMAX = (2 * LEBEDEV_DEGREES[-1] + 1) // 3


def check_atoms(positions, weights):
    """Return positions and weights as float64 after checking them."""
    positions = np.asarray(positions, dtype=np.float64)
    check_shape("positions", positions, (None, 3))
    check_finite("positions", positions)
    weights = np.asarray(weights, dtype=np.float64)
    check_shape("weights", weights, (len(positions),))
    check_finite("weights", weights)
    return positions, weights


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
    """Return the elements after checking them, or None."""
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
    seen = int(both.max(initial=0)) + 1
    n = check_scalar("n_elements", seen if n_elements is None else n_elements, integer=True)
    if both.min(initial=0) < 0 or seen > n:
        raise ValueError(
            f"elements must be from 0 to {n - 1}, got {both.min(initial=0)} to {seen - 1}."
        )
    return Elements(n, atoms, points)


def n_components(twojmax, chem):
    """Return the number of components of a point."""
    return len(bispectrum_components(twojmax)) * (1 if chem is None else chem.n**3)


def check_out(out, shape, dtype):
    """Return `out`, or a new array if it is None."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        found = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out must be an array of {dtype}, got {found}.")
    check_shape("out", out, shape)
    return out
