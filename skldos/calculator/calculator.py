"""A fitted pipeline as a calculator of ASE."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from skldos._validation import check_option, check_scalar
from skldos.calculator.surface import EnergySurface
from skldos.data import Snapshot
from skldos.geometry import check_grid_shape
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.physics import sharpening_matrix
from skldos.physics.terms import FUNCTIONALS


class LDOSCalculator(Calculator):
    r"""Energies, forces and electronic structure from a fitted model of the LDOS, for ASE.

    Molecular dynamics, relaxations and everything else of ASE run with it unchanged. Cells may be
    larger than those that the model was trained on: the grid follows the cell at the spacing of
    the training data.

    Parameters
    ----------
    model : Pipeline
        Fitted, from snapshots to the LDOS: GridSNAPTransformer, any steps ``RowWise(...)``, and
        LDOSRegressor. Forces need affine steps, such as scalers and projections, and are smooth
        if the activation of the network is, such as ``"silu"``.
    pseudopotentials : mapping of str to Pseudopotential or path
        One per element, or the path of its UPF file.
    temperature : float
        Electronic temperature in K.
    xc : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; None takes that of the pseudopotentials.
    grid_spacing : float or array-like of shape (3,), optional
        Distance in Å of grid points along the cell vectors; None takes that of the training data,
        vector by vector.
    grid_shape : tuple of 3 int, optional
        A grid that stays as it is, whatever the cell: for relaxations and dynamics of the cell,
        in which a number of points that jumps would make the energy jump.
    cutoff : float, optional
        Largest kinetic energy of the density in eV, as in :func:`skldos.physics.total_energy`.
    sharpen : int, optional
        Order to which the broadening of the training LDOS is undone, so that energies and forces
        are those of the calculation rather than of its broadened LDOS; see
        :func:`skldos.physics.sharpening_matrix`. None is 2 where the model knows the broadening,
        and 0 elsewhere.

    Attributes
    ----------
    results : dict
        After a calculation ``"energy"`` and ``"free_energy"`` (both the free energy A in eV,
        whose gradient the forces are), ``"forces"`` (eV/Å), ``"stress"`` (eV/Å³), if they were
        asked for, and ``"fermi_level"`` (eV), ``"dos"`` (1/eV, at :attr:`energies`),
        ``"density"`` (1/Å³, on the grid) and ``"total_energy"``, the breakdown
        :class:`~skldos.physics.TotalEnergy`.
    energies : ndarray of shape (n_energies,)
        Energies of the DOS in eV.

    Raises
    ------
    TypeError
        If the model is not such a pipeline.
    ValueError
        If the model knows neither its energies nor its grid spacing, or when called: if atoms
        are of an element that it was not trained on, or not periodic.
    FermiLevelError
        When called, if the predicted DOS cannot hold the electrons.

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
    discard_results_on_any_change = True

    def __init__(
        self,
        model,
        pseudopotentials,
        *,
        temperature,
        xc=None,
        grid_spacing=None,
        grid_shape=None,
        cutoff=None,
        sharpen=None,
    ):
        super().__init__()
        check_option("xc", xc, (None, *FUNCTIONALS))
        if cutoff is not None:
            check_scalar("cutoff", cutoff, low=0, strict=True)
        self.surface = EnergySurface(
            model, as_pseudopotentials(pseudopotentials), functional=xc, cutoff=cutoff
        )
        self.surface.sharpening = self._sharpening(sharpen)
        self.temperature = check_scalar("temperature", temperature, low=0)
        self.grid_shape = None if grid_shape is None else check_grid_shape(grid_shape)
        self.grid_spacing = self._spacing(grid_spacing)
        self.energies = self.surface.regressor.energies_
        if self.energies is None:
            raise ValueError(
                "model must know the energies of its LDOS, but was trained on blocks without "
                "snapshots; fit the pipeline on snapshots."
            )
        self._point = None

    def __repr__(self):
        grid = self.grid_shape or f"{np.round(self.grid_spacing, 3)} Å"
        return (
            f"LDOSCalculator({list(self.surface.pseudopotentials.values())}, "
            f"{self.temperature:g} K, grid {grid})"
        )

    def _spacing(self, spacing):
        if spacing is None:
            spacing = getattr(self.surface.transformer, "grid_spacing_", None)
            if spacing is None and self.grid_shape is None:
                raise ValueError(
                    "grid_spacing is needed, because model was trained on atoms without a grid."
                )
            return spacing
        if np.shape(spacing) not in ((), (3,)):
            raise ValueError(f"grid_spacing must be a number or three, got {spacing!r}.")
        spacing = np.broadcast_to(np.asarray(spacing, dtype=float), 3)
        for axis, value in enumerate(spacing):
            check_scalar(f"grid_spacing[{axis}]", float(value), low=0, strict=True)
        return spacing

    def _sharpening(self, order):
        """Return the matrix that undoes the broadening of the training data, or None."""
        regressor = self.surface.regressor
        known = regressor.broadening_ is not None and regressor.kernel_ is not None
        if order is None:
            order = 2 if known else 0
        if check_scalar("sharpen", order, low=0, integer=True) == 0:
            return None
        if not known:
            raise ValueError(
                f"sharpen must be 0 or None, because model was trained on an LDOS whose "
                f"broadening is not known; got {order}."
            )
        return sharpening_matrix(
            regressor.energies_,
            broadening=regressor.broadening_,
            kernel=regressor.kernel_,
            order=order,
        )

    def grid_for(self, atoms):
        """Return the grid for a cell: along each vector, the spacing that is nearest to the wanted.

        Parameters
        ----------
        atoms : ase.Atoms
            Atoms in a cell.

        Returns
        -------
        tuple of 3 int
            Points along each cell vector.
        """
        if self.grid_shape is not None:
            return self.grid_shape
        return tuple(max(1, round(n)) for n in atoms.cell.lengths() / self.grid_spacing)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Compute `properties`; ASE calls this.

        Parameters
        ----------
        atoms : ase.Atoms
            The atoms.
        properties : sequence of str
            What is wanted.
        system_changes : sequence of str
            What changed since the last call.
        """
        super().calculate(atoms, properties, system_changes)
        if system_changes:
            # Before the next is there: one that fails must not leave that of other atoms behind.
            self._point = None
        if self._point is None:
            self._point = self.surface.at(self._snapshot())
        point = self._point
        self.results.update(
            energy=point.energy.total,
            free_energy=point.energy.total,
            total_energy=point.energy,
            fermi_level=point.energy.fermi_level,
            dos=point.response.dos,
            density=point.response.density,
        )
        if "forces" in properties or "stress" in properties:
            self.results["forces"] = point.forces
            self.results["stress"] = full_3x3_to_voigt_6_stress(point.stress)

    def _snapshot(self):
        valences = self.surface.pseudopotentials
        symbols = self.atoms.symbols
        missing = sorted(set(symbols) - set(valences))
        if missing:
            raise ValueError(
                f"pseudopotentials must have one for every element, got none for {missing[0]}."
            )
        return Snapshot(
            self.atoms,
            grid_shape=self.grid_for(self.atoms),
            energies=self.energies,
            temperature=self.temperature,
            n_electrons=sum(valences[symbol].valence for symbol in symbols),
        )

    def __getstate__(self):
        # The last point is as large as the grid, and can be made anew.
        return vars(self) | {"_point": None}

    def get_fermi_level(self, atoms=None):
        """Return the Fermi level in eV, of `atoms` or of the last calculation."""
        return self._result("fermi_level", atoms)

    def get_dos(self, atoms=None):
        """Return the density of states in 1/eV at :attr:`energies`."""
        return self._result("dos", atoms)

    def get_density(self, atoms=None):
        """Return the electron density in 1/Å³ on the grid."""
        return self._result("density", atoms)

    def get_total_energy_breakdown(self, atoms=None):
        """Return the :class:`~skldos.physics.TotalEnergy`, which prints as a table."""
        return self._result("total_energy", atoms)

    def _result(self, name, atoms):
        # Comes with every energy, from the cache of ASE if nothing changed.
        self.get_property("energy", atoms)
        return self.results[name]
