"""Functions of arrays for power spectra of atoms (SOAP) and their derivatives."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from skldos.compilation import in_threads
from skldos.descriptors.power_spectrum.harmonics import prefactors
from skldos.descriptors.power_spectrum.radial import BASES, MAX_L, MAX_N, radial_table
from skldos.docstrings import documented, entries_of
from skldos.geometry import bin_neighbors, check_cell
from skldos.validation import check_finite, check_option, check_scalar, check_shape

#: Initial room for neighbours; doubled if there are more.
INITIAL_ROOM = 256

#: Smallest number of atoms per piece, and largest number of pieces. Each piece has its own sum over
#: all atoms. The sums are added in the order of the atoms, so that the result does not depend on
#: the number of threads.
ATOMS_AT_ONCE, MOST_PIECES = 64, 32

ENTRIES = entries_of("""
    positions : array-like of shape (n_atoms, 3)
        Cartesian, in Å; inside the cell or not.
    cell : array-like of shape (3, 3)
        Lattice vectors as rows, in Å.
    species : array-like of shape (n_atoms,)
        Index of the element of every atom, from 0.
    n_species : int, optional
        Number of elements; one more than the largest index by default.
    start, stop : int, optional
        Atoms whose spectra are wanted; all by default.
    n_threads : int, optional
        Number of threads; by default as many as Numba would use.
    by_positions : ndarray of shape (n_atoms, 3)
        Derivatives of the number with respect to the positions, per Å.
    by_strain : ndarray of shape (3, 3)
        With respect to a strain ε that takes positions and cell r to r (1 + ε).
