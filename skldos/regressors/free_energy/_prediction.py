"""Predictions of a fitted model of the free energy: energies, forces, stresses, errors."""

import warnings

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skldos.data.free_energies import free_energies_at
from skldos.data.training import has_one_density
from skldos.docstrings import documented, entries_of
from skldos.regressors.checks import checked_weights
from skldos.regressors.feature_range import warn_outside
from skldos.regressors.free_energy._atomic_data import (
    checked_energies,
    checked_snapshots,
    derivative_handles,
    means_and_fractions,
    warn_of_composition,
    warn_of_density,
)
from skldos.regressors.free_energy._atomic_sums import baseline_variance

ENTRIES = entries_of("""
    X : Blocks of shape (n_snapshots,)
        One block ``(n_atoms, n_features)`` per snapshot, linked to the snapshots.
""")


@documented(ENTRIES)
class FreeEnergyPrediction:
    """Predictions of a fitted model; a part of :class:`~skldos.FreeEnergyRegressor`."""

    def predict(self, X, return_std=False):
        """Predict the total free energy of every snapshot.

        Parameters
        ----------
        %(X)s
        return_std : bool, default=False
            Whether to return standard deviations as well.

        Returns
        -------
        energies : ndarray of shape (n_snapshots,)
            In eV, at `temperature_`.
        std : ndarray of shape (n_snapshots,)
            In eV; only if `return_std`.

        Warns
        -----
        UserWarning
            If the composition of a snapshot is not a mixture of training compositions, and these do
            not determine the baseline of each element.
        """
        check_is_fitted(self)
        snapshots = self._snapshots_of(X)
        means, fractions = means_and_fractions(X, self.elements_, self.n_features_in_)
        warn_of_composition(fractions, snapshots, self._composition_inverse)
        n_atoms = np.array([len(snapshot.atoms) for snapshot in snapshots])
        baseline = np.array([self.baseline_[symbol] for symbol in self.elements_])
        energies = n_atoms * (means @ self.coef_ + fractions @ baseline)
        if not return_std:
            return energies
        # The baseline absorbs the mean features of a composition.
        spread = self._spread(means - fractions @ self._feature_baseline)
        baseline = baseline_variance(fractions, self._composition_inverse)
        spread = spread + baseline / self.energy_weight_**2
        return energies, n_atoms * self._std("energy", spread)

    def predict_atoms(self, X):
        """Predict the contribution of every atom to the free energy.

        Parameters
        ----------
        %(X)s

        Returns
        -------
        list of ndarray of shape (n_atoms,)
            In eV.
        """
        check_is_fitted(self)
        snapshots = self._snapshots_of(X)
        means_and_fractions(X, self.elements_, self.n_features_in_)  # for unknown elements
        return [
            np.asarray(block, dtype=float) @ self.coef_
            + np.array([self.baseline_[symbol] for symbol in snapshot.atoms.symbols])
            for block, snapshot in zip(X, snapshots, strict=True)
        ]

    def predict_forces(self, X, return_std=False):
        """Predict the forces on the atoms of every snapshot.

        For dynamics, use a calculator, which does not compute the derivatives of every feature.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot, with derivatives.
        return_std : bool, default=False
            Whether to return standard deviations as well.

        Returns
        -------
        forces : list of ndarray of shape (n_atoms, 3)
            In eV/Å.
        std : list of ndarray of shape (n_atoms, 3)
            In eV/Å; only if `return_std`, for a model fitted to forces.
        """
        check_is_fitted(self)
        if return_std and "forces" not in self._calibration:
            raise ValueError("return_std needs a model that was fitted with forces=True.")
        self._snapshots_of(X)
        forces, std = [], []
        for handle in derivative_handles(X):
            by_positions, _ = handle()
            forces.append(-by_positions @ self.coef_)
            if return_std:
                spread = self._spread(by_positions.reshape(-1, self.n_features_in_))
                std.append(self._std("forces", spread).reshape(-1, 3))
        return (forces, std) if return_std else forces

    def predict_stress(self, X):
        """Predict the stress of every snapshot, the derivative of its energy by strain.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot, with derivatives.

        Returns
        -------
        list of ndarray of shape (3, 3)
            In eV/Å³; positive if the cell tends to shrink, as in ASE.

        Warns
        -----
        UserWarning
            If the model was fitted to a single density without stresses, and has not learned how
            the energy changes with the volume; or if a snapshot is more than 1 % outside the range
            of the training densities.
        """
        check_is_fitted(self)
        snapshots = self._snapshots_of(X)
        if not self.knows_stress():
            density = self.calculation_["training"]["density"][0]
            warnings.warn(
                f"the model was fitted at a single density, {density:.3g} g/cm³, without stresses: "
                "its predicted pressures are meaningless. Add snapshots of other volumes, or "
                "reference['stress'].",
                UserWarning,
                stacklevel=2,
            )
        else:
            warn_of_density(snapshots, self.calculation_["training"])
        stresses = []
        for handle, snapshot in zip(derivative_handles(X), snapshots, strict=True):
            virial = handle()[1] @ self.coef_
            # The antisymmetric part is a rotation, with zero derivative up to rounding.
            stresses.append((virial + virial.T) / 2 / snapshot.atoms.cell.volume)
        return stresses

    def knows_stress(self):
        """Return whether the model has learned how the energy depends on the volume.

        Returns
        -------
        bool
            True if it was fitted to stresses, or to densities that differ by at least 1 %.
        """
        check_is_fitted(self)
        return self._n_stressed > 0 or not has_one_density(self.calculation_["training"])

    def score(self, X, y=None, sample_weight=None):
        """Return the coefficient of determination of the free energies per atom.

        Parameters
        ----------
        %(X)s
        y : array-like of shape (n_snapshots,), optional
            True total free energies in eV, as in :meth:`fit`.
        sample_weight : array-like of shape (n_snapshots,), optional
            Weights of the snapshots.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        snapshots = self._snapshots_of(X)
        energies = checked_energies(y, len(X))
        counts = checked_weights(sample_weight, len(X))
        n_atoms = np.array([len(snapshot.atoms) for snapshot in snapshots])
        true = free_energies_at(snapshots, self.temperature_, energies) / n_atoms
        error = np.average((self.predict(X) / n_atoms - true) ** 2, weights=counts)
        spread = np.average((true - np.average(true, weights=counts)) ** 2, weights=counts)
        return float(1 - error / spread)

    def _spread(self, rows):
        """Return the variance of rows times coefficients for unit noise."""
        return np.sum((rows @ self._whitening) ** 2, axis=1)

    def _std(self, kind, spread):
        constant, slope = self._calibration[kind]
        return np.sqrt(constant + slope * spread)

    def _snapshots_of(self, X):
        snapshots = checked_snapshots(X, type(self).__name__, self.n_features_in_)
        for block in X:
            warn_outside(np.asarray(block), self.feature_range_)
        return snapshots
