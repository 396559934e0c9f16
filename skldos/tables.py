"""All predictions of a fitted model for new atoms, in one table."""

import numpy as np
from ase import Atoms

from skldos.data import Snapshot, as_snapshots
from skldos.exceptions import ScoringError
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.physics import entropy
from skldos.physics.structure import check_electrons, common_functional
from skldos.physics.terms import FUNCTIONALS
from skldos.prediction import predict_dos
from skldos.prediction.observables import check_sharpen, iter_observables, of_dos
from skldos.prediction.pipelines import (
    calculation_of,
    check_calculations,
    check_predicts,
    check_predicts_states,
    predicts_free_energies,
    regressor_of,
)
from skldos.prediction.unlabelled import check_domain, filled, temperatures
from skldos.uncertainty import energy_uncertainty
from skldos.uncertainty.energies import knows_uncertainty
from skldos.validation import check_option
from skldos.workers import check_n_jobs

#: Relative difference of temperatures that count as equal for a model of free energies: it changes
#: the free energy of aluminium at 933 K by 0.01 meV/atom, −TS/1000.
TEMPERATURE_TOLERANCE = 1e-3


def predict(
    model,
    X,
    *,
    temperature=None,
    pseudopotentials=None,
    functional=None,
    sharpen=None,
    dos=False,
    density=False,
    n_jobs=None,
):
    """Predict the results of a calculation for new atoms.

    Atoms are enough: energies, numbers of valence electrons, spacing of the grid and electronic
    temperature are those of the training data, as far as they are not given.

    Parameters
    ----------
    model : estimator
        Fitted on snapshots: a pipeline that predicts the LDOS, or the densities of states of
        atoms, or, with :class:`~skldos.FreeEnergyRegressor`, free energies.
    X : ase.Atoms, Snapshot or sequence of them
        What to predict.
    temperature : float or array-like of shape (n_snapshots,), optional
        Electronic temperature in K. None takes that of each snapshot, or the one of the training
        data.
    pseudopotentials : mapping of str to Pseudopotential or path, or sequence of them, optional
        One per element, or the path of its UPF file. Total energies from an LDOS need them.
    functional : str, optional
        Exchange-correlation functional; None takes that of the training data or of the
        pseudopotentials.
    sharpen : int, optional
        Order to which the broadening of the training data is undone, as
        :func:`skldos.physics.sharpening_matrix` says, so that energies are those of the
        calculation. None means 2 if the model has the broadening and 0 otherwise, as in
        :class:`~skldos.LDOSCalculator`; :func:`~skldos.evaluate` has 0.
    dos, density : bool, default=False
        Whether densities of states and electron densities are returned, too. The latter need a
        model of the LDOS.
    n_jobs : int, optional
        Number of workers over snapshots, as in :func:`~skldos.predict_dos`.

    Returns
    -------
    pandas.DataFrame
        One row per snapshot, with the columns ``name`` (if one has a name), ``formula``,
        ``n_atoms``, ``temperature`` (K); from densities of states ``n_electrons``,
        ``fermi_level``, ``band_energy`` and ``minus_ts`` (eV); ``total_energy``, the free energy
        E − TS (eV); if the model predicts uncertainties, the standard deviations
        ``fermi_level_std`` (meV), ``band_energy_std`` and ``total_energy_std`` (meV/atom). On
        request ``dos``, a :class:`pandas.Series` in 1/eV over the energies in eV, broadened as the
        training data whatever `sharpen`, and ``density``, an array (n_x, n_y, n_z) in 1/Å³.

    Raises
    ------
    SnapshotError
        If an element was not in the training data.
    ScoringError
        If a required value is missing from both the snapshots and the model, or the model cannot
        predict a requested quantity.
    ValueError
        If the pseudopotentials are not those of the elements and electrons.

    Warns
    -----
    UserWarning
        Once, if densities or temperatures lie outside those of the training data. If a predicted
        DOS cannot hold the electrons within its energies.

    See Also
    --------
    evaluate : The same, beside the true values.
    LDOSCalculator, FreeEnergyCalculator : Forces, and dynamics with ASE.

    Examples
    --------
    >>> from ase.build import bulk
    >>> import skldos
    >>> from skldos.datasets import make_snapshots
    >>> model = skldos.models.atoms().fit(make_snapshots(4, random_state=0))
    >>> table = skldos.predict(model, bulk("Al", cubic=True), dos=True)
    >>> table[["formula", "temperature", "n_electrons"]]
      formula  temperature  n_electrons
    0     Al4        298.0         12.0
    >>> table["dos"][0].shape
    (21,)
    """
    check_predicts(model)
    check_sharpen(sharpen)
    check_option("functional", functional, (None, *FUNCTIONALS))
    check_n_jobs(n_jobs)
    snapshots = as_snapshots([X] if isinstance(X, (Atoms, Snapshot)) else X)
    valence = None
    if pseudopotentials is not None:
        pseudopotentials = as_pseudopotentials(pseudopotentials)
        valence = {element: p.valence for element, p in pseudopotentials.items()}
    is_potential = predicts_free_energies(model)
    if is_potential:
        if dos or density:
            check_predicts_states(model)
        _check_temperature(model, temperature, len(snapshots))
    snapshots = filled(model, snapshots, temperature, valence)
    check_domain(model, snapshots)
    check_calculations(model, snapshots)
    if is_potential:
        return _of_potential(model, snapshots)
    _check_complete(snapshots)
    terms = [_terms(model, s, pseudopotentials, functional) for s in snapshots]
    on_grid = density or pseudopotentials is not None
    if on_grid:
        options = {"terms": terms, "density": density, "sharpen": sharpen}
        observables = list(iter_observables(model, snapshots, n_jobs, **options))
    else:
        fields = predict_dos(model, snapshots, n_jobs=n_jobs)
        observables = [
            (s, of_dos(field, s, sharpen=sharpen, predicted=True))
            for s, field in zip(snapshots, fields, strict=True)
        ]
    table = _table(snapshots, [values for _, values in observables])
    if knows_uncertainty(model):
        uncertain = energy_uncertainty(model, snapshots)
        for name in ("fermi_level", "band_energy"):
            place = table.columns.get_loc(name) + 1
            table.insert(place, f"{name}_std", uncertain[f"{name}_std"])
    return _with_fields(table, observables, dos=dos, density=density)


