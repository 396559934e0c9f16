"""Observables of the LDOS of one snapshot: Fermi level, energies, density."""

import warnings
from typing import NamedTuple

import numpy as np

from skldos.data import ComputedArray, LazyArray, as_rows, spooled
from skldos.exceptions import FermiLevelError, ScoringError, as_scoring_error
from skldos.physics import (
    band_energy,
    fermi_level,
    integration_weights,
    n_electrons,
    total_energy,
)
from skldos.physics import density as electron_density
from skldos.physics.total_energy import energy_of_fields
from skldos.prediction import streaming
from skldos.prediction.dos import check_dos, dos_of_block, iter_rows_on_grid
from skldos.prediction.pieces import iter_rows
from skldos.validation import check_scalar

#: Order to which a known broadening is undone unless an order is given.
DEFAULT_ORDER = 2


class Observables(NamedTuple):
    """Observables of a snapshot from its LDOS, or from a DOS; None if not requested.

    Attributes
    ----------
    fermi_level, band_energy, total_energy : float
        In eV.
    density : ndarray of shape (n_x, n_y, n_z)
        Electrons per Å³.
    dos, broadened_dos : ndarray of shape (n_energies,)
        Density of states in 1/eV; and as it was before its broadening was undone.
    """

    fermi_level: float
    band_energy: float
    total_energy: float = None
    density: np.ndarray = None
    dos: np.ndarray = None
    broadened_dos: np.ndarray = None


def of_dos(dos, snapshot, *, sharpen=0, predicted=False):
    """Return Fermi level and band energy in eV of a DOS in 1/eV; see :func:`of_ldos`."""
    broadened, dos = dos, sharpened(dos, snapshot, sharpen)
    mu = fermi_level_of(dos, snapshot, predicted=predicted)
    state = {"temperature": snapshot.temperature, "fermi_level": mu}
    energy = float(band_energy(dos, snapshot.energies, **state))
    return Observables(mu, energy, dos=dos, broadened_dos=broadened)


def of_ldos(ldos, snapshot, *, terms=None, density=False, sharpen=0, predicted=False):
    """Return the observables of an LDOS in 1/(eV Å³) on the grid.

    The total energy needs `terms`, the keywords of :func:`skldos.physics.total_energy` that the
    snapshot lacks. The broadening is undone to the order `sharpen`; None is 2 where it is known. If
    the LDOS is `predicted`, the end of the energies stands in for a Fermi level beyond it.
    """
    broadened, ldos = dos_of_block(ldos, snapshot), sharpened(ldos, snapshot, sharpen)
    order = sharpening_order(snapshot.energy_grid, sharpen)
    dos = dos_of_block(ldos, snapshot) if order else broadened
    observables = of_dos(dos, snapshot, predicted=predicted)
    mu = observables.fermi_level
    return observables._replace(
        total_energy=None if terms is None else _total_energy(ldos, snapshot, mu, terms),
        density=_density(ldos, snapshot, mu) if density else None,
        broadened_dos=broadened,
    )


def _total_energy(ldos, snapshot, mu, terms):
    """Return the total free energy in eV at the Fermi level `mu` in eV."""
    with warnings.catch_warnings():
        # A warning has already been given if the end of the energies replaces the Fermi level.
        warnings.filterwarnings("ignore", message="fermi_level=.* holds")
        energy = total_energy(
            ldos,
            snapshot.energies,
            atoms=snapshot.atoms,
            temperature=snapshot.temperature,
            n_electrons=snapshot.n_electrons,
            fermi_level=mu,
            assume_isolated=snapshot.reference.get("assume_isolated"),
            **terms,
        )
    return energy.total


def _density(ldos, snapshot, mu):
    """Return the density in 1/Å³ at the Fermi level `mu` in eV."""
    state = {"temperature": snapshot.temperature, "fermi_level": mu}
    return electron_density(ldos, snapshot.energies, **state)


def iter_observables(estimator, X, n_jobs=None, *, terms, density=False, sharpen=0):
    """Yield every snapshot with the observables of its predicted LDOS, one after the other.

    An LDOS above :data:`~skldos.prediction.streaming.KEPT_BYTES` is kept nowhere if the estimator
    is a pipeline that ends in a regressor of skldos. For `terms`, one per snapshot, `density` and
    `sharpen` see :func:`of_ldos`.
    """
    pairs = iter_rows_on_grid(estimator, X, n_jobs)
    for (snapshot, rows), of_snapshot in zip(pairs, terms):  # noqa: B905 (may be endless)
        options = {"terms": of_snapshot, "density": density, "sharpen": sharpen}
        if isinstance(rows, LazyArray) and rows.nbytes > streaming.KEPT_BYTES:
            yield snapshot, _of_stream(rows, snapshot, n_jobs, **options)
        else:
            ldos = spooled(rows, slices=iter_rows(rows, n_jobs))
            ldos = ldos.reshape(*snapshot.grid_shape, -1)
            yield snapshot, of_ldos(ldos, snapshot, predicted=True, **options)


