"""Data of several snapshots for displays, with checks."""

import numpy as np

from skldos.plotting.axes import check_length
from skldos.validation import check_finite, check_shape


def check_dos(name, dos, shape):
    """Return densities of states as a finite array; None in `shape` fits any length."""
    dos = np.atleast_2d(np.asarray(dos, dtype=float))
    check_shape(name, dos, shape)
    check_finite(name, dos)
    return dos


def per_snapshot(name, value, n_snapshots):
    """Return one float per snapshot of a scalar or a sequence; None stays None."""
    if value is None:
        return None
    values = np.atleast_1d(np.asarray(value, dtype=float))
    if np.ndim(value) == 0:
        return np.repeat(values, n_snapshots)
    check_length(name, values, n_snapshots)
    return values


def common_energies(snapshots):
    """Return the energies in eV that all snapshots have."""
    for snapshot in snapshots:
        snapshot.require("energies")
        if not np.array_equal(snapshot.energies, snapshots[0].energies):
            raise ValueError(
                "all snapshots of one plot must have the same energies, got "
                f"{snapshots[0].energy_grid!r} and {snapshot.energy_grid!r}."
            )
    return snapshots[0].energies


def all_or_none(snapshots, name):
    """Return an attribute of all snapshots, or None if one lacks it."""
    values = [getattr(snapshot, name) for snapshot in snapshots]
    return None if any(value is None for value in values) else values


def default_labels(snapshots):
    """Return names, temperatures or numbers of snapshots; none for a single unnamed one."""
    names = all_or_none(snapshots, "name")
    if names is not None and len(set(names)) == len(names):
        return names
    if len(snapshots) == 1:
        return None
    temperatures = all_or_none(snapshots, "temperature")
    if temperatures is not None and len(set(temperatures)) == len(temperatures):
        return [f"{temperature:g} K" for temperature in temperatures]
    return [f"snapshot {i}" for i in range(len(snapshots))]
