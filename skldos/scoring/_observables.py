"""What follows from the LDOS of one snapshot: Fermi level, energies, density."""

import warnings
from typing import NamedTuple

import numpy as np

from skldos.data import ComputedArray, as_rows, spooled
from skldos.exceptions import FermiLevelError, ScoringError
from skldos.physics import (
    band_energy,
    fermi_level,
    n_electrons,
    sharpening_matrix,
    total_energy,
)
from skldos.physics import density as electron_density
from skldos.scoring._dos import dos_of_block
from skldos.scoring._errors import as_scoring_error


class Observables(NamedTuple):
    """What an LDOS, or a DOS alone, says of a snapshot; None where that was not asked for."""

    fermi_level: float
    band_energy: float
    total_energy: float = None
    density: np.ndarray = None


def of_dos(dos, snapshot, *, sharpen=0, predicted=False):
    """Return Fermi level and band energy in eV of a DOS in 1/eV; see :func:`of_ldos`."""
    dos = sharpened(dos, snapshot, sharpen)
    mu = fermi_level_of(dos, snapshot, predicted=predicted)
    state = {"temperature": snapshot.temperature, "fermi_level": mu}
    return Observables(mu, float(band_energy(dos, snapshot.energies, **state)))


def of_ldos(ldos, snapshot, *, terms=None, density=False, sharpen=0, predicted=False):
    """Return all that an LDOS on the grid says.

    Parameters
    ----------
    ldos : ndarray or LazyArray of shape (n_x, n_y, n_z, n_energies)
        In 1/(eV Å³).
    snapshot : Snapshot
        Its atoms, energies, temperature and electrons.
    terms : dict, optional
        Keywords of :func:`skldos.physics.total_energy` that the snapshot does not know; None
        leaves the total energy out.
    density : bool, default=False
        Whether the density is wanted.
    sharpen : int, default=0
        Order to which the broadening is undone.
    predicted : bool, default=False
        Whether the end of the energies stands in for a Fermi level beyond it.

    Returns
    -------
    Observables
    """
    ldos = sharpened(ldos, snapshot, sharpen)
    seen = of_dos(dos_of_block(ldos, snapshot), snapshot, predicted=predicted)
    if terms is not None:
        energy = total_energy(
            ldos,
            snapshot.energies,
            atoms=snapshot.atoms,
            temperature=snapshot.temperature,
            n_electrons=snapshot.n_electrons,
            fermi_level=seen.fermi_level,
            **terms,
        )
        seen = seen._replace(total_energy=energy.total)
    if density:
        seen = seen._replace(density=density_at(ldos, snapshot, seen.fermi_level))
    return seen


def sharpened(field, snapshot, order):
    """Return a DOS, or an LDOS, with its broadening undone to an order; 0 leaves it alone."""
    if order == 0:
        return field
    matrix = sharpening_of(snapshot, order)
    if np.ndim(field) == 1:
        return matrix @ field
    rows, matrix = as_rows(field), matrix.T.astype(np.float32)
    lazy = ComputedArray(lambda start, stop: rows[start:stop] @ matrix, rows.shape, np.float32)
    return spooled(lazy).reshape(field.shape)


def sharpening_of(snapshot, order):
    """Return the matrix that undoes the broadening of the LDOS of a snapshot."""
    grid = snapshot.energy_grid
    if grid is None or grid.broadening is None or grid.kernel is None:
        raise ScoringError(
            f"sharpen needs the broadening of the LDOS and its kernel, but {snapshot!r} does not "
            "know them; give it an EnergyGrid that does."
        )
    known = {"broadening": grid.broadening, "kernel": grid.kernel}
    with as_scoring_error(ValueError):
        return sharpening_matrix(grid.values, order=order, **known)


def density_at(ldos, snapshot, mu):
    """Return the density in 1/Å³ at the Fermi level `mu` in eV."""
    state = {"temperature": snapshot.temperature, "fermi_level": mu}
    return electron_density(ldos, snapshot.energies, **state)


def fermi_level_of(dos, snapshot, *, predicted=True):
    """Return the Fermi level in eV of a DOS in 1/eV.

    That of a predicted DOS which cannot hold the electrons is the end of the energies, with a
    warning, so that the error is as large as that makes it.
    """
    snapshot.require("energies", "temperature", "n_electrons")
    energies, state = snapshot.energies, {"temperature": snapshot.temperature}
    if len(dos) != len(energies):
        raise ScoringError(
            f"the DOS has {len(dos)} values, but there are {len(energies)} energies in "
            f"{snapshot!r}."
        )
    try:
        return float(fermi_level(dos, energies, n_electrons=snapshot.n_electrons, **state))
    except FermiLevelError as error:
        if not predicted:
            raise
        warnings.warn(
            f"{error} The end of the energy grid is taken instead.", UserWarning, stacklevel=6
        )
        ends = energies[[0, -1]]
        counts = [float(n_electrons(dos, energies, fermi_level=end, **state)) for end in ends]
        return float(ends[np.argmin(np.abs(np.array(counts) - snapshot.n_electrons))])