def _of_stream(rows, snapshot, n_jobs, *, terms, density, sharpen):
    """Return the observables of an LDOS whose rows are computed when read."""
    snapshot.require("energies", "temperature", "n_electrons")
    order = sharpening_order(snapshot.energy_grid, sharpen)
    electrons = streaming.stream_electrons(
        rows,
        snapshot.grid_shape,
        snapshot.energies,
        temperature=snapshot.temperature,
        voxel_volume=snapshot.voxel_volume,
        level_of=lambda dos: fermi_level_of(check_dos(dos, snapshot), snapshot),
        matrix=_sharpening_matrix(snapshot, order) if order else None,
        n_jobs=n_jobs,
    )
    mu, n = electrons.fermi_level, electrons.density
    dos, broadened_dos = electrons.dos, electrons.broadened_dos
    del electrons  # with a field that the total energy needs room for
    state = {"temperature": snapshot.temperature, "fermi_level": mu}
    total = None
    if terms is not None:
        total = energy_of_fields(
            dos,
            n,
            snapshot.energies,
            atoms=snapshot.atoms,
            n_electrons=snapshot.n_electrons,
            assume_isolated=snapshot.reference.get("assume_isolated"),
            **state,
            **terms,
        ).total
    return Observables(
        mu,
        float(band_energy(dos, snapshot.energies, **state)),
        total,
        n if density else None,
        dos,
        broadened_dos,
    )


def check_sharpen(sharpen):
    """Return the order to which a broadening is undone, after checking it."""
    return None if sharpen is None else check_scalar("sharpen", sharpen, low=0, integer=True)


def sharpened(field, snapshot, order):
    """Return a DOS or an LDOS with its broadening undone to an order; 0 changes nothing."""
    order = sharpening_order(snapshot.energy_grid, order)
    if order == 0:
        return field
    matrix = _sharpening_matrix(snapshot, order)
    if np.ndim(field) == 1:
        return matrix @ field
    rows, matrix = as_rows(field), matrix.T.astype(np.float32)
    lazy = ComputedArray(lambda start, stop: rows[start:stop] @ matrix, rows.shape, np.float32)
    return spooled(lazy).reshape(field.shape)


def knows_broadening(grid):
    """Return whether an energy grid, or None, has the broadening of the LDOS and its kernel."""
    return grid is not None and None not in (grid.broadening, grid.kernel)


def sharpening_order(grid, order):
    """Return an order; for None, 2 if the broadening is known and 0 otherwise."""
    if order is not None:
        return order
    return DEFAULT_ORDER if knows_broadening(grid) else 0


def _sharpening_matrix(snapshot, order):
    """Return the matrix that undoes the broadening of the LDOS of a snapshot."""
    grid = snapshot.energy_grid
    if not knows_broadening(grid):
        raise ScoringError(
            f"sharpen needs the broadening of the LDOS and its kernel, but {snapshot!r} does not "
            "have them; give it an EnergyGrid with both."
        )
    with as_scoring_error(ValueError):
        return grid.sharpening_matrix(order)


def fermi_level_of(dos, snapshot, *, predicted=True):
    """Return the Fermi level in eV of a DOS in 1/eV.

    If a predicted DOS cannot hold the electrons, the end of the energies is returned with a
    warning, and the error is correspondingly large.
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
            f"{error} The end of the energy grid is used instead.", UserWarning, stacklevel=6
        )
        ends = energies[[0, -1]]
        counts = [float(n_electrons(dos, energies, fermi_level=end, **state)) for end in ends]
        return float(ends[np.argmin(np.abs(np.array(counts) - snapshot.n_electrons))])


def band_energy_weights(dos, snapshot):
    r"""Return *w* of :math:`\delta E_\mathrm{band} = w \cdot \delta D`, at constant electrons."""
    mu = fermi_level_of(dos, snapshot, predicted=False)
    state = {"temperature": snapshot.temperature, "fermi_level": mu}
    return integration_weights(snapshot.energies, quantity="energy", **state)
