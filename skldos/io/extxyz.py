"""Snapshots and per-atom quantities as extended XYZ files, for OVITO and ASE."""

from collections.abc import Sequence

import numpy as np
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator

from skldos.data import as_snapshots
from skldos.data.files import atomic_file
from skldos.data.ranges import check_unmasked
from skldos.validation import check_finite

#: Columns that have a meaning of their own for ASE.
RESERVED_NAMES = (
    *("species", "symbols", "numbers", "Z", "pos", "positions", "move_mask"),
    *("momenta", "masses", "tags", "initial_charges", "initial_magmoms"),
    *all_properties,
)
#: Characters that separate parts of a header.
SEPARATORS = ':="\\'
#: Largest integer that ASE reads.
LARGEST_INTEGER = 2**31 - 1
#: Single numbers of a snapshot that go into the comment line.
SCALAR_RESULTS = ("fermi_energy", "band_energy", "minus_ts")


def write_extxyz(path, snapshots, per_atom=None):
    """Write snapshots and per-atom quantities to an extended XYZ file.

    OVITO can colour the atoms by these quantities. ``ase.io.read(path, ":")`` returns the atoms
    with the quantities as arrays, and with free energy, forces and stress in a calculator.

    Parameters
    ----------
    path : str or path-like
        The file, ``*.xyz``.
    snapshots : sequence of Snapshot or ase.Atoms
        One frame each. The results in `reference` (``total_energy``, ``forces``, ``stress``,
        ``fermi_energy`` and the like), temperature and number of electrons are written too.
    per_atom : mapping of str to sequence of array-like of shape (n_atoms,) or (n_atoms, n)
        Quantities by name, one array per snapshot; or a sequence of mappings, one per snapshot,
        as :func:`skldos.decomposition.atom_quantities` returns them.

    Raises
    ------
    ValueError
        If a quantity does not have one finite number (or row) per atom, or has a name that means
        something else to ASE, such as ``"charges"``.

    Examples
    --------
    >>> import tempfile
    >>> import ase.io
    >>> from skldos import ADOSDecomposer
    >>> from skldos.datasets import load_aluminium
    >>> from skldos.decomposition import atom_quantities
    >>> from skldos.io import write_extxyz
    >>> snapshots = load_aluminium(temperature=933)[:2]
    >>> ados = ADOSDecomposer().fit_transform(snapshots)
    >>> quantities = [atom_quantities(block, s) for block, s in zip(ados, snapshots, strict=True)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_extxyz(f"{folder}/Al.xyz", snapshots, quantities)
    ...     atoms = ase.io.read(f"{folder}/Al.xyz", 0)
    >>> float(atoms.arrays["electrons"].sum().round(3)), atoms.get_forces().shape
    (12.0, (4, 3))
    """
    from ase.io import write  # its import takes as long as that of pandas

    snapshots = as_snapshots(snapshots)
    frames = [_frame(s, quantities) for s, quantities in _by_snapshot(per_atom, snapshots)]
    with atomic_file(path, "w") as file:
        write(file, frames, format="extxyz")


def _by_snapshot(per_atom, snapshots):
    """Return pairs of a snapshot and its quantities by name."""
    if per_atom is None:
        per_atom = [{}] * len(snapshots)
    elif hasattr(per_atom, "items"):
        for name, values in per_atom.items():
            if hasattr(values, "items"):
                raise TypeError(f"per_atom[{name!r}] must be a sequence of arrays, got a mapping.")
            if not hasattr(values, "__len__") or len(values) != len(snapshots):
                raise ValueError(
                    f"per_atom[{name!r}] must have one array per snapshot, {len(snapshots)}, got "
                    f"{len(values) if hasattr(values, '__len__') else values!r}."
                )
        arrays = per_atom
        per_atom = [{name: arrays[name][i] for name in arrays} for i in range(len(snapshots))]
    if not isinstance(per_atom, Sequence) or len(per_atom) != len(snapshots):
        got = len(per_atom) if isinstance(per_atom, Sequence) else repr(per_atom)
        raise ValueError(
            f"per_atom must have one mapping per snapshot, {len(snapshots)}, got {got}."
        )
    for quantities in per_atom:
        if not hasattr(quantities, "items"):
            raise TypeError(
                "per_atom must be a mapping, or have one mapping per snapshot, got "
                f"{type(quantities).__name__}."
            )
    return zip(snapshots, per_atom, strict=True)


def _is_free(name):
    """Return whether a quantity may have this name."""
    is_word = isinstance(name, str) and name.split() == [name]
    return is_word and name not in RESERVED_NAMES and not set(name) & set(SEPARATORS)


def _frame(snapshot, quantities):
    """Return the atoms with everything to write."""
    atoms, reference = snapshot.atoms.copy(), snapshot.reference
    for name, values in quantities.items():
        if not _is_free(name):
            raise ValueError(
                f"per_atom must have names of one word without any of {SEPARATORS}, not in "
                f"{RESERVED_NAMES}, got {name!r}."
            )
        check_unmasked(f"per_atom[{name!r}]", values)
        values = np.asarray(values)
        if values.dtype.kind not in "fiub":
            raise ValueError(f"per_atom[{name!r}] must be real numbers, got {values.dtype}.")
        if values.ndim not in (1, 2) or len(values) != len(atoms) or values.size == 0:
            raise ValueError(
                f"per_atom[{name!r}] must have one value (or row) per atom of {snapshot!r}, got "
                f"shape {values.shape}."
            )
        check_finite(f"per_atom[{name!r}]", values)
        if values.dtype.kind in "iu" and np.abs(values.astype(float)).max() > LARGEST_INTEGER:
            values = values.astype(float)
        atoms.set_array(name, values.astype(int) if values.dtype.kind == "u" else values)
    if snapshot.name is not None and len(snapshot.name.splitlines()) > 1:
        raise ValueError(f"the name of a snapshot must be one line, got {snapshot.name!r}.")
    info = {name: getattr(snapshot, name) for name in ("name", "temperature", "n_electrons")}
    info |= {name: float(reference[name]) for name in SCALAR_RESULTS if name in reference}
    atoms.info.update({k: value for k, value in info.items() if value not in (None, "")})
    results = {"energy": reference.get("total_energy"), "forces": reference.get("forces")}
    if (stress := reference.get("stress")) is not None:
        stress = np.asarray(stress, dtype=float)
        if stress.shape == (3, 3):  # Voigt's order: xx, yy, zz, yz, xz, xy
            stress = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        results["stress"] = stress
    results = {name: value for name, value in results.items() if value is not None}
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms
