"""Free energies of snapshots at one electronic temperature, true and predicted."""

from collections import Counter

import numpy as np

from skldos.exceptions import FermiLevelError, SnapshotError, as_scoring_error
from skldos.physics import fermi_level
from skldos.physics.hot_electrons import check_reach, electronic_free_energy
from skldos.scoring.forces import ForceScorer, StressScorer
from skldos.scoring.pipelines import regressor_of, snapshots_of
from skldos.validation import check_scalar

#: Largest difference of temperatures in K that count as equal if a snapshot has no density of
#: states: pw.x prints a width of 933 K to 8 K, which changes A of aluminium by 0.08 meV/atom.
SAME_TEMPERATURE = 10.0


def common_temperature(snapshots, temperature=None):
    """Return the electronic temperature to which to convert free energies of snapshots.

    Parameters
    ----------
    snapshots : sequence of Snapshot
        The snapshots.
    temperature : float, "ignore" or None
        A temperature in K; None takes the one that most snapshots have, and of equally many the
        highest.

    Returns
    -------
    float or None
        In K; None if no snapshot has a temperature, or if differences are ignored.

    Raises
    ------
    SnapshotError
        If some snapshots have a temperature and others do not.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> common_temperature(load_aluminium())
    933.0
    """
    ignored = isinstance(temperature, str) and temperature == "ignore"
    if not ignored and temperature is not None:
        return check_scalar("temperature", temperature, low=0)
    counts = Counter(snapshot.temperature for snapshot in snapshots)
    if len(counts) == 1:
        return next(iter(counts))
    if ignored:
        return None
    if None in counts:
        snapshot = next(s for s in snapshots if s.temperature is None)
        raise SnapshotError(
            f"{snapshot!r} has no electronic temperature, but other snapshots do; set "
            "temperature='ignore' to use all free energies as they are."
        )
    return max(counts, key=lambda temperature: (counts[temperature], temperature))


def free_energies_at(snapshots, temperature, energies=None):
    r"""Return total free energies at an electronic temperature.

    A snapshot of another temperature T₀ needs a density of states, ``reference["dos"]`` or that of
    its LDOS, which is taken as frozen,

    .. math:: A(T) = A(T_0) + [E_\mathrm{band} - TS](T) - [E_\mathrm{band} - TS](T_0) .

    Parameters
    ----------
    snapshots : sequence of Snapshot
        The snapshots.
    temperature : float or None
        In K; None takes all free energies as they are.
    energies : ndarray of shape (n_snapshots,), optional
        Free energies in eV at the temperatures of the snapshots; None takes their
        ``reference["total_energy"]``.

    Returns
    -------
    ndarray of shape (n_snapshots,)
        In eV.

    Raises
    ------
    SnapshotError
        If a snapshot lacks its free energy, or what it takes to change its temperature.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> cold = load_aluminium(temperature=298)[:1]
    >>> change = free_energies_at(cold, 933.0) - free_energies_at(cold, 298.0)
    >>> round(1e3 * float(change[0]) / 4, 1)  # meV/atom
    -3.6
    """
    if energies is None:
        missing = [s for s in snapshots if "total_energy" not in s.reference]
        if missing:
            raise SnapshotError(
                f"{missing[0]!r} has no reference 'total_energy', the free energy of a calculation "
                "in eV."
            )
        energies = np.array([s.reference["total_energy"] for s in snapshots], dtype=float)
    return energies + [change_of_free_energy(s, temperature) for s in snapshots]


def change_of_free_energy(snapshot, temperature):
    """Return A(temperature) minus A at the snapshot's own temperature, in eV."""
    if temperature is None or snapshot.temperature == temperature:
        return 0.0
    own, dos = snapshot.temperature, snapshot.reference.get("dos")
    if own is None:
        raise SnapshotError(
            f"{snapshot!r} has no electronic temperature, which is needed to compare "
            f"its free energy with others at {temperature:g} K; set temperature='ignore' to use "
            "it as it is."
        )
    if dos is None and snapshot.ldos is None:
        if abs(own - temperature) <= SAME_TEMPERATURE:
            return 0.0
        raise SnapshotError(
            f"the free energy of {snapshot!r} refers to {own:g} K, and converting it to "
            f"{temperature:g} K requires a density of states: an LDOS or reference['dos'] at its "
            "energies. Set temperature='ignore' to use it as it is."
        )
    snapshot.require("energies", "n_electrons")
    dos = snapshot.dos() if dos is None else np.asarray(dos, dtype=float)
    electrons = {"n_electrons": snapshot.n_electrons}
    try:
        mu = fermi_level(dos, snapshot.energies, temperature=own, **electrons)
        check_reach(snapshot.energies, temperature=max(own, temperature), fermi_level=mu)
        before, after = electronic_free_energy(
            dos, snapshot.energies, temperature=np.array([own, temperature]), **electrons
        )
    except (FermiLevelError, ValueError) as error:
        raise SnapshotError(
            f"the free energy of {snapshot!r} cannot be converted to {temperature:g} K: {error}"
        ) from error
    return float(after - before)


def free_energy_table(estimator, X, y=None):
    """Compare free energies, forces and stresses of a model of atoms with the calculation's.

    Parameters
    ----------
    estimator : estimator
        Fitted; a :class:`~skldos.FreeEnergyRegressor`, alone or at the end of a pipeline.
    X : sequence of Snapshot, or Blocks
        The snapshots; or blocks made of them, if the estimator takes blocks.
    y : array-like of shape (n_snapshots,), optional
        True free energies in eV; None uses those of the snapshots.

    Returns
    -------
    pandas.DataFrame
        As :func:`~skldos.evaluate` describes it.
    """
    import pandas as pd

    regressor, snapshots = regressor_of(estimator), snapshots_of(X)
    temperature = getattr(regressor, "temperature_", None)
    n_atoms = np.array([len(s.atoms) for s in snapshots])
    with as_scoring_error():
        true = free_energies_at(snapshots, temperature, None if y is None else np.asarray(y, float))
    predicted = np.asarray(estimator.predict(X), dtype=float)
    table = pd.DataFrame(
        {
            "n_atoms": n_atoms,
            "temperature": [
                s.temperature if temperature is None else temperature for s in snapshots
            ],
            "total_energy": predicted,
            "total_energy_true": true,
            "total_energy_error": 1e3 * (predicted - true) / n_atoms,
        }
    )
    if all("forces" in s.reference for s in snapshots):
        table["forces_error"] = ForceScorer().errors(estimator, X)
    knows_stress = getattr(regressor, "knows_stress", lambda: True)
    if all("stress" in s.reference for s in snapshots) and knows_stress():
        table["stress_error"] = StressScorer().errors(estimator, X)
    return table
