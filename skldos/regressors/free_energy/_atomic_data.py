"""Input of a model of the free energy from blocks of atoms and their snapshots."""

import warnings

import numpy as np

from skldos.data.free_energies import full_stress
from skldos.data.training import check_elements, outside_training
from skldos.exceptions import SnapshotError
from skldos.regressors.checks import linked_snapshots
from skldos.regressors.free_energy._atomic_sums import Rows, symmetric_rows
from skldos.validation import check_finite, check_shape

#: Fraction of a composition that may lie outside the range of the training data.
SAME_COMPOSITION = 1e-6


def checked_snapshots(X, name, n_features=None):
    """Return the snapshots of blocks of atoms, after checking the shapes of the blocks.

    `name` is that of the caller, for the message. The blocks must have `n_features`, by default as
    many as the first.
    """
    snapshots = linked_snapshots(X, name)
    if n_features is None and len(X):
        n_features = X[0].shape[1]
    for i, (block, snapshot) in enumerate(zip(X, snapshots, strict=True)):
        check_shape(f"X[{i}]", block, (len(snapshot.atoms), n_features))
    return snapshots


def checked_energies(y, n_snapshots):
    """Return the free energies `y` as an array; None for None."""
    if y is None:
        return None
    energies = np.asarray(y, dtype=float)
    check_shape("y", energies, (n_snapshots,))
    check_finite("y", energies)
    return energies


def means_and_fractions(X, elements, n_features):
    """Return the mean features of the atoms of every snapshot, and its composition.

    Of shapes (n_snapshots, n_features) and (n_snapshots, n_elements), in the order of `elements`.
    """
    means = np.empty((len(X), n_features))
    fractions = np.empty((len(X), len(elements)))
    for i, (block, snapshot) in enumerate(zip(X, X.snapshots, strict=True)):
        check_elements(snapshot, elements)
        means[i] = np.asarray(block, dtype=float).mean(axis=0)
        fractions[i] = [np.mean(snapshot.atoms.symbols == symbol) for symbol in elements]
    check_finite("the means of the features", means)
    return means, fractions


def derivative_handles(X):
    """Return the derivatives of every block as functions; an error if the blocks have none."""
    if getattr(X, "derivatives", None) is None:
        raise ValueError(
            "forces need blocks with derivatives, such as those of AtomSNAPTransformer and of "
            "affine row-wise steps after it; set forces=False to learn energies only."
        )
    return X.derivatives


class RowsOf:
    """The rows of the linear problem of every snapshot, computed on demand.

    The blocks have derivatives. `has_forces` tells for every snapshot whether its forces and stress
    are used; None uses none, and needs no derivatives.
    """

    def __init__(self, X, has_forces):
        self._X, self._has_forces = X, has_forces
        self._handles = None if has_forces is None else derivative_handles(X)

    def __call__(self, s):
        """Return the Rows of snapshot s."""
        function, *arguments = self.task(s)
        return function(*arguments)

    def task(self, s):
        """Return a function and arguments that compute them, possibly in another process."""
        n_features = self._X[0].shape[1]
        if self._has_forces is None or not self._has_forces[s]:
            return _no_rows, n_features
        return _rows, self._X.snapshots[s], self._handles[s], n_features


def _no_rows(n_features):
    return Rows(*(np.zeros((0, n_features)), np.zeros(0)) * 2)


def _rows(snapshot, derivatives, n_features):
    """Return the Rows of a snapshot, given the function for its derivatives."""
    by_positions, by_strain = derivatives()
    forces = snapshot.reference.get("forces")
    if forces is None:
        raise SnapshotError(f"{snapshot!r} has no reference 'forces'; set forces=False.")
    n_atoms = len(snapshot.atoms)
    check_shape("reference['forces']", np.asarray(forces), (n_atoms, 3))
    values = -by_positions.reshape(3 * n_atoms, -1), np.ravel(forces).astype(float)
    if (stress := snapshot.reference.get("stress")) is None:
        return _no_rows(n_features)._replace(forces=values[0], force_targets=values[1])
    # δA = V σ : ε
    virial = full_stress(stress) * snapshot.atoms.cell.volume
    return Rows(*values, *(symmetric_rows(v) / n_atoms for v in (by_strain, virial)))


def warn_of_density(snapshots, training):
    """Warn of snapshots whose density is outside the range of the training data."""
    if text := outside_training({"density": training["density"]}, snapshots):
        warnings.warn(text, UserWarning, stacklevel=3)


def warn_of_composition(fractions, snapshots, inverse):
    """Warn of a composition that is not a mixture of training compositions.

    `fractions` are the compositions of the snapshots, (n_snapshots, n_elements), and `inverse` is
    the (pseudo)inverse of the normal matrix of the training compositions.
    """
    projector = np.linalg.pinv(inverse, hermitian=True) @ inverse
    outside = np.abs(fractions - fractions @ projector).max(axis=1)
    if outside.max(initial=0) > SAME_COMPOSITION:
        warnings.warn(
            f"{snapshots[int(np.argmax(outside))]!r} has a composition that is not a mixture of "
            "those of the training data, which do not determine the energy of each element: its "
            "energy may be off by a constant.",
            UserWarning,
            stacklevel=3,
        )
