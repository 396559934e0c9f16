r"""The free energy of a fitted pipeline as a function of positions and cell, with its gradient.

.. math::

    F_i = -\frac{\partial A}{\partial R_i}\Big|_d
          - \sum_{r, E} \frac{\partial A}{\partial d(r, E)}
            \frac{\partial d(r, E)}{\partial B(r)} \cdot \frac{\partial B(r)}{\partial R_i}

It is the exact gradient of the energy that is predicted, through descriptors, network, LDOS, DOS
and density, and so no Hellmann-Feynman force. It takes two passes over the grid. The first
gives the LDOS, and with it the first factor of the sum, which is of rank two (see
:mod:`skldos.physics.response`). The second goes backwards through network and descriptors, a
slice of the grid at a time, so that no derivative is ever held for the whole grid.
"""

import copy
from functools import cached_property

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skldos.calculator._affine import matrix_of
from skldos.data import Blocks, ComputedArray, SnapshotList, spooled
from skldos.descriptors import RowWise
from skldos.physics import total_energy_response
from skldos.regressors import BlockRegressor

#: Grid points that pass through the network at once.
CHUNK_POINTS = 8192
#: Parameters of the transformer that give way: the snapshot has the grid, everything is in double
#: precision, and no step of a simulation is kept on disk.
OVERRIDES = {"grid_shape": None, "dtype": "float64", "memory": None}


class EnergySurface:
    """The total free energy that a fitted pipeline predicts, and its gradient.

    Everything is computed in double precision, so that energies and forces agree to many digits.

    Parameters
    ----------
    model : Pipeline
        Fitted: a transformer of snapshots with a method `pullback`, such as GridSNAPTransformer;
        any number of RowWise steps, affine where forces are wanted; and an LDOSRegressor. The
        `grid_shape`, `dtype` and `memory` of the transformer do not count here.
    pseudopotentials : mapping of str to Pseudopotential
        One per element.
    functional : str, optional
        Exchange-correlation functional; None takes that of the pseudopotentials.
    cutoff : float, optional
        Largest kinetic energy in the density in eV, as in :func:`skldos.physics.total_energy`.
    sharpening : ndarray of shape (n_energies, n_energies), optional
        Matrix that undoes the broadening of the LDOS; None leaves it.

    Raises
    ------
    TypeError
        If the model is not such a pipeline.
    """

    def __init__(self, model, pseudopotentials, *, functional=None, cutoff=None, sharpening=None):
        model = getattr(model, "best_estimator_", model)
        if not isinstance(model, Pipeline) or not isinstance(model[-1], BlockRegressor):
            raise TypeError(
                "model must be a pipeline from snapshots to the LDOS that ends in an "
                f"LDOSRegressor, got {type(model).__name__}."
            )
        steps = [step for _, step in model.steps if step not in (None, "passthrough")]
        *transformer, self.regressor = steps
        if not transformer or not hasattr(transformer[0], "pullback"):
            raise TypeError(
                "model must begin with a transformer of snapshots that has derivatives, "
                f"GridSNAPTransformer, got {type(steps[0]).__name__}."
            )
        first, *self.row_steps = transformer
        for step in self.row_steps:
            if not isinstance(step, RowWise):
                raise TypeError(
                    "between the first and the last step, model may have steps RowWise(...) "
                    f"only, got {type(step).__name__}."
                )
        check_is_fitted(self.regressor)
        self.transformer = copy.copy(first)
        known = first.get_params(deep=False)
        self.transformer.set_params(**{k: v for k, v in OVERRIDES.items() if k in known})
        self.pseudopotentials = pseudopotentials
        self.terms = {
            "pseudopotentials": pseudopotentials,
            "functional": functional,
            "cutoff": cutoff,
        }
        self.sharpening = sharpening
        self.network = copy.deepcopy(self.regressor.module_).double().eval()

    def __repr__(self):
        steps = [self.transformer, *self.row_steps, self.regressor]
        names = " → ".join(type(step).__name__ for step in steps)
        return f"EnergySurface({names}, {list(self.pseudopotentials.values())})"

    def at(self, snapshot):
        """Return the energy at a snapshot, which has a grid, a temperature and electrons."""
        return SurfacePoint(self, snapshot)

    def rows(self, descriptors):
        """Return what the network is given for rows of descriptors."""
        blocks = Blocks([np.asarray(descriptors, dtype=float)])
        for step in self.row_steps:
            blocks = step.transform(blocks)
        return np.asarray(blocks[0], dtype=float)

    def ldos(self, inputs):
        """Return the LDOS in 1/(eV Å³) of rows of inputs, tensors with gradients."""
        center, scale = (
            torch.as_tensor(value, dtype=inputs.dtype, device=inputs.device)
            for value in (self.regressor.target_center_, self.regressor.target_scale_)
        )
        ldos = self.network(inputs) * scale + center
        return ldos if self.sharpening is None else ldos @ self.tensor(self.sharpening.T)

    def tensor(self, rows):
        """Return rows as a tensor where the network is."""
        return torch.as_tensor(rows, dtype=torch.float64, device=self.regressor.device)

    @cached_property
    def row_matrix(self):
        """Derivative of the inputs of the network with respect to the descriptors."""
        n_features = self.transformer.n_features_out_
        names = [type(step.row_transformer_).__name__ for step in self.row_steps]
        return matrix_of(self.rows, n_features, " then ".join(names) or "nothing")


