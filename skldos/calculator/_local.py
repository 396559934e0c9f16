"""Free energy of atoms that move one at a time; only atoms near the moved one are recomputed."""

import numpy as np
from ase.geometry import get_distances

from skldos.calculator._pipelines import parts_of
from skldos.data import Snapshot
from skldos.geometry import plane_spacings
from skldos.physics import electronic_free_energy


class LocalFreeEnergy:
    """Changes of the free energy when single atoms move.

    Parameters
    ----------
    surface : FreeEnergySurface
        Surface that predicts the energy.
    atoms : ase.Atoms
        Initial atoms.
    temperature : float or None
        Electronic temperature in K.
    """

    def __init__(self, surface, atoms, temperature):
        self._surface, self._temperature = surface, temperature
        self._atoms = atoms.copy()
        point = surface.at(Snapshot(self._atoms), temperature)
        self._cold = surface.potential.energies(point.rows, point.snapshot)
        self._hot = point.hot
        self.energy = float(point.energies.sum())
        models = [surface.potential]
        if self._hot:
            models.append(surface.dos_model)
            self._dos_rows = point.dos_rows.copy()
            self._electrons = float(point.n_electrons.sum())
            matrix, _ = surface.dos_model.affine
            sharpening = surface.sharpening
            self._to_dos = matrix if sharpening is None else matrix @ sharpening.T
            self._dos, self._hot_part = point.dos, self.energy - self._cold.sum()
        self._radius = max(_reach(model.transformer) for model in models)
        self._trial = None

    def change(self, index, position):
        """Return the change of the energy in eV if an atom moves to a new position."""
        origin = self._atoms.positions[index].copy()
        near = self._atoms_within_cutoff([origin, position])
        self._atoms.positions[index] = position
        try:
            trial = self._trial_values(near, [origin, position])
        finally:
            self._atoms.positions[index] = origin
        self._trial = index, position, trial
        return trial["energy"] - self.energy

    def accept(self):
        """Accept the last proposed move."""
        index, position, trial = self._trial
        self._atoms.positions[index] = position
        near = trial["near"]
        self._cold[near], self.energy = trial["cold"], trial["energy"]
        if self._hot:
            self._dos_rows[near] = trial["rows"]
            self._dos, self._hot_part = trial["dos"], trial["hot_part"]

    def _atoms_in_box(self, positions, radius):
        """Return the atoms with an image in a box of lattice planes around any of the points.

        The box contains the sphere, in any cell.
        """
        cell = self._atoms.cell.array
        shape = (1, len(self._atoms), 3)
        differences = self._atoms.positions.reshape(shape) - np.reshape(positions, (-1, 1, 3))
        differences = differences @ np.linalg.inv(cell)
        differences -= np.round(differences)
        inside = (np.abs(differences) <= radius / plane_spacings(cell)).all(axis=2)
        return np.flatnonzero(inside.any(axis=0))

    def _atoms_within_cutoff(self, positions):
        """Return the atoms that have any of the points within their cutoff."""
        atoms, candidates = self._atoms, self._atoms_in_box(positions, self._radius)
        points = atoms.positions[candidates]
        _, distances = get_distances(positions, points, cell=atoms.cell, pbc=True)
        return candidates[(distances <= self._radius).any(axis=0)]

    def _trial_values(self, near, positions):
        """Return the changed values for the atoms `near`, whose environment has changed."""
        surface = self._surface
        # Only these atoms and their neighbours are needed.
        environment = self._atoms_in_box(positions, 2 * self._radius)
        neighbors = np.setdiff1d(environment, near)
        snapshot = Snapshot(self._atoms[[*near, *neighbors]])
        movable = Snapshot(self._atoms[near])
        features = surface.potential.transformer.compute(snapshot, 0, len(near))
        rows, _ = surface.potential.rows(features)
        values = {"near": near, "cold": surface.potential.energies(rows, movable)}
        cold = self._cold.sum() + (values["cold"] - self._cold[near]).sum()
        if not self._hot:
            return values | {"energy": cold}
        model = surface.dos_model
        if not surface.same_features(snapshot):
            features = model.transformer.compute(snapshot, 0, len(near))
        values["rows"], _ = model.rows(features)
        change = (values["rows"] - self._dos_rows[near]).sum(axis=0) @ self._to_dos
        values["dos"] = self._dos + change
        values["hot_part"] = self._heated(values["dos"])
        return values | {"energy": cold + values["hot_part"]}

    def _heated(self, dos):
        """Return F(T) − F(T0) of a density of states."""
        temperatures = np.array([self._temperature, self._surface.reference_temperature])
        F = electronic_free_energy(
            dos, self._surface.energies, temperature=temperatures, n_electrons=self._electrons
        )
        return float(F[0] - F[1])


def _reach(transformer):
    """Return the largest cutoff radius in Å."""
    return max(
        part.r_cut * max(1.0, *(getattr(part, "radii", None) or {}).values(), 1.0)
        for part in parts_of(transformer)
    )
