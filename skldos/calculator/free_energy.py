"""Models of atoms as an ASE calculator: energies, forces and electrons at any temperature."""

from skldos.calculator._base import ModelCalculator
from skldos.calculator.free_energy_surface import FreeEnergySurface
from skldos.data import Snapshot
from skldos.exceptions import SnapshotError
from skldos.validation import check_option, check_scalar


class FreeEnergyCalculator(ModelCalculator):
    r"""Energies, forces and electrons from fitted models of atoms, for ASE.

    Use it for molecular dynamics, relaxations and anything else in ASE. With a model of the
    atom-decomposed density of states (ADOS) it also predicts the DOS at every step, and free
    energies, forces and stress at any electronic temperature T, from a potential for one
    temperature :math:`T_0`:

    .. math:: A(T) = A(T_0) + [E_\mathrm{band} - TS](T) - [E_\mathrm{band} - TS](T_0) .

    Parameters
    ----------
    potential : Pipeline
        Fitted pipeline from atoms to their free energy: a transformer of atoms with derivatives,
        such as AtomSNAPTransformer, or a BlockUnion of these; any affine steps ``RowWise(...)``;
        and a FreeEnergyRegressor.
    dos_model : Pipeline, optional
        Fitted pipeline from atoms to their densities of states: a transformer as above; steps
        ``RowWise(...)`` that are affine or ``Normalizer()``; and an ADOSRegressor around a linear
        model. If both transformers are the same, descriptors are computed only once.
    temperature : float, optional
        Electronic temperature in K; None uses that of the potential. Any other temperature needs
        `dos_model`. You can change it at any step.
    reference_temperature : float, optional
        Electronic temperature in K of the potential's training data; None uses the stored value.
    valence : mapping of str to float, optional
        Number of valence electrons per atom of each element; None uses the values of `dos_model`.
    sharpen : int, optional
        Order to which the broadening of the DOS is undone; see
        :func:`skldos.physics.sharpening_matrix`. None means 2 if the broadening is known, and 0
        otherwise.
    allow_stress : bool, default=False
        Whether to allow stress predictions of a potential trained without stresses on cells of a
        single density, which has not learned how the energy depends on the volume.

    Attributes
    ----------
    results : dict
        After a calculation: ``"energy"`` and ``"free_energy"`` (both are the free energy A in eV,
        of which forces are the negative gradient), ``"energies"`` (per atom, eV) and, if requested,
        ``"forces"`` (eV/Å) and ``"stress"`` (eV/Å³).
    energies : ndarray of shape (n_energies,) or None
        Energies of the DOS in eV.

    Raises
    ------
    TypeError
        If a model is not such a pipeline.
    ValueError
        If a temperature needs a DOS model that is missing, or an unknown reference temperature.
        When called, if a step of a model is not affine.
    SnapshotError
        When called, if atoms are not periodic, or a model was not trained on an element.
    FermiLevelError
        When called, if the DOS cannot hold the electrons, or its energies end less than 10 kT
        above the Fermi level.
    PropertyNotImplementedError
        If you request a stress that the potential has not learned.

    Warns
    -----
    UserWarning
        Once, if a cell is outside the range of densities of the training data.

    See Also
    --------
    skldos.LDOSCalculator : Also predicts the electron density, from the LDOS; poorer forces.
    skldos.active.OnTheFlyLearner : Dynamics that requests the calculations it needs.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from sklearn.pipeline import make_pipeline
    >>> from skldos import AtomSNAPTransformer, FreeEnergyCalculator, FreeEnergyRegressor, Snapshot
    >>> snapshots = []
    >>> for seed in range(6):
    ...     atoms = bulk("Al", cubic=True)
    ...     atoms.rattle(0.1, seed=seed)
    ...     atoms.calc = EMT()
    ...     reference = {"total_energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    ...     snapshots.append(Snapshot(atoms, reference=reference))
    >>> potential = make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor())
    >>> atoms = snapshots[5].atoms.copy()
    >>> atoms.calc = FreeEnergyCalculator(potential.fit(snapshots[:5]))
    >>> error = atoms.get_potential_energy() - snapshots[5].reference["total_energy"]
    >>> bool(abs(error) / 4 < 0.005), atoms.get_forces().shape
    (True, (4, 3))
    """

    implemented_properties = ("energy", "free_energy", "energies", "forces", "stress")
    ignored_changes = frozenset({"initial_charges", "initial_magmoms"})

    def __init__(
        self,
        potential,
        dos_model=None,
        temperature=None,
        *,
        reference_temperature=None,
        valence=None,
        sharpen=None,
        allow_stress=False,
    ):
        super().__init__(allow_stress)
        self._settings = {
            "reference_temperature": reference_temperature,
            "valence": valence,
            "sharpen": sharpen,
        }
        self._dos_model = dos_model
        self.surface = FreeEnergySurface(potential, dos_model, **self._settings)
        self.temperature = temperature

    def __repr__(self):
        models = [self.surface.potential, self.surface.dos_model]
        names = ", ".join(type(m.regressor).__name__ for m in models if m is not None)
        at = "" if self.temperature is None else f", {self.temperature:g} K"
        return f"FreeEnergyCalculator({names}{at})"

    @property
    def temperature(self):
        """Electronic temperature in K, or None if the potential's is not known."""
        return self._temperature

    @temperature.setter
    def temperature(self, temperature):
        reference = self.surface.reference_temperature
        if temperature is not None:
            temperature = check_scalar("temperature", temperature, low=0)
            if reference is None:
                raise ValueError(
                    "reference_temperature is needed with a temperature, because the training data "
                    "of potential have no common electronic temperature, or none is known."
                )
            if temperature != reference and self.surface.dos_model is None:
                raise ValueError(
                    f"temperature {temperature:g} K needs a dos_model: potential was trained at "
                    f"{reference:g} K."
                )
        self._temperature = reference if temperature is None else temperature
        self.reset()

    @property
    def energies(self):
        """Energies of the DOS in eV, or None without `dos_model`."""
        return None if self.surface.dos_model is None else self.surface.energies

    def set_potential(self, potential):
        """Replace the potential, for example after further training.

        Parameters
        ----------
        potential : Pipeline
            As for the constructor.
        """
        self.surface = FreeEnergySurface(potential, self._dos_model, **self._settings)
        self.reset()

    def todict(self, skip_default=True):
        """Return the electronic temperature, which ASE writes to trajectories and databases."""
        return {} if self.temperature is None else {"temperature": self.temperature}

    def _new_point(self):
        return self.surface.at(self._snapshot(), self.temperature)

    def _energies_of(self, point):
        energy = float(point.energies.sum())
        return {"energy": energy, "free_energy": energy, "energies": point.energies.copy()}

    # ------------------------------------------------------------------- guards

    def _snapshot(self):
        self._check_atoms()
        if not self.atoms.pbc.all():
            raise SnapshotError(
                f"FreeEnergyCalculator needs atoms that are periodic in all three directions, got "
                f"pbc={self.atoms.pbc} for {self.atoms.symbols}; put a molecule or a slab into a "
                "cell with enough vacuum."
            )
        snapshot = Snapshot(self.atoms.copy())
        self._warn_outside(snapshot)
        return snapshot

    @property
    def _training(self):
        return self.surface.potential.calculation["training"]

    def _knows_stress(self):
        return self.surface.potential.regressor.knows_stress()

    def _no_stress(self):
        return (
            f"potential was trained on cells of one density, {self._training['density'][0]:.3f} "
            "g/cm³, without stresses, and has not learned how the energy depends on the volume; "
            "train it on cells of several volumes, or pass allow_stress=True."
        )

    # ------------------------------------------------------------------- beside the results

    def get_uncertainty(self, quantity="energy", atoms=None):
        """Return the expected error of the potential, at its own electronic temperature.

        Parameters
        ----------
        quantity : {"energy", "forces"}, default="energy"
            Quantity of the expected error. For forces, derivatives of all features are needed,
            which takes about ten times as long as the forces themselves.
        atoms : ase.Atoms, optional
            The atoms; None uses those of the last calculation.

        Returns
        -------
        float or ndarray of shape (n_atoms, 3)
            Standard deviation in eV or eV/Å.
        """
        check_option("quantity", quantity, ("energy", "forces"))
        blocks = self.surface.potential.blocks(self._point_of_last(atoms).snapshot)
        regressor = self.surface.potential.regressor
        if quantity == "energy":
            return float(regressor.predict(blocks, return_std=True)[1][0])
        return regressor.predict_forces(blocks, return_std=True)[1][0]

    def get_dos(self, atoms=None):
        """Return the density of states in 1/eV at :attr:`energies`, shape (n_energies,).

        The broadening is undone to the order `sharpen`.
        """
        return self._point_with_dos(atoms).dos.copy()

    def get_fermi_level(self, atoms=None):
        """Return the Fermi level in eV at the electronic temperature."""
        return self._with_electrons(atoms).electrons.fermi_level

    def get_band_energy(self, atoms=None):
        """Return the band energy in eV at the electronic temperature."""
        return self._with_electrons(atoms).electrons.band_energy

    def get_entropy(self, atoms=None):
        """Return the entropy term −TS of the electrons in eV, a negative energy."""
        return self._with_electrons(atoms).electrons.minus_ts

    def get_electronic_heat_capacity(self, atoms=None):
        """Return the heat capacity of the electrons in eV/K, at fixed atoms."""
        point = self._with_electrons(atoms)
        _ = point.electrons  # checks that the energies reach far enough
        return point.heat_capacity

    def _with_electrons(self, atoms):
        if self.temperature is None:
            raise ValueError(
                "reference_temperature is needed, because the training data of potential have "
                "no common electronic temperature, or none is known."
            )
        return self._point_with_dos(atoms)

    def _point_with_dos(self, atoms):
        if self.surface.dos_model is None:
            raise ValueError("dos_model is needed for the density of states, got None.")
        return self._point_of_last(atoms)

    def _point_of_last(self, atoms=None):
        """Return the point of the last calculation; a copy or a pickle does not contain it."""
        self.get_property("energy", atoms)  # from ASE's cache if nothing changed
        if self._point is None:
            self._point = self._new_point()
        return self._point
