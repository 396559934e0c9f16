"""Check that energies and forces are consistent; in wrong units, they are not."""

import warnings

import numpy as np

#: Factor between the variation of energies and that expected from forces, beyond which to warn.
FACTOR = 3.0
#: Smallest correlation of both, and number of degrees of freedom, for a meaningful factor.
CORRELATION, FREEDOM = 0.9, 4
#: Smallest fraction of the spread of energies that composition and density do not explain; forces
#: contain no information on these.
LEFT = 0.05
#: Spread in eV/atom that is due to rounding.
ROUNDING = 1e-6


def warn_of_units(energies, by_forces, fractions, densities, counts):
    """Warn if energies vary much more or less than expected from forces, or oppositely.

    The comparison excludes variations due to composition and density, on which forces contain no
    information. The remaining variations must agree up to noise.

    Parameters
    ----------
    energies : ndarray of shape (n_snapshots,)
        Energies per atom in eV.
    by_forces : ndarray of shape (n_snapshots,)
        Energies predicted by a model fitted only to the forces.
    fractions : ndarray of shape (n_snapshots, n_elements)
        Compositions.
    densities : ndarray of shape (n_snapshots,)
        Mass densities.
    counts : ndarray of shape (n_snapshots,)
        Weights of the snapshots.

    Warns
    -----
    UserWarning
        If they differ by more than :data:`FACTOR`, or in sign.

    Examples
    --------
    >>> steps = np.arange(8.0)
    >>> warn_of_units(steps, 2 * steps, np.ones((8, 1)), np.ones(8), np.ones(8))
    """
    root = np.sqrt(counts)
    z = 1 - densities.mean() / densities  # 0 for equal densities
    explained = root[:, None] * np.column_stack([fractions, z, z**2])
    # Densities that are equal up to rounding explain nothing.
    left = np.eye(len(root)) - explained @ np.linalg.pinv(explained, rcond=1e-6)
    true, said = left @ (root * energies), left @ (root * by_forces)
    of_composition = root[:, None] * fractions
    whole = root * energies - of_composition @ (np.linalg.pinv(of_composition) @ (root * energies))
    sizes = np.linalg.norm([true, said, whole], axis=1) / np.sqrt(counts.sum())
    if np.trace(left) < FREEDOM - 0.5 or min(sizes) < ROUNDING or sizes[0] < LEFT * sizes[2]:
        return
    correlation = true @ said / np.sqrt((true @ true) * (said @ said))
    factor = sizes[0] / sizes[1]
    agree = correlation > 0 and 1 / FACTOR <= factor <= FACTOR
    if abs(correlation) < CORRELATION or agree:
        return
    warnings.warn(
        "energies and forces are inconsistent: energies of the snapshots vary by "
        f"{1e3 * sizes[0]:.3g} meV/atom, but from their forces they should vary by "
        f"{1e3 * sizes[1]:.3g} meV/atom"
        f"{'' if correlation > 0 else ' in the opposite direction'}. Energies must be in eV, "
        "forces in eV/Å, and forces are minus the gradient.",
        UserWarning,
        stacklevel=3,
    )
