"""Properties of the calculations of snapshots, and checks that they are compatible."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from ase.formula import Formula

from skldos.data.energy_grid import EnergyGrid
from skldos.data.training import training_range
from skldos.exceptions import SnapshotError

#: Properties of a calculation that must be the same for all snapshots of a model.
SHARED_PROPERTIES = ("functional", "charge", "pseudopotentials", "assume_isolated")
#: Tolerance for numbers of electrons: more than the rounding in files.
SAME_ELECTRONS = 1e-3


def common_calculation(snapshots, calculation=None):
    """Return the common properties of the calculations of all `snapshots`.

    These are functional, charge, pseudopotentials and boundary conditions, if the `reference` of at
    least one snapshot has them; ``"windows"``, the number of energies, broadening and kernel of
    each, if the energies are in several; ``"valence_electrons"``, those of the neutral cell by
    chemical formula; and ``"training"``, the :func:`~skldos.data.training.training_range` of the
    snapshots.

    They must agree with each other, and with `calculation`, the result for earlier snapshots;
    otherwise a :class:`SnapshotError` is raised. `snapshots` may be None.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> snapshots = [s.replace(reference={"functional": "lda-pz"}) for s in load_aluminium()[:2]]
    >>> calculation = common_calculation(snapshots)
    >>> calculation["functional"], calculation["valence_electrons"]
    ('lda-pz', {'Al4': 12.0})
    """
    calculation = dict(calculation or {})
    electrons = dict(calculation.get("valence_electrons", {}))
    for snapshot in snapshots or ():
        properties = {
            name: snapshot.reference[name]
            for name in SHARED_PROPERTIES
            if name in snapshot.reference
        }
        if snapshot.energy_grid is not None and len(snapshot.energy_grid.windows) > 1:
            windows = snapshot.energy_grid.windows
            properties["windows"] = [[len(w), w.broadening, w.kernel] for w in windows]
        for name, value in properties.items():
            if not _same(calculation.setdefault(name, value), value):
                raise SnapshotError(
                    f"all snapshots must be calculated with the same {name}: "
                    f"{calculation[name]!r} and {value!r} differ."
                )
            if isinstance(value, Mapping):  # one entry per element of the cell
                calculation[name] = calculation[name] | value
        if snapshot.n_electrons is not None:
            formula = snapshot.atoms.get_chemical_formula()
            neutral = snapshot.n_electrons + properties.get("charge", 0.0)
            if abs(electrons.setdefault(formula, neutral) - neutral) > SAME_ELECTRONS:
                raise SnapshotError(
                    f"all snapshots of {formula} must have the same number of valence electrons: "
                    f"{electrons[formula]:g} and {neutral:g} differ. If cells are charged, "
                    "reference must contain the 'charge'."
                )
    if electrons:
        calculation["valence_electrons"] = electrons
    if snapshots:
        calculation["training"] = training_range(snapshots, calculation.get("training"))
    return calculation


def energy_grid_of(regressor):
    """Return the :class:`EnergyGrid` of a fitted regressor, or None if it has no energies.

    It consists of the attributes ``energies_``, ``broadening_`` and ``kernel_`` and, for energies
    in several windows, of ``calculation_``, the result of :func:`common_calculation`.
    """
    energies = getattr(regressor, "energies_", None)
    if energies is None:
        return None
    windows = (getattr(regressor, "calculation_", None) or {}).get("windows")
    if windows is None:
        broadening = getattr(regressor, "broadening_", None)
        return EnergyGrid(
            energies, broadening=broadening, kernel=getattr(regressor, "kernel_", None)
        )
    grids, start = [], 0
    for n_energies, broadening, kernel in windows:
        values = energies[start : start + n_energies]
        grids.append(EnergyGrid(values, broadening=broadening, kernel=kernel))
        start += n_energies + 2  # two energies beside the gap
    return EnergyGrid.joined(*grids)


def electrons_of(atoms, calculation):
    """Return the number of valence electrons of a neutral cell, derived from training cells.

    `calculation` is the result of :func:`common_calculation`. Return None if the training cells do
    not determine the number: from Al2Mg2 alone, that of Al3Mg does not follow.

    Examples
    --------
    >>> from ase.build import bulk
    >>> electrons_of(bulk("Al"), {"valence_electrons": {"Al4": 12.0}})
    3.0
    >>> electrons_of(bulk("Mg"), {"valence_electrons": {"Al4": 12.0}})
    """
    cells = {formula: counts_of(formula) for formula in calculation.get("valence_electrons", {})}
    elements = sorted({element for counts in cells.values() for element in counts})
    composition = counts_of(atoms.get_chemical_formula())
    if not cells or not set(composition) <= set(elements):
        return None
    counts = np.array([[cell.get(e, 0) for e in elements] for cell in cells.values()])
    target = np.array([composition.get(e, 0) for e in elements])
    # The cell as a combination of training cells: c = xᵀ C, and then N = x · N_train.
    share = np.linalg.lstsq(counts.T, target, rcond=None)[0]
    if not np.allclose(share @ counts, target):
        return None
    return float(np.round(share @ list(calculation["valence_electrons"].values()), 6))


def counts_of(formula):
    """Return the number of atoms of each element in a chemical formula.

    Examples
    --------
    >>> counts_of("Al3Mg")
    {'Al': 3, 'Mg': 1}
    """
    return Formula(formula).count()


def differing_fact(reference, calculation):
    """Return the name of a property in which a reference differs from a calculation, or None."""
    for name in SHARED_PROPERTIES:
        if (
            name in reference
            and name in calculation
            and not _same(calculation[name], reference[name])
        ):
            return name
    return None


def _same(a, b):
    """Return whether two properties agree; numbers may differ by rounding in files.

    Mappings agree if their common entries agree.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return all(_same(a[key], b[key]) for key in a.keys() & b.keys())
    numbers = isinstance(a, Real) and isinstance(b, Real)
    return abs(a - b) < 1e-6 if numbers else a == b
