"""Results of a reference calculation, stored in a folder so that none is calculated twice."""

import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError

from skldos.data import Snapshot, SnapshotList, as_snapshots
from skldos.datasets import EspressoRecipe
from skldos.exceptions import SnapshotError
from skldos.io.cube import same_atoms

#: Positions and cells in Å that differ by less are the same; recipes round to ten digits.
SAME = 1e-9
#: Quantities that a model learns.
NEEDED = {"total_energy", "forces"}


class Reference:
    """A source of reference energies and forces, with its results so far.

    Parameters
    ----------
    source : ase calculator, EspressoRecipe or callable
        The reference calculation. A callable takes atoms and returns a Snapshot.
    folder : pathlib.Path
        Folder for the results, one subfolder each.
    stress : bool
        Whether to ask a calculator for the stress as well.
    """

    def __init__(self, source, folder, stress):
        known = isinstance(source, (BaseCalculator, EspressoRecipe))
        if not known and (isinstance(source, type) or not callable(source)):
            raise TypeError(
                "reference must be a calculator of ASE, an EspressoRecipe, or a function of atoms "
                f"that returns a Snapshot, got {source!r}."
            )
        self._source, self._folder, self._stress = source, Path(folder), stress

    def answer(self, number, snapshot):
        """Return result `number`, a snapshot with energy and forces, and the seconds it took."""
        folder = self._folder_of(number)
        if (folder / "snapshots.json").exists():
            (found,) = SnapshotList.load(folder)
            self._check_same(found, snapshot.atoms, folder)
            return found, 0.0
        start, found = time.perf_counter(), snapshot
        if not found.reference.keys() >= NEEDED:
            found = self._ask(number, snapshot.atoms)
        missing = sorted(NEEDED - found.reference.keys())
        if missing:
            raise SnapshotError(f"reference must provide {missing[0]!r}, got {found!r} without it.")
        if not same_atoms(snapshot.atoms, found.atoms):
            raise SnapshotError(
                f"reference must return the atoms it was given, in their order, {snapshot!r}, got "
                f"{found!r} with other elements, positions or cell."
            )
        SnapshotList([found]).save(folder)
        return found, time.perf_counter() - start

    def kept(self, n_answers):
        """Return the first results."""
        folders = map(self._folder_of, range(n_answers))
        return SnapshotList([SnapshotList.load(folder)[0] for folder in folders])

    def _folder_of(self, number):
        return self._folder / "snapshots" / f"{number:05d}"

    def _ask(self, number, atoms):
        if isinstance(self._source, EspressoRecipe):
            folder = self._folder / "calculations" / f"{number:05d}"
            (found,) = self._source.run([atoms], folder, verbose=False)
            # The fields stay where they are.
            return found.replace(ldos=None, density=None)
        if isinstance(self._source, BaseCalculator):
            return self._calculated(atoms)
        (found,) = as_snapshots([self._source(atoms.copy())])
        return found

    def _calculated(self, atoms):
        atoms = atoms.copy()
        atoms.calc = self._source
        try:
            energy = atoms.get_potential_energy(force_consistent=True)
        except PropertyNotImplementedError:  # for calculators that have no other energy
            energy = atoms.get_potential_energy()
        found = {"total_energy": float(energy), "forces": atoms.get_forces()}
        if self._stress:
            found["stress"] = atoms.get_stress(voigt=False)
        return Snapshot(atoms, reference=found)

    @staticmethod
    def _check_same(found, atoms, folder):
        kept = found.atoms
        same = (
            len(kept) == len(atoms)
            and (kept.numbers == atoms.numbers).all()
            and np.allclose(kept.positions, atoms.positions, rtol=0, atol=SAME)
            and np.allclose(kept.cell.array, atoms.cell.array, rtol=0, atol=SAME)
        )
        if not same:
            raise SnapshotError(
                f"{folder} holds a result for other atoms, from a run with another start or other "
                "settings; choose another folder, or remove this one."
            )