class SurfacePoint:
    """Energy, forces and stress of one snapshot; use :meth:`EnergySurface.at` to make one.

    Attributes
    ----------
    response : skldos.physics.Response
        Total energy term by term, DOS, density, and derivatives with respect to the LDOS.
    """

    def __init__(self, surface, snapshot):
        self._surface = surface
        (descriptors,) = surface.transformer.transform_lazy(SnapshotList([snapshot]))
        self.snapshot = snapshot
        # The way back needs them again.
        self._descriptors = spooled(descriptors)
        n_energies = len(snapshot.energies)
        rows = ComputedArray(self._ldos_rows, (len(self._descriptors), n_energies), float)
        self.response = total_energy_response(
            spooled(rows).reshape(*snapshot.grid_shape, n_energies),
            snapshot.energies,
            atoms=snapshot.atoms,
            temperature=snapshot.temperature,
            n_electrons=snapshot.n_electrons,
            **surface.terms,
        )

    def __repr__(self):
        return f"SurfacePoint({self.snapshot!r}, {self.energy.total:.6f} eV)"

    @torch.no_grad()
    def _ldos_rows(self, start, stop):
        surface, parts = self._surface, []
        for first in range(start, stop, CHUNK_POINTS):
            rows = surface.rows(self._descriptors[first : min(first + CHUNK_POINTS, stop)])
            parts.append(surface.ldos(surface.tensor(rows)).cpu().numpy())
        return np.concatenate(parts)

    @property
    def energy(self):
        """The :class:`~skldos.physics.TotalEnergy` in eV."""
        return self.response.energy

    @cached_property
    def _gradient(self):
        """Derivatives with respect to positions and strain, in eV/Å and eV."""
        surface, n_points = self._surface, len(self._descriptors)
        by_positions = self.response.by_positions.copy()
        by_strain = self.response.by_strain.copy()
        for start in range(0, n_points, CHUNK_POINTS):
            stop = min(start + CHUNK_POINTS, n_points)
            inputs = surface.tensor(surface.rows(self._descriptors[start:stop])).requires_grad_()
            with torch.enable_grad():
                ldos = surface.ldos(inputs)
            by_ldos = surface.tensor(self.response.by_ldos(start, stop))
            (by_inputs,) = torch.autograd.grad(ldos, inputs, by_ldos)
            by_descriptors = by_inputs.cpu().numpy() @ surface.row_matrix.T
            positions, strain = surface.transformer.pullback(
                self.snapshot, by_descriptors, start, stop
            )
            by_positions += positions
            by_strain += strain
        return by_positions, by_strain

    @property
    def forces(self):
        """Forces on the atoms in eV/Å, shape (n_atoms, 3)."""
        return -self._gradient[0]

    @property
    def stress(self):
        """Stress in eV/Å³, the derivative by strain per volume, shape (3, 3)."""
        # The antisymmetric part, a rotation, changes nothing; what is left of it is rounding.
        by_strain = self._gradient[1]
        return (by_strain + by_strain.T) / 2 / abs(self.snapshot.atoms.cell.volume)
