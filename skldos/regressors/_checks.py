"""What blocks and their targets must be before a network sees them."""

import numpy as np

from skldos.data import EnergyGrid
from skldos.regressors._batches import BlockDataset


def checked_dataset(X, y):
    """Return blocks and targets as a dataset, after a look at numbers and shapes.

    Raises
    ------
    ValueError
        If there are no blocks, or blocks and targets do not match in number, rows or columns.
    """
    if len(X) == 0:
        raise ValueError("X must hold at least one block, got none.")
    if len(y) != len(X):
        raise ValueError(f"X has {len(X)} blocks, but y has {len(y)}; they must match.")
    for i, target in enumerate(y):
        _check_target(f"y[{i}]", target)
    dataset = BlockDataset(X, y)
    n_features, n_outputs = dataset.inputs[0].shape[1], dataset.targets[0].shape[1]
    for i, (block, target) in enumerate(zip(dataset.inputs, dataset.targets, strict=True)):
        if block.shape[0] == 0:
            raise ValueError(f"X[{i}] has no rows; every block must have at least one.")
        if block.shape[0] != target.shape[0]:
            raise ValueError(
                f"X[{i}] has {block.shape[0]} sites, but y[{i}] has {target.shape[0]} rows."
            )
        if block.shape[1] != n_features or target.shape[1] != n_outputs:
            raise ValueError(
                f"all blocks must have {n_features} features and {n_outputs} outputs as the "
                f"first has, got {block.shape[1]} and {target.shape[1]} in block {i}."
            )
    return dataset


def common_energies(snapshots, energies=None):
    """Return the energies that all `snapshots` have, and that `energies` are unless None.

    Raises
    ------
    ValueError
        If two of them differ.
    """
    for snapshot in snapshots or ():
        if snapshot.energies is None:
            continue
        if energies is None:
            energies = snapshot.energies
        elif not np.array_equal(energies, snapshot.energies):
            raise ValueError(
                "all snapshots must have the same energies: "
                f"{EnergyGrid(energies)!r} and {snapshot.energy_grid!r} differ."
            )
    return energies


def common_broadening(snapshots, known=(None, None)):
    """Return width (eV) and kernel with which all LDOS were broadened; None where none says.

    Raises
    ------
    ValueError
        If two of them differ.
    """
    for snapshot in snapshots or ():
        grid = snapshot.energy_grid
        if grid is None or grid.broadening is None:
            continue
        if known[0] is None:
            known = grid.broadening, grid.kernel
        elif known != (grid.broadening, grid.kernel):
            raise ValueError(
                "all snapshots must have the LDOS broadened alike: "
                f"{known[1]} {known[0]:g} eV and {grid.kernel} {grid.broadening:g} eV differ."
            )
    return known


def _check_target(name, target):
    """Raise an error unless `target` has rows of numbers."""
    shape, dtype = getattr(target, "shape", None), getattr(target, "dtype", np.dtype(float))
    if target is None or (shape is not None and len(shape) < 2) or dtype.kind not in "fiu":
        got = type(target).__name__ if shape is None else f"shape {tuple(shape)} of {dtype}"
        raise ValueError(
            f"{name} must have shape (n_sites, n_outputs) or (n_x, n_y, n_z, n_outputs) and hold "
            f"numbers, got {got}."
        )
