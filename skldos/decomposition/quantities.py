"""Electrons and energies of atoms, from their densities of states."""

import numpy as np

from skldos.data import as_rows
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.physics import band_energy, entropy, fermi_level, ldos_at, n_electrons
from skldos.physics.structure import check_every_element
from skldos.validation import check_finite, check_shape


def element_quantities(ados, snapshots, *, pseudopotentials=None):
    """Return a table of mean electrons and energies of the atoms of every element.

    Parameters
    ----------
    ados : Blocks or sequence of array-like of shape (n_atoms, n_energies)
        Densities of states of the atoms of every snapshot in 1/eV.
    snapshots : sequence of Snapshot
        With energies, temperature and number of electrons.
    pseudopotentials : mapping of str to Pseudopotential or path, optional
        One per element. If given, the charges are in the table too.

    Returns
    -------
    pandas.DataFrame
        One row for every snapshot and element, by ``snapshot`` (its name, or its number) and
        ``element``: ``n_atoms``, and means over these atoms of what :func:`atom_quantities`
        returns.

    Raises
    ------
    ValueError
        If there is not one block for every snapshot, with one row per atom.
    SnapshotError
        If a snapshot lacks energies, temperature or electrons.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium_magnesium
    >>> from skldos.decomposition import element_quantities
    >>> snapshots = load_aluminium_magnesium(n_atoms=8)[:1]
    >>> ados = [snapshot.reference["ados"] for snapshot in snapshots]
    >>> element_quantities(ados, snapshots)[["n_atoms", "electrons"]].round(2).values.tolist()
    [[3.0, 2.68], [5.0, 2.19]]
    """
    import pandas as pd

    ados, snapshots = list(ados), list(snapshots)
    if len(ados) != len(snapshots):
        raise ValueError(
            f"ados must hold one block for every snapshot, {len(snapshots)}, got {len(ados)}."
        )
    tables = []
    for i, snapshot in enumerate(snapshots):
        quantities = atom_quantities(ados[i], snapshot, pseudopotentials=pseudopotentials)
        symbols = pd.Series(list(snapshot.atoms.symbols), name="element")
        by_element = pd.DataFrame(quantities).groupby(symbols)
        table = by_element.mean()
        table.insert(0, "n_atoms", by_element.size())
        key = i if snapshot.name is None else snapshot.name
        tables.append(pd.concat({key: table}, names=["snapshot"]))
    if not tables:
        raise ValueError("snapshots must hold at least one snapshot, got none.")
    return pd.concat(tables)


def atom_quantities(ados, snapshot, *, pseudopotentials=None):
    r"""Return electrons and energies of every atom of a snapshot.

    With the density of states :math:`D_i` of atom i and the Fermi level of their sum,

    .. math:: q_i = \int f D_i\,dE, \qquad e_i = \int E f D_i\,dE, \qquad D_i(\mu) .

    Their sums over the atoms are those of the snapshot. How electrons between atoms are shared
    depends on the partition: only compare charges of the same partition.

    Parameters
    ----------
    ados : array-like of shape (n_atoms, n_energies)
        Densities of states of the atoms in 1/eV: a block of
        :class:`~skldos.ADOSDecomposer`, or a prediction of :class:`~skldos.ADOSRegressor`.
    snapshot : Snapshot
        With energies, temperature and number of electrons.
    pseudopotentials : mapping of str to Pseudopotential or path, optional
        One per element. If given, the charges are returned too.

    Returns
    -------
    dict of str to ndarray of shape (n_atoms,)
        ``"electrons"`` :math:`q_i`; ``"band_energy"`` :math:`e_i` and ``"minus_ts"`` in eV;
        ``"dos_at_fermi_level"`` :math:`D_i(\mu)` in 1/eV; ``"charge"``, valence minus electrons, in
        units of the elementary charge.

    Raises
    ------
    ValueError
        If there is not one row per atom, or a value is not finite.
    SnapshotError
        If the snapshot lacks energies, temperature or electrons.

    Examples
    --------
    >>> from skldos import ADOSDecomposer
    >>> from skldos.datasets import load_aluminium
    >>> from skldos.decomposition import atom_quantities
    >>> snapshot = load_aluminium(temperature=933)[0]
    >>> (block,) = ADOSDecomposer().fit_transform([snapshot])
    >>> atom_quantities(block, snapshot)["electrons"].round(2).tolist()
    [3.01, 3.01, 2.99, 2.99]
    """
    snapshot.require("energies", "temperature", "n_electrons")
    energies, symbols = snapshot.energies, snapshot.atoms.symbols
    ados = np.asarray(as_rows(ados), dtype=float)
    check_shape("ados", ados, (len(symbols), len(energies)))
    check_finite("ados", ados)
    state = {"temperature": snapshot.temperature}
    mu = float(fermi_level(ados.sum(axis=0), energies, n_electrons=snapshot.n_electrons, **state))
    state["fermi_level"] = mu
    quantities = {
        "electrons": n_electrons(ados, energies, **state),
        "band_energy": band_energy(ados, energies, **state),
        "minus_ts": entropy(ados, energies, **state),
        "dos_at_fermi_level": ldos_at(ados, energies, mu),
    }
    if pseudopotentials is not None:
        pseudopotentials = as_pseudopotentials(pseudopotentials)
        check_every_element(symbols, pseudopotentials)
        valences = np.array([pseudopotentials[symbol].valence for symbol in symbols])
        quantities["charge"] = valences - quantities["electrons"]
    return quantities
