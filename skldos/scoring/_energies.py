"""Fermi levels, energies and densities, predicted and true, one row per snapshot."""

from functools import partial

import numpy as np

from skldos._validation import check_option, check_scalar
from skldos.exceptions import ScoringError
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.physics.total_energy import check_electrons, common_functional
from skldos.scoring._dos import dos_of_block, predict_dos, snapshots_of
from skldos.scoring._errors import as_scoring_error
from skldos.scoring._ldos import iter_ldos, ldos_on_grid
from skldos.scoring._observables import Observables, of_dos, of_ldos

REFERENCES = ("ldos", "dft")


def evaluate(
    estimator,
    X,
    y=None,
    *,
    reference="ldos",
    pseudopotentials=None,
    xc=None,
    density=False,
    sharpen=0,
):
    """Compare predicted Fermi levels, energies and densities with the true ones.

    Parameters
    ----------
    estimator : estimator
        Fitted; predicts the LDOS on grids, or the DOS of atoms.
    X : sequence of Snapshot, or Blocks
        Snapshots with energies, temperature and number of electrons; or blocks made of them,
        where the estimator takes blocks.
    y : sequence of array-like, optional
        True LDOS (or DOS of atoms); None takes those of the snapshots.
    reference : {"ldos", "dft"}, default="ldos"
        What is true: energies integrated from the true LDOS, or those that the calculation
        itself returned. The latter differ by the broadening of the LDOS, unless `sharpen` undoes
        it.
    pseudopotentials : mapping of str to Pseudopotential or path, optional
        One per element, or the path of its UPF file; given, total free energies are compared too.
    xc : str, optional
        Exchange-correlation functional; None takes that of the pseudopotentials.
    density : bool, default=False
        Whether electron densities are compared.
    sharpen : int, default=0
        Order to which the broadening of the LDOS, predicted and true, is undone before anything
        is integrated, as :func:`skldos.physics.sharpening_matrix` says; 0 leaves it.

    Returns
    -------
    pandas.DataFrame
        One row per snapshot: ``n_atoms``, ``temperature`` (K), ``fermi_level`` and
        ``fermi_level_true`` (eV), ``band_energy`` and ``band_energy_true`` (eV), and the
        errors, predicted minus true: ``fermi_level_error`` (meV), ``band_energy_error``
        (meV/atom). With `pseudopotentials`, the same for ``total_energy``. With `density`,
        ``density_max_error`` and ``density_mean_error`` (1/Å³), and ``density_percentage_error``,
        the mean absolute error in per cent of the density; Fermi levels and band energies are
        then left out if the calculation is the reference and did not return them.

    Raises
    ------
    ScoringError
        If a snapshot lacks what is needed, shapes do not match, or the pseudopotentials are not
        those of the snapshots.

    Warns
    -----
    UserWarning
        If a predicted DOS cannot hold the electrons within its energies: its Fermi level is
        then taken at the end of the energy grid, and the error is as large as that makes it.

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
    check_scalar("sharpen", sharpen, low=0, integer=True)
    snapshots, terms = snapshots_of(X), None
    if pseudopotentials is not None:
        terms = {"pseudopotentials": as_pseudopotentials(pseudopotentials), "functional": xc}
        _check_terms(snapshots, **terms)
    targets = [None] * len(snapshots) if y is None else list(y)
    if len(targets) != len(snapshots):
        raise ScoringError(f"X has {len(snapshots)} snapshots, but y has {len(targets)} targets.")
    on_grid = terms is not None or density
    observe = partial(of_ldos, terms=terms, density=density) if on_grid else of_dos
    observe = partial(observe, sharpen=sharpen)
    with as_scoring_error():
        true = [
            _calculated(s, terms, density) if reference == "dft" else _true(s, t, observe, on_grid)
            for s, t in zip(snapshots, targets, strict=True)
        ]
        if on_grid:
            predictions = iter_ldos(estimator, X)
        else:
            predictions = zip(snapshots, predict_dos(estimator, X), strict=True)
        predicted = [observe(field, s, predicted=True) for s, field in predictions]
    return _table(snapshots, predicted, true)


def _check_terms(snapshots, pseudopotentials, functional):
    """Raise a :class:`ScoringError` now where total energies could not be had later."""
    with as_scoring_error(ValueError):
        for snapshot in snapshots:
            snapshot.require("n_electrons")
            symbols = snapshot.atoms.symbols
            check_electrons(symbols, pseudopotentials, snapshot.n_electrons)
            taken = common_functional(symbols, pseudopotentials, functional)
            used = snapshot.reference.get("functional", taken)
            if used != taken:
                raise ScoringError(
                    f"{snapshot!r} was calculated with the functional {used!r}, but its energies "
                    f"would be evaluated with {taken!r}: set xc."
                )


def _true(snapshot, target, observe, on_grid):
    """Return what the true LDOS, or DOS of atoms, says."""
    if target is None:
        snapshot.require("ldos")
        target = snapshot.ldos
    field = ldos_on_grid(target, snapshot) if on_grid else dos_of_block(target, snapshot)
    return observe(field, snapshot)


def _calculated(snapshot, terms, density):
    """Return what the density-functional calculation said."""
    names = ["fermi_energy", "band_energy", *(["total_energy"] if terms is not None else [])]
    missing = [name for name in names if name not in snapshot.reference]
    # A density can be compared without them.
    if missing and (terms is not None or not density):
        raise ScoringError(f"{snapshot!r} has no reference {missing[0]!r}.")
    seen = Observables(*(snapshot.reference.get(name) for name in names))
    if density:
        snapshot.require("density")
        seen = seen._replace(density=np.asarray(snapshot.density))
    return seen


def _table(snapshots, predicted, true):
    """Return predicted and true values with their errors, one row per snapshot."""
    import pandas as pd

    n_atoms = np.array([len(s.atoms) for s in snapshots])
    columns = {"n_atoms": n_atoms, "temperature": [s.temperature for s in snapshots]}
    per = {"fermi_level": np.ones(len(snapshots)), "band_energy": n_atoms, "total_energy": n_atoms}
    known = {name for name in per if all(getattr(seen, name) is not None for seen in true)}
    per = {name: n for name, n in per.items() if name in known}
    for name in per:
        columns[name] = np.array([getattr(seen, name) for seen in predicted])
        columns[f"{name}_true"] = np.array([getattr(seen, name) for seen in true])
    for name, n in per.items():
        columns[f"{name}_error"] = 1e3 * (columns[name] - columns[f"{name}_true"]) / n
    table = pd.DataFrame(columns)
    if true[0].density is None:
        return table
    errors = [density_errors(p.density, t.density) for p, t in zip(predicted, true, strict=True)]
    return pd.concat([table, pd.DataFrame(errors)], axis=1)


def density_errors(predicted, true):
    """Return the largest and the mean absolute error, and the mean absolute one in per cent."""
    error = np.abs(predicted - true)
    # Where a density vanishes, or is negative as it may be between the atoms, an error has no
    # percentage.
    here = true > 0
    return {
        "density_max_error": error.max(),
        "density_mean_error": error.mean(),
        "density_percentage_error": 100 * (error[here] / true[here]).mean(),
    }
