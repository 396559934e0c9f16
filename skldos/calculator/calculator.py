"""A fitted pipeline as an ASE calculator."""

import numpy as np

from skldos.calculator._base import ModelCalculator
from skldos.calculator._pipelines import sharpening_of
from skldos.calculator.surface import EnergySurface
from skldos.data import Snapshot
from skldos.data.training import has_one_density
from skldos.geometry import check_grid_shape, plane_spacings
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.physics.structure import check_every_element
from skldos.physics.terms import FUNCTIONALS
from skldos.physics.terms.checks import check_density_cutoff
from skldos.prediction.pipelines import calculation_of
from skldos.validation import check_option, check_scalar

#: Largest grid spacing, relative to that of the training data. With twice the spacing, a grid holds
#: an eighth of the density's plane waves in the training data.
MAX_SPACING_RATIO = 2.0
#: Largest grid spacing in Å if the training data had no grid. Two of these are a bond length, and
#: the density of valence electrons has shorter waves than that.
MAX_SPACING = 1.0


class LDOSCalculator(ModelCalculator):
    r"""Energies, forces and electronic structure from a fitted model of the LDOS, for ASE.

    Use it for molecular dynamics, relaxations and anything else in ASE. Cells may be larger than
    those of the training data: the grid adapts to the cell with the spacing of the training data.

    Parameters
    ----------
    model : Pipeline
        Fitted pipeline from snapshots to the LDOS: GridSNAPTransformer, any steps ``RowWise(...)``,
        and LDOSRegressor. Forces need affine steps, such as scalers and projections, and are smooth
        only for a smooth activation function such as ``"silu"``.
    pseudopotentials : mapping of str to Pseudopotential or path
        One per element, or the path of its UPF file.
    temperature : float
        Electronic temperature in K.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; None uses the functional of the pseudopotentials. It must
        be that of the training data, if known.
    grid_spacing : float or array-like of shape (3,), optional
        Distance in Å between grid points along each cell vector; None uses the spacing of the
        training data.
    grid_shape : tuple of 3 int, optional
        Fixed grid, independent of the cell. Use it for relaxations and dynamics of the cell, where
        the energy would jump with the number of points.
    density_cutoff : float, optional
        Largest kinetic energy of the density in eV, as in :func:`skldos.physics.total_energy`.
    sharpen : int, optional
        Order to which the broadening of the training LDOS is undone, so that energies and forces
        are those of the calculation rather than of its broadened LDOS; see
        :func:`skldos.physics.sharpening_matrix`. None means 2 if the broadening is known, and 0
        otherwise.
    allow_stress : bool, default=False
        Whether to allow stress predictions of a model trained on cells of a single density. Such a
        model has not learned how the energy depends on the volume, and a cell relaxation would
        collapse.
    n_jobs : int, optional
        Number of workers over slices of the grid; None means one, unless
        :func:`joblib.parallel_config` sets another number. Any joblib backend works: processes,
        threads, dask or ray. The results are bitwise identical.

    Attributes
    ----------
    results : dict
        After a calculation: ``"energy"`` and ``"free_energy"`` (both are the free energy A in eV,
        of which forces are the negative gradient) and, if requested, ``"forces"`` (eV/Å) and
        ``"stress"`` (eV/Å³). Only ASE's names occur, so ASE can export, freeze and write the
        results. The electronic structure is available from :meth:`get_fermi_level`,
        :meth:`get_dos`, :meth:`get_density` and :meth:`get_total_energy_breakdown`.
    energies : ndarray of shape (n_energies,)
        Energies of the DOS in eV.

    Raises
    ------
    TypeError
        If the model is not such a pipeline.
    ValueError
        If the energies or the grid spacing are not known, or the model was trained with another
        functional, other numbers of valence electrons or charged cells. When called, if the model
        was not trained on an element, the atoms are not periodic, or the grid spacing is more than
        twice that of the training data.
    FermiLevelError
        When called, if the predicted DOS cannot hold the electrons.
    PropertyNotImplementedError
        If you request a stress that the model has not learned.

    Warns
    -----
    UserWarning
        Once, if a cell or the temperature is outside the range of the training data.

    See Also
    --------
    skldos.FreeEnergyCalculator : Forces fit for dynamics, from a model that learned forces.

    Notes
    -----
    Trained on eight snapshots of 32 aluminium atoms, networks have root-mean-square errors of
    forces of 0.8 to 1.3 eV/Å in the liquid and the solid at 933 K, where the forces are 0.9 eV/Å,
    and mean absolute errors of total energies of 30 meV/atom. One reason is that errors of the
    density enter the double-counting terms to first order. In a self-consistent calculation, the
    change of the band energy compensates them; in a model it does not.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSCalculator, LDOSRegressor, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.physics import Pseudopotential
    >>> snapshots = make_snapshots(2, random_state=0)
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(module__activation="silu", max_epochs=50, random_state=0),
    ... ).fit(snapshots)
    >>> atoms = snapshots[0].atoms.copy()
    >>> atoms.calc = LDOSCalculator(
    ...     model, [Pseudopotential("Al", 3, functional="lda-pz")], temperature=298
    ... )
    >>> atoms.get_forces().shape, bool(atoms.get_potential_energy() < 0)
    ((4, 3), True)
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(
        self,
        model,
        pseudopotentials,
        *,
        temperature,
        functional=None,
        grid_spacing=None,
        grid_shape=None,
        density_cutoff=None,
        sharpen=None,
        allow_stress=False,
        n_jobs=None,
    ):
        super().__init__(allow_stress)
        check_option("functional", functional, (None, *FUNCTIONALS))
        self.surface = EnergySurface(
            model,
            as_pseudopotentials(pseudopotentials),
            functional=functional,
            density_cutoff=check_density_cutoff(density_cutoff),
            n_jobs=n_jobs,
        )
        trained = "model was trained on an LDOS"
        self.surface.sharpening = sharpening_of(self.surface.regressor, sharpen, trained)
        self.temperature = temperature
        self.grid_shape = grid_shape
        self.grid_spacing = grid_spacing
        self.energies = self.surface.regressor.energies_
        if self.energies is None:
            raise ValueError(
                "the energies of model's LDOS must be known, but it was trained on blocks without "
                "snapshots; fit the pipeline on snapshots."
            )
        self._electrons = {}

    def __repr__(self):
        grid = self.grid_shape or f"{np.round(self.grid_spacing, 3)} Å"
        return (
            f"LDOSCalculator({list(self.surface.pseudopotentials.values())}, "
            f"{self.temperature:g} K, grid {grid})"
        )

    @property
    def temperature(self):
        """Electronic temperature in K."""
        return self._temperature

    @temperature.setter
    def temperature(self, temperature):
        self._temperature = check_scalar("temperature", temperature, low=0)
        self.reset()

    @property
    def grid_shape(self):
        """Fixed grid, or None if the grid follows from the spacing."""
        return self._grid_shape

    @grid_shape.setter
    def grid_shape(self, grid_shape):
        self._grid_shape = None if grid_shape is None else check_grid_shape(grid_shape)
        self.reset()

    @property
    def grid_spacing(self):
        """Distance in Å between grid points along each cell vector, or None if it is not known."""
        return self._grid_spacing

    @grid_spacing.setter
    def grid_spacing(self, spacing):
        self._grid_spacing = self._checked_spacing(spacing)
        self.reset()

    def _checked_spacing(self, spacing):
        if spacing is None:
            spacing = getattr(self.surface.transformer, "grid_spacing_", None)
            if spacing is None and self.grid_shape is None:
                raise ValueError(
                    "grid_spacing is needed, because model was trained on atoms without a grid."
                )
            return spacing
        if np.shape(spacing) not in ((), (3,)):
            raise ValueError(f"grid_spacing must be a number or three, got {spacing!r}.")
        values = [spacing] * 3 if np.ndim(spacing) == 0 else [*spacing]
        return np.array(
            [
                check_scalar(f"grid_spacing[{axis}]", value, low=0, strict=True)
                for axis, value in enumerate(values)
            ]
        )

    def grid_for(self, atoms):
        """Return the grid of a cell, with the spacing closest to the requested one.

        Parameters
        ----------
        atoms : ase.Atoms
            Atoms with a cell.

        Returns
        -------
        tuple of 3 int
            Points along each cell vector.
        """
        if self.grid_shape is not None:
            return self.grid_shape
        return tuple(max(1, round(n)) for n in atoms.cell.lengths() / self.grid_spacing)

    def _new_point(self):
        return self.surface.at(self._snapshot())

    def _energies_of(self, point):
        # Not in `results`, because ASE accepts only its own names there.
        self._electrons = {
            "breakdown": point.energy,
            "fermi_level": point.energy.fermi_level,
            "dos": point.response.dos,
            "density": point.response.density,
        }
        return {"energy": point.energy.total, "free_energy": point.energy.total}

    @property
    def _training(self):
        return calculation_of(self.surface.regressor).get("training", {})

    def _knows_stress(self):
        return not has_one_density(self._training)

    def _no_stress(self):
        return (
            f"model was trained on cells of one density ({self._training['density'][0]:.3f} "
            "g/cm³), and has not learned how the energy depends on the volume; train it on cells "
            "of several volumes, or pass allow_stress=True."
        )

    def _snapshot(self):
        self._check_atoms()
        valences = self.surface.pseudopotentials
        symbols = self.atoms.symbols
        check_every_element(symbols, valences)
        snapshot = Snapshot(
            self.atoms,
            grid_shape=self.grid_for(self.atoms),
            energies=self.energies,
            temperature=self.temperature,
            n_electrons=sum(valences[symbol].valence for symbol in symbols),
        )
        self._check_fineness(snapshot.grid_shape)
        self._warn_outside(snapshot)
        return snapshot

    def _check_fineness(self, grid_shape):
        """Raise a ``ValueError`` if the grid is too coarse for the density."""
        trained = getattr(self.surface.transformer, "grid_spacing_", None)
        limit = MAX_SPACING if trained is None else MAX_SPACING_RATIO * np.asarray(trained)
        # Distances of lattice planes of points; along oblique vectors points are farther apart.
        distances = plane_spacings(self.atoms.cell.array) / grid_shape
        if (distances > limit).any():
            source = "without a grid" if trained is None else f"{np.round(trained, 3)} Å apart"
            raise ValueError(
                f"grid_spacing (or grid_shape) must give points at most {np.round(limit, 3)} Å "
                f"apart, for the grid to hold the density of a model trained on points {source}; "
                f"got {distances.round(3)} Å, the grid {grid_shape}."
            )

    def get_fermi_level(self, atoms=None):
        """Return the Fermi level in eV, of `atoms` or of the last calculation."""
        return self._of_electrons("fermi_level", atoms)

    def get_dos(self, atoms=None):
        """Return the density of states in 1/eV at :attr:`energies`, shape (n_energies,)."""
        return self._of_electrons("dos", atoms)

    def get_density(self, atoms=None):
        """Return the electron density in 1/Å³ on the grid, shape (n_x, n_y, n_z)."""
        return self._of_electrons("density", atoms)

    def get_total_energy_breakdown(self, atoms=None):
        """Return the :class:`~skldos.physics.TotalEnergy`, which prints as a table."""
        return self._of_electrons("breakdown", atoms)

    def _of_electrons(self, name, atoms):
        # Computed with every energy; from ASE's cache if nothing changed.
        self.get_property("energy", atoms)
        value = self._electrons[name]
        return value.copy() if isinstance(value, np.ndarray) else value
