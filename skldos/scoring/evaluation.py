"""Fermi levels, energies and densities, predicted and true, one row per snapshot."""

from functools import partial
from itertools import repeat

import numpy as np

from skldos.docstrings import documented
from skldos.exceptions import ScoringError, as_scoring_error
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.physics.structure import check_electrons, common_functional
from skldos.physics.terms.checks import check_density_cutoff
from skldos.prediction.completeness import check_electrons_of_density, warn_of_missing_electrons
from skldos.prediction.dos import OF_PREDICTIONS, dos_of_block, ldos_on_grid, predict_dos
from skldos.prediction.forces import predicts_forces
from skldos.prediction.observables import (
    Observables,
    check_sharpen,
    iter_observables,
    of_dos,
    of_ldos,
)
from skldos.prediction.pipelines import (
    check_calculations,
    check_predicts_states,
    snapshots_of,
    targets_of,
)
from skldos.scoring.free_energies import free_energy_table
from skldos.validation import check_option

REFERENCES = ("ldos", "dft")
#: Units of the columns of errors.
ERROR_UNITS = {
    "fermi_level_error": "meV",
    "band_energy_error": "meV/atom",
    "total_energy_error": "meV/atom",
    "density_max_error": "1/Å³",
    "density_mean_error": "1/Å³",
    "density_percentage_error": "%",
    "forces_error": "eV/Å",
    "stress_error": "eV/Å³",
}
#: Occupations and smearings (in a reference) of electrons at a temperature.
THERMAL_OCCUPATIONS = (None, "fermi-dirac", "fixed", "smearing")


@documented(OF_PREDICTIONS)
def evaluate(
    estimator,
    X,
    y=None,
    *,
    pseudopotentials=None,
    functional=None,
    density_cutoff=None,
    density=False,
    reference="ldos",
    sharpen=0,
    n_jobs=None,
):
    """Compare predicted Fermi levels, energies and densities with the true ones.

    Parameters
    ----------
    estimator : estimator
        Fitted; predicts the LDOS on grids, the DOS of atoms, or free energies with forces.
    X : sequence of Snapshot, or Blocks
        Snapshots with energies, temperature and number of electrons; or blocks made of them,
        if the estimator takes blocks.
    y : sequence of array-like, optional
        True LDOS (or DOS of atoms); None uses those of the snapshots.
    pseudopotentials : mapping of str to Pseudopotential or path, optional
        One per element, or the path of its UPF file. If given, total free energies are compared.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; None uses that of the pseudopotentials, which must be
        that of the calculation if the snapshots have it.
    density_cutoff : float, optional
        Largest kinetic energy of the density in eV, as in :func:`skldos.physics.total_energy`.
    density : bool, default=False
        Whether electron densities are compared.
    reference : {"ldos", "dft"}, default="ldos"
        The true values: energies integrated from the true LDOS, or those that the calculation
        returned. The latter differ by the broadening of the LDOS, unless `sharpen` undoes it.
    %(sharpen)s
        Predicted and true LDOS are treated alike.
    %(n_jobs)s

    Returns
    -------
    pandas.DataFrame
        One row per snapshot: ``name`` (if one has a name), ``n_atoms``, ``temperature`` (K),
        ``fermi_level`` and ``fermi_level_true`` (eV), ``band_energy`` and ``band_energy_true``
        (eV), and the errors, predicted minus true: ``fermi_level_error`` (meV),
        ``band_energy_error`` (meV/atom). With `pseudopotentials`, the same for ``total_energy``.
        With `density`, ``density_max_error`` and ``density_mean_error`` (1/Å³), and
        ``density_percentage_error``, the mean absolute error in per cent of the density; Fermi
        levels and band energies are then left out if the calculation is the reference and did not
        return them.

        A model of free energies (:class:`~skldos.FreeEnergyRegressor`) is compared with the
        calculation: ``total_energy``, ``total_energy_true`` (eV) and ``total_energy_error``
        (meV/atom) at the `temperature_` of the model, and the root mean square errors
        ``forces_error`` (eV/Å) and ``stress_error`` (eV/Å³) where all snapshots have them. The
        other arguments do not apply.

    Raises
    ------
    ScoringError
        If a snapshot lacks what is needed, shapes do not match, or the pseudopotentials are not
        those of the snapshots.

    Warns
    -----
    UserWarning
        If a predicted DOS cannot hold the electrons within its energies. The end of the energy
        grid then replaces the Fermi level, and the error is correspondingly large. If a true DOS
        does not hold the electrons of the snapshot below the Fermi level of its calculation. Its
        energies, and errors relative to them, are then wrong.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, evaluate
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(3, random_state=0)
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(max_epochs=50, random_state=0),
    ... ).fit(snapshots[:2])
    >>> evaluate(model, snapshots[2:])["fermi_level_true"].round(1).tolist()
    [7.0]
    """
    check_option("reference", reference, REFERENCES)
    check_sharpen(sharpen)
    snapshots = snapshots_of(X)
    check_calculations(estimator, snapshots)
    if predicts_forces(estimator):
        if density:
            check_predicts_states(estimator)
        return with_names(free_energy_table(estimator, X, y), snapshots)
    terms = None
    if pseudopotentials is not None:
        pseudopotentials = as_pseudopotentials(pseudopotentials)
        terms = {
            "pseudopotentials": pseudopotentials,
            "functional": _functional(snapshots, pseudopotentials, functional),
            "density_cutoff": check_density_cutoff(density_cutoff),
        }
    targets = targets_of(snapshots, y)
    on_grid = terms is not None or density
    observe = partial(of_ldos, terms=terms, density=density) if on_grid else of_dos
    observe = partial(observe, sharpen=sharpen)
    with as_scoring_error():
        true = [
            _calculated(s, terms, density) if reference == "dft" else _true(s, t, observe, on_grid)
            for s, t in zip(snapshots, targets, strict=True)
        ]
        if on_grid:
            options = {"terms": repeat(terms), "density": density, "sharpen": sharpen}
            pairs = iter_observables(estimator, X, n_jobs, **options)
            predicted = [observables for _, observables in pairs]
        else:
            spectra = predict_dos(estimator, X, n_jobs=n_jobs)
            predicted = [
                observe(dos, s, predicted=True) for s, dos in zip(snapshots, spectra, strict=True)
            ]
    if reference == "ldos":
        warn_of_missing_electrons([observables.dos for observables in true], snapshots)
    return with_names(_table(snapshots, predicted, true), snapshots)


