"""Free energies of snapshots at one electronic temperature, and their stresses."""

from collections import Counter

import numpy as np

from skldos.exceptions import FermiLevelError, SnapshotError
from skldos.physics import fermi_level
from skldos.physics.hot_electrons import check_reach, electronic_free_energy
from skldos.validation import check_scalar, check_shape

#: Largest difference of temperatures in K that count as equal if a snapshot has no density of
#: states: pw.x prints a width of 933 K to 8 K, which changes A of aluminium by 0.08 meV/atom.
SAME_TEMPERATURE = 10.0


def common_temperature(snapshots, temperature=None):
    """Return the electronic temperature in K to which to convert free energies of snapshots.

    This is `temperature`, or if that is None the one that most snapshots have, and of equally many
    the highest. It is None if no snapshot has one, or if different ones are to be used as they are
    (``"ignore"``). If only some snapshots have a temperature, a :class:`SnapshotError` is raised.

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
    r"""Return total free energies in eV at an electronic temperature in K, (n_snapshots,).

    A snapshot of another temperature T₀ needs a density of states, ``reference["dos"]`` or that of
    its LDOS, which is taken as frozen,

    .. math:: A(T) = A(T_0) + [E_\mathrm{band} - TS](T) - [E_\mathrm{band} - TS](T_0) .

    The temperature None takes all free energies as they are. By default, `energies`, those at the
    temperatures of the snapshots, are their ``reference["total_energy"]``. If an energy or what it
    takes to convert it is missing, a :class:`SnapshotError` is raised.

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


def full_stress(stress):
    """Return a stress of shape (3, 3), also from Voigt's order xx, yy, zz, yz, xz, xy.

    Examples
    --------
    >>> full_stress([1, 2, 3, 4, 5, 6])[0].tolist()
    [1.0, 6.0, 5.0]
    """
    stress = np.asarray(stress, dtype=float)
    if stress.shape == (6,):
        return stress[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    check_shape("reference['stress']", stress, (3, 3))
    return stress
