r"""Free energy of a fitted pipeline as a function of positions and cell, with its gradient.

.. math::

    F_i = -\frac{\partial A}{\partial R_i}\Big|_d
          - \sum_{r, E} \frac{\partial A}{\partial d(r, E)}
            \frac{\partial d(r, E)}{\partial B(r)} \cdot \frac{\partial B(r)}{\partial R_i}

This is the exact gradient of the predicted energy through descriptors, network, LDOS, DOS and
density, not a Hellmann-Feynman force. It takes two passes over the grid. The first pass computes
the LDOS (in large cells, only DOS and density are kept) and the first factor of the sum, which has
rank two (see :mod:`skldos.physics.response`). The second pass goes backward through network and
descriptors, one slice of the grid at a time, so that derivatives for the whole grid are never in
memory.
"""

import copy
from functools import cached_property, partial

import numpy as np
import torch
from ase.formula import Formula
from joblib import effective_n_jobs
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skldos.calculator._base import ModelPoint
from skldos.calculator._pipelines import check_row_wise, with_parameters
from skldos.data import Blocks, ComputedArray, SnapshotList, spooled
from skldos.descriptors.affine import matrix_of
from skldos.physics import fermi_level, total_energy_response
from skldos.physics.arrays import autograd
from skldos.physics.response import response_of_fields
from skldos.physics.structure import common_functional
from skldos.prediction import streaming
from skldos.prediction.pieces import iter_rows
from skldos.prediction.pipelines import calculation_of, steps_of
from skldos.regressors import BlockRegressor
from skldos.workers import check_n_jobs, n_workers, results_of

#: Number of grid points that pass through the network at once.
CHUNK_POINTS = 8192
#: Descriptors up to this many bytes are kept between energy and forces.
KEPT_BYTES = 2**28
#: Overridden parameters of the transformer: the grid comes from the snapshot, everything is in
#: double precision, and steps of a simulation are not cached.
OVERRIDES = {"grid_shape": None, "dtype": "float64", "memory": None}
#: Tolerance for the number of electrons of a neutral cell: more than the rounding in files.
CHARGE_TOLERANCE = 1e-3