def _functional(snapshots, pseudopotentials, functional):
    """Return the functional, None if snapshots differ; raise errors now rather than later."""
    functionals = set()
    with as_scoring_error(ValueError):
        for snapshot in snapshots:
            snapshot.require("n_electrons")
            symbols = snapshot.atoms.symbols
            check_electrons(symbols, pseudopotentials, snapshot.n_electrons)
            calculated = snapshot.reference.get("functional")
            functionals.add(common_functional(symbols, pseudopotentials, functional, calculated))
    return functionals.pop() if len(functionals) == 1 else functional


def _true(snapshot, target, observe, on_grid):
    """Return the values of the true LDOS, or of the true DOS of atoms."""
    if target is None and not on_grid:
        return observe(snapshot.dos(), snapshot)
    if target is None:
        snapshot.require("ldos")
        target = snapshot.ldos
    field = ldos_on_grid(target, snapshot) if on_grid else dos_of_block(target, snapshot)
    return observe(field, snapshot)


def _calculated(snapshot, terms, density):
    """Return the values of the DFT calculation."""
    _check_occupations(snapshot)
    names = ["fermi_energy", "band_energy", *(["total_energy"] if terms is not None else [])]
    missing = [name for name in names if name not in snapshot.reference]
    # Densities can be compared without energies.
    if missing and (terms is not None or not density):
        raise ScoringError(f"{snapshot!r} has no reference {missing[0]!r}.")
    energies = (snapshot.reference.get(name) for name in names)
    if not density:
        return Observables(*energies)
    snapshot.require("density")
    values = np.asarray(snapshot.density)
    check_electrons_of_density(values, snapshot)
    return Observables(*energies, density=values)


def _check_occupations(snapshot):
    """Raise an error unless the reference has thermal occupations at the snapshot's temperature."""
    for name in ("occupations", "smearing"):
        kind = snapshot.reference.get(name)
        if kind not in THERMAL_OCCUPATIONS:
            raise ScoringError(
                f"the reference of {snapshot!r} was calculated with the {name} {kind!r}: its "
                "Fermi level and energies are not those of electrons at a temperature. Compare "
                "with reference='ldos'."
            )


def _table(snapshots, predicted, true):
    """Return predicted and true values with their errors, one row per snapshot."""
    import pandas as pd

    n_atoms = np.array([len(s.atoms) for s in snapshots])
    columns = {"n_atoms": n_atoms, "temperature": [s.temperature for s in snapshots]}
    per = {"fermi_level": np.ones(len(snapshots)), "band_energy": n_atoms, "total_energy": n_atoms}
    per = {name: n for name, n in per.items() if all(getattr(t, name) is not None for t in true)}
    for name in per:
        columns[name] = np.array([getattr(p, name) for p in predicted])
        columns[f"{name}_true"] = np.array([getattr(t, name) for t in true])
    for name, n in per.items():
        columns[f"{name}_error"] = 1e3 * (columns[name] - columns[f"{name}_true"]) / n
    table = pd.DataFrame(columns)
    if true[0].density is None:
        return table
    errors = [density_errors(p.density, t.density) for p, t in zip(predicted, true, strict=True)]
    return pd.concat([table, pd.DataFrame(errors)], axis=1)


def with_names(table, snapshots):
    """Return a table with a first column ``name``, if a snapshot has one."""
    if any(snapshot.name is not None for snapshot in snapshots):
        table.insert(0, "name", [snapshot.label for snapshot in snapshots])
    return table


def density_errors(predicted, true):
    """Return maximum and mean absolute error, and mean absolute error in per cent."""
    error = np.abs(predicted - true)
    # Percentages are not defined where a density is zero or negative, as is possible between atoms.
    positive = true > 0
    return {
        "density_max_error": error.max(),
        "density_mean_error": error.mean(),
        "density_percentage_error": 100 * (error[positive] / true[positive]).mean(),
    }
