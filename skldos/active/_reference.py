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
POSITION_TOLERANCE = 1e-9
#: Quantities that a model learns.
REQUIRED_RESULTS = {"total_energy", "forces"}


class Reference:
    """A source of reference energies and forces, with its results so far.

    The source is a calculator of ASE, an EspressoRecipe, or a function of atoms that returns a
    Snapshot. Its results are in subfolders of `folder`. `stress` tells whether to ask a calculator
    for the stress as well.
    """

    def __init__(self, source, folder, stress):
        supported = isinstance(source, (BaseCalculator, EspressoRecipe))
        if not supported and (isinstance(source, type) or not callable(source)):
            raise TypeError(
                "reference must be a calculator of ASE, an EspressoRecipe, or a function of atoms "
                f"that returns a Snapshot, got {source!r}."
            )
        self._source, self._folder, self._stress = source, Path(folder), stress

    def answer(self, number, snapshot):
        """Return result `number`, a snapshot with energy and forces, and the seconds it took."""
        folder = self._folder_of(number)
        if (folder / "snapshots.json").exists():
            (result,) = SnapshotList.load(folder)
            self._check_same(result, snapshot.atoms, folder)
            return result, 0.0
        start, result = time.perf_counter(), snapshot
        if not result.reference.keys() >= REQUIRED_RESULTS:
            result = self._ask(number, snapshot.atoms)
        missing = sorted(REQUIRED_RESULTS - result.reference.keys())
        if missing:
            raise SnapshotError(
                f"reference must provide {missing[0]!r}, got {result!r} without it."
            )
        if not same_atoms(snapshot.atoms, result.atoms):
            raise SnapshotError(
                f"reference must return the atoms it was given, in their order, {snapshot!r}, got "
                f"{result!r} with other elements, positions or cell."
            )
        SnapshotList([result]).save(folder)
        return result, time.perf_counter() - start

    def kept(self, n_answers):
        """Return the first results."""
        folders = map(self._folder_of, range(n_answers))
        return SnapshotList([SnapshotList.load(folder)[0] for folder in folders])

    def _folder_of(self, number):
        return self._folder / "snapshots" / f"{number:05d}"

    def _ask(self, number, atoms):
        if isinstance(self._source, EspressoRecipe):
            folder = self._folder / "calculations" / f"{number:05d}"
            (result,) = self._source.run([atoms], folder, verbose=False)
            # The fields stay where they are.
            return result.replace(ldos=None, density=None)
        if isinstance(self._source, BaseCalculator):
            return self._calculated(atoms)
        (result,) = as_snapshots([self._source(atoms.copy())])
        return result

    def _calculated(self, atoms):
        atoms = atoms.copy()
        atoms.calc = self._source
        try:
            energy = atoms.get_potential_energy(force_consistent=True)
        except PropertyNotImplementedError:  # for calculators that have no other energy
            energy = atoms.get_potential_energy()
        reference = {"total_energy": float(energy), "forces": atoms.get_forces()}
        if self._stress:
            reference["stress"] = atoms.get_stress(voigt=False)
        return Snapshot(atoms, reference=reference)

    @staticmethod
    def _check_same(result, atoms, folder):
        stored = result.atoms
        same = (
            len(stored) == len(atoms)
            and (stored.numbers == atoms.numbers).all()
            and np.allclose(stored.positions, atoms.positions, rtol=0, atol=POSITION_TOLERANCE)
            and np.allclose(stored.cell.array, atoms.cell.array, rtol=0, atol=POSITION_TOLERANCE)
        )
        if not same:
            raise SnapshotError(
                f"{folder} holds a result for other atoms, from a run with another start or other "
                "settings; choose another folder, or remove this one."
            )
