r"""Free energy of atoms and electrons from two models of atoms, with its gradient.

A potential gives the free energy at the electronic temperature :math:`T_0` of its training data. A
model of the atom-decomposed DOS gives the change to another temperature (see
:mod:`skldos.physics.hot_electrons`):

.. math::

    A(T) = \sum_i a_i + F(T) - F(T_0), \qquad
    \delta F = \int \Omega_T(E)\, \delta D(E)\, dE \quad (N_e \text{ constant})

with :math:`\Omega_T(E) = -kT \ln(1 + e^{(\mu - E)/kT})`. All derivatives with respect to features
are added before they are propagated to the atoms, in a single pass if both models have the same
descriptors.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import joblib
import numpy as np
from ase import Atoms

from skldos.calculator._atom_models import DOSModel, PotentialModel
from skldos.calculator._base import ModelPoint
from skldos.calculator._pipelines import sharpening_of
from skldos.data.calculation import differing_fact, electrons_of
from skldos.physics import (
    band_energy,
    electronic_heat_capacity,
    entropy,
    fermi_level,
    integration_weights,
)
from skldos.physics.hot_electrons import check_reach
from skldos.validation import check_scalar


class FreeEnergySurface:
    """Free energy of atoms and electrons as a function of positions, cell and temperature.

    Parameters
    ----------
    potential : Pipeline
        Fitted, from atoms to a FreeEnergyRegressor.
    dos_model : Pipeline, optional
        Fitted, from atoms to a regressor of the atom-decomposed DOS that is affine in its inputs.
    reference_temperature : float, optional
        Electronic temperature in K at which the potential was trained; None uses the stored value.
    valence : mapping of str to float, optional
        Valence electrons of an atom of each element; None uses the values of the DOS model.
    sharpen : int, optional
        Order to which the broadening of the DOS is undone; None means 2 if the broadening is known,
        and 0 otherwise.
    """

    def __init__(
        self, potential, dos_model=None, *, reference_temperature=None, valence=None, sharpen=None
    ):
        self.potential = PotentialModel("potential", potential)
        self.dos_model = None if dos_model is None else DOSModel("dos_model", dos_model)
        if valence is not None and not isinstance(valence, Mapping):
            raise TypeError(f"valence must be a mapping of elements to numbers, got {valence!r}.")
        self.valence = dict(valence or {})
        for symbol, number in self.valence.items():
            check_scalar(f"valence[{symbol!r}]", number, low=0)
        self.reference_temperature = self._trained_at(reference_temperature)
        self.sharpening = None
        if dos_model is not None:
            self._check_calculations()
            spectra = "dos_model was trained on densities of states"
            self.sharpening = sharpening_of(self.dos_model.regressor, sharpen, spectra)
        self._same_features = None

    def __repr__(self):
        return f"FreeEnergySurface({self.potential!r}, {self.dos_model!r})"

    def at(self, snapshot, temperature=None):
        """Return energies and gradients of a snapshot.

        Parameters
        ----------
        snapshot : Snapshot
            The atoms.
        temperature : float, optional
            Electronic temperature in K; None uses that of the potential.

        Returns
        -------
        FreeEnergyPoint
        """
        return FreeEnergyPoint(self, snapshot, temperature)

    @cached_property
    def energies(self):
        """Energies of the density of states in eV."""
        return self.dos_model.energies

    def electrons(self, symbols):
        """Return the number of valence electrons of every atom."""
        per_element = {symbol: self._valence_of(symbol) for symbol in sorted(set(symbols))}
        return np.array([per_element[symbol] for symbol in symbols])

    def _valence_of(self, symbol):
        valence = self.valence.get(symbol)
        if valence is None:
            valence = electrons_of(Atoms([symbol]), self.dos_model.calculation)
        if valence is None:
            raise ValueError(
                f"valence must give the number of valence electrons of {symbol}, which is not "
                f"known from dos_model; got {self.valence!r}."
            )
        return float(valence)

    def _check_calculations(self):
        """Raise an error if the models were trained on different calculations."""
        calculation, dos_calculation = self.potential.calculation, self.dos_model.calculation
        if name := differing_fact(calculation, dos_calculation):
            raise ValueError(
                f"both models must be trained on the same calculations, but potential was trained "
                f"with the {name} {calculation[name]!r}, and dos_model with "
                f"{dos_calculation[name]!r}."
            )

    def _trained_at(self, temperature):
        if temperature is not None:
            return check_scalar("reference_temperature", temperature, low=0)
        return self.potential.regressor.temperature_

    def same_features(self, snapshot):
        """Return whether both models have the same features."""
        if self._same_features is None:  # the answer is the same for all snapshots
            keys = (m.transformer.cache_key(snapshot) for m in (self.potential, self.dos_model))
            key, dos_key = map(joblib.hash, keys)
            self._same_features = key == dos_key
        return self._same_features


class Electrons(NamedTuple):
    """Electrons at one temperature.

    Attributes
    ----------
    temperature : float
        In K.
    fermi_level : float
        In eV.
    band_energy, minus_ts : float
        Band energy and entropy term −TS in eV.
    """

    temperature: float
    fermi_level: float
    band_energy: float
    minus_ts: float


class FreeEnergyPoint(ModelPoint):
    """Free energy, forces and stress of one snapshot, as returned by :meth:`FreeEnergySurface.at`.

    Parameters
    ----------
    surface : FreeEnergySurface
        Surface that predicts the energy.
    snapshot : Snapshot
        The atoms.
    temperature : float, optional
        Electronic temperature in K; None uses that of the potential.

    Attributes
    ----------
    rows : ndarray of shape (n_atoms, n_features)
        Input of the potential's regressor.
    hot : bool
        Whether the temperature differs from that of the potential.
    """

    def __init__(self, surface, snapshot, temperature=None):
        self._surface, self.snapshot = surface, snapshot
        self.temperature = surface.reference_temperature if temperature is None else temperature
        self._features = surface.potential.features(snapshot)
        self.rows, self._passed = surface.potential.rows(self._features)
        self.hot = self.temperature != surface.reference_temperature

    def __repr__(self):
        return f"FreeEnergyPoint({self.snapshot!r}, {self.energies.sum():.6f} eV)"

    @cached_property
    def _shared(self):
        """Whether both models have the same features."""
        return self._surface.same_features(self.snapshot)

    @cached_property
    def _of_dos(self):
        """Input of the DOS model's regressor, and the inputs of all steps before it."""
        model = self._surface.dos_model
        return model.rows(self._features if self._shared else model.features(self.snapshot))

    @property
    def dos_rows(self):
        """Input of the DOS model's regressor for every atom."""
        return self._of_dos[0]

    @cached_property
    def dos(self):
        """Density of states in 1/eV with the broadening undone, shape (n_energies,)."""
        matrix, constant = self._surface.dos_model.affine
        dos = self.dos_rows.sum(axis=0) @ matrix + len(self.dos_rows) * constant
        sharpening = self._surface.sharpening
        return dos if sharpening is None else sharpening @ dos

    @cached_property
    def n_electrons(self):
        """Number of valence electrons of every atom."""
        return self._surface.electrons(self.snapshot.atoms.symbols)

    @cached_property
    def electrons(self):
        """The :class:`Electrons` at the requested temperature."""
        return self._electrons_at(self.temperature)

    @cached_property
    def _cold_electrons(self):
        return self._electrons_at(self._surface.reference_temperature)

    def _electrons_at(self, temperature):
        energies, n_electrons = self._surface.energies, float(self.n_electrons.sum())
        mu = fermi_level(self.dos, energies, temperature=temperature, n_electrons=n_electrons)
        check_reach(energies, temperature=temperature, fermi_level=mu)
        state = {"temperature": temperature, "fermi_level": mu}
        terms = (term(self.dos, energies, **state) for term in (band_energy, entropy))
        return Electrons(temperature, float(mu), *map(float, terms))

    @property
    def heat_capacity(self):
        """Heat capacity of the electrons in eV/K."""
        state = {"temperature": self.temperature, "n_electrons": float(self.n_electrons.sum())}
        return float(electronic_heat_capacity(self.dos, self._surface.energies, **state))

    @cached_property
    def _by_dos(self):
        """Derivative of F(T) − F(T0) with respect to the predicted DOS of an atom."""
        weights = np.subtract(
            *(
                integration_weights(
                    self._surface.energies,
                    temperature=state.temperature,
                    fermi_level=state.fermi_level,
                    quantity="grand_potential",
                )
                for state in (self.electrons, self._cold_electrons)
            )
        )
        sharpening = self._surface.sharpening
        return weights if sharpening is None else sharpening.T @ weights

    @cached_property
    def energies(self):
        """Free energy of every atom in eV, shape (n_atoms,)."""
        energies = self._surface.potential.energies(self.rows, self.snapshot)
        if self.hot:
            # F is homogeneous in D and N, so it is the sum of Ω·D_i + μ N_i.
            matrix, constant = self._surface.dos_model.affine
            by_rows = matrix @ self._by_dos
            energies = energies + self.dos_rows @ by_rows + constant @ self._by_dos
            shift = self.electrons.fermi_level - self._cold_electrons.fermi_level
            energies += shift * self.n_electrons
        return energies

    @cached_property
    def gradient(self):
        """Derivatives with respect to positions, (n_atoms, 3) in eV/Å, and strain, (3, 3) in eV."""
        surface = self._surface
        by_features = surface.potential.back(surface.potential.by_rows, self._passed)
        if not self.hot:
            return self._pullback(surface.potential, by_features)
        matrix, _ = surface.dos_model.affine
        by_dos_features = surface.dos_model.back(matrix @ self._by_dos, self._of_dos[1])
        if self._shared:
            return self._pullback(surface.potential, by_features + by_dos_features)
        gradients = (
            self._pullback(surface.potential, by_features),
            self._pullback(surface.dos_model, by_dos_features),
        )
        return tuple(a + b for a, b in zip(*gradients, strict=True))

    def _pullback(self, model, by_features):
        n_atoms = len(self.snapshot.atoms)
        sensitivity = np.broadcast_to(by_features, (n_atoms, by_features.shape[-1]))
        return model.transformer.pullback(self.snapshot, np.ascontiguousarray(sensitivity))
