"""Check that energies and forces are consistent; in wrong units, they are not."""

import warnings

import numpy as np

#: Factor between the variation of energies and that expected from forces, beyond which to warn.
LARGEST_FACTOR = 3.0
#: Smallest correlation of both, and number of degrees of freedom, for a meaningful factor.
SMALLEST_CORRELATION, FEWEST_FREEDOMS = 0.9, 4
#: Smallest fraction of the spread of energies that composition and density do not explain; forces
#: contain no information on these.
LEAST_UNEXPLAINED = 0.05
#: Spread in eV/atom that is due to rounding.
ROUNDING = 1e-6
#: Distance in eV/atom from the energies of most snapshots, beyond which one of them is wrong, such
#: as in Ry; atoms are bound by less. It must also be so many times the usual distance.
FAR, FAR_TIMES = 10.0, 30.0


def warn_of_outliers(energies, fractions):
    """Warn if the energy of a snapshot is far from those of most others.

    That is, farther than :data:`FAR` and :data:`FAR_TIMES` times the median distance. Energies are
    in eV/atom, and `fractions`, of shape (n_snapshots, n_elements), are the compositions.

    Examples
    --------
    >>> warn_of_outliers(np.array([-57.1, -57.2, -57.0, -57.3]), np.ones((4, 1)))
    """
    residuals = energies - fractions @ np.linalg.lstsq(fractions, energies, rcond=None)[0]
    distances = np.abs(residuals - np.median(residuals))
    worst = int(np.argmax(distances))
    if distances[worst] > max(FAR, FAR_TIMES * np.median(distances)):
        warnings.warn(
            f"the energy of snapshot {worst}, {energies[worst]:.6g} eV/atom, differs from most "
            f"others by {distances[worst]:.3g} eV/atom: is it in other units, or from another "
            "calculation?",
            UserWarning,
            stacklevel=3,
        )


def warn_of_units(energies, by_forces, fractions, densities, counts):
    """Warn if energies vary much more or less than expected from forces, or oppositely.

    `energies` (eV/atom) are compared with those of a model fitted only to the forces, `by_forces`.
    The comparison excludes variations due to composition and density, on which forces contain no
    information. The remaining variations must agree up to noise: in sign, and to a factor of
    :data:`LARGEST_FACTOR`. `counts` are the weights of the snapshots.

    Examples
    --------
    >>> steps = np.arange(8.0)
    >>> warn_of_units(steps, 2 * steps, np.ones((8, 1)), np.ones(8), np.ones(8))
    """
    root = np.sqrt(counts)
    z = 1 - densities.mean() / densities  # 0 for equal densities
    explained = root[:, None] * np.column_stack([fractions, z, z**2])
    # Densities that are equal up to rounding explain nothing.
    residual = np.eye(len(root)) - explained @ np.linalg.pinv(explained, rcond=1e-6)
    deviations, expected = residual @ (root * energies), residual @ (root * by_forces)
    mixture = root[:, None] * fractions
    within = root * energies - mixture @ (np.linalg.pinv(mixture) @ (root * energies))
    spread, expected_spread, spread_within = np.linalg.norm(
        [deviations, expected, within], axis=1
    ) / np.sqrt(counts.sum())
    if np.trace(residual) < FEWEST_FREEDOMS - 0.5 or spread < LEAST_UNEXPLAINED * spread_within:
        return
    if min(spread, expected_spread, spread_within) < ROUNDING:
        return
    correlation = deviations @ expected / np.sqrt((deviations @ deviations) * (expected @ expected))
    factor = spread / expected_spread
    agree = correlation > 0 and 1 / LARGEST_FACTOR <= factor <= LARGEST_FACTOR
    if abs(correlation) < SMALLEST_CORRELATION or agree:
        return
    warnings.warn(
        "energies and forces are inconsistent: energies of the snapshots vary by "
        f"{1e3 * spread:.3g} meV/atom, but from their forces they should vary by "
        f"{1e3 * expected_spread:.3g} meV/atom"
        f"{'' if correlation > 0 else ' in the opposite direction'}. Energies must be in eV, "
        "forces in eV/Å, and forces are minus the gradient.",
        UserWarning,
        stacklevel=3,
    )