class EnergySurface:
    """Total free energy predicted by a fitted pipeline, and its gradient.

    Everything is computed in double precision, so that energies and forces agree to many digits.

    Parameters
    ----------
    model : Pipeline
        Fitted pipeline: a transformer of snapshots with a method `pullback`, such as
        GridSNAPTransformer; any number of RowWise steps, which must be affine for forces; and an
        LDOSRegressor. The transformer's `grid_shape`, `dtype` and `memory` are ignored.
    pseudopotentials : mapping of str to Pseudopotential
        One per element.
    functional : str, optional
        Exchange-correlation functional; None uses the functional of the pseudopotentials. It must
        be that of the training data, if known.
    density_cutoff : float, optional
        Largest kinetic energy in the density in eV, as in :func:`skldos.physics.total_energy`.
    sharpening : ndarray of shape (n_energies, n_energies), optional
        Matrix that undoes the broadening of the LDOS; None does not undo it.
    n_jobs : int, optional
        Number of joblib workers over slices of the grid.

    Raises
    ------
    TypeError
        If the model is not such a pipeline.
    ValueError
        If the model was trained with another functional, other numbers of valence electrons or
        charged cells.
    """

    def __init__(
        self,
        model,
        pseudopotentials,
        *,
        functional=None,
        density_cutoff=None,
        sharpening=None,
        n_jobs=None,
    ):
        first, self.row_steps, self.regressor = _checked_steps(model)
        check_is_fitted(self.regressor)
        # Copies of the fitted steps, which do not change when the model is fitted again.
        self.row_steps = [copy.copy(step) for step in self.row_steps]
        self.target_center, self.target_scale = (
            np.array(value, dtype=float)
            for value in (self.regressor.target_center_, self.regressor.target_scale_)
        )
        self.transformer = with_parameters(first, OVERRIDES)
        self.pseudopotentials = pseudopotentials
        calculation = calculation_of(self.regressor)
        self.terms = {
            "pseudopotentials": pseudopotentials,
            "functional": self._as_trained(functional),
            "density_cutoff": density_cutoff,
            "assume_isolated": calculation.get("assume_isolated"),
        }
        check_n_jobs(n_jobs)
        self.sharpening, self.n_jobs = sharpening, n_jobs
        with autograd():  # parameters created in inference mode have no gradients
            self.network = copy.deepcopy(self.regressor.module_).double().eval()

    def __repr__(self):
        steps = [self.transformer, *self.row_steps, self.regressor]
        names = " → ".join(type(step).__name__ for step in steps)
        return f"EnergySurface({names}, {list(self.pseudopotentials.values())})"

    def _as_trained(self, functional):
        """Return the functional after checking it against the training data."""
        calculation = calculation_of(self.regressor)
        if abs(calculation.get("charge", 0.0)) > CHARGE_TOLERANCE:
            raise ValueError(
                f"model was trained on cells with a charge of {calculation['charge']:+g}, but the "
                "calculator computes energies of neutral cells."
            )
        elements = set()
        for formula, electrons in calculation.get("valence_electrons", {}).items():
            counts = Formula(formula).count()
            if not counts.keys() <= self.pseudopotentials.keys():
                continue
            elements |= counts.keys()
            valence = sum(n * self.pseudopotentials[symbol].valence for symbol, n in counts.items())
            if abs(valence - electrons) > CHARGE_TOLERANCE:
                raise ValueError(
                    f"pseudopotentials must be those of the training data, in which {formula} has "
                    f"{electrons:g} valence electrons; with {list(self.pseudopotentials.values())} "
                    f"it has {valence:g}."
                )
        if "functional" not in calculation:
            return functional
        symbols = elements or self.pseudopotentials
        return common_functional(
            symbols, self.pseudopotentials, functional, calculation["functional"]
        )

    def at(self, snapshot):
        """Return the energy of a snapshot with a grid, a temperature and a number of electrons."""
        return SurfacePoint(self, snapshot)

    def rows(self, descriptors):
        """Return the input of the network for rows of descriptors."""
        blocks = Blocks([np.asarray(descriptors, dtype=float)])
        for step in self.row_steps:
            blocks = step.transform(blocks)
        return np.asarray(blocks[0], dtype=float)

    def ldos(self, inputs):
        """Return the LDOS in 1/(eV Å³) for rows of inputs, as tensors with gradients."""
        center, scale = map(self.tensor, (self.target_center, self.target_scale))
        ldos = self.network(inputs) * scale + center
        return ldos if self.sharpening is None else ldos @ self.tensor(self.sharpening.T)

    def tensor(self, rows):
        """Return rows as a tensor on the device of the network."""
        return torch.as_tensor(rows, dtype=torch.float64, device=self.regressor.device)

    @cached_property
    def row_matrix(self):
        """Derivative of the inputs of the network with respect to the descriptors."""
        n_features = self.transformer.n_features_out_
        names = [type(step.row_transformer_).__name__ for step in self.row_steps]
        return matrix_of(self.rows, n_features, " then ".join(names) or "nothing")


def _checked_steps(model):
    """Return the grid transformer, the row-wise steps and the regressor of a pipeline."""
    model = getattr(model, "best_estimator_", model)
    if not isinstance(model, Pipeline):
        raise TypeError(
            "model must be a pipeline from snapshots to the LDOS that ends in an "
            f"LDOSRegressor, got {type(model).__name__}."
        )
    if not isinstance(model[-1], BlockRegressor):
        raise TypeError(
            "model must be a pipeline from snapshots to the LDOS that ends in an "
            "LDOSRegressor, because forces need its network, got one that ends in "
            f"{type(model[-1]).__name__}: fit an LDOSRegressor after a GridSNAPTransformer, as in "
            "skldos.models.grid(). Energies and densities of states of a model of "
            "atoms come from skldos.predict(model, atoms), forces from a FreeEnergyCalculator "
            "with skldos.models.potential()."
        )
    *steps, regressor = steps_of(model)
    first, *row_steps = steps or [regressor]
    # Transformers to atoms have no grid_shape.
    if not hasattr(first, "pullback") or not hasattr(first, "grid_shape"):
        raise TypeError(
            "model must begin with a transformer of the grids of snapshots that has "
            f"derivatives, GridSNAPTransformer, got {type(first).__name__}."
        )
    check_row_wise("model", row_steps)
    return first, row_steps, regressor


