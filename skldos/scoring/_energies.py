"""Fermi levels and band energies, predicted and true, one row per snapshot."""

import warnings

import numpy as np

from skldos._validation import check_option
from skldos.exceptions import FermiLevelError, ScoringError, SnapshotError
from skldos.physics import band_energy, fermi_level, n_electrons
from skldos.scoring._dos import dos_of_block, predict_dos, snapshots_of

REFERENCES = ("ldos", "dft")


def evaluate(estimator, X, y=None, *, reference="ldos"):
    """Compare predicted Fermi levels and band energies with the true ones.

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
        itself returned. The latter differ by the broadening of the LDOS, which no model of
        the LDOS can know.

    Returns
    -------
    pandas.DataFrame
        One row per snapshot: ``n_atoms``, ``temperature`` (K), ``fermi_level`` and
        ``fermi_level_true`` (eV), ``band_energy`` and ``band_energy_true`` (eV), and the
        errors, predicted minus true: ``fermi_level_error`` (meV), ``band_energy_error``
        (meV/atom).

    Raises
    ------
    ScoringError
        If a snapshot lacks what is needed, or shapes do not match.

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
    import pandas as pd

    check_option("reference", reference, REFERENCES)
    snapshots = snapshots_of(X)
    targets = [None] * len(snapshots) if y is None else list(y)
    if len(targets) != len(snapshots):
        raise ScoringError(f"X has {len(snapshots)} snapshots, but y has {len(targets)} targets.")
    try:
        true = [_true(s, t, reference) for s, t in zip(snapshots, targets, strict=True)]
        predicted = [
            _predicted(s, dos) for s, dos in zip(snapshots, predict_dos(estimator, X), strict=True)
        ]
    except (SnapshotError, FermiLevelError) as error:
        raise ScoringError(f"cannot score: {error}") from error
    table = pd.DataFrame(
        {
            "n_atoms": [len(s.atoms) for s in snapshots],
            "temperature": [s.temperature for s in snapshots],
            "fermi_level": [mu for mu, _ in predicted],
            "fermi_level_true": [mu for mu, _ in true],
            "band_energy": [energy for _, energy in predicted],
            "band_energy_true": [energy for _, energy in true],
        }
    )
    table["fermi_level_error"] = 1e3 * (table.fermi_level - table.fermi_level_true)
    table["band_energy_error"] = 1e3 * (table.band_energy - table.band_energy_true) / table.n_atoms
    return table


def _true(snapshot, target, reference):
    """Return the true Fermi level and band energy in eV."""
    if reference == "dft":
        missing = [k for k in ("fermi_energy", "band_energy") if k not in snapshot.reference]
        if missing:
            raise ScoringError(f"{snapshot!r} has no reference {missing[0]!r}.")
        return snapshot.reference["fermi_energy"], snapshot.reference["band_energy"]
    if target is None:
        snapshot.require("ldos")
        target = snapshot.ldos
    return integrate(dos_of_block(target, snapshot), snapshot)


def _predicted(snapshot, dos):
    """Return Fermi level and band energy in eV of a predicted DOS."""
    try:
        return integrate(dos, snapshot)
    except FermiLevelError as error:
        warnings.warn(
            f"{error} The end of the energy grid is taken instead.", UserWarning, stacklevel=4
        )
        grid, temperature = snapshot.energies, snapshot.temperature
        counts = [
            float(n_electrons(dos, grid, temperature=temperature, fermi_level=end))
            for end in grid[[0, -1]]
        ]
        mu = grid[[0, -1]][np.argmin(np.abs(np.array(counts) - snapshot.n_electrons))]
        return mu, float(band_energy(dos, grid, temperature=temperature, fermi_level=mu))


def integrate(dos, snapshot):
    """Return Fermi level and band energy in eV of a DOS in 1/eV."""
    snapshot.require("energies", "temperature", "n_electrons")
    if len(dos) != len(snapshot.energies):
        raise ScoringError(
            f"the DOS has {len(dos)} values, but there are {len(snapshot.energies)} energies in "
            f"{snapshot!r}."
        )
    state = {"temperature": snapshot.temperature}
    mu = fermi_level(dos, snapshot.energies, n_electrons=snapshot.n_electrons, **state)
    return float(mu), float(band_energy(dos, snapshot.energies, fermi_level=mu, **state))
