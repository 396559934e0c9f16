"""Common code of calculators of fitted models: the current point, and checks."""

import warnings
from abc import abstractmethod

from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from skldos.data.results import CALCULATOR_PREFIX
from skldos.data.training import outside_training
from skldos.validation import check_option


class ModelPoint:
    """A model at one `snapshot`, with forces and stress from its `gradient`."""

    @property
    def forces(self):
        """Forces on the atoms in eV/Å, shape (n_atoms, 3)."""
        return -self.gradient[0]

    @property
    def stress(self):
        """Stress in eV/Å³, the derivative with respect to strain per volume, shape (3, 3)."""
        # The antisymmetric part is a rotation, with zero derivative up to rounding.
        by_strain = self.gradient[1]
        return (by_strain + by_strain.T) / 2 / abs(self.snapshot.atoms.cell.volume)


class ModelCalculator(Calculator):
    """A calculator that evaluates a fitted model, and keeps the result until the atoms change.

    Parameters
    ----------
    allow_stress : bool
        Whether to allow stress predictions of a model that has not learned how the energy depends
        on the volume.
    """

    _point = None

    def __init__(self, allow_stress):
        super().__init__()
        self.allow_stress = check_option("allow_stress", allow_stress, (True, False))
        self._warned = False

    def _get_name(self):
        # ASE writes the name to trajectories; it distinguishes predictions from references.
        return f"{CALCULATOR_PREFIX}-{type(self).__name__.lower()}"

    def reset(self):
        """Discard the last calculation."""
        super().reset()
        self._point = None

    def __getstate__(self):
        # The last point may be large, and can be recomputed.
        return vars(self) | {"_point": None}

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Compute `properties`; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        if "stress" in properties and not self._may_predict_stress:
            raise PropertyNotImplementedError(self._no_stress())
        if system_changes:
            # Discard the last point first: a failed calculation must not leave the results of other
            # atoms.
            self._point = None
        if self._point is None:
            self._point = self._new_point()
        point = self._point
        self.results.update(self._energies_of(point))
        if "forces" in properties or "stress" in properties:
            self.results["forces"] = point.forces
            if self._may_predict_stress:
                self.results["stress"] = full_3x3_to_voigt_6_stress(point.stress)

    @property
    def _may_predict_stress(self):
        return self.allow_stress or self._knows_stress()

    def _check_atoms(self):
        """Raise a ``ValueError`` if there are no atoms, neither given nor of a calculation."""
        if self.atoms is None:
            raise ValueError("atoms are needed, because nothing was calculated before; got None.")

    def _warn_outside(self, snapshot):
        """Warn once if the density or temperature is outside the range of the training data."""
        if self._warned or not self._training:
            return
        if text := outside_training(self._training, [snapshot]):
            self._warned = True
            warnings.warn(f"{text} This warning is given once.", UserWarning, stacklevel=2)

    @property
    @abstractmethod
    def _training(self):
        """Properties of the training data that the model stored; may be empty."""

    @abstractmethod
    def _knows_stress(self):
        """Return whether the model has learned how the energy depends on the volume."""

    @abstractmethod
    def _no_stress(self):
        """Return the error message for a stress that the model has not learned."""

    @abstractmethod
    def _new_point(self):
        """Return the model at :attr:`atoms`, with forces and stress."""

    @abstractmethod
    def _energies_of(self, point):
        """Return energies by ASE's names."""
