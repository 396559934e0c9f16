"""Checks that the energies of an LDOS cover all relevant levels, and that it contains them."""

import warnings
from itertools import pairwise

import numpy as np
import torch

from skldos.data import EnergyGrid
from skldos.physics import electron_deficit, n_electrons

#: Distance from a level, in widths, at which its peak has fallen to e^-16 of its height.
KERNEL_REACH = {"gaussian": 4.0, "fermi-dirac": 16.0}
#: Fraction of the electrons that may lie below the energies; in a band of 10 eV it changes the
#: energy by about 10 meV per electron.
MAX_LOST_FRACTION = 1e-3
#: Fraction of the electrons by which an LDOS may differ from the levels of its calculation.
ELECTRON_TOLERANCE = 1e-2
#: With fewer energies, the LDOS is only sampled and not meant to be integrated.
FEWEST_ENERGIES = 5


def check_broadened(energies):
    """Raise an error unless `energies` is an :class:`~skldos.EnergyGrid` with a kernel."""
    if not isinstance(energies, EnergyGrid):
        raise TypeError(f"energies must be an EnergyGrid, got {type(energies).__name__}.")
    if any(None in (window.broadening, window.kernel) for window in energies.windows):
        raise ValueError(f"energies must have a broadening and a kernel, got {energies!r}.")


def highest_level(energies):
    """Return the highest level, in eV, that contributes to the LDOS at some broadened energies.

    This is the last energy plus the distance at which the kernel has fallen to e^-16 of its height.
    The highest band of a run should lie above it at every k point.

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> grid = EnergyGrid.regular(-6.0, 0.5, 33, broadening=0.5, kernel="gaussian")
    >>> highest_level(grid)
    12.0
    """
    check_broadened(energies)
    return float(energies.values[-1] + KERNEL_REACH[energies.kernel] * energies.broadening)


def electrons_below(run, energies):
    """Return the number of electrons of a run below the energies of an LDOS, with its broadening.

    They are counted from half a spacing below the first energy, as in an integral over the
    energies. The number is zero if the occupations are not known.
    """
    if run.occupations is None:
        return 0.0
    lowest = energies.windows[0]
    start = lowest.values[0] - (lowest.values[1] - lowest.values[0]) / 2
    x = torch.from_numpy((run.eigenvalues - start) / lowest.broadening)
    # ∫ δ_σ(E - ε) dE up to the start
    below = torch.special.erfc(x) / 2 if lowest.kernel == "gaussian" else torch.sigmoid(-x)
    return float(run.weights @ (run.occupations * below.numpy()).sum(axis=1))


def electrons_between(run, energies):
    """Return the number of electrons of a run in levels between the windows of the energies."""
    if run.occupations is None:
        return 0.0
    count = 0.0
    for low, high in pairwise(energies.windows):
        inside = (run.eigenvalues > low.values[-1]) & (run.eigenvalues < high.values[0])
        count += float(run.weights @ (run.occupations * inside).sum(axis=1))
    return count


def warn_of_missing_levels(run, energies, stacklevel):
    """Warn if occupied levels lie outside the energies, or missing bands would contribute there."""
    problems = []
    highest, limit = run.eigenvalues.max(axis=1).min(), highest_level(energies)
    if highest < limit:
        problems.append(
            f"the highest of the {run.eigenvalues.shape[1]} bands starts at {highest:.2f} eV, but "
            f"levels up to {limit:.2f} eV reach the LDOS at {energies.values[-1]:.2f} eV: some "
            "are missing there; run pw.x with more bands (nbnd)"
        )
    integrated, last = len(energies) >= FEWEST_ENERGIES, energies.values[-1]
    if integrated and run.fermi_energy is not None and last < run.fermi_energy:
        problems.append(
            f"the energies end at {last:.2f} eV, below the Fermi level of the run, "
            f"{run.fermi_energy:.2f} eV: they do not hold all electrons; end well above it"
        )
    lost = electrons_below(run, energies)
    if integrated and lost > MAX_LOST_FRACTION * run.n_electrons:
        lowest, first = run.eigenvalues.min(), energies.windows[0]
        problems.append(
            f"the lowest level lies at {lowest:.2f} eV, but the energies begin at "
            f"{energies.values[0]:.2f} eV: {lost:.3g} of the {run.n_electrons:g} electrons lie "
            "below them, so that band energies will be wrong; begin at "
            f"{lowest - KERNEL_REACH[first.kernel] * first.broadening:.2f} eV"
        )
    if between := electrons_between(run, energies):
        problems.append(
            f"{between:.3g} of the {run.n_electrons:g} electrons are in levels between the windows "
            "of the energies, where there must be none"
        )
    if problems:
        warnings.warn(f"{'; and '.join(problems)} ({run.path}).", stacklevel=stacklevel + 1)


def warn_of_other_levels(run, energies, dos, temperature, stacklevel):
    """Warn if a DOS holds another number of electrons than the broadened levels of its run.

    The DOS, (n_energies,), is in 1/eV, the temperature in K. The energies have a broadening.
    """
    if run.fermi_energy is None:
        return
    state = {"fermi_level": run.fermi_energy, "temperature": temperature}
    # Both use the same broadening and integral, so these cause no difference.
    levels, weights = run.eigenvalues.ravel(), np.repeat(run.weights, run.eigenvalues.shape[1])
    expected_dos = np.array(
        [weights @ energies.broadened(levels, [k])[:, 0] for k in range(len(energies))]
    )
    expected = float(n_electrons(expected_dos, energies.values, **state))
    if expected <= 0:
        return
    deficit = float(electron_deficit(dos, energies.values, n_electrons=expected, **state))
    if abs(deficit) > ELECTRON_TOLERANCE * run.n_electrons:
        warnings.warn(
            f"the LDOS holds {expected - deficit:.6g} electrons below the Fermi level, but the "
            f"levels of the calculation, broadened as the energies say, hold {expected:.6g}: is "
            "it in units other than 1/(eV Å³), from another calculation, or broadened differently? "
            f"({run.path}).",
            stacklevel=stacklevel + 1,
        )