""")


def n_spectrum_features(n_species, n_max, l_max):
    """Return the number of features of a power spectrum."""
    n = n_species * n_max
    return (l_max + 1) * n * (n + 1) // 2


@documented(ENTRIES)
def power_spectrum(
    positions, cell, species, *, n_species=None, start=0, stop=None, n_threads=None, **settings
):
    r"""Calculate the SOAP power spectrum of the neighbours of every atom.

    The density of Gaussians on the neighbours, the atom itself included, is expanded in orthonormal
    radial functions and spherical harmonics; products of the coefficients, summed over m, are
    invariant under rotations (A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115, 2013).
    The equal features (a, b) and (b, a) are combined into one, times :math:`\sqrt 2`. With
    ``rbf="gto_n"`` the values equal those of featomic's ``SoapPowerSpectrum`` with ``Gto`` radial
    functions and ``ShiftedCosine`` smoothing, up to a factor :math:`(-1)^l`.

    Parameters
    ----------
    %(positions)s
    %(cell)s
    %(species)s
    %(n_species)s
    %(start)s
    %(n_threads)s
    **settings
        Parameters of the expansion:

        r_cut : float
            Cutoff radius in Å; may exceed the cell.
        n_max : int
            Number of radial functions.
        l_max : int
            Largest angular momentum.
        sigma : float
            Width of the Gaussians in Å.
        fade : float, default=1.0
            Length in Å over which neighbours fade out below the cutoff.
        basis_radius : float, optional
            Extent of the radial functions in Å; `r_cut` by default.
        rbf : {"gto", "gto_n", "polynomial"}, default="gto"
            Radial functions, see ``skldos.descriptors.power_spectrum.radial.radial_basis``.

    Returns
    -------
    ndarray of shape (n_wanted, n_features)
        l slowest, then pairs a ≤ b of element and radial function.

    Raises
    ------
    ValueError
        If an argument is out of range, not finite or of the wrong shape.

    Examples
    --------
    >>> settings = {"r_cut": 4.0, "n_max": 4, "l_max": 3, "sigma": 0.5}
    >>> power_spectrum(np.zeros((1, 3)), 3 * np.eye(3), [0], **settings).shape
    (1, 40)
    """
    work = _prepared(positions, cell, species, n_species, **settings)
    start, stop = _range(start, stop, len(work.positions))
    out = np.empty((stop - start, work.n_features))

    def rows(begin, end):
        _run(_kernel().spectra, work, begin, end, lambda at: (out[at - start :],))

    for _ in _by_pieces(rows, start, stop, n_threads):
        pass
    return out


@documented(ENTRIES)
def power_spectrum_adjoint(
    by_rows,
    positions,
    cell,
    species,
    *,
    n_species=None,
    start=0,
    stop=None,
    n_threads=None,
    **settings,
):
    """Turn derivatives with respect to power spectra into those by positions and strain.

    The contraction comes before the differentiation, so no derivative of a feature is stored.

    Parameters
    ----------
    by_rows : array-like of shape (n_wanted, n_features)
        Derivatives of a number with respect to the spectra of atoms `start` to `stop`; one row
        that ``np.broadcast_to`` repeats takes no memory.
    %(positions)s
    %(cell)s
    %(species)s
    %(n_species)s
    %(start)s
    %(n_threads)s
    **settings
        As for :func:`power_spectrum`.

    Returns
    -------
    %(by_positions)s
    %(by_strain)s

    Examples
    --------
    >>> settings = {"r_cut": 4.0, "n_max": 4, "l_max": 3, "sigma": 0.5}
    >>> by_rows = np.ones((1, 40))
    >>> power_spectrum_adjoint(by_rows, np.zeros((1, 3)), 3 * np.eye(3), [0], **settings)[0].shape
    (1, 3)
    """
    work = _prepared(positions, cell, species, n_species, **settings)
    start, stop = _range(start, stop, len(work.positions))
    by_rows = np.asarray(by_rows)
    check_shape("by_rows", by_rows, (stop - start, work.n_features))

    def gradient(begin, end):
        by_positions, by_strain = np.zeros_like(work.positions), np.zeros((3, 3))
        rows = np.array(by_rows[begin - start : end - start], dtype=float, order="C")
        check_finite("by_rows", rows)
        targets = by_positions, by_strain
        _run(_kernel().pullback, work, begin, end, lambda at: (rows[at - begin :], *targets))
        return targets

    return _summed(_by_pieces(gradient, start, stop, n_threads))


@documented(ENTRIES)
def power_spectrum_derivatives(
    positions, cell, species, *, n_species=None, groups=None, n_threads=None, **settings
):
    """Calculate the derivatives of power spectra summed over the atoms.

    Parameters
    ----------
    %(positions)s
    %(cell)s
    %(species)s
    %(n_species)s
    groups : array-like of shape (n_atoms,), optional
        Index of the sum that each atom contributes to; by default all contribute to one. There
        are as many sums as elements, or more if an index is larger.
    %(n_threads)s
    **settings
        As for :func:`power_spectrum`.

    Returns
    -------
    by_positions : ndarray of shape (n_atoms, 3, n_groups, n_features)
        Per Å.
    by_strain : ndarray of shape (3, 3, n_groups, n_features)
        With respect to a strain ε that takes positions and cell r to r (1 + ε).

    Examples
    --------
    >>> settings = {"r_cut": 4.0, "n_max": 4, "l_max": 3, "sigma": 0.5}
    >>> by = power_spectrum_derivatives(np.zeros((1, 3)), 3 * np.eye(3), [0], **settings)
    >>> by[0].shape, by[1].shape
    ((1, 3, 1, 40), (3, 3, 1, 40))
    """
    work = _prepared(positions, cell, species, n_species, **settings)
    n_atoms = len(work.positions)
    n_groups = 1 if groups is None else work.n_species
    groups = np.zeros(n_atoms, np.int64) if groups is None else np.asarray(groups, np.int64)
    check_shape("groups", groups, (n_atoms,))
    shape = (3, max(n_groups, groups.max(initial=0) + 1), work.n_features)

    def derivatives(begin, end):
        targets = np.zeros((n_atoms, *shape)), np.zeros((3, *shape))
        _run(_kernel().sum_derivatives, work, begin, end, lambda at: (groups, *targets))
        return targets

    return _summed(_by_pieces(derivatives, 0, n_atoms, n_threads))


class _Work(NamedTuple):
    """Arguments of every kernel, in order, and the number of features."""

    positions: np.ndarray
    species: np.ndarray
    bins: tuple
    table: np.ndarray
    factors: np.ndarray
    fade: float
    n_species: int
    n_features: int


def _prepared(
    positions,
    cell,
    species,
    n_species,
    *,
    r_cut,
    n_max,
    l_max,
    sigma,
    fade=1.0,
    basis_radius=None,
    rbf="gto",
):
    """Check the arguments, and return neighbours and tables."""
    positions = np.ascontiguousarray(positions, dtype=float)
    check_shape("positions", positions, (None, 3))
    check_finite("positions", positions)
    cell = check_cell(cell)
    species = np.ascontiguousarray(species, dtype=np.int64)
    check_shape("species", species, (len(positions),))
    r_cut, sigma, basis_radius = check_lengths(r_cut, sigma, fade, basis_radius)
    n_max = check_scalar("n_max", n_max, low=1, high=MAX_N, integer=True)
    l_max = check_scalar("l_max", l_max, low=0, high=MAX_L, integer=True)
    check_option("rbf", rbf, BASES)
    n_named = species.max(initial=-1) + 1
    n_species = check_scalar("n_species", n_named if n_species is None else n_species, integer=True)
    if species.min(initial=0) < 0 or n_named > n_species:
        raise ValueError(
            f"species must be from 0 to {n_species - 1}, got {species.min()} to {n_named - 1}."
        )
    bins = bin_neighbors(positions, cell, r_cut)
    table = radial_table(n_max, l_max, r_cut, sigma, basis_radius, rbf)
    n_features = n_spectrum_features(n_species, n_max, l_max)
    factors = prefactors(l_max)
    return _Work(positions, species, bins, table, factors, float(fade), n_species, n_features)


def check_lengths(r_cut, sigma, fade, basis_radius):
    """Return cutoff, width and extent of the radial functions after checking all four lengths."""
    r_cut = check_scalar("r_cut", r_cut, low=0, strict=True)
    sigma = check_scalar("sigma", sigma, low=0, strict=True)
    check_scalar("fade", fade, low=0, high=r_cut, strict=True)
    radius = r_cut if basis_radius is None else basis_radius
    # The narrowest Gaussian-type orbital belongs to 1 Å.
    return r_cut, sigma, check_scalar("basis_radius", radius, low=1, strict=True)


def _range(start, stop, n_atoms):
    stop = n_atoms if stop is None else stop
    if not 0 <= start <= stop <= n_atoms:
        raise ValueError(f"start and stop must be within 0 to {n_atoms}, got {start} and {stop}.")
    return start, stop


def _kernel():
    # Imported here, so that programs without spectra do not load the compiled code.
    from skldos.descriptors.power_spectrum import kernel

    return kernel


def _run(kernel, work, begin, end, further):
    """Run a kernel from `begin` to `end`, with more room if an atom needs it.

    ``further(at)`` returns the last arguments for a run that starts at atom `at`.
    """
    room = INITIAL_ROOM
    while begin < end:
        begin = kernel(*work[:-1], begin, end, room, *further(begin))
        room *= 2


def _by_pieces(function, start, stop, n_threads):
    """Yield the result of `function` for every piece of atoms, in order."""
    size = max(ATOMS_AT_ONCE, -(-(stop - start) // MOST_PIECES))
    pieces = list(pairwise([*range(start, stop, size), stop]))
    return in_threads(lambda piece: function(*piece), pieces, n_threads)


def _summed(tuples):
    """Return the sums of pairs of arrays, added to the first pair in order."""
    total = next(tuples)
    for arrays in tuples:
        for array, addend in zip(total, arrays, strict=True):
            array += addend
    return total
