"""Check that a density of states holds the electrons of its calculation."""

import math
import warnings

import numpy as np

from skldos.data import sum_rows
from skldos.exceptions import ScoringError
from skldos.physics import electron_deficit, n_electrons

#: Fraction of the electrons that may be missing or surplus, in addition to the effect of the
#: broadening on the Fermi level; sums over the grid are exact to 1e-6. In a band of 10 eV, a
#: thousandth of the electrons corresponds to about 10 meV per electron, an error that is not the
#: model's.
ELECTRON_TOLERANCE = 1e-3
#: Fraction of the electrons that may be missing or surplus in a density. Augmentation charges that
#: a density lacks are fewer, and a wrong unit of length is a factor of 6.7.
DENSITY_TOLERANCE = 0.1


def electrons_held(dos, snapshot):
    """Return the electrons of a DOS below the Fermi level of its calculation, and their excess.

    The excess, negative if there are too few, is that beyond the effect of the broadening of the
    LDOS. The electrons are None if the snapshot lacks Fermi level, electrons, temperature or
    energies.
    """
    if not _can_be_counted(snapshot):
        return None, 0.0
    mu, grid = snapshot.reference["fermi_energy"], snapshot.energy_grid
    state = {"temperature": snapshot.temperature, "fermi_level": mu}
    # If the broadening is not known, it is assumed to be about the spacing of the energies.
    width = 2 * np.diff(grid.values).max() if grid.broadening is None else grid.broadening
    electrons = float(n_electrons(dos, grid.values, **state))
    expected = {"n_electrons": snapshot.n_electrons, "width": width}
    return electrons, 0.0 - float(electron_deficit(dos, grid.values, **state, **expected))


def _can_be_counted(snapshot):
    values = snapshot.reference.get("fermi_energy"), snapshot.n_electrons, snapshot.temperature
    return None not in values and snapshot.energy_grid is not None


def warn_of_training_data(targets, snapshots):
    """Warn, as :func:`warn_of_missing_electrons`, before a model is trained.

    Of the targets, (..., n_energies), only LDOS and DOS of atoms count. `snapshots` may be None.
    """
    if snapshots is None:
        return
    pairs = [
        (_dos(target, snapshot), snapshot)
        for target, snapshot in zip(targets, snapshots, strict=True)
        if _can_be_counted(snapshot)
    ]
    # The regressor reports NaN.
    finite = [(dos, s) for dos, s in pairs if dos is not None and np.isfinite(dos).all()]
    warn_of_missing_electrons([dos for dos, _ in finite], [snapshot for _, snapshot in finite])


def check_electrons_of_density(density, snapshot):
    """Raise a ``ScoringError`` unless a density in 1/Å³ holds about the electrons of its snapshot.

    About means a fraction of :data:`DENSITY_TOLERANCE`.
    """
    electrons, expected = (
        float(density.sum(dtype=float)) * snapshot.voxel_volume,
        snapshot.n_electrons,
    )
    if expected is not None and abs(electrons - expected) > DENSITY_TOLERANCE * expected:
        raise ScoringError(
            f"the density of {snapshot!r} holds {electrons:.6g} electrons instead of "
            f"{expected:g}: is it in other units than 1/Å³?"
        )


def _dos(target, snapshot):
    """Return the DOS if a target has the shape of the LDOS or of the DOS of atoms, else None."""
    n_sites, n_energies = math.prod(np.shape(target)[:-1]), np.shape(target)[-1]
    on_grid = snapshot.grid_shape is not None and n_sites == snapshot.n_grid_points
    if n_energies != len(snapshot.energies) or not (on_grid or n_sites == len(snapshot.atoms)):
        return None
    return sum_rows(target) * (snapshot.voxel_volume if on_grid else 1)


def warn_of_missing_electrons(dos, snapshots):
    """Warn of the true density of states, in 1/eV, with the worst number of electrons.

    If the number of electrons below the Fermi level of the calculation is wrong, the energies begin
    above the lowest level, or the LDOS is in other units. Energies integrated from it are then
    wrong, and errors against them are meaningless.
    """
    counts = [electrons_held(*pair) for pair in zip(dos, snapshots, strict=True)]
    errors = [
        0.0 if electrons is None else abs(excess) / snapshot.n_electrons
        for (electrons, excess), snapshot in zip(counts, snapshots, strict=True)
    ]
    if not errors or max(errors) <= ELECTRON_TOLERANCE:
        return
    worst = int(np.argmax(errors))
    snapshot, n_wrong = snapshots[worst], sum(error > ELECTRON_TOLERANCE for error in errors)
    cause = "begin above the lowest level"
    if snapshot.energies[-1] < snapshot.reference["fermi_energy"]:
        cause = f"end too low, at {snapshot.energies[-1]:g} eV"
    warnings.warn(
        f"the LDOS of {snapshot!r} holds {counts[worst][0]:.6g} electrons below the Fermi level of "
        f"its calculation, {snapshot.reference['fermi_energy']:g} eV, instead of "
        f"{snapshot.n_electrons:g} ({n_wrong} of {len(errors)} snapshots): do its energies "
        f"{cause}, or is it in other units than 1/(eV Å³)? Energies of it are wrong.",
        UserWarning,
        stacklevel=4,
    )