def _check_temperature(model, temperature, n):
    """Raise an error if a model of free energies was trained at another temperature."""
    trained = getattr(regressor_of(model), "temperature_", None)
    if trained is None or temperature is None:
        return
    # A smearing in Ry is rarely a round number in kelvin.
    if not np.allclose(temperatures(temperature, n), trained, rtol=TEMPERATURE_TOLERANCE, atol=0):
        raise ScoringError(
            f"temperature must be that of the model, {trained:g} K, got {temperature!r}; other "
            "electronic temperatures need a model of the DOS as well, in a FreeEnergyCalculator."
        )


def _of_potential(model, snapshots):
    """Return the table of a model of free energies."""
    table = _common_columns(snapshots)
    temperature = getattr(regressor_of(model), "temperature_", None)
    table["temperature"] = np.nan if temperature is None else temperature
    energies, std = model.predict(snapshots, return_std=True)
    table["total_energy"] = energies
    table["total_energy_std"] = 1e3 * std / table["n_atoms"].to_numpy()
    return table


def _terms(model, snapshot, pseudopotentials, functional):
    """Return the arguments for the total energy of a snapshot, None if not requested."""
    if pseudopotentials is None:
        return None
    symbols = snapshot.atoms.symbols
    calculated = snapshot.reference.get("functional", calculation_of(model).get("functional"))
    snapshot.require("n_electrons")
    check_electrons(symbols, pseudopotentials, snapshot.n_electrons)
    functional = common_functional(symbols, pseudopotentials, functional, calculated)
    return {"pseudopotentials": pseudopotentials, "functional": functional}


def _check_complete(snapshots):
    """Raise an error that explains how to pass missing data."""
    ways = {
        "energies": "the model was not fitted, or not to snapshots with the energies of their LDOS",
        "temperature": "pass temperature, since the model was trained at several, or at none",
        "n_electrons": "pass pseudopotentials, or snapshots with n_electrons: the training data "
        "do not determine the number of valence electrons of these atoms",
    }
    for snapshot in snapshots:
        for name, way in ways.items():
            if getattr(snapshot, name) is None:
                raise ScoringError(f"{snapshot!r} lacks {name}: {way}.")


def _table(snapshots, observables):
    table = _common_columns(snapshots)
    table["n_electrons"] = [s.n_electrons for s in snapshots]
    table["fermi_level"] = [o.fermi_level for o in observables]
    table["band_energy"] = [o.band_energy for o in observables]
    table["minus_ts"] = [
        float(entropy(o.dos, s.energies, temperature=s.temperature, fermi_level=o.fermi_level))
        for s, o in zip(snapshots, observables, strict=True)
    ]
    if observables[0].total_energy is not None:
        table["total_energy"] = [o.total_energy for o in observables]
    return table


def _common_columns(snapshots):
    import pandas as pd

    columns = {
        "name": [s.name for s in snapshots],
        "formula": [s.formula for s in snapshots],
        "n_atoms": [len(s.atoms) for s in snapshots],
        "temperature": [s.temperature for s in snapshots],
    }
    if all(name is None for name in columns["name"]):
        del columns["name"]
    return pd.DataFrame(columns)


def _with_fields(table, observables, *, dos, density):
    """Return the table with columns of the requested arrays."""
    import pandas as pd

    if dos:
        column = np.empty(len(observables), dtype=object)
        for i, (snapshot, values) in enumerate(observables):
            energies = pd.Index(snapshot.energies, name="energy")
            column[i] = pd.Series(values.broadened_dos, index=energies, name="dos")
        table["dos"] = column
    if density:
        densities = [values.density for _, values in observables]
        table["density"] = pd.Series(densities, dtype=object)
    return table