class SurfacePoint(ModelPoint):
    """Energy, forces and stress of one snapshot; use :meth:`EnergySurface.at` to make one.

    Parameters
    ----------
    surface : EnergySurface
        Surface that predicts the energy.
    snapshot : Snapshot
        Atoms with energies, a grid, a temperature and a number of electrons.

    Attributes
    ----------
    response : skldos.physics.Response
        Total energy term by term, DOS, density, and derivatives with respect to the LDOS.
    """

    def __init__(self, surface, snapshot):
        self._surface, self.snapshot = surface, snapshot
        (descriptors,) = surface.transformer.transform_lazy(SnapshotList([snapshot]))
        # The backward pass needs them again; kept if small and not read by other processes.
        alone = effective_n_jobs(n_workers(surface.n_jobs)) == 1
        in_memory = alone and descriptors.nbytes <= KEPT_BYTES
        self._descriptors = spooled(descriptors) if in_memory else descriptors
        n_energies, n_points = len(snapshot.energies), len(descriptors)
        predict = partial(_ldos_rows, surface, self._descriptors)
        self.response = self._respond(ComputedArray(predict, (n_points, n_energies), float))

    def __repr__(self):
        return f"SurfacePoint({self.snapshot!r}, {self.energy.total:.6f} eV)"

    def _respond(self, rows):
        """Return the response to the LDOS, with rows computed when they are read."""
        snapshot, surface = self.snapshot, self._surface
        state = {"temperature": snapshot.temperature, "n_electrons": snapshot.n_electrons}
        settings = {"atoms": snapshot.atoms, **state, **surface.terms}
        if rows.nbytes <= streaming.KEPT_BYTES:
            buffer = spooled(rows, slices=iter_rows(rows, surface.n_jobs))
            ldos = buffer.reshape(*snapshot.grid_shape, -1)
            return total_energy_response(ldos, snapshot.energies, **settings)
        electrons = streaming.stream_electrons(
            rows,
            snapshot.grid_shape,
            snapshot.energies,
            temperature=snapshot.temperature,
            voxel_volume=snapshot.voxel_volume,
            level_of=lambda dos: float(fermi_level(dos, snapshot.energies, **state)),
            n_jobs=surface.n_jobs,
        )
        fields = electrons.dos, electrons.density, electrons.density_slope
        return response_of_fields(*fields, snapshot.energies, **settings)

    @property
    def energy(self):
        """The :class:`~skldos.physics.TotalEnergy` in eV."""
        return self.response.energy

    @cached_property
    def gradient(self):
        """Derivatives with respect to positions, (n_atoms, 3) in eV/Å, and strain, (3, 3) in eV."""
        surface, n_points = self._surface, len(self._descriptors)
        by_positions = self.response.by_positions.copy()
        by_strain = self.response.by_strain.copy()
        _ = surface.row_matrix  # computed once for all workers
        tasks = []
        for start in range(0, n_points, CHUNK_POINTS):
            stop = min(start + CHUNK_POINTS, n_points)
            g = self.response.by_density.reshape(-1)[start:stop]
            by_ldos = self.response.by_dos, g, self.response.weights
            rows = surface, self.snapshot, self._descriptors, start, stop
            tasks.append((_pulled_back, *rows, by_ldos))
        for positions, strain in results_of(tasks, surface.n_jobs):
            by_positions += positions
            by_strain += strain
        return by_positions, by_strain


@torch.no_grad()
def _ldos_rows(surface, descriptors, start, stop):
    """Return the LDOS in 1/(eV Å³) at a slice of the grid."""
    chunks = []
    for begin in range(start, stop, CHUNK_POINTS):
        rows = surface.rows(descriptors[begin : min(begin + CHUNK_POINTS, stop)])
        chunks.append(surface.ldos(surface.tensor(rows)).cpu().numpy())
    return np.concatenate(chunks)


def _pulled_back(surface, snapshot, descriptors, start, stop, by_ldos):
    """Return the contribution of a grid slice to the derivatives by positions and strain.

    Derivatives by the LDOS are a_i + g(r) w_i; see :class:`skldos.physics.Response`.
    """
    a, g, w = by_ldos
    rows = surface.rows(descriptors[start:stop])
    with autograd():
        inputs = surface.tensor(rows).requires_grad_()
        by_ldos = surface.tensor(a + g[:, None] * w)
        (by_inputs,) = torch.autograd.grad(surface.ldos(inputs), inputs, by_ldos)
    by_descriptors = by_inputs.cpu().numpy() @ surface.row_matrix.T
    return surface.transformer.pullback(snapshot, by_descriptors, start, stop)
