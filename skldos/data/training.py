"""A summary of the training data, and warnings about predictions outside of it."""

import numpy as np

from skldos.exceptions import SnapshotError
from skldos.units import DALTON

#: Relative tolerance for densities outside the range of the training data, and for training
#: densities that count as equal.
DENSITY_MARGIN = 0.01
#: Relative tolerance for electronic temperatures, and a difference in K that is always ignored.
TEMPERATURE_MARGIN, SAME_TEMPERATURE = 0.1, 50.0


def training_range(snapshots, training=None):
    """Return a summary of the training data, used to warn about predictions far outside of it.

    It holds ``"n_snapshots"``; ``"elements"``, sorted; ``"n_atoms"``, ``"density"`` (g/cm³) and, if
    a snapshot has one, ``"temperature"`` (K), each as a list [smallest, largest]; ``"stress"``,
    whether the reference of any snapshot has one. `training` is the result for earlier data.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> training = training_range(load_aluminium())
    >>> training["elements"], training["temperature"], round(training["density"][0], 2)
    (['Al'], [298.0, 933.0], 2.7)
    """
    training = training or {"n_snapshots": 0, "elements": [], "stress": False}
    summary = {
        "n_snapshots": training["n_snapshots"] + len(snapshots),
        "elements": sorted(
            {*training["elements"], *(e for s in snapshots for e in s.atoms.symbols)}
        ),
        "stress": training["stress"] or any("stress" in s.reference for s in snapshots),
    }
    values = {
        "n_atoms": [len(s.atoms) for s in snapshots],
        "density": [mass_density(s.atoms) for s in snapshots],
        "temperature": [s.temperature for s in snapshots if s.temperature is not None],
    }
    for name, numbers in values.items():
        numbers = [*numbers, *training.get(name, ())]
        if numbers:
            summary[name] = [min(numbers), max(numbers)]
    return summary


def mass_density(atoms):
    """Return the mass density of an ``ase.Atoms`` in g/cm³.

    Examples
    --------
    >>> from ase.build import bulk
    >>> round(mass_density(bulk("Al", cubic=True)), 2)
    2.7
    """
    return float(atoms.get_masses().sum() / abs(atoms.cell.volume) * DALTON)


def check_elements(snapshot, elements):
    """Raise a :class:`SnapshotError` if a snapshot has an element that the training data lack."""
    new = sorted(set(snapshot.atoms.symbols) - set(elements))
    if new:
        raise SnapshotError(
            f"the model was trained on {', '.join(elements)}, got {new[0]} in {snapshot!r}."
        )


def outside_training(training, snapshots):
    """Return a description of how snapshots lie far outside the training data, or None."""
    problems = [_outside_density(training, snapshots), _outside_temperature(training, snapshots)]
    problems = [text for text in problems if text]
    if not problems:
        return None
    return f"outside of the training data: {'; '.join(problems)}. Predictions there are unreliable."


def has_one_density(training):
    """Return whether all training data have the same density, so that pressure was not learned."""
    low, high = training.get("density", (0.0, np.inf))
    return high <= low * (1 + DENSITY_MARGIN)


def _outside_density(training, snapshots):
    low, high = training["density"]
    densities = np.array([mass_density(snapshot.atoms) for snapshot in snapshots])
    outside = (densities < low * (1 - DENSITY_MARGIN)) | (densities > high * (1 + DENSITY_MARGIN))
    return _description("density", densities, outside, (low, high), "g/cm³", ".3f")


def _outside_temperature(training, snapshots):
    if "temperature" not in training:
        return None
    low, high = training["temperature"]
    numbers = [np.nan if s.temperature is None else s.temperature for s in snapshots]
    temperatures = np.array(numbers, dtype=float)
    below = temperatures < low - max(SAME_TEMPERATURE, TEMPERATURE_MARGIN * low)
    above = temperatures > high + max(SAME_TEMPERATURE, TEMPERATURE_MARGIN * high)
    # A temperature below 1 K may be one in other units.
    digits = ".3g" if (temperatures[below] < 1).any() else ".0f"
    return _description("temperature", temperatures, below | above, (low, high), "K", digits)


def _description(name, values, outside, ends, unit, digits):
    if not outside.any():
        return None
    i = int(np.argmax(outside))
    low, high = (f"{end:{digits}}" for end in ends)
    trained = low if low == high else f"{low} to {high}"
    where = "" if len(values) == 1 else f" of snapshot {i}"
    others = "" if outside.sum() == 1 else f" and {outside.sum() - 1} more"
    return f"{name} {values[i]:{digits}} {unit}{where}{others} (trained: {trained} {unit})"
