"""Complete bare atoms with data that a fitted model stored, and check its range of validity."""

import warnings

import numpy as np

from skldos.data import SnapshotList
from skldos.data.calculation import SAME_ELECTRONS, electrons_of, energy_grid_of
from skldos.data.training import check_elements, outside_training
from skldos.prediction.pipelines import calculation_of, regressor_of, steps_of
from skldos.validation import check_scalar


def filled(estimator, snapshots, temperature=None, valence=None):
    """Return new snapshots with energies, temperature, electrons and grid from the model.

    What a snapshot has, it keeps, except for a temperature in K that is given, one or one for each.
    Without any, the temperature is the one of the training data, if they have only one. Valence
    electrons by element are those of the training data unless given. If the training data are slabs
    (``assume_isolated='2D'``), so are the snapshots. Values that the model does not have either are
    still missing.
    """
    regressor, calculation = regressor_of(estimator), calculation_of(estimator)
    energies = energy_grid_of(regressor)
    low, high = calculation.get("training", {}).get("temperature", (None, None))
    spacing = _grid_spacing(estimator)
    kelvins = [None] * len(snapshots)
    if temperature is not None:
        kelvins = temperatures(temperature, len(snapshots))
    complete = []
    for snapshot, kelvin in zip(snapshots, kelvins, strict=True):
        changes = {"temperature": kelvin}
        if kelvin is None and snapshot.temperature is None and low == high:
            changes["temperature"] = low
        if snapshot.energies is None:
            changes["energies"] = energies
        if "assume_isolated" in calculation and "assume_isolated" not in snapshot.reference:
            # Without it, total energies would be those of a periodic cell.
            isolated = {"assume_isolated": calculation["assume_isolated"]}
            changes["reference"] = {**snapshot.reference, **isolated}
        if snapshot.n_electrons is None:
            changes["n_electrons"] = _electrons(snapshot.atoms, calculation, valence)
        if snapshot.grid_shape is None and spacing is not None:
            changes["grid_shape"] = tuple(
                max(1, round(n)) for n in snapshot.atoms.cell.lengths() / spacing
            )
        changes = {name: value for name, value in changes.items() if value is not None}
        complete.append(snapshot.replace(**changes) if changes else snapshot)
    return SnapshotList(complete)


def temperatures(temperature, n):
    """Return one temperature for all of n snapshots, or one for each, as a list."""
    if np.ndim(temperature) == 0:
        return [check_scalar("temperature", temperature, low=0)] * n
    if len(temperature) != n:
        raise ValueError(
            f"temperature must be a number, or one for each of {n} snapshots; got "
            f"{len(temperature)} of them."
        )
    return [check_scalar("temperature", value, low=0) for value in temperature]


def check_domain(estimator, snapshots):
    """Raise an error for unknown elements, and warn of snapshots far outside the training data.

    The warning comes once for all snapshots, if a density is more than 1 % outside those of the
    training data, or a temperature more than 10 % and 50 K.
    """
    training = calculation_of(estimator).get("training")
    if training is None:
        return
    for snapshot in snapshots:
        check_elements(snapshot, training["elements"])
    if text := outside_training(training, snapshots):
        warnings.warn(text, UserWarning, stacklevel=3)


def _electrons(atoms, calculation, valence):
    """Return the number of valence electrons, or None if it cannot be determined."""
    if calculation.get("charge"):  # the charge of another cell is not known
        return None
    trained = electrons_of(atoms, calculation)
    if valence is None or not set(atoms.symbols) <= set(valence):
        return trained
    electrons = float(sum(valence[symbol] for symbol in atoms.symbols))
    if trained is not None and abs(electrons - trained) > SAME_ELECTRONS:
        raise ValueError(
            f"pseudopotentials must be those of the training data, with which {atoms.symbols} has "
            f"{trained:g} valence electrons; with these it has {electrons:g}."
        )
    return electrons


def predicts_on_grid(estimator):
    """Return whether a fitted pipeline predicts at the points of a grid, rather than for atoms."""
    return bool(_grid_transformers(estimator))


def _grid_spacing(estimator):
    """Return the spacing in Å of the grids that a model was trained on, None for atoms."""
    # A grid set in the transformer takes precedence.
    spacings = [t.grid_spacing_ for t in _grid_transformers(estimator) if t.grid_shape is None]
    return np.min(spacings, axis=0) if spacings else None


def _grid_transformers(estimator):
    first = steps_of(estimator)[0]
    transformers = [first, *(t for _, t in getattr(first, "transformer_list", ()))]
    return [t for t in transformers if hasattr(t, "grid_spacing_")]
